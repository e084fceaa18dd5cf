//! Ready records, as numbers and one text. The format is documented in `ts/native/native.ts`.

use std::{mem, ops::Range, sync::Arc};

use bytes::Bytes;
use serde_json::{Value, json};
use ulid::Ulid;

use super::{
    json,
    shared::{
        ASK, BYTES, CHUNK_COST, DATA, END, GENERATION, HEADER, IDLE, LARGE, LARGES, LOG, MORE, PIECE,
        PRODUCER, REPLY, SETTLED, STATE, WARNING, WORDS,
    },
};
use crate::{
    Error, Result,
    engine::{
        Engine,
        events::{Event, Handle},
        large::Large,
        sink::{MOST_TOGETHER, Sink, Waits},
    },
    model::{ending::End, frame::Chunk},
};

/// The largest record that is written in one piece: the acknowledgements of one batch of 512 chunks, or a frame of no more than 512 for as
/// many readers.
const LARGEST_RECORD: usize = MOST_TOGETHER + 512 + 8;
/// A drain stops here, so that JavaScript gets to its other work.
const MAX_PAYLOAD: usize = 256 * 1024;
/// Less of what is shared is copied into the drain's bytes: a call of its own would cost more.
const LEAST_PART: usize = 4 * 1024;

/// The records that are ready, in the form in which JavaScript gets them. The engine's thread puts it there when it wakes
/// JavaScript, since it has just had all of it in its hands, see `docs/adr/0018-gathered-before-the-wake.md`.
pub struct Ready {
    records: Records,
    waits: Waits,
}

/// What a drain leaves to be fetched.
#[derive(Default)]
pub struct Left {
    pub bytes: Vec<u8>,
    pub larges: Vec<Arc<Large>>,
    parts: Vec<Bytes>,
}

impl Left {
    /// Copies so many parts from the one with this number on, which make a piece, and lets them go: one may be of a large chunk, and keeps all
    /// of it. False if `piece` has not their length.
    pub fn copy(&mut self, first: u32, count: u32, mut piece: &mut [u8]) -> bool {
        let parts = self.parts.iter_mut().skip(first as usize).take(count as usize);
        for part in parts.map(mem::take) {
            let Some((to, rest)) = piece.split_at_mut_checked(part.len()) else {
                return false;
            };
            to.copy_from_slice(&part);
            piece = rest;
        }
        piece.is_empty()
    }
}

impl Ready {
    pub fn new() -> Self {
        Self {
            records: Records::new(),
            waits: Waits::new(),
        }
    }

    /// Gathers everything that is ready.
    pub fn gather(&mut self, engine: &Engine) {
        engine.gather(&mut self.records, &mut self.waits);
    }

    /// Fills `words` with records, and puts into `left` what else there is, in place of the last drain's. `make` is given the text.
    pub fn drain<T>(
        &mut self,
        engine: &Engine,
        words: &mut [u32],
        left: &mut Left,
        make: impl FnOnce(&str) -> T,
    ) -> Result<T> {
        if words.len() < WORDS as usize {
            return Err(Error::invalid("words", format!("has less than {WORDS} elements")));
        }
        let more = engine.drain(&mut self.records, &mut self.waits);
        let records = &mut self.records;
        records.close();
        let mut flags = 0;
        if more && !(records.bytes.is_empty() && records.parts.is_empty()) {
            // The engine's thread writes the events that follow, while JavaScript sends these.
            engine.wake();
        } else if more {
            flags |= MORE;
        }
        if !records.bytes.is_empty() {
            flags |= BYTES;
        }
        if !records.larges.is_empty() {
            flags |= LARGES;
        }
        if engine.is_idle() {
            flags |= IDLE;
        }
        records.put(0, flags);
        records.put(1, word(records.words.len()));
        for (to, from) in words.iter_mut().zip(&records.words) {
            *to = *from;
        }
        records.words.truncate(HEADER as usize);
        let text = make(&records.text);
        // Their memory serves the next drain.
        records.text.clear();
        records.text.shrink_to(MAX_PAYLOAD);
        left.bytes.clear();
        left.bytes.shrink_to(MAX_PAYLOAD);
        mem::swap(&mut records.bytes, &mut left.bytes);
        left.larges = mem::take(&mut records.larges);
        left.parts.clear();
        mem::swap(&mut records.parts, &mut left.parts);
        records.parts_len = 0;
        Ok(text)
    }
}

