//! Arguments that several operations have.

use serde::de::DeserializeOwned;

use crate::{Cursor, Error, Result, store::Position};

pub fn position(from: &str) -> Result<Position> {
    Ok(match from {
        "start" => Position::Start,
        "now" => Position::Now,
        // Counted, as only those who know the stream as a log do.
        index if index.starts_with('#') => {
            let index = index[1..].parse();
            Position::Index(index.map_err(|_| Error::invalid("from", "is no index"))?)
        }
        cursor => {
            let Cursor { generation, seq } = cursor.parse()?;
            Position::After { generation, seq }
        }
    })
}

pub fn parse<T: DeserializeOwned>(args: &str) -> Result<T> {
    serde_json::from_str(args).map_err(|error| Error::invalid("args", error.to_string()))
}
