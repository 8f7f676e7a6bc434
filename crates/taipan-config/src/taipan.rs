//! `taipan`: settings that wrangler has no keys for.
//!
//! ```jsonc
//! "taipan": {
//!   // Secrets that code at the top of a module reads. The Worker has no snapshot then, so its isolates start more slowly.
//!   "secrets_at_import": ["API_KEY"],   // or true for all
//!   // How many isolates are started at once and kept, how many there may be, and when one more than `min` is dropped.
//!   "isolates": { "min": 0, "max": 64, "idle_seconds": 60 },
//!   // Memory of an isolate, Python's own included.
//!   "memory_mib": 128,
//!   // The largest body of a request; without it there is no limit.
//!   "request_body_mib": 100,
//!   // CPU time of a start.
//!   "startup_cpu_ms": 60000,
//!   // Buckets whose bytes are in a store that speaks S3; what is known of their objects stays here. The keys to it are the variables
//!   // AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY of the process. A prefix, a region and a timeout may be left out.
//!   "object_stores": [{
//!     "r2_bucket": "things", "endpoint": "https://s3.example.com", "bucket": "bytes", "prefix": "taipan", "region": "auto",
//!     "timeout_seconds": 60
//!   }]
//! }
//! ```

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::decode::Section;
use crate::error::ConfigError;
use crate::keys::{ISOLATES_KEYS, OBJECT_STORE_KEYS, TAIPAN_KEYS};
use crate::secret::Secret;
use crate::sections::required;
use crate::tree::Value;

/// A WebAssembly memory ends at 4 GiB; Python alone needs more than 32 MiB.
const MEMORY_MIB: std::ops::RangeInclusive<u64> = 64..=4096;

/// The most isolates that a Worker can ask for.
const MOST_ISOLATES: u64 = 100_000;

/// Settings of taipan's own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Taipan {
    /// Which secrets can be read while modules are imported.
    pub secrets_at_import: SecretsAtImport,
    /// How many isolates there are.
    pub isolates: Isolates,
    /// The largest memory of an isolate, in MiB.
    pub memory_mib: Option<u64>,
    /// The largest body of a request, in MiB.
    pub request_body_mib: Option<u64>,
    /// CPU time that a start may take, in milliseconds; at least 1.
    pub startup_cpu_ms: Option<u64>,
    /// Stores that have the bytes of buckets.
    pub object_stores: Vec<ObjectStore>,
}

/// A store that speaks S3, and has the bytes of a bucket.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObjectStore {
    /// The name of the bucket among the `r2_buckets`.
    pub r2_bucket: String,
    /// A URL.
    pub endpoint: String,
    /// The name of the bucket there.
    pub bucket: String,
    /// What names there begin with.
    pub prefix: String,
    /// Where that is, for who signs.
    pub region: String,
    /// How long an answer may take.
    pub timeout_seconds: Option<u64>,
}

/// Which secrets can be read while modules are imported. A Worker with any has no snapshot, because it would hold them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
pub enum SecretsAtImport {
    /// None.
    #[default]
    None,
    /// These.
    Named(Vec<String>),
    /// All.
    All,
}

/// How many isolates a Worker has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Isolates {
    /// Started at once and kept.
    pub min: Option<usize>,
    /// Never more; at least 1 and not less than `min`.
    pub max: Option<usize>,
    /// After so long without anything to do, one more than `min` is dropped.
    pub idle_seconds: Option<u64>,
}

impl Taipan {
    pub(crate) fn read(
        section: &Section<'_>,
        secrets: &BTreeMap<String, Secret>,
        warnings: &mut Vec<String>,
    ) -> Result<Self, ConfigError> {
        section.only(TAIPAN_KEYS)?;
        let isolates = section.child("isolates")?.map(|section| Isolates::read(&section)).transpose()?;
        Ok(Self {
            secrets_at_import: SecretsAtImport::read(section, secrets, warnings)?,
            isolates: isolates.unwrap_or_default(),
            memory_mib: section.integer("memory_mib", *MEMORY_MIB.start(), *MEMORY_MIB.end())?,
            request_body_mib: section.integer("request_body_mib", 1, u64::MAX >> 20)?,
            startup_cpu_ms: section.integer("startup_cpu_ms", 1, u64::MAX)?,
            object_stores: ObjectStore::read_all(section)?,
        })
    }
}

impl ObjectStore {
    fn read_all(section: &Section<'_>) -> Result<Vec<Self>, ConfigError> {
        let mut found: Vec<Self> = Vec::new();
        for section in section.children("object_stores")? {
            section.only(OBJECT_STORE_KEYS)?;
            let text = |key| -> Result<String, ConfigError> {
                let (text, at) = required(&section, section.string(key)?, key)?;
                if text.is_empty() {
                    return Err(section.source.error(at, format!("`{}` is empty", section.path_of(key))));
                }
                Ok(text.to_owned())
            };
            let optional = |key| -> Result<Option<String>, ConfigError> {
                Ok(section.string(key)?.map(|(text, _)| text.to_owned()))
            };
            let (r2_bucket, endpoint) = (text("r2_bucket")?, text("endpoint")?);
            let at = |key| section.string(key).map(|found| found.map_or(0, |(_, at)| at));
            if !endpoint.starts_with("http://") && !endpoint.starts_with("https://") {
                let message = format!("`{}` is not a URL of HTTP: {endpoint}", section.path_of("endpoint"));
                return Err(section.source.error(at("endpoint")?, message));
            }
            if found.iter().any(|other| other.r2_bucket == r2_bucket) {
                let message = format!("the bucket has two object stores: `{r2_bucket}`");
                return Err(section.source.error(at("r2_bucket")?, message));
            }
            found.push(Self {
                r2_bucket,
                endpoint,
                bucket: text("bucket")?,
                prefix: optional("prefix")?.unwrap_or_default(),
                region: optional("region")?.unwrap_or_else(|| "auto".to_owned()),
                timeout_seconds: section.integer("timeout_seconds", 1, 3600)?,
            });
        }
        Ok(found)
    }
}

impl SecretsAtImport {
    fn read(
        section: &Section<'_>,
        secrets: &BTreeMap<String, Secret>,
        warnings: &mut Vec<String>,
    ) -> Result<Self, ConfigError> {
        const KEY: &str = "secrets_at_import";
        if section.get(KEY).is_some_and(|entry| matches!(entry.node.value, Value::Bool(_))) {
            return Ok(if section.boolean(KEY)?.unwrap_or(false) { Self::All } else { Self::None });
        }
        let names = section.strings(KEY)?.unwrap_or_default();
        for (name, at) in &names {
            if !secrets.contains_key(*name) {
                warnings.push(format!(
                    "{}: `{}` names a secret that has no value: `{name}`",
                    section.source.link(*at),
                    section.path_of(KEY)
                ));
            }
        }
        let names: Vec<String> = names.into_iter().map(|(name, _)| name.to_owned()).collect();
        Ok(if names.is_empty() { Self::None } else { Self::Named(names) })
    }
}

impl Isolates {
    fn read(section: &Section<'_>) -> Result<Self, ConfigError> {
        section.only(ISOLATES_KEYS)?;
        let count = |key, least| -> Result<Option<usize>, ConfigError> {
            Ok(section.integer(key, least, MOST_ISOLATES)?.and_then(|n| usize::try_from(n).ok()))
        };
        let min = count("min", 0)?;
        let least = min.and_then(|min| u64::try_from(min).ok()).unwrap_or(0).max(1);
        Ok(Self {
            min,
            max: count("max", least)?,
            idle_seconds: section.integer("idle_seconds", 1, u64::MAX / 2)?,
        })
    }
}
