//! What can be typed.

pub(crate) mod data;
pub(crate) mod deploy;

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::env_vars::EnvVars;

/// A runtime for Python Workers.
#[derive(Debug, Parser)]
#[command(name = "taipan", version, about, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve a Worker on this machine and reload it on save.
    Dev(DevArgs),
    /// Serve the Workers that are deployed to this process.
    Serve(deploy::ServeArgs),
    /// Bring a Worker to a `taipan serve`.
    Deploy(deploy::DeployArgs),
    /// Set, list or remove secrets of a deployed Worker.
    #[command(subcommand)]
    Secret(deploy::SecretCommand),
    /// Show the versions of a deployed Worker.
    #[command(subcommand)]
    Deployments(deploy::DeploymentsCommand),
    /// Serve another version of a deployed Worker again.
    Rollback(deploy::RollbackArgs),
    /// Remove a deployed Worker with its versions and secrets.
    Delete(deploy::NamedArgs),
    /// Add packages to what the Worker's project requires.
    Add(AddArgs),
    /// Remove packages from what the Worker's project requires.
    Remove(RemoveArgs),
    /// Bring the packages that the Worker's project requires onto this machine, and say how large they are.
    Sync(ProjectArgs),
    /// Write which versions the requirements come to into pylock.toml.
    Lock(LockArgs),
    /// Show which packages are locked and which needs which.
    Tree(ProjectArgs),
    /// Show why a package is needed.
    Why(WhyArgs),
    /// Run Python in the sandbox: a script, `-c`, `-m`, standard input or what is typed, as the python command does.
    Python(PythonArgs),
    /// Look into key-value namespaces, or change them.
    Kv(data::KvArgs),
    /// Run SQL on databases, apply migrations, export and import.
    D1(data::D1Args),
    /// Get objects of buckets, put, list or remove them.
    R2(data::R2Args),
    /// Look into queues, send to them, or empty them.
    Queues(data::QueuesArgs),
    /// Ask about data points.
    Analytics(data::AnalyticsArgs),
    /// Write stubs for editors and type checkers: of env as the configuration has it, of bindings, workers, js and pyodide.
    Types(TypesArgs),
    /// Look into snapshots.
    #[command(subcommand)]
    Snapshot(SnapshotCommand),
    /// Show what is in the cache folder, or remove some of it.
    Cache(CacheArgs),
    /// Make snapshots for the process on the other end of the standard streams.
    #[command(hide = true)]
    BuildSnapshots(BuilderArgs),
}

