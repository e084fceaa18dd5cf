//! One subscription's events: what is written for each of its chunks, before the first one and at the end.

use std::{borrow::Cow, sync::Arc, time::Duration};

use serde_json::json;
use ulid::Ulid;

use super::{
    body::{self, Body},
    events::Part,
    format::{Format, put, put_id},
    merge::Merge,
};
use crate::{
    Cursor, Error,
    model::{
        ending::{End, Outcome},
        frame::{Chunk, Kind},
    },
};

/// Writes one subscription's events.
#[derive(Debug, Clone)]
pub struct Framing {
    format: Format,
    retry: Duration,
    is_open: bool,
    is_reset: bool,
    /// The generation of the chunks, and the beginning of their cursors.
    cursors: Option<(Ulid, String)>,
    /// Shared by those to whom the same has happened.
    pub(super) merge: Option<Arc<Merge>>,
    /// The last chunk says itself how the answer ended.
    pub(super) has_ended_itself: bool,
    /// Only chunks are written, and so many are still to be left out: see [`Framing::bare`].
    bare: Option<u64>,
}

impl Framing {
    /// `retry` is the pause after which clients reconnect; `is_merged` joins the deltas of an AI SDK's answer during its
    /// replay.
    pub fn new(format: Format, retry: Duration, is_merged: bool) -> Self {
        Self {
            format,
            retry,
            is_open: false,
            is_reset: false,
            cursors: None,
            merge: is_merged.then(Arc::default),
            has_ended_itself: false,
            bare: None,
        }
    }

    /// Only chunks, without the first `skip`: the caller writes the beginning and the end of the response.
    pub fn bare(format: Format, skip: u64) -> Self {
        Self {
            bare: Some(skip),
            ..Self::new(format, Duration::ZERO, false)
        }
    }

    /// The form of its events.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Whether [`Framing::open`] was called.
    pub fn is_open(&self) -> bool {
        self.is_open
    }

    /// What the cursor stands for is gone: the stream starts over, if the client can be told so.
    pub fn reset(&mut self) -> bool {
        self.is_reset = self.bare.is_none();
        if let Some(merge) = self.merge.as_mut().filter(|_| self.is_reset) {
            Arc::make_mut(merge).start_over();
        }
        self.is_reset
    }

    /// Where the log has to be read from for a client that has seen `cursor`.
    pub fn read_after(&mut self, cursor: Cursor) -> Cursor {
        let Some(merge) = &mut self.merge else {
            return cursor;
        };
        Arc::make_mut(merge).seen(cursor);
        Cursor { seq: 0, ..cursor }
    }

    /// Everything up to here was in the log when the client came.
    pub fn replay_to(&mut self, cursor: Cursor) {
        if let Some(merge) = self.merge.as_mut().filter(|merge| !merge.knows_replay()) {
            Arc::make_mut(merge).replay_to(cursor);
        }
    }

    /// Whether a chunk is only read because of later ones, and not sent.
    pub fn has_seen(&self, at: Cursor) -> bool {
        self.bare.is_some_and(|skip| skip > 0) || self.merge.as_ref().is_some_and(|merge| merge.has_seen(at))
    }

    /// The same of the chunk that follows.
    pub fn has_seen_next(&self, Cursor { generation, seq }: Cursor) -> bool {
        self.has_seen(Cursor {
            generation,
            seq: seq + 1,
        })
    }

    /// Whether what it writes depends on the chunks before. If not, and if there is nothing that the client [has seen](Self::has_seen), it
    /// writes what any other of the same format does: then [`Events`] do as well.
    pub fn is_merged(&self) -> bool {
        self.merge.is_some()
    }

