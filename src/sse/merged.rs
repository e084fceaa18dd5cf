//! What a merged replay writes, made once for all event streams that come to it: many clients resume one answer at once.

use bytes::Bytes;

use super::{events::Part, framing::Framing};
use crate::{
    Cursor,
    model::frame::{Frame, Kind},
};

/// So many chunks are taken at once, whatever comes of them: a turn of the engine's thread is short.
const MOST_CHUNKS: u64 = 1024;

/// The events that consecutive chunks of one frame become in a merged replay. They depend on what is joined and open before them, so a
/// stream takes all of them or none.
#[derive(Debug)]
pub struct Merged {
    /// The stream that was the first to come to them, as it was then.
    before: Framing,
    at: Cursor,
    /// The frame's identity.
    frame: u64,
    /// Bytes of events before the last chunk: no stream takes a chunk without credit.
    before_last: usize,
    part: Part,
}

impl Merged {
    /// Those of the chunks after `at`, until they have `enough` bytes, the frame or the replay ends or a large chunk comes; `None` if there are
    /// none.
    pub fn of(framing: &Framing, at: Cursor, frame: &Frame, enough: usize) -> Option<Self> {
        let mut going_on = framing.clone();
        let (mut bytes, mut before_last) = (Vec::new(), 0);
        let (mut last, mut chunks, mut data) = (at.seq, 0, 0);
        for (seq, chunk) in (frame.first()..).zip(frame.chunks()) {
            if seq <= at.seq {
                continue;
            }
            let is_enough = bytes.len() >= enough || chunks == MOST_CHUNKS || !going_on.is_merged();
            if is_enough || chunk.kind == Kind::Large {
                break;
            }
            before_last = bytes.len();
            going_on.chunk(&mut bytes, Cursor { seq, ..at }, chunk);
            last = seq;
            chunks += 1;
            data += chunk.data.len() as u64;
        }
        // They are kept, and counted by their length.
        bytes.shrink_to_fit();
        (chunks > 0).then(|| Self {
            before: framing.clone(),
            at,
            frame: frame.identity(),
            before_last,
            part: Part {
                bytes: Bytes::from(bytes),
                last,
                chunks,
                data,
                is_ending: going_on.has_ended_itself,
                merge: going_on.merge,
            },
        })
    }

    /// Whether this stream would write them for the chunks after `at`, as this frame has them.
    pub fn follow(&self, framing: &Framing, at: Cursor, frame: &Frame, credit: usize) -> bool {
        self.frame == frame.identity()
            && self.at == at
            && credit > self.before_last
            && self.before.is_like(framing)
    }

    /// All of them.
    pub fn part(&self) -> Part {
        self.part.clone()
    }

    /// The bytes of the chunks that they are made of.
    pub fn data(&self) -> usize {
        usize::try_from(self.part.data).unwrap_or(usize::MAX)
    }

    /// The bytes that they take, with the state of their stream before and after them.
    pub fn size(&self) -> usize {
        let states = [&self.before.merge, &self.part.merge].into_iter().flatten();
        self.part.bytes.len() + states.map(|merge| merge.size()).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        model::frame::{Chunk, FrameBuilder, Reference},
        sse::{Format, framing::tests::at},
    };

    const ANSWER: [&str; 16] = [
        r#"{"type":"start","messageId":"m"}"#,
        r#"{"type":"reasoning-start","id":"1"}"#,
        r#"{"type":"reasoning-delta","id":"1","delta":"hm\n"}"#,
        r#"{"type":"reasoning-delta","id":"1","delta":" x"}"#,
        r#"{"type":"text-start","id":"1"}"#,
        r#"{"type":"text-delta","id":"1","delta":"a"}"#,
        r#"{"type":"text-delta","id":"1","delta":"b"}"#,
        r#"{"type":"reasoning-end","id":"1"}"#,
        r#"{"type":"text-delta","id":"1","delta":"c"}"#,
        r#"{"type":"tool-input-start","toolCallId":"t","toolName":"look"}"#,
        r#"{"type":"tool-input-delta","toolCallId":"t","inputTextDelta":"{"}"#,
        r#"{"type":"tool-input-delta","toolCallId":"t","inputTextDelta":"}"}"#,
        r#"{"type":"text-delta","id":"1","delta":"d"}"#,
        r#"{"type":"text-delta","id":"1","delta":"e"}"#,
        r#"{"type":"abort"}"#,
        r#"{"type":"error","errorText":""}"#,
    ];

    /// The answer in frames of so many chunks, and a stream that has seen the first ones and whose replay ends there.
    fn scene(chunks: usize, seen: u64, replay: u64) -> (Vec<Frame>, Framing) {
        let mut last = 0;
        let frames = ANSWER.chunks(chunks).map(|some| {
            let mut builder = FrameBuilder::default();
            for chunk in some {
                builder.push(Kind::Text, chunk.as_bytes());
            }
            let frame = builder.take(usize::MAX, usize::MAX).unwrap().at(last + 1);
            last = frame.last();
            frame
        });
        let mut framing = Framing::new(Format::UiMessages, Duration::ZERO, true);
        framing.read_after(at(seen));
        framing.replay_to(at(replay));
        (frames.collect(), framing)
    }

