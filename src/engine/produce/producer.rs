//! The side of a producer that the host uses: a queue that takes chunks at once, and the calls that wait for it to empty.
//!
//! The other side, which writes the queue to the store, is [`writer`](super::writer).

use std::{
    collections::VecDeque,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, oneshot},
    time::Instant,
};

use super::queue::{Batch, ChunkQueue, MAX_FRAME_BYTES, MAX_FRAME_CHUNKS, NextBatch, QueuedFrame};
use crate::{
    Error, Result, StreamId,
    engine::{
        context::Context,
        events::{Event, Handle},
        large::Large,
    },
    model::{
        ending::{InterruptReason, Outcome, Terminal},
        frame::{EncodedFrame, Kind, MAX_INLINE},
    },
    store::{Append, Start},
    util::sync::lock,
};

/// A producer as its host has it: a queue, and what becomes of it.
pub struct Producer {
    /// The host's name for it.
    pub handle: Handle,
    /// The stream that it writes to.
    pub stream: StreamId,
    /// The options of its start; the generation is the one that was started or joined.
    pub start: Start,
    /// The generation's ordinal.
    pub ordinal: u64,
    /// Whether no other producer writes to the generation, so that its seqs are known in advance.
    pub exclusive: bool,
    /// How long its chunks may gather before a batch leaves.
    pub flush_interval: Duration,
    /// Nobody was sent what was written last, in this process or elsewhere.
    pub(crate) is_unheard: AtomicBool,
    pub(crate) notify: Notify,
    pub(crate) state: Mutex<State>,
}

/// The overhead of a waiting chunk beside its payload, so that empty chunks are bounded too: its tag, as often as that is
/// kept or copied, and a vector's room to grow. The host counts the same, and so does a reader's credit.
pub const CHUNK_COST: u32 = 32;
/// The cost of an awaited acknowledgement, most of it on the host's side, which counts the same.
pub const ACK_COST: u32 = 256;

/// The state that host and writer share.
#[derive(Default)]
pub(crate) struct State {
    queue: ChunkQueue,
    /// Since when the oldest chunk of the queue waits.
    queued_since: Option<Instant>,
    /// How many chunks and bytes of the queue local readers have got already (while the store is away).
    offered: (usize, usize),
    /// The last seq that local readers were given while the store was away.
    pub(crate) shown: u64,
    /// Chunks that crossed, ever; and those of them that were accepted.
    crossed: u64,
    settled: u64,
    /// A batch is under way.
    sending: bool,
    /// Payload bytes of it.
    in_flight: usize,
    /// The error to report once the batch in flight has its answer.
    pub(crate) cut_off: Option<Error>,
    /// The chunks that crossed and whose acknowledgement is awaited, ascending.
    acks: VecDeque<u64>,
    flushes: VecDeque<(u64, oneshot::Sender<Result<()>>)>,
    room: Vec<oneshot::Sender<Result<()>>>,
    finish: Option<Terminal>,
    finished: Vec<oneshot::Sender<Result<Terminal>>>,
    outcome: Option<Result<Terminal>>,
    pub(crate) stop: Option<String>,
    /// When the writer ends the generation after a stop.
    pub(crate) stop_deadline: Option<Instant>,
    /// Whether the lease has to be renewed.
    pub(crate) renew: bool,
    pub(crate) last_sign: Option<Instant>,
    /// Whether its engine can vouch for it: the store has taken something from it.
    pub(crate) is_vouched: bool,
}

