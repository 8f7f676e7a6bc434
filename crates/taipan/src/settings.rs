//! What the command line and the environment come to.

use std::env;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};

use crate::cli::{DevArgs, LogLevel};
use crate::env_vars::EnvVars;
use crate::report::hint;

/// Everything that `taipan dev` goes by, except what the Worker's own configuration says.
#[derive(Clone, Debug)]
pub(crate) struct DevSettings {
    /// The Worker's folder.
    pub(crate) folder: PathBuf,
    /// Its configuration file, when it is not the one in the folder.
    pub(crate) config: Option<PathBuf>,
    /// Environment of the configuration.
    pub(crate) env: Option<String>,
    /// Variables over those of the configuration.
    pub(crate) vars: Vec<(String, String)>,
    pub(crate) port: Option<u16>,
    pub(crate) ip: Option<IpAddr>,
    /// Folder or URL of a Pyodide release.
    pub(crate) pyodide: Option<String>,
    pub(crate) cache_dir: PathBuf,
    pub(crate) log_level: LogLevel,
    /// In bytes.
    pub(crate) memory_limit: usize,
}

impl DevSettings {
    pub(crate) fn new(args: DevArgs) -> Result<Self> {
        let cache_dir = match args.cache_dir {
            Some(folder) => folder,
            None => user_cache_dir(|name| env::var_os(name).map(PathBuf::from)).ok_or_else(|| {
                hint(
                    anyhow!("there is no home folder for the cache"),
                    format!("name a folder with --cache-dir or {}", EnvVars::CACHE_DIR),
                )
            })?,
        };
        Ok(Self {
            folder: args.folder,
            config: args.config,
            env: args.env,
            vars: args.vars,
            port: args.port,
            ip: args.ip,
            pyodide: args.pyodide,
            cache_dir: std::path::absolute(cache_dir)?,
            log_level: args.log_level,
            memory_limit: usize::from(args.memory_mib) << 20,
        })
    }
}

fn user_cache_dir(variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    let absolute = |path: PathBuf| Some(path).filter(|p| p.is_absolute());
    let base = variable(EnvVars::XDG_CACHE_HOME).and_then(absolute).or_else(|| {
        let cache = if cfg!(target_os = "macos") { "Library/Caches" } else { ".cache" };
        variable(EnvVars::HOME).and_then(absolute).map(|home| home.join(Path::new(cache)))
    })?;
    Some(base.join("taipan"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_folder_follows_the_base_directory_standard() {
        let with = |xdg: Option<&'static str>, home: Option<&'static str>| {
            user_cache_dir(|name| if name == EnvVars::HOME { home } else { xdg }.map(PathBuf::from))
        };
        assert_eq!(with(Some("/x"), Some("/h")), Some("/x/taipan".into()));
        assert_eq!(with(None, None), None);
        let fallback = with(Some("relative"), Some("/h")).unwrap();
        assert!(fallback.starts_with("/h") && fallback.ends_with("taipan"), "{fallback:?}");
    }
}
