//! A Worker's folder as it is now, its configuration and its files: what `dev` serves and `deploy` brings elsewhere.

pub(crate) mod size;
pub(crate) mod sources;
mod version;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use taipan_config::{Assets, Bindings, ConfigError, Cron, ObjectStore, Route, WorkerConfig};
use taipan_packages::pyodide::{self, ObtainError};
use taipan_server::{PoolOptions, WorkerSpec, declared};

use crate::packages::Packages;
use crate::report::hinted;
use crate::settings::DevSettings;
use size::Size;

/// CPU time of a turn when the configuration has no `limits.cpu_ms`, as on Cloudflare.
const REQUEST_CPU: Duration = Duration::from_secs(30);

/// CPU time of a start. Generous: a laptop on battery is many times slower than a server.
const BOOT_CPU: Duration = Duration::from_secs(60);

/// Memory of an isolate when the configuration has no `taipan.memory_mib`, as on Cloudflare, in MiB.
const MEMORY_MIB: usize = 128;

/// One state of the folder.
pub(crate) struct Project {
    /// The Worker's name.
    pub(crate) name: String,
    /// What isolates are made from.
    pub(crate) spec: WorkerSpec,
    /// What it reaches.
    pub(crate) bindings: Bindings,
    /// Stores that have the bytes of its buckets.
    pub(crate) object_stores: Vec<ObjectStore>,
    /// What is served beside it.
    pub(crate) assets: Option<Assets>,
    /// When its handler `scheduled` is called.
    pub(crate) crons: Vec<Cron>,
    /// The addresses that it is called for when it is deployed.
    pub(crate) routes: Vec<Route>,
    /// The date whose behaviour it was written for, and its flags.
    pub(crate) date: String,
    pub(crate) flags: Vec<String>,
    /// Keys of its configuration that nothing here knows how to use.
    pub(crate) unused_keys: Vec<String>,
    /// How many there are.
    pub(crate) pool: PoolOptions,
    /// The Pyodide release to run on.
    pub(crate) release: &'static str,
    pub(crate) port: Option<u16>,
    pub(crate) ip: Option<IpAddr>,
    /// The largest body of a request, in bytes.
    pub(crate) body_limit: Option<u64>,
    /// The folder of the Worker's files.
    pub(crate) folder: PathBuf,
    /// The folder of the configuration and of `.dev.vars`.
    pub(crate) config_folder: PathBuf,
    /// What the developer should know.
    pub(crate) warnings: Vec<String>,
    /// How large it is, and what of it.
    pub(crate) size: Size,
}

impl Project {
    /// Reads it. Packages are locked and obtained if need be; `note` is told what is worth knowing about that.
    pub(crate) fn load(settings: &DevSettings, note: &dyn Fn(&str)) -> Result<Self> {
        let path = settings.config.as_ref().unwrap_or(&settings.folder);
        let config = WorkerConfig::load_with(path, settings.env.as_deref(), &settings.env_files)
            .map_err(|e| hinted(e, ConfigError::hint))?;
        let (mut vars, mut secrets) = (config.vars, config.secrets);
        for (name, value) in &settings.vars {
            vars.insert(name.clone(), value.as_str().into());
            secrets.remove(name);
        }
        let taipan = config.taipan;
        let memory_mib = settings.memory_mib.map(usize::from).or(taipan.memory_mib.map(|n| n as usize));
        let defaults = PoolOptions::default();
        let pool = PoolOptions {
            min: taipan.isolates.min.unwrap_or(defaults.min),
            max: taipan.isolates.max.unwrap_or(defaults.max),
            idle: taipan.isolates.idle_seconds.map_or(defaults.idle, Duration::from_secs),
        };
        let found = match config.has_code {
            true => sources::collect(&config.root, &config.files)?,
            false => sources::none(),
        };
        let mut warnings = config.warnings;
        warnings.extend(
            config.unused_keys.iter().map(|key| format!("taipan does not use this key yet: `{key}`")),
        );
        warnings.extend(found.warnings);
        if let Some(binding) = &config.bindings.version {
            vars.insert(binding.clone(), version::of(&found.files, &config.files, &vars));
        }
        let packages = Packages {
            folder: &config.root,
            settings: &settings.packages,
            release: pyodide::release(config.release.version).map_err(|e| hinted(e, ObtainError::hint))?,
            releases: &settings.releases,
        };
        let packages = packages.tree(&config.files, &found.files, note)?;
        let size = Size::new(&found.files, &packages);
        warnings.extend(size.warning());
        let spec = WorkerSpec {
            packages,
            sources: found.files.into(),
            main: config.files.main,
            vars: vars.into_iter().collect(),
            secrets,
            secrets_at_import: taipan.secrets_at_import,
            global_handlers: config.global_handlers,
            bindings: declared(&config.bindings),
            data: Arc::default(),
            caches: Default::default(),
            memory_limit: memory_mib.unwrap_or(MEMORY_MIB) << 20,
            request_cpu: config.limits.cpu_ms.map_or(REQUEST_CPU, Duration::from_millis),
            needs_snapshot: false,
            boot_cpu: taipan.startup_cpu_ms.map_or(BOOT_CPU, Duration::from_millis),
        };
        Ok(Self {
            name: config.name,
            spec,
            bindings: config.bindings,
            assets: config.assets,
            crons: config.crons,
            routes: config.routes,
            date: config.compatibility_date.to_string(),
            flags: config.flags,
            unused_keys: config.unused_keys,
            pool,
            release: config.release.version,
            port: config.dev.port,
            ip: config.dev.ip,
            object_stores: taipan.object_stores,
            body_limit: taipan.request_body_mib.map(|mib| mib << 20),
            folder: config.files.base,
            config_folder: config.root,
            warnings,
            size,
        })
    }

    /// The folders with files of the Worker's.
    pub(crate) fn folders(&self) -> [PathBuf; 2] {
        [self.folder.clone(), self.config_folder.join(sources::PACKAGES)]
    }

    /// Whether a Worker made from the other would be the same.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let (a, b) = (&self.spec, &other.spec);
        self.release == other.release
            && a.main == b.main
            && self.pool == other.pool
            && self.bindings == other.bindings
            && self.assets == other.assets
            && self.crons == other.crons
            && a.vars == b.vars
            && a.secrets == b.secrets
            && a.secrets_at_import == b.secrets_at_import
            && a.global_handlers == b.global_handlers
            && a.memory_limit == b.memory_limit
            && a.request_cpu == b.request_cpu
            && a.boot_cpu == b.boot_cpu
            && a.packages.name() == b.packages.name()
            && a.sources.len() == b.sources.len()
            && a.sources.iter().zip(&*b.sources).all(|(a, b)| a.path == b.path && a.content == b.content)
    }
}
