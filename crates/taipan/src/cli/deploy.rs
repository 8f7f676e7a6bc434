//! Commands that serve Workers for others, and bring them there.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Egress, LogLevel, PackageArgs, ReleaseArgs, variable};
use crate::env_vars::EnvVars;

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Folder for all that is deployed, and for the data of bindings.
    #[arg(long, value_name = "DIR", default_value = ".taipan")]
    pub(crate) state: PathBuf,
    /// The address to listen on for clients of the Workers.
    #[arg(long, default_value = "127.0.0.1")]
    pub(crate) ip: IpAddr,
    /// The port to listen on for clients of the Workers; 0 takes any free one.
    #[arg(long, default_value_t = 8787)]
    pub(crate) port: u16,
    /// The address to listen on for `taipan deploy`. What is said there is not encrypted.
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    pub(crate) admin_ip: IpAddr,
    /// The port to listen on for `taipan deploy`; 0 takes any free one.
    #[arg(long, value_name = "PORT", default_value_t = 8788)]
    pub(crate) admin_port: u16,
    /// What Workers may connect to: anything, or only the public internet, without this machine and its networks.
    #[arg(long, value_enum, default_value_t = Egress::Public)]
    pub(crate) egress: Egress,
    /// How many isolates there may be at the same time [default: what the machine's memory and mappings allow].
    #[arg(long, value_name = "N", env = EnvVars::MAX_ISOLATES, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_isolates: Option<u32>,
    /// Folder for compiled code and snapshots [default: taipan in the user's cache folder].
    #[arg(long, value_name = "DIR", env = EnvVars::CACHE_DIR)]
    pub(crate) cache_dir: Option<PathBuf>,
    /// Which log lines to show.
    #[arg(long, value_enum, default_value_t = LogLevel::Info, env = EnvVars::LOG_LEVEL)]
    pub(crate) log_level: LogLevel,
}

/// The `taipan serve` that is asked.
#[derive(Debug, Args)]
pub(crate) struct ServerArgs {
    /// The address of `taipan serve` for deployments [default: http://127.0.0.1:8788, or what the state folder says].
    #[arg(long, value_name = "URL", env = EnvVars::SERVER)]
    pub(crate) server: Option<String>,
    /// The token that `taipan serve` has in its state folder, in the file taipan-v1/admin-token.
    #[arg(long, value_name = "TOKEN", env = EnvVars::TOKEN, hide_env_values = true)]
    pub(crate) token: Option<String>,
    /// The state folder of a `taipan serve` on this machine, for the address and the token.
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
}

/// Which Worker is meant.
#[derive(Debug, Args)]
pub(crate) struct WorkerArgs {
    /// The Worker's folder, with its wrangler.jsonc, wrangler.json or wrangler.toml.
    #[arg(value_name = "DIR", default_value = ".")]
    pub(crate) folder: PathBuf,
    /// The configuration file [default: the one in DIR].
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The environment of the configuration to use.
    #[arg(short, long, value_name = "NAME")]
    pub(crate) env: Option<String>,
}

/// Which deployed Worker is meant.
#[derive(Debug, Args)]
pub(crate) struct NamedArgs {
    /// Its name [default: that of the configuration].
    #[arg(long, value_name = "WORKER")]
    pub(crate) name: Option<String>,
    /// The Worker's folder, for the name.
    #[arg(short = 'C', long = "project", value_name = "DIR", default_value = ".")]
    pub(crate) folder: PathBuf,
    /// The configuration file [default: the one in the folder].
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The environment of the configuration to use.
    #[arg(short, long, value_name = "NAME")]
    pub(crate) env: Option<String>,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DeployArgs {
    #[command(flatten)]
    pub(crate) worker: WorkerArgs,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    /// Say what would be deployed, and how large it is; ask no server.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// A variable for the Worker's env, over those of the configuration; repeatable.
    #[arg(long = "var", value_name = "NAME=VALUE", value_parser = variable)]
    pub(crate) vars: Vec<(String, String)>,
    #[command(flatten)]
    pub(crate) packages: PackageArgs,
    #[command(flatten)]
    pub(crate) releases: ReleaseArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SecretCommand {
    /// Set a secret; its value is read from standard input.
    Put {
        /// Its name in env.
        #[arg(value_name = "SECRET")]
        secret: String,
        #[command(flatten)]
        worker: NamedArgs,
    },
    /// Show the names of secrets.
    List {
        #[command(flatten)]
        worker: NamedArgs,
    },
    /// Remove a secret.
    Delete {
        /// Its name in env.
        #[arg(value_name = "SECRET")]
        secret: String,
        #[command(flatten)]
        worker: NamedArgs,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeploymentsCommand {
    /// Show the versions of a Worker, the newest first.
    List {
        #[command(flatten)]
        worker: NamedArgs,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct RollbackArgs {
    /// The ID of the version [default: the one before the current].
    #[arg(value_name = "VERSION")]
    pub(crate) version: Option<String>,
    #[command(flatten)]
    pub(crate) worker: NamedArgs,
}
