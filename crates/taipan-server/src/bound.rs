//! What a Worker's bindings reach, when it is no store: other Workers, its assets, counts.

use std::sync::Arc;

use taipan_bindings::{BindingTable, Functions, RateCounts};
use taipan_config::Bindings;
use taipan_engine::Binding;
use tokio::runtime::Handle;

use crate::{Assets, AssetsBinding, Console, ServiceBinding, Services};

/// The bindings as the guest sees them.
pub fn declared(bindings: &Bindings) -> Vec<Binding> {
    let of = |name: &String, kind: &str| Binding { name: name.clone(), kind: kind.to_owned() };
    let kv = bindings.kv_namespaces.iter().map(|kv| of(&kv.binding, "kv"));
    let d1 = bindings.d1_databases.iter().map(|d1| of(&d1.binding, "d1"));
    let r2 = bindings.r2_buckets.iter().map(|r2| of(&r2.binding, "r2"));
    let queues = bindings.queue_producers.iter().map(|queue| of(&queue.binding, "queue"));
    let assets = bindings.assets.iter().map(|name| of(name, "fetcher"));
    let limits = bindings.rate_limits.iter().map(|limit| of(&limit.name, "ratelimit"));
    let datasets = bindings.datasets.iter().map(|(binding, _)| of(binding, "analytics"));
    let services = bindings.services.iter().map(|service| of(&service.binding, "service"));
    kv.chain(d1).chain(r2).chain(services).chain(limits).chain(datasets).chain(queues).chain(assets).collect()
}

/// What outlives the versions of a process's Workers and is not on disk.
#[derive(Default)]
pub struct Reach {
    /// The Workers, by their names.
    pub services: Arc<Services>,
    functions: Functions,
    counts: RateCounts,
}

impl Reach {
    /// Adds to a table of stores what else the configuration binds. `console` is told when another Worker fails.
    pub fn bind(
        &mut self,
        mut table: BindingTable,
        bindings: &Bindings,
        assets: Option<&Arc<Assets>>,
        console: &Arc<dyn Console>,
        executor: &Handle,
    ) -> Arc<BindingTable> {
        if let Some((binding, assets)) = bindings.assets.as_ref().zip(assets) {
            table.add_fetcher(binding, Arc::new(AssetsBinding(assets.clone())));
        }
        for service in &bindings.services {
            let binding = ServiceBinding {
                services: self.services.clone(),
                service: service.service.clone(),
                entrypoint: service.entrypoint.clone(),
                props: service.props.clone(),
                console: console.clone(),
                executor: executor.clone(),
            };
            table.add_fetcher(&service.binding, Arc::new(binding));
        }
        table.limit(&bindings.rate_limits, &mut self.counts);
        table.share(&self.functions);
        Arc::new(table)
    }
}
