//! What the stores of one process share: the streams under a prefix, their listeners, and messages.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque, hash_map::Entry},
    ops::Bound,
    sync::{Arc, LazyLock, Mutex, Weak},
};

use tokio::time::Instant;
use ulid::Ulid;

use super::{
    groups::finished::FinishedQueue,
    reminders::Reminders,
    stream_entry::StreamEntry,
    transaction::{Message, Transaction},
};
use crate::{
    StreamId,
    store::{FinishedNews, ListCursor, Listener},
    util::sync::lock,
};

/// How many entries every operation looks at for expiry: more than it can add, so that the dead never pile up.
const SWEEP: usize = 4;

/// How many streams one turn of a loop over all of them looks at.
const LAPSE: usize = 256;

static SPACES: LazyLock<Mutex<HashMap<String, Weak<Keyspace>>>> = LazyLock::new(Mutex::default);

/// Everything under one name. It lives as long as one store holds it.
#[derive(Default)]
pub(super) struct Keyspace {
    namespaces: Mutex<HashMap<String, Arc<Namespace>>>,
}

impl Keyspace {
    /// The keyspace of that name, which is new if no store holds it.
    pub fn named(name: &str) -> Arc<Self> {
        let mut spaces = lock(&SPACES);
        spaces.retain(|_, keyspace| keyspace.strong_count() > 0);
        if let Some(keyspace) = spaces.get(name).and_then(Weak::upgrade) {
            return keyspace;
        }
        let keyspace = Arc::new(Self::default());
        spaces.insert(name.to_owned(), Arc::downgrade(&keyspace));
        keyspace
    }

    pub fn namespace(&self, prefix: &str) -> Arc<Namespace> {
        lock(&self.namespaces)
            .entry(prefix.to_owned())
            .or_default()
            .clone()
    }
}

/// The streams under one prefix.
#[derive(Default)]
pub(super) struct Namespace {
    state: Mutex<State>,
    reminders: Mutex<Reminders>,
    /// Held by the one who delivers. Nobody waits for it: who finds it taken leaves the messages to its holder.
    delivery: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    entries: HashMap<StreamId, Numbered>,
    /// The entries in the order of their making: a position that stays valid, for lists and for the sweep.
    order: BTreeMap<u64, StreamId>,
    next_number: u64,
    swept: u64,
    participants: Vec<Participant>,
    outbox: VecDeque<(StreamId, Message)>,
    finished: FinishedQueue,
}

#[derive(Default)]
struct Numbered {
    number: u64,
    entry: StreamEntry,
}

/// A store that takes part in a namespace.
struct Participant {
    id: Ulid,
    node: Ulid,
    listener: Arc<dyn Listener>,
    streams: HashSet<StreamId>,
    /// It wants news of the finished generations.
    finished: bool,
}

impl Namespace {
    /// Lets a store take part, under an id of its own: two stores may have the same node.
    pub fn join(&self, node: Ulid, listener: Arc<dyn Listener>) -> Ulid {
        let id = Ulid::new();
        lock(&self.state).participants.push(Participant {
            id,
            node,
            listener,
            streams: HashSet::new(),
            finished: false,
        });
        id
    }

    pub fn leave(&self, participant: Ulid) {
        let mut state = lock(&self.state);
        let at = state
            .participants
            .iter()
            .position(|known| known.id == participant);
        let left = at.map(|at| state.participants.swap_remove(at));
        drop(state);
        // The listener may own what locks this namespace when it goes.
        drop(left);
    }

    pub fn listen(&self, participant: Ulid, stream: &StreamId) {
        if let Some(participant) = lock(&self.state).participant(participant) {
            participant.streams.insert(stream.clone());
        }
    }

    pub fn listen_finished(&self, participant: Ulid) {
        if let Some(participant) = lock(&self.state).participant(participant) {
            participant.finished = true;
        }
    }

    pub fn unlisten(&self, participant: Ulid, stream: &StreamId) {
        if let Some(participant) = lock(&self.state).participant(participant) {
            participant.streams.remove(stream);
        }
    }

    /// Runs one atomic transaction, then delivers its messages.
    pub fn run<T>(
        &self,
        node: Ulid,
        stream: &StreamId,
        operation: impl FnOnce(&mut StreamEntry, &mut Transaction) -> T,
    ) -> T {
        let mut state = lock(&self.state);
        // The time is taken under the lock: a transaction never happens before the one it follows.
        let mut transaction = Transaction::new(stream, node);
        state.sweep(transaction.now);
        let answer = state.run(&mut transaction, operation);
        let messages = transaction
            .messages
            .into_iter()
            .map(|message| (stream.clone(), message));
        state.outbox.extend(messages);
        for finished in transaction.finished {
            state.finished.push(finished);
            state
                .outbox
                .push_back((stream.clone(), Message::Finished(FinishedNews::Added)));
        }
        drop(state);
        self.deliver();
        answer
    }

    /// How many streams there are.
    pub fn count(&self) -> u64 {
        let state = lock(&self.state);
        let now = Instant::now();
        let streams = state.entries.values().filter(|known| known.entry.is_stream(now));
        streams.count() as u64
    }

