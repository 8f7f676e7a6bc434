//! The stores that have the bytes of buckets, as the configuration and the environment say.

use std::env;
use std::sync::Arc;

use anyhow::{Result, anyhow};
use taipan_config::{Bindings, ObjectStore, Secret};
use taipan_server::{ObjectPlace, StoreKeys};
use taipan_storage::r2::Place;

use crate::env_vars::EnvVars;
use crate::report::hint;

/// By the names of the buckets.
pub(crate) fn places(said: &[ObjectStore], bindings: &Bindings) -> Result<Vec<(String, Arc<dyn Place>)>> {
    said.iter()
        .map(|store| {
            let bucket = &store.r2_bucket;
            if !bindings.r2_buckets.iter().any(|known| known.name == *bucket) {
                let error = anyhow!("`taipan.object_stores` names a bucket that is not bound: {bucket}");
                return Err(hint(error, "name the `bucket_name` of one of the `r2_buckets`".to_owned()));
            }
            let place = ObjectPlace::at(store, &keys(bucket)?).map_err(|message| anyhow!(message))?;
            Ok((bucket.clone(), place))
        })
        .collect()
}

fn keys(bucket: &str) -> Result<StoreKeys> {
    let variable = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    let needed = |name: &str| {
        let error = || anyhow!("the object store of the bucket needs a key: {bucket}");
        variable(name).ok_or_else(|| hint(error(), format!("set {name} in the environment of taipan")))
    };
    Ok(StoreKeys {
        id: needed(EnvVars::STORE_ACCESS_KEY_ID)?,
        secret: Secret::new(needed(EnvVars::STORE_SECRET_ACCESS_KEY)?),
        token: variable(EnvVars::STORE_SESSION_TOKEN).map(Secret::new),
    })
}
