//! What keeps quiet streams alive, for all of an engine's together: leases, and looks at whether the store still has them.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    context::IN_A_TURN, events::Handle, produce::producer::Producer, read::hub::Hub, registry::Registry,
};
use crate::{StreamId, store::MOST_LOOKS, util::sync::lock};

/// What has happened to a stream without a word is found out within this, unless there are too many to look at.
const LOOK: Duration = Duration::from_secs(10);
/// The least time between two looks at `MOST_LOOKS` streams each: what quiet streams may cost the store, however many they are.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);
/// A producer is looked at in one of so many rounds at the least: those that are gone are forgotten.
const MOST_ROUNDS: u32 = 10;
/// Nothing is renewed more often.
const SHORTEST: Duration = Duration::from_millis(50);

/// Renews the leases of idle producers, those that no sign of life of their engine can renew.
pub(super) async fn renew_leases(registry: Weak<Registry>) {
    let mut renewals = Renewals::default();
    loop {
        let Some(strong) = registry.upgrade() else { return };
        let pause = (strong.context.config.lease() / 6).max(SHORTEST);
        renewals.ask(&strong, pause).await;
        drop(strong);
        tokio::time::sleep(pause).await;
    }
}

/// When which producer is to be looked at: of many, few in a round.
#[derive(Default)]
struct Renewals {
    due: BinaryHeap<Reverse<(Instant, Handle)>>,
    /// The lease of those for whom their engine vouched in the last round.
    vouched: Option<Duration>,
}

impl Renewals {
    /// A round. The next one is `pause` later.
    async fn ask(&mut self, registry: &Registry, pause: Duration) {
        let now = Instant::now();
        let lease = registry.context.config.lease();
        let vouched = registry.context.store().vouched_lease(lease);
        let is_another = std::mem::replace(&mut self.vouched, vouched) != vouched;
        let mut started = lock(&registry.producers).take_started();
        if is_another {
            // Nobody's time is the one that it was.
            started = lock(&registry.producers).handles();
            self.due.clear();
        }
        self.due
            .extend(started.into_iter().map(|handle| Reverse((now, handle))));
        let mut looked = 0;
        while let Some(&Reverse((due, handle))) = self.due.peek()
            && due <= now
        {
            self.due.pop();
            let producer = lock(&registry.producers).get(handle).cloned();
            let Some(producer) = producer else { continue };
            let due = producer.renew_if_due(lease, vouched).unwrap_or(now + pause);
            self.due
                .push(Reverse((due.min(now + MOST_ROUNDS * pause), handle)));
            looked += 1;
            if looked % IN_A_TURN == 0 {
                tokio::task::yield_now().await;
            }
        }
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

/// Who has to be told when a stream is not as its hub knows it.
struct Quiet {
    hub: Arc<Hub>,
    producers: Vec<Arc<Producer>>,
}

/// Looks for what has been done to streams without a word: their producers and readers would not look for minutes.
pub(super) async fn find_changed(registry: Weak<Registry>) {
    loop {
        let Some(strong) = registry.upgrade() else { return };
        let quiet = quiet(&strong);
        drop(strong);
        let looks = quiet.chunks(MOST_LOOKS);
        let pause = between(looks.len());
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

/// The pause after each of so many looks.
fn between(looks: usize) -> Duration {
    (LOOK / u32::try_from(looks.max(1)).unwrap_or(u32::MAX)).max(BETWEEN_LOOKS)
}

fn quiet(registry: &Registry) -> Vec<Quiet> {
    let lease = registry.context.config.lease();
    let mut producers: HashMap<StreamId, Vec<Arc<Producer>>> = HashMap::new();
    if registry.context.store().vouched_lease(lease).is_some() {
        for producer in lock(&registry.producers).all() {
            if producer.is_quiet(LOOK / 2) {
                producers
                    .entry(producer.stream.clone())
                    .or_default()
                    .push(producer);
            }
        }
    }
    let hubs = registry.hubs.all().into_iter().filter_map(|hub| {
        let producers = producers.remove(hub.stream()).unwrap_or_default();
        let is_concerned = !producers.is_empty() || hub.is_vouched_by(None);
        is_concerned.then_some(Quiet { hub, producers })
    });
    hubs.collect()
}

async fn look(registry: &Registry, some: &[Quiet]) {
    let (some, known): (Vec<_>, Vec<_>) = some
        .iter()
        .filter_map(|quiet| Some((quiet, quiet.hub.known()?)))
        .unzip();
    if known.is_empty() {
        return;
    }
    // What fails is looked at again, and everything after an outage.
    let changed = registry.context.store().changed(&known).await.unwrap_or_default();
    for Quiet { hub, producers } in changed.into_iter().filter_map(|place| some.get(place).copied()) {
        for producer in producers {
            producer.renew();
        }
        hub.doubt();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_streams_are_looked_at_every_ten_seconds_and_many_not_oftener_than_256_a_second() {
        assert_eq!(between(1), LOOK);
        assert_eq!(between(4), LOOK / 4);
        assert_eq!(between(10), BETWEEN_LOOKS);
        assert_eq!(between(40), BETWEEN_LOOKS);
    }
}
