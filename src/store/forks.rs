//! Forks: logs that begin with a copy of another one's beginning (`docs/adr/0044-forks.md`).
//!
//! The beginning of a fork is staged step by step where nobody sees it ([`Stage`]), and opened by the write that creates the fork
//! ([`LogCreate::stage`](super::logs::LogCreate::stage)). Each log lists its forks; whoever needs the name of a deleted log checks whether one of
//! them lives.

use std::{fmt, str::FromStr};

use bytes::Bytes;
use serde::Serialize;
use ulid::Ulid;

use crate::{
    Cursor,
    model::frame::{Reference, SealedFrame},
};

/// The most forks that a log lists. Forks that are gone make room.
pub const MAX_FORKS: usize = 1000;

/// The most earlier logs whose cursors a fork accepts.
pub const MAX_ORIGINS: usize = 64;

/// Where a fork comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Fork {
    /// The log that it was forked from.
    pub stream_id: String,
    /// The last chunk that was asked for as a whole.
    pub seq: u64,
    /// How much was asked for of what follows it: messages of a JSON log, else bytes of the next chunk.
    pub part: u64,
    /// One for each log before it, the oldest first: up to this cursor, that log's cursors are valid for the fork, too. The last one is
    /// of the log that it was forked from.
    #[serde(serialize_with = "texts")]
    pub origins: Vec<Cursor>,
}

fn texts<S: serde::Serializer>(cursors: &[Cursor], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(cursors.iter().map(Cursor::to_string))
}

impl Fork {
    /// Whether the cursor of an earlier log is valid for this fork.
    pub fn inherits(&self, cursor: Cursor) -> bool {
        self.origins
            .iter()
            .any(|origin| origin.generation == cursor.generation && cursor.seq <= origin.seq)
    }

    /// The origins, as texts.
    pub(super) fn texts(&self) -> Vec<String> {
        self.origins.iter().map(Cursor::to_string).collect()
    }

    /// The origins of a fork that shares a log up to `seq`; `fork` says where that log comes from, if it is a fork itself.
    pub fn origins_of(generation: Ulid, fork: Option<&Self>, seq: u64) -> Vec<Cursor> {
        let older = fork.map_or(&[][..], |fork| &fork.origins);
        let older = &older[older.len().saturating_sub(MAX_ORIGINS - 1)..];
        let older = older.iter().map(|origin| Cursor {
            seq: origin.seq.min(seq),
            ..*origin
        });
        older.chain([Cursor { generation, seq }]).collect()
    }
}

/// As it is stored: `<seq> <part> <origin>,<origin>… <stream id>`.
impl fmt::Display for Fork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ", self.seq, self.part)?;
        for (index, origin) in self.origins.iter().enumerate() {
            write!(f, "{}{origin}", if index > 0 { "," } else { "" })?;
        }
        write!(f, " {}", self.stream_id)
    }
}

impl FromStr for Fork {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = "no fork";
        let mut parts = text.splitn(4, ' ');
        let mut part = || parts.next().ok_or(wrong);
        let number = |text: &str| text.parse().map_err(|_| wrong);
        Ok(Self {
            seq: number(part()?)?,
            part: number(part()?)?,
            origins: part()?
                .split(',')
                .map(|origin| origin.parse().map_err(|_| wrong))
                .collect::<Result<_, _>>()?,
            stream_id: part()?.to_owned(),
        })
    }
}

/// A step of staging a fork. A repeated step changes nothing.
#[derive(Debug, Clone)]
pub struct Stage {
    /// The attempt. A later one replaces it.
    pub id: Ulid,
    /// From 0, by one.
    pub step: u64,
    /// What the step stores.
    pub part: StagePart,
}

/// What a [`Stage`] stores.
#[derive(Debug, Clone)]
pub enum StagePart {
    /// The first step: removes what other attempts have staged.
    Begin,
    /// Chunks that follow the ones that are staged.
    Frame {
        /// The seq of the last one.
        last: u64,
        /// Plain or compressed.
        frame: SealedFrame,
    },
    /// A piece of a large chunk that a later frame refers to.
    Piece {
        /// Has the ordinal that was the answer to the first step.
        large: Reference,
        /// From 0, by one.
        index: usize,
        /// A part of the chunk's bytes.
        data: Bytes,
    },
}

/// The outcome of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Staged {
    /// It is stored.
    Done {
        /// The ordinal that the fork will have.
        ordinal: u64,
    },
    /// The stream has been created meanwhile, so nothing can be staged for it.
    Taken,
    /// The steps before it are gone, or another attempt has begun since.
    Lost,
}

/// An operation on the list of a log's forks.
#[derive(Debug, Clone)]
pub enum ForkList {
    /// Adds a fork that is about to be opened, if the log still has this generation.
    Add {
        /// The log's.
        generation: Ulid,
        /// The fork's stream.
        fork: String,
    },
    /// Drops forks that are gone. With the last one, the name of a deleted log is free.
    Drop(Vec<String>),
    /// Only reads the list.
    Show,
}

/// The forks of a log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Forks {
    /// The listed streams. Some may be gone, or may not be forks of this log any more.
    pub streams: Vec<String>,
    /// The log was deleted, and not all of its forks were found to be gone.
    pub is_kept: bool,
    /// The answer to [`ForkList::Add`]. False if the log is gone, has another generation, or has [`MAX_FORKS`].
    pub is_added: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursor(time: u64, seq: u64) -> Cursor {
        let generation = Ulid::from_parts(time, 7);
        Cursor { generation, seq }
    }

    #[test]
    fn a_fork_is_kept_as_a_text() {
        let fork = Fork {
            stream_id: "a b, c".to_owned(),
            seq: 3,
            part: 2,
            origins: vec![cursor(1, 2), cursor(2, 5)],
        };
        assert_eq!(fork.to_string().parse(), Ok(fork));
        for wrong in ["", "1 2 x a", "1 2 3", "a 2 01ARZ3NDEKTSV4RRFFQ69G5FAV.1 a"] {
            assert!(wrong.parse::<Fork>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_fork_has_the_cursors_of_those_before_it_up_to_where_they_part() {
        let one = Fork::origins_of(Ulid::from_parts(1, 7), None, 5);
        assert_eq!(one, [cursor(1, 5)]);
        let fork = Fork {
            stream_id: "a".to_owned(),
            seq: 5,
            part: 0,
            origins: one,
        };
        assert!(fork.inherits(cursor(1, 5)) && !fork.inherits(cursor(1, 6)) && !fork.inherits(cursor(2, 1)));
        let two = |seq| Fork::origins_of(Ulid::from_parts(2, 7), Some(&fork), seq);
        assert_eq!(two(8), [cursor(1, 5), cursor(2, 8)]);
        assert_eq!(two(3), [cursor(1, 3), cursor(2, 3)]);
        let mut long = fork.clone();
        for time in 3..200 {
            long.origins = Fork::origins_of(Ulid::from_parts(time, 7), Some(&long), time);
        }
        assert_eq!(long.origins.len(), MAX_ORIGINS);
        assert_eq!(long.origins.last(), Some(&cursor(199, 199)));
    }
}
