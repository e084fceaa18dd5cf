//! What a process knows of a live stream: the bounded ring of recent frames, and where the log ends.

use std::collections::VecDeque;

use ulid::Ulid;

use crate::{
    model::{ending::Terminal, frame::Frame},
    store::{Head, Page},
};

/// The ring keeps at most this many frames …
const MAX_FRAMES: usize = 256;
/// … and at most this many encoded bytes, except that it always keeps the newest frame.
const MAX_BYTES: usize = 256 * 1024;

/// The news in a message or a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// Nothing new.
    Nothing,
    /// Readers may have something to do.
    Change,
    /// Something is missing: the log has to be read from [`Ring::tail`] on.
    Hole,
}

/// The result of a look after a reader's position.
#[derive(Debug, Clone)]
pub enum Next {
    /// This frame holds the next chunk.
    Frame(Frame),
    /// So does this one, and nothing follows it yet.
    Newest(Frame),
    /// The generation is over.
    Terminal(Terminal),
    /// Nothing yet.
    Wait,
    /// Only the log knows.
    Log,
}

/// See the module. `tail` is `None` until the end of the log has been seen.
#[derive(Debug, Default)]
pub struct Ring {
    generation: Option<Ulid>,
    base: u64,
    tail: Option<u64>,
    frames: VecDeque<Frame>,
    bytes: usize,
    terminal: Option<(u64, Terminal)>,
    /// A frame came while the tail was not known.
    missed: bool,
}

impl Ring {
    /// The generation it is of.
    pub fn generation(&self) -> Option<Ulid> {
        self.generation
    }

    /// The last seq that is known to follow without a hole.
    pub fn tail(&self) -> Option<u64> {
        self.tail
    }

    /// Whether this chunk is known to be followed without a hole.
    pub fn knows(&self, generation: Ulid, seq: u64) -> bool {
        self.generation == Some(generation) && self.tail.is_some_and(|tail| seq <= tail)
    }

    /// How the generation ended.
    pub fn terminal(&self) -> Option<&Terminal> {
        self.terminal.as_ref().map(|(_, terminal)| terminal)
    }

    /// Whether the ring holds the generation from its first chunk on; its base then.
    pub fn whole(&self) -> Option<(Ulid, u64)> {
        let first = self
            .frames
            .front()
            .map_or(self.tail, |frame| Some(frame.first() - 1))?;
        (first <= self.base).then_some((self.generation?, self.base))
    }

    /// There is a generation that begins after `base`, and has come to `tail`.
    pub fn start(&mut self, generation: Ulid, base: u64, tail: u64) -> News {
        if self.generation == Some(generation) {
            return News::Nothing;
        }
        *self = Self {
            generation: Some(generation),
            base,
            tail: Some(tail),
            ..Self::default()
        };
        News::Change
    }

    /// A frame was appended (or will be, by the local producer); `None` when only its last seq is known.
    pub fn offer(&mut self, generation: Ulid, last: u64, frame: Option<Frame>) -> News {
        if self.generation != Some(generation) {
            return News::Hole;
        }
        let Some(tail) = self.tail else {
            self.missed = true;
            return News::Nothing;
        };
        if last <= tail {
            return News::Nothing;
        }
        match frame {
            Some(frame) if frame.first() <= tail + 1 => {
                self.push(frame);
                News::Change
            }
            _ => News::Hole,
        }
    }

    /// A generation has ended after `last`.
    pub fn end(&mut self, generation: Ulid, last: u64, terminal: Terminal) -> News {
        if self.generation != Some(generation) {
            return News::Hole;
        }
        if self.terminal.is_some() {
            return News::Nothing;
        }
        self.terminal = Some((last, terminal));
        if self.tail.is_none_or(|tail| tail < last) {
            News::Hole
        } else {
            News::Change
        }
    }

    /// The stream is gone: nothing follows the frames in the ring.
    pub fn abandon(&mut self, last: u64, terminal: Terminal) -> News {
        self.terminal = Some((last, terminal));
        News::Change
    }

    /// There are no readers: frames that do not reach back to the beginning are dropped, since a new reader reads the log
    /// first. A whole ring serves local readers while the store is away.
    pub fn let_go(&mut self) {
        if self.whole().is_none() {
            self.frames.clear();
            self.bytes = 0;
        }
    }

    /// The ring cannot be continued: every reader has to read the log.
    pub fn lose_track(&mut self) {
        self.tail = None;
        self.frames.clear();
        self.bytes = 0;
    }

    /// Some of what is here was never written, or is lost.
    pub fn retract(&mut self) {
        self.lose_track();
        self.terminal = None;
    }

