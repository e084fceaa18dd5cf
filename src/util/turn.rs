//! Turns of the engine's thread.

use std::{future::poll_fn, task::Poll};

/// Lets the tasks go first that are ready now. Unlike tokio's `yield_now` it does not look for events of the system meanwhile, which takes
/// longer than most tasks.
pub(crate) async fn ready_ones_first() {
    let mut has_waited = false;
    poll_fn(|context| {
        if std::mem::replace(&mut has_waited, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
