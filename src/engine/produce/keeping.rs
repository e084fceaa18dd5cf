//! Keeps accepted frames for a while, since a restart or a failover of the store may lose them.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{kept::Kept, writer::Writer};
use crate::{
    engine::large::Large,
    model::frame::{Frame, MAX_CHUNK},
};

/// Accepted frames are kept this long, in case a restart or a failover of the store loses them …
const KEEP_FOR: Duration = Duration::from_secs(15);
/// … as long as they take no more than this …
const KEEP_BYTES: usize = 1 << 20;
/// … and the large chunks that they refer to no more than this.
const KEEP_LARGE_BYTES: usize = MAX_CHUNK;

impl Writer {
    pub(super) fn keep(&mut self, frame: Frame, large: Option<Arc<Large>>) {
        self.publish(frame.clone());
        let at = Instant::now();
        let kept = Kept { at, frame, large };
        self.kept_bytes += kept.frame.size();
        self.kept_large_bytes += kept.large_bytes();
        self.kept.push_back(kept);
        while self.kept_bytes > KEEP_BYTES || self.kept_large_bytes > KEEP_LARGE_BYTES || self.is_oldest_old()
        {
            self.drop_oldest();
        }
    }

    /// Drops large chunks that were kept for long enough, although nothing has followed them.
    pub(super) fn let_go(&mut self) {
        while self.kept_large_bytes > 0 && self.is_oldest_old() {
            self.drop_oldest();
        }
    }

    fn is_oldest_old(&self) -> bool {
        self.kept.front().is_some_and(|kept| kept.at.elapsed() > KEEP_FOR)
    }

    fn drop_oldest(&mut self) {
        if let Some(kept) = self.kept.pop_front() {
            self.kept_bytes -= kept.frame.size();
            self.kept_large_bytes -= kept.large_bytes();
        }
    }
}
