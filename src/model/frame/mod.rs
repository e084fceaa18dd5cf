//! The frame: consecutive chunks written, stored, sent and decoded as one.
//!
//! ```text
//! plain   0: u8 | count: varint | body
//! gzip    1: u8 | count: varint | the body's length: varint | the body as one gzip member
//! body    count × (length << 1 | is_text): varint | payload
//! ```
//!
//! A chunk that is too large for a frame is kept in pieces. The frame holds a [`Reference`] to it, whose length has
//! 2 MiB (`REFERENCE`) added: more than any chunk of a version without references.
//!
//! Varints are LEB128. The frame does not contain its position: the log entry's id has the last seq, so that a frame can be
//! built before the store has assigned its numbers (`docs/adr/0001-log-entry-ids.md`). Producers write plain frames; sealing
//! joins many into one and compresses it ([`SealedFrame`]). In memory a [`Frame`] is always plain.

mod builder;
mod chunk;
mod reference;
#[cfg(test)]
mod tests;

use std::{
    io::{Read as _, Write as _},
    sync::atomic::{AtomicU64, Ordering},
};

pub use builder::{EncodedFrame, FrameBuilder};
pub use chunk::{Chunk, Kind, MAX_CHUNK, MAX_INLINE};
pub use reference::{PIECE, Reference};

use builder::PLAIN;
use bytes::Bytes;
use chunk::{put_varint, take_varint, untag};
use flate2::{Compression, bufread::GzDecoder, write::GzEncoder};

/// Chunks are stored compressed.
const GZIP: u8 = 1;

/// The longest body that is inflated, no matter what a frame declares.
pub const MAX_BODY: usize = 4 << 20;

/// Sealing joins no more than this: bytes of bodies, unless one frame alone has more, …
const MAX_SEALED_BODY: usize = 256 * 1024;
/// … frames …
const MAX_SEALED_FRAMES: usize = 512;
/// … and chunks, unless one frame alone has more.
const MAX_SEALED_CHUNKS: u64 = 1 << 16;

impl EncodedFrame {
    /// The same frame at its place.
    pub fn at(&self, first: u64) -> Frame {
        let (count, tags_at) = header(&self.bytes).unwrap_or((self.count, 0));
        Frame {
            identity: next_identity(),
            first,
            count,
            tags_at,
            payload_at: self.bytes.len() - self.payload_len,
            bytes: self.bytes.clone(),
        }
    }
}

/// Many frames as one, compressed if that makes it smaller. It has no place in a stream yet.
#[derive(Debug, Clone)]
pub struct SealedFrame {
    /// The number of chunks.
    pub count: u64,
    /// The bytes that are in memory when it has been inflated.
    pub body_len: usize,
    /// As a store keeps them.
    pub bytes: Bytes,
}

impl SealedFrame {
    /// Seals frames that follow each other, as many of them as a store takes at once and a reader decodes at once; `None`
    /// when there are none. `level` is gzip's, 1 to 9.
    pub fn of(frames: &[Frame], level: u32) -> Option<Self> {
        let mut fit = 0;
        let mut body_len = 0;
        let mut count = 0;
        for frame in frames.iter().take(MAX_SEALED_FRAMES) {
            let longer = body_len + frame.bytes.len() - frame.tags_at;
            let more = count + frame.count;
            if fit > 0 && (longer > MAX_SEALED_BODY || more > MAX_SEALED_CHUNKS) {
                break;
            }
            body_len = longer;
            count = more;
            fit += 1;
        }
        let frames = &frames[..fit];
        let mut plain = Vec::with_capacity(body_len + 10);
        plain.push(PLAIN);
        put_varint(&mut plain, count);
        let body_at = plain.len();
        for frame in frames {
            plain.extend_from_slice(&frame.bytes[frame.tags_at..frame.payload_at]);
        }
        for frame in frames {
            plain.extend_from_slice(&frame.bytes[frame.payload_at..]);
        }
        let mut gzip = Vec::with_capacity(plain.len());
        gzip.push(GZIP);
        put_varint(&mut gzip, count);
        put_varint(&mut gzip, body_len as u64);
        let mut encoder = GzEncoder::new(gzip, Compression::new(level));
        let gzip = encoder
            .write_all(&plain[body_at..])
            .and_then(|()| encoder.finish());
        // Nothing can fail that writes to memory; if it did, the plain frame is as good.
        let smaller = gzip
            .ok()
            .filter(|gzip| gzip.len() < plain.len() && body_len <= MAX_BODY);
        (count > 0).then(|| Self {
            count,
            body_len,
            bytes: smaller.unwrap_or(plain).into(),
        })
    }
}

/// A frame at its place in a stream; cloning shares the bytes.
#[derive(Debug, Clone)]
pub struct Frame {
    identity: u64,
    first: u64,
    count: u64,
    tags_at: usize,
    payload_at: usize,
    bytes: Bytes,
}

