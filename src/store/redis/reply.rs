//! Reads the replies of scripts and commands. A reply of an unexpected shape is an error, never a panic.

use std::time::Duration;

use redis::Value;

use crate::{
    Cursor, Error, Result, StreamId,
    model::ending::{Outcome, Terminal},
    redis::fields::Fields,
    store::{
        Appended, ConsumerStatus, Found, Head, Page, Started, StopResult, StreamStatus, Swept, Vouched,
        doubt::Look,
        logs::LogConfig,
        pages::RawPage,
        values::{crowded, too_many_stops},
    },
    util::time::millis,
};

/// The reply of `start.lua`.
pub(super) struct StartReply {
    pub started: Started,
    /// The record's `hn`, if another producer had it.
    pub number: u64,
    pub is_booked: bool,
}

/// The reply of `start.lua`, and when to ask again.
pub(super) fn started(stream: &StreamId, reply: Value) -> Result<Look<Result<StartReply>>> {
    let mut fields = Fields::new("start", reply)?;
    let mut again = None;
    let answer = match fields.text()?.as_str() {
        "started" => {
            let started = Started {
                generation: fields.parsed()?,
                ordinal: fields.number()?,
                seq: fields.number()?,
                stop: fields.option()?,
                base: fields.number()?,
                turn: fields.number()?,
            };
            Ok(StartReply {
                started,
                number: fields.number()?,
                is_booked: !fields.is_empty(),
            })
        }
        "active" => {
            again = fields.millis()?;
            Err(Error::Active {
                stream: stream.to_string(),
            })
        }
        "crowded" => Err(crowded()),
        "ended" => match Outcome::parse(&fields.text()?) {
            Some(outcome) => Err(Error::Ended {
                stream: stream.to_string(),
                outcome: outcome.as_str(),
            }),
            None => Err(fields.malformed()),
        },
        "forbidden" => Err(forbidden(stream)),
        _ => Err(fields.malformed()),
    };
    Ok(Look { answer, again })
}

/// The reply of `start.lua` when the generation is to begin under another name.
pub(super) fn left(stream: &StreamId, reply: Value) -> Result<Look<Result<()>>> {
    let is_left = |fields: &[Value]| matches!(fields, [Value::BulkString(word)] if word == b"left");
    if matches!(&reply, Value::Array(fields) if is_left(fields)) {
        return Ok(Look::sure(Ok(())));
    }
    let Look { answer, again } = started(stream, reply)?;
    Ok(Look {
        answer: answer.map(drop),
        again,
    })
}

/// The reply of `append.lua`, `piece.lua`, `renew.lua` and `restore.lua`.
pub(super) struct AppendReply {
    pub appended: Appended,
    /// For how long something of the stream may be left, in milliseconds, if its TTLs were set; else 0.
    pub index_ttl: u64,
    /// For how long the next batch may be fast, the generation's ordinal, and `h`.
    pub fast: Option<(Duration, u64, u64)>,
    /// The end is in the books.
    pub is_booked: bool,
}

pub(super) fn appended(operation: &'static str, reply: Value) -> Result<AppendReply> {
    let mut fields = Fields::new(operation, reply)?;
    let appended = match fields.text()?.as_str() {
        "done" => {
            let (last, stop) = (fields.number()?, fields.option()?);
            let terminal = terminal(&mut fields)?;
            let index_ttl = fields.number()?;
            let is_booked = terminal.is_some() && !fields.is_empty();
            let done = Appended::Done {
                last,
                stop,
                terminal,
                due: false,
                is_heard: true,
            };
            let fast = if fields.is_empty() || is_booked {
                None
            } else {
                let time = Duration::from_millis(fields.number()?);
                Some((time, fields.number()?, fields.number()?))
            };
            return Ok(AppendReply {
                appended: done,
                index_ttl,
                fast,
                is_booked,
            });
        }
        "hole" => Appended::Hole {
            seq: fields.number()?,
        },
        "incomplete" => Appended::Incomplete,
        "unsealed" => Appended::Unsealed,
        "fenced" => Appended::Fenced,
        "ended" => Appended::Ended(terminal(&mut fields)?.ok_or_else(|| fields.malformed())?),
        "missing" => Appended::Missing,
        _ => return Err(fields.malformed()),
    };
    Ok(AppendReply {
        appended,
        index_ttl: 0,
        fast: None,
        is_booked: false,
    })
}

