//! Makes a log as a fork of another, and tells whether a log that was deleted has forks that live.

use std::{sync::Arc, time::Duration};

use tokio::time::sleep;

use super::{
    LogAppend,
    copying::{Copied, Extent, copy},
    turn::Turn,
};
use crate::{
    Cursor, Error, Result, StreamId,
    engine::context::Context,
    model::ending::{Outcome, Terminal},
    store::{
        Position, StreamStatus,
        forks::{Fork, ForkList},
        logs::{LogConfig, LogHead, LogOutcome, LogWritten, essence},
    },
    util::ulids::next_ulid,
};

/// How often a fork is tried that others disturb.
const ATTEMPTS: u32 = 8;
/// The longest pause before the second try; each later pause may be this much longer.
const PAUSE_MS: u128 = 50;

/// How deep deleted forks of deleted logs are searched. Anything deeper counts as a live fork.
const LONGEST_LINE: usize = 1000;

/// In logs of this type, each chunk is a message, and a fork's `part` counts messages.
const JSON: &str = "application/json";

/// What a log is forked from.
#[derive(Debug, Clone)]
pub struct LogFork {
    /// The log to fork.
    pub source: StreamId,
    /// The owner on whose behalf it is read.
    pub owner: Option<String>,
    /// Up to where it is copied: a cursor, or its beginning. `None`: up to its end.
    pub at: Option<Position>,
    /// How much of what follows is copied, too: messages of a JSON log, else bytes of the next chunk.
    pub part: u64,
    /// Whether the caller gave a content type, which then must be the source's.
    pub has_type: bool,
}

/// Creates the fork. An identical one that exists is left as it is.
pub(super) async fn fork(
    context: &Arc<Context>,
    turn: &mut Turn,
    stream: &StreamId,
    fork: &LogFork,
    append: LogAppend,
) -> Result<LogWritten> {
    for attempt in 0..ATTEMPTS {
        if attempt > 0 {
            let jitter = next_ulid().random() % (PAUSE_MS * u128::from(attempt));
            sleep(Duration::from_millis(u64::try_from(jitter).unwrap_or_default())).await;
        }
        let tried = attempt_fork(context, turn, stream, fork, &append).await?;
        if tried.outcome != LogOutcome::Unstaged {
            return Ok(tried);
        }
    }
    Err(Error::Store {
        operation: "fork",
        reason: "others fork or make the same stream again and again".to_owned(),
        retryable: true,
    })
}

async fn attempt_fork(
    context: &Arc<Context>,
    turn: &mut Turn,
    stream: &StreamId,
    fork: &LogFork,
    append: &LogAppend,
) -> Result<LogWritten> {
    if let Some(status) = status(context, stream).await? {
        return compare(&status, fork, append);
    }
    if is_kept(context, stream).await? {
        return Ok(without(LogOutcome::Kept));
    }
    let Some(source) = status(context, &fork.source).await? else {
        let is_kept = is_kept(context, &fork.source).await?;
        return Ok(without(if is_kept {
            LogOutcome::SourceKept
        } else {
            LogOutcome::NoSource
        }));
    };
    check_owner(&source, fork.owner.as_ref())?;
    let (Some(config), Some(open)) = (&source.log, &append.create) else {
        return Ok(without(LogOutcome::Other));
    };
    let is_other = |asked: &String| fork.has_type && essence(asked) != essence(&config.content_type);
    if is_other(&open.config.content_type) {
        return Ok(without(LogOutcome::ContentType));
    }
    let Some(mut extent) = extent(&source, config, fork)? else {
        return Ok(without(LogOutcome::NoPlace));
    };
    let asked = extent.seq;
    if essence(&config.content_type) == JSON {
        extent.seq += std::mem::take(&mut extent.bytes);
    }
    let last = extent.seq + u64::from(extent.bytes > 0);
    if last > source.last_seq {
        return Ok(without(LogOutcome::NoPlace));
    }
    let (attempt, is_whole) = match copy(context, &extent, stream).await? {
        Copied::Done { attempt, is_whole } => (attempt, is_whole),
        Copied::Disturbed => return Ok(without(LogOutcome::Unstaged)),
        Copied::NoPlace => return Ok(without(LogOutcome::NoPlace)),
    };
    let shared = if is_whole { last } else { extent.seq };
    if !note(context, &extent, stream).await? {
        let is_there = status(context, &fork.source).await?.map(|found| found.generation);
        let is_full = is_there.as_ref() == Some(&source.generation);
        return Ok(without(if is_full {
            LogOutcome::Crowded
        } else {
            LogOutcome::Unstaged
        }));
    }
    let origin = Fork {
        stream_id: fork.source.to_string(),
        seq: asked,
        part: fork.part,
        origins: Fork::origins_of(extent.generation, config.fork.as_ref(), shared),
    };
    let mut append = append.clone();
    append.content_type = None;
    if let Some(open) = &mut append.create {
        open.stage = Some(attempt);
        inherit(&mut open.config, config, fork, origin, &mut open.keep);
    }
    turn.write(context, stream, append).await
}

