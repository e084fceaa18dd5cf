//! Reads the replies of the scripts of logs and forks, as [`reply`](super::reply) does those of streams.

use redis::Value;

use super::reply::{forbidden, terminal};
use crate::{
    Result, StreamId,
    redis::fields::Fields,
    store::{
        forks::{Fork, Forks, Staged},
        logs::{LogHead, LogOutcome, LogWritten},
    },
};

/// What `log.lua` says, and for how long something of the stream may be left, in milliseconds, if that has changed; else 0.
pub(super) fn written(stream: &StreamId, reply: Value) -> Result<Vec<(LogWritten, u64)>> {
    let mut fields = Fields::new("log", reply)?;
    let word = fields.text()?;
    if word != "many" {
        return Ok(vec![log(stream, &word, fields)?]);
    }
    let mut all = Vec::with_capacity(fields.len());
    while !fields.is_empty() {
        let mut one = fields.nested()?;
        let word = one.text()?;
        all.push(log(stream, &word, one)?);
    }
    Ok(all)
}

fn log(stream: &StreamId, word: &str, mut fields: Fields) -> Result<(LogWritten, u64)> {
    match word {
        "missing" | "kept" | "unstaged" => {
            let outcome = match word {
                "missing" => LogOutcome::Missing,
                "kept" => LogOutcome::Kept,
                _ => LogOutcome::Unstaged,
            };
            return Ok((LogWritten { outcome, head: None }, 0));
        }
        "forbidden" => return Err(forbidden(stream)),
        _ => {}
    }
    let mut head = LogHead {
        generation: fields.parsed()?,
        ordinal: fields.number()?,
        base: fields.number()?,
        seq: fields.number()?,
        terminal: terminal(&mut fields)?,
        stop: fields.option()?,
        open: fields.number()?,
        origins: Vec::new(),
    };
    let index_ttl = fields.number()?;
    if let Some(fork) = fields.option()? {
        let fork: Fork = fork.parse().map_err(|_| fields.malformed())?;
        head.origins = fork.origins;
    }
    let outcome = match word {
        "made" | "written" => LogOutcome::Written {
            last: fields.number()?,
            is_new: word == "made",
        },
        "exists" => LogOutcome::Exists,
        "duplicate" => LogOutcome::Duplicate {
            epoch: fields.number()?,
            seq: fields.number()?,
        },
        "other" => LogOutcome::Other,
        "conflict" => LogOutcome::Conflict,
        "closed" => LogOutcome::Closed,
        "type" => LogOutcome::ContentType,
        "stale" => LogOutcome::Stale {
            epoch: fields.number()?,
        },
        "begin" => LogOutcome::Begin,
        "skipped" => LogOutcome::Skipped {
            expected: fields.number()?,
        },
        "disorder" => LogOutcome::Disorder,
        "incomplete" => LogOutcome::Incomplete,
        "renewed" => LogOutcome::Renewed,
        "unsealed" => LogOutcome::Unsealed,
        "late" => LogOutcome::Late,
        _ => return Err(fields.malformed()),
    };
    let head = Some(head);
    Ok((LogWritten { outcome, head }, index_ttl))
}

/// What `stage.lua` says.
pub(super) fn staged(reply: Value) -> Result<Staged> {
    let mut fields = Fields::new("stage", reply)?;
    match fields.text()?.as_str() {
        "done" => Ok(Staged::Done {
            ordinal: fields.number()?,
        }),
        "taken" => Ok(Staged::Taken),
        "lost" => Ok(Staged::Lost),
        _ => Err(fields.malformed()),
    }
}

/// What `forks.lua` says.
pub(super) fn forks(reply: Value) -> Result<Forks> {
    let mut fields = Fields::new("forks", reply)?;
    let (is_added, is_kept) = (fields.flag()?, fields.flag()?);
    let mut streams = Vec::with_capacity(fields.len());
    while !fields.is_empty() {
        streams.push(fields.text()?);
    }
    Ok(Forks {
        streams,
        is_kept,
        is_added,
    })
}
