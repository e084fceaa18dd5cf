//! The one thread that everything asynchronous runs on.

use std::{any::Any, sync::OnceLock, thread};

use tokio::runtime::{Builder, Handle};

use crate::{Error, Result};

/// Threads for long work: compressing, inflating, looking up host names. They end when idle.
const MOST_BLOCKING: usize = 8;

/// The process-wide runtime: one thread, started on first use and never stopped.
///
/// One thread, because a second one nearly doubles the CPU per chunk (wake-ups cross threads) and wins no latency.
pub fn handle() -> Result<&'static Handle> {
    static RUNTIME: OnceLock<std::result::Result<Handle, String>> = OnceLock::new();
    RUNTIME
        .get_or_init(|| start().map_err(|error| error.to_string()))
        .as_ref()
        .map_err(|reason| Error::internal(format!("cannot start the engine's thread: {reason}")))
}

fn start() -> std::io::Result<Handle> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(MOST_BLOCKING)
        .build()?;
    let handle = runtime.handle().clone();
    thread::Builder::new()
        .name("tidemark".into())
        .spawn(move || runtime.block_on(std::future::pending::<()>()))?;
    Ok(handle)
}

/// The error for an operation that has panicked with this.
pub(super) fn panicked(panic: &(dyn Any + Send)) -> Error {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    Error::internal(format!("a panic: {}", text.unwrap_or("without a text")))
}

/// The error for a task that has panicked.
pub(super) fn internal(panic: &tokio::task::JoinError) -> Error {
    Error::internal(panic.to_string())
}
