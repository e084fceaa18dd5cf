//! Builds frames.

use std::{collections::VecDeque, ops::Range};

use bytes::Bytes;

use super::chunk::{Kind, REFERENCE, put_varint, untag};

/// Chunks are stored as they came.
pub(super) const PLAIN: u8 = 0;

/// Collects chunks until they are encoded as one frame, or as several; taking one does not move the rest.
#[derive(Debug, Default, Clone)]
pub struct FrameBuilder {
    tags: VecDeque<u32>,
    payload: VecDeque<u8>,
}

impl FrameBuilder {
    /// Adds a chunk; the caller has checked it against [`MAX_INLINE`](super::MAX_INLINE) and, for text, that it is UTF-8.
    pub fn push(&mut self, kind: Kind, data: &[u8]) {
        let reference = if kind == Kind::Large { REFERENCE } else { 0 };
        // A chunk is at most 1 MiB, so its length shifted by one fits 32 bits with room to spare.
        #[expect(clippy::cast_possible_truncation, reason = "bounded by MAX_INLINE")]
        self.tags
            .push_back((data.len() as u32 | reference as u32) << 1 | u32::from(kind == Kind::Text));
        self.payload.extend(data);
    }

    /// The number of chunks.
    pub fn count(&self) -> usize {
        self.tags.len()
    }

    /// The bytes of all chunks, without their lengths.
    pub fn payload_len(&self) -> usize {
        self.payload.len()
    }

    /// A copy of the chunks after the first `skip_count`, whose payloads take `skip_bytes`, as an encoded frame.
    pub fn peek(&self, skip_count: usize, skip_bytes: usize) -> Option<EncodedFrame> {
        if skip_count >= self.tags.len() || skip_bytes > self.payload.len() {
            return None;
        }
        Some(self.encode(skip_count..self.tags.len(), skip_bytes..self.payload.len()))
    }

    fn encode(&self, tags: Range<usize>, payload: Range<usize>) -> EncodedFrame {
        let (count, payload_len) = (tags.len(), payload.len());
        let mut encoded = Vec::with_capacity(payload_len + 2 * count + 4);
        encoded.push(PLAIN);
        put_varint(&mut encoded, count as u64);
        for tag in self.tags.range(tags) {
            put_varint(&mut encoded, u64::from(*tag));
        }
        let (front, back) = self.payload.as_slices();
        let split = front.len();
        encoded.extend_from_slice(&front[payload.start.min(split)..payload.end.min(split)]);
        encoded
            .extend_from_slice(&back[payload.start.saturating_sub(split)..payload.end.saturating_sub(split)]);
        EncodedFrame {
            count: count as u64,
            payload_len,
            bytes: encoded.into(),
        }
    }

    /// Takes at most `max_count` chunks and, past the first one, at most `max_bytes` of payload, as an encoded frame.
    pub fn take(&mut self, max_count: usize, max_bytes: usize) -> Option<EncodedFrame> {
        let mut count = 0;
        let mut bytes = 0;
        for tag in self.tags.iter().take(max_count) {
            let Some((_, length)) = untag(u64::from(*tag)) else {
                break;
            };
            if count > 0 && bytes + length > max_bytes {
                break;
            }
            count += 1;
            bytes += length;
        }
        if count == 0 {
            return None;
        }
        let encoded = self.encode(0..count, 0..bytes);
        self.tags.drain(..count);
        self.payload.drain(..bytes);
        // A burst must not leave its high-water allocation behind for the life of the stream.
        if self.tags.is_empty() && self.payload.capacity() + 4 * self.tags.capacity() > 1 << 16 {
            *self = Self::default();
        }
        Some(encoded)
    }
}

/// A frame that has no place in a stream yet.
#[derive(Debug, Clone)]
pub struct EncodedFrame {
    /// The number of chunks.
    pub count: u64,
    /// The bytes of all chunks.
    pub payload_len: usize,
    /// As a store keeps them.
    pub bytes: Bytes,
}
