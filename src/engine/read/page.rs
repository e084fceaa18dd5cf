//! The page of the log that is being delivered to a reader, with the next one read ahead, and how long they may wait for the reader.
//!
//! A slow reader keeps its page, since dropping it would only cost another read. A reader that stands still does not.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::hub::PAGE_BYTES;
use crate::model::{ending::Terminal, frame::Frame};

/// The size of a reader's first page: enough to begin with, and soon read and inflated. Whoever takes it gets large ones.
const FIRST_BYTES: usize = 16 * 1024;
/// The page after one that was dropped.
const LEAST_BYTES: usize = 16 * 1024;
/// A page that is taken so quickly may be followed by a larger one.
const TAKEN_WITHIN: Duration = Duration::from_secs(1);
/// A reader that has taken nothing for this long stands still; one that has never asked for anything, sooner.
const STILL: Duration = Duration::from_secs(5);
const UNASKED: Duration = Duration::from_secs(1);
/// The most bytes that pages of readers out of credit may hold together. Beyond it, the next reader to stop drops its page at once.
const MOST_HELD: usize = 16 * 1024 * 1024;

/// What is left of the pages that were read: of the last one, or of the last two.
#[derive(Default)]
pub(crate) struct LogPage {
    pub frames: VecDeque<Frame>,
    /// How many frames the last one brought; what is left of the one before stands before them.
    pub newest: usize,
    pub end: Option<Terminal>,
    pub more: bool,
    /// It brought nothing.
    pub idle: bool,
    /// When it was read.
    pub since: Option<Instant>,
    held: Option<Held>,
}

impl LogPage {
    /// Whether the next page may be read already: the one before this one has been taken.
    pub fn may_read_ahead(&self) -> bool {
        self.more && (1..=self.newest).contains(&self.frames.len())
    }

    /// The last seq that its frames hold, or that of its reader's cursor.
    pub fn reach(&self, cursor: u64) -> u64 {
        self.frames
            .back()
            .map_or(cursor, |frame| frame.last().max(cursor))
    }

    /// Its reader takes it.
    pub fn release(&mut self) {
        self.held = None;
    }

    /// Its reader has stopped; returns whether the page may wait. `all` counts the bytes of all pages.
    pub fn hold(&mut self, all: &Arc<AtomicUsize>) -> bool {
        if self.held.is_none() {
            self.held = Held::new(all, self.frames.iter().map(Frame::size).sum());
        }
        self.held.is_some()
    }

    /// Leaves the rest to be read again.
    pub fn let_go(&mut self) {
        *self = Self {
            more: true,
            ..Self::default()
        };
    }
}

/// A share of the bytes of all pages.
struct Held {
    all: Arc<AtomicUsize>,
    bytes: usize,
}

impl Held {
    fn new(all: &Arc<AtomicUsize>, bytes: usize) -> Option<Self> {
        let before = all.fetch_add(bytes, Ordering::Relaxed);
        // On drop it subtracts what it has added.
        let held = Self {
            all: Arc::clone(all),
            bytes,
        };
        (before + bytes <= MOST_HELD).then_some(held)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.all.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// How fast a reader takes its chunks.
pub(crate) struct Pace {
    /// How much the next page is to hold.
    bytes: usize,
    /// A page of its was dropped: the next ones grow slowly.
    was_dropped: bool,
    /// It has asked for more than its initial credit.
    has_asked: bool,
    /// When it was last given something.
    moved: Option<Instant>,
    /// Somebody watches for it to stand still.
    pub is_watched: bool,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            bytes: FIRST_BYTES,
            was_dropped: false,
            has_asked: false,
            moved: None,
            is_watched: false,
        }
    }
}

impl Pace {
    /// The reader asks for more.
    pub fn ask(&mut self) {
        self.has_asked = true;
    }

    /// Whether it has asked for more than its initial credit.
    pub fn has_asked(&self) -> bool {
        self.has_asked
    }

    /// It was given something.
    pub fn moves(&mut self) {
        self.moved = Some(Instant::now());
    }

    /// How much its next page is to hold.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The same once it has taken this one. `all` counts the bytes of all readers' pages.
    pub fn bytes_after(&mut self, page: &LogPage, all: &AtomicUsize) -> usize {
        let is_quick = page.since.is_some_and(|since| since.elapsed() < TAKEN_WITHIN);
        if is_quick && all.load(Ordering::Relaxed) < MOST_HELD / 2 {
            let larger = if self.was_dropped {
                2 * self.bytes
            } else {
                PAGE_BYTES
            };
            self.bytes = PAGE_BYTES.min(larger);
        }
        self.bytes
    }

