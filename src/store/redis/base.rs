//! The store itself, and the parts that all of its operations use.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use redis::{Cmd, Value};
use tokio::sync::{OnceCell, watch};
use ulid::Ulid;

use super::{
    arguments::{check, queue_ttl},
    fast_append::FastAppends,
    follow_ups::FollowUps,
    inboxes::{Older, StateObserver},
    keys::{KeyNames, StreamKeys},
    old_names::OldNames,
    optional_rights::note_refusal,
    scripts::{self, LIBRARY},
};
use crate::{
    Config, Error, Result,
    model::connection::ConnectionState,
    redis::{
        endpoint::Endpoint,
        job::Timeouts,
        observer::{Inbox, Observer},
        optional_right::OptionalRight,
        script::{Call, Script},
        target::{Target, Topology},
    },
    store::{Listener, OwnerCheck},
    util::sync::lock,
};

/// A [`Store`](crate::store::Store) in Redis. Stores with the same connection settings share their connections.
pub struct RedisStore {
    pub(super) id: u64,
    pub(super) target: Arc<Target>,
    pub(super) keys: KeyNames,
    pub(super) node: Ulid,
    /// What the node calls itself, for people.
    pub(super) process: String,
    /// Whether the node can vouch for its producers, see `nodes.rs`.
    pub(super) vouches: bool,
    pub(super) older: Arc<Older>,
    pub(super) listener: Arc<dyn Listener>,
    pub(super) timeouts: Timeouts,
    pub(super) endpoint: Mutex<EndpointState>,
    pub(super) closed: watch::Sender<bool>,
    /// Whether the node's control channel is listened to.
    pub(super) control: OnceCell<()>,
    pub(super) fast: Arc<FastAppends>,
    pub(super) follow_ups: Arc<FollowUps>,
    /// The generations whose ends are in the books, until the engine comes to announce them.
    pub(super) booked: Mutex<HashSet<Ulid>>,
    pub(super) old_names: OldNames,
    pub(super) queue_ttl: u64,
}

pub(super) enum EndpointState {
    Unused,
    Used(Arc<Endpoint>),
    Closed,
}

impl RedisStore {
    /// Prepares a store; it connects when it is first used.
    ///
    /// `node` names this engine to the producers' control messages, which reach `listener` with everything else.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a URL or prefix that cannot be used.
    pub fn open(config: &Config, node: Ulid, listener: Arc<dyn Listener>) -> Result<Self> {
        static IDS: AtomicU64 = AtomicU64::new(0);
        if config.key_prefix.contains(['{', '}']) {
            return Err(Error::invalid("keyPrefix", "must not contain braces"));
        }
        let target = Arc::new(Target::parse(config, &LIBRARY)?);
        Ok(Self {
            id: IDS.fetch_add(1, Ordering::Relaxed),
            older: Arc::default(),
            vouches: matches!(target.topology, Topology::Primary(_)),
            target,
            keys: KeyNames::new(&config.key_prefix),
            node,
            process: config.process.clone(),
            listener,
            timeouts: Timeouts {
                connect: Duration::from_millis(config.connect_timeout_ms),
                command: Duration::from_millis(config.command_timeout_ms),
            },
            endpoint: Mutex::new(EndpointState::Unused),
            closed: watch::Sender::new(false),
            control: OnceCell::new(),
            fast: Arc::default(),
            follow_ups: Arc::default(),
            booked: Mutex::default(),
            old_names: OldNames::default(),
            queue_ttl: queue_ttl(config.ttl()),
        })
    }

