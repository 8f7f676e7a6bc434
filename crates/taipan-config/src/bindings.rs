//! What a Worker reaches through `env`, beside variables.
//!
//! None of it is taken over by environments: a Worker under test that wrote to the data of the one in production because a key was
//! forgotten would be the worst of surprises. So an environment says all that it has.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::decode::Section;
use crate::error::ConfigError;
use crate::keys::{
    ANALYTICS_KEYS, D1_KEYS, KV_KEYS, R2_KEYS, RATE_KEYS, RATE_LIMIT_KEYS, SERVICES_KEYS, VERSION_KEYS,
};
use crate::queues::{self, QueueConsumer, QueueProducer, number};
use crate::sections::required;

/// The bindings of a Worker.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Bindings {
    /// `kv_namespaces`.
    pub kv_namespaces: Vec<KvNamespace>,
    /// `d1_databases`.
    pub d1_databases: Vec<D1Database>,
    /// `r2_buckets`.
    pub r2_buckets: Vec<R2Bucket>,
    /// `services`.
    pub services: Vec<ServiceReference>,
    /// `analytics_engine_datasets`: names in `env` and of datasets.
    pub datasets: Vec<(String, String)>,
    /// `ratelimits`.
    pub rate_limits: Vec<RateLimit>,
    /// `version_metadata`: its name in `env`.
    pub version: Option<String>,
    /// `queues.producers`.
    pub queue_producers: Vec<QueueProducer>,
    /// `queues.consumers`.
    pub queue_consumers: Vec<QueueConsumer>,
    /// `assets.binding`.
    pub assets: Option<String>,
}

/// One of the `r2_buckets`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct R2Bucket {
    /// Its name in `env`.
    pub binding: String,
    /// Which bucket it is; its name in `env` when the configuration does not say.
    pub name: String,
}

/// One of the `kv_namespaces`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct KvNamespace {
    /// Its name in `env`.
    pub binding: String,
    /// Which namespace it is; its name in `env` when the configuration does not say.
    pub id: String,
}

/// One of the `ratelimits`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct RateLimit {
    /// Its name in `env`.
    pub name: String,
    /// Whose counts it has; its name in `env` when the configuration does not say.
    pub namespace: String,
    /// How often a key may do something in a period.
    pub limit: u32,
    /// In seconds: 10 or 60.
    pub period: u32,
}

/// One of the `services`: another Worker.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct ServiceReference {
    /// Its name in `env`.
    pub binding: String,
    /// The Worker's name.
    pub service: String,
    /// The class that is meant, when it is not the default.
    pub entrypoint: Option<String>,
    /// What the Worker is told about its caller, as JSON.
    pub props: Option<String>,
}

/// One of the `d1_databases`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct D1Database {
    /// Its name in `env`.
    pub binding: String,
    /// Which database it is; its name in `env` when the configuration does not say.
    pub id: String,
    /// Its name on the command line.
    pub name: Option<String>,
    /// The folder of its migrations, relative to the configuration's.
    pub migrations_dir: PathBuf,
    /// The table that says which of them have been applied.
    pub migrations_table: String,
}

