//! Reads the fields of replies. A reply of an unexpected shape is an error, never a panic.

use std::{str::FromStr, time::Duration};

use redis::Value;

use crate::{Error, Result};

/// The elements of an array, taken one by one.
pub struct Fields {
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
        self.parsed()
    }

    pub fn flag(&mut self) -> Result<bool> {
        Ok(self.text()? == "1")
    }

    /// A duration that may be absent.
    pub fn millis(&mut self) -> Result<Option<Duration>> {
        let Some(text) = self.option()? else {
            return Ok(None);
        };
        let millis = text.parse().map_err(|_| malformed(self.operation))?;
        Ok(Some(Duration::from_millis(millis)))
    }

    /// Text that stands for something else.
    pub fn parsed<T: FromStr>(&mut self) -> Result<T> {
        self.text()?.parse().map_err(|_| malformed(self.operation))
    }

    pub fn nested(&mut self) -> Result<Self> {
        let value = self.values.next().ok_or_else(|| malformed(self.operation))?;
        Self::new(self.operation, value)
    }

    /// An array that may be absent.
    pub fn nested_option(&mut self) -> Result<Option<Self>> {
        match self.values.next() {
            Some(Value::Nil) => Ok(None),
            Some(value) => Self::new(self.operation, value).map(Some),
            None => Err(malformed(self.operation)),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn len(&self) -> usize {
        self.values.len()
    }

    pub fn malformed(&self) -> Error {
        malformed(self.operation)
    }
}

/// The error for a reply of an unexpected shape.
fn malformed(operation: &'static str) -> Error {
    Error::internal(format!("a malformed reply to {operation}"))
}
