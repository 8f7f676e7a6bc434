//! What a version of a Worker is: all that it runs with, and which files it has.
//!
//! It comes from a deployer and is read again from the disk for as long as the version is kept. Nothing in it is trusted until [`Manifest::check`]
//! has seen it. A field that this server does not know is an error: what it stands for would be ignored.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use taipan_config::{Assets, Bindings, Cron, Route, SecretsAtImport};
use taipan_packages::pyodide::{RELEASES, Release};

use super::refusal::Refusal;
use crate::PoolOptions;

/// The version of this format.
const FORMAT: u32 = 1;

/// No content is larger; what `dev` takes is not either.
pub(super) const LARGEST_CONTENT: u64 = 64 << 20;

/// The files of a version: at the most so many, and so many bytes together.
const MOST_FILES: usize = 50_000;
const LARGEST_SUM: u64 = 1 << 30;

/// The longest path, and the longest name in one, in bytes.
const LONGEST_PATH: usize = 1024;
const LONGEST_NAME: usize = 255;

/// The longest name of a Worker: it is a label of a host.
const LONGEST_WORKER: usize = 63;

/// A version of a Worker, as it is deployed.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The version of this format.
    pub format: u32,
    /// The Worker's name.
    pub name: String,
    /// The date and the flags of its configuration. They have selected the release, and do so no more.
    pub compatibility_date: String,
    #[expect(missing_docs, reason = "see the date")]
    pub compatibility_flags: Vec<String>,
    /// The release that it runs on.
    pub release: PinnedRelease,
    /// The path of the main module within `sources`.
    pub main: String,
    /// See [`crate::WorkerSpec::global_handlers`].
    pub global_handlers: bool,
    /// Variables.
    pub vars: Map<String, Value>,
    /// Which secrets module scope may read. No secret is in here.
    pub secrets_at_import: SecretsAtImport,
    /// What it reaches.
    pub bindings: Bindings,
    /// What is served beside it.
    pub assets: Option<ServedAssets>,
    /// When its handler `scheduled` is called.
    pub crons: Vec<String>,
    /// For which addresses it is called, beside those of its name.
    pub routes: Vec<String>,
    /// The memory of an isolate, in MiB.
    pub memory_mib: u64,
    /// CPU time of a turn and of a start, in milliseconds.
    pub cpu_ms: u64,
    #[expect(missing_docs, reason = "see that of a turn")]
    pub startup_cpu_ms: u64,
    /// The largest body of a request, in MiB.
    pub request_body_mib: Option<u64>,
    /// How many isolates there are: at least, at the most, and how long one above the least is kept without work, in seconds.
    pub isolates: (usize, usize, u64),
    /// The Worker's own files.
    pub sources: Vec<ContentFile>,
    /// The packages, with the files of each.
    pub packages: Vec<PackageFiles>,
}

/// A release of Pyodide, by what its files are.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PinnedRelease {
    /// Its version.
    pub version: String,
    /// The SHA-256 digest of its archive.
    pub sha256: String,
    /// Its files.
    pub files: Vec<ContentFile>,
}

/// A file, by its content.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ContentFile {
    /// Its path, with `/`.
    pub path: String,
    /// The SHA-256 digest of its content, in lower-case hexadecimal.
    pub sha256: String,
    /// Its size in bytes.
    pub size: u64,
}

/// A package.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PackageFiles {
    /// Its name.
    pub name: String,
    /// Its files, as they lie on the module search path.
    pub files: Vec<ContentFile>,
}

/// Assets.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ServedAssets {
    /// How they are served.
    pub config: Assets,
    /// The files, those that say something about others among them.
    pub files: Vec<ContentFile>,
}

impl PinnedRelease {
    /// A release of the table.
    pub fn of(release: &Release) -> Self {
        let file = |artifact: &taipan_packages::pyodide::Artifact| ContentFile {
            path: artifact.name.to_owned(),
            sha256: artifact.sha256.to_owned(),
            size: artifact.size,
        };
        Self {
            version: release.version.to_owned(),
            sha256: release.tarball.sha256.to_owned(),
            files: release.files.iter().map(file).collect(),
        }
    }

    /// The same release in the table of this server.
    pub(super) fn known(&self) -> Result<&'static Release, Refusal> {
        let known = RELEASES.iter().find(|release| release.version == self.version);
        match known {
            Some(release) if Self::of(release) == *self => Ok(release),
            Some(_) => Err(Refusal::wrong(format!(
                "this server has another Pyodide {}: its archive's digest is not {}",
                self.version, self.sha256
            ))),
            None => Err(Refusal::wrong(format!("this server does not have Pyodide {}", self.version))
                .with_hint("use the same version of taipan for both, or the newer one for the server")),
        }
    }
}

impl Manifest {
    /// The version of the format.
    pub const FORMAT: u32 = FORMAT;

