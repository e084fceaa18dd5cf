//! The state of a command connection: the operations that wait for it get it here, and whoever sees it fail gives it up here.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, watch},
    time::timeout,
};

use super::{
    connect::Connection,
    failure::Failure,
    health::{ConnectionHealth, Part, Status},
};
use crate::{Error, Result};

/// A connection with its number: whoever sees an old one fail leaves the new one alone.
pub type Numbered = (u64, Connection);

pub struct Link {
    /// What errors name.
    address: String,
    health: Arc<ConnectionHealth>,
    part: Part,
    state: watch::Sender<State>,
    /// Operations that wait for the connection.
    waiting: AtomicUsize,
    /// Channels that are listened to.
    listened: AtomicUsize,
    wake: Notify,
}

enum State {
    Down {
        /// Attempts that failed since the connection was lost.
        attempts: u64,
        permanent: bool,
        reason: String,
    },
    Up(Numbered),
    Closed,
}

impl State {
    fn is(&self, serial: u64) -> bool {
        matches!(self, Self::Up((current, _)) if *current == serial)
    }
}

impl Link {
    pub fn new(address: String, health: Arc<ConnectionHealth>, part: Part) -> Self {
        Self {
            address,
            health,
            part,
            state: watch::Sender::new(State::Down {
                attempts: 0,
                permanent: false,
                reason: String::new(),
            }),
            waiting: AtomicUsize::new(0),
            listened: AtomicUsize::new(0),
            wake: Notify::new(),
        }
    }

    /// What errors name.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The connection, if there is one now.
    pub fn now(&self) -> Option<Numbered> {
        match &*self.state.borrow() {
            State::Up(connection) => Some(connection.clone()),
            _ => None,
        }
    }

    /// Whether there is a connection now.
    pub fn is_up(&self) -> bool {
        matches!(&*self.state.borrow(), State::Up(_))
    }

    /// Whether there was a connection, or an attempt to make one, and there is none.
    pub fn is_lost(&self) -> bool {
        matches!(&*self.state.borrow(), State::Down { reason, .. } if !reason.is_empty())
    }

    /// Waits for a connection, or for a failure that waiting does not help against.
    pub async fn connection(&self, patience: Duration) -> Result<Numbered> {
        let tried = match &*self.state.borrow() {
            State::Up(connection) => return Ok(connection.clone()),
            State::Closed => return Err(Error::Closed),
            State::Down { attempts, .. } => *attempts,
        };
        let _waiting = Waiting::new(self);
        let mut state = self.state.subscribe();
        let settled = state.wait_for(|state| match state {
            State::Down {
                attempts, permanent, ..
            } => *permanent && *attempts > tried,
            _ => true,
        });
        match timeout(patience, settled).await {
            Ok(Ok(state)) => match &*state {
                State::Up(connection) => Ok(connection.clone()),
                State::Down { reason, .. } => Err(Error::Connection {
                    address: self.address.clone(),
                    reason: reason.clone(),
                    permanent: true,
                }),
                State::Closed => Err(Error::Closed),
            },
            Ok(Err(_)) => Err(Error::Closed),
            Err(_) => {
                let reason = match &*self.state.borrow() {
                    State::Down { reason, .. } if !reason.is_empty() => reason.clone(),
                    _ => Failure::late(patience).reason,
                };
                Err(self.error(reason))
            }
        }
    }

    /// Hands a new connection to the operations that wait.
    pub fn connected(&self, connection: Numbered) {
        self.state.send_replace(State::Up(connection));
        self.health.set(self.part, Status::Up, "");
        tracing::info!(server = self.address, connection = "commands", "connected");
    }

    /// Notes that an attempt to connect has failed.
    pub fn failed(&self, failure: Failure) {
        tracing::warn!(
            server = self.address,
            connection = "commands",
            cause = failure.reason,
            "cannot connect"
        );
        self.health.set(self.part, Status::Failed, &failure.reason);
        self.state.send_if_modified(|state| {
            let State::Down {
                attempts,
                permanent,
                reason,
            } = state
            else {
                return false;
            };
            *attempts += 1;
            *permanent = failure.permanent && !self.health.has_worked();
            *reason = failure.reason;
            true
        });
    }

    /// Drops a connection, unless it has been replaced already. Operations that wait for their answers keep it open
    /// until they have them or give up.
    pub fn discard(&self, serial: u64, why: &str) {
        let discarded = self.state.send_if_modified(|state| {
            let current = state.is(serial);
            if current {
                *state = State::Down {
                    attempts: 0,
                    permanent: false,
                    reason: why.to_owned(),
                };
            }
            current
        });
        if discarded {
            tracing::warn!(
                server = self.address,
                connection = "commands",
                cause = why,
                "connection lost"
            );
            self.health.set(self.part, Status::Lost, why);
        }
    }

    /// Resolves when this connection has been discarded.
    pub async fn discarded(&self, serial: u64) {
        let mut state = self.state.subscribe();
        let _ = state.wait_for(|state| !state.is(serial)).await;
    }

    /// Closes the connection for good.
    pub fn close(&self) {
        self.state.send_replace(State::Closed);
    }

    /// Sets how many channels are listened to. While there are any, a lost connection is made again automatically.
    pub fn listened(&self, channels: usize) {
        self.listened.store(channels, Ordering::Relaxed);
        if channels > 0 {
            self.wake.notify_one();
        }
    }

    pub fn is_listened(&self) -> bool {
        self.listened.load(Ordering::Relaxed) > 0
    }

    /// Whether a connection is needed.
    pub fn has_interest(&self) -> bool {
        self.is_listened() || self.waiting.load(Ordering::Relaxed) > 0
    }

    /// Resolves when a connection is needed.
    pub async fn interest(&self) {
        while !self.has_interest() {
            self.wake.notified().await;
        }
    }

    /// A retryable [`Error::Connection`].
    pub fn error(&self, reason: String) -> Error {
        Error::Connection {
            address: self.address.clone(),
            reason,
            permanent: false,
        }
    }
}

/// Counts an operation among those that wait, also when it is given up.
struct Waiting<'a>(&'a Link);

impl<'a> Waiting<'a> {
    fn new(link: &'a Link) -> Self {
        link.waiting.fetch_add(1, Ordering::Relaxed);
        link.wake.notify_one();
        Self(link)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}
