//! A Worker's whole configuration.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use crate::assets::Assets;
use crate::bindings::Bindings;
use crate::compat::{self, CompatibilityDate, PyodideRelease};
use crate::cron::Cron;
use crate::declared::{self, Declared};
use crate::decode::Section;
use crate::dev_vars;
use crate::error::ConfigError;
use crate::files::Files;
use crate::keys::{KEYS, Scope, TRIGGERS_KEYS, Use};
use crate::nearest::nearest;
use crate::routes::{self, Route};
use crate::secret::Secret;
use crate::sections::{Dev, Limits, Rule};
use crate::source::Source;
use crate::taipan::Taipan;
use crate::tree;

/// The names that a configuration can have, in the order in which wrangler looks for them.
pub const CONFIG_NAMES: [&str; 3] = ["wrangler.json", "wrangler.jsonc", "wrangler.toml"];

/// What a Worker's configuration says. All of it has been checked.
#[derive(Debug, Clone)]
pub struct WorkerConfig {
    /// The configuration file.
    pub path: PathBuf,
    /// Its folder: the Worker's.
    pub root: PathBuf,
    /// The Worker's name; `worker` when it has none.
    pub name: String,
    /// The main module, relative to `root`, ending in `.py`. The file was there, unless there is none.
    pub main: PathBuf,
    /// Whether there is a main module; without one there are assets.
    pub has_code: bool,
    /// The folder of the main module, from which the Worker's other modules are imported.
    pub main_dir: PathBuf,
    /// The date whose behaviour the Worker was written for.
    pub compatibility_date: CompatibilityDate,
    /// The listed compatibility flags. Each is known, and none contradicts another.
    pub flags: Vec<String>,
    /// The release of Pyodide that date and flags select.
    pub release: &'static PyodideRelease,
    /// Whether handlers may be global functions such as `on_fetch`.
    pub global_handlers: bool,
    /// Variables.
    pub vars: BTreeMap<String, serde_json::Value>,
    /// Secrets, from `.dev.vars` or `.env`. They win over `vars`.
    pub secrets: BTreeMap<String, Secret>,
    /// What it reaches beside variables and secrets.
    pub bindings: Bindings,
    /// Files that are served beside it.
    pub assets: Option<Assets>,
    /// When its handler `scheduled` is called.
    pub crons: Vec<Cron>,
    /// The addresses that it is called for when it is deployed, beside those of its name.
    pub routes: Vec<Route>,
    /// The names of bindings in `env`.
    pub declared: Vec<Declared>,
    /// What one request may use.
    pub limits: Limits,
    /// Which files are modules of which type.
    pub rules: Vec<Rule>,
    /// Which files go with the Worker.
    pub files: Files,
    /// Where the development server listens.
    pub dev: Dev,
    /// What wrangler has no keys for.
    pub taipan: Taipan,
    /// Keys, with their whole path, that the Worker may depend on and that are not used yet.
    pub unused_keys: Vec<String>,
    /// What is allowed and probably not meant; each is one line.
    pub warnings: Vec<String>,
}

impl WorkerConfig {
    /// Reads the configuration in a folder, or a configuration file, as it is for the environment `env`.
    ///
    /// # Errors
    /// When there is no configuration, or anything in it cannot be used.
    pub fn load(dir_or_file: &Path, env: Option<&str>) -> Result<Self, ConfigError> {
        Self::load_with(dir_or_file, env, &[])
    }

