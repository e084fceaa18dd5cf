//! The one command connection: made on demand, shared by all operations, replaced when it fails.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use redis::{Cmd, ErrorKind, RedisError, Value, aio::MultiplexedConnection};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, timeout},
};

use super::{
    board::{Board, Part, Status},
    connect::{Failure, Target, words},
    scripts::Call,
};
use crate::{Error, Result, backoff::Backoff};

/// How often an otherwise idle connection is tried while somebody counts on it.
const PING_EVERY: Duration = Duration::from_secs(5);

/// After an outage, leases are not judged for this long: their producers may need it to come back and renew them.
/// Longer than a pause between two attempts to connect and one of the writers' between two tries.
const AMNESTY: Duration = Duration::from_secs(3);

/// How long an operation waits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// For a connection.
    pub connect: Duration,
    /// For an answer.
    pub command: Duration,
}

pub(super) struct Commands {
    target: Arc<Target>,
    board: Arc<Board>,
    link: watch::Sender<Link>,
    /// Operations that wait for the connection.
    waiting: AtomicUsize,
    /// Channels that are listened to.
    listened: AtomicUsize,
    wake: Notify,
}

enum Link {
    Down {
        /// Attempts that failed since the connection was lost.
        attempts: u64,
        permanent: bool,
        reason: String,
    },
    Up {
        serial: u64,
        connection: MultiplexedConnection,
        /// Since when leases may be judged.
        judging: Instant,
    },
    Closed,
}

impl Commands {
    pub fn new(target: Arc<Target>, board: Arc<Board>) -> Self {
        Self {
            target,
            board,
            link: watch::Sender::new(Link::Down {
                attempts: 0,
                permanent: false,
                reason: String::new(),
            }),
            waiting: AtomicUsize::new(0),
            listened: AtomicUsize::new(0),
            wake: Notify::new(),
        }
    }

    /// Runs a script, giving it to the server first if it does not have it.
    pub async fn call(&self, call: &Call<'_>, limits: Limits) -> Result<Value> {
        let operation = call.script.operation;
        let mut reply = self.send(operation, &call.by_hash(), limits).await?;
        if matches!(&reply, Err(error) if error.code() == Some("NOSCRIPT")) {
            reply = self.send(operation, &call.by_source(), limits).await?;
        }
        reply.map_err(|error| refused(operation, &error))
    }

    /// Runs a command.
    pub async fn run(&self, operation: &'static str, command: &Cmd, limits: Limits) -> Result<Value> {
        let reply = self.send(operation, command, limits).await?;
        reply.map_err(|error| refused(operation, &error))
    }

    /// Waits for a connection.
    pub async fn connect(&self, limits: Limits) -> Result<()> {
        self.connection(limits).await.map(drop)
    }

    /// Whether a lapsed lease means that its producer is dead. Not so right after an outage, which nobody could renew in.
    pub fn may_judge(&self) -> bool {
        matches!(&*self.link.borrow(), Link::Up { judging, .. } if *judging <= Instant::now())
    }

    /// Tells how many channels are listened to. While there are any, a lost connection is made again by itself.
    pub fn listened(&self, channels: usize) {
        self.listened.store(channels, Ordering::Relaxed);
        if channels > 0 {
            self.wake.notify_one();
        }
    }

    /// Gives the connection up for good.
    pub fn close(&self) {
        self.link.send_replace(Link::Closed);
    }

    /// The error of an operation that could not get a connection.
    pub fn unreachable(&self, reason: String, limits: Limits) -> Error {
        if reason.is_empty() {
            return self.error(format!("no connection within {} ms", limits.connect.as_millis()));
        }
        self.error(reason)
    }

    /// An [`Error::Connection`] that may pass.
    pub fn error(&self, reason: String) -> Error {
        Error::Connection {
            address: self.target.address().to_owned(),
            reason,
            permanent: false,
        }
    }

    /// Keeps a connection as long as somebody needs one. One attempt at a time, since there is one such task.
    pub async fn keep(self: Arc<Self>, patience: Duration) {
        self.interest().await;
        for serial in 0.. {
            let connection = self.dial(patience).await;
            let is_first_attempt =
                matches!(&*self.link.borrow(), Link::Down { attempts: 0, .. }) && serial == 0;
            let amnesty = if is_first_attempt { Duration::ZERO } else { AMNESTY };
            self.link.send_replace(Link::Up {
                serial,
                connection,
                judging: Instant::now() + amnesty,
            });
            self.board.set(Part::Commands, Status::Up, "");
            self.watch(serial).await;
        }
    }

    async fn dial(&self, patience: Duration) -> MultiplexedConnection {
        self.board.begin(Part::Commands);
        let mut backoff = Backoff::default();
        loop {
            match self.target.commands(patience).await {
                Ok(connection) => return connection,
                Err(failure) => self.failed(failure),
            }
            if self.has_interest() {
                tokio::time::sleep(backoff.next_delay()).await;
            } else {
                self.interest().await;
            }
        }
    }

    /// Returns when the connection has been discarded.
    async fn watch(&self, serial: u64) {
        let mut link = self.link.subscribe();
        let patience = Limits {
            // What makes connections is this task: it must not wait for one.
            connect: Duration::ZERO,
            command: PING_EVERY,
        };
        loop {
            tokio::select! {
                _ = link.wait_for(|link| !matches!(link, Link::Up { serial: current, .. } if *current == serial)) => return,
                () = tokio::time::sleep(PING_EVERY) => {}
            }
            if self.listened.load(Ordering::Relaxed) > 0 {
                // Whatever is wrong shows in the link.
                let _ = self.send("ping", &redis::cmd("PING"), patience).await;
            }
        }
    }

