//! A chunk, and the numbers that are written before it.

/// The largest chunk, in bytes. `ts/options/chunk.ts` refuses larger ones; a test compares the two.
pub const MAX_CHUNK: usize = 32 << 20;

/// The largest chunk that a frame holds itself, in bytes.
pub const MAX_INLINE: usize = 1 << 20;

/// The type of a chunk for its readers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Arbitrary bytes.
    Bytes,
    /// Well-formed UTF-8.
    Text,
    /// Kept in pieces: the data is a [`Reference`](super::Reference).
    Large,
}

impl Kind {
    /// The kind of a chunk that was given as text, or as bytes: a text that is none, or that was cut within a character, is bytes.
    pub fn of(is_text: bool, data: &[u8]) -> Self {
        if is_text && std::str::from_utf8(data).is_ok() {
            Self::Text
        } else {
            Self::Bytes
        }
    }

    /// The data of such a chunk as text; `None` for bytes.
    pub fn text(self, data: &[u8]) -> Option<&str> {
        if self == Self::Text {
            std::str::from_utf8(data).ok()
        } else {
            None
        }
    }
}

/// One chunk inside a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk<'a> {
    /// Text or bytes.
    pub kind: Kind,
    /// The producer's data: UTF-8 if it is text.
    pub data: &'a [u8],
}

/// The content of a tag: the kind of the chunk, and the length of its payload.
pub(super) fn untag(tag: u64) -> Option<(Kind, usize)> {
    let length = tag >> 1;
    let kind = match tag & 1 {
        1 => Kind::Text,
        _ if length & REFERENCE != 0 => Kind::Large,
        _ => Kind::Bytes,
    };
    let length = if kind == Kind::Large {
        length ^ REFERENCE
    } else {
        length
    };
    let length = usize::try_from(length).ok()?;
    (length <= MAX_INLINE).then_some((kind, length))
}

/// Part of a reference's length.
pub(super) const REFERENCE: u64 = 1 << 21;

pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        #[expect(clippy::cast_possible_truncation, reason = "the low seven bits are meant")]
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    #[expect(clippy::cast_possible_truncation, reason = "below 0x80 here")]
    out.push(value as u8);
}

pub(super) fn take_varint(bytes: &[u8], at: &mut usize) -> Option<u64> {
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