    /// The same with secrets from these files, if there are some, instead of from `.dev.vars` or `.env`.
    ///
    /// # Errors
    /// As for [`Self::load`].
    pub fn load_with(
        dir_or_file: &Path,
        env: Option<&str>,
        env_files: &[PathBuf],
    ) -> Result<Self, ConfigError> {
        let mut warnings = Vec::new();
        let source = find(dir_or_file, &mut warnings)?;
        let is_toml = source.file.extension().is_some_and(|extension| extension == "toml");
        let tree = if is_toml { tree::parse_toml(&source)? } else { tree::parse_jsonc(&source)? };
        let top = Section::root(&source, &tree)?;
        let layers = Layers::new(&top, env)?;
        let root = match source.file.parent() {
            Some(folder) if folder != Path::new("") => folder.to_owned(),
            _ => PathBuf::from("."),
        };

        let main = main_module(&layers, &root)?;
        let has_code = main.is_some();
        // No file has to be there.
        let main = main.unwrap_or_else(|| PathBuf::from(ASSETS_ONLY));
        let (compatibility_date, flags, compatibility) = compatibility(&layers, &mut warnings)?;
        let vars = vars(&layers, &mut warnings)?;
        let assets_section = layers.get("assets").child("assets")?;
        let bindings = bindings(&layers, &vars, assets_section.as_ref(), &mut warnings)?;
        let prefers = compatibility.navigation_prefers_assets;
        let assets =
            assets_section.map(|section| Assets::read(&section, &root, prefers, has_code)).transpose()?;
        let limits = layers.get("limits").child("limits")?.map(|section| Limits::read(&section));
        let dev = top.child("dev")?.map(|section| Dev::read(&section));
        let rules =
            layers.get("rules").children("rules")?.iter().map(Rule::read).collect::<Result<Vec<_>, _>>()?;
        let mut files = Files::read(|key| layers.get(key).clone(), &root, &main, &rules, &mut warnings)?;
        files.leave_out(assets.iter().map(|assets| assets.directory.as_path()));
        let dev_vars = dev_vars::load(&root, env, env_files)?;
        let taipan = layers.get("taipan").child("taipan")?;
        let taipan = taipan.map(|section| Taipan::read(&section, &dev_vars.secrets, &mut warnings));
        warnings.extend(dev_vars.warnings);

        Ok(Self {
            name: layers.name()?,
            main_dir: root.join(&main).parent().unwrap_or(&root).to_owned(),
            main,
            has_code,
            compatibility_date,
            flags,
            release: compatibility.release,
            global_handlers: compatibility.global_handlers,
            vars,
            bindings,
            assets,
            crons: crons(&layers)?,
            routes: routes::read(|key| layers.get(key).clone())?,
            secrets: dev_vars.secrets,
            declared: declared::read(|key| layers.deciding(key).clone()),
            limits: limits.transpose()?.unwrap_or_default(),
            rules,
            files,
            dev: dev.transpose()?.unwrap_or_default(),
            taipan: taipan.transpose()?.unwrap_or_default(),
            unused_keys: layers.unused_keys(),
            warnings,
            root,
            path: source.file.clone(),
        })
    }
}

/// The main module of a Worker that has none. Whoever runs it has the text.
pub const ASSETS_ONLY: &str = "assets_only.py";

/// Finds and reads the configuration file.
fn find(dir_or_file: &Path, warnings: &mut Vec<String>) -> Result<Source, ConfigError> {
    if dir_or_file.is_file() {
        let known =
            dir_or_file.extension().is_some_and(|ext| ext == "json" || ext == "jsonc" || ext == "toml");
        return match known {
            true => Source::read(dir_or_file)?.ok_or_else(|| absent(dir_or_file)),
            false => {
                Err(ConfigError::new(dir_or_file, "this is not a configuration file").with_hint(format!(
                    "name the Worker's folder or its {}, {} or {}",
                    CONFIG_NAMES[0], CONFIG_NAMES[1], CONFIG_NAMES[2]
                )))
            }
        };
    }
    if !dir_or_file.is_dir() {
        return Err(absent(dir_or_file));
    }
    let mut found = None;
    for name in CONFIG_NAMES {
        let file = dir_or_file.join(name);
        match &found {
            None => found = Source::read(&file)?,
            Some(Source { file: used, .. }) if file.is_file() => {
                warnings.push(format!(
                    "{}: not read, because {} comes first",
                    file.display(),
                    used.display()
                ));
            }
            Some(_) => {}
        }
    }
    found.ok_or_else(|| {
        ConfigError::new(dir_or_file, "there is no wrangler.jsonc, wrangler.json or wrangler.toml in this folder")
            .with_hint("name a Worker's folder, or write a wrangler.jsonc with at least `{ \"main\": \"src/entry.py\" }`")
    })
}

fn absent(path: &Path) -> ConfigError {
    ConfigError::new(path, "there is no such file or folder").with_hint("name a Worker's folder")
}

/// The top level and the environment over it.
struct Layers<'a> {
    top: &'a Section<'a>,
    env: Option<(&'a str, Section<'a>)>,
}

