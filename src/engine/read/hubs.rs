//! The hubs of an engine, and the task that keeps each of them up to date: it listens, repairs and audits.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use tokio::time::Instant;
use ulid::Ulid;

use super::{
    follower::Follower,
    hub::{AUDIT, Hole, Hub, PAGE_BYTES},
    nodes::Nodes,
    ring::News,
};
use crate::{
    Cursor, StreamId,
    engine::{context::Context, events::Handle, outbox::Outbox},
    model::ending::InterruptReason,
    store::{OwnerCheck, Position, Read},
    util::{
        backoff::{Backoff, jitter},
        sync::lock,
    },
};

/// How long the readers of a generation that has ended may take to leave before those who stay are listened for.
const PARTING: Duration = Duration::from_millis(20);

/// The hubs that are in use, by stream.
pub(crate) struct Hubs {
    by_stream: Mutex<HashMap<StreamId, Arc<Hub>>>,
    pub(crate) nodes: Arc<Nodes>,
    outbox: Weak<Outbox>,
}

impl Hubs {
    /// `outbox` is where they stand that have something for their readers.
    pub fn new(outbox: &Arc<Outbox>) -> Self {
        Self {
            by_stream: Mutex::default(),
            nodes: Arc::default(),
            outbox: Arc::downgrade(outbox),
        }
    }

    /// The stream's hub; creates it if there is none. The caller must join it in `join`, before others can find it unused.
    pub fn with<T>(&self, stream: &StreamId, join: impl FnOnce(&Arc<Hub>) -> T) -> T {
        let mut hubs = lock(&self.by_stream);
        join(hubs.entry(stream.clone()).or_insert_with(|| {
            Arc::new(Hub::new(
                stream.clone(),
                Arc::clone(&self.nodes),
                self.outbox.clone(),
            ))
        }))
    }

    /// Adds a reader to a hub; the first one starts the listening task.
    pub fn join(
        self: &Arc<Self>,
        hub: &Arc<Hub>,
        context: &Arc<Context>,
        handle: Handle,
        follower: Arc<dyn Follower>,
    ) {
        if hub.join(handle, follower) {
            context.spawn(run(
                Arc::clone(hub),
                Arc::downgrade(context),
                Arc::downgrade(self),
            ));
        }
    }

    pub fn find(&self, stream: &StreamId) -> Option<Arc<Hub>> {
        lock(&self.by_stream).get(stream).cloned()
    }

    /// Those whose streams need no look of their own while this node lives; or while any does.
    pub fn vouched(&self, node: Option<Ulid>) -> Vec<Arc<Hub>> {
        let hubs = lock(&self.by_stream);
        hubs.values()
            .filter(|hub| hub.is_vouched_by(node))
            .cloned()
            .collect()
    }

    pub fn all(&self) -> Vec<Arc<Hub>> {
        lock(&self.by_stream).values().cloned().collect()
    }

    pub fn len(&self) -> usize {
        lock(&self.by_stream).len()
    }

    /// A local producer has left a hub.
    pub fn without_writer(&self, hub: &Hub, fed: bool) {
        let mut hubs = lock(&self.by_stream);
        hub.producer_leaves(fed);
        if hub.is_unused() {
            hubs.remove(hub.stream());
        }
    }

    /// Whether the hub's task may end: nobody has joined it meanwhile.
    fn retire(&self, hub: &Hub, context: &Context) -> bool {
        let mut hubs = lock(&self.by_stream);
        match hub.retire(context) {
            None => false,
            Some(unused) => {
                if unused {
                    hubs.remove(hub.stream());
                }
                true
            }
        }
    }
}

impl Hub {
    /// How many local readers there are, and whether the store's messages arrive for them.
    pub fn readers(&self) -> (usize, bool) {
        let state = lock(&self.state);
        (state.followers.len(), state.hears)
    }

    pub(super) fn followers(&self) -> Vec<Arc<dyn Follower>> {
        lock(&self.state).followers.values().cloned().collect()
    }

    /// The store has lost the end of a log.
    fn lose(&self, end: Cursor) {
        self.retract(end);
        for follower in self.followers() {
            follower.lose(end);
        }
    }

    /// Called with the registry locked, when the last reader has left: stops listening unless a reader has come back
    /// (`None`), and returns whether the hub may leave the registry.
    fn retire(&self, context: &Context) -> Option<bool> {
        let mut state = lock(&self.state);
        if !state.followers.is_empty() {
            return None;
        }
        state.task_runs = false;
        self.listening.send_replace(false);
        if std::mem::take(&mut state.hears) {
            context.store().unlisten(&self.stream);
        }
        Some(state.producers == 0)
    }
}

/// Listens, repairs and audits until the last reader has left.
async fn run(hub: Arc<Hub>, context: Weak<Context>, hubs: Weak<Hubs>) {
    loop {
        if listen(&hub, &context).await && hub.begin_listening() {
            hub.tell(News::Change);
            follow(&hub, &context).await;
        }
        let (Some(context), Some(hubs)) = (context.upgrade(), hubs.upgrade()) else {
            return;
        };
        if hubs.retire(&hub, &context) {
            return;
        }
    }
}

