//! The books: what is kept of a generation beside its stream, its entry in the index and its place among the open and the
//! finished ones (`lua/books.lua`, ADR 47).
//!
//! The scripts that begin and end a generation write them where the stream's server has them too. Elsewhere, and where that
//! failed, it is done by commands of their own: [`RedisStore::begun`], [`RedisStore::extend`] and the engine's announcement.

use ulid::Ulid;

use super::{
    arguments::{millis, queue_ttl},
    base::RedisStore,
    follow_ups::name_of,
    groups::SLACK,
    index,
    keys::StreamKeys,
    optional_rights::{self, note_refusal},
};
use crate::{
    Error, Result, StreamId,
    redis::{
        failure::{is_refusal, is_split},
        script::Call,
    },
    store::{Start, groups::MAX_FINISHED},
    util::sync::lock,
};

/// Whether a script may have been refused for the keys of the books alone, so that it is to be called without them.
fn is_of_books(error: &Error) -> bool {
    is_split(error) || matches!(error, Error::Store { reason, .. } if is_refusal(reason))
}

impl RedisStore {
    /// Whether the scripts of this stream write the books: the same server has them, and has not refused it.
    pub(super) fn writes_books(&self, stream: &StreamId, keys: &StreamKeys) -> bool {
        let Ok(endpoint) = self.endpoint() else {
            return false;
        };
        let slot = |key: &str| endpoint.servers.slot(key);
        let here = slot(&keys.meta);
        [
            optional_rights::BOOKS,
            optional_rights::INDEX,
            optional_rights::OPEN,
            optional_rights::ANNOUNCE,
        ]
        .into_iter()
        .all(|right| endpoint.health.may(right))
            && slot(&self.keys.index_of(stream)) == here
            && slot(&self.keys.open()) == here
    }

    /// Does something with the books if `writes` says so, and without them where the server refuses that. The transport
    /// remembers where slots are; a missing right is noted here, once the same has worked without it.
    pub(super) async fn with_or_without_books<T, F>(
        &self,
        writes: bool,
        work: impl Fn(bool) -> F,
    ) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let refusal = match work(writes).await {
            Err(error) if writes && is_of_books(&error) => error,
            done => return done,
        };
        let done = work(false).await?;
        if let Ok(endpoint) = self.endpoint() {
            note_refusal(&endpoint, optional_rights::BOOKS, &refusal);
        }
        Ok(done)
    }

    /// The last keys of such a script.
    fn with_books(&self, call: Call, stream: &StreamId) -> Call {
        call.key(self.keys.index_of(stream))
            .key(self.keys.finished())
            .key(self.keys.open())
    }

    /// The call of `start.lua` as one that writes the books.
    pub(super) fn with_beginning(&self, call: Call, stream: &StreamId, start: &Start) -> Call {
        self.with_books(call, stream)
            .text(stream.as_str())
            .show(index::tag(start.generation))
            .show(millis(start.lease + SLACK))
            .show(self.queue_ttl.max(queue_ttl(start.ttl)))
    }

    /// The call of `append.lua` with an end as one that writes the books.
    pub(super) fn with_end(&self, call: Call, stream: &StreamId, generation: Ulid) -> Call {
        self.with_books(call, stream)
            .text(stream.as_str())
            .show(index::tag(generation))
            .show(MAX_FINISHED)
            .show(self.queue_ttl)
    }

    /// An end is in the books: what is under way for them is not needed any more, nor is its announcement.
    pub(super) fn booked(&self, stream: &StreamId, generation: Ulid) {
        self.follow_ups.revoke(&name_of(&(stream.clone(), generation)));
        self.follow_ups.revoke(&index::name_of(stream));
        lock(&self.booked).insert(generation);
    }

    /// Whether an end that is to be announced is in the books; asked once.
    pub(super) fn is_booked(&self, generation: Ulid) -> bool {
        lock(&self.booked).remove(&generation)
    }
}