impl<'a> Layers<'a> {
    /// Checks the keys of all environments, so that a misspelt one is found before its environment is used.
    fn new(top: &'a Section<'a>, env: Option<&'a str>) -> Result<Self, ConfigError> {
        let everywhere: Vec<&str> = KEYS.iter().map(|(key, ..)| *key).collect();
        let in_environments: Vec<&str> =
            KEYS.iter().filter(|(_, scope, _)| *scope != Scope::TopLevel).map(|(key, ..)| *key).collect();
        top.only(&everywhere)?;
        let environments = top.child("env")?;
        let names: Vec<&str> =
            environments.iter().flat_map(Section::entries).map(|entry| entry.key.as_str()).collect();
        for section in environments.iter() {
            for name in &names {
                if let Some(environment) = section.child(name)? {
                    no_top_level_key(&environment)?;
                    environment.only(&in_environments)?;
                }
            }
        }
        let Some(env) = env else { return Ok(Self { top, env: None }) };
        match environments.and_then(|section| section.child(env).transpose()).transpose()? {
            Some(section) => Ok(Self { top, env: Some((env, section)) }),
            None => {
                let suggestion = nearest(env, names.iter().copied());
                let question = suggestion.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
                let hint = match names.as_slice() {
                    [] => format!("add `env.{env}` to the configuration, or name no environment"),
                    _ => format!("the configuration has these environments: {}", names.join(", ")),
                };
                let message = format!("unknown environment: `{env}`{question}");
                Err(ConfigError::new(&top.source.file, message).with_hint(hint))
            }
        }
    }

    /// The section that decides about an inherited key: the environment where it has the key, else the top level.
    fn get(&self, key: &str) -> &Section<'a> {
        match &self.env {
            Some((_, section)) if section.get(key).is_some() => section,
            _ => self.top,
        }
    }

    /// The section that decides about a key that is not inherited.
    fn own(&self) -> &Section<'a> {
        self.env.as_ref().map_or(self.top, |(_, section)| section)
    }

    /// Says that an environment goes without a key that the top level has.
    fn warn_not_taken_over(&self, key: &str, warnings: &mut Vec<String>) {
        if let (Some((env, own)), Some(entry)) = (&self.env, self.top.get(key))
            && own.get(key).is_none()
        {
            warnings.push(format!(
                "{}: `{key}` is not taken over by environments; write `env.{env}.{key}` too",
                self.top.source.link(entry.at)
            ));
        }
    }

    /// The section that decides about a key of either kind.
    fn deciding(&self, key: &str) -> &Section<'a> {
        let is_own = KEYS.iter().any(|(known, scope, _)| *known == key && *scope == Scope::PerEnvironment);
        if is_own { self.own() } else { self.get(key) }
    }

    fn name(&self) -> Result<String, ConfigError> {
        let section = self.get("name");
        let Some((name, at)) = section.string("name")? else { return Ok("worker".to_owned()) };
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
        if name.is_empty() || name.starts_with('-') || !name.chars().all(allowed) {
            return Err(section
                .source
                .error(at, format!("wrong value of `{}`: `{name}`", section.path_of("name")))
                .with_hint("use lower-case letters, digits, `-` and `_`, and do not begin with `-`"));
        }
        match &self.env {
            // As wrangler names the Worker of an environment that has no name of its own.
            Some((env, own)) if own.get("name").is_none() => Ok(format!("{name}-{env}")),
            _ => Ok(name.to_owned()),
        }
    }

    fn unused_keys(&self) -> Vec<String> {
        let entries = |section: &Section<'a>, counts: &dyn Fn(&str, Scope) -> bool| -> Vec<String> {
            let unused = |key: &str| {
                KEYS.iter().any(|(known, scope, usage)| {
                    *known == key && *usage == Use::NotYet && counts(key, *scope)
                })
            };
            let keys = section.entries().iter().map(|entry| entry.key.as_str()).filter(|key| unused(key));
            keys.map(|key| section.path_of(key)).collect()
        };
        match &self.env {
            None => entries(self.top, &|_, _| true),
            Some((_, own)) => {
                let taken_over = |key: &str, scope| scope != Scope::PerEnvironment && own.get(key).is_none();
                let mut keys = entries(self.top, &taken_over);
                keys.extend(entries(own, &|_, _| true));
                keys
            }
        }
    }
}

fn no_top_level_key(environment: &Section<'_>) -> Result<(), ConfigError> {
    let top_level =
        |key: &str| KEYS.iter().any(|(known, scope, _)| *known == key && *scope == Scope::TopLevel);
    let Some(entry) = environment.entries().iter().find(|entry| top_level(&entry.key)) else { return Ok(()) };
    let (key, path) = (&entry.key, environment.path_of(&entry.key));
    Err(environment
        .source
        .error(entry.at, format!("an environment cannot have this key: `{path}`"))
        .with_hint(format!("move `{key}` to the top level")))
}

