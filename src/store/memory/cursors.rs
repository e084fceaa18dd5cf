//! The cursors of a stream's consumers.

use std::collections::BTreeMap;

use ulid::Ulid;

use super::stream::Stream;
use crate::{
    Cursor,
    store::{Ack, ConsumerStatus, MAX_CONSUMERS, SHOWN_CONSUMERS},
};

#[derive(Default)]
pub(super) struct Cursors {
    of: BTreeMap<String, Cursor>,
    /// The generation in which consumers of older ones have made room.
    cleared_in: Option<Ulid>,
}

impl Cursors {
    pub fn get(&self, consumer: &str) -> Option<Cursor> {
        self.of.get(consumer).copied()
    }

    /// Moves a cursor forward; whether there is room for its consumer.
    pub fn ack(&mut self, stream: &Stream, ack: &Ack) -> bool {
        let Some((ordinal, cursor)) = stream.bound(ack.cursor) else {
            return true;
        };
        if let Some(standing) = self.of.get_mut(&ack.consumer) {
            let before = stream
                .bound(*standing)
                .map(|(ordinal, cursor)| (ordinal, cursor.seq));
            if before < Some((ordinal, cursor.seq)) {
                *standing = cursor;
            }
            return true;
        }
        let is_cleared = self.cleared_in == Some(stream.generation());
        if self.of.len() >= MAX_CONSUMERS && !is_cleared {
            self.of.retain(|_, cursor| stream.bound(*cursor).is_some());
            self.cleared_in = Some(stream.generation());
        }
        let has_room = self.of.len() < MAX_CONSUMERS;
        if has_room {
            self.of.insert(ack.consumer.clone(), cursor);
        }
        has_room
    }

    /// How far each consumer is behind.
    pub fn lags(&self, last_seq: u64) -> impl Iterator<Item = u64> {
        self.of
            .values()
            .map(move |cursor| last_seq.saturating_sub(cursor.seq))
    }

    pub fn show(&self, last_seq: u64) -> Vec<ConsumerStatus> {
        let shown = self.of.iter().take(SHOWN_CONSUMERS);
        shown
            .map(|(consumer, cursor)| ConsumerStatus::new(consumer.clone(), *cursor, last_seq))
            .collect()
    }
}
