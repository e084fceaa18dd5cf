//! Passes messages from the connections to the store's listener.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use tokio::time::Instant;

use super::message;
use crate::{
    StreamId,
    model::connection::{ConnectionState, CredentialsSender},
    redis::observer::{Inbox, Observer},
    store::Listener,
    util::sync::lock,
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

/// For such messages of servers of versions before ADR 38.
pub(super) fn control_of_older(listener: &Arc<dyn Listener>, older: &Arc<Older>) -> Arc<dyn Inbox> {
    Arc::new(OlderControl {
        control: Control(Arc::clone(listener)),
        older: Arc::clone(older),
    })
}

/// How long a server of an older version counts as being there after it was heard.
const OLDER: Duration = Duration::from_secs(600);

/// When a server of a version before ADR 38 was last heard.
#[derive(Default)]
pub(super) struct Older(Mutex<Option<Instant>>);

impl Older {
    pub fn are_there(&self) -> bool {
        lock(&self.0).is_some_and(|heard| heard.elapsed() < OLDER)
    }
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

struct OlderControl {
    control: Control,
    older: Arc<Older>,
}

impl Inbox for OlderControl {
    fn on_message(&self, payload: &Bytes) {
        *lock(&self.older.0) = Some(Instant::now());
        self.control.on_message(payload);
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
pub(super) struct StateObserver(pub Arc<dyn Listener>);

impl Observer for StateObserver {
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
