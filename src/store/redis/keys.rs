//! The names of keys and channels.

use ulid::Ulid;

use crate::StreamId;

/// How many sorted sets the index of streams is spread over.
pub(super) const SHARDS: u8 = 16;

/// Everything an engine keeps in Redis begins with its prefix.
#[derive(Debug)]
pub(super) struct KeyNames {
    prefix: String,
    /// The prefix as it stands in front of a stream's id. It has no `:`, so that no id runs on with it.
    written: String,
}

/// The names of one stream. All keys share one hash tag, and with it one slot of a cluster.
#[derive(Debug)]
pub(super) struct StreamKeys {
    pub meta: String,
    pub log: String,
    pub sealed: String,
    pub cursors: String,
    pub groups: String,
    pub stops: String,
    /// The writers of a log.
    pub writers: String,
    /// The forks of a log.
    pub forks: String,
    /// The staged beginning of a fork that is not open yet.
    pub staged: String,
    /// The pieces of large chunks, of generations with an even ordinal and of those with an odd one.
    pub large: [String; 2],
    pub live: String,
    pub escaped: String,
}

impl StreamKeys {
    /// All keys; the channel is none.
    pub fn all(&self) -> [&str; 11] {
        let [even, odd] = &self.large;
        let [meta, log, sealed] = [&self.meta, &self.log, &self.sealed];
        let [cursors, groups, stops, writers] = [&self.cursors, &self.groups, &self.stops, &self.writers];
        let [forks, staged] = [&self.forks, &self.staged];
        [
            meta, log, sealed, cursors, groups, stops, writers, forks, staged, even, odd,
        ]
    }

    /// Where the pieces of a generation's large chunks are, as `large` in `lua/prelude.lua` names it.
    pub fn large(&self, ordinal: u64) -> &str {
        let [even, odd] = &self.large;
        if ordinal.is_multiple_of(2) { even } else { odd }
    }

    /// A group's work, with the name that `works` in `lua/prelude.lua` gives it.
    pub fn work(&self, group: &str) -> String {
        format!("{}work:{group}", self.meta.trim_end_matches("meta"))
    }
}

impl KeyNames {
    pub fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.to_owned(),
            written: prefix.replace('%', "%25").replace(':', "%3A"),
        }
    }

    /// Patterns of all keys and channels: of streams, and of what belongs to none.
    pub fn patterns(&self) -> [String; 2] {
        [format!("{{{}:*", self.written), format!("{}:*", self.prefix)]
    }

    pub fn stream(&self, id: &StreamId) -> StreamKeys {
        Self::stream_of(&self.written, id)
    }

    /// That of its record alone.
    pub fn meta(&self, id: &StreamId) -> String {
        format!("{}:meta", tag(&self.written, &escape(id.as_str())))
    }

    /// Whether versions before ADR 25 gave streams other names.
    pub fn has_old(&self) -> bool {
        self.written != self.prefix
    }

    /// The names that they gave it, if those were others.
    pub fn old_stream(&self, id: &StreamId) -> Option<StreamKeys> {
        self.has_old().then(|| Self::stream_of(&self.prefix, id))
    }

    fn stream_of(prefix: &str, id: &StreamId) -> StreamKeys {
        let escaped = escape(id.as_str());
        let tag = tag(prefix, &escaped);
        StreamKeys {
            meta: format!("{tag}:meta"),
            log: format!("{tag}:log"),
            sealed: format!("{tag}:sealed"),
            cursors: format!("{tag}:cursors"),
            groups: format!("{tag}:groups"),
            stops: format!("{tag}:stops"),
            writers: format!("{tag}:writers"),
            forks: format!("{tag}:forks"),
            staged: format!("{tag}:staged"),
            large: [0, 1].map(|rest| format!("{tag}:large:{rest}")),
            live: format!("{tag}:live"),
            escaped,
        }
    }

    /// The beginning of every node's control channel; the ULID follows.
    pub fn nodes(&self) -> String {
        format!("{}:node:", self.prefix)
    }

    pub fn node(&self, node: Ulid) -> String {
        format!("{}{node}", self.nodes())
    }

    /// The queue of finished generations; in one slot of a cluster with those that are open.
    pub fn finished(&self) -> String {
        format!("{}:{{finished}}:queue", self.prefix)
    }

    /// The channel for news of finished and open generations; `news_of` in `lua/books.lua`.
    pub fn finished_news(&self) -> String {
        format!("{}:{{finished}}:news", self.prefix)
    }

    /// The generations that have begun and were not announced as finished.
    pub fn open(&self) -> String {
        format!("{}:{{finished}}:open", self.prefix)
    }

    /// What the key of each reminder begins with; in one slot of a cluster with the two below, see `lua/remind.lua`.
    pub fn reminders(&self) -> String {
        format!("{}:{{reminders}}:of:", self.prefix)
    }

    /// When each reminder is due.
    pub fn reminders_due(&self) -> String {
        format!("{}:{{reminders}}:due", self.prefix)
    }

    /// The versions that were given to reminders.
    pub fn reminder_versions(&self) -> String {
        format!("{}:{{reminders}}:versions", self.prefix)
    }

    /// A sorted set of stream ids, see `lua/books.lua`.
    pub fn index(&self, shard: u8) -> String {
        format!("{}:index:streams:{shard}", self.prefix)
    }

    pub fn index_of(&self, id: &StreamId) -> String {
        self.index(shard(id))
    }

    /// The index of versions before ADR 24: a set of stream ids.
    pub fn old_index(&self, shard: u8) -> String {
        format!("{}:index:{shard}", self.prefix)
    }

    pub fn old_index_of(&self, id: &StreamId) -> String {
        self.old_index(shard(id))
    }
}

