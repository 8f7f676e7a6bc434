//! How a Worker's isolates come into being. Everything that starts one goes through [`boot_isolate`].
//!
//! ```text
//! base snapshot ──▶ packages' snapshot ──▶ module scope ──▶ Worker's snapshot ──▶ isolate
//!   (machine)       (file, by digest)        (once)         (file, by digest)      (each)
//! ```
//! The files are made by a builder, which is another process (see [`crate::builder`]).
//!
//! The Worker's snapshot is named after everything that module scope could see. So it is found again by the next process, and
//! what can be seen must not be secret: secrets come when an isolate is made from the snapshot. A Worker that reads them at
//! import says so in its configuration, and has no snapshot: its module scope runs in every isolate.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value};
use taipan_bindings::{BindingTable, Failure, HostOps};
use taipan_config::{Secret, SecretsAtImport};
use taipan_engine::{
    Binding, BootError, Event, Isolate, IsolateError, IsolateOptions, Snapshot, SnapshotError, Source,
    Spares, Turn, WorkerCode,
};
use taipan_packages::python::PackageTree;

use crate::builder::{Builder, Made};
use crate::imports;
use crate::packages::PackageVolume;
use crate::store::SnapshotStore;
use crate::worker::{Boot, Fault, Guest};
use crate::{Console, Problem};

/// Where the packages are that were vendored with a Worker.
pub(crate) const PACKAGES: &str = "python_modules/";

/// One version of a Worker: its files and settings.
#[derive(Clone, Debug)]
pub struct WorkerSpec {
    /// The Worker's files, the main module among them.
    pub sources: Arc<[Source]>,
    /// Path of the main module within `sources`.
    pub main: String,
    /// Variables. They can be read by module scope, and are kept in the Worker's snapshot.
    pub vars: Map<String, Value>,
    /// Secrets. They win over variables of the same name.
    pub secrets: BTreeMap<String, Secret>,
    /// Which of them module scope may read.
    pub secrets_at_import: SecretsAtImport,
    /// Whether `on_fetch`-style global handlers are accepted.
    pub global_handlers: bool,
    /// What `env` has beside variables and secrets.
    pub bindings: Vec<Binding>,
    /// What the bindings reach. Not for those who make snapshots.
    pub data: Arc<BindingTable>,
    /// The packages that its project has locked.
    pub packages: Arc<PackageTree>,
    /// The largest linear memory, in bytes; a multiple of 64 KiB.
    pub memory_limit: usize,
    /// CPU time that one turn may take.
    pub request_cpu: Duration,
    /// CPU time that booting may take.
    pub boot_cpu: Duration,
}

impl WorkerSpec {
    /// What module scope sees of `env`.
    fn early_env(&self) -> Map<String, Value> {
        let mut env = self.vars.clone();
        env.retain(|name, _| !self.secrets.contains_key(name));
        env
    }

    /// What handlers see of `env`, as JSON. In plain text: not to be kept.
    fn env_json(&self) -> String {
        let mut env = self.early_env();
        env.extend(self.secrets.iter().map(|(name, secret)| (name.clone(), secret.expose().into())));
        Value::Object(env).to_string()
    }

    /// The secrets that module scope may not read.
    fn withheld(&self) -> Vec<String> {
        let names = self.secrets.keys().filter(|name| match &self.secrets_at_import {
            SecretsAtImport::None => true,
            SecretsAtImport::Named(named) => !named.contains(name),
            SecretsAtImport::All => false,
        });
        names.cloned().collect()
    }

    fn code(&self, env_json: String, sources: Vec<Source>) -> WorkerCode {
        WorkerCode {
            sources,
            main: self.main.clone(),
            env_json,
            withheld: self.withheld(),
            global_handlers: self.global_handlers,
            has_packages: !self.packages.is_empty(),
            bindings: self.bindings.clone(),
        }
    }

    /// The files of packages, and the others.
    fn split(&self) -> (Vec<Source>, Vec<Source>) {
        self.sources.iter().cloned().partition(|source| source.path.starts_with(PACKAGES))
    }

    /// The name of the snapshot: a digest of everything that went into it.
    fn snapshot_name(&self, base: &str) -> String {
        let mut digest = blake3::Hasher::new();
        let mut add = |bytes: &[u8]| {
            digest.update(&bytes.len().to_le_bytes()).update(bytes);
        };
        add(base.as_bytes());
        add(self.main.as_bytes());
        add(Value::Object(self.early_env()).to_string().as_bytes());
        add(&[u8::from(self.global_handlers)]);
        add(self.packages.name().as_bytes());
        add(&self.memory_limit.to_le_bytes());
        for name in self.withheld() {
            add(name.as_bytes());
        }
        for binding in &self.bindings {
            add(binding.name.as_bytes());
            add(binding.kind.as_bytes());
        }
        for source in self.sources.iter() {
            add(source.path.as_bytes());
            add(&source.content);
        }
        digest.finalize().to_hex().to_string()
    }
}

