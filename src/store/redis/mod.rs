//! Streams in Redis 6.2 or newer: a hash and a Redis stream for each, changed by one Lua script per operation.
//!
//! * [`keys`] names things, [`old_names`] finds what older versions have named otherwise; `lua/prelude.lua` says what is in them.
//! * [`scripts`] holds the Lua scripts, [`reply`] and [`message`] take apart what comes back and what is published.
//! * [`target`] takes the URL apart, [`connect`] knows how to reach one server, [`dial`] and [`tls`] over what; [`primary`]
//!   knows which one, where there is one to choose; [`cluster`] and [`slots`] do the same for a cluster, and [`servers`]
//!   hides which it is.
//! * [`index`] is the list of streams; [`errands`] do what nobody waits for.
//! * [`commands`] and [`subscriber`] each keep a connection, and an [`endpoint`] shares them among all stores of the
//!   process. [`board`] tells how they are, [`pulse`] when one of them has to prove that it is alive, and [`rights`] what
//!   they have to allow.

mod board;
mod cluster;
mod commands;
mod connect;
mod der;
mod dial;
mod endpoint;
mod errands;
mod first_version;
mod groups;
mod index;
mod keys;
mod large;
mod message;
mod old_names;
mod predecessor;
mod primary;
mod pulse;
mod quick;
mod reply;
mod rights;
mod scripts;
mod servers;
mod slots;
mod subscriber;
mod target;
mod tls;