    /// Whether it writes the same as another one, whatever comes.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        self.format == other.format
            && self.bare == other.bare
            && self.has_ended_itself == other.has_ended_itself
            && self.merge == other.merge
    }

    /// The client is given these instead of what [`Framing::chunk`] would write.
    pub fn give(&mut self, part: &Part) {
        self.has_ended_itself = part.is_ending;
        self.merge.clone_from(&part.merge);
    }

    /// Writes the events before the first chunk.
    pub fn open(&mut self, out: &mut Vec<u8>) {
        self.is_open = true;
        if self.bare.is_some() {
            return;
        }
        put(out, format_args!("retry: {}\n\n", self.retry.as_millis()));
        if self.is_reset {
            out.extend_from_slice(match self.format {
                Format::Events => {
                    b"event: reset\ndata: {\"reason\":\"what the cursor stands for is gone\"}\n\n"
                }
                // The replay's `start` chunk makes the client start over; an unknown chunk would be an error for it.
                Format::UiMessages => b": reset\n\n",
            });
        }
    }

    /// Writes the event, or events, that a chunk is; one that the client has seen already makes none.
    pub fn chunk(&mut self, out: &mut Vec<u8>, at: Cursor, chunk: Chunk<'_>) {
        if self.passes() {
            return;
        }
        let Some(mut merge) = self.merge.take() else {
            self.write(out, Some(at), chunk);
            return;
        };
        Arc::make_mut(&mut merge).take(at, chunk, &mut |at, chunk| self.write(out, at, chunk));
        self.merge = (!merge.is_over(at)).then_some(merge);
    }

    /// Writes a large chunk up to its body. Returns whether the body follows: not if the chunk is only read because of later ones.
    pub fn large(&mut self, out: &mut Vec<u8>, at: Cursor, body: &Body) -> bool {
        if self.passes() {
            return false;
        }
        let mut is_new = true;
        if let Some(mut merge) = self.merge.take() {
            is_new =
                Arc::make_mut(&mut merge).take_large(at, body, &mut |at, chunk| self.write(out, at, chunk));
            self.merge = (!merge.is_over(at)).then_some(merge);
        }
        if is_new {
            self.id(out, at.generation, at.seq);
            self.has_ended_itself = body.is_ending;
        }
        is_new
    }

    /// Whether the next chunk is left out.
    fn passes(&mut self) -> bool {
        let passes = self.bare.is_some_and(|skip| skip > 0);
        self.bare = self.bare.map(|skip| skip.saturating_sub(1));
        passes
    }

    fn write(&mut self, out: &mut Vec<u8>, at: Option<Cursor>, chunk: Chunk<'_>) {
        if let Some(Cursor { generation, seq }) = at {
            self.id(out, generation, seq);
        }
        // The start of a part that is large itself: kept as it was framed.
        if chunk.kind == Kind::Large {
            out.extend_from_slice(chunk.data);
            return;
        }
        body::put(out, self.format, chunk);
        self.has_ended_itself = body::is_ending(self.format, chunk.data);
    }

    fn id(&mut self, out: &mut Vec<u8>, generation: Ulid, seq: u64) {
        let cursors = match &mut self.cursors {
            Some((of, prefix)) if *of == generation => prefix,
            cursors => &mut cursors.insert((generation, format!("id: {generation}."))).1,
        };
        put_id(out, cursors, seq);
    }

    /// Writes chunks that were held back.
    pub fn flush(&mut self, out: &mut Vec<u8>) {
        if let Some(mut merge) = self.merge.take() {
            Arc::make_mut(&mut merge).flush(&mut |at, chunk| self.write(out, at, chunk));
            self.merge = Some(merge);
        }
    }

    /// Writes the end, unless the client should reconnect: then nothing is written.
    pub fn end(&mut self, out: &mut Vec<u8>, end: &End) {
        self.flush(out);
        if self.bare.is_some() {
            return;
        }
        let error = match end {
            End::Terminal { outcome, reason } => return self.terminal(out, *outcome, reason),
            End::Error(Error::Closed) => return,
            End::Error(error) if error.is_retryable() => return,
            End::Error(error) => error,
        };
        match self.format {
            Format::Events => {
                let mut value = json!({ "code": error.code(), "message": told(error) });
                if let Error::Gap { resume, .. } = error {
                    value["resume"] = json!(resume);
                }
                put(out, format_args!("event: end\ndata: {value}\n\n"));
            }
            Format::UiMessages => put_done(out, "error", "errorText", &told(error)),
        }
    }

    fn terminal(&self, out: &mut Vec<u8>, outcome: Outcome, reason: &str) {
        match (self.format, outcome) {
            (Format::Events, _) => {
                let value = json!({ "outcome": outcome, "reason": reason });
                put(out, format_args!("event: end\ndata: {value}\n\n"));
            }
            (Format::UiMessages, Outcome::Stopped) if !self.has_ended_itself => {
                put_done(out, "abort", "reason", reason);
            }
            (Format::UiMessages, Outcome::Failed) if !self.has_ended_itself => {
                put_done(out, "error", "errorText", reason);
            }
            (Format::UiMessages, Outcome::Interrupted) => {
                put_done(out, "error", "errorText", &format!("interrupted: {reason}"));
            }
            (Format::UiMessages, _) => out.extend_from_slice(b"data: [DONE]\n\n"),
        }
    }
}

