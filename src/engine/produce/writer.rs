//! Writes one producer's queue to the store: one batch in flight, retried until its outcome is known.

use std::{collections::VecDeque, future::Future, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    producer::{Batch, Producer, Take},
    sealing::Sealing,
};
use crate::{
    Cursor, Error, Result,
    engine::{context::Context, events::Event, groups::finished, large::Large, read::hub::Hub, stop},
    model::{
        connection::ConnectionState,
        ending::{InterruptReason, Terminal},
        frame::{EncodedFrame, Frame, MAX_CHUNK, Reference},
    },
    store::{Append, Appended, Piece, Renew, Restore, Seal, Started},
    util::{backoff::Backoff, log::dropped, sync::lock},
};

/// Accepted frames are kept this long, in case a restart or a failover of the store loses them …
const KEEP_FOR: Duration = Duration::from_secs(15);
/// … as long as they take no more than this …
const KEEP_BYTES: usize = 1 << 20;
/// … and the large chunks that they refer to no more than this.
const KEEP_LARGE_BYTES: usize = MAX_CHUNK;

/// So often in a row pieces may be missing that were written before it counts as lost: a store that evicts what is being
/// written will go on doing so.
const MOST_SETBACKS: u32 = 8;

/// Telling so many readers counts as one step of a task's turn.
const READERS_IN_A_TURN: usize = 256;

/// What is longer than this is long for one command of the store.
const LONG: usize = 64 * 1024;

