//! The frame: consecutive chunks written, stored, sent and decoded as one.
//!
//! ```text
//! plain   0: u8 | count: varint | body
//! gzip    1: u8 | count: varint | the body's length: varint | the body as one gzip member
//! body    count × (length << 1 | is_text): varint | payload
//! ```
//!
//! Varints are LEB128. The frame does not say its place: the log entry's id carries the last seq, so that a frame can be
//! built before the store has given it numbers (`docs/adr/0001-log-entry-ids.md`). Producers write plain frames; sealing
//! puts many into one and compresses it ([`SealedFrame`]). In memory a [`Frame`] is always plain.

#[cfg(test)]
mod tests;

use std::io::{Read as _, Write as _};

use bytes::Bytes;
use flate2::{Compression, bufread::GzDecoder, write::GzEncoder};

/// Chunks are stored as they came.
const PLAIN: u8 = 0;
/// Chunks are stored compressed.
const GZIP: u8 = 1;

/// The longest body that is inflated: whatever a frame declares, it costs its reader no more.
pub const MAX_BODY: usize = 4 << 20;

/// The largest chunk, in bytes.
pub const MAX_CHUNK: usize = 1 << 20;

/// What a chunk is for the one who reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Arbitrary bytes.
    Bytes,
    /// Well-formed UTF-8.
    Text,
}

/// One chunk inside a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk<'a> {
    /// Text or bytes.
    pub kind: Kind,
    /// The payload.
    pub data: &'a [u8],
}

/// Collects chunks until they are encoded as one frame.
#[derive(Debug, Default, Clone)]
pub struct FrameBuilder {
    tags: Vec<u32>,
    payload: Vec<u8>,
}

impl FrameBuilder {
    /// Adds a chunk; the caller has checked it against [`MAX_CHUNK`] and, for text, that it is UTF-8.
    pub fn push(&mut self, kind: Kind, data: &[u8]) {
        // A chunk is at most 1 MiB, so its length shifted by one fits 32 bits with room to spare.
        #[allow(clippy::cast_possible_truncation, reason = "bounded by MAX_CHUNK")]
        self.tags
            .push((data.len() as u32) << 1 | u32::from(kind == Kind::Text));
        self.payload.extend_from_slice(data);
    }

    /// The number of chunks.
    pub fn count(&self) -> usize {
        self.tags.len()
    }

    /// The bytes of all chunks, without their lengths.
    pub fn payload_len(&self) -> usize {
        self.payload.len()
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.tags.is_empty()
    }

    /// A copy of the chunks after the first `skip_count`, whose payloads take `skip_bytes`, as an encoded frame.
    pub fn peek(&self, skip_count: usize, skip_bytes: usize) -> Option<EncodedFrame> {
        let tags = self.tags.get(skip_count..).filter(|tags| !tags.is_empty())?;
        let payload = self.payload.get(skip_bytes..)?;
        let mut encoded = Vec::with_capacity(payload.len() + 2 * tags.len() + 4);
        encoded.push(PLAIN);
        put_varint(&mut encoded, tags.len() as u64);
        for tag in tags {
            put_varint(&mut encoded, u64::from(*tag));
        }
        encoded.extend_from_slice(payload);
        Some(EncodedFrame {
            count: tags.len() as u64,
            payload_len: payload.len(),
            bytes: encoded.into(),
        })
    }

    /// Takes at most `max_count` chunks and, past the first one, at most `max_bytes` of payload, as an encoded frame.
    pub fn take(&mut self, max_count: usize, max_bytes: usize) -> Option<EncodedFrame> {
        let mut count = 0;
        let mut bytes = 0;
        for tag in self.tags.iter().take(max_count) {
            let length = (tag >> 1) as usize;
            if count > 0 && bytes + length > max_bytes {
                break;
            }
            count += 1;
            bytes += length;
        }
        if count == 0 {
            return None;
        }
        let mut encoded = Vec::with_capacity(bytes + 2 * count + 4);
        encoded.push(PLAIN);
        put_varint(&mut encoded, count as u64);
        for tag in self.tags.drain(..count) {
            put_varint(&mut encoded, u64::from(tag));
        }
        if bytes == self.payload.len() {
            encoded.append(&mut self.payload);
        } else {
            encoded.extend(self.payload.drain(..bytes));
        }
        // A burst must not leave its high-water allocation behind for the life of the stream.
        if self.tags.is_empty() && self.payload.capacity() + 4 * self.tags.capacity() > 1 << 16 {
            *self = Self::default();
        }
        Some(EncodedFrame {
            count: count as u64,
            payload_len: bytes,
            bytes: encoded.into(),
        })
    }
}

