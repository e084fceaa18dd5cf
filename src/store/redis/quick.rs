//! Which producers may append the quick way, and what their records hold then: the other side of `lua/quick.lua`.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
};

use tokio::time::Instant;
use ulid::Ulid;

use super::{
    keys::StreamKeys,
    scripts::{self, Call},
};
use crate::{
    store::{Append, Appended},
    sync::lock,
};

/// What a stream's record holds as far as its only producer has changed it since Redis last told.
#[derive(Debug, Clone)]
struct Hot {
    batch: u64,
    last: u64,
    bytes: usize,
    ordinal: u64,
    until: Instant,
    keys: Arc<StreamKeys>,
}

/// What a quick append compares, replaces and adds.
#[derive(Debug)]
pub(super) struct Guess {
    from: String,
    to: String,
    id: String,
    message: String,
    keys: Arc<StreamKeys>,
    pub last: u64,
}

impl Guess {
    pub fn call<'a>(&'a self, append: &'a Append) -> Call<'a> {
        Call::new(&scripts::QUICK)
            .key(&self.keys.meta)
            .key(&self.keys.log)
            .text(&self.keys.live)
            .text(&self.from)
            .text(&self.to)
            .text(&self.id)
            .text(&self.message)
            .bytes(append.frame.as_ref().map_or(&[], |frame| &frame.bytes))
    }
}

/// By producer.
#[derive(Debug, Default)]
pub(super) struct Quick(Mutex<HashMap<Ulid, Hot>>);

impl Quick {
    /// What to try, if it is worth trying.
    pub fn guess(&self, append: &Append) -> Option<Guess> {
        let frame = append.frame.as_ref().filter(|_| append.terminal.is_none())?;
        let producers = self.lock();
        let hot = producers.get(&append.producer)?;
        if append.expected != Some(hot.last) || Instant::now() >= hot.until {
            return None;
        }
        let last = hot.last + frame.count;
        let producer = append.producer;
        Some(Guess {
            from: format!("{producer} {} {} {}", hot.batch, hot.last, hot.bytes),
            to: format!(
                "{producer} {} {last} {}",
                append.batch,
                hot.bytes + frame.bytes.len()
            ),
            id: format!("{}-{last}", hot.ordinal),
            message: format!("f {} {last}", append.generation),
            keys: Arc::clone(&hot.keys),
            last,
        })
    }

    /// The guess was right.
    pub fn advance(&self, append: &Append, last: u64) {
        if let Some(hot) = self.lock().get_mut(&append.producer) {
            hot.batch = append.batch;
            hot.last = last;
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
                    batch: append.batch,
                    last: *last,
                    bytes: 0,
                    ordinal,
                    until,
                    keys: Arc::new(keys),
                };
                self.lock().insert(append.producer, hot);
            }
            _ => self.forget(append.producer),
        }
    }

    /// Nothing is known of the record any more.
    pub fn forget(&self, producer: Ulid) {
        self.lock().remove(&producer);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Ulid, Hot>> {
        lock(&self.0)
    }
}
