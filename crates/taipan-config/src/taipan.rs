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
//!   "startup_cpu_ms": 60000
//! }
//! ```

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::decode::Section;
use crate::error::ConfigError;
use crate::keys::{ISOLATES_KEYS, TAIPAN_KEYS};
use crate::secret::Secret;
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
        })
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