    /// All files.
    pub fn files(&self) -> impl Iterator<Item = &ContentFile> {
        let assets = self.assets.iter().flat_map(|assets| &assets.files);
        let packages = self.packages.iter().flat_map(|package| &package.files);
        self.release.files.iter().chain(&self.sources).chain(assets).chain(packages)
    }

    /// How many isolates there are.
    pub(super) fn pool(&self) -> PoolOptions {
        let (min, max, seconds) = self.isolates;
        PoolOptions { min, max, idle: Duration::from_secs(seconds) }
    }

    /// The times at which it is called.
    pub(super) fn crons(&self) -> Result<Vec<Cron>, Refusal> {
        let wrong = |text: &str, reason| Refusal::wrong(format!("wrong time in `crons`: {text}: {reason}"));
        self.crons.iter().map(|text| Cron::parse(text).map_err(|reason| wrong(text, reason))).collect()
    }

    /// The addresses for which it is called.
    pub(super) fn routes(&self) -> Result<Vec<Route>, Refusal> {
        let wrong =
            |text: &str, reason| Refusal::wrong(format!("wrong pattern in `routes`: {text}: {reason}"));
        self.routes.iter().map(|text| Route::parse(text).map_err(|reason| wrong(text, reason))).collect()
    }

    /// Refuses what no deployer of ours says.
    pub(super) fn check(&self) -> Result<(), Refusal> {
        if self.format != FORMAT {
            return Err(Refusal::wrong(format!(
                "this server knows manifests of format {FORMAT}, not {}",
                self.format
            ))
            .with_hint("use the same version of taipan for both"));
        }
        check_name(&self.name)?;
        self.release.known()?;
        self.crons()?;
        self.routes()?;
        let is_in_range = (64..=4096).contains(&self.memory_mib)
            && (1..=u64::from(u32::MAX)).contains(&self.cpu_ms)
            && (1..=u64::from(u32::MAX)).contains(&self.startup_cpu_ms)
            && self.request_body_mib.is_none_or(|mib| (1..=1 << 20).contains(&mib))
            && self.isolates.0 <= self.isolates.1
            && (1..=100_000).contains(&self.isolates.1)
            && (1..=u64::from(u32::MAX)).contains(&self.isolates.2);
        if !is_in_range {
            return Err(Refusal::wrong("a limit of the Worker is out of range"));
        }
        self.check_files()
    }

    fn check_files(&self) -> Result<(), Refusal> {
        let (mut count, mut sum) = (0_usize, 0_u64);
        for file in self.files() {
            (count, sum) = (count + 1, sum.saturating_add(file.size));
            if !is_digest(&file.sha256) {
                return Err(Refusal::wrong(format!("not a SHA-256 digest: {:.80}", file.sha256)));
            }
            if file.size > LARGEST_CONTENT {
                return Err(Refusal::wrong(format!(
                    "the file is larger than {} MiB: {:.300}",
                    LARGEST_CONTENT >> 20,
                    file.path
                )));
            }
        }
        if count > MOST_FILES || sum > LARGEST_SUM {
            let (mib, most) = (sum >> 20, LARGEST_SUM >> 20);
            return Err(Refusal::wrong(format!(
                "the Worker is too large: {count} files, {mib} MiB; at most {MOST_FILES}, {most} MiB"
            )));
        }
        check_tree(&self.sources)?;
        check_tree(self.assets.iter().flat_map(|assets| &assets.files))?;
        check_tree(self.packages.iter().flat_map(|package| &package.files))?;
        if !self.sources.iter().any(|file| file.path == self.main) {
            return Err(Refusal::wrong(format!("the main module is none of the files: {:.300}", self.main)));
        }
        if let Some(package) = self.packages.iter().find(|package| package.name.len() > LONGEST_NAME) {
            return Err(Refusal::wrong(format!("the package's name is too long: {:.80}", package.name)));
        }
        Ok(())
    }
}

/// Refuses paths that lead out of a folder, that are there twice, or that are a folder of others.
fn check_tree<'a>(files: impl IntoIterator<Item = &'a ContentFile>) -> Result<(), Refusal> {
    let mut paths = BTreeSet::new();
    for ContentFile { path, .. } in files {
        if !is_plain_path(path) {
            return Err(Refusal::wrong(format!("the path cannot be part of a Worker: {path:.300?}")));
        }
        if !paths.insert(path.as_str()) {
            return Err(Refusal::wrong(format!("the file is there twice: {path:.300}")));
        }
    }
    let mut folders = HashSet::new();
    for path in &paths {
        folders.extend(path.match_indices('/').filter_map(|(at, _)| path.get(..at)));
    }
    match paths.iter().find(|path| folders.contains(*path)) {
        Some(both) => Err(Refusal::wrong(format!("it is a file and a folder: {both:.300}"))),
        None => Ok(()),
    }
}

/// Whether a path is relative, stays below where it begins, and can be written on any machine.
pub fn is_plain_path(path: &str) -> bool {
    let is_plain = |part: &str| {
        let is_name = !part.is_empty() && part != "." && part != ".." && part.len() <= LONGEST_NAME;
        is_name && !part.chars().any(|c| c.is_control() || c == '\\')
    };
    path.len() <= LONGEST_PATH && path.split('/').all(is_plain)
}

