//! Consumers of groups: each asks for the next items of its work and waits until there are any.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};
use ulid::Ulid;

use super::{
    Engine, Inner, finished,
    hub::{Hub, Member, PAGE_BYTES},
    large::{self, Large},
    outbox::{Handle, Reply},
};
use crate::{
    Cursor, Error, Result, StreamId,
    backoff::{Backoff, jitter},
    frame::{Frame, Kind, Mark, Reference},
    store::{
        FinishedNews, OwnerCheck, Position, Read, Terminal,
        groups::{Dead, Item, ItemId, Resolve, Subject, Take, Verdict, Work},
    },
    sync::lock,
};

/// The first pause after news that brought nothing: what a local producer writes is heard of before it is stored.
const SOON: Duration = Duration::from_millis(20);
/// The longest pause between two questions: what others give up makes no noise …
const PAUSE: Duration = Duration::from_secs(1);
/// … nor does what a consumer of finished generations gives up, who has longer to deal with it.
const LONG_PAUSE: Duration = Duration::from_secs(30);
/// News of finished generations that come thick and fast are dealt with together.
const TOGETHER: Duration = Duration::from_millis(50);

/// So many items are resolved by one command.
const AT_ONCE: usize = 100;

/// What a consumer is made with.
#[derive(Debug, Clone)]
pub struct Consume {
    /// The stream; `None` for the finished generations of all.
    pub stream: Option<StreamId>,
    /// What to ask for, again and again.
    pub take: Take,
    /// How long to wait for a stream that does not exist.
    pub wait: Duration,
}

/// An item with its data.
#[derive(Debug)]
pub struct Loaded {
    /// The item.
    pub item: Item,
    /// A chunk's data, if it can still be read.
    pub data: Option<Data>,
}

/// A chunk's data.
#[derive(Debug)]
pub enum Data {
    /// As a frame holds it: text or bytes.
    Small(Kind, Vec<u8>),
    /// Kept in pieces.
    Large(Arc<Large>),
}

impl Data {
    fn len(&self) -> usize {
        match self {
            Self::Small(_, data) => data.len(),
            Self::Large(large) => large.data.len(),
        }
    }
}

/// What a consumer gets at once.
#[derive(Debug, Default)]
pub struct Handed {
    /// The next items.
    pub items: Vec<Loaded>,
    /// There will be no more: the last generation has ended like this.
    pub done: Option<Terminal>,
}

/// One consumer of a group.
pub(super) struct Consumption {
    consume: Consume,
    hub: Option<Arc<Hub>>,
    deadline: Instant,
    news: Notify,
    /// A generation is open, and none was before.
    pub(super) opened: Notify,
    left: AtomicBool,
    state: Mutex<State>,
}

struct State {
    /// While it gets back what it held in a life before.
    own: Option<ItemId>,
    /// Items that are its own and wait for the next turn.
    spare: VecDeque<Item>,
    /// It has had an answer: from now on the store may be away for any time, …
    begun: bool,
    /// … and the stream for the length of a lease.
    missing_since: Option<Instant>,
    error: Option<Error>,
    /// News of finished generations reach it.
    is_told: bool,
}

impl Member for Consumption {
    fn poke(&self) {
        self.news.notify_one();
    }

    fn fail(&self, error: Error) {
        lock(&self.state).error = Some(error);
        self.news.notify_one();
    }
}

