//! Deltas, and the parts that they belong to.

use std::borrow::Cow;

use serde::Deserialize;

use crate::model::frame::{Chunk, Kind};

pub const TEXT: &str = "text";
pub const REASONING: &str = "reasoning";
pub const TOOL: &str = "tool-input";

/// The identity of a part: two kinds of parts may share an id.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Part {
    pub kind: &'static str,
    pub id: String,
}

/// A delta that can be joined without losing anything: one with further fields, such as a provider's metadata, cannot.
#[derive(Deserialize)]
#[serde(tag = "type", deny_unknown_fields)]
pub enum Delta<'a> {
    #[serde(rename = "text-delta")]
    Text {
        #[serde(borrow)]
        id: Cow<'a, str>,
        #[serde(borrow)]
        delta: Cow<'a, str>,
    },
    #[serde(rename = "reasoning-delta")]
    Reasoning {
        #[serde(borrow)]
        id: Cow<'a, str>,
        #[serde(borrow)]
        delta: Cow<'a, str>,
    },
    #[serde(rename = "tool-input-delta", rename_all = "camelCase")]
    ToolInput {
        #[serde(borrow)]
        tool_call_id: Cow<'a, str>,
        #[serde(borrow)]
        input_text_delta: Cow<'a, str>,
    },
}

impl<'a> Delta<'a> {
    pub fn of(chunk: Chunk<'a>) -> Option<Self> {
        (chunk.kind == Kind::Text)
            .then(|| serde_json::from_slice(chunk.data).ok())
            .flatten()
    }

    pub fn part(&self) -> Part {
        let (kind, id) = match self {
            Self::Text { id, .. } => (TEXT, id),
            Self::Reasoning { id, .. } => (REASONING, id),
            Self::ToolInput { tool_call_id, .. } => (TOOL, tool_call_id),
        };
        Part {
            kind,
            id: id.clone().into_owned(),
        }
    }

    pub fn text(&self) -> &str {
        match self {
            Self::Text { delta, .. } | Self::Reasoning { delta, .. } => delta,
            Self::ToolInput { input_text_delta, .. } => input_text_delta,
        }
    }
}
