//! What a server and its builder tell each other: a length of four bytes, little-endian, and so many bytes of postcard's
//! encoding. Both are the same program, so there are no versions.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use taipan_config::{Secret, SecretsAtImport};
use taipan_engine::{Binding, BootError, IsolateError, Source};
use taipan_packages::python::PackageTree;

use crate::boot::WorkerSpec;

/// The version of a Worker whose snapshots are to be made: [`WorkerSpec`] without the values of secrets.
#[derive(Deserialize, Serialize)]
pub(super) struct Job {
    sources: Vec<File>,
    main: String,
    /// A JSON object, since values of any kind are nothing that postcard can read back.
    vars: String,
    secrets: Vec<String>,
    /// Otherwise it has a snapshot of its packages alone, because it reads secrets at import.
    has_snapshot: bool,
    global_handlers: bool,
    bindings: Vec<Binding>,
    packages: Arc<PackageTree>,
    memory_limit: usize,
    needs_snapshot: bool,
    request_cpu: Duration,
    boot_cpu: Duration,
}

#[derive(Deserialize, Serialize)]
struct File {
    path: String,
    #[serde(with = "serde_bytes")]
    content: Vec<u8>,
}

impl Job {
    pub(super) fn new(spec: &WorkerSpec) -> Self {
        let file = |source: &Source| File { path: source.path.clone(), content: source.content.to_vec() };
        Self {
            sources: spec.sources.iter().map(file).collect(),
            main: spec.main.clone(),
            vars: Value::Object(spec.vars.clone()).to_string(),
            secrets: spec.secrets.keys().cloned().collect(),
            has_snapshot: spec.secrets_at_import == SecretsAtImport::None,
            global_handlers: spec.global_handlers,
            bindings: spec.bindings.clone(),
            packages: spec.packages.clone(),
            memory_limit: spec.memory_limit,
            needs_snapshot: spec.needs_snapshot,
            request_cpu: spec.request_cpu,
            boot_cpu: spec.boot_cpu,
        }
    }

    pub(super) fn into_spec(self) -> serde_json::Result<WorkerSpec> {
        let source = |file: File| Source { path: file.path, content: file.content.into() };
        let vars: Map<String, Value> = serde_json::from_str(&self.vars)?;
        let nothing = |name| (name, Secret::new(""));
        Ok(WorkerSpec {
            sources: self.sources.into_iter().map(source).collect(),
            main: self.main,
            vars,
            secrets: self.secrets.into_iter().map(nothing).collect::<BTreeMap<_, _>>(),
            secrets_at_import: if self.has_snapshot { SecretsAtImport::None } else { SecretsAtImport::All },
            global_handlers: self.global_handlers,
            bindings: self.bindings,
            data: Arc::default(),
            caches: Default::default(),
            packages: self.packages,
            memory_limit: self.memory_limit,
            needs_snapshot: self.needs_snapshot,
            request_cpu: self.request_cpu,
            boot_cpu: self.boot_cpu,
        })
    }
}

/// What a builder has to say.
#[derive(Deserialize, Serialize)]
pub(super) enum Said {
    /// Module scope has printed a line.
    Guest { level: u8, line: String },
    /// See [`crate::Console::warning`].
    Warning(String),
    /// The job is done.
    Done(Outcome),
}

/// How a job ended.
#[derive(Deserialize, Serialize)]
pub(super) enum Outcome {
    Made(Made),
    /// See [`BootError::Worker`].
    Worker(String),
    Isolate(IsolateError),
}

/// What the cache has of the Worker now. Files are named as they were when they were made: what is learned afterwards changes what the
/// next ones are called.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Made {
    /// The Worker's snapshot; none when its module scope cannot be kept.
    pub(crate) worker: Option<PathBuf>,
    /// That of its packages, if there is one.
    pub(crate) packages: Option<PathBuf>,
}

impl Outcome {
    pub(super) fn of(result: Result<Made, BootError>) -> Self {
        match result {
            Ok(made) => Self::Made(made),
            Err(BootError::Worker { report_json }) => Self::Worker(report_json),
            Err(BootError::Isolate(error)) => Self::Isolate(error),
        }
    }

    pub(super) fn into_result(self) -> Result<Made, BootError> {
        match self {
            Self::Made(made) => Ok(made),
            Self::Worker(report_json) => Err(BootError::Worker { report_json }),
            Self::Isolate(error) => Err(error.into()),
        }
    }
}

pub(super) fn write(to: &mut impl Write, message: &impl Serialize) -> io::Result<()> {
    let bytes = postcard::to_stdvec(message).map_err(io::Error::other)?;
    let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    to.write_all(&length.to_le_bytes())?;
    to.write_all(&bytes)?;
    to.flush()
}

/// `None` at the end.
pub(super) fn read<T: DeserializeOwned>(from: &mut impl Read) -> io::Result<Option<T>> {
    let mut length = [0; 4];
    match from.read_exact(&mut length) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let length = u64::from(u32::from_le_bytes(length));
    let mut bytes = vec![];
    if from.take(length).read_to_end(&mut bytes)? as u64 != length {
        return Ok(None);
    }
    postcard::from_bytes(&bytes).map(Some).map_err(io::Error::other)
}
