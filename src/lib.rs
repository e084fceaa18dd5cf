//! Tidemark: resumable streams for AI chat. A map of the crate:
//!
//! * [`engine`] is what the product is: producers, hubs, subscriptions, leases. It knows neither Node-API nor Redis.
//! * [`store`] is where chunks are kept: the [`store::Store`] trait, in memory and in Redis.
//! * [`legacy`] is what the predecessor of this package has left in Redis.
//! * [`sse`] writes a subscription as server-sent events.
//! * [`model`] is what all of them speak of: streams, cursors, frames, ends; [`config`], [`error`] and [`util`] serve them all.
//! * `binding` (feature `node`) converts between JavaScript and the engine, and does nothing else.

// napi's registration is compiled out of unit tests, which would leave all of it unused.
#[cfg(all(feature = "node", not(test)))]
mod binding;
pub mod config;
pub mod engine;
pub mod error;
pub mod legacy;
pub mod model;
mod redis;
pub mod sse;
pub mod store;
pub mod util;

pub use config::Config;
pub use error::{Error, Result};
pub use model::{cursor::Cursor, stream_id::StreamId};
