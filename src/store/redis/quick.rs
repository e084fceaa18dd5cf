//! Quick appends: the other side of `lua/quick.lua`.
//!
//! [`Quick`] knows which producers may append the quick way and what their records hold then, and sends what the batches of
//! one turn of the engine's thread bring as one command.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex},
};

use redis::Value;
use tokio::{
    sync::{oneshot, watch},
    time::Instant,
};
use ulid::Ulid;

use super::{keys::StreamKeys, scripts, spares};
use crate::{
    Error, Result,
    redis::{commands::Limits, endpoint::Endpoint, failure::is_refusal, script::Call},
    store::{Append, Appended},
    util::sync::lock,
};

/// The most appends in one command …
const MOST_APPENDS: usize = 64;
/// … and the bytes of frames that it is not begun to be filled beyond.
const MOST_BYTES: usize = 64 * 1024;

/// A longer frame is not sent along with its message, and the record has to tell of it.
const MOST_FRAME: usize = 16 * 1024;

/// What the parts of `h` are counted in, see `lua/prelude.lua`.
const CHUNK: u64 = 1 << 22;
const ERA: u64 = 1 << 37;
/// The most chunks, and bytes, that `h` can count.
const MOST_HOT_CHUNKS: u64 = ERA / CHUNK - 1;
const MOST_HOT_BYTES: u64 = CHUNK - 1;

/// A generation that may be appended to the quick way, by its only producer.
#[derive(Debug)]
struct Lane {
    keys: StreamKeys,
    generation: Ulid,
    /// What the record held when it was learned.
    batch: u64,
    last: u64,
    h: u64,
    allowed: Allowed,
}

/// What the whole script allows.
#[derive(Debug)]
pub(super) struct Allowed {
    /// From when on it should be run again, if there is a moment for it, …
    pub due: Instant,
    /// … and until when the next batch may be quick.
    pub until: Instant,
    /// The generation's.
    pub ordinal: u64,
}

/// What the record holds as far as its only producer has changed it since Redis last told.
#[derive(Debug)]
struct Hot {
    lane: Arc<Lane>,
    chunks: u64,
    bytes: u64,
}

/// What a quick append does to `h`, and the seq that it leads to.
#[derive(Debug)]
struct Guess {
    lane: Arc<Lane>,
    growth: u64,
    to: u64,
    last: u64,
}

/// An append that waits for the turn's end, and who waits for its answer: whether the guess was right.
struct Try {
    /// Appends of other slots need a command of their own.
    slot: usize,
    guess: Guess,
    frame: bytes::Bytes,
    done: oneshot::Sender<Result<bool>>,
}

/// See the module.
#[derive(Default)]
pub(super) struct Quick {
    producers: Mutex<HashMap<Ulid, Hot>>,
    turn: Mutex<Vec<Try>>,
}

impl Quick {
    /// Tries to append the quick way. `None`: the whole script has to decide.
    /// `closed` becomes true when the store is closed.
    pub async fn append(
        self: &Arc<Self>,
        append: &Append,
        endpoint: Arc<Endpoint>,
        limits: Limits,
        closed: &watch::Sender<bool>,
    ) -> Result<Option<Appended>> {
        let guess = endpoint.board.may(spares::QUICK).then(|| self.guess(append));
        let Some((guess, frame)) = guess.flatten() else {
            return Ok(None);
        };
        let (last, due) = (guess.last, guess.lane.allowed.due);
        let (done, answer) = oneshot::channel();
        let is_first = {
            let mut turn = lock(&self.turn);
            turn.push(Try {
                slot: endpoint.servers.slot(&guess.lane.keys.meta),
                guess,
                frame,
                done,
            });
            turn.len() == 1
        };
        if is_first {
            tokio::spawn(Arc::clone(self).send(endpoint, limits, closed.subscribe()));
        }
        // Dropped without an answer only with the runtime.
        if answer.await.unwrap_or(Err(Error::Closed))? {
            self.advance(append);
            return Ok(Some(Appended::Done {
                last,
                stop: None,
                terminal: None,
                due: Instant::now() >= due,
            }));
        }
        self.forget(append.producer);
        Ok(None)
    }

    /// What to try, if it is worth trying.
    fn guess(&self, append: &Append) -> Option<(Guess, bytes::Bytes)> {
        let is_plain = append.terminal.is_none() && append.seal.is_none() && append.large.is_none();
        let frame = append.frame.as_ref().filter(|_| is_plain)?;
        if frame.bytes.len() > MOST_FRAME {
            return None;
        }
        let producers = lock(&self.producers);
        let Hot { lane, chunks, bytes } = producers.get(&append.producer)?;
        let (chunks, bytes) = (chunks + frame.count, bytes + frame.bytes.len() as u64);
        let last = lane.last + chunks;
        let follows = append.expected == Some(last - frame.count) && append.batch == lane.batch + chunks;
        if !follows
            || chunks > MOST_HOT_CHUNKS
            || bytes > MOST_HOT_BYTES
            || Instant::now() >= lane.allowed.until
        {
            return None;
        }
        let guess = Guess {
            lane: Arc::clone(lane),
            growth: frame.count * CHUNK + frame.bytes.len() as u64,
            to: lane.h + chunks * CHUNK + bytes,
            last,
        };
        Some((guess, frame.bytes.clone()))
    }

