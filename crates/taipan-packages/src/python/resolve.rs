//! From requirements to a lock.

use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use fs_err as fs;

use super::lock::{self, Misfit, Unusable};
use super::tags::{canonical, rank};
use super::uv::Answer;
use super::{Lock, LockedPackage, Manifest, PackageError, Store, Uv, requirement_name, sizes, stand_in};

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

    pub(super) fn no_build(&self, packages: Vec<String>, notes: Vec<String>) -> PackageError {
        let (python, platform) = (self.python.clone(), self.platform.clone());
        PackageError::NoBuild { packages, python, platform, notes }
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
    /// Where wheels are kept that had to be built to learn what they need.
    pub store: &'a Store,
    /// What the same packages could be resolved for instead.
    pub others: &'a [Target],
}

/// What requirements come to.
#[derive(Debug)]
pub struct Resolution {
    /// The versions.
    pub lock: Lock,
    /// Newer versions that are not used because they have no build, and packages that were built.
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
        if let Index::Folder(wheels) = self.index {
            sizes::check_folder(wheels)?;
        }
        let mut indexes = self.usual();
        let mut outcome = self.attempt(&question, &indexes)?;
        if let (Err(_), Index::Url { url, .. }) = (&outcome, self.index) {
            indexes = ["--index", url, "--index-strategy", "unsafe-best-match"].map(str::to_owned).into();
            // All else has just been asked, and this one may be out of reach.
            let uv = &self.uv.impatient();
            let second = Resolver { uv, ..*self }.attempt(&question, &indexes)?;
            // What the usual indexes lack, this one does not say better.
            outcome = second.or_else(|failure| outcome.map_err(|first| first.asked(url, &failure)));
        }
        if outcome.is_err() {
            let links = Links::new(self.store)?;
            let built = self.build(&question, &links)?;
            if !built.sources.is_empty() {
                indexes = self.usual();
                indexes.extend(["--find-links".into(), links.0.to_string_lossy().into_owned()]);
                let third = self.attempt(&question, &indexes)?;
                // What was built is not what is missing.
                let is_built = |misfit: &Misfit| built.has(&misfit.name);
                outcome = third.or_else(|failure| {
                    outcome.map_err(|first| if first.missing.iter().all(is_built) { failure } else { first })
                });
            }
            // While the stand-ins are there.
            return self.finish(&question, manifest, outcome, &indexes, &built);
        }
        self.finish(&question, manifest, outcome, &indexes, &Built::default())
    }

    fn finish(
        &self,
        question: &Question<'_>,
        manifest: &Manifest,
        outcome: Result<(Lock, Vec<String>), Failure>,
        indexes: &[String],
        built: &Built,
    ) -> Result<Resolution, PackageError> {
        let folder = question.folder;
        let (lock, mut notes) = match outcome {
            Ok(found) => found,
            Err(failure) => return Err(self.explain(question, failure, built)),
        };
        let needs = self.needs(question, &lock, indexes)?;
        let path = folder.join(lock::NAME);
        let lock = lock
            .completed(folder, &needs, &built.sources, manifest.requirements(), self.target)
            .map_err(|reason| PackageError::Lock { path, reason })?;
        let is_new = |package: &&LockedPackage| !question.has(&package.name, &package.version);
        let sources = lock.packages().iter().filter(|package| package.is_source).filter(is_new);
        notes.extend(sources.map(|package| {
            format!("{} {} is built of its source, without native code", package.name, package.version)
        }));
        Ok(Resolution { lock, notes })
    }

    /// Builds wheels of what the requirements come to and has none that fits, and writes stand-ins for them into `links`. Not
    /// everything that has a source can be built, and not everything is needed.
    fn build(&self, question: &Question<'_>, links: &Links) -> Result<Built, PackageError> {
        let fixed = ["pip", "compile", "-", "--quiet", "--no-header", "--universal", "--python", "3"];
        let mut arguments: Vec<String> = fixed.iter().map(|a| (*a).to_owned()).collect();
        arguments.extend(["--python-version".into(), self.target.python_minor().to_owned()]);
        arguments.extend(self.usual());
        let builds = self.store.builds();
        let run =
            |arguments: Vec<String>| self.uv.build(question.folder, arguments, &question.input, &builds);
        let mut built = Built::default();
        let text = match question.answer(arguments, run)? {
            Ok(Answer { text, .. }) => text,
            Err(complaint) => return Ok(Built { complaint, ..built }),
        };
        let path = question.folder.join(lock::NAME);
        let (_, misfits) =
            Lock::parse(text, self.target).map_err(|reason| PackageError::Lock { path, reason })?;
        for misfit in misfits.0 {
            let Some(source) = misfit.source else { continue };
            let packages = [source.clone()];
            match self.store.obtain_all(&packages, question.folder, self.uv, self.interpreter, None) {
                Ok(stored) => {
                    for wheel in stored {
                        stand_in::write(&wheel, &links.0)?;
                    }
                    built.sources.push(source);
                }
                Err(PackageError::Unbuildable { package, .. } | PackageError::Refused { package, .. }) => {
                    built.failed.push(package);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(built)
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
        // The same for all platforms at once, wheels for which may not be ours. Both wait for indexes most of the time.
        let (answer, all, newest) = thread::scope(|scope| {
            let all = scope.spawn(|| self.compile(question, &["--universal"], &self.usual()));
            let newest = scope.spawn(|| self.newest(question));
            let answer = self.compile(question, &[], indexes);
            let [all, newest] =
                [all, newest].map(|it| it.join().unwrap_or_else(|panic| resume_unwind(panic)));
            (answer, all, newest)
        });
        let (answer, all) = (answer?, all?);
        let all = all.ok().and_then(|all| Lock::parse(all.text, self.target).ok());
        let missing = all.as_ref().map_or(&[][..], |(_, Unusable(missing))| missing);
        let failure = |complaint, notes| Failure { complaint, missing: missing.to_vec(), notes };
        let Answer { text, warnings } = match answer {
            Ok(answer) => answer,
            Err(complaint) => return Ok(Err(failure(complaint, vec![]))),
        };
        let path = question.folder.join(lock::NAME);
        let broken = |reason| PackageError::Lock { path, reason };
        let (lock, unusable) = Lock::parse(text, self.target).map_err(broken)?;
        if !unusable.0.is_empty() {
            return Err(self.target.no_build(unusable.list(), vec![]));
        }
        let is_other_series = |(name, version): (&str, &str)| {
            lock.package(name).is_some_and(|known| series(&known.version) != series(version))
        };
        let usable = all.as_ref().map_or(&[][..], |(lock, _)| lock.packages());
        let usable = usable.iter().map(|package| (&*package.name, &*package.version));
        let wanted = usable.chain(missing.iter().map(|misfit| (&*misfit.name, &*misfit.version)));
        if !missing.is_empty() && wanted.into_iter().any(is_other_series) {
            let newest = |misfit: &Misfit| {
                let known = lock.package(&misfit.name)?;
                Some(format!("the newest version of {} that has one is {}", known.name, known.version))
            };
            return Ok(Err(failure(String::new(), missing.iter().filter_map(newest).collect())));
        }
        let note = |Misfit { name, version, .. }: &Misfit| {
            let used = &lock.package(name).filter(|known| known.version != *version)?.version;
            Some(format!("{name} {used} is used, because {version} has no build for this Python"))
        };
        let newest = newest?.ok().and_then(|newest| Lock::parse(newest.text, self.target).ok());
        let held_back = newest.map(|(newest, _)| question.held_back(&lock, &newest)).unwrap_or_default();
        let yanked = warnings.into_iter().filter(|warning| warning.contains("is yanked"));
        let notes = missing.iter().filter_map(note).chain(held_back).chain(yanked).collect();
        Ok(Ok((lock, notes)))
    }

    /// The newest versions of what may be of any version, whatever else is required.
    fn newest(&self, question: &Question<'_>) -> Result<Result<Answer, String>, PackageError> {
        let names: Vec<String> = question.input.lines().filter_map(of_any_version).collect();
        if question.input.lines().count() < 2 || names.is_empty() {
            return Ok(Err("nothing else is required".to_owned()));
        }
        let question = Question { folder: question.folder, input: names.join("\n") + "\n", previous: None };
        self.compile(&question, &["--universal", "--no-deps"], &self.usual())
    }

    /// A lock file, or what uv has to say.
    fn compile(
        &self,
        question: &Question<'_>,
        more: &[&str],
        indexes: &[String],
    ) -> Result<Result<Answer, String>, PackageError> {
        let run = |arguments: Vec<String>| self.uv.run(question.folder, arguments, &question.input);
        question.answer(self.arguments(more, indexes), run)
    }

    fn arguments(&self, more: &[&str], indexes: &[String]) -> Vec<String> {
        let fixed = ["pip", "compile", "-", "--no-header", "--no-build", "--python"];
        let mut all: Vec<String> = fixed.iter().map(|a| (*a).to_owned()).collect();
        all.push(self.interpreter.to_string_lossy().into_owned());
        all.extend(more.iter().map(|a| (*a).to_owned()));
        all.extend(indexes.iter().cloned());
        all
    }

    fn explain(&self, question: &Question<'_>, failure: Failure, built: &Built) -> PackageError {
        let Failure { complaint, missing, mut notes } = failure;
        let mut missing: Vec<Misfit> =
            missing.into_iter().filter(|misfit| !built.has(&misfit.name)).collect();
        // Of builds for older versions of Python alone uv takes none into account.
        if missing.is_empty() && complaint.contains("No solution found") {
            missing = self.others.iter().find_map(|other| self.bound_to(question, other)).unwrap_or_default();
        }
        if missing.is_empty() {
            // Why a source is of no use says more than that there is no wheel.
            let is_of_source = !built.complaint.is_empty() && !built.complaint.contains("No solution found");
            let complaint = if is_of_source { built.complaint.clone() } else { complaint };
            let reason = if complaint.is_empty() { notes.join("; ") } else { complaint };
            return PackageError::Unsatisfiable { reason };
        }
        for misfit in &missing {
            notes.extend(self.elsewhere(question, misfit));
            if built.failed.contains(&canonical(&misfit.name)) {
                notes.push(format!("the source of {} cannot be built without a compiler", misfit.name));
            }
        }
        self.target.no_build(Unusable(missing).list(), notes)
    }

    /// What has no build for the target, when all that is required has one for another Python.
    fn bound_to(&self, question: &Question<'_>, other: &Target) -> Option<Vec<Misfit>> {
        let more = ["--universal", "--python-version", other.python_minor()];
        let Answer { text, .. } = self.compile(question, &more, &self.usual()).ok()?.ok()?;
        let (_, Unusable(there)) = Lock::parse(text.clone(), other).ok()?;
        let (_, Unusable(here)) = Lock::parse(text, self.target).ok()?;
        (there.is_empty() && !here.is_empty()).then_some(here)
    }

    /// Which other Python has a build of a package.
    fn elsewhere(&self, question: &Question<'_>, misfit: &Misfit) -> Option<String> {
        let question = Question {
            folder: question.folder,
            input: format!("{}=={}\n", misfit.name, misfit.version),
            previous: None,
        };
        // Of wheels for older versions of Python, uv says nothing unless it is asked for one.
        let files = |other: &Target| {
            let more = ["--universal", "--no-deps", "--python-version", other.python_minor()];
            let Answer { text, .. } = self.compile(&question, &more, &self.usual()).ok()?.ok()?;
            let (lock, misfits) = Lock::parse(text, other).ok()?;
            let fitting = lock.packages().iter().map(|package| package.file_name().to_owned());
            Some(fitting.chain(misfits.0.into_iter().flat_map(|m| m.wheels)).collect::<Vec<_>>())
        };
        let has = |other: &&Target| {
            let fits = |file: &String| rank(file, other.python_minor(), &other.platform).is_some();
            files(other).is_some_and(|files| files.iter().any(fits))
        };
        let mut found: Vec<&str> = self.others.iter().filter(has).map(Target::python_minor).collect();
        // Several releases have the same Python.
        found.dedup();
        let name = format!("{} {}", misfit.name, misfit.version);
        (!found.is_empty()).then(|| format!("{name} has one for Python {}", found.join(" and ")))
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
        let run = |arguments: &[String]| self.uv.run(question.folder, arguments, &question.input);
        // What indexes say of these versions has just been asked.
        let mut answer = run(&[&arguments[..], &["--offline".to_owned()]].concat())?;
        if answer.is_err() {
            answer = run(&arguments)?;
        }
        // Only `tree` and `why` need it.
        Ok(answer.map_or_else(|_| vec![], |answer| annotated(&answer.text)))
    }
}

/// What is to be resolved.
struct Question<'a> {
    folder: &'a Path,
    input: String,
    previous: Option<&'a Lock>,
}

impl Question<'_> {
    /// Whether the lock before has this version.
    fn has(&self, name: &str, version: &str) -> bool {
        self.previous.and_then(|lock| lock.package(name)).is_some_and(|known| known.version == version)
    }

    /// Notes on what is locked in a version of an older series than the newest, although it may be of any.
    fn held_back(&self, lock: &Lock, newest: &Lock) -> Vec<String> {
        let note = |newest: &LockedPackage| {
            let LockedPackage { name, version, .. } = lock.package(&newest.name)?;
            let is_held = series(version) != series(&newest.version) && !self.has(name, version);
            let excludes = format!("because what else is required excludes {}", newest.version);
            is_held.then(|| format!("{name} {version} is used, {excludes}"))
        };
        newest.packages().iter().filter_map(note).collect()
    }

    /// The lock file that uv makes when it runs, or what it has to say.
    fn answer(
        &self,
        mut arguments: Vec<String>,
        run: impl FnOnce(Vec<String>) -> Result<Result<Answer, String>, PackageError>,
    ) -> Result<Result<Answer, String>, PackageError> {
        // uv takes paths in the file as relative to it, and keeps to the versions that it finds in it.
        let file = Scratch::new(self.folder, ".toml");
        if let Some(previous) = self.previous {
            file.write(previous.text())?;
        }
        arguments.extend(["--format=pylock.toml".into(), "--output-file".into(), file.text()]);
        match run(arguments)? {
            Ok(Answer { warnings, .. }) => {
                let text = fs::read_to_string(&file.0).map_err(PackageError::io(&file.0))?;
                Ok(Ok(Answer { text, warnings }))
            }
            Err(complaint) => Ok(Err(complaint)),
        }
    }
}

