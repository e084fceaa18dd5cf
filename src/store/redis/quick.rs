//! Which producers may append the quick way, and what their records hold then: the other side of `lua/quick.lua`.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use ulid::Ulid;

use crate::store::{Append, Appended};

/// What a stream's record holds as far as its only producer has changed it since Redis last told.
#[derive(Debug, Clone)]
struct Hot {
    batch: u64,
    last: u64,
    bytes: usize,
    ordinal: u64,
    until: Instant,
}

/// What a quick append compares, replaces and adds.
#[derive(Debug)]
pub(super) struct Guess {
    pub from: String,
    pub to: String,
    pub id: String,
    pub message: String,
    pub last: u64,
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

    /// The whole script has run. `allowed`: for how long the next batch may be quick, counted from `sent`, and the ordinal.
    pub fn learn(
        &self,
        append: &Append,
        appended: &Appended,
        allowed: Option<(Duration, u64)>,
        sent: Instant,
    ) {
        let mut producers = self.lock();
        match (appended, allowed) {
            (Appended::Done { last, .. }, Some((time, ordinal))) => {
                let hot = Hot {
                    batch: append.batch,
                    last: *last,
                    bytes: 0,
                    ordinal,
                    until: sent + time,
                };
                producers.insert(append.producer, hot);
            }
            _ => {
                producers.remove(&append.producer);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Ulid, Hot>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
