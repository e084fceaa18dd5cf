//! The state of a subscription: its reader's position, and the chunks for it.

use tokio::task::AbortHandle;
use ulid::Ulid;

use super::{
    loading::{Load, Tail},
    page::{LogPage, Pace},
    window::Window,
};
use crate::{
    Cursor,
    engine::{events::Handle, produce::producer::CHUNK_COST, sink::Sink},
    model::{ending::End, frame::Frame},
    sse::Framing,
};

/// What a subscription changes while it delivers.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) cursor: Option<Cursor>,
    pub(crate) announced: Option<Ulid>,
    pub(crate) credit: i64,
    pub(crate) window: Option<Window>,
    pub(crate) page: LogPage,
    /// The large chunk that comes next, when it has to be fetched.
    pub(crate) load: Option<Load>,
    /// The undelivered rest of a large chunk.
    pub(crate) tail: Option<Tail>,
    pub(crate) pace: Pace,
    pub(crate) framing: Option<Framing>,
    /// How many chunks were passed since the last pull began.
    pub(crate) passed: usize,
    /// The generation has been read to its end; the next one is awaited.
    pub(crate) between: bool,
    /// The generation that had a later one already when the reader came to it.
    pub(crate) outdated: Option<Ulid>,
    pub(crate) fetching: bool,
    /// The task that finds its place.
    pub(crate) attaching: Option<AbortHandle>,
    /// The task that fetches its next page.
    pub(crate) task: Option<AbortHandle>,
    pub(crate) watch: Option<AbortHandle>,
    pub(crate) end: Option<End>,
    pub(crate) over: bool,
}

impl State {
    /// An event stream begins once there is a cursor to read from; earlier errors go to its caller.
    pub(super) fn open(&mut self, handle: Handle, sink: &mut dyn Sink) {
        let is_refused = self.end.is_some() && self.page.frames.is_empty();
        if let Some(framing) = &mut self.framing
            && !framing.is_open()
            && self.cursor.is_some()
            && !is_refused
        {
            sink.piece(handle, None, &mut |out| framing.open(out));
        }
    }

    /// The rest of the page has to be read again.
    pub(super) fn drop_page(&mut self) {
        // The error was found behind the frames of this page, and must not be delivered before them.
        if !self.page.frames.is_empty() && self.end.is_none() {
            if let Some(task) = self.task.take_if(|_| self.fetching) {
                task.abort();
            }
            self.fetching = false;
            self.page.let_go();
            self.pace.falls_back();
        }
    }

    /// Whether it holds nothing that could be dropped and read again later.
    pub(super) fn is_light(&self) -> bool {
        self.page.frames.is_empty() && self.tail.as_ref().is_none_or(Tail::is_dropped)
    }

    /// Takes a frame from the hub, if nothing comes before it and there is room for all of it.
    pub(super) fn take(&mut self, generation: Ulid, frame: &Frame) -> bool {
        let (first, last) = (frame.first(), frame.last());
        let before = Cursor {
            generation,
            seq: first - 1,
        };
        // Its chunks cost no more.
        let most = frame.size() as u64 + u64::from(CHUNK_COST) * (last - before.seq);
        let takes = self.cursor == Some(before)
            && self.announced == Some(generation)
            && self.is_idle()
            && u64::try_from(self.credit).is_ok_and(|credit| credit >= most)
            && self
                .window
                .as_ref()
                .is_none_or(|window| window.has_room(last - 1));
        if takes {
            if let Some(window) = &mut self.window {
                window.deliver(before.seq);
                window.deliver(last - 1);
            }
            self.cursor = Some(Cursor {
                generation,
                seq: last,
            });
        }
        takes
    }

    /// Whether it waits for nothing but news.
    fn is_idle(&self) -> bool {
        let has_page = !self.page.frames.is_empty() || self.page.more || self.page.end.is_some();
        let is_busy = self.fetching || self.load.is_some() || self.tail.is_some();
        !(has_page || is_busy || self.between || self.over || self.end.is_some())
    }

    /// Whether it has been given this chunk.
    pub(super) fn has(&self, generation: Ulid, seq: u64) -> bool {
        self.cursor
            .is_some_and(|cursor| cursor.generation == generation && cursor.seq >= seq)
    }

    /// What it was given costs this much.
    pub(super) fn pay(&mut self, cost: u64) {
        self.credit -= i64::try_from(cost).unwrap_or(i64::MAX);
    }

    /// Whether another chunk may be delivered.
    pub(super) fn has_room(&self) -> bool {
        let within = |window: &Window| self.cursor.is_none_or(|cursor| window.has_room(cursor.seq));
        self.credit > 0 && self.window.as_ref().is_none_or(within)
    }
}