impl Producer {
    /// Takes a chunk; returns the [depth](Self::depth) now, and whether the writer has to be woken for it. A chunk that comes after the
    /// end is dropped: the host has got, or is about to get, the end.
    pub fn write(&self, context: &Context, kind: Kind, data: &[u8], wants_ack: bool) -> (usize, bool) {
        let large = (data.len() > MAX_INLINE).then(|| Large::new(kind, data, self.ordinal));
        let mut state = lock(&self.state);
        if state.outcome.is_some() {
            // The host may have kept its process alive for this chunk.
            context.outbox().signal();
            return (0, false);
        }
        let is_first = state.queue.is_empty();
        if is_first {
            state.queued_since = Some(Instant::now());
        }
        if let Some(large) = large {
            context.larges.know(&large);
            state.queue.push_large(large);
        } else {
            state.queue.push(kind, data);
        }
        state.crossed += 1;
        if wants_ack {
            let number = state.crossed;
            state.acks.push_back(number);
        }
        context.outbox().add_unsettled(1);
        (state.depth(), is_first || !self.flush_interval.is_zero())
    }

    /// Whether it writes to this stream and was started with this owner, or with none.
    pub(crate) fn is_open_to(&self, stream: &StreamId, owner: Option<&String>) -> bool {
        self.stream == *stream && (self.start.owner.is_none() || self.start.owner.as_ref() == owner)
    }

    /// Bytes that wait to be accepted.
    pub fn queued(&self) -> usize {
        lock(&self.state).queued()
    }

    /// The same including the overhead of its chunks, for comparison with the queue's bound.
    pub fn depth(&self) -> usize {
        lock(&self.state).depth()
    }

    /// A batch without content.
    pub fn batch(&self, number: u64) -> Append {
        Append {
            generation: self.start.generation,
            producer: self.start.producer,
            batch: number,
            expected: None,
            frame: None,
            large: None,
            terminal: None,
            seal: None,
            lease: self.start.lease,
        }
    }

    /// Resolves when the [depth](Self::depth) is below `mark`.
    pub async fn ready(&self, mark: usize) -> Result<()> {
        let receiver = {
            let mut state = lock(&self.state);
            match &state.outcome {
                Some(Err(error)) => return Err(error.clone()),
                None if state.depth() >= mark => {}
                _ => return Ok(()),
            }
            let (sender, receiver) = oneshot::channel();
            state.room.push(sender);
            receiver
        };
        receiver.await.unwrap_or(Err(Error::Closed))
    }

    /// Resolves when everything written so far has been accepted.
    pub async fn flush(&self) -> Result<()> {
        let receiver = {
            let mut state = lock(&self.state);
            match &state.outcome {
                Some(Err(error)) => return Err(error.clone()),
                Some(Ok(_)) => return Ok(()),
                None if state.crossed == state.settled => return Ok(()),
                None => {}
            }
            let (sender, receiver) = oneshot::channel();
            let crossed = state.crossed;
            state.flushes.push_back((crossed, sender));
            receiver
        };
        self.notify.notify_one();
        receiver.await.unwrap_or(Err(Error::Closed))
    }

    /// Ends the generation after everything written; resolves with how it ended.
    pub async fn finish(&self, terminal: Terminal) -> Result<Terminal> {
        let receiver = {
            let mut state = lock(&self.state);
            if let Some(outcome) = &state.outcome {
                return outcome.clone();
            }
            state.finish.get_or_insert(terminal);
            let (sender, receiver) = oneshot::channel();
            state.finished.push(sender);
            receiver
        };
        self.notify.notify_one();
        receiver.await.unwrap_or(Err(Error::Closed))
    }

    /// A stop was requested; the first one counts.
    pub fn stop(&self, context: &Context, reason: &str, grace: Duration) {
        let mut state = lock(&self.state);
        if state.stop.is_some() || state.outcome.is_some() {
            return;
        }
        state.stop = Some(reason.into());
        state.stop_deadline = Some(Instant::now() + grace);
        drop(state);
        tracing::info!(stream = %self.stream, generation = %self.start.generation, "told to stop");
        context.outbox().push(Event::Stopped(self.handle, reason.into()));
        self.notify.notify_one();
    }

    /// The generation has ended without this producer's doing. A batch under way may have been accepted before: its own
    /// answer decides, and the writer closes then.
    pub fn cut_off(&self, context: &Context, terminal: &Terminal) {
        let error = self.cut_off_error(terminal);
        {
            let mut state = lock(&self.state);
            if state.sending {
                state.cut_off.get_or_insert(error);
                return;
            }
        }
        self.close(context, Err(error));
    }

