//! How generations begin.

use redis::Value;
use ulid::Ulid;

use super::{
    arguments::{millis, optional},
    base::RedisStore,
    follow_ups::name_of,
    index::Entry,
    keys::StreamKeys,
    optional_rights, reply,
};
use crate::{
    Error, Result, StreamId,
    redis::script::{Call, Script},
    store::{IfActive, Start, Started, doubt::beyond_doubt},
};

impl RedisStore {
    /// `lease` as `prolong` in `lua/prelude.lua` takes it.
    pub(super) fn create(
        &self,
        script: &'static Script,
        keys: &StreamKeys,
        start: &Start,
        lease: &str,
    ) -> Call {
        self.on(script, keys)
            .key(&keys.stops)
            .show(start.generation)
            .show(start.producer)
            .show(self.node)
            .text(match start.if_active {
                IfActive::Error => "error",
                IfActive::Takeover => "takeover",
                IfActive::Share => "share",
                IfActive::Continue => "continue",
            })
            .text(optional(start.owner.as_ref()))
            .text(optional(start.metadata.as_ref()))
            .text(lease)
            .show(millis(start.ttl.active))
            .show(millis(start.ttl.done))
    }

    /// Starts by a call of `start.lua`, which may write the books.
    pub(super) async fn start_by(
        &self,
        stream: &StreamId,
        start: &Start,
        call: Call,
        with_books: bool,
    ) -> Result<Started> {
        let call = &call;
        let look =
            || async move { reply::started(stream, self.begin(stream, start, call, with_books).await?) };
        let started = beyond_doubt(look).await.and_then(std::convert::identity);
        if !started.as_ref().is_ok_and(|reply| reply.is_booked) {
            let generation = started.as_ref().map(|reply| reply.started.generation);
            self.begun(stream, start, generation, !with_books)?;
        }
        let reply = started?;
        self.fast.begin(start.producer, reply.number);
        Ok(reply.started)
    }

    /// Runs a script that makes a record. Its producer's messages are listened to before, and unless the script does that, the
    /// generation is noted as open meanwhile. Nothing but the server that has the stream is waited for.
    pub(super) async fn begin(
        &self,
        stream: &StreamId,
        start: &Start,
        call: &Call,
        notes: bool,
    ) -> Result<Value> {
        // Refused credentials are reported at once here; the subscriber keeps trying.
        self.until_closed(async {
            let servers = &self.endpoint()?.servers;
            servers.connect_for(call.first_key(), self.timeouts).await
        })
        .await?;
        self.control.get_or_try_init(|| self.listen_to_control()).await?;
        if !notes {
            self.note_open(stream, start.generation, start)?;
        }
        self.call_again(call).await
    }

    /// Notes a generation as open; nobody waits for it.
    fn note_open(&self, stream: &StreamId, generation: Ulid, start: &Start) -> Result<()> {
        let open = (stream.clone(), generation);
        self.send_along(
            name_of(&open),
            optional_rights::OPEN,
            self.enter_open(&open, start),
        )
    }

    /// Adds a stream to the index after its start, so that a caller that has found it gone does not remove the entry. A stream whose
    /// start got no answer may exist, too. `generation` is the one that has begun or was joined; `is_noted`: it was noted as open.
    pub(super) fn begun(
        &self,
        stream: &StreamId,
        start: &Start,
        generation: Result<Ulid, &Error>,
        is_noted: bool,
    ) -> Result<()> {
        let generation = match generation {
            Err(error) if error.is_retryable() => Ok(start.generation),
            other => other,
        };
        if is_noted && generation != Ok(start.generation) {
            let open = (stream.clone(), start.generation);
            self.send_along(name_of(&open), optional_rights::OPEN, self.leave_open(&open))?;
        }
        let Ok(generation) = generation else { return Ok(()) };
        // It may have begun under another name, see `start.lua`.
        let is_new = generation.random() == start.generation.random();
        if is_new && !(is_noted && generation == start.generation) {
            self.note_open(stream, generation, start)?;
        }
        let entry = Entry {
            generation,
            ttl: millis(start.ttl.active) + millis(start.ttl.done),
            is_last: false,
        };
        self.enter(stream, &entry)
    }
}