    /// Does something with the queue of finished generations.
    pub fn with_finished<T>(&self, operation: impl FnOnce(&mut FinishedQueue) -> T) -> T {
        operation(&mut lock(&self.state).finished)
    }

    /// Does something with the reminders.
    pub fn with_reminders<T>(&self, operation: impl FnOnce(&mut Reminders) -> T) -> T {
        operation(&mut lock(&self.reminders))
    }

    /// Ends the generations whose producers are dead, of some streams created after `from`. Returns whether any is still active,
    /// and where to continue.
    pub fn lapse(&self, node: Ulid, from: u64) -> (bool, Option<u64>) {
        let rest = (Bound::Excluded(from), Bound::Unbounded);
        let some: Vec<_> = lock(&self.state)
            .order
            .range(rest)
            .take(LAPSE)
            .map(|(number, stream)| (*number, stream.clone()))
            .collect();
        let lapse = |stream: &StreamId| self.run(node, stream, StreamEntry::lapse);
        let is_active = some
            .iter()
            .fold(false, |is_active, (_, stream)| lapse(stream) | is_active);
        (is_active, some.last().map(|(number, _)| *number))
    }

    /// About `count` streams created after `from`.
    pub fn list(&self, from: ListCursor, count: usize) -> (Vec<StreamId>, Option<ListCursor>) {
        let state = lock(&self.state);
        let now = Instant::now();
        let mut rest = state.order.range((Bound::Excluded(from.scan), Bound::Unbounded));
        let mut scan = from.scan;
        let mut streams = Vec::new();
        for (number, stream) in rest.by_ref().take(count.max(1)) {
            scan = *number;
            if state
                .entries
                .get(stream)
                .is_some_and(|known| known.entry.is_stream(now))
            {
                streams.push(stream.clone());
            }
        }
        let next = rest.next().map(|_| ListCursor {
            scan,
            ..ListCursor::default()
        });
        (streams, next)
    }

    /// Empties the outbox, in order, without holding the state: a listener may call back.
    fn deliver(&self) {
        loop {
            // Checked again after each turn, for messages that were added while this thread had the lock.
            if lock(&self.state).outbox.is_empty() {
                return;
            }
            let Ok(_turn) = self.delivery.try_lock() else {
                return;
            };
            loop {
                let mut state = lock(&self.state);
                let Some((stream, message)) = state.outbox.pop_front() else {
                    break;
                };
                let listeners = state.concerned(&stream, &message);
                drop(state);
                for listener in listeners {
                    match message.clone() {
                        Message::Live(message) => listener.on_live(&stream, message),
                        Message::Control(_, message) => listener.on_control(&stream, message),
                        Message::Finished(news) => listener.on_finished(news),
                    }
                }
            }
        }
    }
}

impl State {
    fn participant(&mut self, id: Ulid) -> Option<&mut Participant> {
        self.participants
            .iter_mut()
            .find(|participant| participant.id == id)
    }

    fn concerned(&self, stream: &StreamId, message: &Message) -> Vec<Arc<dyn Listener>> {
        let concerned = self.participants.iter().filter(|participant| match message {
            Message::Live(_) => participant.streams.contains(stream),
            Message::Control(node, _) => participant.node == *node,
            Message::Finished(_) => participant.finished,
        });
        concerned
            .map(|participant| participant.listener.clone())
            .collect()
    }

    fn run<T>(
        &mut self,
        transaction: &mut Transaction,
        operation: impl FnOnce(&mut StreamEntry, &mut Transaction) -> T,
    ) -> T {
        match self.entries.entry(transaction.stream.clone()) {
            Entry::Occupied(mut known) => {
                known.get_mut().entry.prune(transaction.now);
                let answer = operation(&mut known.get_mut().entry, transaction);
                if known.get().entry.is_empty() {
                    self.order.remove(&known.remove().number);
                }
                answer
            }
            Entry::Vacant(place) => {
                let mut entry = StreamEntry::default();
                let answer = operation(&mut entry, transaction);
                if !entry.is_empty() {
                    self.next_number += 1;
                    let number = self.next_number;
                    self.order.insert(number, transaction.stream.clone());
                    place.insert(Numbered { number, entry });
                }
                answer
            }
        }
    }

    /// Looks at the next few entries, round and round, and drops those that have expired.
    fn sweep(&mut self, now: Instant) {
        let after = (Bound::Excluded(self.swept), Bound::Unbounded);
        let batch: Vec<_> = self
            .order
            .range(after)
            .take(SWEEP)
            .map(|(number, id)| (*number, id.clone()))
            .collect();
        self.swept = if batch.len() < SWEEP {
            0
        } else {
            batch[SWEEP - 1].0
        };
        for (number, stream) in batch {
            if self
                .entries
                .get_mut(&stream)
                .is_some_and(|known| known.entry.prune(now))
            {
                self.entries.remove(&stream);
                self.order.remove(&number);
            }
        }
    }
}
