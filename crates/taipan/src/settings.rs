//! What the command line and the environment come to.

use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::Result;
use taipan_packages::pyodide::{Cache, ObtainError, Source};
use taipan_server::IsolateCap;

use crate::cli::{DevArgs, LogLevel};
use crate::report::hinted;

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
    /// Where a Pyodide release comes from that the cache does not have.
    pub(crate) pyodide: Source,
    pub(crate) cache: Cache,
    pub(crate) log_level: LogLevel,
    /// Memory of an isolate over that of the configuration, in MiB.
    pub(crate) memory_mib: Option<u16>,
    pub(crate) isolates: IsolateCap,
}

impl DevSettings {
    pub(crate) fn new(args: DevArgs) -> Result<Self> {
        let cache = Cache::new(args.cache_dir).map_err(|e| hinted(e, ObtainError::hint))?;
        let pyodide = match args.pyodide {
            None => Source::Npm,
            Some(url) if url.contains("://") => Source::Url(url),
            Some(folder) => Source::Folder(folder.into()),
        };
        Ok(Self {
            folder: args.folder,
            config: args.config,
            env: args.env,
            vars: args.vars,
            port: args.port,
            ip: args.ip,
            pyodide,
            cache,
            log_level: args.log_level,
            memory_mib: args.memory_mib,
            isolates: match args.max_isolates {
                Some(n) => IsolateCap::chosen(usize::try_from(n).unwrap_or(usize::MAX)),
                None => IsolateCap::of_machine(),
            },
        })
    }
}
