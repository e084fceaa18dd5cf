//! The replay of an answer as few large deltas instead of many small ones.
//!
//! An AI SDK client renders for every chunk: thousands at once, as in the replay of a long answer, are too many for React. So
//! a subscription joins adjacent deltas of one part during the replay; live chunks pass unchanged. A cursor may be inside a
//! part, whose deltas mean nothing to a client without the part's start. So the chunks before the cursor are read too, for
//! starts without an end.

use std::collections::{BTreeMap, HashMap};

use serde_json::json;
use ulid::Ulid;

use super::{
    body::{Body, Mark},
    delta::{Delta, Part, REASONING, TEXT, TOOL},
};
use crate::{
    Cursor,
    model::frame::{Chunk, Kind},
};

/// Joined deltas are not made longer than this.
const MAX_TEXT: usize = 64 * 1024;

/// This many texts, and as many tools, can be open at a cursor; if there are more, the first ones count as closed. …
const MAX_OPEN: usize = 512;
/// … And no more than these bytes of their starts, but for the last one's.
const MAX_OPEN_BYTES: usize = 256 * 1024;

/// Takes the chunk that is to be written, with its cursor unless it is a repeated start.
pub type Write<'a> = dyn FnMut(Option<Cursor>, Chunk<'_>) + 'a;

/// Joins the adjacent deltas of one replay.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Merge {
    /// Chunks up to here have been seen by the client.
    seen: Option<Cursor>,
    /// Chunks up to here are the replay; known once the log has been looked at.
    replay: Option<Cursor>,
    /// The parts that are open at `seen`.
    open: OpenParts,
    /// Deltas that further ones can join.
    joined: Option<Joined>,
}

/// Tools outlive a step, texts do not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct OpenParts {
    texts: Starts,
    tools: Starts,
    count: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Start {
    part: Part,
    kind: Kind,
    data: Vec<u8>,
}

/// The starts of parts, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Starts {
    chunks: BTreeMap<u64, Start>,
    by_part: HashMap<Part, u64>,
    bytes: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Joined {
    part: Part,
    text: String,
    last: Cursor,
    count: usize,
    /// The chunk as it came, while it is the only one.
    chunk: Vec<u8>,
}

impl Merge {
    /// The client has seen everything up to this cursor.
    pub fn seen(&mut self, cursor: Cursor) {
        self.seen = Some(cursor);
    }

    /// Nothing of what the client has seen is there any more.
    pub fn start_over(&mut self) {
        self.seen = None;
    }

    /// Where the replay ends and the live part begins; said once.
    pub fn replay_to(&mut self, cursor: Cursor) {
        self.replay = Some(cursor);
    }

    /// Whether that is known.
    pub fn knows_replay(&self) -> bool {
        self.replay.is_some()
    }

    /// Whether the client has seen a chunk.
    pub fn has_seen(&self, at: Cursor) -> bool {
        covers(self.seen, at.generation, at.seq)
    }

    /// Whether everything after this chunk passes unchanged.
    pub fn is_over(&self, Cursor { generation, seq }: Cursor) -> bool {
        self.joined.is_none()
            && self.open.is_empty()
            && ![self.seen, self.replay]
                .iter()
                .any(|end| covers(*end, generation, seq + 1))
    }

    /// The bytes that it keeps.
    pub fn size(&self) -> usize {
        let joined = |joined: &Joined| joined.text.len() + joined.chunk.len();
        self.open.texts.bytes + self.open.tools.bytes + self.joined.as_ref().map_or(0, joined)
    }

    /// Takes the next chunk.
    pub fn take(&mut self, at: Cursor, chunk: Chunk<'_>, write: &mut Write<'_>) {
        if self.has_seen(at) {
            if let Some(mark) = Mark::of(chunk.data) {
                self.note(mark, chunk);
            }
            return;
        }
        self.reopen(write);
        let is_replay = covers(self.replay, at.generation, at.seq);
        if let Some(delta) = Delta::of(chunk).filter(|_| is_replay) {
            self.join(at, &delta, chunk, write);
        } else {
            self.flush(write);
            write(Some(at), chunk);
        }
        // The next chunk may take a while.
        if self.replay == Some(at) {
            self.flush(write);
        }
    }

