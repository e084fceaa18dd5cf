//! One atomic transaction on one stream: its time, its engine, and the messages to send after it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;
use ulid::Ulid;

use crate::{
    StreamId,
    store::{ControlMessage, FinishedNews, LiveMessage, groups::Finished},
    util::time::millis,
};

/// A message of a transaction.
#[derive(Clone)]
pub(super) enum Message {
    /// To everyone who listens to the stream.
    Live(LiveMessage),
    /// To the engine with this node id.
    Control(Ulid, ControlMessage),
    /// To those who listen to the queue of finished generations.
    Finished(FinishedNews),
}

/// The circumstances of one operation.
pub(super) struct Transaction<'a> {
    pub stream: &'a StreamId,
    /// The engine that calls.
    pub node: Ulid,
    /// Tokio's clock, so that tests can pause it.
    pub now: Instant,
    /// The same moment for people, in milliseconds since 1970.
    pub wall_ms: u64,
    /// In the order in which they are to be delivered.
    pub messages: Vec<Message>,
    /// The generations that end.
    pub finished: Vec<Finished>,
}

impl<'a> Transaction<'a> {
    pub fn new(stream: &'a StreamId, node: Ulid) -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            stream,
            node,
            now: Instant::now(),
            wall_ms: millis(wall),
            messages: Vec::new(),
            finished: Vec::new(),
        }
    }

    /// The moment `duration` from now; a century from now if the clock cannot count that far.
    pub fn after(&self, duration: Duration) -> Instant {
        const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
        self.now
            .checked_add(duration)
            .unwrap_or_else(|| self.now + CENTURY)
    }

    pub fn tell(&mut self, message: LiveMessage) {
        self.messages.push(Message::Live(message));
    }
}
