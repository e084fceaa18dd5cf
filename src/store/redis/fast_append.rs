//! Fast appends: the other side of `lua/fast_append.lua`.
//!
//! [`FastAppends`] knows which producers may append the fast way, and what their records then contain. It sends the batches of
//! one turn of the engine's thread as one command.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex},
};

use redis::Value;
use tokio::{
    sync::{oneshot, watch},
    time::Instant,
};
use ulid::Ulid;

use super::{keys::StreamKeys, optional_rights, scripts};
use crate::{
    Error, Result,
    redis::{
        endpoint::Endpoint,
        failure::{is_refusal, is_split},
        job::Timeouts,
        script::Call,
    },
    store::{Append, Appended},
    util::{sync::lock, turn::ready_ones_first},
};

/// The most appends in one command …
const MOST_APPENDS: usize = 64;
/// … and the bytes of frames that it is not begun to be filled beyond.
const MOST_BYTES: usize = 64 * 1024;

/// A longer frame is not part of its message, and the record has to note its length.
const MOST_FRAME: usize = 16 * 1024;

/// The units of the parts of `h`, see `lua/prelude.lua`.
const CHUNK: u64 = 1 << 22;
const ERA: u64 = 1 << 37;
/// The most chunks, and bytes, that `h` can count.
const MOST_HOT_CHUNKS: u64 = ERA / CHUNK - 1;
const MOST_HOT_BYTES: u64 = CHUNK - 1;

/// A generation that may be appended to the fast way, by its only producer.
#[derive(Debug)]
struct Tracked {
    keys: StreamKeys,
    generation: Ulid,
    /// The record at the last full answer.
    batch: u64,
    last: u64,
    allowed: Allowed,
}

/// The permission of the whole script.
#[derive(Debug)]
pub(super) struct Allowed {
    /// From when on it should be run again, if there is a moment for it, …
    pub due: Instant,
    /// … and until when the next batch may be fast.
    pub until: Instant,
    /// The generation's.
    pub ordinal: u64,
    /// The record's, see `lua/prelude.lua`.
    pub h: u64,
}

/// The record as its only producer has changed it since Redis' last full answer.
#[derive(Debug)]
struct Hot {
    tracked: Arc<Tracked>,
    chunks: u64,
    bytes: u64,
}

/// The change of `h` by a fast append, and the resulting seq.
#[derive(Debug)]
struct Expected {
    tracked: Arc<Tracked>,
    growth: u64,
    to: u64,
    last: u64,
}

/// What was expected was so; `is_heard` as in [`Appended::Done`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Accepted {
    is_heard: bool,
}

/// An append that waits for the turn's end, and who waits for its answer: `None` if what was expected was not so.
struct Attempt {
    /// Appends of other slots need a command of their own.
    slot: usize,
    expected: Expected,
    frame: bytes::Bytes,
    done: oneshot::Sender<Result<Option<Accepted>>>,
}

/// The producers of one store whose appends may be fast.
#[derive(Default)]
pub(super) struct FastAppends {
    producers: Mutex<HashMap<Ulid, Hot>>,
    /// The numbers `hn` that those have found who continue a generation.
    found: Mutex<HashMap<Ulid, u64>>,
    /// Those that have put a record back.
    restorers: Mutex<HashSet<Ulid>>,
    turn: Mutex<Vec<Attempt>>,
}

impl FastAppends {
    /// Tries to append the fast way. `None`: the whole script has to decide.
    /// `closed` becomes true when the store is closed.
    pub async fn append(
        self: &Arc<Self>,
        append: &Append,
        endpoint: Arc<Endpoint>,
        timeouts: Timeouts,
        closed: &watch::Sender<bool>,
    ) -> Result<Option<Appended>> {
        let expected = endpoint
            .health
            .may(optional_rights::FAST_APPEND)
            .then(|| self.expected(append));
        let Some((expected, frame)) = expected.flatten() else {
            return Ok(None);
        };
        let (last, due) = (expected.last, expected.tracked.allowed.due);
        let (done, answer) = oneshot::channel();
        let is_first = {
            let mut turn = lock(&self.turn);
            turn.push(Attempt {
                slot: endpoint.servers.slot(&expected.tracked.keys.meta),
                expected,
                frame,
                done,
            });
            turn.len() == 1
        };
        if is_first {
            tokio::spawn(Arc::clone(self).send(endpoint, timeouts, closed.subscribe()));
        }
        // Dropped without an answer only with the runtime.
        if let Some(Accepted { is_heard }) = answer.await.unwrap_or(Err(Error::Closed))? {
            self.advance(append);
            return Ok(Some(Appended::Done {
                last,
                stop: None,
                terminal: None,
                due: Instant::now() >= due,
                is_heard,
            }));
        }
        self.forget(append.producer);
        Ok(None)
    }

