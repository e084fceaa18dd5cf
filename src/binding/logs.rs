//! The answers about logs, as JSON.

use std::{mem, sync::Arc};

use bytes::Bytes;
use serde::Serialize;
use ulid::Ulid;

use crate::{
    engine::{events::LogPage, large::Large},
    model::{
        ending::{Outcome, Terminal},
        frame::{Kind, Reference},
    },
    store::logs::{LogConfig, LogHead, LogOutcome, LogWritten},
};

/// The outcome of a write: `LogAnswer` in `ts/native/native.ts`.
#[derive(Serialize, Default)]
#[serde(rename_all = "camelCase")]
pub struct Written<'a> {
    outcome: &'static str,
    head: Option<Head<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_new: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<u64>,
}

#[derive(Serialize)]
struct Head<'a> {
    generation: String,
    base: u64,
    seq: u64,
    end: Option<Ended<'a>>,
    stop: Option<&'a str>,
    origins: Vec<String>,
}

#[derive(Serialize)]
struct Ended<'a> {
    outcome: Outcome,
    reason: &'a str,
}

pub fn written(LogWritten { outcome, head }: &LogWritten) -> Written<'_> {
    let of = |outcome| Written {
        outcome,
        head: head.as_ref().map(shown),
        ..Written::default()
    };
    match *outcome {
        LogOutcome::Written { last, is_new } => Written {
            last: Some(last),
            is_new: Some(is_new),
            ..of("written")
        },
        LogOutcome::Duplicate { epoch, seq } => Written {
            epoch: Some(epoch),
            seq: Some(seq),
            ..of("duplicate")
        },
        LogOutcome::Stale { epoch } => Written {
            epoch: Some(epoch),
            ..of("stale")
        },
        LogOutcome::Skipped { expected } => Written {
            expected: Some(expected),
            ..of("skipped")
        },
        LogOutcome::Exists => of("exists"),
        LogOutcome::Missing => of("missing"),
        LogOutcome::Other => of("other"),
        LogOutcome::Conflict => of("conflict"),
        LogOutcome::Closed => of("closed"),
        LogOutcome::ContentType => of("contentType"),
        LogOutcome::Begin => of("begin"),
        LogOutcome::Disorder => of("disorder"),
        LogOutcome::Incomplete => of("incomplete"),
        LogOutcome::Renewed => of("renewed"),
        LogOutcome::Unsealed => of("unsealed"),
        LogOutcome::Late => of("late"),
        LogOutcome::Kept => of("kept"),
        LogOutcome::Unstaged => of("unstaged"),
        LogOutcome::NoSource => of("noSource"),
        LogOutcome::SourceKept => of("sourceKept"),
        LogOutcome::Crowded => of("crowded"),
        LogOutcome::NoPlace => of("noPlace"),
    }
}

fn shown(head: &LogHead) -> Head<'_> {
    Head {
        generation: head.generation.to_string(),
        base: head.base,
        seq: head.seq,
        end: head.terminal.as_ref().map(ended),
        stop: head.stop.as_deref(),
        origins: head.origins.iter().map(ToString::to_string).collect(),
    }
}

fn ended(Terminal { outcome, reason }: &Terminal) -> Ended<'_> {
    Ended {
        outcome: *outcome,
        reason,
    }
}

/// A page: `Page` in `ts/native/native.ts`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Page<'a> {
    generation: String,
    base: u64,
    after: u64,
    tags: Vec<usize>,
    large: Option<usize>,
    is_last: bool,
    end: Option<Ended<'a>>,
    log: Option<&'a LogConfig>,
}

/// Its data, if there is any, goes to `larges`.
pub fn page<'a>(page: &'a mut LogPage, larges: &mut Vec<Arc<Large>>) -> Page<'a> {
    let tags = page.chunks.iter();
    let tags = tags
        .map(|(length, is_text)| length << 1 | usize::from(*is_text))
        .collect();
    let data = Bytes::from(mem::take(&mut page.data));
    let large = (!data.is_empty()).then_some(larges.len());
    if large.is_some() {
        larges.push(Arc::new(Large {
            reference: Reference {
                id: Ulid::nil(),
                ordinal: 0,
                kind: Kind::Bytes,
                length: data.len(),
            },
            data,
        }));
    }
    Page {
        generation: page.generation.to_string(),
        base: page.base,
        after: page.after,
        tags,
        large,
        is_last: page.is_last,
        end: page.terminal.as_ref().map(ended),
        log: page.log.as_ref(),
    }
}
