//! What was framed last, for those who are sent the same: a hundred clients come back to one stream at once, each with a response of its own.
//!
//! It belongs to a frame, not to a place in a stream: those who read the same log share frames, and a log that says something else after a loss
//! has other ones.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use crate::{
    Cursor,
    model::frame::Frame,
    sse::{Events, Format, Framing, Merged, Part},
    util::sync::lock,
};

/// What is kept of each kind for all streams of an engine; what takes more than half of it is not.
const MOST: usize = 1 << 20;
/// So much is framed at once: what a reader has credit for that has taken everything.
const AT_ONCE: usize = 64 * 1024;
/// Shorter frames are not worth it, nor, of plain events, those who have less credit: each event is framed for its reader.
const LEAST: usize = 4 * 1024;

/// Whether a frame may be framed for all.
pub(super) fn is_shared(frame: &Frame) -> bool {
    frame.size() >= LEAST
}

/// The events that were framed last, as they are, and as replays merge them.
#[derive(Default)]
pub(crate) struct Framed {
    plain: Mutex<Kept<Events>>,
    merged: Mutex<Kept<Merged>>,
}

struct Kept<T> {
    /// The oldest first, each with what it takes.
    all: VecDeque<(Arc<T>, usize)>,
    bytes: usize,
}

impl Framed {
    /// Events of the chunks after `at` for a stream that has so much credit; `None`: it has to frame the next chunk itself.
    pub(super) fn part(&self, framing: &Framing, at: Cursor, frame: &Frame, credit: usize) -> Option<Part> {
        if framing.has_seen_next(at) {
            return None;
        }
        if framing.is_merged() {
            let merged = self.merged(framing, at, frame, credit)?;
            return Some(merged.part());
        }
        let events = self.events(framing.format(), at, frame, credit)?;
        events.after(at.seq, credit)
    }

    fn events(&self, format: Format, at: Cursor, frame: &Frame, credit: usize) -> Option<Arc<Events>> {
        let mut kept = lock(&self.plain);
        let found = kept.find(|events| events.follow(format, at, frame));
        if found.is_some() || credit < LEAST {
            return found;
        }
        let events = Arc::new(Events::of(format, at, frame, credit.min(AT_ONCE))?);
        kept.keep(&events, events.size());
        Some(events)
    }

    fn merged(&self, framing: &Framing, at: Cursor, frame: &Frame, credit: usize) -> Option<Arc<Merged>> {
        let mut kept = lock(&self.merged);
        let found = kept.find(|merged| merged.follow(framing, at, frame, credit));
        if found.is_some() {
            return found;
        }
        let merged = Arc::new(Merged::of(framing, at, frame, credit.min(AT_ONCE))?);
        // Much may become little; to read and merge it is what costs.
        if merged.data() >= LEAST {
            kept.keep(&merged, merged.size().max(LEAST));
        }
        Some(merged)
    }
}

impl<T> Kept<T> {
    fn find(&self, is_wanted: impl Fn(&T) -> bool) -> Option<Arc<T>> {
        let found = self.all.iter().rev().find(|(one, _)| is_wanted(one));
        found.map(|(one, _)| Arc::clone(one))
    }

