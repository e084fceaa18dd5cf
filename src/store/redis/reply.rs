//! Takes replies apart. A reply of an unexpected shape is an error, never a panic.

use redis::Value;
use ulid::Ulid;

use crate::{
    Error, Result,
    store::{Outcome, Terminal},
};

/// The elements of an array, taken one by one.
pub(super) struct Fields {
    operation: &'static str,
    values: std::vec::IntoIter<Value>,
}

impl Fields {
    pub fn new(operation: &'static str, reply: Value) -> Result<Self> {
        match reply {
            Value::Array(values) => Ok(Self {
                operation,
                values: values.into_iter(),
            }),
            _ => Err(malformed(operation)),
        }
    }

    pub fn bytes(&mut self) -> Result<Option<Vec<u8>>> {
        match self.values.next() {
            Some(Value::BulkString(bytes)) => Ok(Some(bytes)),
            Some(Value::SimpleString(text)) => Ok(Some(text.into_bytes())),
            Some(Value::Nil) => Ok(None),
            _ => Err(malformed(self.operation)),
        }
    }

    pub fn option(&mut self) -> Result<Option<String>> {
        let Some(bytes) = self.bytes()? else {
            return Ok(None);
        };
        String::from_utf8(bytes)
            .map(Some)
            .map_err(|_| malformed(self.operation))
    }

    pub fn text(&mut self) -> Result<String> {
        self.option()?.ok_or_else(|| malformed(self.operation))
    }

    pub fn number(&mut self) -> Result<u64> {
        self.text()?.parse().map_err(|_| malformed(self.operation))
    }

    pub fn flag(&mut self) -> Result<bool> {
        Ok(self.text()? == "1")
    }

    pub fn ulid(&mut self) -> Result<Ulid> {
        Ulid::from_string(&self.text()?).map_err(|_| malformed(self.operation))
    }

    /// An outcome and its reason; `None` when the outcome is absent or not one.
    pub fn terminal(&mut self) -> Result<Option<Terminal>> {
        let outcome = self.option()?.as_deref().and_then(Outcome::parse);
        let reason = self.option()?.unwrap_or_default();
        Ok(outcome.map(|outcome| Terminal { outcome, reason }))
    }

    pub fn nested(&mut self) -> Result<Self> {
        let value = self.values.next().ok_or_else(|| malformed(self.operation))?;
        Self::new(self.operation, value)
    }

    pub fn is_empty(&self) -> bool {
        self.values.len() == 0
    }

    pub fn malformed(&self) -> Error {
        malformed(self.operation)
    }
}

/// The error for a reply that no script of this version gives.
pub(super) fn malformed(operation: &'static str) -> Error {
    Error::Internal {
        reason: format!("a malformed reply to {operation}"),
    }
}