    /// The guess was right.
    fn advance(&self, append: &Append) {
        if let (Some(hot), Some(frame)) = (lock(&self.producers).get_mut(&append.producer), &append.frame) {
            hot.chunks += frame.count;
            hot.bytes += frame.bytes.len() as u64;
        }
    }

    /// The whole script has run, and was given [`beginning`].
    pub fn learn(&self, append: &Append, appended: &Appended, allowed: Option<Allowed>, keys: StreamKeys) {
        match (appended, allowed) {
            (Appended::Done { last, .. }, Some(allowed)) => {
                let lane = Lane {
                    keys,
                    generation: append.generation,
                    batch: append.batch,
                    last: *last,
                    h: beginning(append),
                    allowed,
                };
                let hot = Hot {
                    lane: Arc::new(lane),
                    chunks: 0,
                    bytes: 0,
                };
                lock(&self.producers).insert(append.producer, hot);
            }
            _ => self.forget(append.producer),
        }
    }

    /// Nothing is known of the record any more.
    pub fn forget(&self, producer: Ulid) {
        lock(&self.producers).remove(&producer);
    }

    /// Waits for the turn's end and sends what it has brought.
    async fn send(self: Arc<Self>, endpoint: Arc<Endpoint>, limits: Limits, closed: watch::Receiver<bool>) {
        tokio::task::yield_now().await;
        let mut tries = std::mem::take(&mut *lock(&self.turn));
        tries.sort_by_key(|waiting| waiting.slot);
        let mut tries = VecDeque::from(tries);
        while !tries.is_empty() {
            let fitting = fitting(&tries);
            let together = tries.drain(..fitting).collect();
            tokio::spawn(settle(together, Arc::clone(&endpoint), limits, closed.clone()));
        }
    }
}

/// How many of these go into one command, which is for one slot.
fn fitting(tries: &VecDeque<Try>) -> usize {
    let mut bytes = 0;
    let slot = tries.front().map(|waiting| waiting.slot);
    let more = |waiting: &&Try| {
        bytes += waiting.frame.len();
        bytes <= MOST_BYTES && Some(waiting.slot) == slot
    };
    tries.iter().take(MOST_APPENDS).take_while(more).count().max(1)
}

/// Sends one command and tells everyone whose append it holds.
async fn settle(tries: Vec<Try>, endpoint: Arc<Endpoint>, limits: Limits, mut closed: watch::Receiver<bool>) {
    let call = command(&tries);
    let reply = tokio::select! {
        biased;
        _ = closed.wait_for(|closed| *closed) => Err(Error::Closed),
        reply = endpoint.servers.call(&call, limits) => reply,
    };
    if let Ok(reply) = &reply {
        heed(reply, &endpoint);
    }
    let count = tries.len();
    for (waiting, number) in tries.into_iter().zip(1..) {
        let answer = match &reply {
            Ok(reply) => Ok(is_accepted(reply, number, count)),
            Err(error) => Err(error.clone()),
        };
        // Who has been cancelled repeats the batch under the same number, or is gone.
        let _ = waiting.done.send(answer);
    }
}

/// Without a right to what is done here, every append would cost two scripts.
fn heed(reply: &Value, endpoint: &Endpoint) {
    if let Value::Array(reply) = reply
        && let Some(Value::BulkString(said)) = reply.last()
    {
        let said = String::from_utf8_lossy(said);
        if is_refusal(&said) {
            endpoint
                .board
                .refused(spares::QUICK, endpoint.servers.address(), &said);
        }
    }
}

/// Whether the append of this number, of so many, was done. Whatever else a server may answer: the whole script decides.
fn is_accepted(reply: &Value, number: i64, of: usize) -> bool {
    let Value::Array(reply) = reply else { return false };
    match reply.split_first() {
        Some((Value::Int(count), refused)) => {
            usize::try_from(*count) == Ok(of) && !refused.contains(&Value::Int(number))
        }
        _ => false,
    }
}

fn command(tries: &[Try]) -> Call {
    let frames = tries.iter().map(|Try { frame, .. }| frame.len()).sum();
    let mut call = Call::for_many(&scripts::QUICK, tries.len(), frames);
    for Try { guess, frame, .. } in tries {
        let Guess {
            lane,
            growth,
            to,
            last,
        } = guess;
        call = call
            .key(&lane.keys.meta)
            .key(&lane.keys.log)
            .text(&lane.keys.live)
            .show(growth)
            .show(to)
            .show(format_args!("{}-{last}", lane.allowed.ordinal))
            .message(format_args!("f {} {last}\n", lane.generation), frame);
    }
    call
}

/// What `h` begins with after this batch: what sets it apart from what it was after any other.
pub(super) fn beginning(append: &Append) -> u64 {
    // A ULID's low bits are random, and count up within a millisecond.
    let random = u64::try_from(append.producer.random() & 0xffff).unwrap_or_default();
    (1 + (random + append.batch) % 0xffff) * ERA
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_reply_about_all_of_them_accepts_any() {
        let reply = |numbers: &[i64]| Value::Array(numbers.iter().copied().map(Value::Int).collect());
        let accepted = |reply: &Value| [1, 2, 3].map(|number| is_accepted(reply, number, 3));
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
}