    /// Why nothing can be written after this terminal entry.
    pub(crate) fn cut_off_error(&self, terminal: &Terminal) -> Error {
        let stream = self.stream.to_string();
        match (terminal.outcome, terminal.reason.as_str()) {
            _ if terminal.is_interrupted(InterruptReason::Superseded) => Error::Fenced {
                stream,
                in_doubt: false,
            },
            (Outcome::Interrupted, reason) => Error::Interrupted {
                stream,
                reason: reason.into(),
            },
            (outcome, _) => Error::Ended {
                stream,
                outcome: outcome.as_str(),
            },
        }
    }

    /// Nothing more will be written: answers all waiting calls, and notifies the host if it did not ask for the end itself.
    pub(crate) fn close(&self, context: &Context, outcome: Result<Terminal>) {
        let mut state = lock(&self.state);
        if state.outcome.is_some() {
            return;
        }
        let asked = state.finish.is_some() && !state.finished.is_empty();
        let waiting = State {
            outcome: Some(outcome.clone()),
            stop: state.stop.clone(),
            shown: state.shown,
            ..State::default()
        };
        let waiting = std::mem::replace(&mut *state, waiting);
        drop(state);
        context.metrics().ended(&outcome);
        if let Some(deadline) = waiting.stop_deadline {
            let stopped = deadline - context.config().stop_grace();
            context.metrics().stop.observe(stopped.elapsed());
        }
        context.outbox().settle(count(waiting.crossed - waiting.settled));
        let told = outcome.clone().map(|_| ());
        for (_, flush) in waiting.flushes {
            // The caller may be gone.
            let _ = flush.send(told.clone());
        }
        for room in waiting.room {
            let _ = room.send(told.clone());
        }
        for finished in waiting.finished {
            let _ = finished.send(outcome.clone());
        }
        let generation = self.start.generation;
        match &outcome {
            Ok(terminal) => {
                tracing::debug!(stream = %self.stream, %generation, outcome = terminal.outcome.as_str(), "ended");
            }
            Err(error) => {
                tracing::warn!(stream = %self.stream, %generation, cause = %error, code = error.code(), "cut off");
            }
        }
        match outcome {
            Ok(_) if asked => {}
            Ok(terminal) => {
                let error = Error::Ended {
                    stream: self.stream.to_string(),
                    outcome: terminal.outcome.as_str(),
                };
                context.outbox().push(Event::Broken(self.handle, error));
            }
            Err(error) => context.outbox().push(Event::Broken(self.handle, error)),
        }
        self.notify.notify_one();
    }

    /// Whether somebody may have been sent what was written last.
    pub(crate) fn heard(&self, is_heard: bool) {
        self.is_unheard.store(!is_heard, Ordering::Relaxed);
    }

    /// Whether nobody waits for what it writes, as far as is known.
    pub(crate) fn is_unheard(&self) -> bool {
        self.is_unheard.load(Ordering::Relaxed)
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&self) -> bool {
        lock(&self.state).has_ended()
    }

    /// Whether more waits to be written than one batch takes.
    pub(crate) fn is_behind(&self) -> bool {
        lock(&self.state).queue.fills_a_frame()
    }
}

impl State {
    pub(crate) fn has_ended(&self) -> bool {
        self.outcome.is_some()
    }

    /// Whether the store has heard how it ended.
    pub(crate) fn is_known_to_have_ended(&self) -> bool {
        matches!(self.outcome, Some(Ok(_)))
    }

    /// Whether another producer has taken its place.
    pub(crate) fn is_fenced(&self) -> bool {
        matches!(self.outcome, Some(Err(Error::Fenced { .. })))
    }

    fn queued(&self) -> usize {
        self.queue.payload_len() + self.in_flight
    }

    fn depth(&self) -> usize {
        let chunks = count(self.crossed - self.settled);
        self.queued() + chunks * CHUNK_COST as usize + self.acks.len() * ACK_COST as usize
    }