#[derive(Debug, Args)]
pub(crate) struct BuilderArgs {
    /// The Pyodide release.
    #[arg(long)]
    pub(crate) release: String,
    /// The cache folder.
    #[arg(long)]
    pub(crate) cache_dir: PathBuf,
    /// A folder with the release, where the cache may not have it.
    #[arg(long)]
    pub(crate) pyodide: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SnapshotCommand {
    /// Check a snapshot's file and say what is in it.
    Inspect(InspectArgs),
}

#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// The file, such as one of those below workers in the cache folder.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
    /// The cache folder that it belongs to [default: taipan in the user's cache folder].
    #[arg(long, value_name = "DIR", env = EnvVars::CACHE_DIR)]
    pub(crate) cache_dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct CacheArgs {
    #[command(subcommand)]
    pub(crate) command: Option<CacheCommand>,
    /// The cache folder [default: taipan in the user's cache folder].
    #[arg(long, value_name = "DIR", env = EnvVars::CACHE_DIR, global = true)]
    pub(crate) cache_dir: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CacheCommand {
    /// Remove what has not been used for longest. It is made again when it is needed.
    Prune {
        /// Keep so many MiB.
        #[arg(long, value_name = "MIB", default_value_t = 2048, conflicts_with = "all")]
        max_size: u64,
        /// Remove everything but downloads and the key.
        #[arg(long)]
        all: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct DevArgs {
    /// The Worker's folder, with its wrangler.jsonc, wrangler.json or wrangler.toml.
    #[arg(value_name = "DIR", default_value = ".")]
    pub(crate) folder: PathBuf,
    /// The port to listen on; 0 takes any free one [default: 8787, or the configuration's dev.port].
    #[arg(long)]
    pub(crate) port: Option<u16>,
    /// The address to listen on [default: 127.0.0.1, or the configuration's dev.ip].
    #[arg(long)]
    pub(crate) ip: Option<IpAddr>,
    /// Serve by http or by https, which includes HTTP/2 for browsers.
    #[arg(long, value_enum, default_value_t = Protocol::Http)]
    pub(crate) local_protocol: Protocol,
    /// The certificate for https, in PEM format [default: one that is made for localhost and signed by itself].
    #[arg(long, value_name = "FILE", requires = "https_key_path")]
    pub(crate) https_cert_path: Option<PathBuf>,
    /// The certificate's private key.
    #[arg(long, value_name = "FILE", requires = "https_cert_path")]
    pub(crate) https_key_path: Option<PathBuf>,
    /// The environment of the configuration to use.
    #[arg(short, long, value_name = "NAME")]
    pub(crate) env: Option<String>,
    /// A file of secrets, one NAME=VALUE a line, instead of .dev.vars or .env beside the configuration; repeatable: later ones count
    /// over earlier ones.
    #[arg(long = "env-file", value_name = "FILE")]
    pub(crate) env_files: Vec<PathBuf>,
    /// Accepted for wrangler's sake: all data is on this machine.
    #[arg(short, long, hide = true)]
    pub(crate) local: bool,
    /// The configuration file [default: the one in DIR]; repeatable: the first one's Worker is served, the others are there for its
    /// service bindings and queues.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: Vec<PathBuf>,
    /// A variable for the Worker's env, over those of the configuration; repeatable.
    #[arg(long = "var", value_name = "NAME=VALUE", value_parser = variable)]
    pub(crate) vars: Vec<(String, String)>,
    /// Folder for the data of bindings [default: .wrangler/state beside the configuration].
    #[arg(long, value_name = "DIR")]
    pub(crate) persist_to: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) packages: PackageArgs,
    #[command(flatten)]
    pub(crate) releases: ReleaseArgs,
    /// Which log lines to show.
    #[arg(long, value_enum, default_value_t = LogLevel::Info, env = EnvVars::LOG_LEVEL)]
    pub(crate) log_level: LogLevel,
    /// Memory that an isolate may use, in MiB, Python's own included [default: 128, or the configuration's
    /// taipan.memory_mib].
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u16).range(64..=4096))]
    pub(crate) memory_mib: Option<u16>,
    /// What the Worker may connect to: anything, or only the public internet, without this machine and its networks.
    #[arg(long, value_enum, default_value_t = Egress::Open)]
    pub(crate) egress: Egress,
    /// How many isolates there may be at the same time [default: what the machine's memory and mappings allow].
    #[arg(long, value_name = "N", env = EnvVars::MAX_ISOLATES, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_isolates: Option<u32>,
}

#[derive(Debug, Args)]
pub(crate) struct ProjectArgs {
    /// The project's folder, with its pyproject.toml or requirements.txt.
    #[arg(short = 'C', long = "project", value_name = "DIR", default_value = ".")]
    pub(crate) folder: PathBuf,
    #[command(flatten)]
    pub(crate) packages: PackageArgs,
    #[command(flatten)]
    pub(crate) releases: ReleaseArgs,
}

