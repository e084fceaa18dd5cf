//! A server's command connection: made on demand, shared by all operations, replaced when it fails.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use redis::{Cmd, RedisError, RedisResult, Value};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, timeout},
};

use super::{
    connect::{Connection, Server},
    failure::{Failure, is_answer, is_refusal, says, words},
    health::{ConnectionHealth, Part, Status},
    job::{Job, Timeouts},
    primary::{Primary, PrimaryLease},
    pulse::{PING_EVERY, PROOF, Pulse, patience},
    script::Call,
    spare::Spare,
};
use crate::{Error, Result, util::backoff::Backoff};

pub struct Commands {
    primary: Arc<Primary>,
    /// What errors name.
    address: String,
    health: Arc<ConnectionHealth>,
    /// Its server shares this machine's cores.
    is_here: bool,
    part: Part,
    link: watch::Sender<Link>,
    /// Operations that wait for the connection.
    waiting: AtomicUsize,
    /// Channels that are listened to.
    listened: AtomicUsize,
    wake: Notify,
    pulse: Pulse,
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
        connection: Connection,
    },
    Closed,
}

impl Commands {
    pub fn new(primary: Arc<Primary>, address: String, health: Arc<ConnectionHealth>, part: Part) -> Self {
        Self {
            is_here: primary.named().iter().all(Server::is_here),
            primary,
            address,
            health,
            part,
            link: watch::Sender::new(Link::Down {
                attempts: 0,
                permanent: false,
                reason: String::new(),
            }),
            waiting: AtomicUsize::new(0),
            listened: AtomicUsize::new(0),
            wake: Notify::new(),
            pulse: Pulse::new(),
        }
    }

    /// Does a job; a script is loaded first if the server does not have it. The inner result is the server's reply.
    /// `asking` does it in a slot that is being moved to this server of a cluster.
    pub async fn perform(
        &self,
        job: &Job<'_>,
        asking: bool,
        timeouts: Timeouts,
    ) -> Result<Result<Value, RedisError>> {
        let operation = job.operation();
        let asking = asking.then_some("ASKING");
        let call = match job {
            Job::Command { command, .. } => return self.send(operation, asking, command, timeouts).await,
            Job::Script(call) => call,
        };
        let pings = || self.is_here && call.publishes_much() && self.health.may(Spare::PING);
        let first = asking.or_else(|| pings().then_some("PING"));
        let mut reply = self.send(operation, first, &call.by_hash(), timeouts).await?;
        if matches!(&reply, Err(error) if error.code() == Some("NOSCRIPT")) {
            reply = self.send(operation, first, &call.by_source(), timeouts).await?;
        }
        if reply.is_ok() {
            let proof = self.health.proof();
            proof.key.get_or_init(|| call.first_key().to_owned());
            if let Some(channel) = call.channel().filter(|_| proof.channel.get().is_none()) {
                proof.channel.get_or_init(|| channel);
            }
        }
        Ok(reply)
    }

    /// What errors name.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Waits for a connection.
    pub async fn connect(&self, timeouts: Timeouts) -> Result<()> {
        self.connection(timeouts).await.map(drop)
    }

    /// Whether there is a connection now.
    pub fn is_up(&self) -> bool {
        matches!(&*self.link.borrow(), Link::Up { .. })
    }

    /// Whether there was a connection, or an attempt to make one, and there is none.
    pub fn is_lost(&self) -> bool {
        matches!(&*self.link.borrow(), Link::Down { reason, .. } if !reason.is_empty())
    }

    /// Sets how many channels are listened to. While there are any, a lost connection is made again automatically.
    pub fn listened(&self, channels: usize) {
        self.listened.store(channels, Ordering::Relaxed);
        if channels > 0 {
            self.wake.notify_one();
        }
    }

    /// Closes the connection for good.
    pub fn close(&self) {
        self.link.send_replace(Link::Closed);
    }

    /// A retryable [`Error::Connection`].
    pub fn error(&self, reason: String) -> Error {
        Error::Connection {
            address: self.address.clone(),
            reason,
            permanent: false,
        }
    }

