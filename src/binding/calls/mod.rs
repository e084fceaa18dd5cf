//! Operations by name, with JSON arguments.

mod admin;
mod args;
mod groups;
mod logs;
mod produce;
mod read;
mod reminders;

pub use groups::consume;
pub use logs::begin;
pub use read::subscribe;

use crate::{Error, Result, engine::Engine};

/// Starts an operation.
pub fn start(engine: &Engine, request: u32, operation: &str, args: &str) -> Result<()> {
    for feature in [
        produce::start,
        read::start,
        groups::start,
        reminders::start,
        admin::start,
    ] {
        if feature(engine, request, operation, args)? {
            return Ok(());
        }
    }
    Err(Error::invalid("operation", "unknown"))
}
