//! The Redis store against a real server, started by each test for itself.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(
    clippy::many_single_char_names,
    clippy::too_many_lines,
    reason = "producers a, b, c and a generation g, in one story per test"
)]

#[path = "redis_store/bounds.rs"]
mod bounds;
#[path = "redis_store/connections.rs"]
mod connections;
#[path = "redis_store/ending.rs"]
mod ending;
#[path = "redis_store/evicted.rs"]
mod evicted;
#[path = "redis_store/fast_append.rs"]
mod fast_append;
#[path = "redis_store/operations.rs"]
mod operations;
#[path = "support/rights.rs"]
mod rights;
#[path = "redis_store/support.rs"]
mod support;
