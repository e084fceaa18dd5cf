//! The events of a frame's chunks, framed once for all event streams that come to them.

use std::sync::Arc;

use bytes::Bytes;
use ulid::Ulid;

use super::{
    body,
    format::{Format, put_id},
    merge::Merge,
};
use crate::{
    Cursor,
    model::frame::{Frame, Kind},
};

/// The last event may be longer than what is left, by so much without a larger allocation.
const SLACK: usize = 1024;

/// Consecutive chunks of one frame as events. A stream that merges nothing and has seen none of them would write the same.
#[derive(Debug)]
pub struct Events {
    format: Format,
    generation: Ulid,
    /// The frame's identity.
    frame: u64,
    first: u64,
    bytes: Bytes,
    ends: Vec<Reach>,
    /// The seqs of chunks that say themselves how the answer ended.
    endings: Vec<u64>,
}

/// How far the chunks up to one have come.
#[derive(Debug, Clone, Copy, Default)]
struct Reach {
    /// Bytes of their events.
    events: u32,
    /// Bytes of the chunks.
    data: u32,
}

/// Some of the events, for one stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// As they are sent.
    pub bytes: Bytes,
    /// The seq of the last chunk.
    pub last: u64,
    /// How many chunks they are, …
    pub chunks: u64,
    /// … and of how many bytes.
    pub data: u64,
    /// The last chunk says itself how the answer ended.
    pub(super) is_ending: bool,
    /// What a merged replay goes on with; `None`: with nothing to merge.
    pub(super) merge: Option<Arc<Merge>>,
}

impl Events {
    /// The events of the chunks after `at`, until they have `enough` bytes, the frame ends or a large chunk comes; `None` if there are none.
    pub fn of(format: Format, at: Cursor, frame: &Frame, enough: usize) -> Option<Self> {
        let prefix = format!("id: {}.", at.generation);
        let most = enough.min(2 * frame.size());
        let (mut bytes, mut data) = (Vec::with_capacity(most + SLACK), 0);
        let mut events = Self {
            format,
            generation: at.generation,
            frame: frame.identity(),
            first: frame.first().max(at.seq + 1),
            bytes: Bytes::new(),
            ends: Vec::new(),
            endings: Vec::new(),
        };
        for (seq, chunk) in (frame.first()..).zip(frame.chunks()) {
            if seq < events.first {
                continue;
            }
            if chunk.kind == Kind::Large || bytes.len() >= enough {
                break;
            }
            put_id(&mut bytes, &prefix, seq);
            body::put(&mut bytes, format, chunk);
            data += chunk.data.len();
            events.ends.push(Reach {
                events: u32::try_from(bytes.len()).ok()?,
                data: u32::try_from(data).ok()?,
            });
            if body::is_ending(format, chunk.data) {
                events.endings.push(seq);
            }
        }
        // Bytes keep what was reserved for them.
        bytes.shrink_to_fit();
        events.bytes = bytes.into();
        (!events.ends.is_empty()).then_some(events)
    }

    /// Whether the chunk after `at` is among them, as this frame has it.
    pub fn follow(&self, format: Format, at: Cursor, frame: &Frame) -> bool {
        self.frame == frame.identity()
            && (self.format, self.generation) == (format, at.generation)
            && (self.first..self.first + self.ends.len() as u64).contains(&(at.seq + 1))
    }

    /// The bytes that they take.
    pub fn size(&self) -> usize {
        self.bytes.len() + self.ends.len() * size_of::<Reach>()
    }