    /// The inner result is what the server said; everything else is an error of the connection, which is given up.
    async fn send(
        &self,
        operation: &'static str,
        command: &Cmd,
        limits: Limits,
    ) -> Result<Result<Value, RedisError>> {
        let (serial, mut connection) = self.connection(limits).await?;
        let answer = timeout(limits.command, connection.send_packed_command(command));
        let Ok(reply) = answer.await else {
            let milliseconds = u64::try_from(limits.command.as_millis()).unwrap_or(u64::MAX);
            self.discard(serial, &format!("no answer within {milliseconds} ms"));
            return Err(Error::Timeout {
                operation,
                milliseconds,
            });
        };
        match reply.and_then(Value::extract_error) {
            Ok(value) => Ok(Ok(value)),
            Err(error) if is_answer(&error) => {
                if says(&error, "READONLY") {
                    // This node is no longer the primary; the name may lead to the new one.
                    self.discard(serial, &words(&error));
                }
                Ok(Err(error))
            }
            Err(error) => {
                let reason = words(&error);
                self.discard(serial, &reason);
                Err(self.error(reason))
            }
        }
    }

    async fn connection(&self, limits: Limits) -> Result<(u64, MultiplexedConnection)> {
        let tried = match &*self.link.borrow() {
            Link::Up {
                serial, connection, ..
            } => return Ok((*serial, connection.clone())),
            Link::Closed => return Err(Error::Closed),
            Link::Down { attempts, .. } => *attempts,
        };
        let _waiting = Waiting::new(self);
        let mut link = self.link.subscribe();
        let settled = link.wait_for(|link| match link {
            Link::Down {
                attempts, permanent, ..
            } => *permanent && *attempts > tried,
            _ => true,
        });
        match timeout(limits.connect, settled).await {
            Ok(Ok(link)) => match &*link {
                Link::Up {
                    serial, connection, ..
                } => Ok((*serial, connection.clone())),
                // What is waited for is a connection, or a failure that no waiting helps against.
                Link::Down { reason, .. } => Err(Error::Connection {
                    address: self.target.address().to_owned(),
                    reason: reason.clone(),
                    permanent: true,
                }),
                Link::Closed => Err(Error::Closed),
            },
            Ok(Err(_)) => Err(Error::Closed),
            Err(_) => {
                let reason = match &*self.link.borrow() {
                    Link::Down { reason, .. } => reason.clone(),
                    _ => String::new(),
                };
                Err(self.unreachable(reason, limits))
            }
        }
    }

    /// Drops a connection, unless it has been replaced already. Operations that wait for their answers keep it open
    /// until they have them or give up.
    fn discard(&self, serial: u64, why: &str) {
        let discarded = self.link.send_if_modified(|link| {
            let current = matches!(link, Link::Up { serial: current, .. } if *current == serial);
            if current {
                *link = Link::Down {
                    attempts: 0,
                    permanent: false,
                    reason: why.to_owned(),
                };
            }
            current
        });
        if discarded {
            self.board.set(Part::Commands, Status::Lost, why);
        }
    }

    fn failed(&self, failure: Failure) {
        self.board.set(Part::Commands, Status::Failed, &failure.reason);
        self.link.send_if_modified(|link| {
            let Link::Down {
                attempts,
                permanent,
                reason,
            } = link
            else {
                return false;
            };
            *attempts += 1;
            *permanent = failure.permanent;
            *reason = failure.reason;
            true
        });
    }

    fn has_interest(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) + self.listened.load(Ordering::Relaxed) > 0
    }

    async fn interest(&self) {
        while !self.has_interest() {
            self.wake.notified().await;
        }
    }
}

/// Counts an operation among those that wait, also when it is given up.
struct Waiting<'a>(&'a Commands);

impl<'a> Waiting<'a> {
    fn new(commands: &'a Commands) -> Self {
        commands.waiting.fetch_add(1, Ordering::Relaxed);
        commands.wake.notify_one();
        Self(commands)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Whether the server has answered, and the connection is fine.
fn is_answer(error: &RedisError) -> bool {
    matches!(error.kind(), ErrorKind::Server(_) | ErrorKind::Extension) && error.code() != Some("NOAUTH")
}

/// The error for a command that the server refused.
pub(super) fn refused(operation: &'static str, error: &RedisError) -> Error {
    const PASSING: [&str; 9] = [
        "LOADING",
        "READONLY",
        "MASTERDOWN",
        "BUSY",
        "TRYAGAIN",
        "CLUSTERDOWN",
        "OOM",
        "NOREPLICAS",
        "MISCONF",
    ];
    Error::Store {
        operation,
        reason: words(error),
        retryable: PASSING.iter().any(|code| says(error, code)),
    }
}

/// Whether the server gives this code. Redis 6.2 wraps what goes wrong inside a script:
/// `ERR Error running script …: -OOM command not allowed …`.
fn says(error: &RedisError, code: &str) -> bool {
    error.code() == Some(code)
        || error
            .detail()
            .is_some_and(|detail| detail.contains(&format!(": -{code} ")))
}

#[cfg(test)]
mod tests {
    use redis::ServerErrorKind;

    use super::*;

    #[test]
    fn a_passing_refusal_inside_a_script_of_redis_6_is_recognised() {
        for (detail, retryable) in [
            (
                "Error running script (call to f_0a): @user_script:9: @user_script: 9: -OOM command not allowed",
                true,
            ),
            (
                "Error running script (call to f_0a): @user_script:9: attempt to index a nil value",
                false,
            ),
        ] {
            let kind = ErrorKind::Server(ServerErrorKind::ResponseError);
            let error = refused("append", &(kind, "", detail.to_owned()).into());
            assert_eq!(error.is_retryable(), retryable, "{error}");
        }
    }
}