/// Why there is no lock.
struct Failure {
    /// uv's own words; empty when it is what it found that will not do.
    complaint: String,
    /// Packages at the versions that would be used if they had a build.
    missing: Vec<Misfit>,
    /// What else is known.
    notes: Vec<String>,
}

impl Failure {
    /// After another index was asked as well.
    fn asked(mut self, url: &str, second: &Self) -> Self {
        let is_unreachable = second.complaint.contains(url.trim_end_matches('/'));
        self.notes.push(if is_unreachable {
            format!("{url} cannot be reached")
        } else {
            format!("{url} has none")
        });
        self
    }
}

/// What came of building.
#[derive(Default)]
struct Built {
    sources: Vec<LockedPackage>,
    /// Names of packages that cannot be built.
    failed: Vec<String>,
    /// uv's own words, when it could not even say what there is to build.
    complaint: String,
}

impl Built {
    fn has(&self, name: &str) -> bool {
        let name = canonical(name);
        self.sources.iter().any(|source| source.name == name)
    }
}

/// A folder of stand-ins, for as long as they are needed.
struct Links(PathBuf);

impl Links {
    fn new(store: &Store) -> Result<Self, PackageError> {
        let folder = store.folder().join(format!(".links-{}", std::process::id()));
        fs::create_dir_all(&folder).map_err(PackageError::io(&folder))?;
        Ok(Self(folder))
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        // It is made anew when it is needed.
        drop(fs::remove_dir_all(&self.0));
    }
}

/// The name in a requirement without a bound, or with a lower one alone.
fn of_any_version(requirement: &str) -> Option<String> {
    let behind = requirement.rsplit_once(']').map_or(requirement, |(_, behind)| behind);
    let is_bound = behind.replacen(">=", "", 1).contains(['<', '>', '=', '!', '~', '@', ';', ',']);
    requirement_name(requirement).filter(|_| !is_bound)
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
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let (process, number) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        Self(folder.join(format!("pylock.taipan-{process}-{number}{extension}")))
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
    fn requirements_of_any_version() {
        for requirement in ["Alpha_b", "alpha.b>=1.0", "alpha-b[x,y] >= 2"] {
            assert_eq!(of_any_version(requirement).as_deref(), Some("alpha-b"), "{requirement}");
        }
        for requirement in
            ["a<2", "a==1", "a>=1,<2", "a~=1.0", "a @ file:///x", "a; sys_platform == 'x'", "-r b"]
        {
            assert_eq!(of_any_version(requirement), None, "{requirement}");
        }
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
