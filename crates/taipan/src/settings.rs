//! What the command line and the environment come to.

use std::net::{IpAddr, SocketAddr};
use std::path::{PathBuf, absolute};

use anyhow::{Context, Result};
use taipan_packages::pyodide::{Cache, ObtainError, Release, Source};
use taipan_packages::python::Index;
use taipan_server::{IsolateCap, Policy};

use crate::cli::deploy::{DeployArgs, ServeArgs, ServerArgs};
use crate::cli::{
    DevArgs, Egress, LogLevel, PackageArgs, ProjectArgs, Protocol, PythonArgs, ReleaseArgs, TypesArgs,
};
use crate::release;
use crate::report::hinted;

/// Everything that `taipan dev` goes by, except what the Worker's own configuration says.
#[derive(Clone, Debug)]
pub(crate) struct DevSettings {
    /// The Worker's folder.
    pub(crate) folder: PathBuf,
    /// Its configuration file, when it is not the one in the folder.
    pub(crate) config: Option<PathBuf>,
    /// Configuration files of other Workers.
    pub(crate) others: Vec<PathBuf>,
    /// Environment of the configuration.
    pub(crate) env: Option<String>,
    /// Variables over those of the configuration.
    pub(crate) vars: Vec<(String, String)>,
    /// Files of secrets, when they are not those beside the configuration.
    pub(crate) env_files: Vec<PathBuf>,
    pub(crate) port: Option<u16>,
    pub(crate) ip: Option<IpAddr>,
    /// Without TLS when there is none.
    pub(crate) certificate: Option<Certificate>,
    pub(crate) releases: ReleaseSettings,
    /// The folder for data, when it is not the one beside the configuration.
    pub(crate) persist_to: Option<PathBuf>,
    pub(crate) packages: PackageSettings,
    pub(crate) log_level: LogLevel,
    /// Memory of an isolate over that of the configuration, in MiB.
    pub(crate) memory_mib: Option<u16>,
    pub(crate) isolates: IsolateCap,
    /// What the Worker may connect to.
    pub(crate) egress: Policy,
}

/// What TLS shows to clients.
#[derive(Clone, Debug)]
pub(crate) enum Certificate {
    SelfSigned,
    Files { chain: PathBuf, key: PathBuf },
}

impl DevSettings {
    /// The same for each of the Workers, the one that is served first.
    pub(crate) fn each(&self) -> Vec<Self> {
        let others = self.others.iter().map(|config| Self {
            config: Some(config.clone()),
            others: Vec::new(),
            // They are given for the first.
            vars: Vec::new(),
            env_files: Vec::new(),
            ..self.clone()
        });
        std::iter::once(self.clone()).chain(others).collect()
    }

    pub(crate) fn new(args: DevArgs) -> Result<Self> {
        Ok(Self {
            folder: args.folder,
            config: args.config.first().cloned(),
            others: args.config.into_iter().skip(1).collect(),
            env: args.env,
            vars: args.vars,
            env_files: args.env_files.iter().map(absolute).collect::<std::io::Result<_>>()?,
            port: args.port,
            ip: args.ip,
            certificate: match (args.https_cert_path, args.https_key_path) {
                (Some(chain), Some(key)) => Some(Certificate::Files { chain, key }),
                _ => (args.local_protocol == Protocol::Https).then_some(Certificate::SelfSigned),
            },
            releases: ReleaseSettings::new(args.releases)?,
            persist_to: args.persist_to,
            packages: PackageSettings::new(args.packages),
            log_level: args.log_level,
            memory_mib: args.memory_mib,
            isolates: isolate_cap(args.max_isolates),
            egress: policy(args.egress),
        })
    }
}

fn isolate_cap(given: Option<u32>) -> IsolateCap {
    match given {
        Some(n) => IsolateCap::chosen(usize::try_from(n).unwrap_or(usize::MAX)),
        None => IsolateCap::of_machine(),
    }
}

fn policy(given: Egress) -> Policy {
    match given {
        Egress::Open => Policy::Open,
        Egress::Public => Policy::Public,
    }
}

/// Everything that `taipan serve` goes by.
#[derive(Clone, Debug)]
pub(crate) struct ServeSettings {
    /// The folder for all that is deployed and for data.
    pub(crate) state: PathBuf,
    /// Where clients of the Workers connect.
    pub(crate) clients: SocketAddr,
    /// Where those connect who deploy.
    pub(crate) admin: SocketAddr,
    pub(crate) cache: Cache,
    pub(crate) log_level: LogLevel,
    pub(crate) isolates: IsolateCap,
    /// What Workers may connect to.
    pub(crate) egress: Policy,
}

impl ServeSettings {
    pub(crate) fn new(args: ServeArgs) -> Result<Self> {
        Ok(Self {
            // Names in it are kept longer than the current folder may be.
            state: absolute(args.state)?,
            clients: SocketAddr::new(args.ip, args.port),
            admin: SocketAddr::new(args.admin_ip, args.admin_port),
            cache: cache(args.cache_dir)?,
            log_level: args.log_level,
            isolates: isolate_cap(args.max_isolates),
            egress: policy(args.egress),
        })
    }
}

/// Which `taipan serve` is asked.
#[derive(Clone)]
pub(crate) struct ServerSettings {
    pub(crate) server: Option<String>,
    pub(crate) token: Option<String>,
    /// Its state folder, which has its address and its token.
    pub(crate) state: Option<PathBuf>,
}