/// The options with which a log was created, if it is one.
fn log_config(fields: &mut Fields) -> Result<Option<LogConfig>> {
    let content_type = fields.option()?;
    let (ttl, expires_at) = (fields.millis()?, fields.millis()?);
    let fork = fields.option()?.map(|fork| fork.parse());
    let fork = fork.transpose().map_err(|_| fields.malformed())?;
    Ok(content_type.map(|content_type| LogConfig {
        content_type,
        ttl_ms: ttl.map(millis),
        expires_at: expires_at.map(millis),
        fork,
    }))
}

/// The node that vouches for a generation, and for how long it can.
fn vouched(fields: &mut Fields) -> Result<Option<Vouched>> {
    let node = fields.option()?.and_then(|node| node.parse().ok());
    let left = fields.millis()?;
    Ok(node.zip(left).map(|(node, left)| Vouched { node, left }))
}

/// The reply of `read.lua`, and for how long parts of the stream may be left, in milliseconds, if that has changed; else 0.
pub(super) fn page(stream: &StreamId, reply: Value) -> Result<Option<(RawPage, u64)>> {
    if reply == Value::Nil {
        return Ok(None);
    }
    let mut fields = Fields::new("read", reply)?;
    match fields.text()?.as_str() {
        "page" => {}
        "forbidden" => return Err(forbidden(stream)),
        _ => return Err(fields.malformed()),
    }
    let mut page = Page {
        head: Head {
            generation: fields.parsed()?,
            base: fields.number()?,
            seq: fields.number()?,
            terminal: terminal(&mut fields)?,
            lease_left: Duration::from_millis(fields.number()?),
            doubt: fields.millis()?,
            vouched: vouched(&mut fields)?,
        },
        generation: fields.parsed()?,
        base: fields.number()?,
        after: fields.number()?,
        lost: fields.flag()?,
        more: fields.flag()?,
        terminal: terminal(&mut fields)?,
        frames: Vec::new(),
        log: None,
    };
    let mut frames = fields.nested()?;
    let mut kept = Vec::with_capacity(frames.len() / 2);
    while !frames.is_empty() {
        kept.push((frames.number()?, frames.bytes()?.unwrap_or_default().into()));
    }
    let mut index_ttl = 0;
    if !fields.is_empty() {
        index_ttl = fields.number()?;
        page.log = log_config(&mut fields)?;
    }
    Ok(Some((RawPage { page, kept }, index_ttl)))
}

/// The reply of `stop.lua`.
pub(super) fn stopped(stream: &StreamId, reply: Value) -> Result<StopResult> {
    let mut fields = Fields::new("stop", Value::Array(vec![reply]))?;
    match fields.text()?.as_str() {
        "stopping" => Ok(StopResult::Stopping),
        "kept" => Ok(StopResult::Kept),
        "full" => Err(too_many_stops(stream)),
        "ended" => Ok(StopResult::Ended),
        "forbidden" => Err(forbidden(stream)),
        _ => Err(fields.malformed()),
    }
}

/// The reply of `delete.lua`: whether there was a stream.
pub(super) fn removed(stream: &StreamId, reply: Value) -> Result<bool> {
    let mut fields = Fields::new("delete", Value::Array(vec![reply]))?;
    match fields.text()?.as_str() {
        "removed" => Ok(true),
        "missing" => Ok(false),
        "forbidden" => Err(forbidden(stream)),
        _ => Err(fields.malformed()),
    }
}

/// The reply of `INFO`.
pub(super) fn info(reply: Value) -> Result<String> {
    Fields::new("info", Value::Array(vec![reply]))?.text()
}

