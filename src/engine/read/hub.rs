//! The hub: per process and live stream, one ring and one listening task for all local readers. What has come it gives to all that
//! stand at the same place in one, see [`sharing`](super::sharing).

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use tokio::{
    sync::{Notify, watch},
    time::Instant,
};
use ulid::Ulid;

use super::{
    follower::Follower,
    nodes::{Nodes, SLACK, until_overdue},
    ring::{News, Next, Ring},
    sharing::Sharing,
};
use crate::{
    Cursor, StreamId,
    engine::{events::Handle, outbox::Outbox},
    model::{
        ending::{InterruptReason, Terminal},
        frame::Frame,
    },
    store::{Known, LiveMessage, OwnerCheck, Page},
    util::{backoff::jitter, sync::lock},
};

/// How often the log is checked for problems that pub/sub can never show: a lost last message, a dead producer, a vanished key.
pub(crate) const AUDIT: Duration = Duration::from_secs(5);
/// The most that an audit or a repair reads before it leaves the rest to the readers.
pub(crate) const PAGE_BYTES: usize = 256 * 1024;

/// See the module. Kept by its followers and by local producers.
pub struct Hub {
    pub(crate) stream: StreamId,
    pub(crate) state: Mutex<State>,
    /// Something is missing, or the followers have changed.
    pub(crate) work: Notify,
    /// Counts changes; an attaching reader waits for the next one.
    pub(crate) changed: watch::Sender<u64>,
    /// Whether news from now on arrive: messages of the store, or what a local producer feeds.
    pub(crate) listening: watch::Sender<bool>,
    nodes: Arc<Nodes>,
    pub(super) outbox: Weak<Outbox>,
}

/// What may lack to a hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hole {
    /// Messages may have been missed.
    Missed,
    /// A reader's first page was asked for before messages arrived.
    Early,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) ring: Ring,
    pub(crate) followers: HashMap<Handle, Arc<dyn Follower>>,
    pub(super) sharing: Sharing,
    pub(crate) producers: usize,
    /// Local producers that are the only ones of their generations: all that is written comes from them.
    feeders: usize,
    /// The store's messages arrive.
    pub(super) hears: bool,
    pub(crate) task_runs: bool,
    /// The log is to be looked at soon.
    pub(super) hole: Option<Hole>,
    pub(crate) audit_at: Option<Instant>,
    /// The node whose life is looked at in the place of the stream's leases.
    vouched: Option<Ulid>,
    /// The longest lease that a page has shown; the producer's own may be longer.
    pub(crate) lease: Option<Duration>,
    pub(crate) missing_since: Option<Instant>,
    /// The generation whose expired lease was logged last.
    lapsed: Option<Ulid>,
    /// The owner that was last admitted, and to which generation: the store need not check it again.
    pub(crate) admitted: Option<(Ulid, OwnerCheck)>,
}

impl Hub {
    /// A hub without followers.
    pub(crate) fn new(stream: StreamId, nodes: Arc<Nodes>, outbox: Weak<Outbox>) -> Self {
        Self {
            stream,
            state: Mutex::default(),
            work: Notify::new(),
            changed: watch::Sender::new(0),
            listening: watch::Sender::new(false),
            nodes,
            outbox,
        }
    }

    /// The stream whose readers in this process share this hub.
    pub fn stream(&self) -> &StreamId {
        &self.stream
    }

    /// Adds a reader; returns whether it is the first one, for which a task has to listen.
    pub(crate) fn join(&self, handle: Handle, follower: Arc<dyn Follower>) -> bool {
        let mut state = lock(&self.state);
        state.followers.insert(handle, follower);
        let is_first = !std::mem::replace(&mut state.task_runs, true);
        if !is_first && !state.is_informed() {
            self.work.notify_one();
        }
        is_first
    }

    /// Removes a reader.
    pub fn leave(&self, handle: Handle) {
        lock(&self.state).followers.remove(&handle);
        self.work.notify_one();
    }

