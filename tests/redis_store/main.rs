//! What only the Redis store does, against a real server that each test starts for itself; everything else is in
//! `tests/store_contract`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(
    clippy::many_single_char_names,
    clippy::too_many_lines,
    reason = "producers a, b, c and a generation g, in one story per test"
)]

mod bounds;
#[path = "../support/config.rs"]
mod config;
mod connections;
mod evicted;
mod fast_append;
#[path = "../store_contract/heard.rs"]
#[allow(dead_code, reason = "shared with the contract")]
mod heard;
mod index;
mod keys;
mod nodes;
#[path = "../support/rights.rs"]
mod rights;
mod support;
#[path = "../store_contract/world.rs"]
#[allow(dead_code, reason = "shared with the contract")]
mod world;
