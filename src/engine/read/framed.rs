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
    sse::{Events, Format},
    util::sync::lock,
};

/// What is kept for all streams of an engine; what takes more than half of it is not.
const MOST: usize = 1 << 20;
/// So much is framed at once: what a reader has credit for that has taken everything.
const AT_ONCE: usize = 64 * 1024;
/// Shorter frames, and those who have less credit, are not worth it: each event is framed for its reader.
const LEAST: usize = 4 * 1024;

/// Whether a frame may be framed for all.
pub(super) fn is_shared(frame: &Frame) -> bool {
    frame.size() >= LEAST
}

/// The events that were framed last.
#[derive(Default)]
pub(crate) struct Framed(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    /// The oldest first.
    events: VecDeque<Arc<Events>>,
    bytes: usize,
}

impl Framed {
    /// The events of the chunks after `at`, for a reader that has so much credit; `None`: it has to frame the next chunk itself.
    pub(super) fn after(
        &self,
        format: Format,
        at: Cursor,
        frame: &Frame,
        credit: usize,
    ) -> Option<Arc<Events>> {
        let mut kept = lock(&self.0);
        let found = kept
            .events
            .iter()
            .rev()
            .find(|events| events.follow(format, at, frame));
        if found.is_some() || credit < LEAST {
            return found.cloned();
        }
        let events = Arc::new(Events::of(format, at, frame, credit.min(AT_ONCE))?);
        kept.keep(&events);
        Some(events)
    }
}

impl Kept {
    /// What is left of a frame may be so little that to look for it would cost more than to frame it.
    fn keep(&mut self, events: &Arc<Events>) {
        if !(LEAST..=MOST / 2).contains(&events.size()) {
            return;
        }
        self.events.push_back(Arc::clone(events));
        self.bytes += events.size();
        while self.bytes > MOST {
            self.bytes -= self.events.pop_front().map_or(self.bytes, |oldest| oldest.size());
        }
    }
}

#[cfg(test)]
mod tests {
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
            let events = framed.after(FORMAT, at(seq), frame, credit).unwrap();
            let part = events.after(seq, credit).unwrap();
            places.push(part.bytes.as_ptr());
            seq = part.last;
        }
        places
    }

    fn kept(framed: &Framed) -> usize {
        let kept = lock(&framed.0);
        let sum = kept.events.iter().map(|events| events.size()).sum();
        assert_eq!(kept.bytes, sum);
        assert!(
            kept.events.len() <= MOST / LEAST,
            "few enough to be looked through"
        );
        sum
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
        let one_chunk = framed.after(FORMAT, at(100), &frame, 1).unwrap();
        assert_eq!(one_chunk.after(100, 1).unwrap().last, 101);
        assert_eq!(kept(&framed), all, "nothing more was framed");
    }

    #[test]
    fn little_credit_frames_nothing_for_others() {
        let framed = Framed::default();
        assert!(
            framed
                .after(FORMAT, at(0), &frame(2_000, 50), LEAST - 1)
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
            framed.after(FORMAT, at(ends.last() - 1), &ends, AT_ONCE).unwrap();
        }
        assert_eq!(kept(&framed), before, "too little to be kept");
        framed.after(FORMAT, at(0), &last, AT_ONCE).unwrap();
        assert!(kept(&framed) <= MOST);
    }
}