use std::{
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::{join_all, try_join_all};
use redis::{Cmd, Value};
use tokio::{
    sync::{OnceCell, watch},
    time::{Instant, timeout},
};
use ulid::Ulid;

use self::{
    board::Spare,
    commands::{Limits, is_refusal},
    endpoint::Endpoint,
    errands::Errands,
    index::{Entry, Marks},
    keys::{Keyspace, StreamKeys},
    old_names::{Names, OldNames},
    quick::Quick,
    scripts::{Call, Script},
    servers::Servers,
    subscriber::Kind,
    target::Target,
};
use super::groups::{Dead, Finished, GroupStatus, Item, Open, Overdue, Resolve, Take, Taken, Work};
use super::{
    Ack, Append, Appended, ConnectionState, Found, IfActive, IfEnded, ListCursor, Listener, MAX_CONSUMERS,
    MAX_KEPT_STOPS, MAX_PAGE_FRAMES, OwnerCheck, Page, Pending, Piece, Position, Read, Renew, Restore,
    Rights, SHOWN_CONSUMERS, Start, Started, StopResult, Store, Sweep, Swept, Ttl, beyond_doubt,
    predecessor::{Ask, Left},
};
use crate::{
    Config, Cursor, Error, Result, StreamId, backoff::jitter, cursor::MAX_SEQ, frame::Reference, sync::lock,
};

/// How long a deletion waits for the index, whose entries go by themselves in the end.
const INDEX_PATIENCE: Duration = Duration::from_secs(1);

/// A [`Store`] in Redis. Stores with the same connection settings share their connections.
pub struct RedisStore {
    id: u64,
    target: Arc<Target>,
    keys: Keyspace,
    node: Ulid,
    listener: Arc<dyn Listener>,
    limits: Limits,
    endpoint: Mutex<Slot>,
    closed: watch::Sender<bool>,
    /// Whether the node's control channel is listened to.
    control: OnceCell<()>,
    quick: Arc<Quick>,
    errands: Arc<Errands>,
    old_names: OldNames,
    queue_ttl: u64,
}

enum Slot {
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
    pub fn open(config: &Config, node: Ulid, listener: Arc<dyn Listener>) -> Result<Arc<dyn Store>> {
        static IDS: AtomicU64 = AtomicU64::new(0);
        if config.key_prefix.contains(['{', '}']) {
            return Err(Error::invalid("keyPrefix", "must not contain braces"));
        }
        Ok(Arc::new(Self {
            id: IDS.fetch_add(1, Ordering::Relaxed),
            target: Arc::new(Target::parse(config)?),
            keys: Keyspace::new(&config.key_prefix),
            node,
            listener,
            limits: Limits {
                connect: Duration::from_millis(config.connect_timeout_ms),
                command: Duration::from_millis(config.command_timeout_ms),
            },
            endpoint: Mutex::new(Slot::Unused),
            closed: watch::Sender::new(false),
            control: OnceCell::new(),
            quick: Arc::default(),
            errands: Arc::default(),
            old_names: OldNames::default(),
            queue_ttl: groups::queue_ttl(config.ttl()),
        }))
    }

    fn slot(&self) -> MutexGuard<'_, Slot> {
        lock(&self.endpoint)
    }

    fn endpoint(&self) -> Result<Arc<Endpoint>> {
        let endpoint = match &mut *self.slot() {
            Slot::Closed => return Err(Error::Closed),
            Slot::Used(endpoint) => return Ok(endpoint.clone()),
            slot @ Slot::Unused => {
                let endpoint = Endpoint::of(&self.target, self.limits);
                *slot = Slot::Used(endpoint.clone());
                endpoint
            }
        };
        endpoint.board.join(self.id, &self.listener);
        Ok(endpoint)
    }

    /// Does something until the store is closed.
    async fn until_closed<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let mut closed = self.closed.subscribe();
        tokio::select! {
            biased;
            _ = closed.wait_for(|closed| *closed) => Err(Error::Closed),
            outcome = work => outcome,
        }
    }

    async fn call(&self, call: Call) -> Result<Value> {
        self.call_again(&call).await
    }

    async fn call_again(&self, call: &Call) -> Result<Value> {
        self.until_closed(async { self.endpoint()?.servers.call(call, self.limits).await })
            .await
    }

    async fn run(&self, operation: &'static str, key: &str, command: &Cmd) -> Result<Value> {
        self.until_closed(async {
            let endpoint = self.endpoint()?;
            endpoint.servers.run(operation, key, command, self.limits).await
        })
        .await
    }

    /// Runs a script that can be done without. What a missing right forbids is told once and left out for a while.
    async fn spare(&self, spare: Spare, call: Call) -> Result<Option<Value>> {
        let endpoint = self.endpoint()?;
        if !endpoint.board.may(spare) {
            return Ok(None);
        }
        match self.call(call).await {
            Err(error) if heed(&endpoint, spare, &error) => Ok(None),
            done => done.map(Some),
        }
    }

    /// A script's call, up to the arguments that all scripts for streams begin with.
    fn on(&self, script: &'static Script, keys: &StreamKeys) -> Call {
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

    fn create(&self, script: &'static Script, keys: &StreamKeys, start: &Start) -> Call {
        self.on(script, keys)
            .key(&keys.stops)
            .show(start.generation)
            .show(start.producer)
            .show(self.node)
            .text(match start.if_active {
                IfActive::Error => "error",
                IfActive::Takeover => "takeover",
                IfActive::Share => "share",
            })
            .text(optional(start.owner.as_ref()))
            .text(optional(start.metadata.as_ref()))
            .show(millis(start.lease))
            .show(millis(start.ttl.active))
            .show(millis(start.ttl.done))
    }

    /// Runs a script that makes a record. Its producer's messages are listened to before, and the generation is noted as open
    /// meanwhile. Nothing but the server that has the stream is waited for.
    async fn begin(&self, stream: &StreamId, start: &Start, call: &Call) -> Result<Value> {
        // Refused credentials are told at once here; the subscriber goes on trying.
        self.until_closed(async {
            let servers = &self.endpoint()?.servers;
            servers.connect_for(call.first_key(), self.limits).await
        })
        .await?;
        self.control
            .get_or_try_init(|| self.listen_to(self.keys.node(self.node), Kind::Control))
            .await?;
        let open = (stream.clone(), start.generation);
        self.send_along(name_of(&open), Spare::Open, self.enter_open(&open, start))?;
        self.call_again(call).await
    }

    /// Enters a stream into the index once it is there, so that nobody who finds it gone takes it out again. One whose start
    /// has got no answer may be there. `generation` is the one that has begun or was joined.
    fn begun(&self, stream: &StreamId, start: &Start, generation: Result<Ulid, &Error>) -> Result<()> {
        let generation = match generation {
            Err(error) if error.is_retryable() => Ok(start.generation),
            other => other,
        };
        if generation != Ok(start.generation) {
            let open = (stream.clone(), start.generation);
            self.send_along(name_of(&open), Spare::Open, self.leave_open(&open))?;
        }
        let Ok(generation) = generation else { return Ok(()) };
        // It has begun under another name, see `start.lua`.
        if generation != start.generation && generation.random() == start.generation.random() {
            let open = (stream.clone(), generation);
            self.send_along(name_of(&open), Spare::Open, self.enter_open(&open, start))?;
        }
        let entry = Entry {
            generation,
            ttl: millis(start.ttl.active) + millis(start.ttl.done),
            is_last: false,
        };
        self.enter(stream, &entry)
    }

    /// Does something that nobody waits for. See [`Errands::run`].
    fn send_along(&self, name: String, spare: Spare, call: Call) -> Result<()> {
        let endpoint = self.endpoint()?;
        if endpoint.board.may(spare) {
            self.errands
                .run(name, spare, call, endpoint, self.limits, self.closed.subscribe());
        }
        Ok(())
    }

    /// Takes a producer's answer apart, and makes the stream's entry in the index as long as the TTLs that were set.
    fn appended(&self, stream: &StreamId, generation: Ulid, answer: reply::Answer) -> Result<Appended> {
        let appended = answer.appended;
        if answer.index_ttl > 0 {
            let entry = Entry {
                generation,
                ttl: answer.index_ttl,
                is_last: matches!(
                    appended,
                    Appended::Done {
                        terminal: Some(_),
                        ..
                    }
                ),
            };
            self.enter(stream, &entry)?;
        }
        Ok(appended)
    }

    async fn append_whole(&self, stream: &StreamId, append: &Append) -> Result<Appended> {
        let keys = self.keys.stream(stream);
        let terminal = append.terminal.as_ref();
        let frame = append.frame.as_ref();
        let mut call = self
            .on(&scripts::APPEND, &keys)
            .show(append.generation)
            .show(append.producer)
            .show(append.batch)
            .text(append.expected.map_or_else(String::new, |seq| seq.to_string()))
            .show(millis(append.lease))
            .text(terminal.map_or("", |terminal| terminal.outcome.as_str()))
            .text(terminal.map_or("", |terminal| &terminal.reason))
            .show(frame.map_or(0, |frame| frame.count))
            .bytes(frame.map_or(&[], |frame| &frame.bytes))
            .show(quick::beginning(append));
        call = match &append.large {
            Some(large) => call.show(large.id).show(large.pieces()),
            None => call.text("").text(""),
        };
        if let Some(seal) = &append.seal {
            call = call
                .show(seal.after)
                .show(seal.last())
                .bytes(&seal.frame.bytes)
                .show(seal.frame.body_len)
                .show(seal.replaced);
        }
        let sent = Instant::now();
        let answer = reply::appended("append", self.call(call).await?)?;
        let allowed = answer.quick.map(|(time, ordinal)| quick::Allowed {
            // Spread, so that streams that started together do not all need the whole script at the same moment.
            due: sent + jitter(time * 3 / 4),
            until: sent + time,
            ordinal,
        });
        self.quick.learn(append, &answer.appended, allowed, keys);
        self.appended(stream, append.generation, answer)
    }

    /// Runs commands, each for its key, without waiting for one before the next is sent.
    async fn run_all(
        &self,
        operation: &'static str,
        commands: impl IntoIterator<Item = (String, Cmd)>,
    ) -> Result<Vec<Value>> {
        let runs = commands
            .into_iter()
            .map(|(key, command)| async move { self.run(operation, &key, &command).await });
        join_all(runs).await.into_iter().collect()
    }

    async fn listen_to(&self, channel: String, kind: Kind) -> Result<()> {
        self.until_closed(async {
            let member = (self.id, self.listener.clone());
            let endpoint = self.endpoint()?;
            endpoint.listen(channel, kind, member, self.limits).await
        })
        .await
    }

    fn shut(&self) {
        let slot = std::mem::replace(&mut *self.slot(), Slot::Closed);
        self.closed.send_replace(true);
        if let Slot::Used(endpoint) = &slot {
            endpoint.leave(self.id);
        }
        if !matches!(slot, Slot::Closed) {
            self.listener.on_state(ConnectionState::Closed, "");
        }
    }
}