/// Takes over the source's content type, TTL and end, where the fork was given none.
fn inherit(config: &mut LogConfig, from: &LogConfig, fork: &LogFork, origin: Fork, keep: &mut Duration) {
    config.fork = Some(origin);
    if !fork.has_type {
        config.content_type.clone_from(&from.content_type);
    }
    if config.ttl_ms.is_none() && config.expires_at.is_none() {
        (config.ttl_ms, config.expires_at) = (from.ttl_ms, from.expires_at);
        if let Some(ttl) = from.ttl_ms {
            *keep = Duration::from_millis(ttl);
        }
    }
}

/// The part of the source that was asked for; `None` if it has no such position.
fn extent<'a>(source: &StreamStatus, config: &LogConfig, fork: &'a LogFork) -> Result<Option<Extent<'a>>> {
    let generation = source
        .generation
        .parse()
        .map_err(|_| Error::internal("a log without its generation"))?;
    let base = source.first_seq - 1;
    let seq = match fork.at {
        None | Some(Position::Now) => Some(source.last_seq),
        Some(Position::Start) => Some(base),
        Some(Position::After { generation: of, seq }) => {
            let cursor = Cursor { generation: of, seq };
            let is_own = of == generation || config.fork.as_ref().is_some_and(|fork| fork.inherits(cursor));
            is_own.then_some(seq)
        }
        Some(_) => None,
    };
    let seq = seq.filter(|seq| (base..=source.last_seq).contains(seq));
    Ok(seq.map(|seq| Extent {
        source: &fork.source,
        generation,
        owner: fork.owner.clone(),
        base,
        seq,
        bytes: fork.part,
    }))
}

/// Lists the fork with its source, before the fork is opened. False if the source is gone or its list is full.
async fn note(context: &Context, extent: &Extent<'_>, stream: &StreamId) -> Result<bool> {
    let add = ForkList::Add {
        generation: extent.generation,
        fork: stream.to_string(),
    };
    let mut forks = context
        .retry(|| context.store().forks(extent.source, &add))
        .await?;
    if !forks.is_added && !forks.is_kept && !forks.streams.is_empty() {
        let mut gone = Vec::new();
        for name in forks.streams {
            if status_of(context, &name)
                .await?
                .is_none_or(|status| !is_fork_of(&status, extent.source))
            {
                gone.push(name);
            }
        }
        let drop = ForkList::Drop(gone);
        context
            .retry(|| context.store().forks(extent.source, &drop))
            .await?;
        forks = context
            .retry(|| context.store().forks(extent.source, &add))
            .await?;
    }
    Ok(forks.is_added)
}