    /// Takes the next chunk, a large one: nothing joins it. Whether it is to be written.
    pub fn take_large(&mut self, at: Cursor, body: &Body, write: &mut Write<'_>) -> bool {
        if !self.has_seen(at) {
            self.reopen(write);
            self.flush(write);
            return true;
        }
        if let Some(Mark { kind, id, tool }) = &body.mark {
            let mark = Mark {
                kind: kind.clone(),
                id: id.clone(),
                tool: tool.clone(),
            };
            let framed = Chunk {
                kind: Kind::Large,
                data: &body.bytes,
            };
            self.note(mark, framed);
        }
        false
    }

    /// The client is about to get the chunks after the starts that it has seen.
    fn reopen(&mut self, write: &mut Write<'_>) {
        if !self.open.is_empty() {
            for Start { kind, data, .. } in self.open.take() {
                write(None, Chunk { kind, data: &data });
            }
        }
    }

    /// Writes the joined delta so far.
    pub fn flush(&mut self, write: &mut Write<'_>) {
        let Some(joined) = self.joined.take() else { return };
        if joined.count == 1 {
            write(Some(joined.last), text(&joined.chunk));
            return;
        }
        let Part { kind, id } = joined.part;
        let (name, content) = if kind == TOOL {
            ("toolCallId", "inputTextDelta")
        } else {
            ("id", "delta")
        };
        let merged = format!(
            r#"{{"type":"{kind}-delta","{name}":{},"{content}":{}}}"#,
            json!(id),
            json!(joined.text)
        );
        write(Some(joined.last), text(merged.as_bytes()));
    }

    fn join(&mut self, at: Cursor, delta: &Delta<'_>, chunk: Chunk<'_>, write: &mut Write<'_>) {
        let fits = self.joined.as_ref().is_some_and(|joined| {
            joined.part == delta.part()
                && joined.last.generation == at.generation
                && joined.text.len() + delta.text().len() <= MAX_TEXT
        });
        if !fits {
            self.flush(write);
        }
        if let Some(joined) = &mut self.joined {
            joined.text.push_str(delta.text());
            joined.last = at;
            joined.count += 1;
        } else {
            self.joined = Some(Joined {
                part: delta.part(),
                text: delta.text().to_owned(),
                last: at,
                count: 1,
                chunk: chunk.data.to_vec(),
            });
        }
    }

    /// Keeps account of which parts are open.
    fn note(&mut self, Mark { kind, id, tool }: Mark, chunk: Chunk<'_>) {
        let part = |kind, id: Option<String>| Part {
            kind,
            id: id.unwrap_or_default(),
        };
        match &*kind {
            "text-start" => self.open.begin(part(TEXT, id), chunk),
            "reasoning-start" => self.open.begin(part(REASONING, id), chunk),
            "tool-input-start" => self.open.begin(part(TOOL, tool), chunk),
            "text-end" => self.open.texts.finish(&part(TEXT, id)),
            "reasoning-end" => self.open.texts.finish(&part(REASONING, id)),
            "tool-input-available"
            | "tool-input-error"
            | "tool-output-available"
            | "tool-output-error"
            | "tool-output-denied" => self.open.tools.finish(&part(TOOL, tool)),
            // These end all texts, said or not.
            "finish-step" => self.open.texts = Starts::default(),
            "start" | "reset-step" | "finish" | "abort" => self.open = OpenParts::default(),
            _ => {}
        }
    }
}

impl OpenParts {
    fn is_empty(&self) -> bool {
        self.texts.chunks.is_empty() && self.tools.chunks.is_empty()
    }

    fn begin(&mut self, part: Part, chunk: Chunk<'_>) {
        self.count += 1;
        let starts = if part.kind == TOOL {
            &mut self.tools
        } else {
            &mut self.texts
        };
        starts.begin(self.count, part, chunk);
    }

    /// All of them, in their order.
    fn take(&mut self) -> impl Iterator<Item = Start> + use<> {
        let Self { texts, tools, .. } = std::mem::take(self);
        let mut chunks = texts.chunks;
        chunks.extend(tools.chunks);
        chunks.into_values()
    }
}

