//! A generation's part of the log: how it is sealed, and freed.

use std::mem;

use tokio::runtime::Handle;

use super::{Generation, Sealed};
use crate::store::Seal;

/// More frames, …
const LONG_LOG: usize = 4096;
/// … or bytes, are given back elsewhere.
const LARGE_LOG: usize = 16 << 20;

impl Generation {
    pub(super) fn seal(&mut self, seal: &Seal) {
        self.sealed_to = seal.last();
        self.sealed.push(Sealed {
            last: seal.last(),
            body_len: seal.frame.body_len,
            bytes: seal.frame.bytes.clone(),
        });
        let replaced = self.frames.partition_point(|frame| frame.last() <= seal.last());
        let replaced: usize = self.frames.drain(..replaced).map(|frame| frame.size()).sum();
        self.stored = self.stored + seal.frame.bytes.len() - replaced;
    }
}

impl Drop for Generation {
    /// Giving back the memory of a long log takes its time, which another thread has.
    fn drop(&mut self) {
        let log = (
            mem::take(&mut self.frames),
            mem::take(&mut self.sealed),
            mem::take(&mut self.pieces),
        );
        let is_long = log.0.len() + log.1.len() > LONG_LOG || self.stored > LARGE_LOG;
        if is_long && let Ok(runtime) = Handle::try_current() {
            runtime.spawn_blocking(move || drop(log));
        }
    }
}
