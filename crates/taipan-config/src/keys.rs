//! The keys that wrangler knows, and what taipan does with each.
//!
//! A key that wrangler does not know is an error: it is a misspelt one, and ignoring it would hide that. A key that wrangler
//! knows and that says how a Worker is deployed to Cloudflare means nothing here and is passed over. What remains is the keys that would
//! change what the Worker can do here, if they were used: the author is told about those.

/// Where a key may be written, and whether an environment takes it over from the top level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// At the top level only.
    TopLevel,
    /// Everywhere; an environment without it takes the top level's.
    Inherited,
    /// Everywhere; an environment without it has none.
    PerEnvironment,
}

/// What taipan does with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// Reads it.
    Read,
    /// Passes over it, because it is about building or deploying elsewhere.
    PassedOver,
    /// Does not read it although the Worker may depend on it.
    NotYet,
}

use Scope::{Inherited, PerEnvironment, TopLevel};
use Use::{NotYet, PassedOver, Read};

/// Every key of the top level and of `env.NAME`.
pub(crate) const KEYS: &[(&str, Scope, Use)] = &[
    ("name", Inherited, Read),
    ("main", Inherited, Read),
    ("compatibility_date", Inherited, Read),
    ("compatibility_flags", Inherited, Read),
    ("limits", Inherited, Read),
    ("rules", Inherited, Read),
    ("triggers", Inherited, Read),
    ("base_dir", Inherited, Read),
    ("find_additional_modules", Inherited, Read),
    ("python_modules", Inherited, Read),
    // Our own; wrangler passes over it with a warning.
    ("taipan", Inherited, Read),
    ("vars", PerEnvironment, Read),
    ("d1_databases", PerEnvironment, Read),
    ("kv_namespaces", PerEnvironment, Read),
    ("r2_buckets", PerEnvironment, Read),
    ("queues", PerEnvironment, Read),
    ("services", PerEnvironment, Read),
    ("analytics_engine_datasets", PerEnvironment, Read),
    ("ratelimits", PerEnvironment, Read),
    ("version_metadata", PerEnvironment, Read),
    ("assets", Inherited, Read),
    ("dev", TopLevel, Read),
    ("env", TopLevel, Read),
    // About building, which a Worker in Python does not need.
    ("alias", TopLevel, PassedOver),
    ("build", Inherited, NotYet),
    ("define", PerEnvironment, PassedOver),
    ("jsx_factory", Inherited, PassedOver),
    ("jsx_fragment", Inherited, PassedOver),
    ("keep_names", Inherited, PassedOver),
    ("minify", Inherited, PassedOver),
    ("no_bundle", Inherited, PassedOver),
    ("preserve_file_names", Inherited, PassedOver),
    ("tsconfig", Inherited, PassedOver),
    ("upload_source_maps", Inherited, PassedOver),
    // About an account and a deployment at Cloudflare.
    ("$schema", TopLevel, PassedOver),
    ("access", Inherited, PassedOver),
    ("account_id", Inherited, PassedOver),
    ("addresses", TopLevel, PassedOver),
    ("compliance_region", Inherited, PassedOver),
    ("dependencies_instrumentation", TopLevel, PassedOver),
    ("first_party_worker", Inherited, PassedOver),
    ("keep_vars", TopLevel, PassedOver),
    ("legacy_env", TopLevel, PassedOver),
    ("logfwdr", Inherited, PassedOver),
    ("logpush", Inherited, PassedOver),
    ("observability", Inherited, PassedOver),
    ("pages_build_output_dir", TopLevel, PassedOver),
    ("placement", Inherited, PassedOver),
    ("preview_urls", Inherited, PassedOver),
    ("previews", Inherited, PassedOver),
    ("route", Inherited, Read),
    ("routes", Inherited, Read),
    ("send_metrics", TopLevel, PassedOver),
    ("workers_dev", Inherited, PassedOver),
    // What a Worker can reach or is called for.
    ("agent_memory", PerEnvironment, NotYet),
    ("ai", PerEnvironment, NotYet),
    ("ai_search", PerEnvironment, NotYet),
    ("ai_search_namespaces", PerEnvironment, NotYet),
    ("artifacts", PerEnvironment, NotYet),
    ("browser", PerEnvironment, NotYet),
    ("cache", Inherited, NotYet),
    ("cloudchamber", PerEnvironment, NotYet),
    ("connect", PerEnvironment, NotYet),
    ("containers", PerEnvironment, NotYet),
    ("data_blobs", TopLevel, NotYet),
    ("dispatch_namespaces", PerEnvironment, NotYet),
    ("durable_objects", PerEnvironment, NotYet),
    ("exports", Inherited, NotYet),
    ("flagship", PerEnvironment, NotYet),
    ("hyperdrive", PerEnvironment, NotYet),
    ("images", PerEnvironment, NotYet),
    ("media", PerEnvironment, NotYet),
    ("migrations", Inherited, NotYet),
    ("mtls_certificates", PerEnvironment, NotYet),
    ("pipelines", PerEnvironment, NotYet),
    ("secrets", PerEnvironment, NotYet),
    ("secrets_store_secrets", PerEnvironment, NotYet),
    ("send_email", PerEnvironment, NotYet),
    ("site", TopLevel, NotYet),
    ("stream", PerEnvironment, NotYet),
    ("streaming_tail_consumers", PerEnvironment, NotYet),
    ("tail_consumers", PerEnvironment, NotYet),
    ("text_blobs", TopLevel, NotYet),
    ("unsafe", PerEnvironment, NotYet),
    ("unsafe_hello_world", PerEnvironment, NotYet),
    ("vectorize", PerEnvironment, NotYet),
    ("vpc_networks", PerEnvironment, NotYet),
    ("vpc_services", PerEnvironment, NotYet),
    ("wasm_modules", TopLevel, NotYet),
    ("websearch", PerEnvironment, NotYet),
    ("worker_loaders", PerEnvironment, NotYet),
    ("workflows", PerEnvironment, NotYet),
];

