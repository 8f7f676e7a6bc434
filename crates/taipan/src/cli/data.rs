//! Commands that look into the data of bindings.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Where the data is.
#[derive(Debug, Args)]
pub(crate) struct DataArgs {
    /// The Worker's folder, with its wrangler.jsonc, wrangler.json or wrangler.toml.
    #[arg(short = 'C', long = "project", value_name = "DIR", default_value = ".", global = true)]
    pub(crate) folder: PathBuf,
    /// The configuration file [default: the one in the Worker's folder].
    #[arg(short, long, value_name = "FILE", global = true)]
    pub(crate) config: Option<PathBuf>,
    /// The environment of the configuration to use.
    #[arg(short, long, value_name = "NAME", global = true)]
    pub(crate) env: Option<String>,
    /// Folder for the data of bindings [default: .wrangler/state beside the configuration].
    #[arg(long, value_name = "DIR", global = true)]
    pub(crate) persist_to: Option<PathBuf>,
    /// Accepted for wrangler's sake: all data is on this machine.
    #[arg(long, hide = true, global = true)]
    pub(crate) local: bool,
    /// Accepted for wrangler's sake: what `preview_…` of the configuration says holds anyway.
    #[arg(long, hide = true, global = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) preview: Option<bool>,
}

/// A command, and where the data is that it is about.
#[derive(Debug, Args)]
pub(crate) struct About<C: Subcommand> {
    #[command(subcommand)]
    pub(crate) command: C,
    #[command(flatten)]
    pub(crate) data: DataArgs,
}

pub(crate) type AnalyticsArgs = About<AnalyticsCommand>;
pub(crate) type D1Args = About<D1Command>;
pub(crate) type KvArgs = About<KvCommand>;
pub(crate) type QueuesArgs = About<QueuesCommand>;
pub(crate) type R2Args = About<R2Command>;

#[derive(Debug, Subcommand)]
pub(crate) enum KvCommand {
    /// Look at keys, or change them.
    #[command(subcommand)]
    Key(KvKeyCommand),
    /// Get, put or remove many keys at once.
    #[command(subcommand)]
    Bulk(KvBulkCommand),
    /// Look at namespaces.
    #[command(subcommand)]
    Namespace(KvNamespaceCommand),
}

