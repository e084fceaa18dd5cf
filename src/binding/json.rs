//! Control values as JSON.

use std::sync::Arc;

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::logs;
use crate::{
    Cursor, Error, StreamId,
    engine::{
        events::{Data, Handed, Loaded, Reply},
        large::Large,
    },
    model::{
        ending::{End, Terminal},
        frame::Kind,
    },
    store::{Found, Glance, ListCursor, groups::Subject},
};

/// A `NativeError`.
pub fn error(error: &Error, stream: Option<&str>) -> Value {
    let mut value = json!({
        "code": error.code(),
        "message": error.to_string(),
        "streamId": stream,
        "retryable": error.is_retryable(),
    });
    match error {
        Error::InvalidArgument { field, .. } => value["field"] = json!(field),
        Error::Active { stream }
        | Error::Fenced { stream, .. }
        | Error::Ended { stream, .. }
        | Error::Backpressure { stream, .. }
        | Error::AckTimeout { stream, .. }
        | Error::NotFound { stream }
        | Error::Forbidden { stream }
        | Error::Corrupt { stream, .. } => value["streamId"] = json!(stream),
        Error::Stopped { stream, reason }
        | Error::Failed { stream, reason }
        | Error::Interrupted { stream, reason } => {
            value["streamId"] = json!(stream);
            value["reason"] = json!(reason);
        }
        Error::Gap { stream, resume, .. } => {
            value["streamId"] = json!(stream);
            value["resume"] = json!(resume);
        }
        _ => {}
    }
    value
}

/// The answer to a request. Data that is too large for a text goes to `larges`.
pub fn reply(reply: Reply, larges: &mut Vec<Arc<Large>>) -> String {
    match reply {
        Reply::Unit => text(&()),
        Reply::Produced {
            producer,
            generation,
            continued,
            stop,
        } => text(&json!({
            "producer": producer,
            "generation": generation.to_string(),
            "continued": continued.map(|seq| Cursor { generation, seq }.to_string()),
            "stop": stop,
        })),
        Reply::Finished { outcome, reason } => text(&json!({ "outcome": outcome, "reason": reason })),
        Reply::Stop(result) => text(&result),
        Reply::Status(status) => text(&status),
        // Many of them, and often: they are written without a value of each field in between.
        Reply::Found(found) => text(&found.iter().map(Shown).collect::<Vec<_>>()),
        Reply::Glanced(found) => text(&found.iter().map(Shown).collect::<Vec<_>>()),
        Reply::List(ids, next) => text(&listed(&ids, None, next)),
        Reply::Glances(ids, found, next) => text(&listed(&ids, Some(&found), next)),
        Reply::Log(written) => text(&logs::written(&written)),
        Reply::Page(mut page) => text(&page.as_deref_mut().map(|page| logs::page(page, larges))),
        Reply::Handed(handed) => text(&self::handed(handed, larges)),
        Reply::Groups(groups) => text(&groups),
        Reply::Memory(bytes) => text(&bytes),
        Reply::Info(info) => text(&info),
        Reply::Rights(rights) => text(&rights),
        Reply::Count(count) => text(&count),
        Reply::Swept(swept) => text(&swept),
        Reply::Reminded(reminded) => text(&reminded),
        Reply::Recalled(recalled) => text(&recalled),
        Reply::Due(due) => text(&due),
        Reply::Reminders(all) => text(&all),
        Reply::Tails(tails) => text(&tails),
        Reply::Deleted(yes) | Reply::Kept(yes) => text(&yes),
        Reply::Predecessor(left) => text(&left),
    }
}

/// A page of streams.
#[derive(Serialize)]
struct Listed<'a> {
    ids: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    found: Option<Vec<Shown<'a, Glance>>>,
    next: Option<Value>,
}

fn listed<'a>(
    ids: &'a [StreamId],
    found: Option<&'a [Found<Glance>]>,
    next: Option<ListCursor>,
) -> Listed<'a> {
    let cursor =
        |ListCursor { shard, old, scan }| json!({ "shard": shard, "old": old, "scan": scan.to_string() });
    Listed {
        ids: ids.iter().map(StreamId::as_str).collect(),
        found: found.map(|found| found.iter().map(Shown).collect()),
        next: next.map(cursor),
    }
}

/// Of values that have no way to fail.
fn text(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| Value::Null.to_string())
}

/// How a subscription ended.
pub fn end(end: &End) -> Value {
    match end {
        End::Terminal { outcome, reason } => json!({ "outcome": outcome, "reason": reason }),
        End::Error(error) => json!({ "error": self::error(error, None) }),
    }
}

fn handed(handed: Handed, larges: &mut Vec<Arc<Large>>) -> Value {
    let done = handed
        .done
        .map(|Terminal { outcome, reason }| json!({ "outcome": outcome, "reason": reason }));
    let items = handed.items.into_iter().map(|item| loaded(item, larges));
    let items: Vec<_> = items.collect();
    json!({ "items": items, "done": done })
}

fn loaded(Loaded { item, data }: Loaded, larges: &mut Vec<Arc<Large>>) -> Value {
    let mut value = json!({ "id": item.id, "deliveries": item.deliveries });
    match item.subject {
        Subject::Chunk(cursor) => value["cursor"] = json!(cursor.to_string()),
        Subject::Finished(finished) => {
            value["cursor"] = json!(finished.cursor.to_string());
            value["streamId"] = json!(finished.stream.as_str());
            value["outcome"] = json!(finished.terminal.outcome);
            value["reason"] = json!(finished.terminal.reason);
        }
    }
    match data {
        None => {}
        Some(Data::Large(large)) => {
            value["large"] = json!(larges.len());
            larges.push(large);
        }
        Some(Data::Small(Kind::Text, data)) => value["text"] = json!(String::from_utf8_lossy(&data)),
        // One character for each byte.
        Some(Data::Small(_, data)) => {
            value["bytes"] = json!(data.into_iter().map(char::from).collect::<String>());
        }
    }
    value
}

/// What was found under a stream's name.
struct Shown<'a, T>(&'a Found<T>);

impl<T: Serialize> Serialize for Shown<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Found::Nothing => serializer.serialize_unit(),
            Found::Stream(found) => found.serialize(serializer),
            Found::Damaged(why) => json!({ "damaged": why }).serialize(serializer),
        }
    }
}
