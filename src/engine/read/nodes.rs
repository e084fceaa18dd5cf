//! Looks at the engines whose producers this process follows, so that a quiet stream need not be looked at for their sake.

use std::{collections::HashMap, sync::Mutex, time::Duration};

use tokio::{sync::Notify, time::Instant};
use ulid::Ulid;

use crate::{
    store::{AGAIN, GRACE},
    util::sync::lock,
};

/// What is due at some moment is looked at this long after it, by the store's clock.
pub(super) const SLACK: Duration = Duration::from_millis(30);

/// The nodes that somebody's hub counts on.
#[derive(Default)]
pub(crate) struct Nodes {
    watched: Mutex<HashMap<Ulid, Watched>>,
    pub(super) news: Notify,
}

struct Watched {
    /// The longest lease that was seen of it.
    lease: Duration,
    due: Instant,
}

impl Watched {
    /// Whether it is well, with so much left of its lease. Its next look is due in time for those at its streams.
    fn is_well(&mut self, left: Duration) -> bool {
        self.lease = self.lease.max(left);
        let pause = until_overdue(self.lease, left);
        self.due = Instant::now() + pause;
        pause > until_overdue(Duration::ZERO, Duration::ZERO)
    }
}

impl Nodes {
    /// Looks at a node from now on, which has so much left of its lease.
    pub fn watch(&self, node: Ulid, left: Duration) {
        let mut is_new = false;
        lock(&self.watched).entry(node).or_insert_with(|| {
            is_new = true;
            let due = Instant::now() + until_overdue(left, left);
            Watched { lease: left, due }
        });
        if is_new {
            self.news.notify_one();
        }
    }

    /// The node that is to be looked at next.
    pub(super) fn next(&self) -> Option<(Ulid, Instant)> {
        let watched = lock(&self.watched);
        let all = watched.iter().map(|(node, watched)| (*node, watched.due));
        all.min_by_key(|(_, due)| *due)
    }

    /// It has so much left of its lease; whether it is to be looked at again.
    pub(super) fn note(&self, node: Ulid, left: Duration) -> bool {
        let mut watched = lock(&self.watched);
        let is_well = watched.get_mut(&node).is_some_and(|known| known.is_well(left));
        if !is_well {
            watched.remove(&node);
        }
        is_well
    }

    /// It could not be looked at.
    pub(super) fn put_off(&self, node: Ulid) {
        if let Some(known) = lock(&self.watched).get_mut(&node) {
            known.due = Instant::now() + AGAIN;
        }
    }
}

/// When to look at a lease with so much left, to have suspected a dead producer for long enough by its end: a live one has
/// renewed it well before.
pub(super) fn until_overdue(lease: Duration, left: Duration) -> Duration {
    left.saturating_sub(GRACE.min(lease / 3)) + SLACK
}
