//! What keeps quiet streams alive, for all of an engine's together: leases, and looks at whether the store still has them.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::Duration,
};

use super::{produce::producer::Producer, read::hub::Hub, registry::Registry};
use crate::{StreamId, store::MOST_LOOKS, util::sync::lock};

/// A record that has vanished without a word is missed within this.
const LOOK: Duration = Duration::from_secs(10);
/// Nothing is renewed more often.
const SHORTEST: Duration = Duration::from_millis(50);

/// Renews the leases of idle producers, those that no sign of life of their engine can renew.
pub(super) async fn renew_leases(registry: Weak<Registry>) {
    loop {
        let Some(strong) = registry.upgrade() else { return };
        let lease = strong.context.config.lease();
        let vouched = strong.context.store().vouched_lease(lease);
        let producers = lock(&strong.producers).all();
        let renew = move |producer: Arc<Producer>| producer.renew_if_due(lease, vouched);
        strong.context.in_turns(producers, renew);
        drop(strong);
        tokio::time::sleep((lease / 6).max(SHORTEST)).await;
    }
}

/// Shows that this engine lives, while it has producers.
pub(super) async fn vouch(registry: Weak<Registry>) {
    loop {
        let Some(strong) = registry.upgrade() else { return };
        let lease = strong.context.config.lease();
        let is_idle = lock(&strong.producers).is_empty();
        let mut pause = lease / 3;
        if !is_idle && strong.context.store().vouch(lease).await.is_err() {
            pause = SHORTEST;
        }
        let doubted = Arc::clone(&strong.doubted);
        drop(strong);
        // However many doubt it.
        tokio::time::sleep(SHORTEST).await;
        let _ = tokio::time::timeout(pause, doubted.notified()).await;
    }
}

/// Who has to be told that a stream is not there.
#[derive(Default)]
struct Concerned {
    hub: Option<Arc<Hub>>,
    producers: Vec<Arc<Producer>>,
}

/// Looks for streams that have vanished from under producers and readers who would not look themselves for minutes.
pub(super) async fn find_absent(registry: Weak<Registry>) {
    loop {
        let Some(strong) = registry.upgrade() else { return };
        let quiet: Vec<_> = quiet(&strong).into_iter().collect();
        drop(strong);
        let looks = quiet.chunks(MOST_LOOKS);
        let pause = LOOK / u32::try_from(looks.len().max(1)).unwrap_or(u32::MAX);
        for some in looks {
            let Some(strong) = registry.upgrade() else { return };
            look(&strong, some).await;
            drop(strong);
            tokio::time::sleep(pause).await;
        }
        if quiet.is_empty() {
            tokio::time::sleep(LOOK).await;
        }
    }
}

fn quiet(registry: &Registry) -> HashMap<StreamId, Concerned> {
    let mut quiet: HashMap<StreamId, Concerned> = HashMap::new();
    let lease = registry.context.config.lease();
    if registry.context.store().vouched_lease(lease).is_none() {
        return quiet;
    }
    for producer in lock(&registry.producers).all() {
        if producer.is_quiet(LOOK) {
            let concerned = quiet.entry(producer.stream.clone()).or_default();
            concerned.producers.push(producer);
        }
    }
    for hub in registry.hubs.vouched(None) {
        let stream = hub.stream().clone();
        quiet.entry(stream).or_default().hub = Some(hub);
    }
    quiet
}

async fn look(registry: &Registry, some: &[(StreamId, Concerned)]) {
    let streams: Vec<_> = some.iter().map(|(stream, _)| stream.clone()).collect();
    // What fails is looked at again, and everything after an outage.
    let absent = registry
        .context
        .store()
        .absent(&streams)
        .await
        .unwrap_or_default();
    for (_, Concerned { hub, producers }) in absent.into_iter().filter_map(|place| some.get(place)) {
        for producer in producers {
            producer.renew_if_idle(Duration::ZERO);
        }
        if let Some(hub) = hub {
            hub.doubt();
        }
    }
}