#[derive(Debug, Subcommand)]
pub(crate) enum KvNamespaceCommand {
    /// List the namespaces of the configuration as JSON.
    List,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KvBulkCommand {
    /// Print the values of keys as JSON.
    Get {
        /// A file with a JSON list of keys, or of objects with the key as `name`, as lists have them.
        file: PathBuf,
        #[command(flatten)]
        namespace: NamespaceArgs,
    },
    /// Put values under keys.
    Put {
        /// A file with a JSON list of objects: `key`, `value`, and where wanted `base64`, `expiration`, `expiration_ttl`, `metadata`.
        file: PathBuf,
        #[command(flatten)]
        namespace: NamespaceArgs,
    },
    /// Remove keys.
    Delete {
        /// A file with a JSON list of keys, or of objects with the key as `name`, as lists have them.
        file: PathBuf,
        /// Accepted for wrangler's sake: nothing is asked.
        #[arg(short, long, hide = true)]
        force: bool,
        #[command(flatten)]
        namespace: NamespaceArgs,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum KvKeyCommand {
    /// List keys as JSON.
    List {
        #[command(flatten)]
        namespace: NamespaceArgs,
        /// Only keys that begin with this.
        #[arg(long, default_value = "")]
        prefix: String,
    },
    /// Print the value of a key.
    Get {
        /// The key.
        key: String,
        /// Accepted for wrangler's sake: the value is printed as it is.
        #[arg(long, hide = true)]
        text: bool,
        #[command(flatten)]
        namespace: NamespaceArgs,
    },
    /// Put a value under a key.
    Put {
        /// The key.
        key: String,
        /// The value.
        #[arg(required_unless_present = "path", conflicts_with = "path")]
        value: Option<String>,
        /// The file with the value.
        #[arg(long, value_name = "FILE")]
        path: Option<PathBuf>,
        /// End the entry after so many seconds.
        #[arg(long, value_name = "SECONDS", conflicts_with = "expiration")]
        ttl: Option<i64>,
        /// End the entry at this time, in seconds since 1970.
        #[arg(long, value_name = "SECONDS")]
        expiration: Option<i64>,
        /// Metadata, as JSON.
        #[arg(long, value_name = "JSON")]
        metadata: Option<String>,
        #[command(flatten)]
        namespace: NamespaceArgs,
    },
    /// Remove a key.
    Delete {
        /// The key.
        key: String,
        #[command(flatten)]
        namespace: NamespaceArgs,
    },
}

/// Which namespace.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct NamespaceArgs {
    /// Its name in the Worker's env.
    #[arg(long, value_name = "NAME")]
    pub(crate) binding: Option<String>,
    /// Its id in the configuration.
    #[arg(long, value_name = "ID")]
    pub(crate) namespace_id: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum R2Command {
    /// Get objects, put, list or remove them.
    #[command(subcommand)]
    Object(R2ObjectCommand),
    /// Look at buckets.
    #[command(subcommand)]
    Bucket(R2BucketCommand),
}

#[derive(Debug, Subcommand)]
pub(crate) enum R2BucketCommand {
    /// List the buckets of the configuration.
    List,
}

#[derive(Debug, Subcommand)]
pub(crate) enum R2ObjectCommand {
    /// Write an object to a file.
    Get {
        /// Its bucket and its key.
        #[arg(value_name = "BUCKET/KEY")]
        object: String,
        /// The file [default: the last part of the key, in this folder].
        #[arg(short, long, value_name = "FILE", conflicts_with = "pipe")]
        file: Option<PathBuf>,
        /// Write to standard output.
        #[arg(short, long)]
        pipe: bool,
    },
    /// Put a file into a bucket.
    Put {
        /// Its bucket and its key.
        #[arg(value_name = "BUCKET/KEY")]
        object: String,
        /// The file.
        #[arg(short, long, value_name = "FILE", conflicts_with = "pipe")]
        file: Option<PathBuf>,
        /// Read standard input.
        #[arg(short, long)]
        pipe: bool,
        #[command(flatten)]
        metadata: HttpMetadataArgs,
    },
    /// Remove an object.
    Delete {
        /// Its bucket and its key.
        #[arg(value_name = "BUCKET/KEY")]
        object: String,
    },
    /// List objects as JSON.
    List {
        /// The bucket.
        bucket: String,
        /// Only keys that begin with this.
        #[arg(long, default_value = "")]
        prefix: String,
    },
}

/// What an object is served with.
#[derive(Debug, Args)]
pub(crate) struct HttpMetadataArgs {
    /// The header Content-Type.
    #[arg(long, alias = "ct", value_name = "TYPE")]
    content_type: Option<String>,
    /// The header Content-Disposition.
    #[arg(long, alias = "cd", value_name = "TEXT")]
    content_disposition: Option<String>,
    /// The header Content-Encoding.
    #[arg(long, alias = "ce", value_name = "NAME")]
    content_encoding: Option<String>,
    /// The header Content-Language.
    #[arg(long, alias = "cl", value_name = "TAG")]
    content_language: Option<String>,
    /// The header Cache-Control.
    #[arg(long, alias = "cc", value_name = "TEXT")]
    cache_control: Option<String>,
}

impl HttpMetadataArgs {
    /// As headers.
    pub(crate) fn headers(self) -> Vec<(&'static str, String)> {
        let all = [
            ("content-type", self.content_type),
            ("content-disposition", self.content_disposition),
            ("content-encoding", self.content_encoding),
            ("content-language", self.content_language),
            ("cache-control", self.cache_control),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum AnalyticsCommand {
    /// Print what SQL says about the datasets of the configuration, each of which is a table, as JSON.
    Query {
        /// The SQL, in SQLite's dialect.
        sql: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum QueuesCommand {
    /// List the queues of the configuration with their messages' numbers, as JSON.
    List,
    /// Show the first messages of a queue, as JSON. They stay there.
    Peek {
        /// The queue.
        queue: String,
        /// How many, 100 at most.
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100))]
        limit: u32,
    },
    /// Send a message.
    Send {
        /// The queue.
        queue: String,
        /// The message.
        body: String,
        /// How it is to be read: json or text.
        #[arg(long, value_name = "TYPE", default_value = "json", value_parser = ["json", "text"])]
        content_type: String,
        /// Nobody gets it for so many seconds [default: those of the queue].
        #[arg(long, value_name = "SECONDS")]
        delay: Option<u32>,
    },
    /// Show what a queue has, and what holds for it, as JSON.
    Info {
        /// The queue.
        queue: String,
    },
    /// Make a queue, or say what holds for one of the configuration that nobody has said anything about.
    Create {
        /// The queue.
        queue: String,
        #[command(flatten)]
        settings: QueueSettings,
    },
    /// Change what holds for a queue.
    Update {
        /// The queue.
        queue: String,
        #[command(flatten)]
        settings: QueueSettings,
    },
    /// Remove a queue's messages, and what was said about it.
    Delete {
        /// The queue.
        queue: String,
    },
    /// Give nobody messages of a queue. It goes on taking some, and they expire.
    PauseDelivery {
        /// The queue.
        queue: String,
    },
    /// Give messages of a queue again.
    ResumeDelivery {
        /// The queue.
        queue: String,
    },
    /// Remove all messages of a queue.
    Purge {
        /// The queue.
        queue: String,
        /// Accepted for wrangler's sake: nothing is asked.
        #[arg(short, long, hide = true)]
        force: bool,
    },
}

/// What holds for a queue.
#[derive(Debug, Args)]
pub(crate) struct QueueSettings {
    /// How long messages are kept that nobody has worked on, 60 seconds to 14 days [default: 345600].
    #[arg(long, value_name = "SECONDS")]
    pub(crate) message_retention_period_secs: Option<u32>,
    /// How long messages wait that are sent without a delay, 12 hours at most [default: 0].
    #[arg(long, value_name = "SECONDS")]
    pub(crate) delivery_delay_secs: Option<u32>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum D1Command {
    /// List the databases of the configuration.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show how large a database is, and how many tables it has.
    Info {
        #[command(flatten)]
        database: DatabaseArgs,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Run SQL: all of it, or none.
    Execute {
        #[command(flatten)]
        database: DatabaseArgs,
        /// The SQL.
        #[arg(long, value_name = "SQL", required_unless_present = "file", conflicts_with = "file")]
        command: Option<String>,
        /// The file with the SQL.
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
        /// Accepted for wrangler's sake: nothing is asked.
        #[arg(short, long, hide = true)]
        yes: bool,
    },
    /// Write the database as SQL.
    Export {
        #[command(flatten)]
        database: DatabaseArgs,
        /// The file to write [default: standard output].
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Only this table.
        #[arg(long, value_name = "NAME")]
        table: Option<String>,
        /// Leave out what makes the tables.
        #[arg(long, conflicts_with = "no_data")]
        no_schema: bool,
        /// Leave out the rows.
        #[arg(long)]
        no_data: bool,
        /// Accepted for wrangler's sake: nothing is asked.
        #[arg(short = 'y', long, hide = true)]
        skip_confirmation: bool,
    },
    /// Run an exported file: all of it, or none.
    Import {
        #[command(flatten)]
        database: DatabaseArgs,
        /// The file with the SQL.
        file: PathBuf,
    },
    /// Bring the database to the state that the files in its migrations folder describe.
    #[command(subcommand)]
    Migrations(MigrationsCommand),
}

/// Which database.
#[derive(Debug, Args)]
pub(crate) struct DatabaseArgs {
    /// Its name in the configuration or in the Worker's env.
    #[arg(value_name = "DATABASE")]
    pub(crate) name: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum MigrationsCommand {
    /// List the migrations that have not been applied.
    List {
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// Apply them.
    Apply {
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// Begin a new one.
    Create {
        #[command(flatten)]
        database: DatabaseArgs,
        /// What it does, in a few words.
        message: String,
    },
}
