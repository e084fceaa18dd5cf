//! Writes one producer's queue to the store: one batch in flight, retried until its outcome is known.

use std::{collections::VecDeque, future::Future, sync::Arc};

use tokio::time::Instant;

use super::{
    kept::Kept,
    producer::Producer,
    queue::{Batch, NextBatch},
    sealing::Sealing,
};
use crate::{
    Cursor, Error, Result,
    engine::{context::Context, events::Event, groups::finished, read::hub::Hub, stop},
    model::{
        connection::ConnectionState,
        ending::Terminal,
        frame::{EncodedFrame, Frame, Reference},
    },
    store::{Append, Appended, OwnerCheck, Page, Position, Read, Renew, Seal, Started},
    util::{backoff::Backoff, sync::lock},
};

/// Notifying this many readers counts as one step of a task's turn.
const FOLLOWERS_IN_A_TURN: usize = 256;

/// A batch or seal above this length is long for one command of the store.
const LONG: usize = 64 * 1024;

/// The most parts in which the open part is sealed at the end, beside the last one: 32,768 frames at 512 a seal, which may be open
/// when the store was set back behind many seals. Each is a page and an append, a millisecond or two.
const MOST_PARTS: usize = 64;

fn is_long(bytes: &[u8]) -> bool {
    bytes.len() > LONG
}

/// Runs until the producer has ended.
pub async fn run(producer: Arc<Producer>, hub: Arc<Hub>, context: Arc<Context>, started: Started) {
    let mut writer = Writer {
        producer: Arc::clone(&producer),
        hub: Arc::clone(&hub),
        context: Arc::clone(&context),
        batch: 0,
        base: started.base,
        turn: started.turn,
        own_after: started.seq,
        log_end: started.seq,
        accepted: started.seq,
        repeated: false,
        appealed: false,
        pending: None,
        ending: None,
        kept: VecDeque::new(),
        kept_bytes: 0,
        kept_large_bytes: 0,
        setbacks: 0,
        sealing: Sealing::new(Arc::clone(&context), Arc::clone(&producer), started.seq),
        due: false,
    };
    if started.seq > started.base {
        // Others have written what is open.
        writer.sealing.lose_track();
    }
    stop::answered(&context, &producer, started.stop);
    while let Some(work) = writer.next_work().await {
        // With a store that answers at once, this task never waits, so others would get no turn.
        for _ in 0..=writer.hub.count_followers() / FOLLOWERS_IN_A_TURN {
            tokio::task::coop::consume_budget().await;
        }
        let done = match work {
            Work::Write(batch) => writer.write(batch).await,
            Work::Upkeep => writer.write(Batch::default()).await,
            Work::Renew => writer.renew().await,
        };
        match done {
            Ok(None) => {
                let cut_off = lock(&producer.state).cut_off.take();
                if let Some(error) = cut_off {
                    producer.close(&context, Err(error));
                }
            }
            Ok(Some(terminal)) => producer.close(&context, Ok(terminal)),
            Err(error) => producer.close(&context, Err(error)),
        }
    }
    writer.retract().await;
}

enum Work {
    Write(Batch),
    /// A batch without chunks: upkeep that the next ones would have to wait for (ADR 20).
    Upkeep,
    Renew,
}

pub(super) struct Writer {
    pub(super) producer: Arc<Producer>,
    pub(super) hub: Arc<Hub>,
    pub(super) context: Arc<Context>,
    pub(super) batch: u64,
    /// The seq before the generation's first chunk, if it is this producer's alone.
    pub(super) base: u64,
    /// How often the generation's only producer has been replaced, by this one at last.
    pub(super) turn: u64,
    /// What follows this seq in the generation is this producer's own, if it is the only one.
    pub(super) own_after: u64,
    /// The last seq that is in the log, as far as is known. Behind `accepted` while a hole is being filled.
    pub(super) log_end: u64,
    /// The last seq that was ever accepted.
    pub(super) accepted: u64,
    /// The last batch was sent more than once: the answer to it was lost at least once.
    pub(super) repeated: bool,
    /// The producer was fenced and has been restored, and nothing was accepted since.
    pub(super) appealed: bool,
    /// The frame that has left the queue and is not accepted yet, and the end that goes with it.
    pub(super) pending: Option<EncodedFrame>,
    pub(super) ending: Option<Terminal>,
    pub(super) kept: VecDeque<Kept>,
    pub(super) kept_bytes: usize,
    pub(super) kept_large_bytes: usize,
    /// How often pieces of the same large chunk had to be written again.
    pub(super) setbacks: u32,
    pub(super) sealing: Sealing,
    /// The store has asked for upkeep.
    pub(super) due: bool,
}

