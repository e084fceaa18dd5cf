//! Acknowledgements of consumers: gathered, and written for all streams together.
//!
//! A consumer's cursor waits here for the next round, [`Config::ack_interval`](crate::Config::ack_interval) after the first
//! one that came; a later one replaces it. Transient failures go into the next round. Readers of this process that wait for
//! the consumer's acknowledgement get it at once.

use std::{
    collections::{HashMap, hash_map},
    sync::{Arc, Mutex, Weak},
};

use futures_util::{StreamExt as _, stream};
use tokio::{sync::Notify, time::Instant};
use ulid::Ulid;

use super::subscription::Subscription;
use crate::{
    Cursor, Error, Result, StreamId,
    engine::{
        context::Context,
        events::{Event, Reply},
    },
    store::{Ack, MAX_CONSUMERS, OwnerCheck},
    util::sync::lock,
};

/// The consumers that one call of the store takes.
const AT_ONCE: usize = 128;
/// The streams that are written for at the same time.
const STREAMS_AT_ONCE: usize = 64;

/// A stream, and the owner with whom its cursors are written.
type Group = (StreamId, Option<String>);

/// By stream and consumer.
type Readers = HashMap<(StreamId, String), Vec<Weak<Subscription>>>;

#[derive(Default)]
pub(crate) struct Acks {
    waiting: Mutex<HashMap<Group, Entries>>,
    work: Notify,
    /// Readers whose windows count their consumer's acknowledgements.
    readers: Mutex<Readers>,
    /// Rounds follow each other: a cursor that is being written is not overtaken by a look at it.
    round: tokio::sync::Mutex<()>,
}

/// By consumer and generation: which of two generations is the later one only the store knows.
type Entries = HashMap<(String, Ulid), Entry>;

struct Entry {
    seq: u64,
    /// The requests to be answered.
    requests: Vec<u32>,
    since: Instant,
}

impl Acks {
    /// Adds a cursor; the request is answered when it, or a later one, has been stored.
    pub fn add(&self, request: u32, stream: StreamId, owner: Option<String>, ack: Ack) {
        let Cursor { generation, seq } = ack.cursor;
        self.tell(&stream, &ack.consumer, owner.as_ref(), seq);
        let entry = Entry {
            seq,
            requests: vec![request],
            since: Instant::now(),
        };
        let mut waiting = lock(&self.waiting);
        let entries = waiting.entry((stream, owner)).or_default();
        put(entries, (ack.consumer, generation), entry);
        drop(waiting);
        self.work.notify_one();
    }

    /// Adds a reader that waits for its consumer's acknowledgements.
    pub fn join(&self, stream: &StreamId, consumer: &str, reader: &Arc<Subscription>) {
        let mut readers = lock(&self.readers);
        let theirs = readers.entry((stream.clone(), consumer.to_owned())).or_default();
        theirs.push(Arc::downgrade(reader));
    }

    /// Removes it.
    pub fn leave(&self, stream: &StreamId, consumer: &str, reader: &Arc<Subscription>) {
        let mut readers = lock(&self.readers);
        let key = (stream.clone(), consumer.to_owned());
        if let hash_map::Entry::Occupied(mut theirs) = readers.entry(key) {
            theirs
                .get_mut()
                .retain(|known| known.as_ptr() != Arc::as_ptr(reader));
            if theirs.get().is_empty() {
                theirs.remove();
            }
        }
    }

    /// A reader that was admitted with the same owner need not wait for the store to compare it.
    fn tell(&self, stream: &StreamId, consumer: &str, owner: Option<&String>, seq: u64) {
        let key = (stream.clone(), consumer.to_owned());
        let readers = lock(&self.readers).get(&key).cloned().unwrap_or_default();
        for reader in readers.iter().filter_map(Weak::upgrade) {
            if matches!(reader.owner(), OwnerCheck::Caller(own) if own.as_ref() == owner) {
                reader.acknowledge(seq);
            }
        }
    }

    /// Writes the waiting cursors, of all streams or of one.
    pub async fn flush(&self, context: &Context, only: Option<&StreamId>) {
        let _turn = self.round.lock().await;
        let taken: Vec<_> = lock(&self.waiting)
            .extract_if(|(stream, _), _| only.is_none_or(|only| only == stream))
            .collect();
        let groups = stream::iter(taken);
        groups
            .for_each_concurrent(STREAMS_AT_ONCE, |(group, entries)| async move {
                self.write(context, &group, entries).await;
            })
            .await;
    }

    async fn write(&self, context: &Context, group: &Group, entries: Entries) {
        let owner = OwnerCheck::Caller(group.1.clone());
        let mut entries = entries.into_iter();
        loop {
            let (acks, entries): (Vec<_>, Vec<_>) = entries
                .by_ref()
                .take(AT_ONCE)
                .map(|((consumer, generation), entry)| {
                    let seq = entry.seq;
                    let cursor = Cursor { generation, seq };
                    (Ack { consumer, cursor }, entry)
                })
                .unzip();
            if acks.is_empty() {
                return;
            }
            match context.store().ack(&group.0, &acks, &owner).await {
                Ok(taken) => {
                    for (entry, taken) in entries.into_iter().zip(taken) {
                        answer(context, entry, &if taken { Ok(()) } else { Err(full()) });
                    }
                }
                Err(error) => {
                    for (ack, entry) in acks.into_iter().zip(entries) {
                        let patience = entry.since + context.config().connect_timeout();
                        if error.is_retryable() && Instant::now() < patience {
                            let mut waiting = lock(&self.waiting);
                            let key = (ack.consumer, ack.cursor.generation);
                            put(waiting.entry(group.clone()).or_default(), key, entry);
                            self.work.notify_one();
                        } else {
                            answer(context, entry, &Err(error.clone()));
                        }
                    }
                }
            }
        }
    }
}

fn put(entries: &mut Entries, key: (String, Ulid), mut entry: Entry) {
    match entries.entry(key) {
        hash_map::Entry::Vacant(place) => {
            place.insert(entry);
        }
        hash_map::Entry::Occupied(mut place) => {
            let known = place.get_mut();
            known.requests.append(&mut entry.requests);
            known.seq = known.seq.max(entry.seq);
            known.since = known.since.min(entry.since);
        }
    }
}

fn answer(context: &Context, entry: Entry, outcome: &Result<()>) {
    for request in entry.requests {
        let reply = outcome.as_ref().map(|()| Reply::Unit).map_err(Error::clone);
        context.outbox().push(Event::Reply(request, reply));
    }
}

fn full() -> Error {
    Error::Store {
        operation: "ack",
        reason: format!("the stream has {MAX_CONSUMERS} consumers already"),
        retryable: false,
    }
}

/// Writes round after round. Ends with `Engine::dispose`.
pub async fn run(acks: Arc<Acks>, context: Arc<Context>) {
    loop {
        acks.work.notified().await;
        tokio::time::sleep(context.config.ack_interval()).await;
        acks.flush(&context, None).await;
    }
}
