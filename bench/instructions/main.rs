//! The engine's hot paths, for callgrind: `node scripts/instructions.mjs` counts the instructions of each.
//!
//! Says on stdout, in their order, which paths have run and how many chunks went through each.

#![allow(clippy::unwrap_used, reason = "what fails is a defect, and ends the program")]

use std::{hint::black_box, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::FutureExt;
use tidemark::{
    Cursor, StreamId,
    model::{
        connection::ConnectionState,
        ending::{Outcome, Terminal},
        frame::{Chunk, EncodedFrame, Frame, FrameBuilder, Kind, SealedFrame},
        ttl::Ttl,
    },
    sse::{Format, Framing},
    store::{
        Append, Appended, ControlMessage, FinishedNews, IfActive, IfEnded, Listener, LiveMessage, OwnerCheck,
        Position, Read, Start, memory::MemoryStore,
    },
};
use ulid::Ulid;

const WORDS: [&str; 16] = [
    "the", "quick", "stream", "keeps", "every", "token", "in", "order", "while", "a", "browser", "reloads",
    "and", "another", "tab", "joins",
];
/// Chunks of a frame, where frames have several.
const FRAME: usize = 16;
const MINUTE: Duration = Duration::from_secs(60);

/// The function whose instructions are counted: callgrind knows it by this name, and writes down what each call took.
#[unsafe(no_mangle)]
#[inline(never)]
extern "Rust" fn tidemark_counted(path: &mut dyn FnMut()) {
    path();
}

/// Runs a path once to warm it, then once to be counted.
fn count(name: &str, chunks: usize, mut path: impl FnMut(bool)) {
    path(false);
    tidemark_counted(&mut || path(true));
    println!("{name} {chunks}");
}

/// The chunks of a chat.
fn deltas(count: usize) -> Vec<String> {
    let word = |index: usize| WORDS[(index * 7 + index / 16) % WORDS.len()];
    (0..count)
        .map(|index| format!(r#"{{"type":"text-delta","id":"0","delta":" {}"}}"#, word(index)))
        .collect()
}

/// Frames that follow each other.
fn frames(deltas: &[String]) -> Vec<Frame> {
    let mut last = 0;
    let frame = |part: &[String]| {
        let mut builder = FrameBuilder::default();
        for delta in part {
            builder.push(Kind::Text, delta.as_bytes());
        }
        let frame = builder.take(usize::MAX, usize::MAX).unwrap().at(last + 1);
        last = frame.last();
        frame
    };
    deltas.chunks(FRAME).map(frame).collect()
}

struct Deaf;

impl Listener for Deaf {
    fn on_live(&self, _: &StreamId, message: LiveMessage) {
        black_box(message);
    }
    fn on_control(&self, _: &StreamId, _: ControlMessage) {}
    fn on_finished(&self, _: FinishedNews) {}
    fn on_restored(&self) {}
    fn on_state(&self, _: ConnectionState, _: &str) {}
}

/// Ids are the same in every run, and so are their hashes.
fn ulid(number: u64) -> Ulid {
    Ulid::from_parts(1_700_000_000_000 + number, u128::from(number))
}

fn start() -> Start {
    Start {
        generation: ulid(2),
        producer: ulid(3),
        if_active: IfActive::Error,
        if_ended: IfEnded::Restart,
        owner: None,
        metadata: None,
        lease: MINUTE,
        ttl: Ttl {
            active: MINUTE,
            done: MINUTE,
        },
    }
}

/// A producer appends chunk by chunk, with a listener; then a reader reads it all, page by page.
fn store(deltas: &[String]) {
    let store = MemoryStore::open("instructions", "tidemark", ulid(1), Arc::new(Deaf));
    let stream = StreamId::new("chat").unwrap();
    let start = start();
    let started = store.start(&stream, &start).now_or_never().unwrap().unwrap();
    store.listen(&stream).now_or_never().unwrap().unwrap();
    let mut batch = 0;
    let mut append = |frame: Option<EncodedFrame>, terminal: Option<Terminal>| {
        batch += 1;
        let append = Append {
            generation: started.generation,
            producer: start.producer,
            batch,
            expected: Some(batch - 1),
            frame,
            large: None,
            terminal,
            seal: None,
            lease: MINUTE,
        };
        let appended = store.append(&stream, &append).now_or_never().unwrap().unwrap();
        assert!(matches!(appended, Appended::Done { .. }));
    };
    let half = deltas.len() / 2;
    count("append", half, |is_counted| {
        let part = if is_counted {
            &deltas[half..]
        } else {
            &deltas[..half]
        };
        for delta in part {
            let mut builder = FrameBuilder::default();
            builder.push(Kind::Text, delta.as_bytes());
            append(builder.take(1, usize::MAX), None);
        }
    });
    // The rest of a lease would depend on the clock.
    let complete = Terminal {
        outcome: Outcome::Complete,
        reason: String::new(),
    };
    append(None, Some(complete));
    count("read", deltas.len(), |_| {
        let mut seq = 0;
        while seq < deltas.len() as u64 {
            let position = Position::After {
                generation: started.generation,
                seq,
            };
            let read = Read {
                position,
                max_bytes: 16 * 1024,
                owner: OwnerCheck::Internal,
            };
            let page = store
                .read(&stream, &read)
                .now_or_never()
                .unwrap()
                .unwrap()
                .unwrap();
            for frame in &page.frames {
                frame.chunks().for_each(|chunk| {
                    black_box(chunk);
                });
            }
            seq = page.frames.last().unwrap().last();
        }
    });
    store.close().now_or_never().unwrap().unwrap();
}

fn main() {
    let deltas = deltas(2_000);
    let frames = frames(&deltas);
    store(&deltas);
    count("frame", deltas.len(), |_| {
        let mut builder = FrameBuilder::default();
        for delta in &deltas {
            builder.push(Kind::Text, delta.as_bytes());
        }
        while let Some(frame) = builder.take(FRAME, 64 * 1024) {
            black_box(frame);
        }
    });
    let encoded: Vec<(u64, Bytes)> = frames
        .iter()
        .map(|frame| (frame.last(), frame.encoded().bytes))
        .collect();
    count("decode", deltas.len(), |_| {
        for (last, bytes) in &encoded {
            let frame = Frame::decode(*last, bytes.clone()).unwrap();
            frame.chunks().for_each(|chunk| {
                black_box(chunk);
            });
        }
    });
    count("seal", deltas.len(), |_| {
        for open in frames.chunks(64) {
            black_box(SealedFrame::of(open, 6).unwrap());
        }
    });
    for (name, is_merged) in [("sse", false), ("merge", true)] {
        count(name, deltas.len(), |_| events(&deltas, is_merged));
    }
}

/// A response: a replay, with merged deltas on request.
fn events(deltas: &[String], is_merged: bool) {
    let generation = ulid(2);
    let mut framing = Framing::new(Format::UiMessages, Duration::from_secs(1), is_merged);
    let mut out = Vec::new();
    framing.open(&mut out);
    framing.replay_to(Cursor {
        generation,
        seq: deltas.len() as u64,
    });
    for (seq, delta) in (1..).zip(deltas) {
        let chunk = Chunk {
            kind: Kind::Text,
            data: delta.as_bytes(),
        };
        framing.chunk(&mut out, Cursor { generation, seq }, chunk);
        if out.len() > 64 * 1024 {
            black_box(&out);
            out.clear();
        }
    }
    framing.flush(&mut out);
    black_box(out);
}
