//! The subscription: a cursor over the log, woken by its hub.
//!
//! It owns no queue. While it keeps up, it reads from the hub's ring; when it cannot, for any reason, it reads the next
//! page from the log, and only as long as its reader has credit left. If a reader stands still, the rest of its
//! page is dropped, and read again if it continues; meanwhile it costs only its cursor.

use std::{
    ops::ControlFlow,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::task::AbortHandle;

use super::{
    hub::Hub,
    page::LogPage,
    ring::Next,
    state::State,
    window::{AckTerms, Window},
};
use crate::{
    Cursor, Error,
    engine::{
        context::Context,
        events::Handle,
        outbox::Ready,
        sink::{Pulled, Sink},
    },
    model::{
        ending::{End, InterruptReason, Terminal},
        frame::{Frame, Kind},
    },
    sse::Framing,
    store::{OwnerCheck, Page, Position},
    util::sync::lock,
};

/// How many chunks that the client has seen already are skipped in one turn.
const MOST_PASSED: usize = 4096;

/// The options of a reader.
#[derive(Debug, Clone)]
pub struct Follow {
    /// Where to begin.
    pub position: Position,
    /// The consumer at whose cursor the reader begins, if there is one. The unseen rest of the previous generation comes
    /// first.
    pub resume: Option<String>,
    /// The caller, who has to be the stream's owner if it has one.
    pub owner: Option<String>,
    /// How long to wait for a stream that does not exist.
    pub wait: Duration,
    /// Whether to wait for a store that is known to be away; else it fails at once.
    pub is_patient: bool,
    /// Whether to continue into the next generations.
    pub all: bool,
    /// The credit: how much may be delivered before the reader asks for more.
    pub credit: u64,
    /// To be delivered as server-sent events.
    pub framing: Option<Framing>,
    /// The window: how much may be delivered before the reader acknowledges it, if it does.
    pub ack: Option<AckTerms>,
}

/// One reader: a cursor over the log of its stream.
pub struct Subscription {
    pub(crate) handle: Handle,
    pub(crate) hub: Arc<Hub>,
    pub(crate) context: Weak<Context>,
    pub(crate) owner: OwnerCheck,
    pub(crate) all: bool,
    pub(crate) resumes: bool,
    /// It is delivered as server-sent events, which are its own.
    pub(super) is_framed: bool,
    /// The consumer whose acknowledgements it waits for.
    pub(crate) consumer: Option<String>,
    /// It stands in the outbox.
    pub(crate) queued: AtomicBool,
    /// It has no credit, or too much that is not acknowledged: waking it is useless.
    pub(crate) stalled: AtomicBool,
    pub(crate) state: Mutex<State>,
}

impl Subscription {
    /// A subscription that has no cursor yet; see [`attach`](super::attach).
    pub fn new(handle: Handle, hub: Arc<Hub>, context: &Arc<Context>, follow: &Follow) -> Self {
        Self {
            handle,
            hub,
            context: Arc::downgrade(context),
            owner: OwnerCheck::Caller(follow.owner.clone()),
            all: follow.all,
            resumes: follow.resume.is_some(),
            is_framed: follow.framing.is_some(),
            consumer: follow.ack.as_ref().and_then(|ack| ack.consumer.clone()),
            queued: AtomicBool::new(false),
            stalled: AtomicBool::new(false),
            state: Mutex::new(State {
                credit: i64::try_from(follow.credit).unwrap_or(i64::MAX),
                framing: follow.framing.clone(),
                window: follow.ack.as_ref().map(Window::new),
                ..State::default()
            }),
        }
    }

    /// The hub that notifies it of news.
    pub fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    /// The caller that reads.
    pub fn owner(&self) -> &OwnerCheck {
        &self.owner
    }

    /// The consumer whose acknowledgements it waits for, on any server.
    pub fn consumer(&self) -> Option<&str> {
        self.consumer.as_deref()
    }

    /// The task that finds its place, to be ended with it.
    pub fn set_attaching(&self, task: AbortHandle) {
        lock(&self.state).attaching = Some(task).filter(|task| !task.is_finished());
    }

    /// That task is over.
    pub fn is_attached(&self) {
        lock(&self.state).attaching = None;
    }

    /// The task that watches its window, to be ended with it.
    pub fn set_watch(&self, watch: AbortHandle) {
        lock(&self.state).watch = Some(watch);
    }

    /// The reader takes `cost` more.
    pub fn credit(&self, cost: u64) {
        let mut state = lock(&self.state);
        state.pace.ask();
        state.credit = state
            .credit
            .saturating_add(i64::try_from(cost).unwrap_or(i64::MAX));
        drop(state);
        self.revive();
    }

    /// How much its next page is to hold, at most.
    pub fn page_bytes(&self) -> usize {
        lock(&self.state).pace.bytes()
    }

    /// Everything up to `seq` is acknowledged; whether that is news.
    pub fn acknowledge(&self, seq: u64) -> bool {
        let mut state = lock(&self.state);
        let is_news = state
            .window
            .as_mut()
            .is_some_and(|window| window.acknowledge(seq));
        drop(state);
        if is_news {
            self.revive();
        }
        is_news
    }

    fn revive(&self) {
        if self.stalled.swap(false, Ordering::AcqRel) {
            self.queue();
        }
    }

    pub(crate) fn with_window<T: Default>(&self, look: impl FnOnce(&Window) -> T) -> T {
        lock(&self.state).window.as_ref().map(look).unwrap_or_default()
    }

    /// Ends it with an error at once, dropping the chunks that it has.
    pub(crate) fn give_up(&self, error: Error) {
        let mut state = lock(&self.state);
        state.page = LogPage::default();
        state.fetching = false;
        state.drop_load();
        for task in [state.attaching.take(), state.task.take()].into_iter().flatten() {
            task.abort();
        }
        state.end.get_or_insert(End::Error(error));
        drop(state);
        self.queue();
    }

    /// Ends it without a word.
    pub fn cancel(&self) {
        let mut state = lock(&self.state);
        state.over = true;
        state.page = LogPage::default();
        state.drop_load();
        state.tail = None;
        let tasks = [state.attaching.take(), state.task.take(), state.watch.take()];
        for task in tasks.into_iter().flatten() {
            task.abort();
        }
    }

    /// Where the log has to be read from by a reader that has seen everything up to here.
    pub fn read_after(&self, position: Position) -> Position {
        match (&mut lock(&self.state).framing, position) {
            (Some(framing), Position::After { generation, seq }) => {
                let Cursor { generation, seq } = framing.read_after(Cursor { generation, seq });
                Position::After { generation, seq }
            }
            _ => position,
        }
    }

    /// Its cursor's generation is gone; returns whether it starts over, which only an event stream can tell its client.
    pub fn reset(&self) -> bool {
        let mut state = lock(&self.state);
        state.framing.as_mut().is_some_and(Framing::reset)
    }

    /// Its cursor was found without a page, in the ring.
    pub fn begin_at(&self, cursor: Cursor) {
        let tail = self.hub.tail();
        let mut state = lock(&self.state);
        state.cursor = Some(cursor);
        if let (Some(framing), Some(seq)) = (&mut state.framing, tail) {
            framing.replay_to(Cursor { seq, ..cursor });
        }
        drop(state);
        self.queue();
    }

    /// A page after its cursor.
    pub fn accept(&self, page: Page) {
        let mut state = lock(&self.state);
        state.fetching = false;
        // What it adds has to be counted too.
        state.page.release();
        if let Some(framing) = &mut state.framing {
            framing.replay_to(page.end());
        }
        if let Err(error) = state.take_page(page, self.hub.stream().as_str()) {
            state.end.get_or_insert(End::Error(error));
        }
        drop(state);
        self.queue();
    }

    /// Delivers what is ready, as far as the credit allows. Called when the subscription leaves the outbox.
    pub fn pull(self: &Arc<Self>, sink: &mut dyn Sink) -> Pulled {
        self.queued.store(false, Ordering::Release);
        let mut state = lock(&self.state);
        state.passed = 0;
        let before = state.cursor;
        let pulled = self.advance(&mut state, sink);
        if state.cursor != before && !state.is_light() {
            state.pace.moves();
        }
        pulled
    }

    fn advance(self: &Arc<Self>, state: &mut State, sink: &mut dyn Sink) -> Pulled {
        loop {
            if state.over {
                return Pulled::Over;
            }
            if sink.is_full() || state.passed >= MOST_PASSED {
                self.queued.store(true, Ordering::Release);
                return Pulled::Full;
            }
            match self.next_action(state, sink) {
                Action::Continue => {}
                Action::Wait => {
                    self.watch(state);
                    return Pulled::Dry;
                }
                Action::Fetch if state.has_room() => {
                    self.fetch(state);
                    return Pulled::Dry;
                }
                Action::Fetch => {
                    self.stall(state, sink);
                    return Pulled::Dry;
                }
                Action::End(end) => {
                    if let Some(framing) = &mut state.framing
                        && framing.is_open()
                    {
                        sink.piece(self.handle, None, &mut |out| framing.end(out, &end));
                    }
                    sink.end(self.handle, end);
                    state.over = true;
                }
            }
        }
    }

    fn next_action(self: &Arc<Self>, state: &mut State, sink: &mut dyn Sink) -> Action {
        state.open(self.handle, sink);
        if state.tail.is_some() {
            return self.deliver_tail(state, sink);
        }
        if state.has_room() {
            state.page.release();
            self.read_ahead(state);
        }
        if let Some(frame) = state.page.frames.pop_front() {
            let Some(next) = self.deliver(state, &frame, sink) else {
                return Action::Continue;
            };
            state.page.frames.push_front(frame);
            return next;
        }
        if state.fetching {
            return Action::Wait;
        }
        if let Some(terminal) = state.page.end.take() {
            return self.finish(state, terminal);
        }
        if let Some(end) = state.end.take() {
            return Action::End(end);
        }
        let Some(cursor) = state.cursor else {
            return Action::Wait;
        };
        if state.page.more {
            return Action::Fetch;
        }
        if state.between {
            let moved = self
                .hub
                .generation()
                .is_some_and(|known| known != cursor.generation);
            return if moved { Action::Fetch } else { Action::Wait };
        }
        match self.hub.next(cursor.generation, cursor.seq) {
            Next::Frame(frame) => self.deliver(state, &frame, sink).unwrap_or(Action::Continue),
            // Whatever comes meanwhile puts it into the outbox again.
            Next::Newest(frame) => self.deliver(state, &frame, sink).unwrap_or(Action::Wait),
            Next::Terminal(terminal) => self.finish(state, terminal),
            Next::Wait => Action::Wait,
            Next::Log => Action::Fetch,
        }
    }

    /// The next step, if the frame was not delivered to its end.
    fn deliver(self: &Arc<Self>, state: &mut State, frame: &Frame, sink: &mut dyn Sink) -> Option<Action> {
        if let ControlFlow::Break(next) = self.deliver_framed(state, frame, sink) {
            return next;
        }
        let mut cursor = state.cursor?;
        if state.framing.is_none() && state.announced != Some(cursor.generation) {
            state.announced = Some(cursor.generation);
            sink.generation(self.handle, cursor.generation);
        }
        for (seq, chunk) in (frame.first()..).zip(frame.chunks()) {
            if seq <= cursor.seq {
                continue;
            }
            if !state.has_room() {
                self.stall(state, sink);
                return Some(Action::Wait);
            }
            if sink.is_full() || state.passed >= MOST_PASSED {
                return Some(Action::Continue);
            }
            let at = Cursor { seq, ..cursor };
            let is_new = state.framing.as_ref().is_none_or(|framing| !framing.has_seen(at));
            state.passed += usize::from(!is_new);
            let cost = match &mut state.framing {
                _ if chunk.kind == Kind::Large => match self.deliver_large(state, at, chunk.data, sink) {
                    Some(cost) => cost,
                    None => return Some(Action::Wait),
                },
                None => sink.chunk(&[self.handle], seq, chunk),
                Some(framing) => {
                    let length = is_new.then_some(chunk.data.len());
                    sink.piece(self.handle, length, &mut |out| framing.chunk(out, at, chunk))
                }
            };
            if let Some(window) = state.window.as_mut().filter(|_| is_new) {
                window.deliver(cursor.seq);
            }
            state.pay(cost);
            cursor.seq = seq;
            state.cursor = Some(cursor);
            // What follows the chunks that the client has seen may be framed already.
            let begins = !is_new
                && state
                    .framing
                    .as_ref()
                    .is_some_and(|framing| !framing.has_seen_next(at));
            if state.tail.is_some() || begins {
                return Some(Action::Continue);
            }
        }
        None
    }

    /// Waits for credit. A joined delta must not be held back: the reader may have to acknowledge it before more can follow.
    fn stall(&self, state: &mut State, sink: &mut dyn Sink) {
        self.stalled.store(true, Ordering::Release);
        if let Some(framing) = &mut state.framing {
            sink.piece(self.handle, None, &mut |out| framing.flush(out));
        }
    }

    fn finish(&self, state: &mut State, terminal: Terminal) -> Action {
        let is_gone = [InterruptReason::Deleted, InterruptReason::Lost]
            .into_iter()
            .any(|reason| terminal.is_interrupted(reason));
        let is_outdated = state.outdated.is_some() && state.outdated == state.cursor.map(|at| at.generation);
        let goes_on = self.all || self.resumes && is_outdated;
        if goes_on && !is_gone {
            state.between = true;
            return Action::Fetch;
        }
        // Its own engine's close: that ends all its subscriptions alike, whichever of the two is noticed first.
        let closed = || {
            self.context
                .upgrade()
                .is_none_or(|context| context.check_open().is_err())
        };
        if terminal.is_interrupted(InterruptReason::Closed) && closed() {
            return Action::End(End::Error(Error::Closed));
        }
        Action::End(End::Terminal {
            outcome: terminal.outcome,
            reason: terminal.reason,
        })
    }

    pub(crate) fn queue(&self) {
        if let Some(context) = self.context.upgrade() {
            self.stand_in(&context);
            context.outbox().signal();
        }
    }

    pub(super) fn stand_in(&self, context: &Context) {
        if !self.queued.swap(true, Ordering::AcqRel) {
            context.outbox().push_ready(Ready::Reader(self.handle));
        }
    }
}

/// The next step of a pull.
pub(crate) enum Action {
    /// Something was delivered, or found: there may be more.
    Continue,
    /// Nothing more, until it is poked or given credit.
    Wait,
    /// The next chunks have to be read from the log.
    Fetch,
    End(End),
}
