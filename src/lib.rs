//! Tidemark: resumable streams for AI chat. A map of the crate:
//!
//! * [`engine`] is the product itself: producers, hubs, subscriptions, leases. It knows neither Node-API nor Redis.
//! * [`store`] is where chunks are kept: the [`store::Store`] trait, in memory and in Redis.
//! * [`legacy`] reads the keys that the predecessor of this package left in Redis.
//! * [`sse`] writes a subscription as server-sent events.
//! * [`model`] has the types that all of them use: streams, cursors, frames, ends; so do [`config`], [`error`] and [`util`].
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
