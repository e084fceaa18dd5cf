//! How generations begin.

use futures_util::{TryFutureExt as _, future::try_join_all};
use redis::Value;
use ulid::Ulid;

use super::{
    arguments::{millis, optional},
    base::RedisStore,
    errands::name_of,
    inboxes,
    index::Entry,
    keys::StreamKeys,
    spares,
};
use crate::{
    Error, Result, StreamId,
    redis::script::{Call, Script},
    store::{IfActive, Start},
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

    /// Runs a script that makes a record. Its producer's messages are listened to before, and the generation is noted as open
    /// meanwhile. Nothing but the server that has the stream is waited for.
    pub(super) async fn begin(&self, stream: &StreamId, start: &Start, call: &Call) -> Result<Value> {
        // Refused credentials are reported at once here; the subscriber keeps trying.
        self.until_closed(async {
            let servers = &self.endpoint()?.servers;
            servers.connect_for(call.first_key(), self.timeouts).await
        })
        .await?;
        self.control
            .get_or_try_init(|| {
                let channels = self.control_channels();
                let listen = |channel| self.listen_to(channel, false, inboxes::control(&self.listener));
                try_join_all(channels.into_iter().map(listen)).map_ok(drop)
            })
            .await?;
        let open = (stream.clone(), start.generation);
        self.send_along(name_of(&open), spares::OPEN, self.enter_open(&open, start))?;
        self.call_again(call).await
    }

    /// Adds a stream to the index after its start, so that a caller that has found it gone does not remove the entry. A stream whose
    /// start got no answer may exist, too. `generation` is the one that has begun or was joined.
    pub(super) fn begun(
        &self,
        stream: &StreamId,
        start: &Start,
        generation: Result<Ulid, &Error>,
    ) -> Result<()> {
        let generation = match generation {
            Err(error) if error.is_retryable() => Ok(start.generation),
            other => other,
        };
        if generation != Ok(start.generation) {
            let open = (stream.clone(), start.generation);
            self.send_along(name_of(&open), spares::OPEN, self.leave_open(&open))?;
        }
        let Ok(generation) = generation else { return Ok(()) };
        // It has begun under another name, see `start.lua`.
        if generation != start.generation && generation.random() == start.generation.random() {
            let open = (stream.clone(), generation);
            self.send_along(name_of(&open), spares::OPEN, self.enter_open(&open, start))?;
        }
        let entry = Entry {
            generation,
            ttl: millis(start.ttl.active) + millis(start.ttl.done),
            is_last: false,
        };
        self.enter(stream, &entry)
    }
}