impl Drop for RedisStore {
    fn drop(&mut self) {
        if let Slot::Used(endpoint) = &*self.slot() {
            endpoint.leave(self.id);
        }
    }
}

impl Store for RedisStore {
    fn connect(&self) -> Pending<'_, ()> {
        Box::pin(self.until_closed(async { self.endpoint()?.servers.connect(self.limits).await }))
    }

    fn start<'a>(&'a self, stream: &'a StreamId, start: &'a Start) -> Pending<'a, Started> {
        Box::pin(async move {
            let Names { keys, are_old } = self.names(stream).await?;
            let on = |keys: &StreamKeys| {
                let call = self.create(&scripts::START, keys, start);
                call.text(match start.if_ended {
                    IfEnded::Restart => "restart",
                    IfEnded::Error => "error",
                })
            };
            if are_old {
                let call = &on(&keys).text("1");
                let leave = || async move { reply::left(stream, self.call_again(call).await?) };
                beyond_doubt(leave).await??;
            }
            let call = &on(&self.keys.stream(stream));
            let look = || async move { reply::started(stream, self.begin(stream, start, call).await?) };
            let started = beyond_doubt(look).await.and_then(std::convert::identity);
            self.begun(stream, start, started.as_ref().map(|started| started.generation))?;
            started
        })
    }

    fn restore<'a>(&'a self, stream: &'a StreamId, restore: &'a Restore) -> Pending<'a, Appended> {
        Box::pin(async move {
            let keys = self.keys.stream(stream);
            let call = self
                .create(&scripts::RESTORE, &keys, &restore.start)
                .show(restore.ordinal)
                .show(restore.base)
                .show(restore.seq);
            let reply = self.begin(stream, &restore.start, &call).await;
            let generation = restore.start.generation;
            let answer = reply.and_then(|reply| reply::appended("restore", reply));
            let is_refused = |answer: &reply::Answer| !matches!(answer.appended, Appended::Done { .. });
            if !answer.as_ref().is_ok_and(is_refused) {
                self.begun(stream, &restore.start, answer.as_ref().map(|_| generation))?;
            }
            self.appended(stream, generation, answer?)
        })
    }

    fn append<'a>(&'a self, stream: &'a StreamId, append: &'a Append) -> Pending<'a, Appended> {
        Box::pin(async move {
            let quick = self
                .quick
                .append(append, self.endpoint()?, self.limits, &self.closed);
            if let Some(done) = quick.await? {
                return Ok(done);
            }
            // Boxed by itself: most batches end above, and need no room for it.
            Box::pin(self.append_whole(stream, append)).await
        })
    }

    fn release(&self, producer: Ulid) {
        self.quick.forget(producer);
    }

    fn put<'a>(&'a self, stream: &'a StreamId, piece: &'a Piece) -> Pending<'a, Appended> {
        Box::pin(self.put_piece(stream, piece))
    }

    fn piece<'a>(
        &'a self,
        stream: &'a StreamId,
        large: &'a Reference,
        index: usize,
    ) -> Pending<'a, Option<Bytes>> {
        Box::pin(self.get_piece(stream, large, index))
    }

    fn renew<'a>(&'a self, stream: &'a StreamId, renew: &'a Renew) -> Pending<'a, Appended> {
        Box::pin(async move {
            let keys = self.keys.stream(stream);
            let call = self
                .on(&scripts::RENEW, &keys)
                .show(renew.generation)
                .show(renew.producer)
                .show(millis(renew.lease));
            let answer = reply::appended("renew", self.call(call).await?)?;
            self.appended(stream, renew.generation, answer)
        })
    }

    fn read<'a>(&'a self, stream: &'a StreamId, read: &'a Read) -> Pending<'a, Option<Page>> {
        Box::pin(async move {
            let Names { keys, are_old } = self.names(stream).await?;
            let (position, generation, seq) = position(read.position);
            let call = self
                .on(&scripts::READ, &keys)
                .text(position)
                .text(generation.map_or_else(String::new, |generation| generation.to_string()))
                .show(seq.min(MAX_SEQ))
                .show(read.max_bytes)
                .text(check(&read.owner))
                .show(MAX_PAGE_FRAMES);
            let Some(page) = reply::page(stream, self.call(call).await?)? else {
                return Ok(None);
            };
            if are_old {
                self.hear_old(stream, page.page.head.generation)?;
            }
            page.decode(stream).await.map(Some)
        })
    }

    fn stop<'a>(
        &'a self,
        stream: &'a StreamId,
        reason: &'a str,
        owner: &'a OwnerCheck,
        keep: Duration,
    ) -> Pending<'a, StopResult> {
        Box::pin(async move {
            let Names { keys, .. } = self.names(stream).await?;
            let call = self
                .on(&scripts::STOP, &keys)
                .key(&keys.stops)
                .text(reason)
                .text(check(owner))
                .show(millis(keep))
                .show(MAX_KEPT_STOPS);
            reply::stopped(stream, self.call(call).await?)
        })
    }

    fn ack<'a>(
        &'a self,
        stream: &'a StreamId,
        acks: &'a [Ack],
        owner: &'a OwnerCheck,
    ) -> Pending<'a, Vec<bool>> {
        Box::pin(async move {
            let Names { keys, .. } = self.names(stream).await?;
            let mut call = self
                .on(&scripts::ACK, &keys)
                .text(check(owner))
                .show(MAX_CONSUMERS);
            for Ack { consumer, cursor } in acks {
                call = call
                    .text(consumer.as_str())
                    .show(cursor.generation)
                    .show(cursor.seq);
            }
            reply::acked(stream, self.call(call).await?)
        })
    }

    fn cursor<'a>(&'a self, stream: &'a StreamId, consumer: &'a str) -> Pending<'a, Option<Cursor>> {
        Box::pin(self.until_closed(async move {
            let key = self.names(stream).await?.keys.cursors;
            let mut command = redis::cmd("HGET");
            command.arg(&key).arg(consumer);
            let servers = &self.endpoint()?.servers;
            reply::cursor(servers.run("cursor", &key, &command, self.limits).await?)
        }))
    }

    fn inspect<'a>(&'a self, stream: &'a StreamId) -> Pending<'a, Found> {
        Box::pin(async move {
            let Names { keys, .. } = self.names(stream).await?;
            let call = self.on(&scripts::STATUS, &keys).show(SHOWN_CONSUMERS);
            let call = &call;
            let look = || async move { reply::found(stream, self.call_again(call).await?) };
            beyond_doubt(look).await
        })
    }

    fn memory<'a>(&'a self, stream: &'a StreamId) -> Pending<'a, Option<u64>> {
        Box::pin(async move {
            let Names { keys, .. } = self.names(stream).await?;
            let commands = keys.all().map(|key| {
                let mut command = redis::cmd("MEMORY");
                command.arg("USAGE").arg(key);
                (key.to_owned(), command)
            });
            let sizes = self.run_all("memory", commands).await?;
            let known = sizes.iter().filter(|size| **size != Value::Nil);
            Ok(known.map(number).reduce(|sum, size| sum + size))
        })
    }

    fn delete<'a>(&'a self, stream: &'a StreamId) -> Pending<'a, bool> {
        Box::pin(async move {
            let keys = self.keys.stream(stream);
            let endpoint = self.endpoint()?;
            let may_forget = endpoint.board.may(Spare::Forget);
            let marks = async {
                let marks = self.marks(std::slice::from_ref(stream));
                timeout(INDEX_PATIENCE, marks).await.ok()
            };
            let marks = if may_forget { marks.await } else { None };
            let mut existed = false;
            for keys in [Some(keys), self.old_keys(stream).await?].iter().flatten() {
                let call = self.on(&scripts::DELETE, keys).key(&keys.stops);
                existed |= self.call(call).await? == Value::Int(1);
            }
            // Left in the index, it goes with its time.
            let forgotten = match marks {
                Some(Ok(marks)) => timeout(INDEX_PATIENCE, self.forget([stream], &marks)).await,
                Some(Err(error)) => Ok(Err(error)),
                None => Ok(Ok(())),
            };
            if let Ok(Err(error)) = forgotten {
                heed(&endpoint, Spare::Forget, &error);
            }
            Ok(existed)
        })
    }

    fn sweep<'a>(&'a self, streams: &'a [StreamId], rule: &'a Sweep) -> Pending<'a, Vec<Swept>> {
        Box::pin(async move {
            let names = try_join_all(streams.iter().map(|stream| self.names(stream))).await?;
            let outcomes: String = rule
                .outcomes
                .iter()
                .fold(" ".to_owned(), |text, outcome| text + outcome.as_str() + " ");
            let calls = names.iter().map(|Names { keys, .. }| {
                self.on(&scripts::SWEEP, keys)
                    .show(rule.quiet.as_millis())
                    .text(&*outcomes)
                    .text(if rule.force { "1" } else { "0" })
                    .text(if rule.look { "1" } else { "0" })
            });
            let calls: Vec<_> = calls.collect();
            let marks = if rule.look {
                Marks::default()
            } else {
                self.marks(streams).await?
            };
            let looks = calls
                .iter()
                .map(|call| beyond_doubt(move || async move { reply::swept(self.call_again(call).await?) }));
            let swept: Vec<_> = join_all(looks).await.into_iter().collect::<Result<_>>()?;
            if !rule.look {
                let absent = streams.iter().zip(&swept);
                for (stream, swept) in absent.clone() {
                    // What stood behind it would come to light.
                    if let Swept::Removed = swept
                        && let Some(keys) = self.old_keys(stream).await?
                    {
                        let call = self.on(&scripts::DELETE, &keys).key(&keys.stops);
                        self.call(call).await?;
                    }
                }
                let absent = absent.filter(|(_, swept)| matches!(swept, Swept::Gone | Swept::Removed));
                self.forget(absent.map(|(stream, _)| stream), &marks).await?;
            }
            Ok(swept)
        })
    }

    fn info(&self) -> Pending<'_, Option<String>> {
        Box::pin(async move {
            let reply = self.run("info", &self.keys.index(0), &redis::cmd("INFO")).await?;
            reply::info(reply).map(Some)
        })
    }

    fn rights(&self) -> Pending<'_, Option<Rights>> {
        Box::pin(self.until_closed(async {
            let id = format!("tidemark-rights-{}", Ulid::new());
            let keys = self.keys.stream(&StreamId::new(&id)?);
            let [stream_pattern, plain_pattern] = self.keys.patterns();
            let (old, old_pattern) = predecessor::stream_and_pattern(&id);
            let scene = rights::Scene {
                key: keys.log,
                channel: keys.live,
                stream_pattern,
                plain: self.keys.node(Ulid::new()),
                plain_pattern,
                old,
                old_pattern,
            };
            let servers = &self.endpoint()?.servers;
            rights::lacking(servers, &scene, self.limits).await.map(Some)
        }))
    }

    fn count(&self) -> Pending<'_, u64> {
        Box::pin(self.count_ids())
    }

    fn list(&self, from: ListCursor, count: usize) -> Pending<'_, (Vec<StreamId>, Option<ListCursor>)> {
        Box::pin(self.list_ids(from, count))
    }

    fn predecessor<'a>(&'a self, ask: &'a Ask) -> Pending<'a, Option<Left>> {
        Box::pin(async move {
            // It knew no clusters.
            if let Servers::Cluster(_) = &*self.endpoint()?.servers {
                return Ok(None);
            }
            predecessor::answer(self, ask).await.map(Some)
        })
    }

    fn take<'a>(&'a self, work: Work<'a>, take: &'a Take) -> Pending<'a, Option<Taken>> {
        Box::pin(self.take_items(work, take))
    }

    fn resolve<'a>(&'a self, work: Work<'a>, resolve: &'a Resolve) -> Pending<'a, ()> {
        Box::pin(self.resolve_items(work, resolve))
    }

    fn dead<'a>(&'a self, work: Work<'a>, dead: &'a Dead) -> Pending<'a, Vec<Item>> {
        Box::pin(self.dead_items(work, dead))
    }

    fn groups<'a>(&'a self, work: Work<'a>) -> Pending<'a, Option<Vec<GroupStatus>>> {
        Box::pin(self.list_groups(work))
    }

    fn announce<'a>(&'a self, finished: &'a Finished, if_open: bool) -> Pending<'a, ()> {
        Box::pin(self.add_finished(finished, if_open))
    }

    fn forget_open<'a>(&'a self, open: &'a Open) -> Pending<'a, ()> {
        Box::pin(self.remove_open(open))
    }

    fn overdue(&self, count: usize, pause: Duration) -> Pending<'_, Overdue> {
        Box::pin(self.overdue_open(count, pause))
    }

    fn listen_finished(&self) -> Pending<'_, ()> {
        Box::pin(self.listen_to(self.keys.finished_news(), Kind::Finished))
    }

    fn listen<'a>(&'a self, stream: &'a StreamId) -> Pending<'a, ()> {
        self.begin_to_hear(stream);
        Box::pin(self.listen_to(self.keys.stream(stream).live, Kind::Live(stream.clone())))
    }

    fn unlisten(&self, stream: &StreamId) {
        if let Slot::Used(endpoint) = &*self.slot() {
            endpoint.unlisten(self.keys.stream(stream).live, self.id);
            if let Some(old) = self.end_to_hear(stream) {
                endpoint.unlisten(old, self.id);
            }
        }
    }

    fn outage(&self) -> Option<Error> {
        match &*self.slot() {
            Slot::Used(endpoint) if endpoint.board.state() == ConnectionState::Degraded => {
                Some(endpoint.servers.error(endpoint.board.reason()))
            }
            _ => None,
        }
    }

    fn state(&self) -> ConnectionState {
        match &*self.slot() {
            Slot::Unused => ConnectionState::Idle,
            Slot::Used(endpoint) => endpoint.board.state(),
            Slot::Closed => ConnectionState::Closed,
        }
    }

    fn close(&self) -> Pending<'_, ()> {
        Box::pin(async move {
            self.errands.settle().await;
            self.shut();
            Ok(())
        })
    }
}

