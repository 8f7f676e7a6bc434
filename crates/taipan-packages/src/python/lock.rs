//! The lock file `pylock.toml`, whose format is a standard of the Python community.
//!
//! A table of our own in it, `[tool.taipan]`, says which requirements it was made from: while they are the project's, nothing has to
//! be resolved. A lock file of another tool has no such table, and is honoured as long as it has the packages that are asked for.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use fs_err as fs;
use serde::{Deserialize, Serialize};
use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, Value};
use url::Url;

use super::manifest::replace;
use super::tags::{canonical, rank};
use super::{Manifest, PackageError, Target, marker};

/// The name of the file.
pub(super) const NAME: &str = "pylock.toml";

/// What is locked.
#[derive(Debug)]
pub struct Lock {
    text: String,
    packages: Vec<LockedPackage>,
    made_from: Option<MadeFrom>,
    platform: String,
}

/// A package at a version, and the wheel to use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockedPackage {
    /// Its canonical name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The canonical names of the locked packages that it needs.
    pub dependencies: Vec<String>,
    pub(super) wheel: Wheel,
    /// Whether `wheel` is the source instead, of which a wheel is built.
    pub(super) is_source: bool,
}

impl LockedPackage {
    /// Size of the wheel as it is published, in bytes, when the index says it.
    pub fn wheel_size(&self) -> Option<u64> {
        self.wheel.size
    }