/// Makes the function by which a [`crate::Worker`] starts its isolates. Without a builder, this process makes what snapshots
/// there are not yet.
pub fn boot_isolate(
    spares: Arc<Spares>,
    spec: WorkerSpec,
    console: Arc<dyn Console>,
    builder: Option<Arc<Builder>>,
) -> Boot {
    let image = Image::new(spares, spec, console, builder);
    Box::new(move |ops| Ok(Box::new(Running { isolate: image.isolate(ops)?, lesson: Lesson::Ahead })))
}

/// What isolates of a version are made from.
#[derive(Clone)]
enum Origin {
    /// The Worker's snapshot.
    Snapshot(Arc<Snapshot>),
    /// There is none: module scope runs in each of them, above that of the packages if there is one.
    ModuleScope(Option<Arc<Snapshot>>),
}

/// A version, and what its isolates are made from.
pub(crate) struct Image {
    spares: Arc<Spares>,
    spec: WorkerSpec,
    console: Arc<dyn Console>,
    builder: Option<Arc<Builder>>,
    packages_path: OnceLock<Option<PathBuf>>,
    /// Known once the first isolate was started.
    origin: Mutex<Option<Origin>>,
}

impl Image {
    pub(crate) fn new(
        spares: Arc<Spares>,
        spec: WorkerSpec,
        console: Arc<dyn Console>,
        builder: Option<Arc<Builder>>,
    ) -> Self {
        Self { spares, spec, console, builder, packages_path: OnceLock::new(), origin: Mutex::default() }
    }

    fn isolate(&self, ops: &dyn Fn() -> HostOps) -> Result<Isolate, BootError> {
        // The first start is alone, so nobody waits for the lock while it makes the snapshot.
        let mut origin = self.origin.lock().unwrap_or_else(PoisonError::into_inner);
        let known = match &*origin {
            Some(known) => known.clone(),
            None => origin.insert(self.make(ops)?).clone(),
        };
        drop(origin);
        match known {
            Origin::Snapshot(snapshot) => {
                let options = self.options(ops());
                Ok(self.spares.restore(&snapshot, options, &self.spec.env_json())?)
            }
            Origin::ModuleScope(packages) => self.load(ops(), self.spec.env_json(), packages.as_deref()),
        }
    }

    fn make(&self, ops: &dyn Fn() -> HostOps) -> Result<Origin, BootError> {
        if let Some(known) = self.known() {
            return Ok(known);
        }
        let made = match &self.builder {
            Some(builder) => builder.build(&self.spec, &*self.console)?,
            None => self.make_files(ops)?,
        };
        match made {
            Made::Packages => Ok(Origin::ModuleScope(self.packages())),
            Made::Snapshot => self.known().ok_or_else(|| {
                IsolateError::Internal { reason: "the snapshot is gone that was just made".into() }.into()
            }),
        }
    }

    /// What the store has, if there is nothing to be made.
    fn known(&self) -> Option<Origin> {
        let packages = self.packages();
        let is_whole = packages.is_some() || self.packages_path().is_none();
        match self.snapshot_path() {
            None => is_whole.then_some(Origin::ModuleScope(packages)),
            Some(path) => self.open(&path).map(Origin::Snapshot),
        }
    }

    fn open(&self, path: &Path) -> Option<Arc<Snapshot>> {
        let runtime = self.spares.runtime();
        SnapshotStore::new(runtime).open(runtime, path).map(Arc::new)
    }

    /// Where the Worker's snapshot is, or will be; `None` if it may not have one.
    fn snapshot_path(&self) -> Option<PathBuf> {
        let runtime = self.spares.runtime();
        let name = || self.spec.snapshot_name(runtime.base_name());
        (self.spec.secrets_at_import == SecretsAtImport::None)
            .then(|| SnapshotStore::new(runtime).path(&name()))
    }

    /// Makes what the store does not have.
    pub(crate) fn make_files(&self, ops: &dyn Fn() -> HostOps) -> Result<Made, BootError> {
        let packages = self.packages().or_else(|| self.make_packages(ops));
        let Some(path) = self.snapshot_path() else { return Ok(Made::Packages) };
        let env_json = Value::Object(self.spec.early_env()).to_string();
        let made = self.load(ops(), env_json, packages.as_deref())?.freeze(&path);
        SnapshotStore::new(self.spares.runtime()).prune();
        self.judge(made, &path)
    }

    /// The modules of packages that the Worker imports, which are a layer of their own.
    fn imports(&self) -> Vec<String> {
        let (files, own) = self.spec.split();
        imports::of(&self.spec.main, &own, &files, &self.spec.packages)
    }

    /// Where the snapshot is, or will be, in which the packages are imported that the Worker imports; `None` when it imports
    /// none.
    fn packages_path(&self) -> Option<&Path> {
        self.packages_path.get_or_init(|| self.name_packages()).as_deref()
    }