fn number(reply: &Value) -> u64 {
    match reply {
        Value::Int(number) => u64::try_from(*number).unwrap_or_default(),
        _ => 0,
    }
}

/// Names the errands for a generation's place among the open ones.
fn name_of((stream, generation): &Open) -> String {
    format!("open {generation} {stream}")
}

/// Notes something that can be done without, if it failed for a missing right.
fn heed(endpoint: &Endpoint, spare: Spare, error: &Error) -> bool {
    match error {
        Error::Store { reason, .. } if is_refusal(reason) => {
            endpoint.board.refused(spare, endpoint.servers.address(), reason);
            true
        }
        _ => false,
    }
}

/// How scripts take a position: a word, a generation and a seq.
fn position(position: Position) -> (&'static str, Option<Ulid>, u64) {
    match position {
        Position::Start => ("start", None, 0),
        Position::Now => ("now", None, 0),
        Position::Open => ("open", None, 0),
        Position::After { generation, seq } => ("after", Some(generation), seq),
        Position::Next { generation, seq } => ("next", Some(generation), seq),
    }
}

/// How scripts take text that may be absent.
fn optional(text: Option<&String>) -> String {
    text.map_or_else(String::new, |text| format!("={text}"))
}

/// How scripts take the one who asks.
fn check(owner: &OwnerCheck) -> String {
    match owner {
        OwnerCheck::Internal => String::new(),
        OwnerCheck::Caller(None) => "-".to_owned(),
        OwnerCheck::Caller(Some(owner)) => format!("={owner}"),
    }
}

/// Whole milliseconds, at least one; a thousand years at most, which no expiry in Redis overflows.
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis())
        .unwrap_or(u64::MAX)
        .clamp(1, 1 << 45)
}
