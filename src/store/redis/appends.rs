//! Appends by the whole script, and the consequences of each answer.

use tokio::time::Instant;
use ulid::Ulid;

use super::{
    arguments::{with_large, with_seal, without_seal},
    base::RedisStore,
    fast_append,
    index::Entry,
    reply, scripts,
};
use crate::{
    Result, StreamId,
    store::{Append, Appended},
    util::backoff::jitter,
};

impl RedisStore {
    pub(super) async fn append_whole(&self, stream: &StreamId, append: &Append) -> Result<Appended> {
        let writes = append.terminal.is_some() && self.writes_books(stream, &self.keys.stream(stream));
        self.with_or_without_books(writes, |with_books| self.append_by(stream, append, with_books))
            .await
    }

    async fn append_by(&self, stream: &StreamId, append: &Append, with_books: bool) -> Result<Appended> {
        let keys = self.keys.stream(stream);
        let terminal = append.terminal.as_ref();
        let frame = append.frame.as_ref();
        let mut call = self
            .on(&scripts::APPEND, &keys)
            .show(append.generation)
            .show(append.producer)
            .show(append.batch)
            .text(append.expected.map_or_else(String::new, |seq| seq.to_string()))
            .text(self.terms(append.lease))
            .text(terminal.map_or("", |terminal| terminal.outcome.as_str()))
            .text(terminal.map_or("", |terminal| &terminal.reason))
            .show(frame.map_or(0, |frame| frame.count))
            .bytes(frame.map_or(&[], |frame| &frame.bytes))
            .show(self.fast.first_number(append));
        call = with_large(call, append.large);
        call = with_seal(call, append.seal.as_ref());
        if with_books {
            if append.seal.is_none() {
                call = without_seal(call);
            }
            call = self.with_end(call, stream, append.generation);
        }
        let sent = Instant::now();
        let answer = reply::appended("append", self.call(call).await?)?;
        let allowed = answer.fast.map(|(time, ordinal, h)| fast_append::Allowed {
            // Spread, so that streams that started together do not all need the whole script at the same moment.
            due: sent + jitter(time * 3 / 4),
            until: sent + time,
            ordinal,
            h,
        });
        self.fast.learn(append, &answer.appended, allowed, keys);
        self.appended(stream, append.generation, answer)
    }

    /// Reads a producer's answer, and extends the stream's index entry if TTLs were set.
    pub(super) fn appended(
        &self,
        stream: &StreamId,
        generation: Ulid,
        answer: reply::AppendReply,
    ) -> Result<Appended> {
        let appended = answer.appended;
        if answer.is_booked {
            self.booked(stream, generation);
            return Ok(appended);
        }
        let is_last = matches!(
            appended,
            Appended::Done {
                terminal: Some(_),
                ..
            }
        );
        self.extend(stream, generation, answer.index_ttl, is_last)?;
        Ok(appended)
    }

    /// Makes the stream's entry in the index as long as the TTLs that were set, if they were; `is_last`: with the generation's end.
    pub(super) fn extend(&self, stream: &StreamId, generation: Ulid, ttl: u64, is_last: bool) -> Result<()> {
        if ttl == 0 {
            return Ok(());
        }
        let entry = Entry {
            generation,
            ttl,
            is_last,
        };
        self.enter(stream, &entry)
    }
}