/// Where releases of Pyodide come from, and where they go.
#[derive(Debug, Args)]
pub(crate) struct ReleaseArgs {
    /// A folder with an unpacked Pyodide release, or the URL of a mirror.
    #[arg(long, value_name = "FOLDER|URL", env = EnvVars::PYODIDE)]
    pub(crate) pyodide: Option<String>,
    /// Folder for downloads and compiled code [default: taipan in the user's cache folder].
    #[arg(long, value_name = "DIR", env = EnvVars::CACHE_DIR)]
    pub(crate) cache_dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct PackageArgs {
    /// A folder of wheels, or the URL of an index, for builds that uv's indexes do not have [default: Pyodide's own index].
    #[arg(long, value_name = "FOLDER|URL", env = EnvVars::PACKAGE_INDEX)]
    pub(crate) package_index: Option<String>,
    /// The program uv [default: the one that is found on PATH].
    #[arg(long, value_name = "FILE", env = EnvVars::UV)]
    pub(crate) uv: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct AddArgs {
    /// Names, with versions or without: httpx, "fastapi>=0.120".
    #[arg(value_name = "PACKAGE", required = true)]
    pub(crate) requirements: Vec<String>,
    #[command(flatten)]
    pub(crate) project: ProjectArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RemoveArgs {
    /// Names.
    #[arg(value_name = "PACKAGE", required = true)]
    pub(crate) names: Vec<String>,
    #[command(flatten)]
    pub(crate) project: ProjectArgs,
}

#[derive(Debug, Args)]
pub(crate) struct LockArgs {
    /// Take the newest versions that the requirements allow.
    #[arg(long)]
    pub(crate) upgrade: bool,
    #[command(flatten)]
    pub(crate) project: ProjectArgs,
}

#[derive(Debug, Args)]
pub(crate) struct WhyArgs {
    /// Its name.
    #[arg(value_name = "PACKAGE")]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) project: ProjectArgs,
}

#[derive(Debug, Args)]
pub(crate) struct PythonArgs {
    /// A folder that the program may read beside the current one and its own; repeatable.
    #[arg(long = "allow-read", value_name = "DIR", env = EnvVars::PYTHON_ALLOW_READ, value_delimiter = ':')]
    pub(crate) allow_read: Vec<PathBuf>,
    /// Its version [default: that of the Worker in the current folder, or the newest].
    #[arg(long = "python", value_name = "3.12|3.13|3.14")]
    pub(crate) version: Option<String>,
    /// What `sys.executable` is.
    #[arg(long, value_name = "FILE", hide = true)]
    pub(crate) executable: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) packages: PackageArgs,
    #[command(flatten)]
    pub(crate) releases: ReleaseArgs,
    /// Options of python, and what to run with which arguments.
    #[arg(value_name = "ARGUMENT", trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) arguments: Vec<String>,
}

/// What a Worker may connect to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Egress {
    Open,
    Public,
}

#[derive(Debug, Args)]
pub(crate) struct TypesArgs {
    /// The Worker's folder, with its wrangler.jsonc, wrangler.json or wrangler.toml.
    #[arg(value_name = "DIR", default_value = ".")]
    pub(crate) folder: PathBuf,
    /// The environment of the configuration to use.
    #[arg(short, long, value_name = "NAME")]
    pub(crate) env: Option<String>,
    /// Where to write them [default: typings in the Worker's folder, where pyright looks].
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) releases: ReleaseArgs,
}

/// What a Worker is served by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Protocol {
    Http,
    Https,
}

/// The least serious line that is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum LogLevel {
    Debug,
    #[value(alias = "log")]
    Info,
    Warn,
    Error,
    None,
}

/// `NAME=VALUE`, or `NAME:VALUE` as wrangler has it.
fn variable(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .find(['=', ':'])
        .and_then(|at| Some((text.get(..at)?, text.get(at + 1..)?)))
        .filter(|(name, _)| !name.is_empty())
        .ok_or("write NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn variables() {
        assert_eq!(variable("A=b=c:d"), Ok(("A".into(), "b=c:d".into())));
        assert_eq!(variable("A:b=c"), Ok(("A".into(), "b=c".into())));
        assert_eq!(variable("A="), Ok(("A".into(), String::new())));
        assert!(variable("A").is_err() && variable("=b").is_err());
    }
}