impl Writer {
    /// Waits for something to do; `None` when the producer has ended.
    async fn next_work(&self) -> Option<Work> {
        let mut has_waited = false;
        loop {
            if !has_waited
                && let Some(at) = self.context.rate().too_early()
                && lock(&self.producer.state).has_batch()
            {
                tokio::time::sleep_until(at).await;
                has_waited = true;
            }
            let until = {
                let mut state = lock(&self.producer.state);
                if state.has_ended() {
                    return None;
                }
                match state.next_batch(self.producer.flush_interval) {
                    NextBatch::Ready(batch) => return Some(Work::Write(batch)),
                    NextBatch::At(at) => Some(at),
                    NextBatch::Nothing if self.due || self.sealing.is_ready() => return Some(Work::Upkeep),
                    NextBatch::Nothing if std::mem::take(&mut state.renew) => return Some(Work::Renew),
                    NextBatch::Nothing => state.stop_deadline,
                }
            };
            let due = async {
                match until {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.producer.notify.notified() => {}
                () = due => {}
            }
        }
    }

    /// Writes frames that the store has lost, then the batch. Returns the terminal entry if there is one now.
    async fn write(&mut self, batch: Batch) -> Result<Option<Terminal>> {
        self.pending.clone_from(&batch.frame);
        self.ending.clone_from(&batch.terminal);
        let (mut may_seal, mut parts) = (true, 0);
        let mut is_complete = batch.large.is_none();
        loop {
            self.refill().await?;
            if let Some(large) = batch.large.as_ref().filter(|_| !is_complete) {
                is_complete = self.upload(large).await?;
                if !is_complete {
                    continue;
                }
            }
            let count = batch.frame.as_ref().map_or(0, |frame| frame.count);
            let seal = if may_seal { self.seal(&batch).await } else { None };
            if let Some(part) = seal
                .as_ref()
                .filter(|seal| parts < MOST_PARTS && self.goes_first(&batch, seal))
            {
                parts += 1;
                if let Some(refusal) = self.seal_first(part).await? {
                    may_seal = refusal != Appended::Unsealed;
                    is_complete = batch.large.is_none() || refusal == Appended::Unsealed;
                    self.recover(refusal).await?;
                }
                continue;
            }
            let large = batch.large.as_ref().map(|large| large.reference);
            let reply = self
                .send(batch.frame.clone(), large, batch.terminal.clone(), seal.clone())
                .await?;
            let Appended::Done {
                last,
                stop,
                terminal,
                due,
                is_heard,
            } = reply
            else {
                // Others may be sealing too, and leave only little.
                may_seal = reply != Appended::Unsealed;
                is_complete = batch.large.is_none() || reply == Appended::Unsealed;
                self.recover(reply).await?;
                continue;
            };
            if let Some(seal) = seal {
                self.context.metrics().sealed(&seal);
                self.sealing.sealed(&seal);
            }
            if last < self.accepted + count {
                return Err(self.disagreement());
            }
            self.note_accepted(&batch, count, last);
            self.due = due;
            if count > 0 {
                self.producer.heard(is_heard || self.hub.has_followers());
            }
            self.settle(count, last);
            self.on_stop(stop);
            if let Some(terminal) = &terminal {
                let generation = self.producer.start.generation;
                self.hub.end(generation, last, terminal.clone());
                let end = Cursor {
                    generation,
                    seq: last,
                };
                finished::announce(&self.context, &self.producer.stream, end, terminal.clone());
            }
            // In shared mode the last producer ends the generation; the others are done when they say so.
            return Ok(terminal.or(batch.terminal));
        }
    }

    /// Seals a part separately; returns the store's answer if the seal was not accepted.
    async fn seal_first(&mut self, part: &Seal) -> Result<Option<Appended>> {
        let reply = self.send(None, None, None, Some(part.clone())).await?;
        let Appended::Done { stop, .. } = reply else {
            return Ok(Some(reply));
        };
        self.context.metrics().sealed(part);
        self.sealing.sealed(part);
        self.on_stop(stop);
        Ok(None)
    }

    /// The log ends with this batch now.
    fn note_accepted(&mut self, batch: &Batch, count: u64, last: u64) {
        if let Some(frame) = self.pending.take() {
            let latency = batch.since.map(|since| since.elapsed());
            let length = batch.large.as_ref().map(|large| large.data.len());
            self.context.metrics().accepted(&frame, length, latency);
            self.context.metrics().batch();
            let frame = frame.at(last - count + 1);
            self.keep(frame.clone(), batch.large.clone());
            self.sealing.add(frame);
        }
        self.log_end = last;
        self.accepted = last;
        self.setbacks = 0;
    }

    /// Whether a seal does not go with its batch: it would make a long one longer, or there is more to be sealed at the end.
    fn goes_first(&self, batch: &Batch, seal: &Seal) -> bool {
        let is_long_batch = batch.frame.as_ref().is_some_and(|frame| is_long(&frame.bytes));
        let is_part = batch.terminal.is_some() && seal.last() < self.log_end;
        seal.last() <= self.log_end && (is_part || is_long_batch && is_long(&seal.frame.bytes))
    }

    /// The seal to send with this batch; at the end it has everything that is left.
    async fn seal(&mut self, batch: &Batch) -> Option<Seal> {
        if batch.terminal.is_some() {
            let is_known = |frame: &&EncodedFrame| self.producer.exclusive && !is_long(&frame.bytes);
            let frame = batch.frame.as_ref().filter(is_known);
            let rest = self.sealing.rest(frame.map(|frame| frame.at(self.log_end + 1)));
            return self.while_offering(rest).await;
        }
        match self.sealing.overdue() {
            Some(job) => self.while_offering(job).await.ok()?,
            None => self.sealing.ready(),
        }
    }

    async fn renew(&mut self) -> Result<Option<Terminal>> {
        self.let_go();
        let renew = Renew {
            generation: self.producer.start.generation,
            producer: self.producer.start.producer,
            lease: self.context.config().lease(),
        };
        let context = Arc::clone(&self.context);
        let known_end = self.known_end();
        let mut backoff = Backoff::default();
        let reply = loop {
            let call = context.store().renew(&self.producer.stream, &renew);
            match self.while_offering(call).await {
                Ok(reply) => break reply,
                Err(error) => self.pause(error, &mut backoff).await?,
            }
        };
        if let Appended::Done { last, stop, .. } = reply {
            {
                let mut state = lock(&self.producer.state);
                state.last_sign = Some(Instant::now());
                state.is_vouched = true;
            }
            self.on_stop(stop);
            if last < known_end {
                self.recover(Appended::Hole { seq: last }).await?;
            } else if !self.producer.exclusive {
                self.log_end = last;
            }
        } else {
            self.recover(reply).await?;
        }
        self.refill().await?;
        Ok(None)
    }

    /// Sends one batch until its outcome is known: the store recognises the number of a batch that it has.
    pub(super) async fn send(
        &mut self,
        frame: Option<EncodedFrame>,
        large: Option<Reference>,
        terminal: Option<Terminal>,
        seal: Option<Seal>,
    ) -> Result<Appended> {
        // The batch's number grows by its count of chunks, so that each can be derived from the other.
        self.batch += frame.as_ref().map_or(1, |frame| frame.count);
        let append = Append {
            expected: Some(self.known_end()),
            frame,
            large,
            terminal,
            seal,
            ..self.producer.batch(self.batch)
        };
        let context = Arc::clone(&self.context);
        let mut backoff = Backoff::default();
        self.repeated = false;
        loop {
            context.rate().begin();
            let call = context.store().append(&self.producer.stream, &append);
            match self.while_offering(call).await {
                Ok(reply) => {
                    self.appealed &= !matches!(reply, Appended::Done { .. });
                    return Ok(reply);
                }
                Err(error) => {
                    self.repeated |= !error.has_no_side_effects();
                    self.pause(error, &mut backoff).await?;
                }
            }
        }
    }

    /// Waits before the next try, unless trying is useless; no longer than the store is away.
    pub(super) async fn pause(&self, error: Error, backoff: &mut Backoff) -> Result<()> {
        if !error.is_retryable() || self.producer.has_ended() {
            return Err(error);
        }
        self.context.metrics().retries.one();
        let was_away = self.is_away();
        let pause = tokio::time::sleep(backoff.next_delay());
        tokio::pin!(pause);
        loop {
            self.offer();
            tokio::select! {
                () = &mut pause => return Ok(()),
                () = self.producer.notify.notified() => {}
            }
            if was_away && !self.is_away() || self.producer.has_ended() {
                return Ok(());
            }
        }
    }

    fn is_away(&self) -> bool {
        self.context.store().state() != ConnectionState::Ready
    }

    /// Waits for `call`; meanwhile, if the store is away, local readers get the written chunks.
    pub(super) async fn while_offering<T>(&self, call: impl Future<Output = T>) -> T {
        tokio::pin!(call);
        loop {
            self.offer();
            tokio::select! {
                biased;
                done = &mut call => return done,
                () = self.producer.notify.notified() => {}
            }
        }
    }

    /// Readers of this process may have been shown what another producer, who continues the generation, knows nothing of.
    async fn retract(&self) {
        let (shown, is_fenced) = {
            let state = lock(&self.producer.state);
            (state.shown, state.is_fenced())
        };
        if !is_fenced || shown <= self.accepted {
            return;
        }
        let read = Read {
            position: Position::Now,
            max_bytes: 0,
            owner: OwnerCheck::Internal,
        };
        let generation = self.producer.start.generation;
        let page = self.context.store().read(&self.producer.stream, &read).await;
        // A generation that has been taken over has ended, and its readers are told that.
        let is_over = |page: &Page| page.head.generation != generation;
        if matches!(&page, Ok(Some(page)) if is_over(page)) {
            return;
        }
        self.hub.retract(Cursor {
            generation,
            seq: self.accepted,
        });
    }

    fn offer(&self) {
        if !self.is_away() || !self.producer.exclusive || !self.hub.has_followers() {
            return;
        }
        let mut next = self.accepted + 1;
        if let Some(frame) = &self.pending {
            self.publish(frame.at(next));
            next += frame.count;
        }
        let (queued, waiting, ending) = {
            let mut state = lock(&self.producer.state);
            state.shown = next - 1 + state.waiting();
            let queued: Vec<_> = std::iter::from_fn(|| state.offer()).collect();
            let ending = self.ending.clone().or_else(|| state.ending());
            (queued, state.waiting(), ending)
        };
        for (skipped, frame) in queued {
            self.publish(frame.at(next + skipped as u64));
        }
        if let Some(terminal) = ending {
            let last = next + waiting - 1;
            self.hub.end(self.producer.start.generation, last, terminal);
        }
    }

    pub(super) fn publish(&self, frame: Frame) {
        let config = self.context.config();
        let (generation, lease) = (self.producer.start.generation, config.lease());
        if config.write_interval() >= config.delivery_interval() {
            self.hub.feed(generation, frame, lease);
        } else {
            self.hub.offer(generation, frame.last(), Some(frame), lease);
        }
    }

    fn settle(&self, count: u64, last: u64) {
        let mark = self.context.config().high_water_mark();
        let acks = lock(&self.producer.state).accept(count, last, mark);
        if !acks.is_empty() {
            self.context
                .outbox()
                .push(Event::Settled(self.producer.handle, acks));
        }
        self.context
            .outbox()
            .settle(usize::try_from(count).unwrap_or(usize::MAX));
    }

    pub(super) fn on_stop(&self, stop: Option<String>) {
        stop::answered(&self.context, &self.producer, stop);
    }
}
