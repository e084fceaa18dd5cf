//! Streams under the names that versions before ADR 25 gave them.
//!
//! A prefix with `:` or `%` used to be written unescaped in a stream's names, so that prefix `app` with id `eu:42` was the same as
//! prefix `app:eu` with id `42`. Now it is escaped. Streams that older servers have begun stay where they are until they expire:
//! they are read, followed, stopped and removed there, and nothing begins there any more.
//!
//! A stream under an old name belongs to the prefix if an older server has made it (the record has no field `i`) and an
//! older server of this very prefix has started a stream with this id (its old index, a key of this prefix alone, has it).

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use tokio::time::Instant;
use ulid::Ulid;

use super::message;
use crate::{
    StreamId,
    redis::observer::Inbox,
    store::{Listener, LiveMessage},
    util::sync::lock,
};

/// The state of old names, as far as it is known.
#[derive(Default)]
pub(super) struct OldNames {
    /// When parts of the old index were last found to be gone, by their keys.
    pub gone: Mutex<HashMap<String, Instant>>,
    /// The streams that are listened to; and who listens under the old name, where something was found there.
    pub heard: Mutex<HashMap<StreamId, Option<Arc<OldInbox>>>>,
}

/// Hears no more than the generation that was found: under the same name another prefix may begin its own.
pub(super) struct OldInbox {
    pub stream: StreamId,
    pub listener: Arc<dyn Listener>,
    pub generation: Mutex<Ulid>,
}

impl Inbox for OldInbox {
    fn on_message(&self, payload: &Bytes) {
        if let Some(message) = message::live(payload)
            && let LiveMessage::Frame { generation, .. } | LiveMessage::Ended { generation, .. } = &message
            && *generation == *lock(&self.generation)
        {
            self.listener.on_live(&self.stream, message);
        }
    }
}
