//! When a connection that says nothing has to prove that it is alive.
//!
//! A process that was frozen, a laptop that slept, a balancer that drops what is idle: the connection looks as it did, and
//! swallows whatever is sent. So the first use after a silence asks for a sign of life beside what it wants, and does not wait for
//! as long as an answer may take; and a connection that is not used is hardly ever tried.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use crate::util::sync::lock;

/// Of a connection that was not heard for so long nobody knows whether it is still there.
const SILENCE: Duration = Duration::from_secs(3);
/// How long the sign of life may take that is asked for then.
pub const PROOF: Duration = Duration::from_millis(800);

/// How often a connection is tried that is in use, …
pub const PING_EVERY: Duration = Duration::from_secs(5);
/// … and at least, while somebody counts on it.
pub const PING_AT_LEAST: Duration = Duration::from_secs(60);

/// How long to wait for the answer to what was due so long after `since`: a timer that is late is one that was frozen.
pub fn patience(since: Instant, pause: Duration) -> Duration {
    if since.elapsed() > pause + PROOF {
        PROOF
    } else {
        PING_EVERY
    }
}

/// What is known of one connection's life.
pub struct Pulse {
    heard: Mutex<Instant>,
    used: AtomicBool,
}

impl Pulse {
    pub fn new() -> Self {
        Self {
            heard: Mutex::new(Instant::now()),
            used: AtomicBool::new(true),
        }
    }

    /// Something has arrived.
    pub fn heard(&self) {
        *lock(&self.heard) = Instant::now();
    }

    /// Somebody wants something of it.
    pub fn used(&self) {
        self.used.store(true, Ordering::Relaxed);
    }

    /// Whether it has to prove that it is alive.
    pub fn is_silent(&self) -> bool {
        self.is_due(SILENCE)
    }

    /// How long it may say nothing: less if it was used since this was last asked.
    pub fn pause(&self) -> Duration {
        if self.used.swap(false, Ordering::Relaxed) {
            PING_EVERY
        } else {
            PING_AT_LEAST
        }
    }

    /// Whether nothing was heard for so long.
    pub fn is_due(&self, pause: Duration) -> bool {
        lock(&self.heard).elapsed() >= pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_not_used_is_tried_less_often() {
        let pulse = Pulse::new();
        assert_eq!(
            [pulse.pause(), pulse.pause(), pulse.pause()].map(|pause| pause.as_secs()),
            [5, 60, 60]
        );
        pulse.used();
        assert_eq!(
            [pulse.pause(), pulse.pause()].map(|pause| pause.as_secs()),
            [5, 60]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_the_time_since_something_was_heard() {
        let pulse = Pulse::new();
        let moment = Duration::from_millis(1);
        tokio::time::advance(SILENCE.saturating_sub(moment)).await;
        assert!(!pulse.is_silent());
        tokio::time::advance(moment).await;
        assert!(pulse.is_silent());
        pulse.heard();
        assert!(!pulse.is_silent());
    }
}