    pub(super) fn endpoint_state(&self) -> MutexGuard<'_, EndpointState> {
        lock(&self.endpoint)
    }

    pub(super) fn endpoint(&self) -> Result<Arc<Endpoint>> {
        let endpoint = match &mut *self.endpoint_state() {
            EndpointState::Closed => return Err(Error::Closed),
            EndpointState::Used(endpoint) => return Ok(endpoint.clone()),
            state @ EndpointState::Unused => {
                let endpoint = Endpoint::of(&self.target, self.timeouts);
                *state = EndpointState::Used(endpoint.clone());
                endpoint
            }
        };
        let told = StateObserver(Arc::clone(&self.listener));
        endpoint
            .health
            .join(self.id, &(Arc::new(told) as Arc<dyn Observer>));
        Ok(endpoint)
    }

    /// Does something until the store is closed.
    pub(super) async fn until_closed<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let mut closed = self.closed.subscribe();
        tokio::select! {
            biased;
            _ = closed.wait_for(|closed| *closed) => Err(Error::Closed),
            outcome = work => outcome,
        }
    }

    pub(super) async fn call(&self, call: Call) -> Result<Value> {
        self.call_again(&call).await
    }

    pub(super) async fn call_again(&self, call: &Call) -> Result<Value> {
        self.until_closed(async { self.endpoint()?.servers.call(call, self.timeouts).await })
            .await
    }

    pub(super) async fn run(&self, operation: &'static str, key: &str, command: &Cmd) -> Result<Value> {
        self.until_closed(async {
            let endpoint = self.endpoint()?;
            endpoint.servers.run(operation, key, command, self.timeouts).await
        })
        .await
    }

    /// Runs commands, each for its key, without waiting for one before the next is sent.
    pub(super) async fn run_all(
        &self,
        operation: &'static str,
        commands: impl IntoIterator<Item = (String, Cmd)>,
    ) -> Result<Vec<Value>> {
        let runs = commands
            .into_iter()
            .map(|(key, command)| async move { self.run(operation, &key, &command).await });
        join_all(runs).await.into_iter().collect()
    }

    /// Runs an optional script. If a right is missing, this is reported once, and the script is left out for a while.
    pub(super) async fn call_if_allowed(&self, right: OptionalRight, call: Call) -> Result<Option<Value>> {
        let endpoint = self.endpoint()?;
        if !endpoint.health.may(right) {
            return Ok(None);
        }
        match self.call(call).await {
            Err(error) if note_refusal(&endpoint, right, &error) => Ok(None),
            done => done.map(Some),
        }
    }

    /// A script's call, up to the arguments that all scripts for streams begin with.
    pub(super) fn on(&self, script: &'static Script, keys: &StreamKeys) -> Call {
        Call::new(script)
            .key(&keys.meta)
            .key(&keys.log)
            .key(&keys.sealed)
            .key(&keys.cursors)
            .key(&keys.groups)
            .text(&keys.live)
            .text(self.keys.nodes())
            .text(&keys.escaped)
    }

    pub(super) fn deletion(&self, keys: &StreamKeys, owner: &OwnerCheck) -> Call {
        let call = self.on(&scripts::DELETE, keys).key(&keys.stops);
        call.text(check(owner))
    }

    /// Sends a call that nobody waits for. See [`FollowUps::run`].
    pub(super) fn send_along(&self, name: String, right: OptionalRight, call: Call) -> Result<()> {
        let endpoint = self.endpoint()?;
        if endpoint.health.may(right) {
            self.follow_ups.run(
                name,
                right,
                call,
                endpoint,
                self.timeouts,
                self.closed.subscribe(),
            );
        }
        Ok(())
    }

    /// Listens to a channel; to one that `is_urgent` over a connection that is tried more often.
    pub(super) async fn listen_to(
        &self,
        channel: String,
        is_urgent: bool,
        inbox: Arc<dyn Inbox>,
    ) -> Result<()> {
        self.until_closed(async {
            let recipient = (self.id, inbox);
            let endpoint = self.endpoint()?;
            endpoint
                .listen(channel, is_urgent, recipient, self.timeouts)
                .await
        })
        .await
    }

    pub(super) fn shut(&self) {
        let before = std::mem::replace(&mut *self.endpoint_state(), EndpointState::Closed);
        self.closed.send_replace(true);
        if let EndpointState::Used(endpoint) = &before {
            endpoint.leave(self.id);
        }
        if !matches!(before, EndpointState::Closed) {
            self.listener.on_state(ConnectionState::Closed, "");
        }
    }
}

impl Drop for RedisStore {
    fn drop(&mut self) {
        if let EndpointState::Used(endpoint) = &*self.endpoint_state() {
            endpoint.leave(self.id);
        }
    }
}
