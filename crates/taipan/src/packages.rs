//! A project's packages: locked and on this machine. `dev` sees to that by itself, the commands on request.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use fs_err as fs;
use taipan_config::Files;
use taipan_engine::Source;
use taipan_packages::pyodide::{Progress as _, RELEASES, Release, Silent};
use taipan_packages::python::{
    Index, Libraries, Library, Lock, Manifest, PackageError, PackageTree, Resolution, Resolver, Store,
    StoredWheel, Target, Uv,
};

use crate::imports;
use crate::progress::Progress;
use crate::report::{hint, hinted};
use crate::runtime;
use crate::settings::{PackageSettings, ReleaseSettings};

/// The packages of a project's folder.
pub(crate) struct Packages<'a> {
    pub(crate) folder: &'a Path,
    pub(crate) settings: &'a PackageSettings,
    pub(crate) release: &'static Release,
    pub(crate) releases: &'a ReleaseSettings,
}

/// Packages that are locked and on this machine.
pub(crate) struct Synced {
    pub(crate) lock: Lock,
    pub(crate) wheels: Vec<StoredWheel>,
    /// Whether the lock file was not what the requirements come to, and is now.
    pub(crate) is_locked_anew: bool,
}

/// An error and its advice in one line.
pub(crate) fn with_advice(error: &PackageError) -> String {
    let hint = error.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
    format!("{error}{hint}")
}

/// Adds an error's own advice to it.
pub(crate) fn advised(error: PackageError) -> anyhow::Error {
    hinted(error, PackageError::hint)
}

fn target_of(release: &Release) -> Target {
    Target { python: release.python.to_owned(), platform: release.platform_tag.to_owned() }
}