impl ServerSettings {
    pub(crate) fn new(args: ServerArgs) -> Self {
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        Self { server: given(args.server), token: given(args.token), state: args.state }
    }
}

/// Everything that `taipan deploy` goes by.
pub(crate) struct DeploySettings {
    /// How `dev` would see the Worker.
    pub(crate) project: DevSettings,
    pub(crate) server: ServerSettings,
    /// No server is asked.
    pub(crate) dry_run: bool,
}

impl DeploySettings {
    pub(crate) fn new(args: DeployArgs) -> Result<Self> {
        let project = DevSettings {
            folder: args.worker.folder,
            config: args.worker.config,
            others: vec![],
            env: args.worker.env,
            vars: args.vars,
            env_files: vec![],
            port: None,
            ip: None,
            certificate: None,
            releases: ReleaseSettings::new(args.releases)?,
            persist_to: None,
            packages: PackageSettings::new(args.packages),
            log_level: LogLevel::Info,
            memory_mib: None,
            isolates: IsolateCap::of_machine(),
            egress: Policy::Public,
        };
        Ok(Self { project, server: ServerSettings::new(args.server), dry_run: args.dry_run })
    }
}

/// Where releases of Pyodide come from, and where they go with what is made of them.
#[derive(Clone, Debug)]
pub(crate) struct ReleaseSettings {
    /// Where one comes from that the cache does not have.
    pub(crate) source: Source,
    pub(crate) cache: Cache,
}

impl ReleaseSettings {
    fn new(args: ReleaseArgs) -> Result<Self> {
        let source = match args.pyodide {
            None => Source::Npm,
            Some(url) if url.contains("://") => Source::Url(url),
            Some(folder) => Source::Folder(folder.into()),
        };
        Ok(Self { source, cache: cache(args.cache_dir)? })
    }
}

/// The cache folder: the one that is given, or the usual one.
pub(crate) fn cache(given: Option<PathBuf>) -> Result<Cache> {
    Cache::new(given).map_err(|e| hinted(e, ObtainError::hint))
}

/// Where packages come from.
#[derive(Clone, Debug)]
pub(crate) struct PackageSettings {
    /// A folder of wheels or an index, when it is not the usual one.
    pub(crate) index: Option<Index>,
    /// The program uv, when it is not the one on PATH.
    pub(crate) uv: Option<PathBuf>,
}

impl PackageSettings {
    fn new(args: PackageArgs) -> Self {
        let index = args.package_index.map(|given| match given.contains("://") {
            true => Index::Url { url: given },
            // uv runs in the project's folder.
            false => Index::Folder(absolute(&given).unwrap_or_else(|_| given.into())),
        });
        Self { index, uv: args.uv }
    }
}

/// Everything that the commands go by that are about a project's packages.
#[derive(Clone, Debug)]
pub(crate) struct ProjectSettings {
    /// The project's folder.
    pub(crate) folder: PathBuf,
    pub(crate) packages: PackageSettings,
    pub(crate) releases: ReleaseSettings,
}

impl ProjectSettings {
    pub(crate) fn new(args: ProjectArgs) -> Result<Self> {
        Ok(Self {
            folder: args.folder,
            packages: PackageSettings::new(args.packages),
            releases: ReleaseSettings::new(args.releases)?,
        })
    }
}

/// Everything that `taipan python` goes by.
#[derive(Clone, Debug)]
pub(crate) struct PythonSettings {
    /// Options of python, and what to run with which arguments.
    pub(crate) arguments: Vec<String>,
    /// Folders that the program may read beside the current one and its own.
    pub(crate) folders: Vec<PathBuf>,
    /// `sys.executable`.
    pub(crate) executable: String,
    /// Whether that is what was asked for, by one who wants Python and nothing else.
    pub(crate) is_alone: bool,
    pub(crate) packages: PackageSettings,
    pub(crate) release: &'static Release,
    pub(crate) releases: ReleaseSettings,
}

impl PythonSettings {
    pub(crate) fn new(args: PythonArgs) -> Result<Self> {
        let is_alone = args.executable.is_some();
        let executable = match args.executable {
            Some(executable) => executable,
            None => std::env::current_exe()?,
        };
        Ok(Self {
            arguments: args.arguments,
            folders: args.allow_read.into_iter().map(absolute).collect::<Result<_, _>>()?,
            executable: executable.to_string_lossy().into_owned(),
            is_alone,
            packages: PackageSettings::new(args.packages),
            release: match args.version {
                Some(version) => release::of_python(&version)?,
                None => release::of_folder(&std::env::current_dir().context("the current folder is gone")?)?,
            },
            releases: ReleaseSettings::new(args.releases)?,
        })
    }
}

/// Everything that `taipan types` goes by.
#[derive(Clone, Debug)]
pub(crate) struct TypesSettings {
    /// The Worker's folder.
    pub(crate) folder: PathBuf,
    /// Environment of the configuration.
    pub(crate) env: Option<String>,
    /// Where stubs go, when not to the usual place.
    pub(crate) output: Option<PathBuf>,
    pub(crate) releases: ReleaseSettings,
}

impl TypesSettings {
    pub(crate) fn new(args: TypesArgs) -> Result<Self> {
        Ok(Self {
            folder: args.folder,
            env: args.env,
            output: args.output,
            releases: ReleaseSettings::new(args.releases)?,
        })
    }
}