    /// A local producer has started a generation, or joined one that begins after `base` and stands at `seq`. `feeds`: it is the
    /// only one of its generation.
    pub fn producer_joins(&self, generation: Ulid, base: u64, seq: u64, feeds: bool) {
        let news = {
            let mut state = lock(&self.state);
            state.producers += 1;
            state.feeders += usize::from(feeds);
            state.ring.start(generation, base, seq)
        };
        self.tell(news);
    }

    /// A local producer is gone. Without the last one that fed, only the store's messages tell what happens.
    pub fn producer_leaves(&self, fed: bool) {
        {
            let mut state = lock(&self.state);
            state.producers -= 1;
            state.feeders -= usize::from(fed);
            if fed && !state.is_informed() {
                self.listening.send_replace(false);
                state.hole = Some(Hole::Missed);
            }
        }
        self.work.notify_one();
    }

    /// Whether all that its readers wait for has come.
    pub(crate) fn is_done(&self) -> bool {
        let state = lock(&self.state);
        state.ring.terminal().is_some() && !state.followers.values().any(|follower| follower.goes_on())
    }

    /// Whether its readers need no messages of the store.
    pub(crate) fn is_fed(&self) -> bool {
        lock(&self.state).feeders > 0
    }

    /// Whether news arrive, in one way or the other.
    pub(crate) fn is_informed(&self) -> bool {
        lock(&self.state).is_informed()
    }

    /// A reader has begun with a page that was asked for before news arrived: once they do, what it lacks is looked for.
    pub(crate) fn begin_early(&self) {
        lock(&self.state).hole.get_or_insert(Hole::Early);
        self.work.notify_one();
    }

    /// The store's messages arrive from now on.
    pub(crate) fn hears(&self) {
        lock(&self.state).hears = true;
    }

    /// Lets readers begin, if news arrive, in one way or the other.
    pub(crate) fn begin_listening(&self) -> bool {
        let state = lock(&self.state);
        let is_informed = state.is_informed();
        if is_informed {
            self.listening.send_replace(true);
        }
        is_informed
    }

    /// Whether nobody needs it. Called with the registry locked, so that nobody can join meanwhile.
    pub fn is_unused(&self) -> bool {
        let state = lock(&self.state);
        !state.task_runs && state.producers == 0
    }

    /// How the generation ended, as far as is known here.
    pub fn terminal(&self) -> Option<Terminal> {
        lock(&self.state).ring.terminal().cloned()
    }

    /// The generation that is known here.
    pub fn generation(&self) -> Option<Ulid> {
        lock(&self.state).ring.generation()
    }

    /// The end of the ring.
    pub fn tail(&self) -> Option<u64> {
        lock(&self.state).ring.tail()
    }

    /// The last chunk of this generation that is known.
    pub fn tail_of(&self, generation: Ulid) -> Option<u64> {
        let state = lock(&self.state);
        let is_known = state.ring.generation() == Some(generation);
        state.ring.tail().filter(|_| is_known)
    }

    /// Whether a local reader could make use of a frame before the store has it.
    pub fn has_followers(&self) -> bool {
        self.count_followers() > 0
    }

    /// How many local readers there are.
    pub fn count_followers(&self) -> usize {
        lock(&self.state).followers.len()
    }

    /// A frame, from the store or from a local producer. Returns whether it was known.
    pub fn offer(
        self: &Arc<Self>,
        generation: Ulid,
        last: u64,
        frame: Option<Frame>,
        lease: Duration,
    ) -> bool {
        let bytes = frame.as_ref().map_or(0, Frame::size);
        self.take(generation, last, frame, lease, |outbox| outbox.gather(bytes))
    }

    /// A frame of a local producer, with what had gathered when it was sent: it need not gather again.
    pub fn feed(self: &Arc<Self>, generation: Ulid, frame: Frame, lease: Duration) {
        self.take(generation, frame.last(), Some(frame), lease, Outbox::signal);
    }

