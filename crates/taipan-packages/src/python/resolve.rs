//! From requirements to a lock.

use std::path::{Path, PathBuf};

use fs_err as fs;

use super::lock::{self, Unusable};
use super::tags::canonical;
use super::{Lock, LockedPackage, Manifest, PackageError, Uv};

/// What packages are resolved for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The version of CPython, such as `3.14.2`.
    pub python: String,
    /// The platform's tag in wheels.
    pub platform: String,
}

impl Target {
    /// The version without its last part: `3.14`.
    pub fn python_minor(&self) -> &str {
        self.python.rsplit_once('.').map_or(&*self.python, |(minor, _)| minor)
    }

    pub(super) fn no_build(&self, packages: Vec<String>, index: Option<String>) -> PackageError {
        let (python, platform) = (self.python.clone(), self.platform.clone());
        PackageError::NoBuild { packages, python, platform, index }
    }
}

/// Where builds for our platform are that the usual indexes do not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Index {
    /// A folder of wheels.
    Folder(PathBuf),
    /// An index's address, which is asked only when the usual ones do not do.
    Url {
        /// The address.
        url: String,
    },
}

/// Resolves requirements with uv.
#[derive(Debug)]
pub struct Resolver<'a> {
    /// The program.
    pub uv: &'a Uv,
    /// A program that is the Python in the sandbox.
    pub interpreter: &'a Path,
    /// What the result is for.
    pub target: &'a Target,
    /// Where to look as well.
    pub index: &'a Index,
}

/// What requirements come to.
#[derive(Debug)]
pub struct Resolution {
    /// The versions.
    pub lock: Lock,
    /// Newer versions that are not used because they have no build.
    pub notes: Vec<String>,
}

impl Resolver<'_> {
    /// What the requirements come to. Versions stay as they are in `previous` where they can.
    ///
    /// That a version has no build for the target is an error if those that have one are of another series, because they may be many
    /// years older and are never what was meant: who wants them says so.
    ///
    /// # Errors
    /// When there is no solution.
    pub fn resolve(
        &self,
        folder: &Path,
        manifest: &Manifest,
        previous: Option<&Lock>,
    ) -> Result<Resolution, PackageError> {
        let folder = &std::path::absolute(folder).map_err(PackageError::io(folder))?;
        let question = Question { folder, input: manifest.requirements().join("\n") + "\n", previous };
        let mut indexes = self.usual();
        let mut outcome = self.attempt(&question, &indexes)?;
        if let (Err(_), Index::Url { url, .. }) = (&outcome, self.index) {
            indexes = ["--index", url, "--index-strategy", "unsafe-best-match"].map(str::to_owned).into();
            let second = self.attempt(&question, &indexes)?;
            // What the usual indexes lack, this one does not say better.
            outcome = second.or_else(|failure| outcome.map_err(|first| first.asked(url, &failure)));
        }
        let (lock, notes) = match outcome {
            Ok(found) => found,
            Err(failure) => return Err(self.explain(failure)),
        };
        let needs = self.needs(&question, &lock, &indexes)?;
        let path = folder.join(lock::NAME);
        let lock = lock
            .completed(folder, &needs, manifest.requirements(), self.target)
            .map_err(|reason| PackageError::Lock { path, reason })?;
        Ok(Resolution { lock, notes })
    }

    fn usual(&self) -> Vec<String> {
        match self.index {
            Index::Folder(folder) => vec!["--find-links".into(), folder.to_string_lossy().into_owned()],
            Index::Url { .. } => vec![],
        }
    }

    /// A lock and notes on it, or why there is none.
    fn attempt(
        &self,
        question: &Question<'_>,
        indexes: &[String],
    ) -> Result<Result<(Lock, Vec<String>), Failure>, PackageError> {
        let answer = self.compile(question, &[], indexes)?;
        // The same for all platforms at once, wheels for which may not be ours.
        let all = self.compile(question, &["--universal"], &self.usual())?;
        let all = all.ok().and_then(|text| Lock::parse(text, self.target).ok());
        let missing = all.as_ref().map_or(&[][..], |(_, Unusable(missing))| missing);
        let text = match answer {
            Ok(text) => text,
            Err(complaint) => return Ok(Err(Failure { complaint, missing: missing.to_vec(), index: None })),
        };
        let path = question.folder.join(lock::NAME);
        let broken = |reason| PackageError::Lock { path, reason };
        let (lock, Unusable(unusable)) = Lock::parse(text, self.target).map_err(broken)?;
        if !unusable.is_empty() {
            return Err(self.target.no_build(unusable, None));
        }
        let is_other_series = |(name, version): (&str, &str)| {
            lock.package(name).is_some_and(|known| series(&known.version) != series(version))
        };
        let split = |entry: &String| entry.split_once(' ').map(|(a, b)| (a.to_owned(), b.to_owned()));
        let newest: Vec<(String, String)> = missing.iter().filter_map(split).collect();
        let usable = all.as_ref().map_or(&[][..], |(lock, _)| lock.packages());
        let usable = usable.iter().map(|package| (&*package.name, &*package.version));
        let wanted = usable.chain(newest.iter().map(|(name, version)| (&**name, &**version)));
        if !missing.is_empty() && wanted.into_iter().any(is_other_series) {
            return Ok(Err(Failure { complaint: String::new(), missing: missing.to_vec(), index: None }));
        }
        let note = |(name, version): &(String, String)| {
            let used = &lock.package(name).filter(|known| known.version != *version)?.version;
            Some(format!("{name} {used} is used, because {version} has no build for this Python"))
        };
        let notes = newest.iter().filter_map(note).collect();
        Ok(Ok((lock, notes)))
    }

    /// The text of a lock file, or what uv has to say.
    fn compile(
        &self,
        question: &Question<'_>,
        more: &[&str],
        indexes: &[String],
    ) -> Result<Result<String, String>, PackageError> {
        // uv takes paths in the file as relative to it, and keeps to the versions that it finds in it.
        let file = Scratch::new(question.folder, ".toml");
        if let Some(previous) = question.previous {
            file.write(previous.text())?;
        }
        let mut arguments = self.arguments(more, indexes);
        arguments.extend(["--format=pylock.toml".into(), "--output-file".into(), file.text()]);
        Ok(match self.uv.run(question.folder, arguments, &question.input)? {
            Ok(_) => Ok(fs::read_to_string(&file.0).map_err(PackageError::io(&file.0))?),
            Err(complaint) => Err(complaint),
        })
    }

    fn arguments(&self, more: &[&str], indexes: &[String]) -> Vec<String> {
        let fixed = ["pip", "compile", "-", "--quiet", "--no-header", "--no-build", "--python"];
        let mut all: Vec<String> = fixed.iter().map(|a| (*a).to_owned()).collect();
        all.push(self.interpreter.to_string_lossy().into_owned());
        all.extend(more.iter().map(|a| (*a).to_owned()));
        all.extend(indexes.iter().cloned());
        all
    }

    fn explain(&self, failure: Failure) -> PackageError {
        if failure.missing.is_empty() {
            return PackageError::Unsatisfiable { reason: failure.complaint };
        }
        self.target.no_build(failure.missing, failure.index)
    }

    /// Which package of the lock is needed by which.
    fn needs(
        &self,
        question: &Question<'_>,
        lock: &Lock,
        indexes: &[String],
    ) -> Result<Vec<(String, String)>, PackageError> {
        let pins = Scratch::new(question.folder, ".txt");
        let pin = |package: &LockedPackage| format!("{}=={}\n", package.name, package.version);
        pins.write(&lock.packages().iter().map(pin).collect::<String>())?;
        let mut arguments = self.arguments(&["--annotation-style=line", "--constraint"], &[]);
        arguments.push(pins.text());
        arguments.extend(indexes.iter().cloned());
        let answer = self.uv.run(question.folder, arguments, &question.input)?;
        // Only `tree` and `why` need it.
        Ok(answer.map_or_else(|_| vec![], |text| annotated(&text)))
    }
}