/// Whether the hub hears of news now; false when its readers have left or cannot be served.
async fn listen(hub: &Hub, context: &Weak<Context>) -> bool {
    let mut backoff = Backoff::default();
    if hub.is_done() {
        // Its readers are about to leave.
        let _ = tokio::time::timeout(PARTING, hub.work.notified()).await;
    }
    while has_followers(hub) {
        let Some(context) = context.upgrade() else {
            return false;
        };
        if hub.is_fed() {
            return true;
        }
        match context.store().listen(&hub.stream).await {
            Ok(()) => {
                hub.hears();
                return true;
            }
            Err(error) if error.is_retryable() => {
                tokio::select! {
                    () = tokio::time::sleep(backoff.next_delay()) => {}
                    () = hub.work.notified() => {}
                }
            }
            Err(error) => {
                let followers: Vec<_> = lock(&hub.state)
                    .followers
                    .drain()
                    .map(|(_, follower)| follower)
                    .collect();
                for follower in followers {
                    follower.fail(error.clone());
                }
            }
        }
    }
    false
}

async fn follow(hub: &Hub, context: &Weak<Context>) {
    let mut backoff = Backoff::default();
    while wait(hub).await {
        let Some(context) = context.upgrade() else { return };
        if audit(hub, &context).await {
            backoff = Backoff::default();
        } else {
            tokio::time::sleep(backoff.next_delay()).await;
        }
    }
}

fn has_followers(hub: &Hub) -> bool {
    !lock(&hub.state).followers.is_empty()
}

/// Waits for a hole or for the next audit; false when the last reader has left, or news do not arrive any more.
async fn wait(hub: &Hub) -> bool {
    loop {
        let due = {
            let mut state = lock(&hub.state);
            if state.followers.is_empty() || !state.is_informed() {
                return false;
            }
            if state.hole.is_some() {
                return true;
            }
            *state
                .audit_at
                .get_or_insert_with(|| Instant::now() + jitter(AUDIT))
        };
        tokio::select! {
            () = hub.work.notified() => {}
            () = tokio::time::sleep_until(due) => {
                let mut state = lock(&hub.state);
                if state.audit_at.is_some_and(|at| at <= Instant::now()) {
                    state.audit_at = None;
                    return !state.followers.is_empty();
                }
            }
        }
    }
}

/// Reads the frames that the hub has not seen; false if the store could not be read.
async fn audit(hub: &Hub, context: &Context) -> bool {
    let (position, hole) = {
        let mut state = lock(&hub.state);
        let position = match (state.ring.generation(), state.ring.tail()) {
            (Some(generation), Some(seq)) => Position::After { generation, seq },
            _ => Position::Now,
        };
        (position, state.hole.take())
    };
    let read = Read {
        position,
        max_bytes: PAGE_BYTES,
        owner: OwnerCheck::Internal,
    };
    let permit = context.reads().acquire().await;
    let page = context.store().read(&hub.stream, &read).await;
    drop(permit);
    match page {
        Ok(Some(page)) => {
            if !page.frames.is_empty() && hole != Some(Hole::Early) {
                let (generation, seq) = (page.generation, page.end().seq);
                tracing::debug!(stream = %hub.stream, %generation, seq, "missed messages were read from the log");
                context.metrics().gaps_repaired.one();
            }
            hub.observe(&page);
            if let Some(end) = page.set_back(position) {
                tracing::warn!(stream = %hub.stream, generation = %end.generation, seq = end.seq, "the store has lost the end of the log");
                hub.lose(end);
            }
        }
        Ok(None) => miss(hub, context.config().lease()),
        Err(error) if error.is_retryable() => {
            lock(&hub.state).hole.get_or_insert(hole.unwrap_or(Hole::Missed));
            return false;
        }
        // A frame that cannot be decoded, or missing rights: its readers get the error.
        Err(error) => {
            tracing::warn!(stream = %hub.stream, cause = %error, "the log cannot be read");
            lock(&hub.state).ring.lose_track();
            hub.tell(News::Change);
        }
    }
    true
}

/// The stream is not there. Its producer may put it back, so readers are given up only after a lease.
fn miss(hub: &Hub, lease: Duration) {
    let lost = {
        let mut state = lock(&hub.state);
        let now = Instant::now();
        let since = *state.missing_since.get_or_insert(now);
        let left = (since + lease).saturating_duration_since(now);
        let lost = left.is_zero() && state.ring.tail().is_some();
        state.audit_at = Some(now + if left.is_zero() { AUDIT } else { left.min(AUDIT) });
        lost
    };
    if lost {
        tracing::warn!(stream = %hub.stream, "the stream is gone, and nobody has put it back");
        hub.abandon(InterruptReason::Lost);
    }
}

/// Looks at nodes, one after the other, and has the streams of those that are silent looked at. Ends with its engine.
pub(crate) async fn look_at_nodes(hubs: Weak<Hubs>, nodes: Arc<Nodes>, context: Weak<Context>) {
    loop {
        let next = nodes.next();
        let due = async {
            match next {
                Some((_, due)) => tokio::time::sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = due => {}
            () = nodes.news.notified() => continue,
        }
        let (Some((node, _)), Some(context), Some(hubs)) = (next, context.upgrade(), hubs.upgrade()) else {
            return;
        };
        let theirs = hubs.vouched(Some(node));
        if theirs.is_empty() {
            nodes.note(node, Duration::ZERO);
            continue;
        }
        match context.store().vouched(node).await {
            Ok(left) if nodes.note(node, left) => {}
            // While the store is away nothing is known; afterwards everything is looked at.
            Err(error) if error.is_retryable() => nodes.put_off(node),
            Ok(_) | Err(_) => {
                nodes.note(node, Duration::ZERO);
                context.in_turns(theirs, |hub| hub.doubt());
            }
        }
    }
}
