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
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use serde_json::{Map, Value};
use taipan_bindings::{BindingTable, Caches, Failure, HostOps};
use taipan_config::{Secret, SecretsAtImport};
use taipan_engine::{
    Binding, BootError, Event, Isolate, IsolateError, IsolateOptions, STACK_SIZE, Snapshot, SnapshotError,
    Source, Spares, Turn, Volumes, WorkerCode,
};
use taipan_packages::python::PackageTree;

use crate::builder::{self, Builder, Made};
use crate::imports;
use crate::learned;
use crate::packages::PackageVolume;
use crate::sources::SourceVolume;
use crate::store::SnapshotStore;
use crate::worker::{Boot, Fault, Guest};
use crate::{Console, Problem};

/// Snapshots that are gone once they were made are made again, so often.
const TRIES: usize = 3;

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
    /// What `caches` holds. It may be that of the version before.
    pub caches: Caches,
    /// The packages that its project has locked.
    pub packages: Arc<PackageTree>,
    /// The largest linear memory, in bytes; a multiple of 64 KiB.
    pub memory_limit: usize,
    /// It does not start when it cannot be kept as a snapshot, unless it says that it reads secrets at import.
    pub needs_snapshot: bool,
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

    fn code(&self, env_json: String) -> WorkerCode {
        WorkerCode {
            sources: vec![],
            main: self.main.clone(),
            env_json,
            withheld: self.withheld(),
            global_handlers: self.global_handlers,
            volumes: self.volumes(),
            bindings: self.bindings.clone(),
        }
    }

    fn volumes(&self) -> Volumes {
        Volumes { packages: !self.packages.is_empty(), sources: true }
    }

    /// The files of packages, and the others.
    fn split(&self) -> (Vec<Source>, Vec<Source>) {
        self.sources.iter().cloned().partition(|source| source.path.starts_with(PACKAGES))
    }

    /// The name of the snapshot: a digest of everything that went into it.
    fn snapshot_name(&self, base: &str, packages: Option<&Path>) -> String {
        let mut digest = blake3::Hasher::new();
        let mut add = |bytes: &[u8]| {
            digest.update(&bytes.len().to_le_bytes()).update(bytes);
        };
        add(base.as_bytes());
        add(packages.and_then(Path::file_name).unwrap_or_default().as_encoded_bytes());
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
    let image = Arc::new(Image::new(spares, spec, console, builder));
    Box::new(move |ops| {
        let isolate = image.isolate(ops)?;
        Ok(Box::new(Running { isolate, image: image.clone(), learning: Learning::Ahead }))
    })
}

/// What isolates of a version are made from.
#[derive(Clone)]
enum Origin {
    /// The Worker's snapshot.
    Snapshot(Arc<Snapshot>),
    /// There is none: module scope runs in each of them, above that of the packages if there is one.
    ModuleScope(Option<Arc<Snapshot>>),
}

/// Where the snapshots of a version are, or will be.
#[derive(Clone, Default)]
struct Places {
    /// That in which packages are imported; `None` when the Worker imports none.
    packages: Option<PathBuf>,
    /// The file that says what was learned of these imports, and what it says.
    learned: Option<(PathBuf, Vec<String>)>,
    /// The Worker's; `None` if it may not have one.
    worker: Option<PathBuf>,
}

/// What is to be learned from how a Worker has started above its packages.
pub(crate) struct Lesson {
    packages: Arc<Snapshot>,
    places: Places,
    modules: Vec<String>,
}

/// A version, and what its isolates are made from.
pub(crate) struct Image {
    spares: Arc<Spares>,
    spec: WorkerSpec,
    console: Arc<dyn Console>,
    builder: Option<Arc<Builder>>,
    sources: Arc<SourceVolume>,
    /// Known once the first isolate was started.
    origin: Mutex<Option<Origin>>,
    /// An isolate has said what its first request has imported.
    is_told: AtomicBool,
}

impl Image {
    pub(crate) fn new(
        spares: Arc<Spares>,
        spec: WorkerSpec,
        console: Arc<dyn Console>,
        builder: Option<Arc<Builder>>,
    ) -> Self {
        let sources = Arc::new(SourceVolume::new(&*spec.sources));
        Self {
            spares,
            spec,
            console,
            builder,
            sources,
            origin: Mutex::default(),
            is_told: AtomicBool::new(false),
        }
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
        // Other processes remove what has not been used for longest, which may be what lies below.
        for _ in 0..TRIES {
            if let Some(known) = self.known() {
                return Ok(known);
            }
            let made = match &self.builder {
                Some(builder) => builder.build(&self.spec, &*self.console)?,
                None => self.make_files(ops)?.0,
            };
            // It is below the Worker's, which needs it to be open.
            let packages = made.packages.as_deref().and_then(|path| self.open(path));
            let Some(path) = &made.worker else { return Ok(Origin::ModuleScope(packages)) };
            if let Some(snapshot) = self.open(path) {
                return Ok(Origin::Snapshot(snapshot));
            }
        }
        if self.spec.needs_snapshot {
            let reason = "the snapshot is gone that was just made".into();
            return Err(IsolateError::Internal { reason }.into());
        }
        tracing::warn!(
            "the Worker's snapshot is gone whenever it was made, so module scope runs in each isolate"
        );
        Ok(Origin::ModuleScope(self.packages(&self.places())))
    }