    /// A page of the log was read.
    pub fn observe(&mut self, page: &Page) -> News {
        let Head {
            generation,
            base,
            seq,
            ..
        } = page.head;
        let mut news = News::Nothing;
        if self.generation != Some(generation) {
            *self = Self {
                generation: Some(generation),
                base,
                ..Self::default()
            };
            news = News::Change;
        }
        if page.generation == generation {
            for frame in &page.frames {
                let at = self.tail.unwrap_or(page.after);
                if frame.first() <= at + 1 && frame.last() > at {
                    self.push(frame.clone());
                    news = News::Change;
                }
            }
        }
        // Whatever could not be joined to the ring is left to the log.
        if self.tail.is_none_or(|tail| tail < seq) {
            self.frames.clear();
            self.bytes = 0;
            self.tail = Some(seq);
            news = News::Change;
        }
        if let Some(terminal) = &page.head.terminal
            && self.terminal.is_none()
        {
            self.terminal = Some((seq, terminal.clone()));
            news = News::Change;
        }
        if std::mem::take(&mut self.missed) {
            News::Hole
        } else {
            news
        }
    }

    /// The frames after `seq` of `generation`.
    pub fn next(&self, generation: Ulid, seq: u64) -> Next {
        let (true, Some(tail)) = (self.generation == Some(generation), self.tail) else {
            return Next::Log;
        };
        if seq < tail {
            if let Some(newest) = self.frames.back().filter(|frame| frame.first() == seq + 1) {
                return if self.terminal.is_none() {
                    Next::Newest(newest.clone())
                } else {
                    Next::Frame(newest.clone())
                };
            }
            return match self.frames.front() {
                Some(first) if first.first() <= seq + 1 => {
                    let index = self.frames.partition_point(|frame| frame.last() <= seq);
                    self.frames.get(index).cloned().map_or(Next::Log, Next::Frame)
                }
                _ => Next::Log,
            };
        }
        match &self.terminal {
            // A reader past the end has seen chunks that the store has lost; nothing more will come.
            Some((last, terminal)) if seq >= *last => Next::Terminal(terminal.clone()),
            Some(_) => Next::Log,
            None => Next::Wait,
        }
    }