/// Whether a deleted log has a live fork, or a deleted fork that has one: its name is not free then. Forks that are gone are dropped from
/// the lists that are read.
pub(super) async fn is_kept(context: &Context, stream: &StreamId) -> Result<bool> {
    let show = |stream: StreamId| async move {
        let forks = context
            .retry(|| context.store().forks(&stream, &ForkList::Show))
            .await?;
        Ok::<_, Error>(forks.is_kept.then_some((stream, forks.streams, Vec::new())))
    };
    let Some(first) = show(stream.clone()).await? else {
        return Ok(false);
    };
    let mut line = vec![first];
    loop {
        let depth = line.len();
        let Some((name, left, gone)) = line.last_mut() else {
            return Ok(false);
        };
        if let Some(fork) = left.pop() {
            match status_of(context, &fork).await? {
                Some(status) if is_fork_of(&status, name) => return Ok(true),
                Some(_) => gone.push(fork),
                None => match show(StreamId::new(&fork)?).await? {
                    Some(_) if depth >= LONGEST_LINE => return Ok(true),
                    Some(deleted) => line.push(deleted),
                    None => gone.push(fork),
                },
            }
            continue;
        }
        let drop = ForkList::Drop(std::mem::take(gone));
        let name = name.clone();
        context.retry(|| context.store().forks(&name, &drop)).await?;
        line.pop();
        if let Some((_, _, gone)) = line.last_mut() {
            gone.push(name.to_string());
        }
    }
}

fn is_fork_of(status: &StreamStatus, stream: &StreamId) -> bool {
    let fork = status.log.as_ref().and_then(|log| log.fork.as_ref());
    fork.is_some_and(|fork| fork.stream_id == stream.as_str())
}

async fn status_of(context: &Context, stream: &str) -> Result<Option<StreamStatus>> {
    status(context, &StreamId::new(stream)?).await
}

async fn status(context: &Context, stream: &StreamId) -> Result<Option<StreamStatus>> {
    context.retry(|| context.store().status(stream)).await
}

fn check_owner(status: &StreamStatus, owner: Option<&String>) -> Result<()> {
    if status.owner.is_none() || status.owner.as_ref() == owner {
        return Ok(());
    }
    Err(Error::Forbidden {
        stream: status.stream_id.clone(),
    })
}

/// The answer when the fork's stream exists.
fn compare(status: &StreamStatus, asked: &LogFork, append: &LogAppend) -> Result<LogWritten> {
    check_owner(status, append.owner.as_ref())?;
    let wanted = append.create.as_ref().map(|open| &open.config);
    let is_same = match (&status.log, wanted) {
        (Some(kept), Some(wanted)) => {
            let times = (wanted.ttl_ms, wanted.expires_at);
            kept.fork.as_ref().is_some_and(|kept| is_as_asked(kept, asked))
                && (!asked.has_type || essence(&kept.content_type) == essence(&wanted.content_type))
                && (times == (None, None) || times == (kept.ttl_ms, kept.expires_at))
        }
        _ => false,
    };
    let is_closed = status.state != "active";
    let terminal = Outcome::parse(&status.state).map(|outcome| Terminal {
        outcome,
        reason: status.reason.clone().unwrap_or_default(),
    });
    let head = LogHead {
        generation: status
            .generation
            .parse()
            .map_err(|_| Error::internal("a stream without its generation"))?,
        ordinal: 0,
        base: status.first_seq - 1,
        seq: status.last_seq,
        terminal,
        stop: status.stop.clone(),
        open: 0,
        origins: status
            .log
            .as_ref()
            .and_then(|log| log.fork.as_ref())
            .map_or_else(Vec::new, |fork| fork.origins.clone()),
    };
    let outcome = if is_same && is_closed == append.close {
        LogOutcome::Exists
    } else {
        LogOutcome::Conflict
    };
    Ok(LogWritten {
        outcome,
        head: Some(head),
    })
}

fn is_as_asked(kept: &Fork, asked: &LogFork) -> bool {
    let is_there = match asked.at {
        None => true,
        Some(Position::Start) => kept.seq == 0,
        Some(Position::After { generation, seq }) => {
            seq == kept.seq && kept.origins.iter().any(|origin| origin.generation == generation)
        }
        Some(_) => false,
    };
    is_there && kept.part == asked.part && kept.stream_id == asked.source.as_str()
}

fn without(outcome: LogOutcome) -> LogWritten {
    LogWritten { outcome, head: None }
}
