//! A Worker's folder as it is now: its configuration and its files.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, anyhow};
use serde_json::Value;
use taipan_config::{ConfigError, WorkerConfig};
use taipan_server::WorkerSpec;

use super::sources;
use crate::report::hinted;
use crate::settings::DevSettings;

/// CPU time of a turn when the configuration has no `limits.cpu_ms`, as on Cloudflare.
const TURN_CPU: Duration = Duration::from_secs(30);

/// CPU time of a start. Generous: a laptop on battery is many times slower than a server.
const BOOT_CPU: Duration = Duration::from_secs(60);

/// One state of the folder.
pub(crate) struct Project {
    /// What isolates are made from.
    pub(crate) spec: WorkerSpec,
    /// The Pyodide release to run on.
    pub(crate) release: &'static str,
    pub(crate) port: Option<u16>,
    pub(crate) ip: Option<IpAddr>,
    /// The folder of the main module.
    pub(crate) folder: PathBuf,
    /// The folder of the configuration and of `.dev.vars`.
    pub(crate) config_folder: PathBuf,
    /// What the developer should know.
    pub(crate) warnings: Vec<String>,
}

impl Project {
    pub(crate) fn load(settings: &DevSettings) -> Result<Self> {
        let path = settings.config.as_ref().unwrap_or(&settings.folder);
        let config =
            WorkerConfig::load(path, settings.env.as_deref()).map_err(|e| hinted(e, ConfigError::hint))?;
        let main = config
            .main
            .file_name()
            .and_then(|name| name.to_str())
            .ok_or_else(|| anyhow!("the main module's name is not text: {}", config.main.display()))?;
        let mut env = config.env_json();
        if let Value::Object(env) = &mut env {
            env.extend(settings.vars.iter().map(|(name, value)| (name.clone(), value.as_str().into())));
        }
        let found = sources::collect(&config.main_dir)?;
        let mut warnings = config.warnings;
        warnings.extend(
            config.unused_keys.iter().map(|key| format!("taipan does not use this key yet: `{key}`")),
        );
        warnings.extend(found.warnings);
        let spec = WorkerSpec {
            sources: found.files.into(),
            main: main.to_owned(),
            env_json: env.to_string(),
            global_handlers: config.global_handlers,
            memory_limit: settings.memory_limit,
            turn_cpu: config.limits.cpu_ms.map_or(TURN_CPU, Duration::from_millis),
            boot_cpu: BOOT_CPU,
        };
        Ok(Self {
            spec,
            release: config.release.version,
            port: config.dev.port,
            ip: config.dev.ip,
            folder: config.main_dir,
            config_folder: config.root,
            warnings,
        })
    }

    /// Whether a Worker made from the other would be the same.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let (a, b) = (&self.spec, &other.spec);
        self.release == other.release
            && a.main == b.main
            && a.env_json == b.env_json
            && a.global_handlers == b.global_handlers
            && a.turn_cpu == b.turn_cpu
            && a.sources.len() == b.sources.len()
            && a.sources.iter().zip(&*b.sources).all(|(a, b)| a.path == b.path && a.content == b.content)
    }
}
