//! What knows nothing of streams.

pub mod backoff;
pub(crate) mod sync;
