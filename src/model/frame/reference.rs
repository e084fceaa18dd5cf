//! What a frame holds instead of a chunk that is kept in pieces.
//!
//! ```text
//! is_text: u8 | the generation's ordinal: varint | the chunk's length: varint | id: 16 bytes
//! ```

use ulid::Ulid;

use super::chunk::{Kind, MAX_CHUNK, MAX_INLINE, put_varint, take_varint};

/// The length of every piece but the last, which may be shorter.
pub const PIECE: usize = 256 * 1024;

/// Stands in a frame for a chunk that is stored in pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reference {
    /// Tells the pieces of one chunk from those of all others.
    pub id: Ulid,
    /// The ordinal of the generation that it belongs to.
    pub ordinal: u64,
    /// Text or bytes.
    pub kind: Kind,
    /// The chunk's length in bytes.
    pub length: usize,
}

impl Reference {
    /// How many pieces there are.
    pub fn pieces(&self) -> usize {
        self.length.div_ceil(PIECE)
    }

    /// The payload of a chunk of [`Kind::Large`].
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![u8::from(self.kind == Kind::Text)];
        put_varint(&mut out, self.ordinal);
        put_varint(&mut out, self.length as u64);
        out.extend_from_slice(&self.id.to_bytes());
        out
    }

    /// The inverse of [`Reference::encode`]; `None` for bytes that it cannot have returned.
    pub fn decode(data: &[u8]) -> Option<Self> {
        let kind = match data.first()? {
            0 => Kind::Bytes,
            1 => Kind::Text,
            _ => return None,
        };
        let mut at = 1;
        let ordinal = take_varint(data, &mut at)?;
        let length = usize::try_from(take_varint(data, &mut at)?).ok()?;
        let id = Ulid::from_bytes(data.get(at..)?.try_into().ok()?);
        let is_large = (MAX_INLINE + 1..=MAX_CHUNK).contains(&length);
        is_large.then_some(Self {
            id,
            ordinal,
            kind,
            length,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::frame::{Frame, FrameBuilder, SealedFrame};

    fn reference(length: usize) -> Reference {
        Reference {
            id: Ulid::from_parts(7, 9),
            ordinal: 300,
            kind: Kind::Text,
            length,
        }
    }

    #[test]
    fn a_reference_is_told_from_data_through_frames_and_seals() {
        let large = reference(MAX_CHUNK).encode();
        let mut builder = FrameBuilder::default();
        builder.push(Kind::Text, b"before");
        builder.push(Kind::Large, &large);
        builder.push(Kind::Bytes, &large);
        let encoded = builder.take(9, usize::MAX).unwrap();
        let frame = Frame::decode(3, encoded.bytes).unwrap();
        let sealed = SealedFrame::of(std::slice::from_ref(&frame), 6).unwrap();
        for frame in [frame, Frame::decode(3, sealed.bytes).unwrap()] {
            let chunks: Vec<_> = frame.chunks().map(|chunk| (chunk.kind, chunk.data)).collect();
            assert_eq!(chunks[0], (Kind::Text, &b"before"[..]));
            assert_eq!(chunks[1], (Kind::Large, &large[..]));
            assert_eq!(chunks[2], (Kind::Bytes, &large[..]));
            assert_eq!(Reference::decode(chunks[1].1), Some(reference(MAX_CHUNK)));
        }
    }

    #[test]
    fn an_impossible_reference_is_refused() {
        let good = reference(MAX_INLINE + 1).encode();
        assert!(Reference::decode(&good).is_some());
        let bad = [
            reference(MAX_INLINE).encode(),
            reference(MAX_CHUNK + 1).encode(),
            good[1..].to_vec(),
            good[..good.len() - 1].to_vec(),
            [&good[..], b"x"].concat(),
            Vec::new(),
        ];
        for bad in bad {
            assert_eq!(Reference::decode(&bad), None, "{bad:?}");
            let mut builder = FrameBuilder::default();
            builder.push(Kind::Large, &bad);
            let encoded = builder.take(1, 9).unwrap();
            assert!(Frame::decode(1, encoded.bytes).is_err());
        }
    }

    #[test]
    fn a_chunk_is_cut_into_pieces_without_rest() {
        let pieces = |length| reference(length).pieces();
        assert_eq!(pieces(4 * PIECE + 1), 5);
        assert_eq!(pieces(5 * PIECE), 5);
        assert_eq!(pieces(MAX_CHUNK), 128);
    }
}
