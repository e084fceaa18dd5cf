//! The one subscriber connection: a task that keeps the subscribed channels in line with the wanted ones.
//!
//! The client library's resubscription is not used: it loses channels and mixes up replies. This task knows the wanted
//! channels, has at most one command in flight, and treats anything unexpected as a lost connection: it reconnects.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _};
use redis::{
    Msg, RedisResult, Value,
    aio::{PubSubSink, PubSubStream},
};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep_until, timeout},
};

use super::{
    failure::{Failure, is_refusal, refused, words},
    health::{ConnectionHealth, Part, Status},
    optional_right::OptionalRight,
    primary::{PrimaryLease, Subscription},
    pulse::{PING_AT_LEAST, PING_EVERY, PROOF, Pulse, patience},
    request::{Recipient, Request},
    servers::Servers,
};
use crate::{Result, util::backoff::Backoff};

/// Messages in a row before the task sees to anything else, …
const MESSAGES_AT_ONCE: usize = 64;
/// … or for this long.
const TURN: Duration = Duration::from_millis(2);
/// Requests in a row, likewise.
const REQUESTS_AT_ONCE: usize = 256;
/// Channels in one command.
const BATCH: usize = 100;
/// How long the answer to any command may take.
const ANSWER: Duration = Duration::from_secs(5);

struct Channel {
    is_urgent: bool,
    recipients: Vec<Recipient>,
    /// Answered when the channel is subscribed.
    waiting: Vec<oneshot::Sender<Result<()>>>,
}

pub struct Subscriber {
    servers: Arc<Servers>,
    health: Arc<ConnectionHealth>,
    requests: mpsc::UnboundedReceiver<Request>,
    /// Those that somebody listens to.
    channels: HashMap<String, Channel>,
    /// Those to which this connection is subscribed.
    subscribed: HashSet<String>,
    /// Channels that may be in one of the two and not in the other, once there is a connection.
    changed: VecDeque<String>,
    is_connected: bool,
    /// Messages have been missed since a connection was lost.
    missed: bool,
    backoff: Backoff,
    pulse: Pulse,
}

/// One command in flight, and its channels.
type PendingCommand = Pin<Box<dyn Future<Output = (Vec<String>, Result<(), Trouble>)> + Send>>;

enum Trouble {
    /// The server refused the command.
    Refused(redis::RedisError),
    /// The connection cannot be used any more.
    Broken(String),
}

impl Subscriber {
    pub fn new(
        servers: Arc<Servers>,
        health: Arc<ConnectionHealth>,
        requests: mpsc::UnboundedReceiver<Request>,
    ) -> Self {
        Self {
            servers,
            health,
            requests,
            channels: HashMap::new(),
            subscribed: HashSet::new(),
            changed: VecDeque::new(),
            is_connected: false,
            missed: false,
            backoff: Backoff::default(),
            pulse: Pulse::new(),
        }
    }

    /// Runs until the endpoint is dropped.
    pub async fn run(mut self, patience: Duration) {
        loop {
            while self.channels.is_empty() {
                let request = next(&mut self.requests).await;
                self.take(request);
            }
            let Some((sink, stream, lease)) = self.dial(patience).await else {
                self.health.set(Part::Subscriber, Status::Unused, "");
                continue;
            };
            self.is_connected = true;
            tracing::info!(
                server = self.servers.address(),
                connection = "messages",
                "connected"
            );
            self.changed = self.channels.keys().cloned().collect();
            let (reason, status) = self.serve(&sink, stream, lease).await;
            self.is_connected = false;
            self.changed = VecDeque::new();
            self.missed |= !self.subscribed.is_empty();
            self.subscribed.clear();
            if self.channels.is_empty() {
                self.health.set(Part::Subscriber, Status::Unused, "");
                continue;
            }
            tracing::warn!(
                server = self.servers.address(),
                connection = "messages",
                cause = reason,
                "connection lost"
            );
            self.health.set(Part::Subscriber, status, &reason);
            if status == Status::Failed {
                let pause = self.backoff.next_delay();
                // Nobody dials for those who are gone: what they have met must not be held against who comes next.
                if self.meanwhile(tokio::time::sleep(pause)).await.is_none() {
                    self.health.set(Part::Subscriber, Status::Unused, "");
                }
            }
        }
    }

    /// Connects; `None` if nobody listens any more.
    async fn dial(&mut self, patience: Duration) -> Option<Subscription> {
        self.health.begin(Part::Subscriber);
        let servers = self.servers.clone();
        loop {
            let attempt = self.meanwhile(servers.subscriber(patience)).await?;
            match attempt {
                Ok(connection) => return Some(connection),
                Err(failure) => self.failed(&failure),
            }
            let pause = self.backoff.next_delay();
            self.meanwhile(tokio::time::sleep(pause)).await?;
        }
    }