    /// Keeps a connection for as long as one is needed. There is one such task, so there is one attempt at a time.
    pub async fn keep(self: Arc<Self>, patience: Duration) {
        self.interest().await;
        for serial in 0.. {
            let (connection, lease) = self.dial(patience).await;
            self.pulse.heard();
            self.link.send_replace(Link::Up { serial, connection });
            self.health.set(self.part, Status::Up, "");
            tracing::info!(server = self.address, connection = "commands", "connected");
            self.watch(serial, lease).await;
        }
    }

    async fn dial(&self, patience: Duration) -> (Connection, PrimaryLease) {
        self.health.begin(self.part);
        let mut backoff = Backoff::default();
        loop {
            let attempt = match self.primary.commands(patience).await {
                Ok(made) => self.tried(made, patience).await,
                failed => failed,
            };
            match attempt {
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

    /// Makes sure that the server still grants the rights that it granted before: when users are set up again, they may get
    /// their passwords before their rights.
    async fn tried(
        &self,
        (mut connection, lease): (Connection, PrimaryLease),
        patience: Duration,
    ) -> Result<(Connection, PrimaryLease), Failure> {
        let proof = self.health.proof();
        let Some(key) = proof.key.get() else {
            return Ok((connection, lease));
        };
        let mut probe = redis::pipe();
        // For a single key nothing is done.
        probe.add_command(Call::new(self.primary.library().probe).key(key).by_hash());
        if let Some(channel) = proof.channel.get() {
            // Its receivers ignore this message.
            probe.cmd("PUBLISH").arg(channel).arg("");
        }
        let replies = connection.send_packed_commands(&probe, 0, probe.len());
        let replies = timeout(patience, replies)
            .await
            .map_err(|_| Failure::late(patience))?;
        let refused = |reply: Value| {
            reply
                .extract_error()
                .err()
                .filter(|error| is_refusal(&words(error)))
        };
        // If the connection is lost again, its next use finds out.
        if let Some(error) = replies.unwrap_or_default().into_iter().find_map(refused) {
            return Err(Failure::passing(words(&error)));
        }
        Ok((connection, lease))
    }

    /// Returns when the connection has been discarded.
    async fn watch(&self, serial: u64, mut lease: PrimaryLease) {
        let mut link = self.link.subscribe();
        let mut pause = PING_EVERY;
        loop {
            tokio::select! {
                _ = link.wait_for(|link| !matches!(link, Link::Up { serial: current, .. } if *current == serial)) => return,
                () = &mut lease => {
                    self.discard(serial, "another server is the primary now");
                    return;
                }
                () = self.check(&mut pause) => {}
            }
        }
    }

    /// After a while, checks the connection and looks for another primary, if the connection is needed. Problems
    /// show in the link and the lease.
    async fn check(&self, pause: &mut Duration) {
        let since = Instant::now();
        tokio::time::sleep(*pause).await;
        let limit = patience(since, *pause);
        *pause = self.pulse.pause();
        if self.listened.load(Ordering::Relaxed) > 0 {
            // This task makes the connections, so it must not wait for one.
            let up = match &*self.link.borrow() {
                Link::Up { serial, connection } => Some((*serial, connection.clone())),
                _ => None,
            };
            let ping = redis::cmd("PING");
            let ping = async {
                if let Some(up) = up.filter(|_| self.pulse.is_due(*pause)) {
                    // A server that refuses it is alive.
                    if let Ok(Err(error)) = self.exchange(up, "ping", None, &ping, limit).await {
                        self.note_refusal(Spare::PING, &error);
                    }
                }
            };
            tokio::join!(ping, self.primary.look(PING_EVERY));
        }
    }

    /// Resolves with the reason if a silent connection does not prove that it is alive. The connection for live messages
    /// is checked too.
    async fn disproof(&self, serial: u64, mut connection: Connection) -> Error {
        self.health.doubted.notify_one();
        let ping = redis::cmd("PING");
        match timeout(PROOF, connection.send_packed_command(&ping)).await {
            Err(_) => {
                let reason = format!("no sign of life within {} ms after a silence", PROOF.as_millis());
                self.discard(serial, &reason);
                self.error(reason)
            }
            // If the connection fails, the command that was sent at the same time reports it.
            Ok(_) => std::future::pending().await,
        }
    }

    /// Sends a command, and in front of it `first`, whose answer is dropped. The inner result is the server's reply;
    /// everything else is an error of the connection, which is given up.
    async fn send(
        &self,
        operation: &'static str,
        first: Option<&'static str>,
        command: &Cmd,
        timeouts: Timeouts,
    ) -> Result<Result<Value, RedisError>> {
        let (serial, connection) = self.connection(timeouts).await?;
        self.pulse.used();
        let is_silent = self.pulse.is_silent();
        let up = (serial, connection.clone());
        let exchange = self.exchange(up, operation, first, command, timeouts.command);
        if !is_silent {
            return exchange.await;
        }
        tokio::select! {
            answer = exchange => answer,
            error = self.disproof(serial, connection) => Err(error),
        }
    }

    async fn exchange(
        &self,
        (serial, mut connection): (u64, Connection),
        operation: &'static str,
        first: Option<&'static str>,
        command: &Cmd,
        limit: Duration,
    ) -> Result<Result<Value, RedisError>> {
        let answer = async {
            match first {
                Some(first) => self.both(&mut connection, first, command).await,
                None => connection.send_packed_command(command).await,
            }
        };
        let Ok(reply) = timeout(limit, answer).await else {
            let milliseconds = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
            self.discard(serial, &format!("no answer within {milliseconds} ms"));
            return Err(Error::Timeout {
                operation,
                milliseconds,
            });
        };
        let reply = reply.and_then(Value::extract_error);
        if reply.as_ref().err().is_none_or(is_answer) {
            self.pulse.heard();
        }
        match reply {
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

    async fn connection(&self, timeouts: Timeouts) -> Result<(u64, Connection)> {
        let tried = match &*self.link.borrow() {
            Link::Up { serial, connection } => return Ok((*serial, connection.clone())),
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
        match timeout(timeouts.connect, settled).await {
            Ok(Ok(link)) => match &*link {
                Link::Up { serial, connection } => Ok((*serial, connection.clone())),
                // Wait for a connection, or for a failure that waiting does not help against.
                Link::Down { reason, .. } => Err(Error::Connection {
                    address: self.address.clone(),
                    reason: reason.clone(),
                    permanent: true,
                }),
                Link::Closed => Err(Error::Closed),
            },
            Ok(Err(_)) => Err(Error::Closed),
            Err(_) => {
                let reason = match &*self.link.borrow() {
                    Link::Down { reason, .. } if !reason.is_empty() => reason.clone(),
                    _ => Failure::late(timeouts.connect).reason,
                };
                Err(self.error(reason))
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
            tracing::warn!(
                server = self.address,
                connection = "commands",
                cause = why,
                "connection lost"
            );
            self.health.set(self.part, Status::Lost, why);
        }
    }

    /// Sends two commands together: no other command comes between them.
    async fn both(
        &self,
        connection: &mut Connection,
        first: &'static str,
        command: &Cmd,
    ) -> RedisResult<Value> {
        let mut pipeline = redis::pipe();
        pipeline.cmd(first).add_command(command.clone());
        let mut replies = connection
            .send_packed_commands(&pipeline, 0, 2)
            .await?
            .into_iter();
        match replies.next().map(Value::extract_error) {
            Some(Err(error)) if is_refusal(&words(&error)) => {
                if first == "ASKING" {
                    return Err(error);
                }
                self.note_refusal(Spare::PING, &error);
            }
            _ => {}
        }
        Ok(replies.next().unwrap_or(Value::Nil))
    }

    /// Notes that an optional right is refused, if the error says so.
    fn note_refusal(&self, spare: Spare, error: &RedisError) {
        let said = words(error);
        if is_refusal(&said) {
            self.health.refused(spare, &self.address, &said);
        }
    }

    fn failed(&self, failure: Failure) {
        tracing::warn!(
            server = self.address,
            connection = "commands",
            cause = failure.reason,
            "cannot connect"
        );
        self.health.set(self.part, Status::Failed, &failure.reason);
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
            *permanent = failure.permanent && !self.health.has_worked();
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