    fn name_packages(&self) -> Option<PathBuf> {
        let imports = self.imports();
        if imports.is_empty() {
            return None;
        }
        let runtime = self.spares.runtime();
        let mut digest = blake3::Hasher::new();
        for part in imports.iter().map(String::as_str).chain([runtime.base_name(), self.spec.packages.name()])
        {
            digest.update(&part.len().to_le_bytes()).update(part.as_bytes());
        }
        for source in self.spec.split().0 {
            digest.update(&source.path.len().to_le_bytes()).update(source.path.as_bytes());
            digest.update(&source.content.len().to_le_bytes()).update(&source.content);
        }
        Some(SnapshotStore::new(runtime).path(&format!("packages-{}", digest.finalize().to_hex())))
    }

    /// The snapshot of the packages, if the store has one.
    fn packages(&self) -> Option<Arc<Snapshot>> {
        self.open(self.packages_path()?)
    }

    /// Makes the snapshot of the packages; `None` when there are none, or they cannot be imported by themselves: then the
    /// Worker's own start says why.
    fn make_packages(&self, ops: &dyn Fn() -> HostOps) -> Option<Arc<Snapshot>> {
        let path = self.packages_path()?;
        let made = || -> Result<Snapshot, BootError> {
            let base = self.spares.runtime().base();
            let base = base.map_err(|e| IsolateError::Internal { reason: e.to_string() })?;
            let mut isolate = self.spares.restore(&base, self.options(ops()), "{}")?;
            isolate.load_packages(self.spec.split().0, &self.imports(), !self.spec.packages.is_empty())?;
            Ok(isolate.freeze_whole(path).map_err(|e| IsolateError::Internal { reason: e.to_string() })?)
        };
        let made = made();
        made.inspect_err(|error| tracing::debug!("packages have no snapshot of their own: {error:?}"))
            .ok()
            .map(Arc::new)
    }

    fn judge(&self, made: Result<Snapshot, SnapshotError>, path: &Path) -> Result<Made, BootError> {
        let why = match made {
            Ok(_) => return Ok(Made::Snapshot),
            Err(SnapshotError::Isolate(error)) => return Err(error.into()),
            Err(SnapshotError::Worker { report_json }) => {
                let failure = Failure::Report(report_json.into());
                Problem::from(&Fault { failure, starting: false }).line()
            }
            Err(SnapshotError::NotNow { reason }) => reason,
            Err(other) => {
                // A full disk, say: slower, but no reason not to serve, nor the Worker's fault.
                tracing::warn!("cannot write snapshot: {}: {other}", path.display());
                return Ok(Made::Packages);
            }
        };
        self.console.warning(&format!(
            "this Worker cannot be kept as a snapshot, so it would be refused at deploy; here its module scope runs again \
             in each isolate: {why}"
        ));
        Ok(Made::Packages)
    }

    /// An isolate in which module scope has run.
    fn load(
        &self,
        ops: HostOps,
        env_json: String,
        packages: Option<&Snapshot>,
    ) -> Result<Isolate, BootError> {
        let options = self.options(ops);
        if let Some(packages) = packages {
            let mut isolate = self.spares.restore(packages, options, "{}")?;
            isolate.load(self.spec.code(env_json, self.spec.split().1))?;
            return Ok(isolate);
        }
        let runtime = self.spares.runtime();
        let mut isolate = match runtime.base() {
            Ok(base) => self.spares.restore(&base, options, "{}")?,
            Err(error) => {
                tracing::warn!("isolates start without a snapshot: {error}");
                Isolate::boot(runtime, options)?
            }
        };
        isolate.load(self.spec.code(env_json, self.spec.sources.to_vec()))?;
        Ok(isolate)
    }

    fn options(&self, ops: HostOps) -> IsolateOptions {
        let ops = ops
            .with_volumes(vec![Arc::new(PackageVolume(self.spec.packages.clone()))])
            .with_bindings(self.spec.data.clone());
        IsolateOptions {
            memory_limit: self.spec.memory_limit,
            request_cpu: self.spec.request_cpu,
            boot_cpu: self.spec.boot_cpu,
            ops: Box::new(ops),
        }
    }
}

/// An isolate that tells its snapshot once what its first request needed.
struct Running {
    isolate: Isolate,
    lesson: Lesson,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Lesson {
    Ahead,
    Begun,
    Over,
}

impl Guest for Running {
    fn turn(&mut self, events: Vec<Event>) -> Result<Turn, IsolateError> {
        if self.lesson == Lesson::Ahead && events.iter().any(|e| matches!(e, Event::Fetch { .. })) {
            self.lesson = Lesson::Begun;
        }
        let turn = self.isolate.turn(events)?;
        if self.lesson == Lesson::Begun && turn.pending_ops == 0 && turn.next_timer.is_none() {
            self.lesson = Lesson::Over;
            if let Err(error) = self.isolate.learn() {
                tracing::debug!("restores stay slow: {error}");
            }
        }
        Ok(turn)
    }
}
