//! The cursor: a reader's position in a stream.

use std::{fmt, str::FromStr};

use ulid::Ulid;

use crate::{Error, Result};

/// Everything up to and including `seq` of `generation` has been seen.
///
/// Its text form is `<generation>.<seq>`: a 26-character ULID, a dot and a decimal number. Callers treat it as opaque.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cursor {
    /// The generation the reader follows.
    pub generation: Ulid,
    /// The last seq it has seen.
    pub seq: u64,
}

/// The largest seq: JavaScript's `Number.MAX_SAFE_INTEGER`, and what a Lua number holds exactly.
pub const MAX_SEQ: u64 = (1 << 53) - 1;

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.generation, self.seq)
    }
}

impl FromStr for Cursor {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        parse(text).ok_or_else(|| {
            Error::invalid(
                "cursor",
                "malformed; pass a cursor that a chunk carried, 'start' or 'now'",
            )
        })
    }
}

fn parse(text: &str) -> Option<Cursor> {
    let (generation, seq) = text.split_once('.')?;
    let digits = !seq.is_empty() && seq.len() <= 16 && seq.bytes().all(|b| b.is_ascii_digit());
    if !digits || (seq.len() > 1 && seq.starts_with('0')) {
        return None;
    }
    let cursor = Cursor {
        generation: Ulid::from_string(generation).ok()?,
        seq: seq.parse().ok().filter(|seq| *seq <= MAX_SEQ)?,
    };
    // One text for one cursor: rejects lower case and Crockford's look-alikes, which ULID parsing accepts.
    (cursor.generation.to_string() == generation).then_some(cursor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_round_trips() {
        let cursor = Cursor {
            generation: Ulid::from_parts(1, 2),
            seq: MAX_SEQ,
        };
        assert_eq!(cursor.to_string().parse::<Cursor>().unwrap(), cursor);
    }

    #[test]
    fn malformed_text_is_refused() {
        let ulid = Ulid::from_parts(1, 2).to_string();
        for bad in [
            "",
            "-1",
            ".",
            "5",
            &format!("{ulid}."),
            &format!("{ulid}.-1"),
            &format!("{ulid}.01"),
            &format!("{ulid}.1 "),
            &format!("{ulid}.+1"),
            &format!("{ulid}.9007199254740992"),
            &format!("{}.1", ulid.to_lowercase().replace('0', "o")),
            &format!("{ulid}.1.2"),
        ] {
            let error = bad.parse::<Cursor>().unwrap_err();
            assert_eq!(error.code(), "ERR_INVALID_ARGUMENT", "{bad}");
        }
    }
}
