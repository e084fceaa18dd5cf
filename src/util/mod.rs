//! Helpers that know nothing of streams.

pub mod backoff;
pub mod log;
pub(crate) mod sync;
pub mod ulids;