    /// The name of its file, as it is published.
    pub fn file_name(&self) -> &str {
        self.wheel.file_name()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Wheel {
    pub(super) name: Option<String>,
    pub(super) url: Option<String>,
    pub(super) path: Option<String>,
    pub(super) size: Option<u64>,
    hashes: Hashes,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
struct Hashes {
    sha256: Option<String>,
}

impl Wheel {
    fn file_name(&self) -> &str {
        let place = self.name.as_deref().or(self.path.as_deref()).or(self.url.as_deref()).unwrap_or_default();
        let place = place.split(['?', '#']).next().unwrap_or_default();
        place.rsplit(['/', '\\']).next().unwrap_or_default()
    }

    /// Where it is on this machine, if it is; `folder` is that of the lock file.
    pub(super) fn local(&self, folder: &Path) -> Option<PathBuf> {
        let url = || Url::parse(self.url.as_deref()?).ok()?.to_file_path().ok();
        self.path.as_ref().map(|path| folder.join(path)).or_else(url)
    }

    /// As an entry of a lock file that lies elsewhere than in `folder`.
    fn located(&self, folder: &Path) -> InlineTable {
        let path = self.path.as_ref().map(|path| {
            let path = folder.join(path);
            std::path::absolute(&path).unwrap_or(path).to_string_lossy().into_owned()
        });
        Self { path, ..self.clone() }.entry()
    }

    /// As an entry of a lock file in `folder`. A path of this machine would be of no use on others.
    fn portable(&self, folder: &Path) -> InlineTable {
        let local = self.url.as_deref().and_then(|url| url.strip_prefix("file://"));
        let relative = local.and_then(|path| Path::new(path).strip_prefix(folder).ok()?.to_str());
        match relative {
            Some(path) => Self { url: None, path: Some(path.to_owned()), ..self.clone() }.entry(),
            None => self.entry(),
        }
    }

    fn entry(&self) -> InlineTable {
        let mut entry = InlineTable::new();
        entry.insert("name", self.file_name().into());
        match (&self.path, &self.url) {
            (Some(path), _) => drop(entry.insert("path", path.as_str().into())),
            (None, Some(url)) => drop(entry.insert("url", url.as_str().into())),
            (None, None) => {}
        }
        if let Some(size) = self.size.and_then(|size| i64::try_from(size).ok()) {
            entry.insert("size", size.into());
        }
        let sha256 = self.sha256().unwrap_or_default();
        let hashes = InlineTable::from_iter([("sha256", sha256)]);
        entry.insert("hashes", Value::InlineTable(hashes));
        entry
    }

    /// The digest, which is to be in lower-case hexadecimal because it names a folder.
    pub(super) fn sha256(&self) -> Option<&str> {
        let is_digest = |text: &&String| {
            text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        };
        self.hashes.sha256.as_ref().filter(is_digest).map(String::as_str)
    }
}

#[derive(Debug, PartialEq, Eq, Deserialize, Serialize)]
struct MadeFrom {
    python: String,
    platform: String,
    requirements: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Document {
    lock_version: String,
    #[serde(default)]
    packages: Vec<Package>,
    #[serde(default)]
    tool: Tool,
}

#[derive(Default, Deserialize)]
struct Tool {
    taipan: Option<MadeFrom>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: Option<String>,
    marker: Option<String>,
    #[serde(default)]
    dependencies: Vec<Named>,
    #[serde(default)]
    wheels: Vec<Wheel>,
    sdist: Option<Wheel>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

/// What of a resolution has no wheel for the target.
#[derive(Debug)]
pub(super) struct Unusable(pub(super) Vec<Misfit>);

/// A package without a wheel for the target.
#[derive(Clone, Debug)]
pub(super) struct Misfit {
    pub(super) name: String,
    pub(super) version: String,
    /// The wheels that it has.
    pub(super) wheels: Vec<String>,
    /// Its source, of which a wheel may be built.
    pub(super) source: Option<LockedPackage>,
}

impl Unusable {
    /// Names with versions.
    pub(super) fn list(&self) -> Vec<String> {
        self.0.iter().map(|misfit| format!("{} {}", misfit.name, misfit.version)).collect()
    }
}

impl Lock {
    /// Whether a folder has a lock file.
    pub fn is_in(folder: &Path) -> bool {
        folder.join(NAME).exists()
    }

    /// The lock file of the project in `folder`, if there is one.
    ///
    /// # Errors
    /// When it cannot be read, or names wheels that the target cannot use.
    pub fn read(folder: &Path, target: &Target) -> Result<Option<Self>, PackageError> {
        let path = folder.join(NAME);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(PackageError::Io { path, source }),
        };
        let (lock, unusable) =
            Self::parse_whole(text, target).map_err(|reason| PackageError::Lock { path, reason })?;
        if unusable.0.is_empty() { Ok(Some(lock)) } else { Err(target.no_build(unusable.list(), vec![])) }
    }

    /// Reads a lock file's text, for each package the wheel that fits best, or else its source.
    fn parse_whole(text: String, target: &Target) -> Result<(Self, Unusable), String> {
        let (mut lock, unusable) = Self::parse(text, target)?;
        let mut left = vec![];
        for misfit in unusable.0 {
            match misfit.source {
                Some(source) => lock.packages.push(source),
                None => left.push(misfit),
            }
        }
        lock.packages.sort_by(|a, b| a.name.cmp(&b.name));
        Ok((lock, Unusable(left)))
    }

    /// Reads a lock file's text, for each package the wheel that fits best.
    pub(super) fn parse(text: String, target: &Target) -> Result<(Self, Unusable), String> {
        let document: Document = toml_edit::de::from_str(&text).map_err(|e| e.message().to_owned())?;
        if !document.lock_version.starts_with("1.") {
            return Err(format!("its version is not supported: {}", document.lock_version));
        }
        let mut packages = vec![];
        let mut unusable = vec![];
        for package in document.packages {
            // What is needed on other platforms only.
            if package.marker.as_ref().is_some_and(|marker| !marker::applies(marker, target)) {
                continue;
            }
            let version = package.version.unwrap_or_default();
            let ranked = package.wheels.iter().filter_map(|wheel| {
                Some((rank(wheel.file_name(), target.python_minor(), &target.platform)?, wheel))
            });
            let fitting = ranked.min_by_key(|(rank, _)| *rank).map(|(_, wheel)| wheel.clone());
            let locked = |wheel: Wheel, is_source| LockedPackage {
                name: canonical(&package.name),
                version: version.clone(),
                dependencies: package.dependencies.iter().map(|d| canonical(&d.name)).collect(),
                wheel,
                is_source,
            };
            if let Some(file) = fitting.iter().chain(&package.sdist).find(|file| file.sha256().is_none()) {
                return Err(format!("a file has no SHA-256 digest: {}", file.file_name()));
            }
            match fitting {
                Some(wheel) => packages.push(locked(wheel, false)),
                None => unusable.push(Misfit {
                    source: package.sdist.clone().map(|source| locked(source, true)),
                    wheels: package.wheels.iter().map(|wheel| wheel.file_name().to_owned()).collect(),
                    name: package.name,
                    version,
                }),
            }
        }
        let platform = target.platform.clone();
        Ok((Self { text, packages, made_from: document.tool.taipan, platform }, Unusable(unusable)))
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The tag of the platform that its wheels were chosen for.
    pub(super) fn platform(&self) -> &str {
        &self.platform
    }

    /// The packages, in the order of their names.
    pub fn packages(&self) -> &[LockedPackage] {
        &self.packages
    }

    /// The package of that name.
    pub fn package(&self, name: &str) -> Option<&LockedPackage> {
        let name = canonical(name);
        self.packages.iter().find(|package| package.name == name)
    }

    /// Whether it is what the requirements come to, as far as can be said without resolving them.
    pub fn is_current(&self, manifest: &Manifest, target: &Target) -> bool {
        match &self.made_from {
            Some(made_from) => {
                made_from.python == target.python_minor()
                    && made_from.platform == target.platform
                    && made_from.requirements == manifest.requirements()
            }
            None => manifest.names().all(|name| self.package(&name).is_some()),
        }
    }

    /// The same with what each package needs (`needs` gives pairs of a package and one that needs it), without wheels that are
    /// not used, with `sources` in place of wheels that were built of them, and with what it was made from.
    pub(super) fn completed(
        self,
        folder: &Path,
        needs: &[(String, String)],
        sources: &[LockedPackage],
        requirements: &[String],
        target: &Target,
    ) -> Result<Self, String> {
        let mut document: DocumentMut =
            self.text.parse().map_err(|e: toml_edit::TomlError| e.message().to_owned())?;
        document.insert("created-by", "taipan".into());
        let list = document.get_mut("packages").and_then(Item::as_array_of_tables_mut);
        for table in list.into_iter().flat_map(|list| list.iter_mut()) {
            let name = canonical(table.get("name").and_then(Item::as_str).unwrap_or_default());
            let Some(package) = self.packages.iter().find(|package| package.name == name) else { continue };
            let source = sources.iter().find(|s| s.name == name && s.version == package.version);
            complete(table, package, folder, needs, source);
        }
        record(&mut document, requirements, target);
        Ok(Self::parse_whole(document.to_string(), target)?.0)
    }

    /// The same, made from the requirements as they are written now.
    ///
    /// # Errors
    /// When it is no lock file after all.
    pub fn for_manifest(self, manifest: &Manifest, target: &Target) -> Result<Self, PackageError> {
        let broken = |reason| PackageError::Lock { path: NAME.into(), reason };
        let document = self.text.parse::<DocumentMut>();
        let mut document = document.map_err(|e| broken(e.message().to_owned()))?;
        record(&mut document, manifest.requirements(), target);
        Ok(Self::parse_whole(document.to_string(), target).map_err(broken)?.0)
    }

    /// Writes it to `folder`, unless it is there already.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, folder: &Path) -> Result<(), PackageError> {
        let path = folder.join(NAME);
        if fs::read_to_string(&path).is_ok_and(|text| text == self.text) {
            return Ok(());
        }
        replace(&path, self.text.as_bytes())
    }

    /// A lock file of some of its packages, for uv, which runs in another folder than that of the project.
    pub(super) fn excerpt(packages: &[&LockedPackage], folder: &Path) -> String {
        let mut document = DocumentMut::new();
        document.insert("lock-version", "1.0".into());
        document.insert("created-by", "taipan".into());
        let mut list = toml_edit::ArrayOfTables::new();
        for package in packages {
            let mut table = Table::new();
            table.insert("name", package.name.as_str().into());
            table.insert("version", package.version.as_str().into());
            let file = Value::InlineTable(package.wheel.located(folder));
            if package.is_source {
                table.insert("sdist", file.into());
            } else {
                table.insert("wheels", Array::from_iter([file]).into());
            }
            list.push(table);
        }
        document.insert("packages", Item::ArrayOfTables(list));
        document.to_string()
    }
}

/// Writes down what a lock file was made from.
fn record(document: &mut DocumentMut, requirements: &[String], target: &Target) {
    let mut own = Table::new();
    own.insert("python", target.python_minor().into());
    own.insert("platform", target.platform.as_str().into());
    own.insert("requirements", requirements.iter().map(String::as_str).collect::<Array>().into());
    let mut tool = Table::new();
    tool.set_implicit(true);
    tool.insert("taipan", Item::Table(own));
    document.insert("tool", Item::Table(tool));
}

/// Brings a package's table into our form.
fn complete(
    table: &mut Table,
    package: &LockedPackage,
    folder: &Path,
    needs: &[(String, String)],
    source: Option<&LockedPackage>,
) {
    let mut dependencies: Vec<&str> =
        needs.iter().filter(|(_, by)| *by == package.name).map(|(name, _)| name.as_str()).collect();
    dependencies.sort_unstable();
    dependencies.dedup();
    let named = |name: &str| Value::InlineTable(InlineTable::from_iter([("name", name)]));
    if !dependencies.is_empty() {
        table.insert("dependencies", dependencies.into_iter().map(named).collect::<Array>().into());
    }
    table.remove("sdist");
    table.remove("wheels");
    let file = source.unwrap_or(package);
    let entry = Value::InlineTable(file.wheel.portable(folder));
    if file.is_source {
        table.insert("sdist", entry.into());
    } else {
        table.insert("wheels", Array::from_iter([entry]).into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target() -> Target {
        Target { python: "3.14.2".into(), platform: "pyemscripten_2026_0_wasm32".into() }
    }

    fn digest(letter: char) -> String {
        letter.to_string().repeat(64)
    }

    fn text() -> String {
        format!(
            "lock-version = \"1.0\"\ncreated-by = \"uv\"\nrequires-python = \">=3.14.2\"\n\n[[packages]]\nname = \"A_b\"\n\
             version = \"1\"\nsdist = {{ url = \"x://h/a-1.tar.gz\", hashes = {{ sha256 = \"{a}\" }} }}\nwheels = [\n    \
             {{ url = \"x://h/a_b-1-py3-none-any.whl#x\", hashes = {{ sha256 = \"{b}\" }} }},\n    \
             {{ url = \"file:///p/links/a_b-1-cp314-cp314-pyemscripten_2026_0_wasm32.whl\", size = 5, hashes = {{ sha256 = \"{c}\" }} }},\n]\n\n\
             [[packages]]\nname = \"c\"\nversion = \"2\"\nmarker = \"sys_platform == 'win32'\"\nwheels = \
             [{{ url = \"x://h/c-2-py3-none-win32.whl\", hashes = {{ sha256 = \"{a}\" }} }}]\n",
            a = digest('a'),
            b = digest('b'),
            c = digest('c'),
        )
    }

    #[test]
    fn the_best_wheel_is_kept_and_local_ones_are_relative() {
        let (lock, unusable) = Lock::parse(text(), &target()).unwrap();
        assert!(unusable.0.is_empty() && lock.packages().len() == 1);
        let needs = [("a-b".to_owned(), "z".to_owned()), ("z".to_owned(), "a-b".to_owned())];
        let lock = lock.completed(Path::new("/p"), &needs, &[], &["a-b".to_owned()], &target()).unwrap();
        let [package] = lock.packages() else { unreachable!() };
        assert_eq!(package.dependencies, ["z"]);
        assert_eq!(package.wheel.sha256(), Some(&*digest('c')));
        assert_eq!(
            package.wheel.path.as_deref(),
            Some("links/a_b-1-cp314-cp314-pyemscripten_2026_0_wasm32.whl")
        );
        assert!(!lock.text.contains("tar.gz") && !lock.text.contains("none-any"), "{}", lock.text);
        let excerpt = Lock::excerpt(&[package], Path::new("/p"));
        assert!(excerpt.contains("path = \"/p/links/a_b-1-cp314"), "{excerpt}");
        assert_eq!(
            Lock::parse(excerpt, &target()).unwrap().0.packages()[0].wheel.sha256(),
            Some(&*digest('c'))
        );
    }

    #[test]
    fn it_is_current_while_the_requirements_are_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let manifest = |text: &str| {
            fs::write(folder.path().join("requirements.txt"), text).unwrap();
            Manifest::read(folder.path()).unwrap().unwrap()
        };
        let (foreign, _) = Lock::parse(text(), &target()).unwrap();
        assert!(foreign.is_current(&manifest("a.b>=1\n"), &target()));
        assert!(!foreign.is_current(&manifest("a.b\nd\n"), &target()));
        let own = foreign.completed(Path::new("/p"), &[], &[], &["a-b".to_owned()], &target()).unwrap();
        assert!(own.is_current(&manifest("a-b\n"), &target()));
        assert!(!own.is_current(&manifest("a-b>=1\n"), &target()));
        own.write(folder.path()).unwrap();
        let read = Lock::read(folder.path(), &target()).unwrap().unwrap();
        assert_eq!(read.packages(), own.packages());
        let other = Target { python: "3.13.2".into(), ..target() };
        assert!(!own.is_current(&manifest("a-b\n"), &other));
        // The wheel for 3.14 is the only one left.
        let error = Lock::read(folder.path(), &other).unwrap_err().to_string();
        assert!(error.contains("no build for Python 3.13.2") && error.contains("A_b 1"), "{error}");
    }

    #[test]
    fn what_is_no_lock_file_is_said() {
        let wheel = |hashes: &str| {
            format!(
                "lock-version = '1.0'\n[[packages]]\nname = 'a'\n[[packages.wheels]]\nname = 'a-1-py3-none-any.whl'\nhashes = {hashes}\n"
            )
        };
        for (text, reason) in [
            ("lock-version = '2.0'".to_owned(), "version"),
            ("packages = 5".to_owned(), "expected a sequence"),
            ("packages = []".to_owned(), "lock-version"),
            (wheel("{}"), "no SHA-256"),
            (wheel("{ sha256 = '../../../../x' }"), "no SHA-256"),
        ] {
            let error = Lock::parse(text, &target()).map(|_| ()).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }
}
