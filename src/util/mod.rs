//! Helpers that know nothing of streams.

pub mod backoff;
pub mod log;
pub(crate) mod sync;
pub(crate) mod time;
pub(crate) mod turn;
pub mod ulids;
