//! What runs beside the host's calls: the store's messages, the writers' wake-up, the leases.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use super::{Inner, outbox::Event};
use crate::{
    StreamId,
    model::connection::{Answer, ConnectionState},
    store::{ControlMessage, FinishedNews, Listener, LiveMessage},
    util::sync::lock,
};

/// Wakes the writers of one crossing: one wake of this thread for all of them. Ends with [`Engine::dispose`].
pub(super) async fn pump(inner: Arc<Inner>) {
    loop {
        inner.pump.notified().await;
        for producer in std::mem::take(&mut *lock(&inner.written)) {
            producer.notify.notify_one();
        }
    }
}

/// Renews the leases of all idle producers together, so that they share round trips.
pub(super) async fn renew_leases(inner: Weak<Inner>) {
    loop {
        let Some(strong) = inner.upgrade() else { return };
        let lease = strong.config.lease();
        let producers = lock(&strong.producers).all();
        strong.in_turns(producers, move |producer| producer.renew_if_idle(lease / 3));
        drop(strong);
        tokio::time::sleep((lease / 6).max(Duration::from_millis(50))).await;
    }
}

/// What the store calls.
pub(super) struct Ear(pub(super) Weak<Inner>);

impl Listener for Ear {
    fn on_live(&self, stream: &StreamId, message: LiveMessage) {
        if let Some(inner) = self.0.upgrade()
            && let Some(hub) = inner.find_hub(stream)
        {
            let was_known = hub.hear(message, inner.config.lease());
            if was_known {
                inner.metrics.duplicates_dropped.one();
            }
        }
    }

    fn on_control(&self, stream: &StreamId, message: ControlMessage) {
        if let Some(inner) = self.0.upgrade() {
            inner.control(stream, message);
        }
    }

    fn on_finished(&self, news: FinishedNews) {
        if let Some(inner) = self.0.upgrade() {
            inner.hear_finished(Some(news));
        }
    }

    fn on_restored(&self) {
        let Some(inner) = self.0.upgrade() else { return };
        inner.hear_finished(None);
        let hubs: Vec<_> = lock(&inner.hubs).values().cloned().collect();
        inner.in_turns(hubs, |hub| hub.repair());
        let producers = lock(&inner.producers).all();
        // A stop may have been missed, or the log may have lost its end.
        inner.in_turns(producers, |producer| producer.renew_if_idle(Duration::ZERO));
    }

    fn on_state(&self, state: ConnectionState, reason: &str) {
        let Some(inner) = self.0.upgrade() else { return };
        inner.metrics.entered(state);
        inner.outbox.push(Event::State(state, reason.into()));
        let producers = lock(&inner.producers).all();
        inner.in_turns(producers, |producer| producer.notify.notify_one());
    }

    fn on_credentials(&self, answer: Answer) {
        if let Some(inner) = self.0.upgrade() {
            let ask = inner.ask(answer);
            inner.outbox.push(Event::Ask(ask));
        }
    }

    fn on_warning(&self, warning: &str) {
        if let Some(inner) = self.0.upgrade() {
            inner.outbox.push(Event::Warning(warning.into()));
        }
    }
}