    /// Takes requests while `work` runs; `None` if nobody listens any more.
    async fn meanwhile<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return Some(done),
                request = next(&mut self.requests) => self.take(request),
            }
            if self.channels.is_empty() {
                return None;
            }
        }
    }

    fn failed(&mut self, failure: &Failure) {
        tracing::warn!(
            server = self.servers.address(),
            connection = "messages",
            cause = failure.reason,
            "cannot connect"
        );
        self.health.set(Part::Subscriber, Status::Failed, &failure.reason);
        if failure.permanent && !self.health.has_worked() {
            for channel in self.channels.values_mut() {
                for done in channel.waiting.drain(..) {
                    let _ = done.send(Err(self.servers.error(failure.reason.clone())));
                }
            }
        }
    }

    /// Uses a connection until it is lost; returns why it was lost, and whether it had worked before.
    async fn serve(
        &mut self,
        sink: &PubSubSink,
        mut messages: PubSubStream,
        mut lease: PrimaryLease,
    ) -> (String, Status) {
        let mut command: Option<PendingCommand> = None;
        let mut end = Status::Failed;
        // Messages prove only one direction.
        let mut answered = Instant::now();
        let mut pause = self.pause();
        let health = Arc::clone(&self.health);
        self.pulse.heard();
        loop {
            if command.is_none() {
                command = self.next_command(sink);
            }
            if command.is_none() && end == Status::Failed {
                end = Status::Lost;
                self.brought_in_line();
            }
            tokio::select! {
                message = messages.next() => {
                    self.pulse.heard();
                    match self.dispatch_all(message, &mut messages) {
                        None => return ("the connection for live messages was closed".to_owned(), end),
                        Some(true) => tokio::task::yield_now().await,
                        Some(false) => {}
                    }
                }
                request = next(&mut self.requests) => {
                    self.take(request);
                    for _ in 1..REQUESTS_AT_ONCE {
                        let Ok(request) = self.requests.try_recv() else { break };
                        self.take(request);
                    }
                    pause = self.pause();
                }
                (channels, outcome) = under_way(&mut command), if command.is_some() => {
                    command = None;
                    answered = Instant::now();
                    self.pulse.heard();
                    if let Err(reason) = self.subscribed(channels, outcome) {
                        return (reason, end);
                    }
                }
                () = &mut lease => return ("live messages come from another server now".to_owned(), end),
                () = health.doubted.notified(), if command.is_none() => {
                    if self.pulse.is_silent() {
                        command = Some(ping(sink.clone(), PROOF));
                    }
                }
                () = sleep_until(answered + pause), if command.is_none() => {
                    command = Some(ping(sink.clone(), patience(answered, pause)));
                }
            }
        }
    }

    /// Everything wanted is subscribed for the first time on this connection.
    fn brought_in_line(&mut self) {
        self.backoff = Backoff::default();
        self.health.set(Part::Subscriber, Status::Up, "");
        if std::mem::take(&mut self.missed) {
            let recipients = self.channels.values().flat_map(|channel| &channel.recipients);
            self.health.restored(&recipients.map(|(id, _)| *id).collect());
        }
    }

    /// The next command that brings the subscriptions closer to the wanted ones.
    fn next_command(&mut self, sink: &PubSubSink) -> Option<PendingCommand> {
        let (mut join, mut leave) = (HashSet::new(), Vec::new());
        while join.len() < BATCH && leave.len() < BATCH {
            let Some(channel) = self.changed.pop_front() else {
                break;
            };
            match (
                self.channels.contains_key(&channel),
                self.subscribed.contains(&channel),
            ) {
                (true, false) => drop(join.insert(channel)),
                (false, true) => {
                    self.subscribed.remove(&channel);
                    leave.push(channel);
                }
                _ => {}
            }
        }
        if join.is_empty() && leave.is_empty() {
            return None;
        }
        let join: Vec<_> = join.into_iter().collect();
        let mut sink = sink.clone();
        let limit = if self.pulse.is_silent() { PROOF } else { ANSWER };
        let (health, servers) = (self.health.clone(), self.servers.clone());
        Some(Box::pin(async move {
            let work = async {
                if !leave.is_empty() && health.may(OptionalRight::UNSUBSCRIBE) {
                    match sink.unsubscribe(&leave).await {
                        Err(error) if is_refusal(&words(&error)) => {
                            health.refused(OptionalRight::UNSUBSCRIBE, servers.address(), &words(&error));
                        }
                        done => done?,
                    }
                }
                if !join.is_empty() {
                    sink.subscribe(&join).await?;
                }
                Ok(())
            };
            let outcome = within(limit, work).await;
            (join, outcome)
        }))
    }

    /// A command was answered, or not. An error says why the connection cannot be used any more.
    fn subscribed(&mut self, channels: Vec<String>, outcome: Result<(), Trouble>) -> Result<(), String> {
        let refusal = match outcome {
            Ok(()) => None,
            Err(Trouble::Refused(error)) => Some(error),
            Err(Trouble::Broken(reason)) => return Err(reason),
        };
        for name in channels {
            let Some(channel) = self.channels.get_mut(&name) else {
                // Given up meanwhile; it is in `changed`, so it will be unsubscribed.
                if refusal.is_none() {
                    self.subscribed.insert(name);
                }
                continue;
            };
            match &refusal {
                None => {
                    channel.waiting.drain(..).for_each(|done| drop(done.send(Ok(()))));
                    self.subscribed.insert(name);
                }
                // Waiting callers get the error and give the channel up. Existing listeners must not miss messages, so reconnect.
                Some(error) if channel.waiting.is_empty() => return Err(words(error)),
                Some(error) => channel
                    .waiting
                    .drain(..)
                    .for_each(|done| drop(done.send(Err(refused("listen", error))))),
            }
        }
        Ok(())
    }

    /// How often the connection is tried.
    fn pause(&self) -> Duration {
        let mut channels = self.channels.values();
        if channels.any(|channel| channel.is_urgent) {
            PING_EVERY
        } else {
            PING_AT_LEAST
        }
    }

    fn take(&mut self, request: Request) {
        match request {
            Request::Listen {
                channel: name,
                is_urgent,
                recipient,
                done,
            } => {
                let channel = self.channels.entry(name.clone()).or_insert_with(|| Channel {
                    is_urgent: false,
                    recipients: Vec::new(),
                    waiting: Vec::new(),
                });
                channel.is_urgent |= is_urgent;
                if channel.recipients.iter().all(|(store, _)| *store != recipient.0) {
                    channel.recipients.push(recipient);
                }
                if self.subscribed.contains(&name) {
                    let _ = done.send(Ok(()));
                } else {
                    // Those who have given up meanwhile may have been many, if there is no connection for long.
                    channel.waiting.retain(|done| !done.is_closed());
                    channel.waiting.push(done);
                    self.note(name);
                }
            }
            Request::Unlisten { channel, store } => self.remove(channel, store),
            Request::Leave { store } => {
                let names: Vec<_> = self.channels.keys().cloned().collect();
                for name in names {
                    self.remove(name, store);
                }
            }
        }
        self.servers.listened(self.channels.len());
    }

    fn remove(&mut self, name: String, store: u64) {
        let Some(channel) = self.channels.get_mut(&name) else {
            return;
        };
        channel.recipients.retain(|(recipient, _)| *recipient != store);
        if channel.recipients.is_empty() {
            self.channels.remove(&name);
            self.note(name);
        }
    }

    /// Something has changed about a channel. A new connection looks at all of them.
    fn note(&mut self, name: String) {
        if self.is_connected {
            self.changed.push_back(name);
        }
    }

    /// Passes on a message and those that have arrived with it. Returns whether there may be more; `None` when the connection is
    /// closed.
    fn dispatch_all(&self, first: Option<Msg>, messages: &mut PubSubStream) -> Option<bool> {
        let begin = Instant::now();
        self.dispatch(&first?);
        for _ in 1..MESSAGES_AT_ONCE {
            // One message alone takes its time when a stream has many readers.
            if begin.elapsed() >= TURN {
                break;
            }
            let Some(message) = messages.next().now_or_never() else {
                return Some(false);
            };
            self.dispatch(&message?);
        }
        Some(true)
    }

    fn dispatch(&self, message: &Msg) {
        let Some(channel) = self.channels.get(message.get_channel_name()) else {
            return;
        };
        let payload = Bytes::copy_from_slice(message.get_payload_bytes());
        for (_, inbox) in &channel.recipients {
            inbox.on_message(&payload);
        }
    }
}

async fn next(requests: &mut mpsc::UnboundedReceiver<Request>) -> Request {
    match requests.recv().await {
        Some(request) => request,
        // The endpoint is gone, which ends this task.
        None => std::future::pending().await,
    }
}

async fn under_way(command: &mut Option<PendingCommand>) -> (Vec<String>, Result<(), Trouble>) {
    match command {
        Some(command) => command.await,
        None => std::future::pending().await,
    }
}

fn ping(mut sink: PubSubSink, limit: Duration) -> PendingCommand {
    Box::pin(async move {
        // A server that refuses a PING is alive.
        let outcome = within(limit, async { sink.ping::<Value>().await.map(drop) }).await;
        (Vec::new(), outcome)
    })
}

async fn within(limit: Duration, work: impl Future<Output = RedisResult<()>>) -> Result<(), Trouble> {
    match timeout(limit, work).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) if error.code().is_some_and(|code| code != "NOAUTH") => Err(Trouble::Refused(error)),
        Ok(Err(error)) => Err(Trouble::Broken(words(&error))),
        Err(_) => Err(Trouble::Broken(format!(
            "no answer within {} ms on the connection for live messages",
            limit.as_millis()
        ))),
    }
}
