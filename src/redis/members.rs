//! The servers of a cluster, and the table that says which of them has which slots.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, watch},
    task::AbortHandle,
    time::{sleep, timeout},
};

use super::{
    commands::Commands,
    connect::Server,
    failure::Failure,
    health::{ConnectionHealth, Part, Status},
    primary::{Primary, PrimaryLease},
    pulse::{PING_EVERY, Pulse},
    slot_table::{Question, Ranges, ask, ask_server, first},
    slots::{Address, SLOTS},
};
use crate::{
    Error, Result,
    util::backoff::{Backoff, jitter},
};

/// Stands for the table in the connections' health.
const TABLE: Part = Part::Commands(0);

pub struct Members {
    /// The servers that the URL names.
    seeds: Vec<Server>,
    /// The same, in the form for errors.
    address: String,
    health: Arc<ConnectionHealth>,
    /// For one attempt to connect.
    patience: Duration,
    table: watch::Sender<Table>,
    /// Notified when the table has to be read.
    wake: Notify,
    /// How many channels are listened to.
    listened: AtomicUsize,
    pulse: Pulse,
}

/// The state of the cluster, as far as it is known.
#[derive(Default)]
pub struct Table {
    /// The primaries, by slot.
    owners: Vec<Option<Arc<Member>>>,
    members: HashMap<Address, Arc<Member>>,
    /// How many reads have failed since one succeeded, and why the last one did.
    failures: u64,
    failure: Option<Failure>,
}

impl Table {
    pub fn owner(&self, slot: usize) -> Option<Arc<Member>> {
        self.owners.get(slot)?.clone()
    }

    pub fn all(&self) -> Option<Vec<Arc<Member>>> {
        (!self.members.is_empty()).then(|| self.members.values().cloned().collect())
    }

    /// Every slot has a server, and none of them has been lost.
    fn is_well(&self) -> bool {
        !self.owners.is_empty()
            && self.owners.iter().all(Option::is_some)
            && self.members.values().all(|member| !member.commands.is_lost())
    }
}

/// A server with its connection, which is closed once no operation uses it any more.
pub struct Member {
    pub at: Address,
    pub server: Server,
    pub commands: Arc<Commands>,
    health: Arc<ConnectionHealth>,
    part: Part,
    keeper: AbortHandle,
}

impl Drop for Member {
    fn drop(&mut self) {
        self.commands.close();
        self.keeper.abort();
        self.health.remove(self.part);
    }
}

impl Members {
    pub fn new(
        seeds: Vec<Server>,
        address: String,
        health: Arc<ConnectionHealth>,
        patience: Duration,
    ) -> Self {
        Self {
            seeds,
            address,
            health,
            patience,
            table: watch::Sender::default(),
            wake: Notify::new(),
            listened: AtomicUsize::new(0),
            pulse: Pulse::new(),
        }
    }

    /// Notes that the cluster is used: the table is read more often then.
    pub fn used(&self) {
        self.pulse.used();
    }

    /// Has the table read.
    pub fn refresh(&self) {
        self.wake.notify_one();
    }

    /// Resolves when a server has left the table.
    pub fn lease(&self, at: Address) -> PrimaryLease {
        let mut table = self.table.subscribe();
        Box::pin(async move { drop(table.wait_for(|table| !table.members.contains_key(&at)).await) })
    }

    /// Sets how many channels are listened to. While there are any, lost connections are made again automatically.
    pub fn listened(&self, channels: usize) {
        self.listened.store(channels, Ordering::Relaxed);
        for member in self.table.borrow().members.values() {
            member.commands.listened(channels);
        }
        if channels > 0 {
            self.wake.notify_one();
        }
    }

    /// Closes the connections for good.
    pub fn close(&self) {
        for member in self.table.borrow().members.values() {
            member.commands.close();
        }
    }

    /// Whether some server is connected.
    pub fn is_partly_up(&self) -> bool {
        let table = self.table.borrow();
        table.members.values().any(|member| member.commands.is_up())
    }