    /// What a stream writes for the chunks of a frame after `seq`, one by one; chunk by chunk.
    fn by_itself(framing: &mut Framing, frame: &Frame, seq: u64) -> Vec<Vec<u8>> {
        let chunks = (frame.first()..).zip(frame.chunks());
        let written = chunks.filter(|(of, _)| *of > seq).map(|(of, chunk)| {
            let mut out = Vec::new();
            framing.chunk(&mut out, at(of), chunk);
            out
        });
        written.collect()
    }

    #[test]
    fn g1_all_that_take_them_get_what_each_would_write_itself_and_go_on_alike() {
        for (length, seen, replay) in [(16, 0, 16), (5, 0, 16), (3, 6, 14), (16, 3, 9), (1, 0, 13)] {
            for enough in [1, 100, 10_000] {
                let (frames, mut together) = scene(length, seen, replay);
                let mut alone = together.clone();
                for frame in &frames {
                    let mut seq = frame.first() - 1;
                    while seq < frame.last() {
                        let written = by_itself(&mut alone.clone(), frame, seq);
                        let merged = Merged::of(&together, at(seq), frame, enough);
                        let count = if let Some(merged) = merged.filter(|_| together.is_merged()) {
                            assert!(merged.follow(&alone, at(seq), frame, enough));
                            let part = merged.part();
                            together.give(&part);
                            let count = usize::try_from(part.chunks).unwrap();
                            assert_eq!(
                                (part.last, part.bytes),
                                (seq + part.chunks, written[..count].concat().into())
                            );
                            let before_last = written[..count - 1].concat().len();
                            assert!(before_last < enough, "no chunk is taken without credit");
                            assert!(before_last == 0 || !merged.follow(&alone, at(seq), frame, before_last));
                            count
                        } else {
                            by_itself(&mut together, frame, seq);
                            written.len()
                        };
                        for (of, chunk) in (frame.first()..).zip(frame.chunks()) {
                            if (seq + 1..=seq + count as u64).contains(&of) {
                                alone.chunk(&mut Vec::new(), at(of), chunk);
                            }
                        }
                        assert!(together.is_like(&alone), "after {seq} and {count} more");
                        seq += count as u64;
                    }
                }
            }
        }
    }

    #[test]
    fn they_are_of_one_frame_place_and_state() {
        let (frames, framing) = scene(16, 0, 16);
        let merged = Merged::of(&framing, at(2), &frames[0], 1_000).unwrap();
        let follows = |framing: &Framing, seq| merged.follow(framing, at(seq), &frames[0], 1_000);
        assert!(follows(&framing, 2));
        assert!(!follows(&framing, 3), "they are taken from their beginning");
        assert!(
            !merged.follow(&framing, at(2), &scene(16, 0, 16).0[0], 1_000),
            "it may say anything"
        );
        for other in [
            scene(16, 1, 16).1,
            scene(16, 0, 15).1,
            Framing::new(Format::UiMessages, Duration::ZERO, false),
        ] {
            assert!(!follows(&other, 2));
        }
        let mut joining = framing.clone();
        let chunk = Chunk {
            kind: Kind::Text,
            data: ANSWER[2].as_bytes(),
        };
        joining.chunk(&mut Vec::new(), at(1), chunk);
        assert!(!follows(&joining, 2), "it holds something back");
        let mut flushed = joining.clone();
        flushed.flush(&mut Vec::new());
        assert!(follows(&flushed, 2));
        let mut ended = flushed;
        ended.has_ended_itself = true;
        assert!(!follows(&ended, 2));
    }

    #[test]
    fn a_large_chunk_and_what_follows_the_replay_are_left_to_each() {
        let reference = Reference {
            id: ulid::Ulid::from_parts(5, 5),
            ordinal: 1,
            kind: Kind::Text,
            length: 3 << 20,
        };
        let mut builder = FrameBuilder::default();
        for chunk in &ANSWER[5..7] {
            builder.push(Kind::Text, chunk.as_bytes());
        }
        builder.push(Kind::Large, &reference.encode());
        let frame = builder.take(usize::MAX, usize::MAX).unwrap().at(1);
        let (_, framing) = scene(1, 0, 3);
        let before = Merged::of(&framing, at(0), &frame, 1_000).unwrap().part();
        assert_eq!((before.last, before.bytes.len()), (2, 0), "more may join them");
        assert!(Merged::of(&framing, at(2), &frame, 1_000).is_none());
        let (frames, framing) = scene(16, 0, 7);
        let replay = Merged::of(&framing, at(0), &frames[0], 10_000).unwrap();
        assert_eq!((replay.part.last, replay.part.merge.is_none()), (7, true));
    }

    #[test]
    fn what_a_stream_keeps_counts_for_both_states() {
        let (frames, framing) = scene(16, 0, 16);
        let merged = Merged::of(&framing, at(10), &frames[0], 10_000).unwrap();
        assert_eq!(merged.size(), merged.part.bytes.len());
        let (frames, framing) = scene(12, 0, 16);
        let open = Merged::of(&framing, at(10), &frames[0], 10_000).unwrap();
        assert_eq!(open.size(), open.part.bytes.len() + "{}".len() + ANSWER[10].len());
    }
}
