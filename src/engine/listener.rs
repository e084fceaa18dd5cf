//! What the store tells the engine.

use std::sync::Weak;

use super::{events::Event, registry::Registry, stop};
use crate::{
    StreamId,
    model::connection::{ConnectionState, CredentialsSender},
    store::{ControlMessage, FinishedNews, Listener, LiveMessage},
    util::sync::lock,
};

/// The listener that the store calls.
pub(super) struct StoreListener(pub(super) Weak<Registry>);

impl Listener for StoreListener {
    fn on_live(&self, stream: &StreamId, message: LiveMessage) {
        if let Some(registry) = self.0.upgrade()
            && let Some(hub) = registry.hubs.find(stream)
        {
            let was_known = hub.hear(message, registry.context.config.lease());
            if was_known {
                registry.context.metrics.duplicates_dropped.one();
            }
        }
    }

    fn on_control(&self, stream: &StreamId, message: ControlMessage) {
        if let Some(registry) = self.0.upgrade() {
            stop::control(&registry, stream, message);
        }
    }

    fn on_finished(&self, news: FinishedNews) {
        if let Some(registry) = self.0.upgrade() {
            registry.hear_finished(Some(news));
        }
    }

    fn on_restored(&self) {
        let Some(registry) = self.0.upgrade() else { return };
        registry.hear_finished(None);
        let hubs = registry.hubs.all();
        registry.context.in_turns(hubs, |hub| hub.repair());
        registry.doubted.notify_one();
        let producers = lock(&registry.producers).all();
        // A stop may have been missed, or the log may have lost its end.
        registry.context.in_turns(producers, |producer| producer.renew());
    }

    fn on_state(&self, state: ConnectionState, reason: &str) {
        let Some(registry) = self.0.upgrade() else { return };
        registry.context.metrics.entered(state);
        registry.context.outbox.push(Event::State(state, reason.into()));
        let producers = lock(&registry.producers).all();
        registry
            .context
            .in_turns(producers, |producer| producer.notify.notify_one());
    }

    fn on_credentials(&self, answer: CredentialsSender) {
        if let Some(registry) = self.0.upgrade() {
            let ask = registry.ask(answer);
            registry.context.outbox.push(Event::Ask(ask));
        }
    }

    fn on_warning(&self, warning: &str) {
        if let Some(registry) = self.0.upgrade() {
            registry.context.outbox.push(Event::Warning(warning.into()));
        }
    }
}