    fn push(&mut self, frame: Frame) {
        self.tail = Some(frame.last());
        self.bytes += frame.size();
        self.frames.push_back(frame);
        while self.frames.len() > 1 && (self.frames.len() > MAX_FRAMES || self.bytes > MAX_BYTES) {
            if let Some(oldest) = self.frames.pop_front() {
                self.bytes -= oldest.size();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::{
        ending::Outcome,
        frame::{FrameBuilder, Kind},
    };

    fn frame(first: u64, count: u64) -> Frame {
        let mut builder = FrameBuilder::default();
        for n in first..first + count {
            builder.push(Kind::Text, format!("chunk {n}").as_bytes());
        }
        builder.take(usize::MAX, usize::MAX).unwrap().at(first)
    }

    fn generation(n: u64) -> Ulid {
        Ulid::from_parts(n, 0)
    }

    fn terminal() -> Terminal {
        Terminal {
            outcome: Outcome::Complete,
            reason: String::new(),
        }
    }

    fn page(g: Ulid, after: u64, frames: Vec<Frame>, seq: u64) -> Page {
        Page {
            head: Head {
                generation: g,
                base: 0,
                seq,
                terminal: None,
                lease_left: Duration::from_secs(1),
                doubt: None,
                vouched: None,
            },
            generation: g,
            base: 0,
            after,
            frames,
            terminal: None,
            more: false,
            lost: false,
            log: None,
        }
    }

    #[test]
    fn frames_join_in_order_and_echoes_are_dropped() {
        let g = generation(1);
        let mut ring = Ring::default();
        assert_eq!(ring.start(g, 0, 0), News::Change);
        assert_eq!(ring.offer(g, 2, Some(frame(1, 2))), News::Change);
        assert_eq!(ring.offer(g, 2, Some(frame(1, 2))), News::Nothing);
        assert_eq!(ring.offer(g, 5, Some(frame(4, 2))), News::Hole);
        assert_eq!(
            ring.offer(g, 4, Some(frame(2, 3))),
            News::Change,
            "an overlap is joined"
        );
        assert_eq!(ring.tail(), Some(4));
        assert!(matches!(ring.next(g, 0), Next::Frame(f) if f.first() == 1));
        assert!(matches!(ring.next(g, 2), Next::Frame(f) if f.last() == 4));
        assert!(matches!(ring.next(g, 4), Next::Wait));
        assert!(matches!(ring.next(generation(2), 4), Next::Log));
    }

    #[test]
    fn the_end_is_told_only_after_every_chunk() {
        let g = generation(1);
        let mut ring = Ring::default();
        ring.start(g, 0, 0);
        assert_eq!(ring.end(g, 2, terminal()), News::Hole, "two chunks are missing");
        assert!(matches!(ring.next(g, 0), Next::Log));
        assert_eq!(ring.observe(&page(g, 0, vec![frame(1, 2)], 2)), News::Change);
        assert!(matches!(ring.next(g, 1), Next::Frame(_)));
        assert!(matches!(ring.next(g, 2), Next::Terminal(_)));
    }

    #[test]
    fn a_frame_that_overtakes_the_first_page_forces_another_read() {
        let g = generation(1);
        let mut ring = Ring::default();
        assert_eq!(ring.offer(g, 1, Some(frame(1, 1))), News::Hole);
        ring.observe(&page(g, 0, vec![], 0));
        let mut ring = Ring {
            generation: Some(g),
            ..Ring::default()
        };
        assert_eq!(ring.offer(g, 1, Some(frame(1, 1))), News::Nothing);
        assert_eq!(ring.observe(&page(g, 0, vec![], 0)), News::Hole);
    }

    #[test]
    fn a_jump_leaves_the_rest_to_the_log() {
        let g = generation(1);
        let mut ring = Ring::default();
        ring.observe(&page(g, 0, vec![frame(1, 2)], 2));
        ring.observe(&page(g, 2, vec![frame(3, 2)], 9));
        assert_eq!(ring.tail(), Some(9));
        assert!(matches!(ring.next(g, 4), Next::Log));
        assert!(matches!(ring.next(g, 9), Next::Wait));
    }

    #[test]
    fn g1_a_ring_that_cannot_be_continued_sends_everybody_to_the_log() {
        let g = generation(1);
        let mut ring = Ring::default();
        ring.start(g, 0, 0);
        ring.offer(g, 2, Some(frame(1, 2)));
        ring.retract();
        assert_eq!((ring.tail(), ring.bytes), (None, 0));
        for seq in 0..3 {
            assert!(matches!(ring.next(g, seq), Next::Log), "after {seq}");
        }
        ring.observe(&page(g, 0, vec![frame(1, 1)], 1));
        assert!(matches!(ring.next(g, 0), Next::Newest(f) if f.last() == 1));
        assert!(matches!(ring.next(g, 1), Next::Wait));
    }

    #[test]
    fn without_readers_only_a_whole_ring_is_kept() {
        let g = generation(1);
        let mut ring = Ring::default();
        ring.start(g, 0, 0);
        for n in 1..=MAX_FRAMES as u64 {
            ring.offer(g, n, Some(frame(n, 1)));
            ring.let_go();
        }
        assert_eq!(ring.frames.len(), MAX_FRAMES);
        for n in 257..300 {
            assert_eq!(ring.offer(g, n, Some(frame(n, 1))), News::Change);
            ring.let_go();
            assert_eq!((ring.frames.len(), ring.bytes, ring.tail()), (0, 0, Some(n)));
        }
        assert!(ring.whole().is_none());
        assert!(matches!(ring.next(g, 298), Next::Log));
        assert!(matches!(ring.next(g, 299), Next::Wait));
        ring.offer(g, 300, Some(frame(300, 1)));
        assert!(matches!(ring.next(g, 299), Next::Newest(f) if f.first() == 300));
    }

    #[test]
    fn the_ring_is_bounded() {
        let g = generation(1);
        let mut ring = Ring::default();
        ring.start(g, 0, 0);
        for n in 1..=1000 {
            ring.offer(g, n, Some(frame(n, 1)));
        }
        assert_eq!(ring.frames.len(), MAX_FRAMES);
        let before = 1000 - MAX_FRAMES as u64;
        assert!(matches!(ring.next(g, before - 1), Next::Log));
        assert!(matches!(ring.next(g, before), Next::Frame(f) if f.first() == before + 1));
        assert!(matches!(ring.next(g, 999), Next::Newest(_)));
        assert!(ring.whole().is_none());
    }

    #[test]
    fn the_ring_holds_as_many_bytes_as_it_may_and_always_the_newest_frame() {
        let sized = |first: u64, bytes: usize| {
            let mut builder = FrameBuilder::default();
            builder.push(Kind::Bytes, &vec![0; bytes]);
            builder.take(1, bytes).unwrap().at(first)
        };
        let g = generation(1);
        let mut ring = Ring::default();
        ring.start(g, 0, 0);
        for n in 1..=100 {
            ring.offer(g, n, Some(sized(n, 20_000)));
        }
        let held = || ring.frames.iter().map(Frame::size);
        assert_eq!(ring.bytes, held().sum::<usize>());
        assert!(ring.bytes <= MAX_BYTES && ring.bytes + ring.frames[0].size() > MAX_BYTES);
        assert_eq!(ring.offer(g, 101, Some(sized(101, MAX_BYTES + 1))), News::Change);
        assert_eq!(ring.frames.len(), 1);
        assert!(matches!(ring.next(g, 100), Next::Newest(f) if f.first() == 101));
    }
}
