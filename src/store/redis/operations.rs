//! The operations of the contract.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{join_all, try_join_all};
use redis::Value;
use tokio::time::timeout;
use ulid::Ulid;

use super::{
    arguments::{check, millis, number, position},
    base::{EndpointState, RedisStore},
    inboxes,
    index::Marks,
    keys::StreamKeys,
    names::Names,
    nodes,
    optional_rights::{self, note_refusal},
    reply, rights, scripts,
};
use crate::{
    Cursor, Error, Result, StreamId,
    legacy::left,
    model::{connection::ConnectionState, frame::Reference},
    store::{
        Ack, Append, Appended, Found, Glance, IfEnded, Known, ListCursor, MAX_CONSUMERS, MAX_KEPT_STOPS,
        MAX_PAGE_FRAMES, Need, OwnerCheck, Page, Pending, Piece, Read, Renew, Restore, Rights,
        SHOWN_CONSUMERS, Start, Started, StopResult, Store, Sweep, Swept, Tail,
        doubt::beyond_doubt,
        forks::{ForkList, Forks, Stage, Staged},
        groups::{
            Dead, Finished, GroupStatus, Item, OpenGeneration, Overdue, Repeat, Repeated, Resolve, Take,
            Taken, Work,
        },
        logs::{LogWrite, LogWritten},
        reminders::{Due, Recalled, Remind, Reminded},
    },
};

/// How long a deletion waits for the index, whose entries go by themselves in the end.
const INDEX_PATIENCE: Duration = Duration::from_secs(1);