/// None: a Worker that consists of assets.
fn main_module(layers: &Layers<'_>, root: &Path) -> Result<Option<PathBuf>, ConfigError> {
    let section = layers.get("main");
    let Some((text, at)) = section.string("main")? else {
        if layers.get("assets").get("assets").is_some() {
            return Ok(None);
        }
        return Err(ConfigError::new(&section.source.file, "missing key: `main`").with_hint(
            "name the Python file with the handlers in `main`, for example src/entry.py, or a folder of files in `assets.directory`",
        ));
    };
    let path = section.path_of("main");
    let wrong = |message: String, hint: &str| Err(section.source.error(at, message).with_hint(hint));
    let main: PathBuf =
        Path::new(text).components().filter(|part| !matches!(part, Component::CurDir)).collect();
    if main.is_absolute() {
        return wrong(
            format!("wrong value of `{path}`: `{text}` is an absolute path"),
            "write the path relative to the configuration file",
        );
    }
    if main.extension().is_none_or(|extension| extension != "py") {
        return wrong(
            format!("wrong value of `{path}`: `{text}` is not a Python file"),
            "name the Python file with the handlers; its name ends in `.py`",
        );
    }
    let file = root.join(&main);
    if !file.is_file() {
        return wrong(
            format!("the file that `{path}` names is not there: {}", file.display()),
            "create the file or correct the key",
        );
    }
    Ok(Some(main))
}

fn compatibility(
    layers: &Layers<'_>,
    warnings: &mut Vec<String>,
) -> Result<(CompatibilityDate, Vec<String>, compat::Compatibility), ConfigError> {
    let dated = layers.get("compatibility_date");
    let flagged = layers.get("compatibility_flags");
    let listed = flagged.strings("compatibility_flags")?.unwrap_or_default();
    let flags: Vec<String> = listed.iter().map(|(flag, _)| (*flag).to_owned()).collect();

    let written = dated.string("compatibility_date")?;
    let date = match written {
        Some((text, at)) => text.parse().map_err(|_| {
            let path = dated.path_of("compatibility_date");
            dated
                .source
                .error(at, format!("wrong value of `{path}`: expected a date, found `{text}`"))
                .with_hint("write a date of the calendar as YYYY-MM-DD, for example 2026-09-08")
        })?,
        None => {
            let (file, newest) = (dated.source.file.display(), compat::newest_date());
            warnings.push(format!(
                "{file}: missing key: `compatibility_date`; using {newest}, write it down so that updates do not change the Worker"
            ));
            newest
        }
    };
    let compatibility = compat::resolve(date, &flags).map_err(|error| {
        let place = listed.get(error.flag).map(|(_, at)| *at);
        flagged.source.error(place.unwrap_or_default(), error.message).with_hint(error.hint)
    })?;
    Ok((date, flags, compatibility))
}

fn vars(
    layers: &Layers<'_>,
    warnings: &mut Vec<String>,
) -> Result<BTreeMap<String, serde_json::Value>, ConfigError> {
    layers.warn_not_taken_over("vars", warnings);
    let section = layers.own().child("vars")?;
    let entries = section.iter().flat_map(Section::entries);
    Ok(entries.map(|entry| (entry.key.clone(), entry.node.to_json())).collect())
}

fn bindings(
    layers: &Layers<'_>,
    vars: &BTreeMap<String, serde_json::Value>,
    assets: Option<&Section<'_>>,
    warnings: &mut Vec<String>,
) -> Result<Bindings, ConfigError> {
    for key in Bindings::KEYS {
        layers.warn_not_taken_over(key, warnings);
    }
    Bindings::read(layers.own(), vars.keys(), assets, warnings)
}

fn crons(layers: &Layers<'_>) -> Result<Vec<Cron>, ConfigError> {
    let Some(section) = layers.get("triggers").child("triggers")? else { return Ok(Vec::new()) };
    section.only(TRIGGERS_KEYS)?;
    let cron = |(index, (text, at)): (usize, (&str, usize))| {
        Cron::parse(text).map_err(|reason| {
            let path = section.path_of("crons");
            let message = format!("wrong value of `{path}[{index}]`: `{text}`: {reason}");
            section
                .source
                .error(at, message)
                .with_hint("write minute, hour, day, month and weekday, for example `0 9 * * MON-FRI`")
        })
    };
    section.strings("crons")?.unwrap_or_default().into_iter().enumerate().map(cron).collect()
}
