//! Quick appends: the other side of `lua/quick.lua`.
//!
//! [`Quick`] knows which producers may append the quick way and what their records hold then, and sends what the batches of
//! one turn of the engine's thread bring as one command.

use std::{
    collections::HashMap,
    fmt::Write as _,
    sync::{Arc, Mutex},
};

use redis::Value;
use tokio::{
    sync::{oneshot, watch},
    time::Instant,
};
use ulid::Ulid;

use super::{
    commands::Limits,
    endpoint::Endpoint,
    keys::StreamKeys,
    scripts::{self, Call},
};
use crate::{
    Error, Result,
    store::{Append, Appended},
    sync::lock,
};

/// The most appends in one command …
const MOST_APPENDS: usize = 64;
/// … and the bytes of frames that it is not begun to be filled beyond.
const MOST_BYTES: usize = 64 * 1024;

/// What a stream's record holds as far as its only producer has changed it since Redis last told.
#[derive(Debug)]
struct Hot {
    /// The field `h`.
    text: Arc<str>,
    last: u64,
    bytes: usize,
    ordinal: u64,
    until: Instant,
    keys: Arc<StreamKeys>,
}

/// What a quick append compares, replaces and adds.
#[derive(Debug)]
struct Guess {
    from: Arc<str>,
    to: Arc<str>,
    id: String,
    message: String,
    keys: Arc<StreamKeys>,
    last: u64,
}

/// An append that waits for the turn's end, and who waits for its answer: whether the guess was right.
struct Try {
    /// Appends of other slots need a command of their own.
    slot: usize,
    guess: Arc<Guess>,
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
    /// Tries to append the quick way: the batch's last seq if that was right. `None`: the whole script has to decide.
    /// `closed` becomes true when the store is closed.
    pub async fn append(
        self: &Arc<Self>,
        append: &Append,
        endpoint: Arc<Endpoint>,
        limits: Limits,
        closed: &watch::Sender<bool>,
    ) -> Result<Option<u64>> {
        let Some(guess) = self.guess(append) else {
            return Ok(None);
        };
        let guess = Arc::new(guess);
        let (done, answer) = oneshot::channel();
        let is_first = {
            let mut turn = lock(&self.turn);
            turn.push(Try {
                slot: endpoint.servers.slot(&guess.keys.meta),
                guess: Arc::clone(&guess),
                frame: append
                    .frame
                    .as_ref()
                    .map(|frame| frame.bytes.clone())
                    .unwrap_or_default(),
                done,
            });
            turn.len() == 1
        };
        if is_first {
            tokio::spawn(Arc::clone(self).send(endpoint, limits, closed.subscribe()));
        }
        // Dropped without an answer only with the runtime.
        if answer.await.unwrap_or(Err(Error::Closed))? {
            self.advance(append, &guess);
            return Ok(Some(guess.last));
        }
        self.forget(append.producer);
        Ok(None)
    }

    /// What to try, if it is worth trying.
    fn guess(&self, append: &Append) -> Option<Guess> {
        let is_plain = append.terminal.is_none() && append.seal.is_none();
        let frame = append.frame.as_ref().filter(|_| is_plain)?;
        let producers = lock(&self.producers);
        let hot = producers.get(&append.producer)?;
        if append.expected != Some(hot.last) || Instant::now() >= hot.until {
            return None;
        }
        let last = hot.last + frame.count;
        Some(Guess {
            from: Arc::clone(&hot.text),
            to: text(append, last, hot.bytes + frame.bytes.len()),
            id: format!("{}-{last}", hot.ordinal),
            message: format!("f {} {last}", append.generation),
            keys: Arc::clone(&hot.keys),
            last,
        })
    }

    /// The guess was right.
    fn advance(&self, append: &Append, guess: &Guess) {
        if let Some(hot) = lock(&self.producers).get_mut(&append.producer) {
            hot.text = Arc::clone(&guess.to);
            hot.last = guess.last;
            hot.bytes += append.frame.as_ref().map_or(0, |frame| frame.bytes.len());
        }
    }

    /// The whole script has run. `allowed`: until when the next batch may be quick, and the ordinal.
    pub fn learn(
        &self,
        append: &Append,
        appended: &Appended,
        allowed: Option<(Instant, u64)>,
        keys: StreamKeys,
    ) {
        match (appended, allowed) {
            (Appended::Done { last, .. }, Some((until, ordinal))) => {
                let hot = Hot {
                    text: text(append, *last, 0),
                    last: *last,
                    bytes: 0,
                    ordinal,
                    until,
                    keys: Arc::new(keys),
                };
                lock(&self.producers).insert(append.producer, hot);
            }
            _ => self.forget(append.producer),
        }
    }

    /// Nothing is known of the record any more.
    fn forget(&self, producer: Ulid) {
        lock(&self.producers).remove(&producer);
    }

    /// Waits for the turn's end and sends what it has brought.
    async fn send(self: Arc<Self>, endpoint: Arc<Endpoint>, limits: Limits, closed: watch::Receiver<bool>) {
        tokio::task::yield_now().await;
        let mut tries = std::mem::take(&mut *lock(&self.turn));
        tries.sort_by_key(|waiting| waiting.slot);
        while !tries.is_empty() {
            let rest = tries.split_off(fitting(&tries));
            let together = std::mem::replace(&mut tries, rest);
            tokio::spawn(settle(together, Arc::clone(&endpoint), limits, closed.clone()));
        }
    }
}

/// How many of these go into one command, which is for one slot.
fn fitting(tries: &[Try]) -> usize {
    let mut bytes = 0;
    let slot = tries.first().map(|waiting| waiting.slot);
    let more = |waiting: &&Try| {
        bytes += waiting.frame.len();
        bytes <= MOST_BYTES && Some(waiting.slot) == slot
    };
    tries.iter().take(MOST_APPENDS).take_while(more).count().max(1)
}

/// Sends one command and tells everyone whose append it holds.
async fn settle(tries: Vec<Try>, endpoint: Arc<Endpoint>, limits: Limits, mut closed: watch::Receiver<bool>) {
    let mut call = Call::new(&scripts::QUICK);
    for Try { guess, frame, .. } in &tries {
        call = call
            .key(&guess.keys.meta)
            .key(&guess.keys.log)
            .text(&guess.keys.live)
            .text(&*guess.from)
            .text(&*guess.to)
            .text(&guess.id)
            .text(&guess.message)
            .bytes(frame);
    }
    let reply = tokio::select! {
        biased;
        _ = closed.wait_for(|closed| *closed) => Err(Error::Closed),
        reply = endpoint.servers.call(&call, limits) => reply,
    };
    let mut answers = match &reply {
        Ok(Value::Array(answers)) => answers.iter(),
        _ => [].iter(),
    };
    for waiting in tries {
        let answer = match &reply {
            Err(error) => Err(error.clone()),
            // Whatever else a server may answer: the whole script decides.
            Ok(_) => Ok(answers.next() == Some(&Value::Int(1))),
        };
        // Who has been cancelled repeats the batch under the same number, or is gone.
        let _ = waiting.done.send(answer);
    }
}

/// What `h` holds after a batch.
fn text(append: &Append, last: u64, bytes: usize) -> Arc<str> {
    let mut text = String::with_capacity(64);
    let _ = write!(text, "{} {} {last} {bytes}", append.producer, append.batch);
    text.into()
}
