//! The form of a chunk in an event, after its cursor.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;

use super::format::{Format, put as print};
use crate::model::frame::{Chunk, Kind};

/// The body of a large chunk, encoded once for all event streams, away from the threads that must not wait.
#[derive(Debug, Default)]
pub struct Body {
    /// As it is sent.
    pub bytes: Bytes,
    /// Its effect on an answer's parts.
    pub(super) mark: Option<Mark>,
    /// It says itself how the answer ended.
    pub(super) is_ending: bool,
}

impl Body {
    /// The body of a chunk with this data.
    pub fn of(format: Format, kind: Kind, data: &[u8]) -> Self {
        let mut out = Vec::with_capacity(data.len() + 64);
        put(&mut out, format, Chunk { kind, data });
        Self {
            bytes: out.into(),
            mark: if format == Format::UiMessages {
                Mark::of(data)
            } else {
                None
            },
            is_ending: is_ending(format, data),
        }
    }
}

/// The beginning or end of a part.
#[derive(Debug)]
pub(super) struct Mark {
    pub kind: String,
    pub id: Option<String>,
    pub tool: Option<String>,
}

impl Mark {
    pub fn of(data: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Fields<'a> {
            #[serde(rename = "type", borrow)]
            kind: Cow<'a, str>,
            #[serde(borrow)]
            id: Option<Cow<'a, str>>,
            #[serde(rename = "toolCallId", borrow)]
            tool: Option<Cow<'a, str>>,
        }
        let Fields { kind, id, tool } = serde_json::from_slice(data).ok()?;
        Some(Self {
            kind: kind.into_owned(),
            id: id.map(Cow::into_owned),
            tool: tool.map(Cow::into_owned),
        })
    }
}

pub(super) fn put(out: &mut Vec<u8>, format: Format, chunk: Chunk<'_>) {
    match (format, chunk.kind.text(chunk.data)) {
        (Format::Events, Some(text)) if text.contains(['\r', '\0']) => {
            print(out, format_args!("event: text\ndata: {}\n", json!(text)));
        }
        (Format::Events, None) => {
            out.extend_from_slice(b"event: bytes\ndata: ");
            put_base64(out, chunk.data);
            out.push(b'\n');
        }
        (Format::Events, Some(text)) => put_lines(out, text.as_bytes(), |byte| byte == b'\n'),
        // Between the tokens of a JSON text a line's end is as good as another, and inside them there is none.
        (Format::UiMessages, _) => {
            put_lines(out, chunk.data, |byte| matches!(byte, b'\r' | b'\n' | b'\0'));
        }
    }
    out.push(b'\n');
}

/// Whether a chunk says itself how the answer ended.
pub(super) fn is_ending(format: Format, data: &[u8]) -> bool {
    let endings = [r#"{"type":"abort""#, r#"{"type":"error""#];
    format == Format::UiMessages && endings.iter().any(|ending| data.starts_with(ending.as_bytes()))
}

fn put_lines(out: &mut Vec<u8>, data: &[u8], is_end: impl Fn(u8) -> bool) {
    for line in data.split(|byte| is_end(*byte)) {
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(line);
        out.push(b'\n');
    }
}

fn put_base64(out: &mut Vec<u8>, data: &[u8]) {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for group in data.chunks(3) {
        let bits = (0..3).fold(0_usize, |bits, at| {
            bits << 8 | usize::from(group.get(at).copied().unwrap_or(0))
        });
        for at in 0..4 {
            let digit = DIGITS[bits >> (18 - 6 * at) & 63];
            out.push(if at <= group.len() { digit } else { b'=' });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::sse::{Framing, framing::tests::at};

    const START: &str = r#"{"type":"tool-input-start","toolCallId":"c","toolName":"t"}"#;
    const NEXT: &str = r#"{"type":"text-start","id":"1"}"#;

    fn chunk(text: &str) -> Chunk<'_> {
        Chunk {
            kind: Kind::Text,
            data: text.as_bytes(),
        }
    }

    /// What a client gets that has seen the first two chunks, the second of which is large.
    fn resumed(large: &str) -> String {
        let mut framing = Framing::new(Format::UiMessages, Duration::ZERO, true);
        framing.read_after(at(2));
        framing.replay_to(at(3));
        let mut out = Vec::new();
        framing.chunk(&mut out, at(1), chunk(START));
        let body = Body::of(Format::UiMessages, Kind::Text, large.as_bytes());
        assert!(!framing.large(&mut out, at(2), &body), "the client has it");
        framing.chunk(&mut out, at(3), chunk(NEXT));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_large_chunk_is_framed_as_any_other() {
        for format in [Format::Events, Format::UiMessages] {
            for (kind, data) in [
                (Kind::Text, "one\ntwo\r\n\0"),
                (Kind::Text, r#"{"type":"error"}"#),
                (Kind::Bytes, "abc"),
            ] {
                let data = data.as_bytes();
                let (mut whole, mut parts) = (Vec::new(), Vec::new());
                Framing::new(format, Duration::ZERO, true).chunk(&mut whole, at(7), Chunk { kind, data });
                let body = Body::of(format, kind, data);
                assert!(Framing::new(format, Duration::ZERO, true).large(&mut parts, at(7), &body));
                parts.extend_from_slice(&body.bytes);
                assert_eq!(parts, whole);
            }
        }
    }

    #[test]
    fn a_large_chunk_that_was_seen_begins_and_ends_parts() {
        let ended = resumed(r#"{"type":"tool-input-available","toolCallId":"c","input":"…"}"#);
        assert!(!ended.contains("tool-input-start"), "{ended}");
        let open = resumed(r#"{"type":"data-x","data":"…"}"#);
        assert!(open.contains("tool-input-start"), "{open}");
        let large = r#"{"type":"text-start","id":"9","providerMetadata":"…"}"#;
        let begun = resumed(large);
        assert!(begun.contains(&format!("data: {large}\n\n")), "{begun}");
        assert_eq!(
            begun.matches("id: ").count(),
            1,
            "repeated starts have no cursor: {begun}"
        );
    }
}
