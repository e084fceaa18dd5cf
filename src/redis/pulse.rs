//! When a silent connection has to prove that it is alive.
//!
//! After a process was frozen, a laptop slept, or a load balancer dropped an idle connection, the connection looks unchanged but
//! swallows all that is sent. So the first command after a silence is sent together with a `PING`, which must be answered sooner than
//! a command; and a connection that is not used is rarely checked.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use crate::util::sync::lock;

/// A connection that was silent for this long may be dead.
const SILENCE: Duration = Duration::from_secs(3);
/// How long the answer to that `PING` may take.
pub const PROOF: Duration = Duration::from_millis(800);

/// How often a connection is tried that is in use, …
pub const PING_EVERY: Duration = Duration::from_secs(5);
/// … and at least this often, while the connection is needed.
pub const PING_AT_LEAST: Duration = Duration::from_secs(60);

/// How long to wait for an answer that was due `pause` after `since`: a late timer means that the process was frozen.
pub fn patience(since: Instant, pause: Duration) -> Duration {
    if since.elapsed() > pause + PROOF {
        PROOF
    } else {
        PING_EVERY
    }
}

/// When a connection was last heard from.
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

    /// When something has arrived last.
    pub fn last(&self) -> Instant {
        *lock(&self.heard)
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