    /// A page of its was dropped.
    pub fn falls_back(&mut self) {
        self.bytes = LEAST_BYTES;
        self.was_dropped = true;
    }

    /// How long its page may wait from now on; `None`: it stands still.
    pub fn patience(&self, page: &LogPage) -> Option<Duration> {
        let patience = if self.has_asked { STILL } else { UNASKED };
        let since = self.moved.max(page.since)?;
        let left = patience.saturating_sub(since.elapsed());
        (!left.is_zero()).then_some(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::frame::{FrameBuilder, Kind};

    fn of(bytes: usize) -> LogPage {
        let mut builder = FrameBuilder::default();
        for chunk in vec![0; bytes].chunks(1 << 20) {
            builder.push(Kind::Bytes, chunk);
        }
        let frame = builder.take(usize::MAX, usize::MAX).unwrap().at(1);
        LogPage {
            frames: VecDeque::from([frame]),
            since: Some(Instant::now()),
            ..LogPage::default()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_moves_keeps_its_page_and_one_that_stands_still_does_not() {
        let page = of(1);
        let mut reader = Pace::default();
        assert_eq!(reader.patience(&page), Some(UNASKED), "it has not asked yet");
        tokio::time::advance(UNASKED).await;
        assert_eq!(reader.patience(&page), None);
        reader.ask();
        assert_eq!(reader.patience(&page), Some(STILL.saturating_sub(UNASKED)));
        for _ in 0..10 {
            tokio::time::advance(STILL.mul_f64(0.9)).await;
            reader.moves();
            assert_eq!(reader.patience(&page), Some(STILL));
        }
        tokio::time::advance(STILL).await;
        assert_eq!(reader.patience(&page), None);
    }

    #[tokio::test(start_paused = true)]
    async fn pages_are_small_for_those_who_do_not_take_them() {
        let all = AtomicUsize::new(0);
        let mut reader = Pace::default();
        assert_eq!(reader.bytes(), FIRST_BYTES);
        reader.ask();
        assert_eq!(
            reader.bytes(),
            FIRST_BYTES,
            "the first one is soon there for everybody"
        );
        reader.falls_back();
        reader.ask();
        assert_eq!(reader.bytes(), LEAST_BYTES);
        let quick = of(1);
        assert_eq!(reader.bytes_after(&quick, &all), 2 * LEAST_BYTES);
        tokio::time::advance(TAKEN_WITHIN).await;
        assert_eq!(
            reader.bytes_after(&quick, &all),
            2 * LEAST_BYTES,
            "this one has taken long"
        );
        let quick = of(1);
        all.store(MOST_HELD / 2, Ordering::Relaxed);
        assert_eq!(
            reader.bytes_after(&quick, &all),
            2 * LEAST_BYTES,
            "others have much"
        );
        all.store(0, Ordering::Relaxed);
        for _ in 0..9 {
            reader.bytes_after(&quick, &all);
        }
        assert_eq!(reader.bytes(), PAGE_BYTES);
    }

    #[test]
    fn one_page_is_read_ahead_and_no_more() {
        let mut page = LogPage {
            more: true,
            newest: 1,
            ..of(1)
        };
        assert!(page.may_read_ahead());
        page.frames.extend(of(1).frames);
        assert!(!page.may_read_ahead(), "something is left of the one before");
        page.frames.pop_front();
        assert!(page.may_read_ahead());
        page.more = false;
        assert!(!page.may_read_ahead(), "there is no more");
        page.let_go();
        assert!(
            !page.may_read_ahead(),
            "nothing is left that a further one could follow"
        );
    }

    #[test]
    fn what_all_readers_leave_is_bounded_and_counted_exactly() {
        let all = Arc::default();
        let mut pages: Vec<_> = (0..5).map(|_| of(MOST_HELD / 4 - 100)).collect();
        let may_wait: Vec<_> = pages.iter_mut().map(|page| page.hold(&all)).collect();
        assert_eq!(may_wait, [true, true, true, true, false]);
        assert!(pages[0].hold(&all), "counted once");
        let each = pages[0].frames[0].size();
        assert_eq!(all.load(Ordering::Relaxed), 4 * each);
        pages[0].release();
        pages[1].let_go();
        assert!(pages[1].frames.is_empty() && pages[1].more);
        pages.remove(2);
        assert_eq!(all.load(Ordering::Relaxed), each);
        assert!(pages[3].hold(&all), "there is room again");
        pages.clear();
        assert_eq!(all.load(Ordering::Relaxed), 0);
    }
}