/// What is to be resolved.
struct Question<'a> {
    folder: &'a Path,
    input: String,
    previous: Option<&'a Lock>,
}

/// Why there is no lock.
struct Failure {
    /// uv's own words; empty when it is what it found that will not do.
    complaint: String,
    /// Packages at the versions that would be used if they had a build.
    missing: Vec<String>,
    /// What came of asking the other index.
    index: Option<String>,
}

impl Failure {
    /// After another index was asked as well.
    fn asked(mut self, url: &str, second: &Self) -> Self {
        let is_unreachable = second.complaint.contains(url.trim_end_matches('/'));
        self.index =
            Some(if is_unreachable { format!("{url} cannot be reached") } else { format!("{url} has none") });
        self
    }
}

/// What of a version stays the same while nothing is to break.
fn series(version: &str) -> &str {
    let end = if version.starts_with("0.") {
        version.match_indices('.').nth(1).map(|(at, _)| at)
    } else {
        version.find('.')
    };
    end.and_then(|end| version.get(..end)).unwrap_or(version)
}

/// A file for uv beside the project's, for as long as it is needed.
struct Scratch(PathBuf);

impl Scratch {
    fn new(folder: &Path, extension: &str) -> Self {
        Self(folder.join(format!("pylock.taipan-{}{extension}", std::process::id())))
    }

    fn write(&self, text: &str) -> Result<(), PackageError> {
        fs::write(&self.0, text).map_err(PackageError::io(&self.0))
    }

    fn text(&self) -> String {
        self.0.to_string_lossy().into_owned()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // There may be none.
        drop(fs::remove_file(&self.0));
    }
}

/// Pairs of a package and one that needs it, from lines such as `idna==3.20  # via anyio, httpx`.
fn annotated(text: &str) -> Vec<(String, String)> {
    let mut pairs = vec![];
    for line in text.lines() {
        let Some((package, via)) = line.split_once("# via ") else { continue };
        let name = package.split(['=', '[', ' ']).next().unwrap_or_default();
        for by in via.split(',').map(str::trim) {
            // The rest are files.
            if !by.starts_with("-") && !by.contains(['/', ' ', '(']) {
                pairs.push((canonical(name), canonical(by)));
            }
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn annotations_say_who_needs_what() {
        let text =
            "anyio==4.16.0  # via -c a.txt, httpx, Starlette\nhttpx[http2]==0.28.1  # via -r -\nx==1\n";
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(annotated(text), [pair("anyio", "httpx"), pair("anyio", "starlette")]);
    }

    #[test]
    fn series_of_versions() {
        for (version, expected) in
            [("1.10.27", "1"), ("2", "2"), ("0.4.1", "0.4"), ("0.4", "0.4"), ("2026.1", "2026")]
        {
            assert_eq!(series(version), expected);
        }
    }
}