    /// Those after `seq`, which they [follow](Self::follow), until they have `enough` bytes; all that are left, if they have fewer.
    pub fn after(&self, seq: u64, enough: usize) -> Option<Part> {
        let skipped = usize::try_from((seq + 1).checked_sub(self.first)?).ok()?;
        let begin = match skipped.checked_sub(1) {
            Some(before) => *self.ends.get(before)?,
            None => Reach::default(),
        };
        let left = self.ends.get(skipped..)?;
        let enough = begin.events as usize + enough;
        let fewer = left.partition_point(|end| (end.events as usize) < enough);
        let (count, end) = match left.get(fewer) {
            Some(end) => (fewer + 1, end),
            None => (left.len(), left.last()?),
        };
        let last = seq + count as u64;
        Some(Part {
            bytes: self.bytes.slice(begin.events as usize..end.events as usize),
            last,
            chunks: count as u64,
            data: u64::from(end.data - begin.data),
            is_ending: self.endings.contains(&last),
            merge: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        model::frame::{Chunk, FrameBuilder, PIECE, Reference},
        sse::{Framing, framing::tests::at},
    };

    const TEXTS: [&str; 6] = [
        "plain",
        "two\nlines",
        "",
        "a\rb\0",
        r#"{"type":"abort"}"#,
        r#"{"type":"x"}"#,
    ];
    const FORMATS: [Format; 2] = [Format::Events, Format::UiMessages];

    fn builder() -> FrameBuilder {
        let mut builder = FrameBuilder::default();
        for text in TEXTS {
            builder.push(Kind::Text, text.as_bytes());
        }
        builder.push(Kind::Bytes, &[0, 255]);
        builder
    }

    /// Seven chunks, from 11 to 17.
    fn frame() -> Frame {
        builder().take(usize::MAX, usize::MAX).unwrap().at(11)
    }

    fn framing(format: Format) -> Framing {
        Framing::new(format, Duration::ZERO, false)
    }

    /// What one stream by itself writes for the chunks of a frame after `seq`, one by one.
    fn by_itself(format: Format, frame: &Frame, seq: u64) -> Vec<Vec<u8>> {
        let mut framing = framing(format);
        let chunks = (frame.first()..).zip(frame.chunks());
        let written = chunks.filter(|(of, _)| *of > seq).map(|(of, chunk)| {
            let mut out = Vec::new();
            framing.chunk(&mut out, at(of), chunk);
            out
        });
        written.collect()
    }

    #[test]
    fn g1_all_that_take_from_them_get_what_each_would_write_itself_once_and_in_order() {
        let frame = frame();
        for format in FORMATS {
            for (framed_from, enough) in [(10, 1), (10, 40), (13, 90), (10, usize::from(u16::MAX))] {
                let events = Events::of(format, at(framed_from), &frame, enough).unwrap();
                for from in framed_from.. {
                    if !events.follow(format, at(from), &frame) {
                        break;
                    }
                    let alone = by_itself(format, &frame, from);
                    for credit in [1, 30, 60, 1_000] {
                        let part = events.after(from, credit).unwrap();
                        let count = usize::try_from(part.chunks).unwrap();
                        assert_eq!(part.bytes, alone[..count].concat());
                        assert_eq!(part.last, from + part.chunks);
                        let before_last = alone[..count - 1].concat().len();
                        assert!(before_last < credit, "no chunk is taken without credit");
                        let is_last = !events.follow(format, at(part.last), &frame);
                        assert!(
                            part.bytes.len() >= credit || is_last,
                            "all for which there is credit"
                        );
                        let data = frame
                            .chunks()
                            .skip(usize::try_from(from - 10).unwrap())
                            .take(count);
                        assert_eq!(part.data, data.map(|chunk| chunk.data.len() as u64).sum::<u64>());
                    }
                }
            }
        }
    }

    #[test]
    fn they_are_of_one_frame_generation_and_format() {
        let frame = frame();
        let events = Events::of(Format::Events, at(12), &frame, 1_000).unwrap();
        let is_theirs = |seq| events.follow(Format::Events, at(seq), &frame);
        assert_eq!([11, 12, 16, 17].map(is_theirs), [false, true, true, false]);
        assert!(events.follow(Format::Events, at(12), &frame.clone()));
        let same = builder().take(usize::MAX, usize::MAX).unwrap().at(11);
        assert!(
            !events.follow(Format::Events, at(12), &same),
            "it may say anything"
        );
        assert!(!events.follow(Format::UiMessages, at(12), &frame));
        let elsewhere = Cursor {
            generation: Ulid::from_parts(7, 7),
            seq: 12,
        };
        assert!(!events.follow(Format::Events, elsewhere, &frame));
        assert!(Events::of(Format::Events, at(17), &frame, 1_000).is_none());
    }

    #[test]
    fn a_large_chunk_is_left_to_each() {
        let reference = Reference {
            id: Ulid::from_parts(5, 5),
            ordinal: 1,
            kind: Kind::Text,
            length: 2 * PIECE,
        };
        let mut builder = builder();
        builder.push(Kind::Large, &reference.encode());
        builder.push(Kind::Text, b"after");
        let frame = builder.take(usize::MAX, usize::MAX).unwrap().at(11);
        let before = Events::of(Format::Events, at(10), &frame, 1_000).unwrap();
        assert_eq!(before.after(10, 1_000).unwrap().last, 17);
        assert!(Events::of(Format::Events, at(17), &frame, 1_000).is_none());
        let after = Events::of(Format::Events, at(18), &frame, 1_000).unwrap();
        assert_eq!(after.after(18, 1_000).unwrap().last, 19);
    }

    #[test]
    fn a_stream_knows_whether_the_last_chunk_it_was_given_told_the_end() {
        let frame = frame();
        let events = Events::of(Format::UiMessages, at(10), &frame, 1_000).unwrap();
        for last in 11..=17 {
            let mut given = framing(Format::UiMessages);
            let mut seq = 10;
            while seq < last {
                let part = events.after(seq, 1).unwrap();
                seq = part.last;
                given.give(&part);
            }
            let mut alone = framing(Format::UiMessages);
            for (of, chunk) in (11..=last).zip(frame.chunks()) {
                alone.chunk(&mut Vec::new(), at(of), chunk);
            }
            let end = crate::model::ending::End::Terminal {
                outcome: crate::model::ending::Outcome::Stopped,
                reason: String::new(),
            };
            let told = [given, alone].map(|mut framing| {
                let mut out = Vec::new();
                framing.end(&mut out, &end);
                out
            });
            assert_eq!(told[0], told[1], "after {last}");
        }
    }

    #[test]
    fn a_framing_is_plain_once_it_has_left_out_and_merged_everything() {
        let is_plain = |framing: &Framing, next| !framing.is_merged() && !framing.has_seen(at(next));
        assert!(is_plain(&framing(Format::Events), 1));
        assert!(is_plain(&Framing::bare(Format::UiMessages, 0), 1));
        let mut skipping = Framing::bare(Format::UiMessages, 1);
        assert!(!is_plain(&skipping, 1));
        let chunk = Chunk {
            kind: Kind::Text,
            data: b"{}",
        };
        skipping.chunk(&mut Vec::new(), at(1), chunk);
        assert!(is_plain(&skipping, 2));
        let mut merged = Framing::new(Format::UiMessages, Duration::ZERO, true);
        assert!(!is_plain(&merged, 1));
        merged.replay_to(at(1));
        merged.chunk(&mut Vec::new(), at(1), chunk);
        assert!(is_plain(&merged, 2), "its replay is over");
    }
}
