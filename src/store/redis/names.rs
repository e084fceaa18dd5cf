//! Finds the names of a stream: see [`old_names`](super::old_names).

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::FutureExt as _;
use redis::{Cmd, Value};
use tokio::time::Instant;
use ulid::Ulid;

use super::{arguments::number, base::RedisStore, keys::StreamKeys, old_names::OldInbox};
use crate::{Error, Result, StreamId, redis::observer::Inbox, util::sync::lock};

/// How long a missing part of the old index is taken for gone.
const GONE_FOR: Duration = Duration::from_secs(5);

/// Where a stream is.
pub(super) struct Names {
    pub keys: StreamKeys,
    pub are_old: bool,
}

impl RedisStore {
    /// The names that a stream has: the old ones if there is one of them, and none under its own.
    pub(super) async fn names(&self, stream: &StreamId) -> Result<Names> {
        let keys = self.keys.stream(stream);
        if let Some(old) = self.old_keys(stream).await?
            && !is_stream(&Box::pin(self.ask_key(&keys.meta, "HGET", "s")).await?)
        {
            return Ok(Names {
                keys: old,
                are_old: true,
            });
        }
        Ok(Names { keys, are_old: false })
    }

    /// The key of its record alone, from which the names of the others follow.
    pub(super) async fn meta_of(&self, stream: &StreamId) -> Result<String> {
        if !self.keys.has_old() {
            return Ok(self.keys.meta(stream));
        }
        Ok(Box::pin(self.names(stream)).await?.keys.meta)
    }

    /// The old names, if there is a stream of this prefix under them.
    pub(super) async fn old_keys(&self, stream: &StreamId) -> Result<Option<StreamKeys>> {
        match self.keys.old_stream(stream) {
            // Boxed, because it is rarely needed.
            Some(old) => Box::pin(self.look_for_old(stream, old)).await,
            None => Ok(None),
        }
    }

    async fn look_for_old(&self, stream: &StreamId, old: StreamKeys) -> Result<Option<StreamKeys>> {
        let index = self.keys.old_index_of(stream);
        let is_gone = |at: &Instant| at.elapsed() < GONE_FOR;
        if lock(&self.old_names.gone).get(&index).is_some_and(is_gone) {
            return Ok(None);
        }
        let mut scard = redis::cmd("SCARD");
        scard.arg(&index);
        let (card, member, state, mark) = tokio::try_join!(
            self.ask(&index, &scard),
            self.ask_key(&index, "SISMEMBER", stream.as_str()),
            self.ask_key(&old.meta, "HGET", "s"),
            self.ask_key(&old.meta, "HGET", "i"),
        )?;
        if number(&card) == 0 {
            lock(&self.old_names.gone).insert(index, Instant::now());
        }
        let is_ours = number(&member) == 1 && is_stream(&state) && mark == Value::Nil;
        Ok(is_ours.then_some(old))
    }

    /// A refusal counts as nothing found: the user may have no right to old keys, or another program's key may be there.
    async fn ask(&self, key: &str, command: &Cmd) -> Result<Value> {
        match self.run("names", key, command).await {
            Err(Error::Store { retryable: false, .. }) => Ok(Value::Nil),
            answer => answer,
        }
    }

    async fn ask_key(&self, key: &str, command: &'static str, argument: &str) -> Result<Value> {
        self.ask(key, redis::cmd(command).arg(key).arg(argument)).await
    }

    /// A stream is listened to from now on.
    pub(super) fn begin_to_hear(&self, stream: &StreamId) {
        if self.keys.has_old() {
            lock(&self.old_names.heard).entry(stream.clone()).or_default();
        }
    }

    /// Listens under the old name as well, if the stream is listened to: it was found there.
    pub(super) fn hear_old(&self, stream: &StreamId, generation: Ulid) -> Result<()> {
        let inbox = match lock(&self.old_names.heard).get_mut(stream) {
            None => return Ok(()),
            Some(Some(inbox)) => {
                *lock(&inbox.generation) = generation;
                return Ok(());
            }
            Some(place) => {
                let inbox = OldInbox {
                    stream: stream.clone(),
                    listener: Arc::clone(&self.listener),
                    generation: Mutex::new(generation),
                };
                Arc::clone(place.insert(Arc::new(inbox)))
            }
        };
        if let Some(old) = self.keys.old_stream(stream) {
            let (endpoint, timeouts) = (self.endpoint()?, self.timeouts);
            let recipient = (self.id, inbox as Arc<dyn Inbox>);
            let mut listen =
                Box::pin(async move { endpoint.listen(old.live, true, recipient, timeouts).await });
            // Subscribed now, before an unsubscribe can come. Messages that are missed meanwhile, or if this fails, are found in the log.
            if (&mut listen).now_or_never().is_none() {
                tokio::spawn(listen);
            }
        }
        Ok(())
    }

    /// The channel of the old name, if that is listened to, which it need not be any more.
    pub(super) fn end_to_hear(&self, stream: &StreamId) -> Option<String> {
        lock(&self.old_names.heard).remove(stream)??;
        self.keys.old_stream(stream).map(|old| old.live)
    }
}

fn is_stream(state: &Value) -> bool {
    matches!(state, Value::BulkString(state) if state != b"deleted")
}