impl Consumption {
    fn work(&self) -> Work<'_> {
        self.consume.stream.as_ref().map_or(Work::Finished, Work::Stream)
    }

    /// The next items, or the end; nothing when the consumer has left.
    async fn next(&self, inner: &Inner) -> Result<Handed> {
        let is_told = self.consume.stream.is_none() && lock(&self.state).is_told;
        let most = if is_told { LONG_PAUSE } else { PAUSE };
        let longest = jitter((self.consume.take.claim_idle / 2).clamp(SOON, most));
        let patience = Instant::now() + inner.config().connect_timeout();
        let mut backoff = Backoff::default();
        let mut pause = if is_told { longest } else { SOON };
        loop {
            if let Some(error) = lock(&self.state).error.take() {
                return Err(error);
            }
            if self.left.load(Ordering::Acquire) {
                return Ok(Handed::default());
            }
            match self.ask(inner).await {
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

    /// `None`: nothing yet.
    async fn ask(&self, inner: &Inner) -> Result<Option<Handed>> {
        let spare: Vec<_> = lock(&self.state).spare.drain(..).collect();
        let items = if spare.is_empty() {
            let take = Take {
                own: lock(&self.state).own,
                ..self.consume.take.clone()
            };
            let Some(taken) = inner.store().take(self.work(), &take).await? else {
                return self.missed(inner.config().lease()).map(|()| None);
            };
            let mut state = lock(&self.state);
            state.begun = true;
            state.missing_since = None;
            if state.own.is_some() {
                state.own = taken
                    .items
                    .last()
                    .map(|item| item.id)
                    .filter(|_| taken.items.len() == take.count);
            }
            drop(state);
            if let Some(resume) = taken.lost {
                return Err(self.gap(resume));
            }
            if taken.done.is_some() {
                return Ok(Some(Handed {
                    items: Vec::new(),
                    done: taken.done,
                }));
            }
            taken.items
        } else {
            spare
        };
        if self.left.load(Ordering::Acquire) {
            self.give_back(inner, items.iter().map(|item| item.id).collect())
                .await;
            return Ok(None);
        }
        if items.is_empty() {
            return Ok(None);
        }
        self.load(inner, items).await.map(Some)
    }

    /// The stream is not there: it may still come, or its producer may put it back if the store has lost it.
    fn missed(&self, lease: Duration) -> Result<()> {
        let now = Instant::now();
        let mut state = lock(&self.state);
        let is_deleted = self
            .hub
            .as_ref()
            .and_then(|hub| hub.terminal())
            .is_some_and(|terminal| terminal.reason == "deleted");
        let may_return = state.begun && !is_deleted && now < *state.missing_since.get_or_insert(now) + lease;
        if now < self.deadline || may_return {
            return Ok(());
        }
        Err(Error::NotFound {
            stream: self.stream_name(),
        })
    }

    /// Reads the data of as many items as go together; the others are spared.
    async fn load(&self, inner: &Inner, items: Vec<Item>) -> Result<Handed> {
        let Some(stream) = &self.consume.stream else {
            let items = items.into_iter().map(|item| Loaded { item, data: None });
            return Ok(Handed {
                items: items.collect(),
                done: None,
            });
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
            let data = match reader.chunk(inner, stream, cursor).await {
                Ok(Some(data)) => data,
                // What cannot be read now is asked for again; what is gone will not come back.
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
                    let resume = gone.back().map_or(cursor, |last| match last.subject {
                        Subject::Chunk(cursor) => cursor,
                        Subject::Finished(_) => cursor,
                    });
                    let gone = std::iter::once(&item).chain(&gone);
                    let done = gone.map(|item| (item.id, Verdict::Done)).collect();
                    self.resolve(inner, done).await;
                    return Err(self.gap(resume));
                }
            };
            bytes += data.len();
            handed.items.push(Loaded {
                item,
                data: Some(data),
            });
        }
        self.spare(items.into_iter());
        Ok(handed)
    }

    fn spare(&self, items: impl Iterator<Item = Item>) {
        lock(&self.state).spare.extend(items);
    }

    async fn give_back(&self, inner: &Inner, items: Vec<ItemId>) {
        let verdicts = items.into_iter().map(|id| (id, Verdict::Back)).collect();
        self.resolve(inner, verdicts).await;
    }

    /// A failure is of no consequence: what is not resolved is handed out again in time.
    async fn resolve(&self, inner: &Inner, verdicts: Vec<(ItemId, Verdict)>) {
        let take = &self.consume.take;
        for part in verdicts.chunks(AT_ONCE) {
            let resolve = Resolve {
                group: take.group.clone(),
                consumer: take.consumer.clone(),
                verdicts: part.to_vec(),
                owner: take.owner.clone(),
            };
            let _ = inner.store().resolve(self.work(), &resolve).await;
        }
    }

    fn gap(&self, resume: Cursor) -> Error {
        Error::Gap {
            stream: self.stream_name(),
            reason: format!(
                "chunks that group {:?} has not done are gone",
                self.consume.take.group
            ),
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
    pub(super) fn told(&self) {
        lock(&self.state).is_told = true;
        self.news.notify_one();
    }

    /// News of the finished generations, or that some may have been missed.
    pub(super) fn hear(&self, news: Option<FinishedNews>) {
        if self.consume.stream.is_some() {
            return;
        }
        if news != Some(FinishedNews::Open) {
            self.news.notify_one();
        }
        if news != Some(FinishedNews::Added) {
            self.opened.notify_one();
        }
    }

    pub(super) fn leave(&self, handle: Handle) {
        self.left.store(true, Ordering::Release);
        self.news.notify_one();
        self.opened.notify_one();
        if let Some(hub) = &self.hub {
            hub.leave(handle);
        }
    }
}

/// Reads single chunks, which mostly follow each other.
#[derive(Default)]
struct Reader {
    /// Of the page that was read last.
    generation: Option<Ulid>,
    frames: Vec<Frame>,
    /// After the chunk that was found last: its frame, the next seq and where that is.
    at: Option<(usize, u64, Mark)>,
}

impl Reader {
    /// A chunk's data; `None` when it is gone.
    async fn chunk(&mut self, inner: &Inner, stream: &StreamId, cursor: Cursor) -> Result<Option<Data>> {
        let mut found = self.find(cursor);
        if found.is_none() {
            self.read(inner, stream, cursor).await?;
            found = self.find(cursor);
        }
        let Some((kind, data)) = found else {
            return Ok(None);
        };
        match Reference::decode(&data).filter(|_| kind == Kind::Large) {
            None => Ok(Some(Data::Small(kind, data))),
            Some(reference) => {
                let large = large::whole(inner, stream, reference, cursor.seq).await?;
                Ok(large.map(Data::Large))
            }
        }
    }

    async fn read(&mut self, inner: &Inner, stream: &StreamId, cursor: Cursor) -> Result<()> {
        let read = Read {
            position: Position::After {
                generation: cursor.generation,
                seq: cursor.seq - 1,
            },
            max_bytes: PAGE_BYTES,
            owner: OwnerCheck::Internal,
        };
        let permit = inner.reads().acquire().await;
        let page = inner.store().read(stream, &read).await;
        drop(permit);
        self.generation = Some(cursor.generation);
        self.at = None;
        let page = page?.filter(|page| !page.lost);
        self.frames = page.map(|page| page.frames).unwrap_or_default();
        Ok(())
    }

    fn find(&mut self, cursor: Cursor) -> Option<(Kind, Vec<u8>)> {
        let Cursor { generation, seq } = cursor;
        if self.generation? != generation {
            return None;
        }
        let index = self.frames.partition_point(|frame| frame.last() < seq);
        let frame = self.frames.get(index).filter(|frame| frame.first() <= seq)?;
        let near = self.at.filter(|(frame, next, _)| *frame == index && *next <= seq);
        let (next, mut chunks) = match near {
            Some((_, next, mark)) => (next, frame.chunks_from(mark)),
            None => (frame.first(), frame.chunks()),
        };
        let chunk = chunks.nth(usize::try_from(seq - next).ok()?)?;
        let found = (chunk.kind, chunk.data.to_vec());
        self.at = Some((index, seq + 1, chunks.mark()));
        Some(found)
    }

    /// Whether a chunk is gone as well as the one that was just looked for in vain, which comes before it.
    fn is_gone(&self, cursor: Cursor) -> bool {
        let first = self.frames.first();
        self.generation == Some(cursor.generation) && first.is_none_or(|frame| cursor.seq < frame.first())
    }
}

impl Engine {
    /// Joins a group; [`Engine::take`] gets its items.
    pub fn consume(&self, consume: Consume) -> Result<Handle> {
        let inner = &self.inner;
        inner.check_open()?;
        let handle = inner.next_handle();
        let stream = consume.stream.clone();
        let make = |hub| {
            Arc::new(Consumption {
                deadline: Instant::now() + consume.wait,
                consume,
                hub,
                news: Notify::new(),
                opened: Notify::new(),
                left: AtomicBool::new(false),
                state: Mutex::new(State {
                    own: Some(ItemId::default()),
                    spare: VecDeque::new(),
                    begun: false,
                    missing_since: None,
                    error: None,
                    is_told: false,
                }),
            })
        };
        let consumption = if let Some(stream) = stream {
            inner.with_hub(&stream, |hub| {
                let consumption = make(Some(Arc::clone(hub)));
                hub.join(inner, handle, Arc::clone(&consumption) as Arc<dyn Member>);
                consumption
            })
        } else {
            let consumption = make(None);
            inner.spawn(finished::audit(
                Arc::downgrade(inner),
                Arc::downgrade(&consumption),
            ));
            consumption
        };
        lock(&inner.consumptions).insert(handle, consumption);
        Ok(handle)
    }

    /// Waits for a consumer's next items.
    pub async fn take(self, consumer: Handle) -> Result<Reply> {
        let consumption = lock(&self.inner.consumptions).get(&consumer).cloned();
        // The host asks no more once it has left.
        let consumption = consumption.ok_or(Error::Closed)?;
        consumption.next(&self.inner).await.map(Reply::Handed)
    }

    /// Ends a consumer: what it was handed and has not begun is everybody's again.
    pub async fn leave(self, consumer: Handle, mut untouched: Vec<ItemId>) -> Result<Reply> {
        let inner = &self.inner;
        let consumption = lock(&inner.consumptions).remove(&consumer);
        if let Some(consumption) = consumption {
            consumption.leave(consumer);
            let spare = std::mem::take(&mut lock(&consumption.state).spare);
            untouched.extend(spare.into_iter().map(|item| item.id));
            consumption.give_back(inner, untouched).await;
        }
        Ok(Reply::Unit)
    }

    /// Says what becomes of a group's items.
    pub async fn resolve(self, stream: Option<StreamId>, resolve: Resolve) -> Result<Reply> {
        let inner = &self.inner;
        inner.check_open()?;
        let work = stream.as_ref().map_or(Work::Finished, Work::Stream);
        for part in resolve.verdicts.chunks(AT_ONCE) {
            let part = Resolve {
                group: resolve.group.clone(),
                consumer: resolve.consumer.clone(),
                verdicts: part.to_vec(),
                owner: resolve.owner.clone(),
            };
            inner.retry(|| inner.store().resolve(work, &part)).await?;
        }
        Ok(Reply::Unit)
    }

    /// The groups of a stream, or those that wait for finished generations.
    pub async fn groups(self, stream: Option<StreamId>) -> Result<Reply> {
        let inner = &self.inner;
        inner.check_open()?;
        let work = stream.as_ref().map_or(Work::Finished, Work::Stream);
        inner
            .retry(|| inner.store().groups(work))
            .await
            .map(Reply::Groups)
    }

    /// A page of a group's dead letters.
    pub async fn dead(self, stream: Option<StreamId>, dead: Dead) -> Result<Reply> {
        let inner = &self.inner;
        inner.check_open()?;
        let work = stream.as_ref().map_or(Work::Finished, Work::Stream);
        let items = inner.retry(|| inner.store().dead(work, &dead)).await?;
        let mut reader = Reader::default();
        let mut handed = Handed::default();
        let mut bytes = 0;
        for item in items {
            let data = match (&stream, &item.subject) {
                // One that cannot be read is a dead letter nevertheless.
                (Some(stream), Subject::Chunk(cursor)) => {
                    reader.chunk(inner, stream, *cursor).await.unwrap_or_default()
                }
                _ => None,
            };
            bytes += data.as_ref().map_or(0, Data::len);
            handed.items.push(Loaded { item, data });
            if bytes >= PAGE_BYTES {
                break;
            }
        }
        Ok(Reply::Handed(handed))
    }
}