    fn take(
        self: &Arc<Self>,
        generation: Ulid,
        last: u64,
        frame: Option<Frame>,
        lease: Duration,
        announce: impl FnOnce(&Outbox),
    ) -> bool {
        let mut state = lock(&self.state);
        // Local producers' frames come twice.
        let known = state.producers == 0 && state.ring.knows(generation, last);
        state.missing_since = None;
        // A write renews its producer's lease, so the next look at it can wait for nearly as long.
        let lease = state.lease.unwrap_or(lease);
        if state.vouched.is_none() {
            self.audit_in(&mut state, AUDIT.min(until_overdue(lease, lease)));
        }
        let before = state.ring.tail();
        let news = state.ring.offer(generation, last, frame);
        if state.followers.is_empty() {
            state.ring.let_go();
        }
        match before {
            Some(before) if news == News::Change => self.grow(state, before, announce),
            _ => {
                drop(state);
                self.tell(news);
            }
        }
        known
    }

    /// A generation has ended.
    pub fn end(&self, generation: Ulid, last: u64, terminal: Terminal) {
        self.log_lapse(&terminal, generation, last);
        let news = lock(&self.state).ring.end(generation, last, terminal);
        self.tell(news);
    }

    /// A message of the store. Returns whether it brought a frame that was known.
    pub fn hear(self: &Arc<Self>, message: LiveMessage, lease: Duration) -> bool {
        match message {
            LiveMessage::Frame {
                generation,
                last,
                frame,
            } => return self.offer(generation, last, frame, lease),
            LiveMessage::Ended {
                generation,
                last,
                terminal,
            } => self.end(generation, last, terminal),
            LiveMessage::Started { generation, base } => {
                let (news, goes_on) = {
                    let mut state = lock(&self.state);
                    let tail = state.ring.tail();
                    let goes_on = tail.filter(|_| state.ring.generation() == Some(generation));
                    // Another node may have it now, and may die before it has written anything.
                    state.vouched = None;
                    self.audit_in(&mut state, AUDIT.min(until_overdue(lease, lease)));
                    (state.ring.start(generation, base, base), goes_on)
                };
                self.tell(news);
                // Readers of a producer that showed what it could not write (G8), and died, may have come here.
                if let Some(seq) = goes_on {
                    self.tell_ahead(Cursor { generation, seq });
                }
            }
            LiveMessage::Deleted => self.abandon(InterruptReason::Deleted),
        }
        false
    }

    /// More was shown of a generation than there is: a local producer was replaced by another one before it had written it, or the store has
    /// lost the end of a log.
    pub fn retract(&self, to: Cursor) {
        {
            let mut state = lock(&self.state);
            if state.ring.generation() != Some(to.generation) {
                return;
            }
            state.ring.retract();
        }
        self.tell_ahead(to);
        self.tell(News::Hole);
    }

    /// Others go on here: whoever has seen more is told of a gap.
    fn tell_ahead(&self, to: Cursor) {
        for follower in self.followers() {
            follower.retract(to);
        }
    }

    /// Messages may have been missed.
    pub fn repair(&self) {
        self.tell(News::Hole);
    }

    /// Tells the log, once, that a generation's producers have died.
    fn log_lapse(&self, terminal: &Terminal, generation: Ulid, seq: u64) {
        if terminal.is_interrupted(InterruptReason::Lease)
            && lock(&self.state).lapsed.replace(generation) != Some(generation)
        {
            tracing::info!(stream = %self.stream, %generation, seq, "a lease has lapsed");
        }
    }

    /// A page of the log was read.
    pub fn observe(&self, page: &Page) {
        if let Some(terminal) = &page.head.terminal {
            self.log_lapse(terminal, page.head.generation, page.head.seq);
        }
        let news = {
            let mut state = lock(&self.state);
            state.missing_since = None;
            let left = page.head.lease_left;
            state.vouched = page.head.vouched.map(|vouched| vouched.node);
            if page.head.terminal.is_some() {
                self.audit_in(&mut state, jitter(AUDIT));
            } else if let Some(vouched) = page.head.vouched {
                self.nodes.watch(vouched.node, left);
                self.audit_in(&mut state, until_overdue(vouched.left, vouched.left));
            } else {
                let lease = state.lease.map_or(left, |lease| lease.max(left));
                state.lease = Some(lease);
                let due = page.head.doubt.map(|doubt| doubt + SLACK);
                let due = due.unwrap_or_else(|| until_overdue(lease, left));
                self.audit_in(&mut state, jitter(AUDIT).min(due));
            }
            state.ring.observe(page)
        };
        self.tell(news);
    }