/// The reply of `sweep.lua`, and when to ask again.
pub(super) fn swept(reply: Value) -> Result<Look<Swept>> {
    let mut fields = Fields::new("cleanup", reply)?;
    let mut again = None;
    let answer = match fields.text()?.as_str() {
        "gone" => Swept::Gone,
        "live" => {
            again = fields.millis()?;
            Swept::Live
        }
        "kept" => Swept::Kept,
        "removed" => Swept::Removed,
        "damaged" => Swept::Damaged,
        _ => return Err(fields.malformed()),
    };
    Ok(Look { answer, again })
}

/// The reply of `status.lua`, and when to ask again.
pub(super) fn found(stream: &StreamId, reply: Value) -> Result<Look<Found>> {
    if reply == Value::Nil {
        return Ok(Look::sure(Found::Nothing));
    }
    let mut fields = Fields::new("status", reply)?;
    let state = fields.text()?;
    if state == "damaged" {
        return Ok(Look::sure(Found::Damaged(fields.text()?)));
    }
    // The script has looked at what it counts on itself, and hands the rest over as it is.
    Ok(known(stream, state, fields).unwrap_or_else(|_| {
        Look::sure(Found::Damaged(
            "one of its fields is no text, or no number".to_owned(),
        ))
    }))
}

fn known(stream: &StreamId, state: String, mut fields: Fields) -> Result<Look<Found>> {
    let mut status = StreamStatus {
        stream_id: stream.to_string(),
        state,
        reason: fields.option()?.filter(|reason| !reason.is_empty()),
        generation: fields.text()?,
        first_seq: fields.number()? + 1,
        last_seq: fields.number()?,
        bytes: fields.number()?,
        stored_bytes: fields.number()?,
        producers: u32::try_from(fields.number()?).unwrap_or(u32::MAX),
        stop: fields.option()?,
        owner: fields.option()?,
        metadata: fields.option()?,
        started_at: fields.number()?,
        updated_at: fields.number()?,
        ttl_ms: fields.number()?,
        consumers: Vec::new(),
        log: None,
    };
    let mut consumers = fields.nested()?;
    while !consumers.is_empty() {
        // Another program has put anything that is not a cursor there.
        if let (Ok(consumer), Ok(cursor)) = (consumers.text(), consumers.text())
            && let Ok(cursor) = cursor.parse()
        {
            status
                .consumers
                .push(ConsumerStatus::new(consumer, cursor, status.last_seq));
        }
    }
    let again = fields.millis()?;
    status.log = log_config(&mut fields)?;
    Ok(Look {
        answer: Found::Stream(Box::new(status)),
        again,
    })
}

/// The reply of `ack.lua`.
pub(super) fn acked(stream: &StreamId, reply: Value) -> Result<Vec<bool>> {
    let mut fields = Fields::new("ack", reply)?;
    match fields.text()?.as_str() {
        "acked" => {}
        "forbidden" => return Err(forbidden(stream)),
        "missing" => {
            return Err(Error::NotFound {
                stream: stream.to_string(),
            });
        }
        _ => return Err(fields.malformed()),
    }
    let mut taken = Vec::new();
    while !fields.is_empty() {
        taken.push(fields.flag()?);
    }
    Ok(taken)
}

/// A field of the hash of cursors.
pub(super) fn cursor(reply: Value) -> Result<Option<Cursor>> {
    let text = Fields::new("cursor", Value::Array(vec![reply]))?.option()?;
    Ok(text.and_then(|text| text.parse().ok()))
}

pub(super) fn forbidden(stream: &StreamId) -> Error {
    Error::Forbidden {
        stream: stream.to_string(),
    }
}

/// An outcome and its reason; `None` when the outcome is absent or not one.
pub(super) fn terminal(fields: &mut Fields) -> Result<Option<Terminal>> {
    let outcome = fields.option()?.as_deref().and_then(Outcome::parse);
    let reason = fields.option()?.unwrap_or_default();
    Ok(outcome.map(|outcome| Terminal { outcome, reason }))
}
