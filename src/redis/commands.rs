//! A server's command connection: made on demand, shared by all operations, replaced when it fails.

use std::{sync::Arc, time::Duration};

use redis::{Cmd, RedisError, RedisResult, Value};
use tokio::time::{Instant, timeout};

use super::{
    connect::{Connection, Server},
    failure::{Failure, is_answer, is_refusal, says, words},
    health::{ConnectionHealth, Part},
    job::{Job, Timeouts},
    link::{Link, Numbered},
    optional_right::OptionalRight,
    primary::{Primary, PrimaryLease},
    pulse::{PING_EVERY, PROOF, Pulse, patience},
    script::Call,
};
use crate::{
    Error, Result,
    util::{backoff::Backoff, time::millis},
};

pub struct Commands {
    primary: Arc<Primary>,
    health: Arc<ConnectionHealth>,
    part: Part,
    /// Its server shares this machine's cores.
    is_here: bool,
    link: Link,
    pulse: Pulse,
}

impl Commands {
    pub fn new(primary: Arc<Primary>, address: String, health: Arc<ConnectionHealth>, part: Part) -> Self {
        Self {
            is_here: primary.named().iter().all(Server::is_here),
            primary,
            link: Link::new(address, health.clone(), part),
            health,
            part,
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
        let pings = || self.is_here && call.publishes_much() && self.health.may(OptionalRight::PING);
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
        self.link.address()
    }

    /// Waits for a connection.
    pub async fn connect(&self, timeouts: Timeouts) -> Result<()> {
        self.link.connection(timeouts.connect).await.map(drop)
    }

    /// Has the server prove that it answers.
    pub async fn prove(&self, timeouts: Timeouts) -> Result<()> {
        let ping = redis::cmd("PING");
        self.send("ping", None, &ping, timeouts).await.map(drop)
    }

    /// Whether the server has answered since then, over a connection that there is now.
    pub fn has_answered_since(&self, then: Instant) -> bool {
        self.is_up() && self.pulse.last() > then
    }

    /// Whether there is a connection now.
    pub fn is_up(&self) -> bool {
        self.link.is_up()
    }

    /// Whether there was a connection, or an attempt to make one, and there is none.
    pub fn is_lost(&self) -> bool {
        self.link.is_lost()
    }

    /// Sets how many channels are listened to. While there are any, a lost connection is made again automatically.
    pub fn listened(&self, channels: usize) {
        self.link.listened(channels);
    }

    /// Closes the connection for good.
    pub fn close(&self) {
        self.link.close();
    }

    /// A retryable [`Error::Connection`].
    pub fn error(&self, reason: String) -> Error {
        self.link.error(reason)
    }

    /// Keeps a connection for as long as one is needed. There is one such task, so there is one attempt at a time.
    pub async fn keep(self: Arc<Self>, patience: Duration) {
        self.link.interest().await;
        for serial in 0.. {
            let (connection, lease) = self.dial(patience).await;
            self.pulse.heard();
            self.link.connected((serial, connection));
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
                Err(failure) => self.link.failed(failure),
            }
            if self.link.has_interest() {
                tokio::time::sleep(backoff.next_delay()).await;
            } else {
                self.link.interest().await;
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
        let mut pause = PING_EVERY;
        loop {
            tokio::select! {
                () = self.link.discarded(serial) => return,
                () = &mut lease => {
                    self.link.discard(serial, "another server is the primary now");
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
        if self.link.is_listened() {
            // This task makes the connections, so it must not wait for one.
            let up = self.link.now();
            let ping = redis::cmd("PING");
            let ping = async {
                if let Some(up) = up.filter(|_| self.pulse.is_due(*pause)) {
                    // A server that refuses it is alive.
                    if let Ok(Err(error)) = self.exchange(up, "ping", None, &ping, limit).await {
                        self.note_refusal(OptionalRight::PING, &error);
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
                self.link.discard(serial, &reason);
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
        let (serial, connection) = self.link.connection(timeouts.connect).await?;
        self.pulse.used();
        let is_silent = self.pulse.is_silent();
        let up = (serial, connection.clone());
        let exchange = self.exchange(up, operation, first, command, timeouts.command);
        let answer = if is_silent {
            tokio::select! {
                answer = exchange => answer,
                error = self.disproof(serial, connection) => Err(error),
            }
        } else {
            exchange.await
        };
        match answer {
            // Whether the server is slow or cannot be reached, the next connection shows.
            Err(late @ Error::Timeout { .. }) => {
                Err(self.link.connection(timeouts.connect).await.err().unwrap_or(late))
            }
            answer => answer,
        }
    }

    async fn exchange(
        &self,
        (serial, mut connection): Numbered,
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
            let milliseconds = millis(limit);
            self.link
                .discard(serial, &format!("no answer within {milliseconds} ms"));
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
                    self.link.discard(serial, &words(&error));
                }
                Ok(Err(error))
            }
            Err(error) => {
                let reason = words(&error);
                self.link.discard(serial, &reason);
                Err(self.error(reason))
            }
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
                self.note_refusal(OptionalRight::PING, &error);
            }
            _ => {}
        }
        Ok(replies.next().unwrap_or(Value::Nil))
    }

    /// Notes that an optional right is refused, if the error says so.
    fn note_refusal(&self, right: OptionalRight, error: &RedisError) {
        let said = words(error);
        if is_refusal(&said) {
            self.health.refused(right, self.address(), &said);
        }
    }
}