    /// The frames after a reader's cursor.
    pub fn next(&self, generation: Ulid, seq: u64) -> Next {
        lock(&self.state).ring.next(generation, seq)
    }

    /// The store has let this reader in.
    pub fn admit(&self, generation: Ulid, owner: &OwnerCheck) {
        lock(&self.state).admitted = Some((generation, owner.clone()));
    }

    /// Whether a reader that was admitted before can continue from here without reading the log.
    pub fn resumes(&self, generation: Ulid, seq: u64, owner: &OwnerCheck) -> bool {
        let state = lock(&self.state);
        let is_admitted = state
            .admitted
            .as_ref()
            .is_some_and(|(to, who)| *to == generation && who == owner);
        is_admitted
            && *self.listening.borrow()
            && state.ring.terminal().is_none()
            && state.ring.knows(generation, seq)
            && !matches!(state.ring.next(generation, seq), Next::Log)
    }

    /// The generation and its base, if the ring holds all of it, fed by a local producer.
    pub fn local_generation(&self) -> Option<(Ulid, u64)> {
        let state = lock(&self.state);
        if state.producers == 0 {
            None
        } else {
            state.ring.whole()
        }
    }

    /// Resolves when messages published from now on arrive; the receiver of later changes otherwise.
    pub fn listening(&self) -> watch::Receiver<bool> {
        self.listening.subscribe()
    }

    /// Changes from now on.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// What the store should have of the stream, if that is known.
    pub(crate) fn known(&self) -> Option<Known> {
        let state = lock(&self.state);
        state.ring.terminal().is_none().then_some(())?;
        Some(Known {
            stream: self.stream.clone(),
            generation: state.ring.generation()?,
            seq: state.ring.tail()?,
            is_all: *self.listening.borrow(),
        })
    }

    /// Whether its stream needs no look while this node lives; or while any does.
    pub(crate) fn is_vouched_by(&self, node: Option<Ulid>) -> bool {
        let vouched = lock(&self.state).vouched;
        vouched.is_some() && (node.is_none() || node == vouched)
    }

    /// What a look at others has shown is to be looked at closely.
    pub(crate) fn doubt(&self) {
        let mut state = lock(&self.state);
        state.vouched = None;
        if !state.followers.is_empty() {
            self.audit_in(&mut state, Duration::ZERO);
        }
    }

    /// The next look at the log; the task is woken if it comes earlier than it thinks.
    fn audit_in(&self, state: &mut State, pause: Duration) {
        let at = Instant::now() + pause;
        if state.audit_at.replace(at).is_some_and(|before| before > at) {
            self.work.notify_one();
        }
    }

    pub(crate) fn tell(&self, news: News) {
        if news == News::Nothing {
            return;
        }
        let followers: Vec<_> = {
            let mut state = lock(&self.state);
            if news == News::Hole {
                state.hole.get_or_insert(Hole::Missed);
                self.work.notify_one();
            }
            state.sharing.part();
            state.followers.values().cloned().collect()
        };
        if !followers.is_empty() {
            self.changes_now();
        }
        for follower in followers {
            follower.poke();
        }
    }

    /// Lets those go on that wait for a change.
    pub(super) fn changes_now(&self) {
        if self.changed.receiver_count() > 0 {
            self.changed.send_modify(|count| *count += 1);
        }
    }

    /// The stream is gone: its readers have seen all that there will be.
    pub(crate) fn abandon(&self, reason: InterruptReason) {
        let news = {
            let mut state = lock(&self.state);
            let Some(tail) = state.ring.tail() else { return };
            state.ring.abandon(tail, Terminal::interrupted(reason))
        };
        self.tell(news);
    }
}

impl State {
    /// Whether news arrive.
    pub(crate) fn is_informed(&self) -> bool {
        self.hears || self.feeders > 0
    }
}
