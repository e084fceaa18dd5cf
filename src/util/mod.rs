//! What knows nothing of streams.

pub mod backoff;
pub(crate) mod sync;
pub mod ulids;