/// A DATA record that further chunks can join.
struct OpenRecord {
    /// Where its subscriptions are.
    subscriptions: Range<usize>,
    next: u64,
    count_at: usize,
}

/// A piece of an event stream that grows.
struct OpenPiece {
    subscription: Handle,
    /// Where its record has its length.
    at: usize,
    /// Whether it is a PIECE record, whose bytes are left where they are. Otherwise it is a DATA record of one byte chunk.
    has_parts: bool,
}

struct Records {
    words: Vec<u32>,
    text: String,
    bytes: Vec<u8>,
    larges: Vec<Arc<Large>>,
    /// What pieces consist of, and how many bytes that is.
    parts: Vec<Bytes>,
    parts_len: usize,
    open: Option<OpenRecord>,
    open_piece: Option<OpenPiece>,
}

impl Records {
    fn new() -> Self {
        Self {
            words: vec![0; HEADER as usize],
            text: String::new(),
            bytes: Vec::new(),
            larges: Vec::new(),
            parts: Vec::new(),
            parts_len: 0,
            open: None,
            open_piece: None,
        }
    }

    fn put(&mut self, at: usize, value: u32) {
        if let Some(word) = self.words.get_mut(at) {
            *word = value;
        }
    }

    fn push(&mut self, value: u32) {
        self.words.push(value);
    }

    fn push_seq(&mut self, seq: u64) {
        #[expect(clippy::cast_possible_truncation, reason = "the low half is meant")]
        self.push(seq as u32);
        self.push(word((seq >> 32) as usize));
    }

    fn push_text(&mut self, text: &str) -> u32 {
        self.text.push_str(text);
        utf16_units(text)
    }

    /// Begins a DATA record of so many chunks, and returns where its subscriptions are.
    fn begin(&mut self, subscriptions: &[Handle], seq: u64, count: u32) -> Range<usize> {
        self.push(DATA);
        self.push(word(subscriptions.len()));
        let at = self.words.len();
        self.words.extend_from_slice(subscriptions);
        let end = self.words.len();
        self.push_seq(seq);
        self.push(count);
        at..end
    }

    /// Where the length of the subscription's piece is, if it consists of parts and can grow.
    fn open_parts(&self, subscription: Handle) -> Option<usize> {
        let open = self.open_piece.as_ref()?;
        (open.has_parts && open.subscription == subscription).then_some(open.at)
    }

    /// Adds a part to the subscription's piece.
    fn part(&mut self, subscription: Handle, part: Bytes) {
        let at = self.open_parts(subscription).unwrap_or_else(|| {
            self.close();
            self.words
                .extend_from_slice(&[PIECE, subscription, 0, word(self.parts.len()), 0]);
            let at = self.words.len() - 3;
            self.open_piece = Some(OpenPiece {
                subscription,
                at,
                has_parts: true,
            });
            at
        });
        if let Some([length, _, count]) = self.words.get_mut(at..at + 3) {
            *length += word(part.len());
            *count += 1;
        }
        self.parts_len += part.len();
        self.parts.push(part);
    }

    /// The next chunk begins a new record.
    fn close(&mut self) {
        self.open = None;
        self.open_piece = None;
    }

    fn record(&mut self, head: &[u32], json: &Value) {
        self.record_text(head, &json.to_string());
    }

    fn record_text(&mut self, head: &[u32], text: &str) {
        self.close();
        for value in head {
            self.push(*value);
        }
        let units = self.push_text(text);
        self.push(units);
    }
}

impl Sink for Records {
    fn is_full(&self) -> bool {
        self.words.len() + LARGEST_RECORD > WORDS as usize
            || self.text.len() + self.bytes.len() + self.parts_len >= MAX_PAYLOAD
    }

    fn generation(&mut self, subscription: Handle, generation: Ulid) {
        self.close();
        self.push(GENERATION);
        self.push(subscription);
        let units = self.push_text(&generation.to_string());
        self.push(units);
    }