impl Starts {
    fn begin(&mut self, number: u64, part: Part, chunk: Chunk<'_>) {
        self.finish(&part);
        self.bytes += chunk.data.len();
        self.by_part.insert(part.clone(), number);
        let start = Start {
            part,
            kind: chunk.kind,
            data: chunk.data.to_vec(),
        };
        self.chunks.insert(number, start);
        while self.chunks.len() > MAX_OPEN || self.chunks.len() > 1 && self.bytes > MAX_OPEN_BYTES {
            let Some((_, start)) = self.chunks.pop_first() else {
                break;
            };
            self.by_part.remove(&start.part);
            self.bytes -= start.data.len();
        }
    }

    fn finish(&mut self, part: &Part) {
        let started = self.by_part.remove(part);
        if let Some(start) = started.and_then(|number| self.chunks.remove(&number)) {
            self.bytes -= start.data.len();
        }
    }
}

fn covers(end: Option<Cursor>, generation: Ulid, seq: u64) -> bool {
    end.is_some_and(|end| end.generation == generation && seq <= end.seq)
}

fn text(data: &[u8]) -> Chunk<'_> {
    Chunk {
        kind: Kind::Text,
        data,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sse::framing::tests::at;

    /// What comes of the chunks, as `seq text` (`+ text` without a cursor), when the client has seen `seen` of them and
    /// the replay ends with `replay`.
    fn merged(chunks: &[&str], seen: u64, replay: u64) -> Vec<String> {
        let mut merge = Merge::default();
        merge.seen(at(seen));
        merge.replay_to(at(replay));
        let mut written = Vec::new();
        let mut write = |cursor: Option<Cursor>, chunk: Chunk<'_>| {
            let seq = cursor.map_or("+".to_owned(), |cursor| cursor.seq.to_string());
            written.push(format!("{seq} {}", std::str::from_utf8(chunk.data).unwrap()));
        };
        for (seq, chunk) in (1..).zip(chunks) {
            merge.take(at(seq), text(chunk.as_bytes()), &mut write);
        }
        merge.flush(&mut write);
        written
    }

    const ANSWER: [&str; 12] = [
        r#"{"type":"start","messageId":"m"}"#,
        r#"{"type":"reasoning-start","id":"1"}"#,
        r#"{"type":"reasoning-delta","id":"1","delta":"hm\n"}"#,
        r#"{"type":"reasoning-delta","id":"1","delta":" \"x\""}"#,
        r#"{"type":"text-start","id":"1"}"#,
        r#"{"type":"text-delta","id":"1","delta":"a"}"#,
        r#"{"type":"text-delta","id":"1","delta":"b"}"#,
        r#"{"type":"reasoning-end","id":"1"}"#,
        r#"{"type":"text-delta","id":"1","delta":"c"}"#,
        r#"{"type":"tool-input-start","toolCallId":"t","toolName":"look"}"#,
        r#"{"type":"tool-input-delta","toolCallId":"t","inputTextDelta":"{"}"#,
        r#"{"type":"tool-input-delta","toolCallId":"t","inputTextDelta":"}"}"#,
    ];

    #[test]
    fn adjacent_deltas_of_a_part_become_one() {
        assert_eq!(
            merged(&ANSWER, 0, 12),
            [
                r#"1 {"type":"start","messageId":"m"}"#,
                r#"2 {"type":"reasoning-start","id":"1"}"#,
                r#"4 {"type":"reasoning-delta","id":"1","delta":"hm\n \"x\""}"#,
                r#"5 {"type":"text-start","id":"1"}"#,
                r#"7 {"type":"text-delta","id":"1","delta":"ab"}"#,
                r#"8 {"type":"reasoning-end","id":"1"}"#,
                r#"9 {"type":"text-delta","id":"1","delta":"c"}"#,
                r#"10 {"type":"tool-input-start","toolCallId":"t","toolName":"look"}"#,
                r#"12 {"type":"tool-input-delta","toolCallId":"t","inputTextDelta":"{}"}"#,
            ]
        );
    }

    #[test]
    fn what_comes_live_passes_as_it_is() {
        let live = merged(&ANSWER, 0, 3);
        assert_eq!(live.len(), 12);
        assert_eq!(
            live[2..4],
            [format!("3 {}", ANSWER[2]), format!("4 {}", ANSWER[3])]
        );
    }

    #[test]
    fn a_cursor_inside_a_part_gets_its_start_again() {
        assert_eq!(
            merged(&ANSWER, 6, 12)[..3],
            [
                format!("+ {}", ANSWER[1]),
                format!("+ {}", ANSWER[4]),
                format!("7 {}", ANSWER[6])
            ]
        );
        assert_eq!(
            merged(&ANSWER, 11, 11),
            [
                format!("+ {}", ANSWER[4]),
                format!("+ {}", ANSWER[9]),
                format!("12 {}", ANSWER[11])
            ]
        );
        assert_eq!(merged(&ANSWER, 12, 12), Vec::<String>::new(), "nothing follows");
        let closed = [ANSWER[4], r#"{"type":"finish-step"}"#, r#"{"type":"start-step"}"#];
        assert_eq!(merged(&closed, 2, 3), [format!("3 {}", closed[2])]);
        let told = [
            ANSWER[9],
            r#"{"type":"tool-output-available","toolCallId":"t","output":1}"#,
            ANSWER[4],
        ];
        assert_eq!(
            merged(&told, 2, 3),
            [format!("3 {}", told[2])],
            "its input has an end"
        );
    }

    #[test]
    fn nothing_is_lost_by_joining() {
        let chunks = [
            r#"{"type":"text-delta","id":"1","delta":"a","providerMetadata":{"p":{}}}"#,
            r#"{"type":"text-delta","id":"1","delta":"b"}"#,
            r#"{"type":"text-delta","id":"2","delta":"c"}"#,
            r#"{ "type" : "text-delta", "id":"2","delta":"é" }"#,
            "no JSON",
            r#"{"type":"text-delta","id":2,"delta":"d"}"#,
            r#"{"type":"text-delta","id":"2"}"#,
        ];
        let merged = merged(&chunks, 0, 7);
        assert_eq!(merged[2], r#"4 {"type":"text-delta","id":"2","delta":"cé"}"#);
        let rest: Vec<_> = merged.iter().enumerate().filter(|(at, _)| *at != 2).collect();
        for ((_, text), seq) in rest.iter().zip([1, 2, 5, 6, 7]) {
            assert_eq!(**text, format!("{seq} {}", chunks[seq - 1]));
        }
    }

    #[test]
    fn joined_deltas_are_bounded() {
        let long = format!(
            r#"{{"type":"text-delta","id":"1","delta":"{}"}}"#,
            "x".repeat(40_000)
        );
        let chunks = [long.as_str(); 6];
        assert_eq!(merged(&chunks, 0, 6).len(), 6);
        let short = vec![r#"{"type":"text-delta","id":"1","delta":"0123456789"}"#; 10_000];
        assert_eq!(merged(&short, 0, 10_000).len(), 2);
    }

    #[test]
    fn open_parts_are_bounded() {
        let starts: Vec<_> = (0..2000)
            .map(|id| format!(r#"{{"type":"text-start","id":"{id}"}}"#))
            .collect();
        let tool = r#"{"type":"tool-input-start","toolCallId":"t","toolName":"look"}"#;
        let chunks: Vec<_> = [tool]
            .into_iter()
            .chain(starts.iter().map(String::as_str))
            .collect();
        let written = merged(&[&chunks[..], &["more"]].concat(), 2001, 2001);
        assert_eq!(written[0], format!("+ {tool}"), "texts do not crowd out tools");
        assert_eq!(written.len(), 1 + MAX_OPEN + 1);
        assert_eq!(
            written[1],
            format!("+ {}", starts[2000 - MAX_OPEN]),
            "the last ones"
        );

        let long = format!(
            r#"{{"type":"text-start","id":"0","x":"{}"}}"#,
            "x".repeat(MAX_OPEN_BYTES)
        );
        let written = merged(&[&starts[0], &long, "more"], 2, 2);
        assert_eq!(written, [format!("+ {long}"), "3 more".to_owned()]);
        let ended = r#"{"type":"text-end","id":"0"}"#;
        assert_eq!(merged(&[&long, ended, &starts[1], "more"], 3, 3).len(), 2);
    }

    #[test]
    fn generations_are_kept_apart() {
        let mut merge = Merge::default();
        merge.seen(at(5));
        merge.replay_to(at(9));
        let other = Cursor {
            generation: Ulid::from_parts(3, 4),
            seq: 3,
        };
        let mut written = 0;
        merge.take(other, text(ANSWER[5].as_bytes()), &mut |_, _| written += 1);
        assert_eq!(written, 1);
        assert!(merge.is_over(other));
    }
}
