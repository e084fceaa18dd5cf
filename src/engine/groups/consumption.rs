//! A consumer of a group: asks for the next items of its work and waits until there are any.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use super::reader::Reader;
use crate::{
    Cursor, Error, Result, StreamId,
    engine::{
        context::Context,
        events::{Handed, Handle, Loaded},
        read::{
            follower::Follower,
            hub::{Hub, PAGE_BYTES},
        },
    },
    model::ending::InterruptReason,
    store::{
        FinishedNews,
        groups::{Item, ItemId, Repeat, Resolution, Resolve, Subject, Take, Taken, Work},
    },
    util::{
        backoff::{Backoff, jitter},
        log::dropped,
        sync::lock,
    },
};

/// The first pause after news that brought nothing: chunks of a local producer are announced before they are stored.
const SOON: Duration = Duration::from_millis(20);

/// The longest pause between two requests, since items that others give up are not announced …
const PAUSE: Duration = Duration::from_secs(1);

/// … and the same for consumers of finished generations, which may hold an item for longer.
const LONG_PAUSE: Duration = Duration::from_secs(30);

/// News of finished generations that arrive in quick succession are handled together.
const TOGETHER: Duration = Duration::from_millis(50);

/// The most items that one command resolves.
pub(crate) const AT_ONCE: usize = 100;

/// The options of a consumer.
#[derive(Debug, Clone)]
pub struct Consume {
    /// The stream; `None` for the finished generations of all.
    pub stream: Option<StreamId>,
    /// The request that it repeats.
    pub take: Take,
    /// How long to wait for a stream that does not exist.
    pub wait: Duration,
}

/// One consumer of a group.
pub(crate) struct Consumption {
    pub(crate) consume: Consume,
    pub(crate) hub: Option<Arc<Hub>>,
    pub(crate) deadline: Instant,
    pub(crate) news: Notify,
    /// A generation is open, and none was before.
    pub(crate) opened: Notify,
    pub(crate) left: AtomicBool,
    pub(crate) state: Mutex<State>,
}

pub(crate) struct State {
    /// While it gets back the items that it holds from an earlier life.
    pub(crate) own: Option<ItemId>,
    /// While it looks for items that were delivered to it with an answer that was lost: after which one.
    pub(crate) unheard: Option<ItemId>,
    /// Its host is told of a loss once it is known how far that reaches: to here, as far as is known.
    pub(crate) lost: Option<Cursor>,
    /// The same for the store, which has to know that before anything else is done: it may have come to more that is lost.
    pub(crate) told: Option<Cursor>,
    /// The items that it was given and has not resolved, and how often they had been delivered then.
    pub(crate) given: BTreeMap<ItemId, u64>,
    /// Those of them that a log has lost: other chunks may get their ids.
    pub(crate) gone: BTreeSet<ItemId>,
    /// The last chunk that it was given.
    pub(crate) seen: Option<(ItemId, Cursor)>,
    /// Items that are its own and wait for the next turn.
    pub(crate) spare: VecDeque<Item>,
    /// It has had an answer: from now on the store may be away for any time, …
    pub(crate) begun: bool,
    /// … and the stream for the length of a lease.
    pub(crate) missing_since: Option<Instant>,
    pub(crate) error: Option<Error>,
    /// News of finished generations reach it.
    pub(crate) is_told: bool,
}

impl Follower for Consumption {
    fn poke(&self) {
        self.news.notify_one();
    }

    fn fail(&self, error: Error) {
        lock(&self.state).error = Some(error);
        self.news.notify_one();
    }

    /// If it was given what is lost, it is told; other chunks may get those ids, which are not its own.
    fn lose(&self, to: Cursor) {
        {
            let mut state = lock(&self.state);
            let is_ahead = |seen: &Cursor| seen.generation == to.generation && seen.seq > to.seq;
            let Some((last, _)) = state.seen.filter(|(_, seen)| is_ahead(seen)) else {
                return;
            };
            let end = ItemId(last.0, to.seq);
            state.seen = Some((end, to));
            let mut gone = state.given.split_off(&ItemId(end.0, end.1 + 1));
            state.spare.retain(|item| {
                let is_kept = item.id <= end;
                if !is_kept {
                    gone.remove(&item.id);
                }
                is_kept
            });
            state.gone.extend(gone.into_keys());
        }
        self.fail(self.gap(to));
    }
}

