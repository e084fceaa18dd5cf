//! How far the consumers of a stream have got.

use std::collections::BTreeMap;

use super::stream::Stream;
use crate::{
    Cursor,
    store::{Ack, ConsumerStatus, MAX_CONSUMERS, SHOWN_CONSUMERS},
};

#[derive(Default)]
pub(super) struct Cursors(BTreeMap<String, Cursor>);

impl Cursors {
    pub fn get(&self, consumer: &str) -> Option<Cursor> {
        self.0.get(consumer).copied()
    }

    /// Moves a cursor forward; whether there is room for its consumer.
    pub fn ack(&mut self, stream: &Stream, ack: &Ack) -> bool {
        let Some((ordinal, cursor)) = stream.bound(ack.cursor) else {
            return true;
        };
        if let Some(standing) = self.0.get_mut(&ack.consumer) {
            let before = stream
                .bound(*standing)
                .map(|(ordinal, cursor)| (ordinal, cursor.seq));
            if before < Some((ordinal, cursor.seq)) {
                *standing = cursor;
            }
            return true;
        }
        if self.0.len() >= MAX_CONSUMERS {
            self.0.retain(|_, cursor| stream.bound(*cursor).is_some());
        }
        let has_room = self.0.len() < MAX_CONSUMERS;
        if has_room {
            self.0.insert(ack.consumer.clone(), cursor);
        }
        has_room
    }

    pub fn show(&self, last_seq: u64) -> Vec<ConsumerStatus> {
        let shown = self.0.iter().take(SHOWN_CONSUMERS);
        shown
            .map(|(consumer, cursor)| ConsumerStatus::new(consumer.clone(), *cursor, last_seq))
            .collect()
    }
}