impl Packages<'_> {
    pub(crate) fn target(&self) -> Target {
        target_of(self.release)
    }

    pub(crate) fn manifest(&self) -> Result<Option<Manifest>> {
        Manifest::read(self.folder).map_err(advised)
    }

    /// The lock file, if there is one that fits the requirements.
    pub(crate) fn current_lock(&self, manifest: &Manifest) -> Result<Option<Lock>> {
        let lock = Lock::read(self.folder, &self.target()).map_err(advised)?;
        Ok(lock.filter(|lock| lock.is_current(manifest, &self.target())))
    }

    /// The packages of the project as a Worker with these sources sees them; nothing when it requires none. uv runs only when requirements
    /// have changed or this machine lacks a package.
    pub(crate) fn tree(
        &self,
        files: &Files,
        sources: &[Source],
        note: &dyn Fn(&str),
    ) -> Result<Arc<PackageTree>> {
        let mut wheels = self.wheels(note)?;
        self.add_imported(&mut wheels, sources, note);
        if wheels.is_empty() {
            return Ok(Arc::default());
        }
        Ok(Arc::new(PackageTree::without(&wheels, |path| files.excludes(path))))
    }

    /// What the project requires; nothing when that is nothing.
    pub(crate) fn wheels(&self, note: &dyn Fn(&str)) -> Result<Vec<StoredWheel>> {
        match self.manifest()? {
            Some(manifest) if !manifest.requirements().is_empty() => Ok(self.sync(&manifest, note)?.wheels),
            _ => Ok(vec![]),
        }
    }

    /// Adds the modules of the standard library that sources import and the release lacks. That one cannot be had is no error: it may be
    /// imported for what never happens, and Python says what is missing.
    pub(crate) fn add_imported(
        &self,
        wheels: &mut Vec<StoredWheel>,
        sources: &[Source],
        note: &dyn Fn(&str),
    ) {
        // One by one: one that cannot be had keeps no other away.
        for (module, by) in imports::of(sources, self.release.lacks) {
            // A package may have it.
            let has = |wheel: &StoredWheel| {
                wheel.files().any(|(path, _)| path.split(['/', '.']).next() == Some(&*module))
            };
            if wheels.iter().any(has) {
                continue;
            }
            if let Err(error) = self.add_standard(wheels, &module, &by) {
                note(&with_advice(&error));
            }
        }
    }

    /// Adds a module of the standard library that the release lacks and `by` imports, and what that needs.
    pub(crate) fn add_standard(
        &self,
        wheels: &mut Vec<StoredWheel>,
        module: &str,
        by: &str,
    ) -> Result<(), PackageError> {
        let more = self.with_libraries(|libraries| {
            let needed = libraries.of_imports(&[(module.to_owned(), by.to_owned())])?;
            Store::new(self.releases.cache.folder()).obtain_libraries(&needed, libraries)
        })?;
        let is_new = |wheel: &StoredWheel| wheels.iter().all(|known| known.name() != wheel.name());
        let more: Vec<_> = more.into_iter().filter(is_new).collect();
        wheels.extend(more);
        Ok(())
    }

    /// What comes along with locked packages and the sources' imports.
    pub(crate) fn companions(&self, lock: &Lock, sources: &[Source]) -> Result<Vec<Library>> {
        let imports = imports::of(sources, self.release.lacks);
        let found = self.with_libraries(|libraries| {
            let mut found = libraries.of_lock(lock)?;
            found.extend(libraries.of_imports(&imports)?);
            Ok(found)
        });
        found.map_err(advised)
    }

    /// Locks what is not locked, and obtains what is not there.
    pub(crate) fn sync(&self, manifest: &Manifest, note: &dyn Fn(&str)) -> Result<Synced> {
        let (lock, is_locked_anew) = match self.current_lock(manifest)? {
            Some(lock) => (lock, false),
            None => {
                let previous = Lock::read(self.folder, &self.target()).ok().flatten();
                (self.resolve(manifest, previous.as_ref(), note)?, true)
            }
        };
        let wheels = self.obtain(&lock)?;
        if is_locked_anew {
            lock.write(self.folder).map_err(advised)?;
        }
        Ok(Synced { lock, wheels, is_locked_anew })
    }

    /// What requirements come to.
    pub(crate) fn resolve(
        &self,
        manifest: &Manifest,
        previous: Option<&Lock>,
        note: &dyn Fn(&str),
    ) -> Result<Lock> {
        let uv = self.uv()?;
        let interpreter = self.interpreter()?;
        let usual = Index::Url { url: format!("https://index.pyodide.org/{}", self.release.version) };
        let index = self.settings.index.as_ref().unwrap_or(&usual);
        let target = self.target();
        let progress = Progress::new();
        progress.start("Resolving packages", None);
        let store = Store::new(self.releases.cache.folder());
        let others: Vec<Target> = RELEASES.iter().map(target_of).filter(|other| *other != target).collect();
        let (interpreter, store, others) = (&interpreter, &store, &*others);
        let resolver = Resolver { uv: &uv, interpreter, target: &target, index, store, others };
        let Resolution { lock, notes } =
            resolver.resolve(self.folder, manifest, previous).map_err(advised)?;
        drop(progress);
        notes.iter().for_each(|line| note(line));
        Ok(lock)
    }

    /// The locked packages, on this machine.
    pub(crate) fn obtain(&self, lock: &Lock) -> Result<Vec<StoredWheel>> {
        let store = Store::new(self.releases.cache.folder());
        if let Some(wheels) = store.open(lock) {
            return Ok(wheels);
        }
        let uv = self.uv()?;
        let interpreter = self.interpreter()?;
        let progress = Progress::new();
        progress.start("Obtaining packages", None);
        self.with_libraries(|libraries| store.obtain(lock, self.folder, &uv, &interpreter, libraries))
            .map_err(advised)
    }

    /// Does something with the libraries of the release.
    fn with_libraries<T>(
        &self,
        work: impl FnOnce(&Libraries<'_>) -> Result<T, PackageError>,
    ) -> Result<T, PackageError> {
        let release = || runtime::obtain(self.release, self.releases, &Silent).map_err(|e| e.to_string());
        let usual =
            Index::Url { url: format!("https://cdn.jsdelivr.net/pyodide/v{}/full", self.release.version) };
        let places = match &self.settings.index {
            Some(own) => vec![own.clone(), usual],
            None => vec![usual],
        };
        let platform = self.release.platform_tag;
        work(&Libraries { platform, release: &release, places: &places })
    }

    /// Compiles their native modules, unless that was done before.
    pub(crate) fn compile(&self, tree: &PackageTree) -> Result<()> {
        if tree.native().next().is_some() {
            let runtime = runtime::prepare(self.release, self.releases.clone())?;
            runtime::compile_packages(&runtime, tree);
        }
        Ok(())
    }

    fn uv(&self) -> Result<Uv> {
        Uv::find(self.settings.uv.clone()).map_err(advised)
    }

    /// A program that is the Python in the sandbox, for uv to ask for tags and markers.
    fn interpreter(&self) -> Result<PathBuf> {
        // It is asked once per machine; what it needs should be there, with its progress shown.
        runtime::prepare(self.release, self.releases.clone())?.base()?;
        let minor = self.target().python_minor().to_owned();
        let folder = self.releases.cache.folder().join("python").join(self.release.version).join("bin");
        let path = folder.join(format!("python{minor}"));
        let own = env::current_exe().context("the program's own file is gone")?;
        let script = format!(
            "#!/bin/sh\n# Written by taipan, for uv: Python in the sandbox, which may read uv's questions.\n\
             exec {} python --python {minor} --cache-dir {} --executable \"$0\" \\\n  \
             --allow-read \"${{UV_CACHE_DIR:-${{XDG_CACHE_HOME:-$HOME/.cache}}/uv}}\" \"$@\"\n",
            quoted(&own)?,
            quoted(self.releases.cache.folder())?,
        );
        if fs::read_to_string(&path).is_ok_and(|text| text == script) {
            return Ok(path);
        }
        let write = || -> std::io::Result<()> {
            fs::create_dir_all(&folder)?;
            // Another process may run it now.
            let new = folder.join(format!(".python{minor}-{}", std::process::id()));
            fs::write(&new, &script)?;
            #[cfg(unix)]
            {
                use std::os::unix::fs::PermissionsExt as _;
                fs::set_permissions(&new, std::fs::Permissions::from_mode(0o755))?;
            }
            fs::rename(&new, &path)
        };
        write().map_err(|e| {
            hint(
                anyhow::Error::from(e).context("cannot write to the cache"),
                "make it writable, or set TAIPAN_CACHE_DIR",
            )
        })?;
        Ok(path)
    }
}

/// As a shell takes it for one word.
fn quoted(path: &Path) -> Result<String> {
    let text = path.to_str().with_context(|| format!("the path is not text: {}", path.display()))?;
    Ok(format!("'{}'", text.replace('\'', "'\\''")))
}
