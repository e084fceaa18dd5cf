//! The predecessor's keys: read, and removed.

use redis::{Cmd, Value, cmd};

use super::{Ask, Chat, Left};
use crate::{Result, redis::fields::Fields, store::Pending};

/// For errors.
pub const OPERATION: &str = "predecessor";
/// Keys that one command names.
const AT_ONCE: usize = 100;
/// Events that one command asks for: nothing bounds their length.
const EVENTS_AT_ONCE: usize = 16;
/// Keys that one `SCAN` looks at: most of the instance may belong to other programs.
const SCANNED_AT_ONCE: usize = 500;
/// The predecessor's numbering starts over with each run; a higher score is not its own.
const MAX_EVENTS: u64 = 1_000_000;
const HOUR_MS: u64 = 3_600_000;
const FLAG_SECONDS: u64 = 300;
const PREFIX: &str = "message-stream-";
const SUFFIX: &str = ":stream";

enum Kind {
    SortedSet,
    Stream,
}

/// The one server that it was on: it knew no clusters.
pub trait Server: Sync {
    /// Runs a command; fails as a [`Store`](crate::store::Store) does.
    fn run<'a>(&'a self, command: &'a Cmd) -> Pending<'a, Value>;
}

/// Looks at what is left there, or changes it.
pub async fn answer(server: &dyn Server, ask: &Ask) -> Result<Left> {
    let keys = Keys(server);
    match ask {
        Ask::Events { chat, after, since } => keys.events(chat, after, *since).await,
        Ask::Look { chat } => keys.look(chat).await.map(Left::Look),
        Ask::Flag { chat } => {
            let found = keys.number(cmd("EXISTS").arg(flag(chat))).await?;
            Ok(Left::Flag(found > 0))
        }
        Ask::SetFlag { chat, to: true } => {
            let mut command = cmd("SET");
            command.arg(flag(chat)).arg(1).arg("EX").arg(FLAG_SECONDS);
            keys.run(&command).await.map(|_| Left::Flag(true))
        }
        Ask::SetFlag { chat, to: false } => keys
            .run(cmd("DEL").arg(flag(chat)))
            .await
            .map(|_| Left::Flag(false)),
        Ask::Clean { chat } => keys.clean(chat).await.map(Left::Removed),
        Ask::Chats { after } => keys.chats(after).await,
    }
}

/// The key of a chat's stream, and a pattern for those of all chats.
pub fn stream_and_pattern(chat: &str) -> (String, String) {
    (stream(chat), format!("{PREFIX}*"))
}

fn stream(chat: &str) -> String {
    format!("{PREFIX}{chat}{SUFFIX}")
}

fn copy(chat: &str, seq: u64) -> String {
    format!("{PREFIX}{chat}:events:{seq:06}")
}

fn flag(chat: &str) -> String {
    format!("stop-stream:{chat}")
}

/// The time in a stream entry's id.
fn time_of(id: &str) -> Option<u64> {
    id.split('-').next()?.parse().ok()
}

struct Keys<'a>(&'a dyn Server);