impl Frame {
    /// Checks the content of a log entry whose id ends in `last`, and numbers its chunks.
    ///
    /// # Errors
    /// The reason, in words, when the bytes are not a frame.
    pub fn decode(last: u64, bytes: Bytes) -> std::result::Result<Self, &'static str> {
        let bytes = match bytes.first() {
            Some(&GZIP) => inflate(&bytes)?,
            _ => bytes,
        };
        let (count, tags_at) = header(&bytes)?;
        if count == 0 || count > last {
            return Err("a frame with an impossible number of chunks");
        }
        let mut at = tags_at;
        let mut payload = 0_usize;
        for _ in 0..count {
            let tag = take_varint(&bytes, &mut at).ok_or("a truncated frame")?;
            let (_, length) = untag(tag).ok_or("an oversized chunk")?;
            payload += length;
        }
        if bytes.len() - at != payload {
            return Err("a frame whose lengths do not add up");
        }
        let frame = Self {
            identity: next_identity(),
            first: last - count + 1,
            count,
            tags_at,
            payload_at: at,
            bytes,
        };
        for Chunk { kind, data } in frame.chunks() {
            match kind {
                Kind::Text if std::str::from_utf8(data).is_err() => return Err("text that is not UTF-8"),
                Kind::Large if Reference::decode(data).is_none() => return Err("an impossible reference"),
                _ => {}
            }
        }
        Ok(frame)
    }

    /// The same for its clones, and for nothing else in this process: what was made from it belongs to all of them.
    pub fn identity(&self) -> u64 {
        self.identity
    }

    /// The seq of the first chunk.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// The seq of the last chunk.
    pub fn last(&self) -> u64 {
        self.first + self.count - 1
    }

    /// The encoded size in bytes.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// The stored bytes, for a producer that has to write them again.
    pub fn encoded(&self) -> EncodedFrame {
        EncodedFrame {
            count: self.count,
            payload_len: self.bytes.len() - self.payload_at,
            bytes: self.bytes.clone(),
        }
    }

    /// The chunks, in order.
    pub fn chunks(&self) -> Chunks<'_> {
        self.chunks_from(Mark {
            left: self.count,
            tag_at: self.tags_at,
            data_at: self.payload_at,
        })
    }

    /// The chunks from a place that [`Chunks::mark`] of the same frame has returned.
    pub fn chunks_from(&self, mark: Mark) -> Chunks<'_> {
        Chunks { frame: self, mark }
    }
}

/// A place within a frame.
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    left: u64,
    tag_at: usize,
    data_at: usize,
}

/// Iterates over the chunks of a frame.
#[derive(Debug)]
pub struct Chunks<'a> {
    frame: &'a Frame,
    mark: Mark,
}

impl Chunks<'_> {
    /// Where the next chunk is.
    pub fn mark(&self) -> Mark {
        self.mark
    }
}

impl<'a> Iterator for Chunks<'a> {
    type Item = Chunk<'a>;

    fn next(&mut self) -> Option<Chunk<'a>> {
        let mark = &mut self.mark;
        mark.left = mark.left.checked_sub(1)?;
        let tag = take_varint(&self.frame.bytes, &mut mark.tag_at)?;
        let (kind, length) = untag(tag)?;
        let data = self.frame.bytes.get(mark.data_at..mark.data_at + length)?;
        mark.data_at += length;
        Some(Chunk { kind, data })
    }
}

/// The bytes that decoding it inflates, as it declares; 0 when it is plain.
pub fn inflates_to(bytes: &[u8]) -> usize {
    if bytes.first() != Some(&GZIP) {
        return 0;
    }
    let mut at = 1;
    let declared = take_varint(bytes, &mut at).and_then(|_| take_varint(bytes, &mut at));
    declared
        .and_then(|length| usize::try_from(length).ok())
        .map_or(0, |length| length.min(MAX_BODY))
}

/// The plain frame that a compressed one holds.
fn inflate(bytes: &[u8]) -> std::result::Result<Bytes, &'static str> {
    let mut at = 1;
    let count = take_varint(bytes, &mut at).ok_or("a truncated frame")?;
    let declared = take_varint(bytes, &mut at).ok_or("a truncated frame")?;
    let body_len = usize::try_from(declared)
        .ok()
        .filter(|length| *length <= MAX_BODY)
        .ok_or("a frame that declares too great a length")?;
    let mut plain = Vec::with_capacity(body_len + 10);
    plain.push(PLAIN);
    put_varint(&mut plain, count);
    let body_at = plain.len();
    let mut decoder = GzDecoder::new(&bytes[at..]);
    // One byte more than declared, which must not come: reading up to it makes the decoder compare its checksum.
    let inflated = (&mut decoder).take(declared + 1).read_to_end(&mut plain);
    if inflated.is_err() || plain.len() - body_at != body_len || !decoder.into_inner().is_empty() {
        return Err("a frame that cannot be inflated to what it declares");
    }
    Ok(plain.into())
}

fn next_identity() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn header(bytes: &[u8]) -> std::result::Result<(u64, usize), &'static str> {
    match bytes.first() {
        None => return Err("an empty frame"),
        Some(&PLAIN) => {}
        Some(_) => return Err("a frame in an unknown codec"),
    }
    let mut at = 1;
    let count = take_varint(bytes, &mut at).ok_or("a truncated frame")?;
    Ok((count, at))
}
