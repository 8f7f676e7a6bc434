//! `assets`: files that are served beside the Worker.

use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::decode::Section;
use crate::error::ConfigError;
use crate::keys::ASSETS_KEYS;
use crate::nearest::nearest;
use crate::sections::required;

/// How many patterns `run_worker_first` may have, as at Cloudflare.
const MOST_PATTERNS: usize = 100;

/// Files that are served beside the Worker.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Assets {
    /// The folder. Another machine has another one.
    #[serde(skip)]
    pub directory: PathBuf,
    /// Its name in `env`, if it has one.
    pub binding: Option<String>,
    /// What becomes of `.html` and of slashes at the end.
    pub html_handling: HtmlHandling,
    /// What is answered when there is no such file and no Worker to ask.
    pub not_found_handling: NotFoundHandling,
    /// Which requests the Worker gets although there may be a file.
    pub run_worker_first: RunWorkerFirst,
    /// Whether a browser that goes to another page gets what `not_found_handling` says rather than the Worker's answer.
    pub navigation_prefers_assets: bool,
}

/// What becomes of `.html` and of slashes at the end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[expect(missing_docs, reason = "the names are wrangler's and say it")]
pub enum HtmlHandling {
    #[default]
    AutoTrailingSlash,
    ForceTrailingSlash,
    DropTrailingSlash,
    None,
}

/// What is answered when there is no such file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[expect(missing_docs, reason = "the names are wrangler's and say it")]
pub enum NotFoundHandling {
    #[default]
    None,
    NotFoundPage,
    SinglePageApplication,
}

/// Which requests the Worker gets although there may be a file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
pub enum RunWorkerFirst {
    /// Only those for which there is none.
    #[default]
    Never,
    /// All.
    Always,
    /// There is none: what is no asset is not found.
    NoWorker,
    /// Those whose path matches one of the first and none of the second, which never go to the Worker. `*` is any text.
    Matching(Vec<String>, Vec<String>),
}

const HTML_HANDLING: [(&str, HtmlHandling); 4] = [
    ("auto-trailing-slash", HtmlHandling::AutoTrailingSlash),
    ("force-trailing-slash", HtmlHandling::ForceTrailingSlash),
    ("drop-trailing-slash", HtmlHandling::DropTrailingSlash),
    ("none", HtmlHandling::None),
];

const NOT_FOUND_HANDLING: [(&str, NotFoundHandling); 3] = [
    ("none", NotFoundHandling::None),
    ("404-page", NotFoundHandling::NotFoundPage),
    ("single-page-application", NotFoundHandling::SinglePageApplication),
];

impl Assets {
    pub(crate) fn read(
        section: &Section<'_>,
        root: &Path,
        navigation_prefers_assets: bool,
        has_code: bool,
    ) -> Result<Self, ConfigError> {
        section.only(ASSETS_KEYS)?;
        for key in ["binding", "run_worker_first"] {
            let Some(entry) = section.get(key).filter(|_| !has_code) else { continue };
            let path = section.path_of(key);
            let message = format!("there is no `main` that could use this key: `{path}`");
            let hint = "remove it, or name the Python file with the handlers in `main`";
            return Err(section.source.error(entry.at, message).with_hint(hint));
        }
        let (text, at) = required(section, section.string("directory")?, "directory")?;
        let below: PathBuf =
            Path::new(text).components().filter(|part| !matches!(part, Component::CurDir)).collect();
        let directory = root.join(below);
        if !directory.is_dir() {
            let path = section.path_of("directory");
            let message = format!("the folder that `{path}` names is not there: {}", directory.display());
            return Err(section.source.error(at, message).with_hint("create the folder or correct the key"));
        }
        Ok(Self {
            directory,
            binding: section.string("binding")?.map(|(name, _)| name.to_owned()),
            html_handling: choice(section, "html_handling", &HTML_HANDLING)?.unwrap_or_default(),
            not_found_handling: choice(section, "not_found_handling", &NOT_FOUND_HANDLING)?
                .unwrap_or_default(),
            run_worker_first: match has_code {
                true => run_worker_first(section)?,
                false => RunWorkerFirst::NoWorker,
            },
            navigation_prefers_assets,
        })
    }
}

/// The value with the name that is under `key`.
pub(crate) fn choice<T: Copy>(
    section: &Section<'_>,
    key: &str,
    known: &[(&str, T)],
) -> Result<Option<T>, ConfigError> {
    let Some((text, at)) = section.string(key)? else { return Ok(None) };
    if let Some((_, value)) = known.iter().find(|(name, _)| *name == text) {
        return Ok(Some(*value));
    }
    let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
    let suggestion = nearest(text, names.iter().copied()).map(|name| format!("; did you mean `{name}`?"));
    let message =
        format!("wrong value of `{}`: `{text}`{}", section.path_of(key), suggestion.unwrap_or_default());
    Err(section.source.error(at, message).with_hint(format!("use one of: {}", names.join(", "))))
}

fn run_worker_first(section: &Section<'_>) -> Result<RunWorkerFirst, ConfigError> {
    const KEY: &str = "run_worker_first";
    if section.get(KEY).is_none_or(|entry| matches!(entry.node.value, crate::tree::Value::Bool(_))) {
        let always = section.boolean(KEY)?.unwrap_or_default();
        return Ok(if always { RunWorkerFirst::Always } else { RunWorkerFirst::Never });
    }
    let (mut first, mut never) = (Vec::new(), Vec::new());
    let listed = section.strings(KEY)?.unwrap_or_default();
    let place = listed.first().map_or(0, |(_, at)| *at);
    for (index, (text, at)) in listed.into_iter().enumerate() {
        let (pattern, list) = match text.strip_prefix('!') {
            Some(rest) => (rest, &mut never),
            None => (text, &mut first),
        };
        let path = format!("{}[{index}]", section.path_of(KEY));
        if !pattern.starts_with('/') {
            let message = format!("wrong value of `{path}`: `{text}` does not begin with `/` or `!/`");
            return Err(section.source.error(at, message).with_hint("write a path, such as `/api/*`"));
        }
        if list.iter().any(|known| known == pattern) {
            return Err(section
                .source
                .error(at, format!("the pattern is there twice: `{path}`: `{text}`"))
                .with_hint("remove one of them"));
        }
        list.push(pattern.to_owned());
    }
    if first.is_empty() {
        let message = format!("`{}` has no pattern for the Worker", section.path_of(KEY));
        return Err(section
            .source
            .error(place, message)
            .with_hint("add one that does not begin with `!`, such as `/api/*`, or remove the key"));
    }
    if first.len() + never.len() > MOST_PATTERNS {
        let message = format!("`{}` has more than {MOST_PATTERNS} patterns", section.path_of(KEY));
        return Err(section.source.error(place, message).with_hint("use fewer, with `*` for any text"));
    }
    Ok(RunWorkerFirst::Matching(first, never))
}