impl Keys<'_> {
    async fn run(&self, command: &Cmd) -> Result<Value> {
        self.0.run(command).await
    }

    async fn fields(&self, command: &Cmd) -> Result<Fields> {
        Fields::new(OPERATION, self.run(command).await?)
    }

    async fn number(&self, command: &Cmd) -> Result<i64> {
        Ok(match self.run(command).await? {
            Value::Int(number) => number,
            _ => 0,
        })
    }

    async fn kind(&self, chat: &str) -> Result<Option<Kind>> {
        Ok(match self.run(cmd("TYPE").arg(stream(chat))).await? {
            Value::SimpleString(name) if name == "zset" => Some(Kind::SortedSet),
            Value::SimpleString(name) if name == "stream" => Some(Kind::Stream),
            _ => None,
        })
    }

    async fn events(&self, chat: &str, after: &str, since: u64) -> Result<Left> {
        let (events, next) = match self.kind(chat).await? {
            Some(Kind::SortedSet) => {
                let from: usize = after.parse().unwrap_or(0);
                let mut command = cmd("ZRANGE");
                command.arg(stream(chat)).arg(from).arg(from + EVENTS_AT_ONCE - 1);
                let events = texts(&mut self.fields(&command).await?)?;
                let next = (from + events.len()).to_string();
                (events, next)
            }
            Some(Kind::Stream) => {
                let from = if after.is_empty() {
                    since.to_string()
                } else {
                    format!("({after}")
                };
                let entries = self.entries("XRANGE", chat, &from, "+", EVENTS_AT_ONCE).await?;
                let next = entries
                    .last()
                    .map_or_else(|| after.to_owned(), |(id, _)| id.clone());
                (entries.into_iter().map(|(_, event)| event).collect(), next)
            }
            None => (Vec::new(), after.to_owned()),
        };
        let more = events.len() == EVENTS_AT_ONCE;
        Ok(Left::Events { events, next, more })
    }

    /// Entries of a stream, each by its id and its event; an entry without one counts as empty.
    async fn entries(
        &self,
        command: &str,
        chat: &str,
        from: &str,
        to: &str,
        count: usize,
    ) -> Result<Vec<(String, String)>> {
        let mut command = cmd(command);
        command
            .arg(stream(chat))
            .arg(from)
            .arg(to)
            .arg("COUNT")
            .arg(count);
        let mut reply = self.fields(&command).await?;
        let mut entries = Vec::new();
        while !reply.is_empty() {
            let mut entry = reply.nested()?;
            let id = entry.text()?;
            let pairs = texts(&mut entry.nested()?)?;
            let event = pairs.chunks_exact(2).find(|pair| pair[0] == "event");
            entries.push((id, event.map_or_else(String::new, |pair| pair[1].clone())));
        }
        Ok(entries)
    }

    async fn look(&self, chat: &str) -> Result<Option<Chat>> {
        let Some(kind) = self.kind(chat).await? else {
            return Ok(None);
        };
        let key = stream(chat);
        let ttl_ms = u64::try_from(self.number(cmd("PTTL").arg(&key)).await?).ok();
        match kind {
            Kind::SortedSet => {
                let count = self.number(cmd("ZCARD").arg(&key)).await?;
                let Some((first, _)) = self.scored(&key, 0).await? else {
                    return Ok(None);
                };
                let Some((last, last_event)) = self.scored(&key, -1).await? else {
                    return Ok(None);
                };
                // Its copy says when the last event was added: it lives for an hour.
                let left = self.number(cmd("PTTL").arg(copy(chat, last))).await?;
                let idle_ms = HOUR_MS.saturating_sub(u64::try_from(left).unwrap_or(0));
                Ok(Some(Chat {
                    events: u64::try_from(count).unwrap_or(0),
                    first: first.to_string(),
                    last: last.to_string(),
                    last_event,
                    idle_ms,
                    since: None,
                    ttl_ms,
                }))
            }
            Kind::Stream => {
                let count = self.number(cmd("XLEN").arg(&key)).await?;
                let mut first = self.entries("XRANGE", chat, "-", "+", 1).await?;
                let mut last = self.entries("XREVRANGE", chat, "+", "-", 1).await?;
                let (Some((first, _)), Some((last, last_event))) = (first.pop(), last.pop()) else {
                    return Ok(None);
                };
                let now = self.fields(&cmd("TIME")).await?.number()? * 1000;
                let idle_ms = time_of(&last).map_or(HOUR_MS, |at| now.saturating_sub(at));
                Ok(Some(Chat {
                    events: u64::try_from(count).unwrap_or(0),
                    since: time_of(&first),
                    first,
                    last,
                    last_event,
                    idle_ms,
                    ttl_ms,
                }))
            }
        }
    }

    /// The member of a sorted set at a rank, and its score before it.
    async fn scored(&self, key: &str, rank: i64) -> Result<Option<(u64, String)>> {
        let mut command = cmd("ZRANGE");
        command.arg(key).arg(rank).arg(rank).arg("WITHSCORES");
        let mut fields = self.fields(&command).await?;
        if fields.is_empty() {
            return Ok(None);
        }
        let event = fields.text()?;
        Ok(Some((fields.text()?.parse().unwrap_or(0), event)))
    }

    async fn clean(&self, chat: &str) -> Result<u64> {
        let key = stream(chat);
        let mut copies = 0..0;
        if let Some(Kind::SortedSet) = self.kind(chat).await?
            && let Some((last, _)) = self.scored(&key, -1).await?
        {
            copies = 0..last.min(MAX_EVENTS) + 1;
        }
        let mut removed = 0;
        for from in copies.clone().step_by(AT_ONCE) {
            let names: Vec<_> = (from..copies.end)
                .take(AT_ONCE)
                .map(|seq| copy(chat, seq))
                .collect();
            removed += self.number(cmd("UNLINK").arg(names)).await?;
        }
        removed += self.number(cmd("UNLINK").arg(&[key, flag(chat)])).await?;
        Ok(u64::try_from(removed).unwrap_or(0))
    }

    async fn chats(&self, after: &str) -> Result<Left> {
        let mut command = cmd("SCAN");
        command.arg(if after.is_empty() { "0" } else { after });
        command.arg("MATCH").arg(format!("{PREFIX}*{SUFFIX}"));
        command.arg("COUNT").arg(SCANNED_AT_ONCE);
        let mut reply = self.fields(&command).await?;
        let next = reply.text()?;
        let chats = texts(&mut reply.nested()?)?
            .iter()
            .filter_map(|key| key.strip_prefix(PREFIX)?.strip_suffix(SUFFIX))
            .map(str::to_owned)
            .collect();
        Ok(Left::Chats {
            chats,
            next: (next != "0").then_some(next),
        })
    }
}

/// All that is left, as text: the predecessor wrote nothing else.
fn texts(fields: &mut Fields) -> Result<Vec<String>> {
    let mut texts = Vec::new();
    while !fields.is_empty() {
        let bytes = fields.bytes()?.unwrap_or_default();
        texts.push(String::from_utf8_lossy(&bytes).into_owned());
    }
    Ok(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_typescript_makes_too() {
        let vectors: serde_json::Value =
            serde_json::from_str(include_str!("../../tests/key_names.json")).unwrap();
        for vector in vectors.as_array().unwrap() {
            let text = |field: &str| vector[field].as_str().unwrap();
            assert_eq!(stream(text("id")), text("predecessor"));
        }
    }
}