    /// What is left of a frame may be so little that to look for it would cost more than to frame it.
    fn keep(&mut self, one: &Arc<T>, size: usize) {
        if !(LEAST..=MOST / 2).contains(&size) {
            return;
        }
        self.all.push_back((Arc::clone(one), size));
        self.bytes += size;
        while self.bytes > MOST {
            self.bytes -= self.all.pop_front().map_or(self.bytes, |(_, size)| size);
        }
    }
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self {
            all: VecDeque::new(),
            bytes: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ulid::Ulid;

    use super::*;
    use crate::model::frame::{FrameBuilder, Kind};

    const FORMAT: Format = Format::Events;

    fn frame(chunks: usize, length: usize) -> Frame {
        let mut builder = FrameBuilder::default();
        for _ in 0..chunks {
            builder.push(Kind::Text, "x".repeat(length).as_bytes());
        }
        builder.take(usize::MAX, usize::MAX).unwrap().at(1)
    }

    fn at(seq: u64) -> Cursor {
        Cursor {
            generation: Ulid::from_parts(1, 1),
            seq,
        }
    }

    /// Reads a frame as a reader does that asks again for what it has taken, and returns where each part lies in memory.
    fn read(framed: &Framed, frame: &Frame, credit: usize) -> Vec<*const u8> {
        let (mut seq, mut places) = (0, Vec::new());
        while seq < frame.last() {
            let events = framed.events(FORMAT, at(seq), frame, credit).unwrap();
            let part = events.after(seq, credit).unwrap();
            places.push(part.bytes.as_ptr());
            seq = part.last;
        }
        places
    }

    fn size<T>(kept: &Mutex<Kept<T>>) -> usize {
        let kept = lock(kept);
        let sum = kept.all.iter().map(|(_, size)| size).sum();
        assert_eq!(kept.bytes, sum);
        assert!(kept.all.len() <= MOST / LEAST, "few enough to be looked through");
        sum
    }

    fn kept(framed: &Framed) -> usize {
        let all = lock(&framed.plain).all.clone();
        assert!(all.iter().all(|(events, size)| events.size() == *size));
        size(&framed.plain)
    }

    #[test]
    fn those_who_read_the_same_are_given_the_same_memory() {
        let framed = Framed::default();
        let frame = frame(2_000, 50);
        let first = read(&framed, &frame, AT_ONCE);
        assert!(first.len() > 2);
        assert_eq!(read(&framed, &frame.clone(), AT_ONCE), first);
        let all = kept(&framed);
        let slower = read(&framed, &frame, LEAST);
        assert!(slower.len() > first.len() && first.iter().all(|place| slower.contains(place)));
        let one_chunk = framed.events(FORMAT, at(100), &frame, 1).unwrap();
        assert_eq!(one_chunk.after(100, 1).unwrap().last, 101);
        assert_eq!(kept(&framed), all, "nothing more was framed");
    }

    #[test]
    fn little_credit_frames_nothing_for_others() {
        let framed = Framed::default();
        assert!(
            framed
                .events(FORMAT, at(0), &frame(2_000, 50), LEAST - 1)
                .is_none()
        );
        assert_eq!(kept(&framed), 0);
    }

    #[test]
    fn what_is_kept_is_bounded_whatever_it_is_made_of() {
        let framed = Framed::default();
        for length in [0, 1, 50, 10_000, 200_000] {
            for _ in 0..100 {
                let frame = frame(1 + 50_000 / (length + 5), length);
                let first = read(&framed, &frame, AT_ONCE);
                assert!(kept(&framed) <= MOST, "{} bytes", kept(&framed));
                assert_eq!(
                    read(&framed, &frame, AT_ONCE)[..1],
                    first[..1],
                    "the last ones are here"
                );
            }
        }
        let before = kept(&framed);
        read(&framed, &frame(2, MOST), AT_ONCE);
        assert_eq!(kept(&framed), before, "too large to be kept");
        let last = frame(200, 50);
        for _ in 0..1_000 {
            let ends = frame(200, 50);
            framed
                .events(FORMAT, at(ends.last() - 1), &ends, AT_ONCE)
                .unwrap();
        }
        assert_eq!(kept(&framed), before, "too little to be kept");
        framed.events(FORMAT, at(0), &last, AT_ONCE).unwrap();
        assert!(kept(&framed) <= MOST);
    }

    fn answer(chunks: usize) -> Frame {
        let mut builder = FrameBuilder::default();
        for chunk in 0..chunks {
            let delta = format!(
                r#"{{"type":"text-delta","id":"{}","delta":"word {chunk}"}}"#,
                chunk / 200
            );
            builder.push(Kind::Text, delta.as_bytes());
        }
        builder.take(usize::MAX, usize::MAX).unwrap().at(1)
    }

    fn merging(replay: u64) -> Framing {
        let mut framing = Framing::new(Format::UiMessages, Duration::ZERO, true);
        framing.replay_to(at(replay));
        framing
    }

    #[test]
    fn a_replay_is_merged_once_for_all_that_come_to_it_alike() {
        let framed = Framed::default();
        let frame = answer(2_000);
        let read = |mut framing: Framing| {
            let (mut seq, mut places) = (0, Vec::new());
            while seq < frame.last() {
                let part = framed.part(&framing, at(seq), &frame, AT_ONCE).unwrap();
                places.push(part.bytes.as_ptr());
                seq = part.last;
                framing.give(&part);
            }
            places
        };
        let first = read(merging(2_000));
        assert_eq!(read(merging(2_000)), first);
        let all = size(&framed.merged);
        assert!((LEAST..MOST / 8).contains(&all), "{all} bytes");
        assert_ne!(read(merging(1_999)), first, "another replay");
        let mut seen = merging(2_000);
        seen.read_after(at(100));
        assert!(
            framed.part(&seen, at(0), &frame, AT_ONCE).is_none(),
            "it is only read"
        );
        assert!(framed.part(&seen, at(100), &frame, AT_ONCE).is_some());
    }

    #[test]
    fn what_is_merged_is_bounded_though_little_comes_of_it() {
        let framed = Framed::default();
        for (chunks, times) in [(1, 500), (100, 500), (2_000, 5)] {
            for _ in 0..times {
                framed
                    .part(&merging(9_999), at(0), &answer(chunks), AT_ONCE)
                    .unwrap();
                assert!(size(&framed.merged) <= MOST);
            }
        }
    }
}