pub(super) fn check_name(name: &str) -> Result<(), Refusal> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    if name.is_empty() || name.len() > LONGEST_WORKER || name.starts_with('-') || !name.chars().all(allowed) {
        return Err(Refusal::wrong(format!("not a name of a Worker: {name:.80?}"))
            .with_hint("use at most 63 lower-case letters, digits, `-` and `_`, and do not begin with `-`"));
    }
    Ok(())
}

pub(super) fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str) -> ContentFile {
        ContentFile { path: path.to_owned(), sha256: "0".repeat(64), size: 1 }
    }

    fn manifest() -> Manifest {
        Manifest {
            format: FORMAT,
            name: "shop".to_owned(),
            compatibility_date: "2026-11-01".to_owned(),
            compatibility_flags: vec![],
            release: PinnedRelease::of(&RELEASES[0]),
            main: "entry.py".to_owned(),
            global_handlers: false,
            vars: Map::new(),
            secrets_at_import: SecretsAtImport::None,
            bindings: Bindings::default(),
            assets: None,
            crons: vec!["* * * * *".to_owned()],
            routes: vec!["example.com/*".to_owned()],
            memory_mib: 128,
            cpu_ms: 30_000,
            startup_cpu_ms: 60_000,
            request_body_mib: None,
            isolates: (0, 64, 60),
            sources: vec![file("entry.py"), file("lib/a.py")],
            packages: vec![PackageFiles { name: "six".to_owned(), files: vec![file("six.py")] }],
        }
    }

    #[test]
    fn a_manifest_goes_there_and_back() {
        let manifest = manifest();
        manifest.check().unwrap();
        let text = serde_json::to_string(&manifest).unwrap();
        assert_eq!(serde_json::from_str::<Manifest>(&text).unwrap(), manifest);
        let unknown = text.replacen("\"format\"", "\"more\":1,\"format\"", 1);
        assert!(serde_json::from_str::<Manifest>(&unknown).is_err());
        let unknown = text.replacen("\"kv_namespaces\"", "\"kv_more\":[],\"kv_namespaces\"", 1);
        assert!(serde_json::from_str::<Manifest>(&unknown).is_err());
    }

    #[test]
    fn what_no_deployer_says_is_refused() {
        let refused = |change: &dyn Fn(&mut Manifest)| {
            let mut changed = manifest();
            change(&mut changed);
            changed.check().unwrap_err().error
        };
        for path in ["../x", "/x", "a/../x", "a//x", "./x", "a/", "", "a\\x", "a\0", "a\n", &"x/".repeat(600)]
        {
            let error = refused(&|m| m.sources.push(file(path)));
            assert!(error.contains("cannot be part"), "{path}: {error}");
            let assets = |m: &mut Manifest| {
                let config = Assets {
                    directory: "".into(),
                    binding: None,
                    html_handling: Default::default(),
                    not_found_handling: Default::default(),
                    run_worker_first: Default::default(),
                    navigation_prefers_assets: false,
                };
                m.assets = Some(ServedAssets { config, files: vec![file(path)] });
            };
            assert!(refused(&assets).contains("cannot be part"), "{path}");
            assert!(refused(&|m| m.packages[0].files.push(file(path))).contains("cannot be part"), "{path}");
        }
        for name in ["", "../x", "A", "-a", "a.b", &"a".repeat(64)] {
            assert!(refused(&|m| m.name = name.to_owned()).contains("not a name"), "{name}");
        }
        assert!(refused(&|m| m.sources.push(file("lib"))).contains("a file and a folder"));
        assert!(refused(&|m| m.sources.push(file("entry.py"))).contains("twice"));
        assert!(refused(&|m| m.sources[0].sha256 = "A".repeat(64)).contains("not a SHA-256"));
        assert!(refused(&|m| m.sources[0].size = LARGEST_CONTENT + 1).contains("larger than 64 MiB"));
        assert!(refused(&|m| m.main = "other.py".to_owned()).contains("main module"));
        assert!(refused(&|m| m.release.version = "1.0.0".to_owned()).contains("does not have"));
        assert!(refused(&|m| m.release.sha256 = "0".repeat(64)).contains("another Pyodide"));
        assert!(refused(&|m| m.release.files[0].sha256 = "0".repeat(64)).contains("another Pyodide"));
        assert!(refused(&|m| m.memory_mib = 1 << 40).contains("out of range"));
        assert!(refused(&|m| m.crons.push("x".to_owned())).contains("wrong time"));
        assert!(refused(&|m| m.routes.push("".to_owned())).contains("wrong pattern"));
        let many = |m: &mut Manifest| m.sources.extend((0..MOST_FILES).map(|n| file(&format!("{n}"))));
        assert!(refused(&many).contains("too large"));
    }
}