impl Store for RedisStore {
    fn connect(&self) -> Pending<'_, ()> {
        Box::pin(self.until_closed(async { self.endpoint()?.servers.connect(self.timeouts).await }))
    }

    fn prove(&self) -> Pending<'_, ()> {
        Box::pin(self.until_closed(async { self.endpoint()?.servers.prove(self.timeouts).await }))
    }

    fn start<'a>(&'a self, stream: &'a StreamId, start: &'a Start) -> Pending<'a, Started> {
        Box::pin(async move {
            let Names { keys, are_old } = self.names(stream).await?;
            let on = |keys: &StreamKeys| {
                // Whoever may never learn that it has started is not vouched for.
                let lease = millis(start.lease).to_string();
                let call = self.create(&scripts::START, keys, start, &lease);
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
            let keys = self.keys.stream(stream);
            let keys = &keys;
            self.with_or_without_books(self.writes_books(stream, keys), |with_books| {
                let mut call = on(keys).text("");
                if with_books {
                    call = self.with_beginning(call, stream, start);
                }
                self.start_by(stream, start, call, with_books)
            })
            .await
        })
    }

    fn restore<'a>(&'a self, stream: &'a StreamId, restore: &'a Restore) -> Pending<'a, Appended> {
        Box::pin(async move {
            let keys = self.keys.stream(stream);
            self.fast.restore(restore.start.producer);
            let call = self
                .create(
                    &scripts::RESTORE,
                    &keys,
                    &restore.start,
                    &self.terms(restore.start.lease),
                )
                .show(restore.ordinal)
                .show(restore.base)
                .show(restore.seq)
                .show(restore.turn)
                .show(restore.own_after);
            let reply = self.begin(stream, &restore.start, &call, false).await;
            let generation = restore.start.generation;
            let answer = reply.and_then(|reply| reply::appended("restore", reply));
            let is_refused = |answer: &reply::AppendReply| !matches!(answer.appended, Appended::Done { .. });
            if !answer.as_ref().is_ok_and(is_refused) {
                self.begun(stream, &restore.start, answer.as_ref().map(|_| generation), true)?;
            }
            self.appended(stream, generation, answer?)
        })
    }

    fn append<'a>(&'a self, stream: &'a StreamId, append: &'a Append) -> Pending<'a, Appended> {
        Box::pin(async move {
            let fast = self
                .fast
                .append(append, self.endpoint()?, self.timeouts, &self.closed);
            if let Some(done) = fast.await? {
                return Ok(done);
            }
            // Boxed separately: most batches end above, and need no memory for it.
            Box::pin(self.append_whole(stream, append)).await
        })
    }

    fn release(&self, stream: &StreamId, producer: Ulid, has_ended: bool) {
        self.fast.end(producer);
        if !has_ended {
            self.stop_vouching(stream, producer);
        }
    }

    fn vouch(&self, lease: Duration) -> Pending<'_, ()> {
        Box::pin(self.show_life(lease))
    }

    fn vouched(&self, node: Ulid) -> Pending<'_, Duration> {
        Box::pin(self.life_of(node))
    }

    fn vouched_lease(&self, lease: Duration) -> Option<Duration> {
        self.vouches_for(lease).then(|| lease + nodes::VOUCHED)
    }

    fn changed<'a>(&'a self, streams: &'a [Known]) -> Pending<'a, Vec<usize>> {
        Box::pin(self.changed_streams(streams))
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

    fn log_all<'a>(&'a self, stream: &'a StreamId, writes: &'a [LogWrite]) -> Pending<'a, Vec<LogWritten>> {
        Box::pin(self.write_log(stream, writes))
    }

    fn stage<'a>(&'a self, stream: &'a StreamId, stage: &'a Stage) -> Pending<'a, Staged> {
        Box::pin(self.stage_fork(stream, stage))
    }

    fn forks<'a>(&'a self, stream: &'a StreamId, list: &'a ForkList) -> Pending<'a, Forks> {
        Box::pin(self.list_forks(stream, list))
    }

    fn renew<'a>(&'a self, stream: &'a StreamId, renew: &'a Renew) -> Pending<'a, Appended> {
        Box::pin(async move {
            let keys = self.keys.stream(stream);
            let call = self
                .on(&scripts::RENEW, &keys)
                .show(renew.generation)
                .show(renew.producer)
                .text(self.terms(renew.lease));
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
                .show(seq)
                .show(read.max_bytes)
                .text(check(&read.owner))
                .show(MAX_PAGE_FRAMES);
            let Some((page, index_ttl)) = reply::page(stream, self.call(call).await?)? else {
                return Ok(None);
            };
            self.extend(stream, page.page.head.generation, index_ttl, false)?;
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
            reply::cursor(servers.run("cursor", &key, &command, self.timeouts).await?)
        }))
    }

    fn inspect<'a>(&'a self, stream: &'a StreamId) -> Pending<'a, Found> {
        Box::pin(async move {
            let Names { keys, .. } = self.names(stream).await?;
            let call = &self.on(&scripts::STATUS, &keys).show(SHOWN_CONSUMERS);
            let look = || async move { reply::found(stream, self.call_again(call).await?) };
            beyond_doubt(look).await
        })
    }

    fn glances<'a>(&'a self, streams: &'a [StreamId]) -> Pending<'a, Vec<Found<Glance>>> {
        Box::pin(self.glance_at(streams))
    }

    fn listeners<'a>(&'a self, streams: &'a [StreamId]) -> Pending<'a, Option<Vec<u64>>> {
        Box::pin(self.count_listeners(streams))
    }

    fn tails<'a>(&'a self, streams: &'a [StreamId]) -> Pending<'a, Vec<Option<Tail>>> {
        Box::pin(self.look_at_tails(streams))
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

    fn remove<'a>(&'a self, stream: &'a StreamId, owner: &'a OwnerCheck) -> Pending<'a, bool> {
        Box::pin(async move {
            let keys = self.keys.stream(stream);
            let endpoint = self.endpoint()?;
            let may_forget = endpoint.health.may(optional_rights::FORGET);
            let marks = async {
                let marks = self.marks(std::slice::from_ref(stream));
                timeout(INDEX_PATIENCE, marks).await.ok()
            };
            let marks = if may_forget { marks.await } else { None };
            let mut existed = false;
            for keys in [Some(keys), self.old_keys(stream).await?].iter().flatten() {
                let call = self.deletion(keys, owner);
                existed |= reply::removed(stream, self.call(call).await?)?;
            }
            // Left in the index, it goes with its time.
            let forgotten = match marks {
                Some(Ok(marks)) => timeout(INDEX_PATIENCE, self.forget([stream], &marks)).await,
                Some(Err(error)) => Ok(Err(error)),
                None => Ok(Ok(())),
            };
            if let Ok(Err(error)) = forgotten {
                note_refusal(&endpoint, optional_rights::FORGET, &error);
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
                    .show(rule.older_than.as_millis())
                    .text(&*outcomes)
                    .text(if rule.force { "1" } else { "0" })
                    .text(if rule.dry_run { "1" } else { "0" })
            });
            let calls: Vec<_> = calls.collect();
            let marks = if rule.dry_run {
                Marks::default()
            } else {
                self.marks(streams).await?
            };
            let looks = calls
                .iter()
                .map(|call| beyond_doubt(move || async move { reply::swept(self.call_again(call).await?) }));
            let swept: Vec<_> = join_all(looks).await.into_iter().collect::<Result<_>>()?;
            if !rule.dry_run {
                let absent = streams.iter().zip(&swept);
                for (stream, swept) in absent.clone() {
                    // Otherwise the old stream behind it would become visible.
                    if let Swept::Removed = swept
                        && let Some(keys) = self.old_keys(stream).await?
                    {
                        self.call(self.deletion(&keys, &OwnerCheck::Internal)).await?;
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
            let (old, old_pattern) = left::stream_and_pattern(&id);
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
            rights::lacking(servers, &scene, self.timeouts).await.map(Some)
        }))
    }

    fn count(&self) -> Pending<'_, u64> {
        Box::pin(self.count_ids())
    }

    fn list(&self, from: ListCursor, count: usize) -> Pending<'_, (Vec<StreamId>, Option<ListCursor>)> {
        Box::pin(self.list_ids(from, count))
    }

    fn take<'a>(&'a self, work: Work<'a>, take: &'a Take) -> Pending<'a, Option<Taken>> {
        Box::pin(self.take_items(work, take))
    }

    fn repeat<'a>(&'a self, work: Work<'a>, repeat: &'a Repeat) -> Pending<'a, Repeated> {
        Box::pin(self.repeat_items(work, repeat))
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

    fn forget_open<'a>(&'a self, open: &'a OpenGeneration) -> Pending<'a, ()> {
        Box::pin(self.remove_open(open))
    }

    fn overdue(&self, count: usize, pause: Duration) -> Pending<'_, Overdue> {
        Box::pin(self.overdue_open(count, pause))
    }

    fn remind<'a>(&'a self, remind: &'a Remind) -> Pending<'a, Reminded> {
        Box::pin(self.change_reminder(remind))
    }

    fn recall<'a>(&'a self, keys: &'a [String]) -> Pending<'a, Recalled> {
        Box::pin(self.recall_reminders(keys))
    }

    fn due(&self, count: usize, pause: Duration, keep: Duration) -> Pending<'_, Due> {
        Box::pin(self.due_reminders(count, pause, keep))
    }

    fn reminders(&self) -> Pending<'_, Vec<(String, u64)>> {
        Box::pin(self.list_reminders())
    }

    fn listen_finished(&self) -> Pending<'_, ()> {
        Box::pin(self.listen_to(
            self.keys.finished_news(),
            false,
            inboxes::finished(&self.listener),
        ))
    }

    fn listen<'a>(&'a self, stream: &'a StreamId) -> Pending<'a, ()> {
        self.begin_to_hear(stream);
        let inbox = inboxes::live(stream, &self.listener);
        Box::pin(self.listen_to(self.keys.stream(stream).live, true, inbox))
    }

    fn unlisten(&self, stream: &StreamId) {
        if let EndpointState::Used(endpoint) = &*self.endpoint_state() {
            endpoint.unlisten(self.keys.stream(stream).live, self.id);
            if let Some(old) = self.end_to_hear(stream) {
                endpoint.unlisten(old, self.id);
            }
        }
    }

    fn outage(&self, need: Need) -> Option<Error> {
        let hears = match need {
            Need::Answers => false,
            Need::Start => !self.control.initialized(),
            Need::Messages => true,
        };
        match &*self.endpoint_state() {
            EndpointState::Used(endpoint) => endpoint.outage(hears),
            EndpointState::Unused | EndpointState::Closed => None,
        }
    }

    fn state(&self) -> ConnectionState {
        match &*self.endpoint_state() {
            EndpointState::Unused => ConnectionState::Idle,
            EndpointState::Used(endpoint) => endpoint.health.state(),
            EndpointState::Closed => ConnectionState::Closed,
        }
    }

    fn close(&self) -> Pending<'_, ()> {
        Box::pin(async move {
            self.follow_ups.finish().await;
            self.shut();
            Ok(())
        })
    }
}