    /// The fast append to try, if it is worth trying.
    fn expected(&self, append: &Append) -> Option<(Expected, bytes::Bytes)> {
        let is_plain = append.terminal.is_none() && append.seal.is_none() && append.large.is_none();
        let frame = append.frame.as_ref().filter(|_| is_plain)?;
        if frame.bytes.len() > MOST_FRAME {
            return None;
        }
        let producers = lock(&self.producers);
        let Hot {
            tracked,
            chunks,
            bytes,
        } = producers.get(&append.producer)?;
        let (chunks, bytes) = (chunks + frame.count, bytes + frame.bytes.len() as u64);
        let last = tracked.last + chunks;
        let follows = append.expected == Some(last - frame.count) && append.batch == tracked.batch + chunks;
        if !follows
            || chunks > MOST_HOT_CHUNKS
            || bytes > MOST_HOT_BYTES
            || Instant::now() >= tracked.allowed.until
        {
            return None;
        }
        let expected = Expected {
            tracked: Arc::clone(tracked),
            growth: frame.count * CHUNK + frame.bytes.len() as u64,
            to: tracked.allowed.h + chunks * CHUNK + bytes,
            last,
        };
        Some((expected, frame.bytes.clone()))
    }

    /// The expectation was right.
    fn advance(&self, append: &Append) {
        if let (Some(hot), Some(frame)) = (lock(&self.producers).get_mut(&append.producer), &append.frame) {
            hot.chunks += frame.count;
            hot.bytes += frame.bytes.len() as u64;
        }
    }

    /// The whole script has run.
    pub fn learn(&self, append: &Append, appended: &Appended, allowed: Option<Allowed>, keys: StreamKeys) {
        match (appended, allowed) {
            (Appended::Done { last, .. }, Some(allowed)) => {
                let tracked = Tracked {
                    keys,
                    generation: append.generation,
                    batch: append.batch,
                    last: *last,
                    allowed,
                };
                let hot = Hot {
                    tracked: Arc::new(tracked),
                    chunks: 0,
                    bytes: 0,
                };
                lock(&self.producers).insert(append.producer, hot);
            }
            _ => self.forget(append.producer),
        }
    }

    /// A producer has started where the record has this number, or none: 0.
    pub fn begin(&self, producer: Ulid, number: u64) {
        if number > 0 {
            lock(&self.found).insert(producer, number);
        }
    }

    /// A producer is about to put a lost record back.
    pub fn restore(&self, producer: Ulid) {
        lock(&self.restorers).insert(producer);
    }

    /// The number with which a record begins to count, see `hn` in `lua/prelude.lua`. After a loss of everything it is higher than all that
    /// this producer and those before it have had: each of their full appends was a batch, and took the next number. Those after it have
    /// counted on from there: so many are left out that they have others, unless chance has it.
    pub fn first_number(&self, append: &Append) -> u64 {
        let producer = append.producer;
        // A ULID's low bits are random, and count up within a millisecond.
        let random =
            |shift: u32, most: u128| u64::try_from(producer.random() >> shift & most).unwrap_or_default();
        let found = lock(&self.found).get(&producer).copied();
        let begin = found.unwrap_or_else(|| random(0, 0xffff));
        let left_out = if lock(&self.restorers).contains(&producer) {
            random(16, 0x7fff)
        } else {
            0
        };
        1 + (begin + left_out + append.batch) % 0xffff
    }

    /// The producer has ended.
    pub fn end(&self, producer: Ulid) {
        self.forget(producer);
        lock(&self.found).remove(&producer);
        lock(&self.restorers).remove(&producer);
    }

    /// Nothing is known of the record any more.
    pub fn forget(&self, producer: Ulid) {
        lock(&self.producers).remove(&producer);
    }

    /// Waits for the turn's end and sends what it has brought.
    async fn send(
        self: Arc<Self>,
        endpoint: Arc<Endpoint>,
        timeouts: Timeouts,
        closed: watch::Receiver<bool>,
    ) {
        ready_ones_first().await;
        let mut attempts = std::mem::take(&mut *lock(&self.turn));
        attempts.sort_by_key(|waiting| waiting.slot);
        let mut attempts = VecDeque::from(attempts);
        while !attempts.is_empty() {
            let fitting = fitting(&attempts);
            let together = attempts.drain(..fitting).collect();
            let command = perform(together, Arc::clone(&endpoint), timeouts, closed.clone());
            if attempts.is_empty() {
                return command.await;
            }
            tokio::spawn(command);
        }
    }
}

/// How many of these go into one command, which is for one slot.
fn fitting(attempts: &VecDeque<Attempt>) -> usize {
    let mut bytes = 0;
    let slot = attempts.front().map(|waiting| waiting.slot);
    let more = |waiting: &&Attempt| {
        bytes += waiting.frame.len();
        bytes <= MOST_BYTES && Some(waiting.slot) == slot
    };
    attempts.iter().take(MOST_APPENDS).take_while(more).count().max(1)
}