/// The channel of the stream whose record this is the key of.
pub(super) fn channel_of(meta: &str) -> String {
    format!("{}live", meta.trim_end_matches("meta"))
}

/// FNV-1a: short, and the same in every version and on every machine.
fn shard(id: &StreamId) -> u8 {
    let hash = id.as_str().bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    #[expect(clippy::cast_possible_truncation, reason = "the remainder is below SHARDS")]
    let shard = (hash % u64::from(SHARDS)) as u8;
    shard
}

/// What all keys of a stream begin with, so that they are in one slot.
fn tag(prefix: &str, escaped: &str) -> String {
    format!("{{{prefix}:{escaped}}}")
}

/// Braces would move the hash tag, control characters break the message headers.
fn escape(id: &str) -> String {
    use std::fmt::Write as _;

    let mut escaped = String::with_capacity(id.len());
    for character in id.chars() {
        if matches!(character, '{' | '}' | '%') || character.is_ascii_control() {
            let _ = write!(escaped, "%{:02X}", u32::from(character));
        } else {
            escaped.push(character);
        }
    }
    escaped
}

/// The inverse of `escape`; `None` for what it cannot have returned.
pub(super) fn unescape(escaped: &str) -> Option<StreamId> {
    let mut parts = escaped.split('%');
    let mut id = parts.next()?.to_owned();
    for part in parts {
        let code = u8::from_str_radix(part.get(..2)?, 16).ok()?;
        id.push(char::from(code));
        id.push_str(&part[2..]);
    }
    StreamId::new(&id).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaping_is_reversible_and_leaves_one_hash_tag() {
        let longest = "é".repeat(256);
        for text in ["chat-1", "{a}%7B", "a\0b\n\r\x7fc", "ünï 😀", "%", "}{", &longest] {
            let id = StreamId::new(text).unwrap();
            let keys = KeyNames::new("tm").stream(&id);
            assert_eq!(unescape(&keys.escaped).as_ref(), Some(&id), "{text:?}");
            assert!(!keys.meta.chars().any(|c| c.is_ascii_control()), "{text:?}");
            assert_eq!(keys.meta.matches('{').count(), 1, "{text:?}");
            assert!(keys.meta.ends_with("}:meta") && keys.log.ends_with("}:log"));
        }
        assert_eq!(unescape("%G1"), None);
        assert_eq!(unescape("a%7"), None);
        assert_eq!(unescape(""), None);
    }

    #[test]
    fn names_are_those_that_typescript_makes_too() {
        let vectors: serde_json::Value =
            serde_json::from_str(include_str!("../../../tests/key_names.json")).unwrap();
        for vector in vectors.as_array().unwrap() {
            let text = |field: &str| vector[field].as_str().unwrap();
            let keys = KeyNames::new("message-stream").stream(&StreamId::new(text("id")).unwrap());
            assert_eq!((&*keys.meta, &*keys.live), (text("record"), text("channel")));
        }
    }

    #[test]
    fn a_prefix_and_an_id_never_run_together() {
        let pairs = [
            ("app", "eu:42"),
            ("app:eu", "42"),
            ("app%3Aeu", "42"),
            ("app%253Aeu", "42"),
            ("app%", "3Aeu:42"),
            ("app:", "eu:42"),
            ("app::eu", "42"),
            (":", ":"),
            ("::", ""),
            ("%3A", ":"),
        ];
        let ids =
            pairs.map(|(prefix, id)| (KeyNames::new(prefix), StreamId::new(&format!("{id}x")).unwrap()));
        let metas = ids.iter().map(|(keyspace, id)| keyspace.stream(id).meta);
        let different: std::collections::BTreeSet<_> = metas.collect();
        assert_eq!(different.len(), pairs.len(), "{different:?}");
        let plain = KeyNames::new("app").stream(&StreamId::new("eu:42").unwrap());
        assert_eq!(plain.meta, "{app:eu:42}:meta", "most names stay as they were");
    }

    #[test]
    fn the_shard_of_an_id_never_changes() {
        let shards: Vec<_> = ["a", "chat-1", "😀"]
            .map(|id| shard(&StreamId::new(id).unwrap()))
            .into();
        assert_eq!(shards, [12, 9, 8]);
    }
}
