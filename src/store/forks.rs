//! Forks: logs that begin with a copy of another one's beginning (`docs/adr/0044-forks.md`).
//!
//! A fork is put down step by step where nobody sees it ([`Stage`]), and opened in one step with the write that makes it
//! ([`LogCreate::stage`](super::logs::LogCreate::stage)). The log that it was forked from names its forks, and whoever asks for its name once it is
//! deleted finds out whether one of them lives.

use std::{fmt, str::FromStr};

use bytes::Bytes;
use serde::Serialize;
use ulid::Ulid;

use crate::{
    Cursor,
    model::frame::{Reference, SealedFrame},
};

/// A log names so many forks at most. Those that are gone make room.
pub const MAX_FORKS: usize = 1000;

/// A fork knows the cursors of so many of the logs before it.
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
    /// Of the logs before it, the oldest first: up to there their cursors are the fork's too. The last one is of the log that it was
    /// forked from.
    #[serde(serialize_with = "texts")]
    pub origins: Vec<Cursor>,
}

fn texts<S: serde::Serializer>(cursors: &[Cursor], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(cursors.iter().map(Cursor::to_string))
}

impl Fork {
    /// Whether a chunk of another log is one of this fork.
    pub fn inherits(&self, cursor: Cursor) -> bool {
        self.origins
            .iter()
            .any(|origin| origin.generation == cursor.generation && cursor.seq <= origin.seq)
    }

    /// The origins of a fork of a log, which has all of it up to `seq`.
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

/// As it is kept: `<seq> <part> <origin>,<origin>… <stream id>`.
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

/// A step of putting a fork down. The same step again changes nothing.
#[derive(Debug, Clone)]
pub struct Stage {
    /// Tells one attempt from another, of whom the last one that has begun goes on.
    pub id: Ulid,
    /// From 0, by one.
    pub step: u64,
    /// What is put down.
    pub part: StagePart,
}

/// See [`Stage`].
#[derive(Debug, Clone)]
pub enum StagePart {
    /// What others have put down makes room: the first step.
    Begin,
    /// Chunks that follow those before, or the first.
    Frame {
        /// The seq of the last one.
        last: u64,
        /// All of them.
        frame: SealedFrame,
    },
    /// A piece of a large chunk that a later frame refers to.
    Piece {
        /// With the ordinal that the first step was answered with.
        large: Reference,
        /// From 0, by one.
        index: usize,
        /// The piece.
        data: Bytes,
    },
}

/// What became of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Staged {
    /// It is put down.
    Done {
        /// The ordinal that the fork will have.
        ordinal: u64,
    },
    /// There is a stream.
    Taken,
    /// What was put down before it is gone, or somebody else has begun after it.
    Lost,
}

/// What is done about the forks of a log.
#[derive(Debug, Clone)]
pub enum ForkList {
    /// One is about to be opened; that this generation is still there is part of the answer.
    Add {
        /// The log's.
        generation: Ulid,
        /// The fork's stream.
        fork: String,
    },
    /// These are gone. The name of a log that was deleted is free with its last one.
    Drop(Vec<String>),
    /// Nothing.
    Show,
}

/// The forks of a log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Forks {
    /// Their streams, some of which may be gone, or something else by now.
    pub streams: Vec<String>,
    /// The log was deleted, and nobody has found out yet that all of them are gone.
    pub is_kept: bool,
    /// Of [`ForkList::Add`]: it is noted. Else the log is another one, or gone, or has [`MAX_FORKS`].
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