    /// Whether something waits to be sent.
    pub(crate) fn has_batch(&self) -> bool {
        !self.queue.is_empty() || self.finish.is_some()
    }

    /// The next batch, if it can leave now.
    pub(crate) fn next_batch(&mut self, flush_interval: Duration) -> NextBatch {
        let now = Instant::now();
        if self.finish.is_none() && self.stop_deadline.is_some_and(|at| at <= now) {
            self.finish = Some(Terminal {
                outcome: Outcome::Stopped,
                reason: String::new(),
            });
        }
        let awaited = self.finish.is_some() || !self.flushes.is_empty() || !self.room.is_empty();
        let fills_a_frame = self.queue.fills_a_frame();
        if let Some(since) = self.queued_since
            && !awaited
            && !fills_a_frame
            && since + flush_interval > now
        {
            return NextBatch::At(since + flush_interval);
        }
        let since = self.queued_since;
        let taken = self.queue.take(MAX_FRAME_CHUNKS, MAX_FRAME_BYTES);
        if let Some(QueuedFrame { frame, bytes, .. }) = &taken {
            self.in_flight = *bytes;
            let (offered, offered_bytes) = self.offered;
            self.offered = (
                offered.saturating_sub(count(frame.count)),
                offered_bytes.saturating_sub(*bytes),
            );
            self.queued_since = (!self.queue.is_empty()).then_some(now);
        }
        let (frame, large) = taken.map_or((None, None), |taken| (Some(taken.frame), taken.large));
        let terminal = self.ending().filter(|_| self.queue.is_empty());
        if frame.is_some() || terminal.is_some() {
            self.sending = true;
            NextBatch::Ready(Batch {
                frame,
                large,
                terminal,
                since,
            })
        } else {
            NextBatch::Nothing
        }
    }

    /// How the generation will end, once an end was requested.
    pub(crate) fn ending(&self) -> Option<Terminal> {
        self.finish.clone().map(|terminal| match &self.stop {
            Some(reason) => Terminal {
                outcome: Outcome::Stopped,
                reason: reason.clone(),
            },
            None => terminal,
        })
    }

    /// Chunks in the queue.
    pub(crate) fn waiting(&self) -> u64 {
        self.queue.count() as u64
    }

    /// A batch was accepted: answers the calls that waited for it. Returns the seqs of the acknowledgements that are due.
    pub(crate) fn accept(&mut self, chunks: u64, last: u64, mark: usize) -> Vec<u64> {
        self.sending = false;
        self.in_flight = 0;
        self.settled += chunks;
        self.last_sign = Some(Instant::now());
        self.is_vouched = true;
        let mut seqs = Vec::new();
        while let Some(number) = self
            .acks
            .front()
            .copied()
            .filter(|number| *number <= self.settled)
        {
            self.acks.pop_front();
            seqs.push(last - (self.settled - number));
        }
        // As with the queue: a burst must not leave its room behind.
        if self.acks.is_empty() && self.acks.capacity() > MAX_FRAME_CHUNKS {
            self.acks = VecDeque::new();
        }
        while self
            .flushes
            .front()
            .is_some_and(|(target, _)| *target <= self.settled)
        {
            if let Some((_, flush)) = self.flushes.pop_front() {
                // The caller may be gone.
                let _ = flush.send(Ok(()));
            }
        }
        if self.depth() < mark {
            for room in self.room.drain(..) {
                let _ = room.send(Ok(()));
            }
        }
        seqs
    }

    /// Some queued chunks that local readers have not got yet, and how many they have.
    pub(crate) fn offer(&mut self) -> Option<(usize, EncodedFrame)> {
        let (chunks, bytes) = self.offered;
        let next = self.queue.peek(chunks, bytes)?;
        self.offered = (chunks + count(next.frame.count), bytes + next.bytes);
        Some((chunks, next.frame))
    }
}

fn count(chunks: u64) -> usize {
    usize::try_from(chunks).unwrap_or(usize::MAX)
}
