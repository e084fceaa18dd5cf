//! The types that all parts use: streams, cursors, frames, ends, the state of the connection.

pub mod connection;
pub mod cursor;
pub mod ending;
pub mod frame;
pub mod stream_id;
pub mod ttl;