impl Bindings {
    /// The names of all queues in it, in order: those that are sent to, consumed, and for dead letters.
    pub fn queues(&self) -> Vec<&str> {
        let sent = self.queue_producers.iter().map(|producer| &producer.queue);
        let dead = self.queue_consumers.iter().filter_map(|consumer| consumer.dead_letter_queue.as_ref());
        let consumed = self.queue_consumers.iter().map(|consumer| &consumer.queue);
        let mut names: Vec<&str> = sent.chain(consumed).chain(dead).map(String::as_str).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Reads them from the section of the environment, or the top level when there is none. `taken` are names in `env`; that of the
    /// assets is inherited.
    pub(crate) fn read<'a>(
        own: &Section<'_>,
        taken: impl Iterator<Item = &'a String>,
        assets: Option<&Section<'_>>,
        warnings: &mut Vec<String>,
    ) -> Result<Self, ConfigError> {
        let mut names = Names(taken.cloned().collect());
        let mut found = Self::default();
        if let Some(assets) = assets.filter(|assets| assets.get("binding").is_some()) {
            found.assets = Some(names.add(assets, "binding")?);
        }
        for section in own.children("kv_namespaces")? {
            section.only(KV_KEYS)?;
            let binding = names.add(&section, "binding")?;
            let id = text(&section, "id")?.unwrap_or_else(|| binding.clone());
            found.kv_namespaces.push(KvNamespace { binding, id });
        }
        for section in own.children("d1_databases")? {
            section.only(D1_KEYS)?;
            let binding = names.add(&section, "binding")?;
            let id = text(&section, "preview_database_id")?.or(text(&section, "database_id")?);
            found.d1_databases.push(D1Database {
                id: id.unwrap_or_else(|| binding.clone()),
                binding,
                name: text(&section, "database_name")?,
                migrations_dir: text(&section, "migrations_dir")?
                    .unwrap_or_else(|| "migrations".into())
                    .into(),
                migrations_table: text(&section, "migrations_table")?
                    .unwrap_or_else(|| "d1_migrations".into()),
            });
        }
        for section in own.children("r2_buckets")? {
            section.only(R2_KEYS)?;
            let binding = names.add(&section, "binding")?;
            let name = text(&section, "preview_bucket_name")?.or(text(&section, "bucket_name")?);
            found.r2_buckets.push(R2Bucket { name: name.unwrap_or_else(|| binding.clone()), binding });
        }
        for section in own.children("services")? {
            section.only(SERVICES_KEYS)?;
            let binding = names.add(&section, "binding")?;
            let (service, _) = required(&section, section.string("service")?, "service")?;
            let environment = text(&section, "environment")?;
            let props = section.child("props")?.and_then(|_| section.get("props"));
            found.services.push(ServiceReference {
                binding,
                // As wrangler names the Worker of an environment.
                service: environment.map_or_else(|| service.to_owned(), |env| format!("{service}-{env}")),
                entrypoint: text(&section, "entrypoint")?,
                props: props.map(|entry| entry.node.to_json().to_string()),
            });
        }
        for section in own.children("analytics_engine_datasets")? {
            section.only(ANALYTICS_KEYS)?;
            let binding = names.add(&section, "binding")?;
            let dataset = text(&section, "dataset")?.unwrap_or_else(|| binding.clone());
            found.datasets.push((binding, dataset));
        }
        for section in own.children("ratelimits")? {
            found.rate_limits.push(rate_limit(&section, &mut names)?);
        }
        if let Some(section) = own.child("version_metadata")? {
            section.only(VERSION_KEYS)?;
            found.version = Some(names.add(&section, "binding")?);
        }
        (found.queue_producers, found.queue_consumers) = queues::read(own, &mut names, warnings)?;
        Ok(found)
    }

    /// Whether none of them keeps data.
    pub fn are_without_data(&self) -> bool {
        // What has no data is left out.
        let same = Self {
            services: self.services.clone(),
            rate_limits: self.rate_limits.clone(),
            version: self.version.clone(),
            assets: self.assets.clone(),
            ..Self::default()
        };
        *self == same
    }

    /// Keys under which an environment could have bindings.
    pub(crate) const KEYS: [&str; 8] = [
        "kv_namespaces",
        "d1_databases",
        "r2_buckets",
        "queues",
        "services",
        "analytics_engine_datasets",
        "ratelimits",
        "version_metadata",
    ];
}

fn rate_limit(section: &Section<'_>, names: &mut Names) -> Result<RateLimit, ConfigError> {
    section.only(RATE_LIMIT_KEYS)?;
    let name = names.add(section, "name")?;
    let simple = required(section, section.child("simple")?, "simple")?;
    simple.only(RATE_KEYS)?;
    let period = required(&simple, number(&simple, "period", 1, 60)?, "period")?;
    if ![10, 60].contains(&period) {
        let at = simple.get("period").map_or(0, |entry| entry.node.at);
        let message =
            format!("wrong value of `{}`: expected 10 or 60, found {period}", simple.path_of("period"));
        return Err(section
            .source
            .error(at, message)
            .with_hint("a period is 10 or 60 seconds, as at Cloudflare"));
    }
    Ok(RateLimit {
        namespace: text(section, "namespace_id")?.unwrap_or_else(|| name.clone()),
        name,
        limit: required(&simple, number(&simple, "limit", 1, u32::MAX.into())?, "limit")?,
        period,
    })
}

/// A text that is not empty.
pub(crate) fn text(section: &Section<'_>, key: &str) -> Result<Option<String>, ConfigError> {
    match section.string(key)? {
        Some(("", at)) => {
            let message = format!("wrong value of `{}`: it is empty", section.path_of(key));
            Err(section.source.error(at, message).with_hint("write it, or remove the key"))
        }
        found => Ok(found.map(|(text, _)| text.to_owned())),
    }
}

/// The names that `env` has so far.
pub(crate) struct Names(Vec<String>);

impl Names {
    pub(crate) fn add(&mut self, section: &Section<'_>, key: &str) -> Result<String, ConfigError> {
        let (name, at) = required(section, section.string(key)?, key)?;
        let error = |message: String| section.source.error(at, message);
        let mut characters = name.chars();
        let is_identifier = characters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
            && characters.all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !is_identifier {
            let message = format!("wrong value of `{}`: `{name}` is not a name", section.path_of(key));
            return Err(error(message).with_hint("use letters, digits and `_`, as in `env.NAME`"));
        }
        if self.0.iter().any(|taken| taken == name) {
            let message = format!("`env.{name}` is there twice: `{}`", section.path_of(key));
            return Err(error(message).with_hint("give the binding or the variable another name"));
        }
        self.0.push(name.to_owned());
        Ok(name.to_owned())
    }
}
