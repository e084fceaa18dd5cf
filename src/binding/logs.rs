//! The answers about logs, as JSON.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};
use ulid::Ulid;

use crate::{
    engine::{events::LogPage, large::Large},
    model::{
        ending::Terminal,
        frame::{Kind, Reference},
    },
    store::logs::{LogOutcome, LogWritten},
};

/// What became of a write: `LogAnswer` in `ts/native/native.ts`.
pub fn written(LogWritten { outcome, head }: &LogWritten) -> Value {
    let head = head.as_ref().map(|head| {
        json!({
            "generation": head.generation.to_string(),
            "base": head.base,
            "seq": head.seq,
            "end": end(head.terminal.as_ref()),
            "stop": head.stop,
            "origins": head.origins.iter().map(ToString::to_string).collect::<Vec<_>>(),
        })
    });
    let (word, rest) = match outcome {
        LogOutcome::Written { last, is_new } => ("written", json!({ "last": last, "isNew": is_new })),
        LogOutcome::Exists => ("exists", json!({})),
        LogOutcome::Duplicate { epoch, seq } => ("duplicate", json!({ "epoch": epoch, "seq": seq })),
        LogOutcome::Missing => ("missing", json!({})),
        LogOutcome::Other => ("other", json!({})),
        LogOutcome::Conflict => ("conflict", json!({})),
        LogOutcome::Closed => ("closed", json!({})),
        LogOutcome::ContentType => ("contentType", json!({})),
        LogOutcome::Stale { epoch } => ("stale", json!({ "epoch": epoch })),
        LogOutcome::Begin => ("begin", json!({})),
        LogOutcome::Skipped { expected } => ("skipped", json!({ "expected": expected })),
        LogOutcome::Disorder => ("disorder", json!({})),
        LogOutcome::Incomplete => ("incomplete", json!({})),
        LogOutcome::Renewed => ("renewed", json!({})),
        LogOutcome::Unsealed => ("unsealed", json!({})),
        LogOutcome::Late => ("late", json!({})),
        LogOutcome::Kept => ("kept", json!({})),
        LogOutcome::Unstaged => ("unstaged", json!({})),
        LogOutcome::NoSource => ("noSource", json!({})),
        LogOutcome::SourceKept => ("sourceKept", json!({})),
        LogOutcome::Crowded => ("crowded", json!({})),
        LogOutcome::NoPlace => ("noPlace", json!({})),
    };
    let mut value = json!({ "outcome": word, "head": head });
    if let (Value::Object(into), Value::Object(rest)) = (&mut value, rest) {
        into.extend(rest);
    }
    value
}

/// A page: `LogPage` in `ts/native/native.ts`. Its data goes to `larges`.
pub fn page(page: LogPage, larges: &mut Vec<Arc<Large>>) -> Value {
    let tags: Vec<_> = page
        .chunks
        .iter()
        .map(|(length, is_text)| length << 1 | usize::from(*is_text))
        .collect();
    let value = json!({
        "generation": page.generation.to_string(),
        "base": page.base,
        "after": page.after,
        "tags": tags,
        "large": larges.len(),
        "isLast": page.is_last,
        "end": end(page.terminal.as_ref()),
        "log": page.log,
    });
    larges.push(Arc::new(Large {
        reference: Reference {
            id: Ulid::nil(),
            ordinal: 0,
            kind: Kind::Bytes,
            length: page.data.len(),
        },
        data: Bytes::from(page.data),
    }));
    value
}

fn end(terminal: Option<&Terminal>) -> Value {
    terminal.map_or(
        Value::Null,
        |Terminal { outcome, reason }| json!({ "outcome": outcome, "reason": reason }),
    )
}
