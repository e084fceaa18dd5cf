//! The rate at which batches begin, those of all producers of an engine together.
//!
//! A batch costs this thread and the store far more than a chunk in it. Where very many streams are written to, batches of one chunk
//! each would keep both busy with nothing but batches; beyond a rate that leaves them air, chunks gather a little longer.

use std::{sync::Mutex, time::Duration};

use tokio::time::Instant;

use crate::util::sync::lock;

/// The share of a batch in the time of the thread and the store: 25,000 batches a second.
const EACH: Duration = Duration::from_micros(40);
/// So many may begin at once after a pause: as many as a store takes with one command.
const AT_ONCE: u32 = 64;
/// No chunk waits longer than this for others.
const MOST: Duration = Duration::from_millis(40);

/// See the module.
#[derive(Default)]
pub(crate) struct Rate {
    /// The time that the batches so far were given ends here.
    taken: Mutex<Option<Instant>>,
}

impl Rate {
    /// When a batch should begin for which it is too early; it may [begin](Self::begin) then, whatever the others do.
    pub fn too_early(&self) -> Option<Instant> {
        let taken = (*lock(&self.taken))?;
        let now = Instant::now();
        (taken > now + EACH * AT_ONCE).then(|| taken.min(now + MOST))
    }

    /// A batch begins.
    pub fn begin(&self) {
        let now = Instant::now();
        let mut taken = lock(&self.taken);
        *taken = Some(taken.map_or(now, |taken| taken.max(now)) + EACH);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn batches_begin_at_once_until_there_are_very_many() {
        let rate = Rate::default();
        let mut begun = 0;
        while rate.too_early().is_none() {
            rate.begin();
            begun += 1;
        }
        assert_eq!(begun, AT_ONCE + 1);
        assert_eq!(rate.too_early(), Some(Instant::now() + EACH * begun));
        advance(EACH).await;
        assert_eq!(rate.too_early(), None, "one more");
        rate.begin();
        assert!(rate.too_early().is_some());
        advance(EACH * begun).await;
        assert_eq!(rate.too_early(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn however_many_there_are_none_waits_for_long() {
        let rate = Rate::default();
        for _ in 0..100_000 {
            rate.begin();
        }
        assert_eq!(rate.too_early(), Some(Instant::now() + MOST));
    }

    #[tokio::test(start_paused = true)]
    async fn a_steady_rate_below_the_bound_never_waits() {
        let rate = Rate::default();
        for _ in 0..1_000 {
            for _ in 0..AT_ONCE {
                assert_eq!(rate.too_early(), None);
                rate.begin();
            }
            advance(EACH * AT_ONCE).await;
        }
    }
}