    /// The address in errors.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// A retryable [`Error::Connection`].
    pub fn error(&self, reason: String) -> Error {
        Error::Connection {
            address: self.address.clone(),
            reason,
            permanent: false,
        }
    }

    /// Keeps the table up to date for as long as it is needed.
    pub async fn keep(&self) {
        let mut backoff = Backoff::default();
        let mut pause = PING_EVERY;
        loop {
            let woken = tokio::select! {
                () = self.wake.notified() => true,
                () = sleep(jitter(pause)), if self.has_interest() => false,
            };
            self.health.begin(TABLE);
            let (is_read, changed) = match self.read().await {
                Ok(ranges) => (true, self.adopt(ranges)),
                Err(failure) => {
                    self.failed(failure);
                    (false, false)
                }
            };
            let is_well = is_read && self.table.borrow().is_well();
            pause = if is_well {
                self.pulse.pause()
            } else {
                Duration::ZERO
            };
            if changed || (is_well && !woken) {
                backoff = Backoff::default();
            }
            sleep(backoff.next_delay()).await;
        }
    }

    fn has_interest(&self) -> bool {
        self.listened.load(Ordering::Relaxed) + self.table.receiver_count() > 0
    }

    /// The server that has a slot.
    pub async fn owner(&self, slot: usize, patience: Duration) -> Result<Arc<Member>> {
        if let Some(member) = self.table.borrow().owner(slot) {
            return Ok(member);
        }
        self.find(|table| table.owner(slot), patience).await
    }

    /// As [`Self::look_up`], with the error that callers get.
    pub async fn find<T>(&self, wanted: impl Fn(&Table) -> Option<T>, patience: Duration) -> Result<T> {
        self.look_up(wanted, patience)
            .await
            .map_err(|failure| Error::Connection {
                address: self.address.clone(),
                reason: failure.reason,
                permanent: failure.permanent,
            })
    }

    /// Waits until the table has the wanted entry, or until a failure that waiting does not help against.
    pub async fn look_up<T>(
        &self,
        wanted: impl Fn(&Table) -> Option<T>,
        patience: Duration,
    ) -> Result<T, Failure> {
        let mut table = self.table.subscribe();
        let tried = table.borrow().failures;
        let hopeless =
            |table: &Table| table.failures > tried && table.failure.as_ref().is_some_and(|why| why.permanent);
        if wanted(&table.borrow()).is_none() {
            self.wake.notify_one();
        }
        let settled = table.wait_for(|table| wanted(table).is_some() || hopeless(table));
        let found = match timeout(patience, settled).await {
            Ok(Ok(table)) => wanted(&table),
            _ => None,
        };
        found.ok_or_else(|| {
            let failure = self.table.borrow().failure.clone();
            failure.unwrap_or_else(|| Failure::late(patience))
        })
    }

    /// Resolves when a slot has another server than this one.
    pub async fn reassigned(&self, slot: usize, member: &Arc<Member>) {
        let stays = |table: &Table| table.owner(slot).is_some_and(|owner| Arc::ptr_eq(&owner, member));
        let mut table = self.table.subscribe();
        let _ = table.wait_for(|table| !stays(table)).await;
    }

    /// A redirection of a slot applies at once; the rest of the table is read afterwards.
    pub fn moved(&self, slot: usize, at: &Address) -> Result<Arc<Member>> {
        let member = self.member(at)?;
        self.table.send_if_modified(|table| {
            let Some(owner) = table.owners.get_mut(slot) else {
                return false;
            };
            let changed = owner.as_ref().is_none_or(|owner| !Arc::ptr_eq(owner, &member));
            *owner = Some(Arc::clone(&member));
            changed
        });
        self.wake.notify_one();
        Ok(member)
    }