impl State {
    /// Notes what it is given; returns whether it was given that before.
    fn give(&mut self, item: &Item) -> bool {
        if let Subject::Chunk(cursor) = item.subject
            && self.seen.is_none_or(|(last, _)| last < item.id)
        {
            self.seen = Some((item.id, cursor));
        }
        self.given.insert(item.id, item.deliveries) == Some(item.deliveries)
    }
}

impl Consumption {
    /// One that asks for nothing yet. `hub` is its stream's.
    pub fn new(consume: Consume, hub: Option<Arc<Hub>>) -> Self {
        Self {
            deadline: Instant::now() + consume.wait,
            consume,
            hub,
            news: Notify::new(),
            opened: Notify::new(),
            left: AtomicBool::new(false),
            state: Mutex::new(State {
                own: Some(ItemId::default()),
                unheard: None,
                lost: None,
                told: None,
                given: BTreeMap::new(),
                gone: BTreeSet::new(),
                seen: None,
                spare: VecDeque::new(),
                begun: false,
                missing_since: None,
                error: None,
                is_told: false,
            }),
        }
    }

    fn work(&self) -> Work<'_> {
        self.consume.stream.as_ref().map_or(Work::Finished, Work::Stream)
    }

    /// The next items, or the end; nothing when the consumer has left.
    pub async fn next(&self, context: &Context) -> Result<Handed> {
        let is_told = self.consume.stream.is_none() && lock(&self.state).is_told;
        let most = if is_told { LONG_PAUSE } else { PAUSE };
        let longest = jitter((self.consume.take.claim_idle / 2).clamp(SOON, most));
        let patience = Instant::now() + context.config().connect_timeout();
        let mut backoff = Backoff::default();
        let mut pause = if is_told { longest } else { SOON };
        loop {
            if let Some(error) = lock(&self.state).error.take() {
                return Err(error);
            }
            if self.left.load(Ordering::Acquire) {
                return Ok(Handed::default());
            }
            match self.ask(context).await {
                Ok(Some(handed)) => return Ok(handed),
                Ok(None) => {}
                Err(error) => {
                    let begun = lock(&self.state).begun;
                    if !error.is_retryable() || !begun && Instant::now() >= patience {
                        return Err(error);
                    }
                    tokio::time::sleep(backoff.next_delay()).await;
                    continue;
                }
            }
            tokio::select! {
                () = self.news.notified() => {
                    if is_told {
                        tokio::time::sleep(TOGETHER).await;
                    } else {
                        pause = SOON;
                    }
                }
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(longest),
            }
        }
    }

    /// What was delivered to it without its having heard of it.
    async fn unheard(&self, context: &Context) -> Result<Vec<Item>> {
        let mut items = Vec::new();
        loop {
            let Some(after) = lock(&self.state).unheard.filter(|_| items.is_empty()) else {
                return Ok(items);
            };
            let take = &self.consume.take;
            let repeat = Repeat {
                group: take.group.clone(),
                consumer: take.consumer.clone(),
                after,
                count: AT_ONCE,
                claim_idle: take.claim_idle,
                owner: take.owner.clone(),
            };
            let repeated = context.store().repeat(self.work(), &repeat).await?;
            let mut state = lock(&self.state);
            state.unheard = repeated.after;
            items = repeated.items;
            items.retain(|item| !state.give(item));
        }
    }

    /// `None`: nothing yet.
    async fn ask(&self, context: &Context) -> Result<Option<Handed>> {
        let mut items = self.at_hand(context).await?;
        if items.is_empty() {
            let Some(taken) = self.request(context).await? else {
                return Ok(None);
            };
            if taken.done.is_some() {
                return Ok(Some(Handed {
                    items: Vec::new(),
                    done: taken.done,
                }));
            }
            items = taken.items;
        }
        if self.left.load(Ordering::Acquire) {
            self.give_back(context, items.iter().map(|item| item.id).collect())
                .await;
            return Ok(None);
        }
        if items.is_empty() {
            return Ok(None);
        }
        let handed = self.load(context, items).await?;
        let lost = lock(&self.state).lost.filter(|_| handed.is_some());
        let Some(resume) = lost else { return Ok(handed) };
        let items = handed.map(|handed| handed.items).unwrap_or_default();
        self.spare(items.into_iter().map(|loaded| loaded.item));
        Err(self.gap(resume))
    }

    /// The items that are its own already.
    async fn at_hand(&self, context: &Context) -> Result<Vec<Item>> {
        let spare: Vec<_> = {
            let mut state = lock(&self.state);
            if state.told.is_some() {
                return Ok(Vec::new());
            }
            state.spare.drain(..).collect()
        };
        if spare.is_empty() {
            return self.unheard(context).await;
        }
        Ok(spare)
    }

    /// Asks for more items; `None` if the answer has none, nor the end.
    async fn request(&self, context: &Context) -> Result<Option<Taken>> {
        let take = {
            let state = lock(&self.state);
            Take {
                own: state.own,
                told: state.told,
                ..self.consume.take.clone()
            }
        };
        let taken = context.store().take(self.work(), &take).await;
        let taken = taken.inspect_err(|_| {
            // It may have been given some without having heard of it; which ones was counted.
            let mut state = lock(&self.state);
            state.own = None;
            state.unheard = Some(ItemId::default());
        })?;
        let Some(taken) = taken else {
            return self.missed(context.config().lease()).map(|()| None);
        };
        let mut state = lock(&self.state);
        for item in &taken.items {
            state.give(item);
        }
        state.begun = true;
        state.missing_since = None;
        if state.own.is_some() {
            state.own = taken
                .items
                .last()
                .map(|item| item.id)
                .filter(|_| taken.items.len() == take.count);
        }
        state.told = taken.lost;
        if taken.lost.is_some() {
            state.lost = taken.lost;
            self.news.notify_one();
            return Ok(None);
        }
        match state.lost {
            Some(resume) if taken.items.is_empty() => Err(self.gap(resume)),
            _ => Ok(Some(taken)),
        }
    }

    /// The stream is not there: it may still come, or its producer may put it back if the store has lost it.
    fn missed(&self, lease: Duration) -> Result<()> {
        let now = Instant::now();
        let mut state = lock(&self.state);
        let is_deleted = self
            .hub
            .as_ref()
            .and_then(|hub| hub.terminal())
            .is_some_and(|terminal| terminal.is_interrupted(InterruptReason::Deleted));
        let may_return = state.begun && !is_deleted && now < *state.missing_since.get_or_insert(now) + lease;
        if now < self.deadline || may_return {
            return Ok(());
        }
        Err(Error::NotFound {
            stream: self.stream_name(),
        })
    }

    /// Reads the data of as many items as go together; the others are spared. `None` if some are gone: then all are.
    async fn load(&self, context: &Context, items: Vec<Item>) -> Result<Option<Handed>> {
        let Some(stream) = &self.consume.stream else {
            let items = items.into_iter().map(|item| Loaded { item, data: None });
            return Ok(Some(Handed {
                items: items.collect(),
                done: None,
            }));
        };
        let mut items = VecDeque::from(items);
        let mut reader = Reader::default();
        let mut handed = Handed::default();
        let mut bytes = 0;
        while bytes < PAGE_BYTES {
            let Some(item) = items.pop_front() else { break };
            let Subject::Chunk(cursor) = item.subject else {
                continue;
            };
            let data = match reader.chunk(context, stream, cursor).await {
                Ok(Some(data)) => data,
                // A chunk that cannot be read now is retried later; one that is gone stays gone.
                Err(error) if error.is_retryable() => {
                    items.push_front(item);
                    self.spare(handed.items.into_iter().map(|loaded| loaded.item).chain(items));
                    return Err(error);
                }
                missing => {
                    let is_gone = |item: &Item| match item.subject {
                        Subject::Chunk(cursor) => missing.is_ok() && reader.is_gone(cursor),
                        Subject::Finished(_) => false,
                    };
                    let (gone, rest): (VecDeque<_>, VecDeque<_>) = items.into_iter().partition(is_gone);
                    self.spare(handed.items.into_iter().map(|loaded| loaded.item).chain(rest));
                    missing?;
                    let gone = std::iter::once(&item).chain(&gone);
                    let done = gone.map(|item| (item.id, Resolution::Done)).collect();
                    self.resolve(context, done).await;
                    let mut state = lock(&self.state);
                    state.lost = Some(reader.end_of_gap(cursor));
                    state.told = state.lost;
                    self.news.notify_one();
                    return Ok(None);
                }
            };
            bytes += data.len();
            handed.items.push(Loaded {
                item,
                data: Some(data),
            });
        }
        self.spare(items.into_iter());
        Ok(Some(handed))
    }

    fn spare(&self, items: impl Iterator<Item = Item>) {
        lock(&self.state).spare.extend(items);
    }

    /// These are its own no longer. The chunk that got the id of a lost one may be its own as well.
    pub fn resolved(&self, items: impl Iterator<Item = ItemId>) {
        let mut state = lock(&self.state);
        for id in items {
            if !state.gone.remove(&id) {
                state.given.remove(&id);
            }
        }
    }

    /// Whether an item that its host resolves is lost: the store must not hear of that.
    pub fn has_lost(&self, id: ItemId) -> bool {
        lock(&self.state).gone.contains(&id)
    }

    /// Its host has left it, and every item that is lost has been resolved.
    pub fn is_over(&self) -> bool {
        self.left.load(Ordering::Acquire) && lock(&self.state).gone.is_empty()
    }

    pub async fn give_back(&self, context: &Context, items: Vec<ItemId>) {
        let resolutions = items.into_iter().map(|id| (id, Resolution::Back)).collect();
        self.resolve(context, resolutions).await;
    }

    /// A failure does not matter: items that are not resolved are redelivered later.
    async fn resolve(&self, context: &Context, resolutions: Vec<(ItemId, Resolution)>) {
        let take = &self.consume.take;
        for part in resolutions.chunks(AT_ONCE) {
            let resolve = Resolve {
                group: take.group.clone(),
                consumer: take.consumer.clone(),
                resolutions: part.to_vec(),
                owner: take.owner.clone(),
            };
            let outcome = context.store().resolve(self.work(), &resolve).await;
            dropped(
                outcome,
                "items were not given back; they are once they have been held for too long",
            );
        }
    }

    fn gap(&self, resume: Cursor) -> Error {
        Error::Gap {
            stream: self.stream_name(),
            reason: format!("chunks of group {:?} are gone", self.consume.take.group),
            resume: resume.to_string(),
        }
    }

    fn stream_name(&self) -> String {
        self.consume
            .stream
            .as_ref()
            .map_or_else(String::new, ToString::to_string)
    }

    /// News of finished generations reach it from now on; some may have been missed.
    pub fn told(&self) {
        lock(&self.state).is_told = true;
        self.news.notify_one();
    }

    /// News of the finished generations, or that some may have been missed.
    pub fn hear(&self, news: Option<FinishedNews>) {
        if self.consume.stream.is_some() {
            return;
        }
        if news != Some(FinishedNews::Opened) {
            self.news.notify_one();
        }
        if news != Some(FinishedNews::Added) {
            self.opened.notify_one();
        }
    }

    pub fn leave(&self, handle: Handle) {
        self.left.store(true, Ordering::Release);
        self.news.notify_one();
        self.opened.notify_one();
        if let Some(hub) = &self.hub {
            hub.leave(handle);
        }
    }
}
