//! When a producer that writes nothing asks for another lease.

use std::time::Duration;

use tokio::time::Instant;

use super::producer::Producer;
use crate::util::sync::lock;

/// Renewals are spread by a part of this.
const SPREAD: u32 = 1024;

impl Producer {
    /// Whether it has given no sign of life for so long, and need not for longer.
    pub(crate) fn is_quiet(&self, time: Duration) -> bool {
        let state = lock(&self.state);
        state.is_vouched && state.last_sign.is_none_or(|at| at.elapsed() >= time)
    }

    /// Asks for a renewal if one is due; otherwise says when one is, if nothing is written meanwhile. `vouched` is the lease of those
    /// for whom their engine vouches.
    pub(crate) fn renew_if_due(&self, lease: Duration, vouched: Option<Duration>) -> Option<Instant> {
        let after = match vouched.filter(|_| lock(&self.state).is_vouched) {
            // Spread, so that those that started together do not all renew together.
            Some(vouched) => vouched * (SPREAD - self.spread()) / (2 * SPREAD),
            None => lease / 3,
        };
        let due = lock(&self.state).last_sign.map(|at| at + after);
        if due.is_none_or(|due| due <= Instant::now()) {
            self.renew();
            return None;
        }
        due
    }

    /// Up to a quarter of [`SPREAD`].
    fn spread(&self) -> u32 {
        let random = self.start.producer.random() % u128::from(SPREAD / 4);
        u32::try_from(random).unwrap_or_default()
    }

    /// Asks for a renewal.
    pub(crate) fn renew(&self) {
        if !std::mem::replace(&mut lock(&self.state).renew, true) {
            self.notify.notify_one();
        }
    }
}
