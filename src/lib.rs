//! Tidemark: resumable streams for AI chat. A map of the crate:
//!
//! * [`engine`] is what the product is: producers, hubs, subscriptions, leases. It knows neither Node-API nor Redis.
//! * [`store`] is where chunks are kept: the [`store::Store`] trait, in memory and in Redis.
//! * [`sse`] writes a subscription as server-sent events.
//! * [`frame`], [`cursor`], [`stream_id`], [`config`], [`error`] and [`backoff`] are what they share.
//! * `binding` (feature `node`) converts between JavaScript and the engine, and does nothing else.

// napi's registration is compiled out of unit tests, which would leave all of it unused.
pub mod backoff;
#[cfg(all(feature = "node", not(test)))]
mod binding;
pub mod config;
pub mod cursor;
pub mod engine;
pub mod error;
pub mod frame;
pub mod sse;
pub mod store;
pub mod stream_id;
mod sync;

pub use config::Config;
pub use cursor::Cursor;
pub use error::{Error, Result};
pub use stream_id::StreamId;