/// The open part is sealed in so many parts at the end, beside the last one.
const MOST_PARTS: usize = 8;

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
        base: started.seq,
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
    stop::answered(&context, &producer, started.stop);
    while let Some(work) = writer.next_work().await {
        // A store that answers at once makes nobody wait, and nobody else get a turn.
        for _ in 0..=writer.hub.readers() / READERS_IN_A_TURN {
            tokio::task::coop::consume_budget().await;
        }
        let done = match work {
            Work::Write(batch) => writer.write(batch).await,
            Work::Tend => writer.write(Batch::default()).await,
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
}

enum Work {
    Write(Batch),
    /// A batch without chunks: upkeep that the next ones would have to wait for (ADR 20).
    Tend,
    Renew,
}

/// An accepted frame.
#[derive(Clone)]
struct Kept {
    at: Instant,
    frame: Frame,
    /// What it refers to.
    large: Option<Arc<Large>>,
}

impl Kept {
    fn large_bytes(&self) -> usize {
        self.large.as_ref().map_or(0, |large| large.data.len())
    }
}

struct Writer {
    producer: Arc<Producer>,
    hub: Arc<Hub>,
    context: Arc<Context>,
    batch: u64,
    /// The seq before the generation's first chunk, if it is this producer's alone.
    base: u64,
    /// The last seq that is in the log, as far as is known. Behind `accepted` while a hole is being filled.
    log_end: u64,
    /// The last seq that was ever accepted.
    accepted: u64,
    /// The last batch was sent more than once: the answer to it was lost at least once.
    repeated: bool,
    /// The producer was fenced and has come back, and nothing was accepted since.
    appealed: bool,
    /// What has left the queue and is not accepted yet, and the end that goes with it.
    pending: Option<EncodedFrame>,
    ending: Option<Terminal>,
    kept: VecDeque<Kept>,
    kept_bytes: usize,
    kept_large_bytes: usize,
    /// How often pieces of the same large chunk had to be written anew.
    setbacks: u32,
    sealing: Sealing,
    /// The store has asked for upkeep.
    due: bool,
}

impl Writer {
    /// Waits for something to do; `None` when the producer has ended.
    async fn next_work(&self) -> Option<Work> {
        loop {
            let until = {
                let mut state = lock(&self.producer.state);
                if state.has_ended() {
                    return None;
                }
                match state.take(self.producer.flush_interval) {
                    Take::Batch(batch) => return Some(Work::Write(batch)),
                    Take::At(at) => Some(at),
                    Take::Nothing if self.due || self.sealing.is_ready() => return Some(Work::Tend),
                    Take::Nothing if std::mem::take(&mut state.renew) => return Some(Work::Renew),
                    Take::Nothing => state.stop_deadline,
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

    /// Writes a batch, and before it whatever the store has lost. Returns the terminal entry if there is one now.
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
                let reply = self.send(None, None, None, Some(part.clone())).await?;
                if let Appended::Done { stop, .. } = reply {
                    self.context.metrics().sealed(part);
                    self.sealing.sealed(part);
                    self.on_stop(stop);
                } else {
                    may_seal = reply != Appended::Unsealed;
                    is_complete = batch.large.is_none() || reply == Appended::Unsealed;
                    self.recover(reply).await?;
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
            } = reply
            else {
                // Others may be sealing too; what they leave is little.
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
            if let Some(frame) = self.pending.take() {
                let latency = batch.since.map(|since| since.elapsed());
                let length = batch.large.as_ref().map(|large| large.data.len());
                self.context.metrics().accepted(&frame, length, latency);
                let frame = frame.at(last - count + 1);
                self.keep(frame.clone(), batch.large.clone());
                self.sealing.add(frame);
            }
            self.log_end = last;
            self.accepted = last;
            self.setbacks = 0;
            self.due = due;
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

    /// Whether a seal does not go with its batch: it would make a long one longer, or there is more to be sealed at the end.
    fn goes_first(&self, batch: &Batch, seal: &Seal) -> bool {
        let is_long_batch = batch.frame.as_ref().is_some_and(|frame| is_long(&frame.bytes));
        let is_part = batch.terminal.is_some() && seal.last() < self.log_end;
        seal.last() <= self.log_end && (is_part || is_long_batch && is_long(&seal.frame.bytes))
    }

    /// What the store can seal with this batch: all of it at the end.
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
            lock(&self.producer.state).last_sign = Some(Instant::now());
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

    async fn refill(&mut self) -> Result<()> {
        while let Some(Kept { frame, large, .. }) = self.lost_frame()? {
            if let Some(large) = &large
                && !self.upload(large).await?
            {
                continue;
            }
            let large = large.map(|large| large.reference);
            let reply = self.send(Some(frame.encoded()), large, None, None).await?;
            self.rewritten(reply, frame.last()).await?;
        }
        Ok(())
    }

    async fn rewritten(&mut self, reply: Appended, last: u64) -> Result<()> {
        match reply {
            Appended::Done { stop, .. } => {
                self.log_end = last;
                self.on_stop(stop);
                Ok(())
            }
            other => self.recover(other).await,
        }
    }

    /// The first accepted frame that the log no longer has.
    fn lost_frame(&self) -> Result<Option<Kept>> {
        if self.log_end >= self.accepted {
            return Ok(None);
        }
        let at = self
            .kept
            .partition_point(|kept| kept.frame.first() <= self.log_end);
        let found = self
            .kept
            .get(at)
            .filter(|kept| kept.frame.first() == self.log_end + 1);
        found.map(|kept| Some(kept.clone())).ok_or_else(|| self.lost())
    }

    /// Deals with every answer but `Done`.
    async fn recover(&mut self, reply: Appended) -> Result<()> {
        match reply {
            Appended::Unsealed => {
                tracing::debug!(stream = %self.producer.stream, "a seal was refused: the log is not as it was");
                self.sealing.lose_track();
                Ok(())
            }
            // Others may have written what is lost, so nobody can write all of it again.
            Appended::Hole { .. } if !self.producer.exclusive => {
                self.give_up().await;
                Err(self.lost())
            }
            Appended::Incomplete => {
                self.setbacks += 1;
                if self.setbacks > MOST_SETBACKS {
                    self.give_up().await;
                    return Err(self.lost());
                }
                Ok(())
            }
            Appended::Hole { seq } if seq < self.log_end => {
                let (stream, generation) = (&self.producer.stream, self.producer.start.generation);
                tracing::warn!(%stream, %generation, seq, known = self.log_end, "the store has lost the end of the log");
                self.log_end = seq;
                self.sealing.lose_track();
                if self.lost_frame().is_err() {
                    self.give_up().await;
                    return Err(self.lost());
                }
                Ok(())
            }
            Appended::Missing if self.producer.exclusive => self.restore().await,
            Appended::Missing => Err(self.lost()),
            Appended::Ended(terminal) => Err(self.producer.cut_off_error(&terminal)),
            Appended::Fenced => self.appeal().await,
            Appended::Hole { .. } | Appended::Done { .. } => Err(self.disagreement()),
        }
    }

    fn disagreement(&self) -> Error {
        Error::Internal {
            reason: format!(
                "stream {:?}: the log and its producer disagree",
                self.producer.stream.as_str()
            ),
        }
    }

    /// What the log must not end before. Of a shared generation that is all that local readers have been given, too: the
    /// same number must not be given again.
    fn known_end(&self) -> u64 {
        if self.producer.exclusive {
            return self.log_end;
        }
        let heard = self.hub.tail_of(self.producer.start.generation);
        self.log_end.max(heard.unwrap_or_default())
    }

    fn fenced(&self) -> Error {
        Error::Fenced {
            stream: self.producer.stream.to_string(),
            in_doubt: self.repeated,
        }
    }

    /// Another generation stands where this producer's should. If that is an older one, which came back after the store
    /// had lost the takeover, this one is put in its place.
    async fn appeal(&mut self) -> Result<()> {
        let is_told = lock(&self.producer.state).cut_off.is_some();
        if is_told || self.appealed || !self.producer.exclusive {
            return Err(self.fenced());
        }
        self.appealed = true;
        self.restore().await
    }

    /// The store has lost the whole stream: puts it back as far as it is still kept here.
    async fn restore(&mut self) -> Result<()> {
        let restore = Restore {
            start: self.producer.start.clone(),
            ordinal: self.producer.ordinal,
            base: self.base,
            seq: self
                .kept
                .front()
                .map_or(self.accepted, |kept| kept.frame.first() - 1),
        };
        let context = Arc::clone(&self.context);
        let mut backoff = Backoff::default();
        loop {
            match self
                .while_offering(context.store().restore(&self.producer.stream, &restore))
                .await
            {
                Ok(Appended::Done { last, stop, .. }) if last <= self.accepted => {
                    let (stream, generation) = (&self.producer.stream, self.producer.start.generation);
                    tracing::warn!(%stream, %generation, seq = last, "the store had lost the stream; it was put back");
                    self.log_end = last;
                    self.sealing.lose_track();
                    self.on_stop(stop);
                    return Ok(());
                }
                Ok(Appended::Ended(terminal)) => return Err(self.producer.cut_off_error(&terminal)),
                Ok(_) => return Err(self.fenced()),
                Err(error) => self.pause(error, &mut backoff).await?,
            }
        }
    }

    /// Ends a generation that has a hole nobody can fill. Readers learn of it from the lease if this fails too.
    async fn give_up(&mut self) {
        self.batch += 1;
        let append = Append {
            generation: self.producer.start.generation,
            producer: self.producer.start.producer,
            batch: self.batch,
            expected: None,
            frame: None,
            large: None,
            terminal: Some(Terminal::interrupted(InterruptReason::Lost)),
            seal: None,
            lease: self.context.config().lease(),
        };
        let outcome = self.context.store().append(&self.producer.stream, &append).await;
        dropped(
            outcome,
            "the end of a generation that has a hole was not written; its lease will end it",
        );
    }

    fn lost(&self) -> Error {
        Error::Interrupted {
            stream: self.producer.stream.to_string(),
            reason: InterruptReason::Lost.as_str().into(),
        }
    }

    /// Sends one batch until its outcome is known: the store recognises the number of a batch that it has.
    async fn send(
        &mut self,
        frame: Option<EncodedFrame>,
        large: Option<Reference>,
        terminal: Option<Terminal>,
        seal: Option<Seal>,
    ) -> Result<Appended> {
        // As many as it has chunks: what is counted together can be derived from each other.
        self.batch += frame.as_ref().map_or(1, |frame| frame.count);
        let append = Append {
            generation: self.producer.start.generation,
            producer: self.producer.start.producer,
            batch: self.batch,
            expected: Some(self.known_end()),
            frame,
            large,
            terminal,
            seal,
            lease: self.context.config().lease(),
        };
        let context = Arc::clone(&self.context);
        let mut backoff = Backoff::default();
        self.repeated = false;
        loop {
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
    async fn pause(&self, error: Error, backoff: &mut Backoff) -> Result<()> {
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

    /// Waits for `call`; meanwhile, if the store is away, local readers get what is written.
    async fn while_offering<T>(&self, call: impl Future<Output = T>) -> T {
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

    fn offer(&self) {
        if !self.is_away() || !self.producer.exclusive || !self.hub.has_members() {
            return;
        }
        let mut next = self.accepted + 1;
        if let Some(frame) = &self.pending {
            self.publish(frame.at(next));
            next += frame.count;
        }
        let (queued, waiting, ending) = {
            let mut state = lock(&self.producer.state);
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

    fn publish(&self, frame: Frame) {
        let lease = self.context.config().lease();
        self.hub
            .offer(self.producer.start.generation, frame.last(), Some(frame), lease);
    }

    fn keep(&mut self, frame: Frame, large: Option<Arc<Large>>) {
        self.publish(frame.clone());
        let at = Instant::now();
        let kept = Kept { at, frame, large };
        self.kept_bytes += kept.frame.size();
        self.kept_large_bytes += kept.large_bytes();
        self.kept.push_back(kept);
        while self.kept_bytes > KEEP_BYTES || self.kept_large_bytes > KEEP_LARGE_BYTES || self.is_oldest_old()
        {
            self.drop_oldest();
        }
    }

    /// Drops large chunks that were kept for long enough, although nothing has followed them.
    fn let_go(&mut self) {
        while self.kept_large_bytes > 0 && self.is_oldest_old() {
            self.drop_oldest();
        }
    }

    fn is_oldest_old(&self) -> bool {
        self.kept.front().is_some_and(|kept| kept.at.elapsed() > KEEP_FOR)
    }

    fn drop_oldest(&mut self) {
        if let Some(kept) = self.kept.pop_front() {
            self.kept_bytes -= kept.frame.size();
            self.kept_large_bytes -= kept.large_bytes();
        }
    }

    /// Writes all pieces of a large chunk. False when the store has lost something meanwhile: then what comes before the
    /// chunk has to be looked after first.
    async fn upload(&mut self, large: &Large) -> Result<bool> {
        self.repeated = false;
        for index in 0..large.reference.pieces() {
            let piece = Piece {
                generation: self.producer.start.generation,
                producer: self.producer.start.producer,
                lease: self.context.config().lease(),
                large: large.reference,
                index,
                data: large.piece(index),
            };
            match self.put(&piece).await? {
                Appended::Done { stop, .. } => {
                    lock(&self.producer.state).last_sign = Some(Instant::now());
                    self.on_stop(stop);
                }
                other => {
                    self.recover(other).await?;
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Writes one piece until its outcome is known: the store recognises what it has.
    async fn put(&self, piece: &Piece) -> Result<Appended> {
        let mut backoff = Backoff::default();
        loop {
            let call = self.context.store().put(&self.producer.stream, piece);
            match self.while_offering(call).await {
                Ok(reply) => return Ok(reply),
                Err(error) => self.pause(error, &mut backoff).await?,
            }
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

    fn on_stop(&self, stop: Option<String>) {
        stop::answered(&self.context, &self.producer, stop);
    }
}
