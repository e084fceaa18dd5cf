//! The name of a stream.

use std::{fmt, sync::Arc};

use serde::Deserialize;

use crate::{Error, Result};

/// 1–512 bytes of UTF-8; any characters. Cloning shares the text.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct StreamId(Arc<str>);

impl StreamId {
    /// The largest id, in bytes of UTF-8.
    pub const MAX_BYTES: usize = 512;

    /// Checks the length.
    pub fn new(text: &str) -> Result<Self> {
        if text.is_empty() || text.len() > Self::MAX_BYTES {
            return Err(Error::invalid(
                "streamId",
                format!(
                    "must be 1 to {} bytes of UTF-8, got {}",
                    Self::MAX_BYTES,
                    text.len()
                ),
            ));
        }
        Ok(Self(text.into()))
    }

    /// The id as its user gave it, 1 to 512 bytes.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for StreamId {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        Self::new(&text)
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