/// A frame that has no place in a stream yet.
#[derive(Debug, Clone)]
pub struct EncodedFrame {
    /// The number of chunks.
    pub count: u64,
    /// The bytes of all chunks.
    pub payload_len: usize,
    /// What is stored.
    pub bytes: Bytes,
}

impl EncodedFrame {
    /// The same frame at its place.
    pub fn at(&self, first: u64) -> Frame {
        let (count, tags_at) = header(&self.bytes).unwrap_or((self.count, 0));
        Frame {
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
    /// What is stored.
    pub bytes: Bytes,
}

impl SealedFrame {
    /// Seals frames that follow each other, as many of them as [`MAX_BODY`] has room for; `None` when there are none.
    /// `level` is gzip's, 1 to 9.
    pub fn of(frames: &[Frame], level: u32) -> Option<Self> {
        let mut fit = 0;
        let mut body_len = 0;
        for frame in frames {
            let longer = body_len + frame.bytes.len() - frame.tags_at;
            if fit > 0 && longer > MAX_BODY {
                break;
            }
            body_len = longer;
            fit += 1;
        }
        let frames = &frames[..fit];
        let count = frames.iter().map(|frame| frame.count).sum();
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
    first: u64,
    count: u64,
    tags_at: usize,
    payload_at: usize,
    bytes: Bytes,
}

impl Frame {
    /// Checks and places what the log holds under an entry whose id ends in `last`.
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
            let length = usize::try_from(tag >> 1).map_err(|_| "an oversized chunk")?;
            if length > MAX_CHUNK {
                return Err("an oversized chunk");
            }
            payload += length;
        }
        if bytes.len() - at != payload {
            return Err("a frame whose lengths do not add up");
        }
        let frame = Self {
            first: last - count + 1,
            count,
            tags_at,
            payload_at: at,
            bytes,
        };
        if frame
            .chunks()
            .any(|chunk| chunk.kind == Kind::Text && std::str::from_utf8(chunk.data).is_err())
        {
            return Err("text that is not UTF-8");
        }
        Ok(frame)
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

    /// What is stored, for a producer that has to write it again.
    pub fn encoded(&self) -> EncodedFrame {
        EncodedFrame {
            count: self.count,
            payload_len: self.bytes.len() - self.payload_at,
            bytes: self.bytes.clone(),
        }
    }

    /// The chunks, in order.
    pub fn chunks(&self) -> Chunks<'_> {
        Chunks {
            frame: self,
            left: self.count,
            tag_at: self.tags_at,
            data_at: self.payload_at,
        }
    }
}

/// Iterates over the chunks of a frame.
#[derive(Debug)]
pub struct Chunks<'a> {
    frame: &'a Frame,
    left: u64,
    tag_at: usize,
    data_at: usize,
}

impl<'a> Iterator for Chunks<'a> {
    type Item = Chunk<'a>;

    fn next(&mut self) -> Option<Chunk<'a>> {
        self.left = self.left.checked_sub(1)?;
        let tag = take_varint(&self.frame.bytes, &mut self.tag_at)?;
        let length = usize::try_from(tag >> 1).ok()?;
        let data = self.frame.bytes.get(self.data_at..self.data_at + length)?;
        self.data_at += length;
        Some(Chunk {
            kind: if tag & 1 == 1 { Kind::Text } else { Kind::Bytes },
            data,
        })
    }
}

/// Whether decoding it takes its time.
pub fn is_compressed(bytes: &[u8]) -> bool {
    bytes.first() == Some(&GZIP)
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
    // One byte more than declared, which must not come: asking for it is what makes the decoder compare its checksum.
    let inflated = (&mut decoder).take(declared + 1).read_to_end(&mut plain);
    if inflated.is_err() || plain.len() - body_at != body_len || !decoder.into_inner().is_empty() {
        return Err("a frame that cannot be inflated to what it declares");
    }
    Ok(plain.into())
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

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        #[allow(clippy::cast_possible_truncation, reason = "the low seven bits are meant")]
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    #[allow(clippy::cast_possible_truncation, reason = "below 0x80 here")]
    out.push(value as u8);
}

fn take_varint(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..35).step_by(7) {
        let byte = *bytes.get(*at)?;
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}