    /// What the store has, if there is nothing to be made.
    fn known(&self) -> Option<Origin> {
        let places = self.places();
        // It is below the Worker's, which needs it to be open.
        let packages = self.packages(&places);
        let is_whole = packages.is_some() || places.packages.is_none();
        match &places.worker {
            None => is_whole.then_some(Origin::ModuleScope(packages)),
            Some(path) => self.open(path).map(Origin::Snapshot),
        }
    }

    fn open(&self, path: &Path) -> Option<Arc<Snapshot>> {
        let runtime = self.spares.runtime();
        SnapshotStore::new(runtime).open(runtime, path).map(Arc::new)
    }

    /// The snapshot of the packages, if the store has one.
    fn packages(&self, places: &Places) -> Option<Arc<Snapshot>> {
        self.open(places.packages.as_deref()?)
    }

    /// Everything is called by what goes into it.
    fn places(&self) -> Places {
        let runtime = self.spares.runtime();
        let store = SnapshotStore::new(runtime);
        let mut places = Places::default();
        let imports = self.imports();
        if !imports.is_empty() {
            let name = self.name_packages(&imports);
            let list = store.list(&name);
            let learned = learned::read(&list);
            places.packages = Some(store.path(&learned::name(&name, &learned)));
            places.learned = Some((list, learned));
        }
        if self.spec.secrets_at_import == SecretsAtImport::None {
            let name = self.spec.snapshot_name(runtime.base_name(), places.packages.as_deref());
            places.worker = Some(store.path(&name));
        }
        places
    }

    /// The modules of packages that the Worker imports, which are a layer of their own.
    fn imports(&self) -> Vec<String> {
        let (files, own) = self.spec.split();
        imports::of(&self.spec.main, &own, &files, &self.spec.packages)
    }

    /// What the snapshot of these imports is called before anything was learned.
    fn name_packages(&self, imports: &[String]) -> String {
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
        format!("packages-{}", digest.finalize().to_hex())
    }

    /// Makes what the store does not have. Gives what could be learned from it, too.
    pub(crate) fn make_files(&self, ops: &dyn Fn() -> HostOps) -> Result<(Made, Option<Lesson>), BootError> {
        let places = self.places();
        let packages = self.packages(&places).or_else(|| self.make_packages(&places, ops));
        let below = places.packages.clone().filter(|_| packages.is_some());
        let Some(path) = places.worker.clone() else {
            return Ok((Made { worker: None, packages: below }, None));
        };
        let env_json = Value::Object(self.spec.early_env()).to_string();
        let mut isolate = self.load(ops(), env_json, packages.as_deref())?;
        let lesson = packages.and_then(|packages| {
            let known = &places.learned.as_ref()?.1;
            let modules = learned::more(known, &isolate.imported().ok()?, learned::OF_A_VERSION)?;
            Some(Lesson { packages, places, modules })
        });
        let made = isolate.freeze(&path);
        SnapshotStore::new(self.spares.runtime()).prune(below.clone());
        let worker = self.is_kept(made, &path)?.then_some(path);
        Ok((Made { worker, packages: below }, lesson))
    }

    /// Makes the snapshot of the packages; `None` when there are none, or they cannot be imported by themselves: then the
    /// Worker's own start says why.
    fn make_packages(&self, places: &Places, ops: &dyn Fn() -> HostOps) -> Option<Arc<Snapshot>> {
        let path = places.packages.as_deref()?;
        let learned = places.learned.as_ref().map_or(&[][..], |(_, learned)| learned);
        let made = || -> Result<Snapshot, BootError> {
            let base = self.spares.runtime().base();
            let base = base.map_err(|e| IsolateError::Internal { reason: e.to_string() })?;
            let mut isolate = self.spares.restore(&base, self.options_with(ops(), self.vendored()), "{}")?;
            isolate.load_packages(vec![], &self.imports(), learned, self.spec.volumes())?;
            Ok(isolate.freeze_whole(path).map_err(|e| IsolateError::Internal { reason: e.to_string() })?)
        };
        let made = made();
        made.inspect_err(|error| tracing::debug!("packages have no snapshot of their own: {error:?}"))
            .ok()
            .map(Arc::new)
    }

