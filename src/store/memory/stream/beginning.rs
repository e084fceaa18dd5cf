//! Where a generation begins.

use super::{Beginning, Stream};
use crate::store::Restore;

impl Beginning {
    /// A generation with nothing before it in the log.
    pub fn new(ordinal: u64, base: u64) -> Self {
        Self {
            ordinal,
            base,
            seq: base,
            turn: 0,
            previous: None,
        }
    }

    /// A generation whose chunks up to some seq are gone.
    pub fn restored(restore: &Restore) -> Self {
        Self {
            seq: restore.seq,
            turn: restore.turn,
            ..Self::new(restore.ordinal, restore.base)
        }
    }

    /// The same with the stream's current generation before it, if the one ends where the other can begin.
    pub fn after(self, stream: Stream) -> Self {
        let fits = stream.current.ordinal < self.ordinal && stream.current.seq <= self.base;
        Self {
            previous: fits.then_some(stream.current),
            ..self
        }
    }

    pub fn has_previous(&self) -> bool {
        self.previous.is_some()
    }
}

impl Stream {
    /// Where the next generation begins; what this one leaves behind goes with it.
    pub fn into_beginning(self) -> Beginning {
        Beginning {
            ordinal: self.current.ordinal + 1,
            base: self.current.seq,
            seq: self.current.seq,
            turn: 0,
            previous: Some(self.current),
        }
    }
}