    fn chunk(&mut self, subscriptions: &[Handle], seq: u64, chunk: Chunk<'_>) -> u64 {
        self.open_piece = None;
        let open = self.open.take().filter(|open| {
            open.next == seq && self.words.get(open.subscriptions.clone()) == Some(subscriptions)
        });
        let mut open = open.unwrap_or_else(|| OpenRecord {
            subscriptions: self.begin(subscriptions, seq, 0),
            next: seq,
            count_at: self.words.len() - 1,
        });
        // Checked when the frame was decoded or made; a chunk that is no text after all is handed over as bytes.
        let length = if let Some(text) = chunk.kind.text(chunk.data) {
            let units = self.push_text(text);
            self.push(units << 1 | 1);
            units
        } else {
            self.bytes.extend_from_slice(chunk.data);
            let length = word(chunk.data.len());
            self.push(length << 1);
            length
        };
        if let Some(count) = self.words.get_mut(open.count_at) {
            *count += 1;
        }
        open.next = seq + 1;
        self.open = Some(open);
        u64::from(CHUNK_COST) + u64::from(length)
    }

    fn large(&mut self, subscription: Handle, seq: u64, large: Arc<Large>) -> u64 {
        self.close();
        let length = large.data.len();
        self.push(LARGE);
        self.push(subscription);
        self.push_seq(seq);
        self.push(word(length));
        self.push(word(self.larges.len()));
        self.larges.push(large);
        u64::from(CHUNK_COST) + length as u64
    }

    fn piece(
        &mut self,
        subscription: Handle,
        _chunk: Option<usize>,
        write: &mut dyn FnMut(&mut Vec<u8>),
    ) -> u64 {
        let before = self.bytes.len();
        write(&mut self.bytes);
        let length = self.bytes.len() - before;
        if length == 0 {
            return 0;
        }
        if self.open_parts(subscription).is_some() {
            let own = Bytes::copy_from_slice(&self.bytes[before..]);
            self.bytes.truncate(before);
            self.part(subscription, own);
            return length as u64;
        }
        self.open = None;
        let open = self
            .open_piece
            .take()
            .filter(|open| open.subscription == subscription);
        let open = open.unwrap_or_else(|| {
            self.begin(&[subscription], 0, 1);
            self.push(0);
            OpenPiece {
                subscription,
                at: self.words.len() - 1,
                has_parts: false,
            }
        });
        if let Some(tag) = self.words.get_mut(open.at) {
            *tag += word(length) << 1;
        }
        self.open_piece = Some(open);
        length as u64
    }

    fn shared(&mut self, subscription: Handle, _: (u64, u64), piece: Bytes) -> u64 {
        if piece.len() < LEAST_PART && self.open_parts(subscription).is_none() {
            return self.piece(subscription, None, &mut |out| out.extend_from_slice(&piece));
        }
        let length = piece.len() as u64;
        self.part(subscription, piece);
        length
    }

    fn end(&mut self, subscription: Handle, end: End) {
        self.record(&[END, subscription], &json::end(&end));
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Reply(request, Ok(reply)) => {
                let answer = json::reply(reply, &mut self.larges);
                self.record_text(&[REPLY, request, 1], &answer);
            }
            Event::Reply(request, Err(error)) => {
                self.record(&[REPLY, request, 0], &json::error(&error, None));
            }
            Event::Settled(producer, seqs) => {
                self.close();
                self.push(SETTLED);
                self.push(producer);
                self.push(word(seqs.len()));
                for seq in seqs {
                    self.push_seq(seq);
                }
            }
            Event::Stopped(producer, reason) => {
                self.record(&[PRODUCER, producer], &json!({ "stop": reason }));
            }
            Event::Broken(producer, error) => {
                self.record(
                    &[PRODUCER, producer],
                    &json!({ "error": json::error(&error, None) }),
                );
            }
            Event::State(state, reason) => {
                self.record(&[STATE], &json!({ "state": state, "reason": reason }));
            }
            Event::Warning(warning) => self.record(&[WARNING], &json!(warning)),
            Event::Log(line) => {
                self.close();
                self.push(LOG);
                let units = self.push_text(&line);
                self.push(units);
            }
            Event::Ask(ask) => {
                self.close();
                self.push(ASK);
                self.push(ask);
            }
        }
    }
}

fn utf16_units(text: &str) -> u32 {
    if text.is_ascii() {
        word(text.len())
    } else {
        word(text.encode_utf16().count())
    }
}

fn word(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}