/// Sends one command, and answers all appends in it.
async fn perform(
    attempts: Vec<Attempt>,
    endpoint: Arc<Endpoint>,
    timeouts: Timeouts,
    mut closed: watch::Receiver<bool>,
) {
    let call = command(&attempts);
    let reply = tokio::select! {
        biased;
        _ = closed.wait_for(|closed| *closed) => Err(Error::Closed),
        reply = endpoint.servers.call(&call, timeouts) => reply,
    };
    if let Ok(reply) = &reply {
        note_refusal(reply, &endpoint);
    }
    let is_split = reply.as_ref().is_err_and(is_split);
    let counts_receivers = endpoint.servers.counts_receivers();
    let count = attempts.len();
    for (waiting, number) in attempts.into_iter().zip(1..) {
        let answer = match &reply {
            Ok(reply) => Ok(accepted(reply, number, count).map(|accepted| Accepted {
                is_heard: accepted.is_heard || !counts_receivers,
            })),
            // The whole script is for one stream alone.
            Err(_) if is_split => Ok(None),
            Err(error) => Err(error.clone()),
        };
        // A cancelled caller repeats the batch under the same number, or is gone.
        let _ = waiting.done.send(answer);
    }
}

/// Notes a missing right: otherwise every append would cost two scripts.
fn note_refusal(reply: &Value, endpoint: &Endpoint) {
    if let Value::Array(reply) = reply
        && let Some(Value::BulkString(said)) = reply.last()
    {
        let said = String::from_utf8_lossy(said);
        if is_refusal(&said) {
            endpoint
                .health
                .refused(optional_rights::FAST_APPEND, endpoint.servers.address(), &said);
        }
    }
}

/// Whether the append of this number, of so many, was done. Whatever else a server may answer: the whole script decides.
fn accepted(reply: &Value, number: i64, of: usize) -> Option<Accepted> {
    let Value::Array(reply) = reply else { return None };
    match reply.split_first() {
        Some((Value::Int(count), said))
            if usize::try_from(*count) == Ok(of) && !said.contains(&Value::Int(number)) =>
        {
            Some(Accepted {
                is_heard: !said.contains(&Value::Int(-number)),
            })
        }
        _ => None,
    }
}

fn command(attempts: &[Attempt]) -> Call {
    let frames = attempts.iter().map(|Attempt { frame, .. }| frame.len()).sum();
    let mut call = Call::for_many(&scripts::FAST_APPEND, attempts.len(), frames);
    for Attempt { expected, frame, .. } in attempts {
        let Expected {
            tracked,
            growth,
            to,
            last,
        } = expected;
        call = call
            .key(&tracked.keys.meta)
            .key(&tracked.keys.log)
            .text(&tracked.keys.live)
            .show(growth)
            .show(to)
            .show(format_args!("{}-{last}", tracked.allowed.ordinal))
            .message(format_args!("f {} {last}\n", tracked.generation), frame);
    }
    call
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{StreamId, store::redis::keys::KeyNames};

    #[test]
    fn only_a_reply_about_all_of_them_accepts_any() {
        let reply = |numbers: &[i64]| Value::Array(numbers.iter().copied().map(Value::Int).collect());
        let accepted = |reply: &Value| [1, 2, 3].map(|number| accepted(reply, number, 3).is_some());
        assert_eq!(accepted(&reply(&[3])), [true, true, true]);
        assert_eq!(accepted(&reply(&[3, 2])), [true, false, true]);
        for strange in [
            reply(&[]),
            reply(&[2]),
            reply(&[-1]),
            Value::Nil,
            Value::Int(3),
            Value::Okay,
        ] {
            assert_eq!(accepted(&strange), [false; 3], "{strange:?}");
        }
    }

    #[test]
    fn g9_a_command_is_for_one_slot_and_has_so_many_appends_or_bytes() {
        let now = Instant::now();
        let tracked = Arc::new(Tracked {
            keys: KeyNames::new("tm").stream(&StreamId::new("a").unwrap()),
            generation: Ulid::nil(),
            batch: 0,
            last: 0,
            allowed: Allowed {
                due: now,
                until: now,
                ordinal: 1,
                h: 0,
            },
        });
        let fitting = |attempts: &[(usize, usize)]| {
            let attempts = attempts.iter().map(|(slot, bytes)| Attempt {
                slot: *slot,
                expected: Expected {
                    tracked: Arc::clone(&tracked),
                    growth: 0,
                    to: 0,
                    last: 0,
                },
                frame: vec![0; *bytes].into(),
                done: oneshot::channel().0,
            });
            fitting(&attempts.collect())
        };
        assert_eq!(fitting(&[(1, 10); 100]), MOST_APPENDS);
        assert_eq!(fitting(&[(1, 15_000); 10]), 4);
        assert_eq!(fitting(&[(1, MOST_BYTES + 1), (1, 1)]), 1);
        assert_eq!(fitting(&[(1, 1), (1, 1), (2, 1), (2, 1)]), 2);
    }

    #[test]
    fn a_reply_says_which_messages_nobody_has_received() {
        let reply = Value::Array([3, -1, 2].map(Value::Int).to_vec());
        let heard = |number| accepted(&reply, number, 3).map(|accepted| accepted.is_heard);
        assert_eq!([1, 2, 3].map(heard), [Some(false), None, Some(true)]);
    }
}
