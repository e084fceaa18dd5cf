//! Passes messages from the connections to the store's listener.

use std::sync::Arc;

use bytes::Bytes;

use super::message;
use crate::{
    StreamId,
    model::connection::{ConnectionState, CredentialsSender},
    redis::observer::{Inbox, Observer},
    store::Listener,
};

/// For a stream's messages.
pub(super) fn live(stream: &StreamId, listener: &Arc<dyn Listener>) -> Arc<dyn Inbox> {
    Arc::new(Live {
        stream: stream.clone(),
        listener: Arc::clone(listener),
    })
}

/// For the messages to the producers of one engine.
pub(super) fn control(listener: &Arc<dyn Listener>) -> Arc<dyn Inbox> {
    Arc::new(Control(Arc::clone(listener)))
}

/// For news of the finished generations.
pub(super) fn finished(listener: &Arc<dyn Listener>) -> Arc<dyn Inbox> {
    Arc::new(Finished(Arc::clone(listener)))
}

struct Live {
    stream: StreamId,
    listener: Arc<dyn Listener>,
}

impl Inbox for Live {
    fn on_message(&self, payload: &Bytes) {
        if let Some(message) = message::live(payload) {
            self.listener.on_live(&self.stream, message);
        }
    }
}

struct Control(Arc<dyn Listener>);

impl Inbox for Control {
    fn on_message(&self, payload: &Bytes) {
        if let Some((stream, message)) = message::control(payload) {
            self.0.on_control(&stream, message);
        }
    }
}

struct Finished(Arc<dyn Listener>);

impl Inbox for Finished {
    fn on_message(&self, payload: &Bytes) {
        if let Some(news) = message::finished(payload) {
            self.0.on_finished(news);
        }
    }
}

/// Tells the listener how the connections are.
pub(super) struct Told(pub Arc<dyn Listener>);

impl Observer for Told {
    fn on_state(&self, state: ConnectionState, reason: &str) {
        self.0.on_state(state, reason);
    }

    fn on_restored(&self) {
        self.0.on_restored();
    }

    fn on_credentials(&self, answer: CredentialsSender) {
        self.0.on_credentials(answer);
    }

    fn on_warning(&self, warning: &str) {
        self.0.on_warning(warning);
    }
}