/// The keys of one of `routes`. Which account's domain it is, and who certifies it, is a matter of Cloudflare's.
pub(crate) const ROUTE_KEYS: &[&str] =
    &["pattern", "custom_domain", "zone_id", "zone_name", "enabled", "previews_enabled"];

/// The keys of `dev`.
pub(crate) const DEV_KEYS: &[&str] = &[
    "ip",
    "port",
    "inspector_port",
    "inspector_ip",
    "local_protocol",
    "upstream_protocol",
    "host",
    "enable_containers",
    "container_engine",
    "generate_types",
];

/// The keys of `limits`.
pub(crate) const LIMITS_KEYS: &[&str] = &["cpu_ms", "subrequests"];

/// The keys of `taipan`.
pub(crate) const TAIPAN_KEYS: &[&str] =
    &["isolates", "memory_mib", "object_stores", "request_body_mib", "secrets_at_import", "startup_cpu_ms"];

/// The keys of each of `taipan.object_stores`.
pub(crate) const OBJECT_STORE_KEYS: &[&str] =
    &["r2_bucket", "endpoint", "bucket", "prefix", "region", "timeout_seconds"];

/// The keys of `taipan.isolates`.
pub(crate) const ISOLATES_KEYS: &[&str] = &["min", "max", "idle_seconds"];

/// The keys of `python_modules`.
pub(crate) const PYTHON_MODULES_KEYS: &[&str] = &["exclude"];

/// The keys of each of the `rules`.
pub(crate) const RULE_KEYS: &[&str] = &["type", "globs", "fallthrough"];

/// The keys of each of the `kv_namespaces`.
pub(crate) const KV_KEYS: &[&str] = &["binding", "id", "preview_id", "remote", "experimental_remote"];

/// The keys of each of the `d1_databases`.
pub(crate) const D1_KEYS: &[&str] = &[
    "binding",
    "database_id",
    "database_internal_env",
    "database_name",
    "experimental_remote",
    "migrations_dir",
    "migrations_pattern",
    "migrations_table",
    "preview_database_id",
    "remote",
];

/// The keys of `assets`.
pub(crate) const ASSETS_KEYS: &[&str] =
    &["directory", "binding", "html_handling", "not_found_handling", "run_worker_first"];

/// The keys of `queues`.
pub(crate) const QUEUES_KEYS: &[&str] = &["producers", "consumers"];

/// The keys of each of `queues.producers`.
pub(crate) const PRODUCER_KEYS: &[&str] =
    &["binding", "queue", "delivery_delay", "remote", "experimental_remote"];

/// The keys of each of `queues.consumers`.
pub(crate) const CONSUMER_KEYS: &[&str] = &[
    "queue",
    "type",
    "max_batch_size",
    "max_batch_timeout",
    "max_retries",
    "dead_letter_queue",
    "max_concurrency",
    "visibility_timeout_ms",
    "retry_delay",
];

/// The keys of each of the `services`.
pub(crate) const SERVICES_KEYS: &[&str] =
    &["binding", "service", "entrypoint", "environment", "props", "remote", "experimental_remote"];

/// The keys of each of the `analytics_engine_datasets`.
pub(crate) const ANALYTICS_KEYS: &[&str] = &["binding", "dataset", "remote"];

/// The keys of each of the `ratelimits`, and of `simple` in it.
pub(crate) const RATE_LIMIT_KEYS: &[&str] = &["name", "namespace_id", "simple"];
pub(crate) const RATE_KEYS: &[&str] = &["limit", "period"];

/// The keys of `version_metadata`.
pub(crate) const VERSION_KEYS: &[&str] = &["binding"];

/// The keys of `triggers`.
pub(crate) const TRIGGERS_KEYS: &[&str] = &["crons"];

/// The keys of each of the `r2_buckets`.
pub(crate) const R2_KEYS: &[&str] =
    &["binding", "bucket_name", "experimental_remote", "jurisdiction", "preview_bucket_name", "remote"];