    /// The server at an address, which may be one that has no slot yet.
    pub fn member(&self, at: &Address) -> Result<Arc<Member>> {
        if let Some(member) = self.table.borrow().members.get(at) {
            return Ok(Arc::clone(member));
        }
        let member = self
            .open(at)
            .ok_or_else(|| self.error(format!("{at:?} is no address")))?;
        self.table.send_if_modified(|table| {
            table.members.insert(at.clone(), Arc::clone(&member));
            false
        });
        Ok(member)
    }

    fn open(&self, at: &Address) -> Option<Arc<Member>> {
        static PARTS: AtomicU64 = AtomicU64::new(1);
        let part = Part::Commands(PARTS.fetch_add(1, Ordering::Relaxed));
        let server = self.seeds.first()?.at(&at.0, at.1);
        let primary = Arc::new(Primary::Fixed(server.clone()));
        let commands = Commands::new(primary, server.address().to_owned(), self.health.clone(), part);
        let commands = Arc::new(commands);
        commands.listened(self.listened.load(Ordering::Relaxed));
        Some(Arc::new(Member {
            at: at.clone(),
            server,
            keeper: tokio::spawn(commands.clone().keep(self.patience)).abort_handle(),
            commands,
            health: self.health.clone(),
            part,
        }))
    }

    /// Asks the servers with a connection and, if none of them knows, the others, on temporary connections.
    async fn read(&self) -> Result<Ranges, Failure> {
        let members = self.table.borrow().all().unwrap_or_default();
        let (up, down): (Vec<_>, Vec<_>) = members.into_iter().partition(|member| member.commands.is_up());
        let asked = up
            .iter()
            .map(|member| Box::pin(ask(&member.commands, &member.server, &member.health)) as Question<'_>);
        let mut failures = match first(asked.collect()).await {
            Ok(ranges) => return Ok(ranges),
            Err(failures) => failures,
        };
        let mut asked: HashSet<_> = up.iter().map(|member| member.server.address()).collect();
        let others = down.iter().map(|member| &member.server).chain(&self.seeds);
        let others = others.filter(|server| asked.insert(server.address()));
        let questions = others.map(|server| Box::pin(ask_server(server, self.patience)) as Question<'_>);
        match first(questions.collect()).await {
            Ok(ranges) => Ok(ranges),
            Err(others) => {
                failures.extend(others);
                Err(Failure::all(failures))
            }
        }
    }

    /// Returns whether the table has changed.
    fn adopt(&self, ranges: Ranges) -> bool {
        // Members that are left out are dropped at the end, when the table is not locked any more.
        let mut before = Table::default();
        let changed = self.table.send_if_modified(|table| {
            let mut now = Table {
                owners: vec![None; SLOTS],
                ..Table::default()
            };
            for (first, last, at) in ranges {
                let known = now.members.get(&at).or_else(|| table.members.get(&at)).cloned();
                let Some(member) = known.or_else(|| self.open(&at)) else {
                    continue;
                };
                now.owners[first..=last].fill(Some(Arc::clone(&member)));
                now.members.insert(at, member);
            }
            let same = |(before, now): (&Option<Arc<Member>>, &Option<Arc<Member>>)| match (before, now) {
                (Some(before), Some(now)) => Arc::ptr_eq(before, now),
                (before, now) => before.is_none() && now.is_none(),
            };
            let moved = !table.owners.is_empty() && !table.owners.iter().zip(&now.owners).all(same);
            let changed = moved || table.owners.is_empty() || table.members.len() != now.members.len();
            before = std::mem::replace(table, now);
            changed
        });
        self.health.set(TABLE, Status::Up, "");
        if changed {
            tracing::info!(
                server = self.address,
                "the cluster's slots are on other servers than before"
            );
        }
        changed
    }

    fn failed(&self, mut failure: Failure) {
        tracing::warn!(
            server = self.address,
            cause = failure.reason,
            "the cluster does not say where its slots are"
        );
        self.health.set(TABLE, Status::Failed, &failure.reason);
        failure.permanent &= !self.health.has_worked();
        self.table.send_modify(|table| {
            table.failures += 1;
            table.failure = Some(failure);
        });
    }
}