/// The message of an error for clients. Messages of the store name servers, users and commands, so they are replaced;
/// `ts/http/refusal.ts` has the same texts.
fn told(error: &Error) -> Cow<'static, str> {
    match error {
        Error::Connection { .. } => "the store cannot be reached".into(),
        Error::Timeout { .. } => "the store did not answer in time".into(),
        Error::Store { .. } => "the store refused".into(),
        Error::Internal { .. } => "internal error".into(),
        error => error.to_string().into(),
    }
}

/// The AI SDK's chunk for an end that its chunks did not show, then the end.
fn put_done(out: &mut Vec<u8>, kind: &str, field: &str, text: &str) {
    let value = json!({ "type": kind, field: text });
    put(out, format_args!("data: {value}\n\ndata: [DONE]\n\n"));
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    const GENERATION: Ulid = Ulid::from_parts(1, 2);

    pub(in crate::sse) fn at(seq: u64) -> Cursor {
        Cursor {
            generation: GENERATION,
            seq,
        }
    }

    fn framed(format: Format, kind: Kind, data: &[u8]) -> String {
        let mut out = Vec::new();
        Framing::new(format, Duration::ZERO, false).chunk(&mut out, at(7), Chunk { kind, data });
        let text = String::from_utf8(out).unwrap();
        let id = format!("id: {GENERATION}.7\n");
        text.strip_prefix(&id).unwrap().to_owned()
    }

    #[test]
    fn a_text_is_a_message_of_one_or_more_lines() {
        let text = |text: &str| framed(Format::Events, Kind::Text, text.as_bytes());
        assert_eq!(text("héllo"), "data: héllo\n\n");
        assert_eq!(text(""), "data: \n\n");
        assert_eq!(text(" a\n\nid: 1\n"), "data:  a\ndata: \ndata: id: 1\ndata: \n\n");
    }

    #[test]
    fn what_lines_cannot_express_is_encoded() {
        let text = |text: &str| framed(Format::Events, Kind::Text, text.as_bytes());
        assert_eq!(
            text("a\r\nb\r\0"),
            "event: text\ndata: \"a\\r\\nb\\r\\u0000\"\n\n"
        );
        let bytes = |bytes: &[u8]| framed(Format::Events, Kind::Bytes, bytes);
        assert_eq!(bytes(b""), "event: bytes\ndata: \n\n");
        assert_eq!(bytes(b"f"), "event: bytes\ndata: Zg==\n\n");
        assert_eq!(bytes(b"fo"), "event: bytes\ndata: Zm8=\n\n");
        assert_eq!(bytes(b"foobar"), "event: bytes\ndata: Zm9vYmFy\n\n");
        assert_eq!(bytes(&[0xff, 0xfe, 0xfd, 0]), "event: bytes\ndata: //79AA==\n\n");
    }

    #[test]
    fn a_json_text_stays_one_event() {
        let json = |text: &str| framed(Format::UiMessages, Kind::Text, text.as_bytes());
        assert_eq!(json("{\"a\":\"\\r\\n\"}"), "data: {\"a\":\"\\r\\n\"}\n\n");
        assert_eq!(json("{\r\n\0}"), "data: {\ndata: \ndata: \ndata: }\n\n");
    }

    #[test]
    fn an_end_that_a_retry_can_cure_is_not_told() {
        let end = |format, end: &End| {
            let mut out = Vec::new();
            Framing::new(format, Duration::ZERO, false).end(&mut out, end);
            String::from_utf8(out).unwrap()
        };
        let timeout = Error::Timeout {
            operation: "read",
            milliseconds: 1,
        };
        for format in [Format::Events, Format::UiMessages] {
            assert_eq!(end(format, &End::Error(Error::Closed)), "");
            assert_eq!(end(format, &End::Error(timeout.clone())), "");
        }
        let gone = Error::Gap {
            stream: "s".into(),
            reason: "gone\n".into(),
            resume: "c".into(),
        };
        let text = end(Format::Events, &End::Error(gone));
        assert!(
            text.starts_with("event: end\ndata: {\"code\":\"ERR_GAP\",\"message\":"),
            "{text}"
        );
        assert!(text.ends_with(",\"resume\":\"c\"}\n\n"), "{text}");
        assert_eq!(text.lines().count(), 3);
    }

    #[test]
    fn a_bare_one_writes_chunks_alone_and_not_the_first_ones() {
        let mut framing = Framing::bare(Format::UiMessages, 2);
        let mut out = Vec::new();
        assert!(!framing.reset(), "nobody could be told");
        framing.open(&mut out);
        for seq in 1..=2 {
            assert!(framing.has_seen(at(seq)));
            let body = Body::of(Format::UiMessages, Kind::Text, b"{}");
            if seq == 1 {
                framing.chunk(
                    &mut out,
                    at(seq),
                    Chunk {
                        kind: Kind::Text,
                        data: b"{}",
                    },
                );
            } else {
                assert!(!framing.large(&mut out, at(seq), &body));
            }
        }
        assert!(!framing.has_seen(at(3)) && out.is_empty());
        framing.chunk(
            &mut out,
            at(3),
            Chunk {
                kind: Kind::Text,
                data: b"{}",
            },
        );
        framing.end(&mut out, &End::Error(Error::Closed));
        let failed = End::Terminal {
            outcome: Outcome::Failed,
            reason: String::new(),
        };
        framing.end(&mut out, &failed);
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, format!("id: {GENERATION}.3\ndata: {{}}\n\n"));
    }

    #[test]
    fn a_client_is_not_told_the_stores_own_words() {
        let secret = "NOPERM User secret has no permissions";
        let errors = [
            Error::Connection {
                address: "secret:6379".into(),
                reason: secret.into(),
                permanent: true,
            },
            Error::Store {
                operation: "read",
                reason: secret.into(),
                retryable: false,
            },
            Error::Internal {
                reason: secret.into(),
            },
        ];
        for error in errors {
            for format in [Format::Events, Format::UiMessages] {
                let mut out = Vec::new();
                Framing::new(format, Duration::ZERO, false).end(&mut out, &End::Error(error.clone()));
                let text = String::from_utf8(out).unwrap();
                assert!(!text.is_empty() && !text.contains("secret"), "{text}");
            }
        }
    }

    #[test]
    fn an_answer_tells_its_end_once() {
        let stopped = End::Terminal {
            outcome: Outcome::Stopped,
            reason: "user".into(),
        };
        let told = |last: &str| {
            let mut framing = Framing::new(Format::UiMessages, Duration::ZERO, false);
            let chunk = Chunk {
                kind: Kind::Text,
                data: last.as_bytes(),
            };
            framing.chunk(&mut Vec::new(), at(1), chunk);
            let mut out = Vec::new();
            framing.end(&mut out, &stopped);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(told(r#"{"type":"abort"}"#), "data: [DONE]\n\n");
        assert_eq!(
            told(r#"{"type":"text-delta","id":"1","delta":"x"}"#),
            "data: {\"reason\":\"user\",\"type\":\"abort\"}\n\ndata: [DONE]\n\n"
        );
    }
}
