//! The index: all streams, in sorted sets by the time after which nothing of a stream can be left (`lua/books.lua`).
//!
//! Every start and every refresh of TTLs extends the entry afterwards, and the end of the generation sets its final time.
//! Expired entries are removed as others are added. [`RedisStore::forget`] removes the entries of streams that were found gone,
//! unless they were added again since the look began: see [`RedisStore::marks`].
//!
//! Versions before ADR 24 keep plain sets, which are also listed for as long as there are any.

use std::collections::HashMap;

use redis::{Cmd, Value};
use ulid::Ulid;

use super::{arguments::number, base::RedisStore, keys::SHARDS, optional_rights, scripts};
use crate::{
    Error, Result, StreamId,
    redis::{fields::Fields, script::Call},
    store::ListCursor,
};

/// The most ids of one command.
const LIST_AT_ONCE: usize = 1000;

/// An entry of the index.
pub(super) struct Entry {
    pub generation: Ulid,
    /// For how long something of the stream may be left, in milliseconds.
    pub ttl: u64,
    /// Whether the generation has ended.
    pub is_last: bool,
}

/// The index entries of streams, read before looking whether the streams exist.
#[derive(Default)]
pub(super) struct Marks(HashMap<StreamId, Vec<u8>>);

/// What sets a generation's entry apart from that of another one of the stream. A ULID's low bits are random.
pub(super) fn tag(generation: Ulid) -> u128 {
    generation.random() & 0x3ff
}

/// Names the follow-up for a stream's entry.
pub(super) fn name_of(stream: &StreamId) -> String {
    format!("index {stream}")
}

impl RedisStore {
    /// Adds a stream, or extends its entry; nobody waits for it.
    pub(super) fn enter(&self, stream: &StreamId, entry: &Entry) -> Result<()> {
        let call = Call::new(&scripts::INDEX)
            .key(self.keys.index_of(stream))
            .text(stream.as_str())
            .show(entry.ttl)
            .show(tag(entry.generation))
            .text(if entry.is_last { "1" } else { "0" });
        self.send_along(name_of(stream), optional_rights::INDEX, call)
    }

    /// Has to be called before looking whether streams are gone.
    pub(super) async fn marks(&self, streams: &[StreamId]) -> Result<Marks> {
        let mut shards: HashMap<String, Vec<&StreamId>> = HashMap::new();
        for stream in streams {
            shards.entry(self.keys.index_of(stream)).or_default().push(stream);
        }
        let shards: Vec<_> = shards.into_iter().collect();
        let commands = shards.iter().map(|(key, streams)| {
            let mut command = redis::cmd("ZMSCORE");
            command.arg(key);
            for stream in streams {
                command.arg(stream.as_str());
            }
            (key.clone(), command)
        });
        let mut marks = Marks::default();
        let replies = self.run_all("marks", commands).await?;
        for ((_, streams), reply) in shards.iter().zip(replies) {
            let mut scores = Fields::new("marks", reply)?;
            for stream in streams {
                if let Some(score) = scores.bytes()? {
                    marks.0.insert((*stream).clone(), score);
                }
            }
        }
        Ok(marks)
    }

    /// Removes streams that are gone from the index. An entry that was added after the marks were read stays.
    pub(super) async fn forget(
        &self,
        gone: impl IntoIterator<Item = &StreamId> + Clone,
        marks: &Marks,
    ) -> Result<()> {
        let mut calls: HashMap<String, Call> = HashMap::new();
        for stream in gone.clone() {
            if let Some(score) = marks.0.get(stream) {
                let key = self.keys.index_of(stream);
                let call = calls.remove(&key);
                let call = call.unwrap_or_else(|| Call::new(&scripts::UNLIST).key(&key));
                calls.insert(key, call.text(stream.as_str()).bytes(score));
            }
        }
        let calls = calls.into_values().map(|call| self.call(call));
        let mut old: HashMap<String, Cmd> = HashMap::new();
        for stream in gone {
            let key = self.keys.old_index_of(stream);
            let command = old.entry(key).or_insert_with_key(|key| {
                let mut command = redis::cmd("SREM");
                command.arg(key);
                command
            });
            command.arg(stream.as_str());
        }
        let calls = futures_util::future::try_join_all(calls);
        tokio::try_join!(calls, self.run_all("forget", old)).map(drop)
    }

    pub(super) async fn count_ids(&self) -> Result<u64> {
        let counts = (0..SHARDS).flat_map(|shard| {
            [
                ("ZCARD", self.keys.index(shard)),
                ("SCARD", self.keys.old_index(shard)),
            ]
            .map(|(name, key)| {
                let mut command = redis::cmd(name);
                command.arg(&key);
                async move { self.on_shard("count", &key, &command).await }
            })
        });
        let counts = futures_util::future::try_join_all(counts).await?;
        Ok(counts.iter().flatten().map(number).sum())
    }

    pub(super) async fn list_ids(
        &self,
        from: ListCursor,
        count: usize,
    ) -> Result<(Vec<StreamId>, Option<ListCursor>)> {
        let mut ids = Vec::new();
        let mut at = from;
        while at.shard < SHARDS {
            let wanted = count.saturating_sub(ids.len()).clamp(1, LIST_AT_ONCE);
            let (name, key) = if at.old {
                ("SSCAN", self.keys.old_index(at.shard))
            } else {
                ("ZSCAN", self.keys.index(at.shard))
            };
            let mut command = redis::cmd(name);
            command.arg(&key).arg(at.scan).arg("COUNT").arg(wanted);
            at.scan = 0;
            if let Some(reply) = self.on_shard("list", &key, &command).await? {
                let mut fields = Fields::new("list", reply)?;
                at.scan = fields.number()?;
                let mut members = fields.nested()?;
                while !members.is_empty() {
                    let member = members.bytes()?.and_then(|bytes| String::from_utf8(bytes).ok());
                    if !at.old {
                        // The score, which follows each member of a sorted set.
                        members.bytes()?;
                    }
                    ids.extend(member.and_then(|id| StreamId::new(&id).ok()));
                }
            }
            if at.scan == 0 {
                at.shard += u8::from(at.old);
                at.old = !at.old;
            }
            if ids.len() >= count {
                break;
            }
        }
        Ok((ids, (at.shard < SHARDS).then_some(at)))
    }

    /// The reply of a command on a shard; nothing if something else is in its place, which the next start removes.
    async fn on_shard(&self, operation: &'static str, key: &str, command: &Cmd) -> Result<Option<Value>> {
        match self.run(operation, key, command).await {
            Err(Error::Store { reason, .. }) if reason.starts_with("WRONGTYPE") => Ok(None),
            reply => reply.map(Some),
        }
    }
}