    /// Makes a snapshot of the packages that has what a Worker's start has imported without naming it, for the starts to come.
    pub(crate) fn learn(&self, lesson: Lesson, ops: &dyn Fn() -> HostOps) {
        let Lesson { packages, places: Places { learned: Some((list, before)), .. }, modules } = lesson
        else {
            return;
        };
        let Some(name) = list.file_stem().and_then(|name| name.to_str()) else { return };
        let all = [&before[..], &modules[..]].concat();
        let path = SnapshotStore::new(self.spares.runtime()).path(&learned::name(name, &all));
        let made = || -> Result<Snapshot, BootError> {
            let options = self.options_with(ops(), self.vendored());
            let mut isolate = self.spares.restore(&packages, options, "{}")?;
            isolate.load_packages(vec![], &[], &modules, self.spec.volumes())?;
            Ok(isolate.freeze_whole(&path).map_err(|e| IsolateError::Internal { reason: e.to_string() })?)
        };
        match made() {
            // The next start is made from it.
            Ok(snapshot) => match learned::write(&list, &all) {
                Ok(()) => self.spares.expect(&snapshot),
                Err(error) => tracing::debug!("cannot write: {}: {error}", list.display()),
            },
            Err(error) => tracing::debug!("nothing was learned from a start: {error:?}"),
        }
    }

    /// Learns from what packages have imported in a first request.
    fn learn_from_request(self: &Arc<Self>, isolate: &mut Isolate) {
        if self.is_told.swap(true, Ordering::Relaxed) {
            return;
        }
        let origin = self.origin.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if !matches!(origin, Some(Origin::Snapshot(_))) {
            return;
        }
        let imported = match isolate.imported() {
            Ok(imported) if learned::more(&[], &imported, learned::OF_AN_ISOLATE).is_some() => imported,
            _ => return,
        };
        let image = self.clone();
        let work = move || {
            let places = image.places();
            let Some(packages) = image.packages(&places) else { return };
            let known = places.learned.as_ref().map_or(&[][..], |(_, known)| known);
            if let Some(modules) = learned::more(known, &imported, learned::OF_AN_ISOLATE) {
                image.learn(Lesson { packages, places, modules }, &builder::silent_host);
            }
        };
        // Without a thread nothing is learned.
        drop(thread::Builder::new().name("learn".into()).stack_size(STACK_SIZE).spawn(work));
    }

    /// Whether the Worker has a snapshot; an error if it must have one and cannot.
    fn is_kept(&self, made: Result<Snapshot, SnapshotError>, path: &Path) -> Result<bool, BootError> {
        let why = match made {
            Ok(_) => return Ok(true),
            Err(SnapshotError::Isolate(error)) => return Err(error.into()),
            Err(SnapshotError::Worker { report_json }) => {
                let failure = Failure::Report(report_json.into());
                Problem::from(&Fault { failure, starting: false }).line()
            }
            Err(SnapshotError::NotNow { reason }) => reason,
            Err(other) => {
                // A full disk, say: slower, but no reason not to serve, nor the Worker's fault.
                tracing::warn!("cannot write snapshot: {}: {other}", path.display());
                return Ok(false);
            }
        };
        if self.spec.needs_snapshot {
            let report = serde_json::json!({
                "message": format!("this Worker cannot be kept as a snapshot: {why}"),
                "hint": "begin timers, tasks and requests in a handler, not at the top of a module",
            });
            return Err(BootError::Worker { report_json: report.to_string() });
        }
        self.console.warning(&format!(
            "this Worker cannot be kept as a snapshot, so it would be refused at deploy; here its module scope runs again \
             in each isolate: {why}"
        ));
        Ok(false)
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
            isolate.load(self.spec.code(env_json))?;
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
        isolate.load(self.spec.code(env_json))?;
        Ok(isolate)
    }

    /// Of the Worker's own files, those whose content the packages' layer is named after: no others are there when it is made.
    fn vendored(&self) -> Arc<SourceVolume> {
        Arc::new(SourceVolume::new(&self.spec.split().0))
    }

    fn options(&self, ops: HostOps) -> IsolateOptions {
        self.options_with(ops, self.sources.clone())
    }

    fn options_with(&self, ops: HostOps, sources: Arc<SourceVolume>) -> IsolateOptions {
        let packages = Arc::new(PackageVolume(self.spec.packages.clone()));
        let ops = ops.with_volumes(vec![packages, sources]).with_bindings(self.spec.data.clone());
        let ops = ops.with_caches(self.spec.caches.clone());
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
    image: Arc<Image>,
    learning: Learning,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Learning {
    Ahead,
    Begun,
    Over,
}

impl Guest for Running {
    fn turn(&mut self, events: Vec<Event>) -> Result<Turn, IsolateError> {
        if self.learning == Learning::Ahead && events.iter().any(|e| matches!(e, Event::Fetch { .. })) {
            self.learning = Learning::Begun;
        }
        let turn = self.isolate.turn(events)?;
        if self.learning == Learning::Begun && turn.pending_ops == 0 && turn.next_timer.is_none() {
            self.learning = Learning::Over;
            if let Err(error) = self.isolate.learn() {
                tracing::debug!("restores stay slow: {error}");
            }
            self.image.learn_from_request(&mut self.isolate);
        }
        Ok(turn)
    }
}
