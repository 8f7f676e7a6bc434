//! Which files go with a Worker: `rules`, `find_additional_modules`, `base_dir` and `python_modules`.
//!
//! Without `rules` everything beside the main module goes with it, so that a template or a table is there without a word. With them,
//! they decide, and after them those that wrangler has for every Worker.

use std::path::{Component, Path, PathBuf};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use crate::decode::Section;
use crate::error::ConfigError;
use crate::keys::PYTHON_MODULES_KEYS;
use crate::sections::{ModuleType, Rule};

/// What wrangler takes for modules when a configuration says nothing else of their type.
const DEFAULT_RULES: &[(ModuleType, &[&str])] = &[
    (ModuleType::Text, &["**/*.txt", "**/*.html", "**/*.sql"]),
    (ModuleType::Data, &["**/*.bin"]),
    (ModuleType::CompiledWasm, &["**/*.wasm"]),
    (ModuleType::EsModule, &["**/*.js", "**/*.mjs"]),
    (ModuleType::CommonJs, &["**/*.cjs"]),
    (ModuleType::PythonModule, &["**/*.py"]),
];

/// What of the packages beside a Worker is left out when the configuration does not say.
const DEFAULT_EXCLUDED: &[&str] = &["**/*.pyc"];

/// Which files go with a Worker.
#[derive(Debug, Clone)]
pub struct Files {
    /// The folder in which they are looked for, and from which their paths count.
    pub base: PathBuf,
    /// The main module, relative to `base`, with `/`.
    pub main: String,
    /// Whether there are others than the main module.
    finds_more: bool,
    /// What `rules` come to, if there are any.
    modules: Option<GlobSet>,
    excluded: GlobSet,
    excluded_globs: Vec<String>,
    /// Folders below the base whose files do not go with it, with `/` at the end.
    others: Vec<String>,
}

impl Files {
    /// Whether the file at the path, relative to the base and with `/`, goes with the Worker.
    pub fn takes(&self, path: &str) -> bool {
        if self.others.iter().any(|folder| path.starts_with(folder)) {
            return false;
        }
        path == self.main
            || self.finds_more && self.modules.as_ref().is_none_or(|modules| modules.is_match(path))
    }

    /// Whether there can be others than the main module.
    pub fn finds_more(&self) -> bool {
        self.finds_more
    }

    /// Whether a file of a package, at the path below the folder of packages, is left out.
    pub fn excludes(&self, path: &str) -> bool {
        self.excluded.is_match(path)
    }

    /// The patterns of what is left out.
    pub fn excluded(&self) -> &[String] {
        &self.excluded_globs
    }

    /// `inherited` gives the section that decides about a key.
    pub(crate) fn read<'a>(
        inherited: impl Fn(&str) -> Section<'a>,
        root: &Path,
        main: &Path,
        rules: &[Rule],
        warnings: &mut Vec<String>,
    ) -> Result<Self, ConfigError> {
        let (base, main) = based(&inherited("base_dir"), root, main)?;
        let section = inherited("rules");
        let sections = section.children("rules")?;
        let mut modules = GlobSetBuilder::new();
        let mut decided: Vec<ModuleType> = vec![];
        for (rule, section) in rules.iter().zip(&sections) {
            if decided.contains(&rule.module_type) {
                let at = section.entries().first().map_or(0, |entry| entry.at);
                warnings.push(format!(
                    "{}: without effect: an earlier rule of this type has no `fallthrough`",
                    section.source.link(at)
                ));
                continue;
            }
            add(&mut modules, section, "globs")?;
            if !rule.fallthrough {
                decided.push(rule.module_type);
            }
        }
        for (module_type, globs) in DEFAULT_RULES {
            if !decided.contains(module_type) {
                // They are well-formed.
                globs.iter().filter_map(|glob| pattern(glob).ok()).for_each(|glob| {
                    modules.add(glob);
                });
            }
        }
        let finds_more = inherited("find_additional_modules").boolean("find_additional_modules")?;
        let mut excluded = GlobSetBuilder::new();
        let mut excluded_globs: Vec<String> =
            DEFAULT_EXCLUDED.iter().map(|glob| (*glob).to_owned()).collect();
        let section = inherited("python_modules").child("python_modules")?;
        if let Some(section) = &section {
            section.only(PYTHON_MODULES_KEYS)?;
            if let Some(globs) = section.strings("exclude")? {
                add(&mut excluded, section, "exclude")?;
                excluded_globs = globs.iter().map(|(glob, _)| (*glob).to_owned()).collect();
            }
        }
        if section.is_none_or(|section| section.get("exclude").is_none()) {
            excluded_globs.iter().filter_map(|glob| pattern(glob).ok()).for_each(|glob| {
                excluded.add(glob);
            });
        }
        let large =
            |_| ConfigError::new(root, "the patterns are too large together").with_hint("write fewer");
        Ok(Self {
            base,
            main,
            finds_more: finds_more.unwrap_or(true),
            modules: if rules.is_empty() { None } else { Some(modules.build().map_err(large)?) },
            excluded: excluded.build().map_err(large)?,
            excluded_globs,
            others: Vec::new(),
        })
    }

    /// Leaves out what is in the folders: it is something else. A folder around the base is not meant.
    pub(crate) fn leave_out<'a>(&mut self, folders: impl Iterator<Item = &'a Path>) {
        let below = folders.filter_map(|folder| folder.strip_prefix(&self.base).ok());
        let texts = below.map(|folder| folder.to_string_lossy().replace('\\', "/"));
        self.others = texts.filter(|folder| !folder.is_empty()).map(|folder| format!("{folder}/")).collect();
    }
}

/// The base folder, and the main module relative to it.
fn based(section: &Section<'_>, root: &Path, main: &Path) -> Result<(PathBuf, String), ConfigError> {
    let text = |path: &Path| path.to_string_lossy().replace('\\', "/");
    let given = section.string("base_dir")?;
    let Some((given, at)) = given else {
        let name = main.file_name().map(Path::new).unwrap_or(main);
        return Ok((root.join(main).parent().unwrap_or(root).to_owned(), text(name)));
    };
    let base: PathBuf =
        Path::new(given).components().filter(|part| !matches!(part, Component::CurDir)).collect();
    match main.strip_prefix(&base) {
        Ok(below) => Ok((root.join(&base), text(below))),
        Err(_) => Err(section
            .source
            .error(
                at,
                format!(
                    "wrong value of `{}`: the main module is not in it: {given}",
                    section.path_of("base_dir")
                ),
            )
            .with_hint("name a folder around the main module, relative to the configuration file")),
    }
}

fn add(set: &mut GlobSetBuilder, section: &Section<'_>, key: &str) -> Result<(), ConfigError> {
    for (glob, at) in section.strings(key)?.unwrap_or_default() {
        let compiled = pattern(glob).map_err(|error| {
            let path = section.path_of(key);
            section
                .source
                .error(at, format!("wrong pattern in `{path}`: {glob}: {}", error.kind()))
                .with_hint("write a pattern such as **/*.csv, relative to the main module's folder")
        })?;
        set.add(compiled);
    }
    Ok(())
}

/// `*` stays within a folder, `**` does not, as in wrangler.
fn pattern(glob: &str) -> Result<globset::Glob, globset::Error> {
    GlobBuilder::new(glob).literal_separator(true).build()
}
