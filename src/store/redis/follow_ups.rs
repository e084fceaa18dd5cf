//! Follow-ups: additional calls of an operation for other keys, in a cluster on other servers. Nobody waits for
//! them; transient failures are retried.

use std::{
    collections::{
        HashMap,
        hash_map::{Entry, OccupiedEntry},
    },
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::FutureExt as _;
use tokio::{
    sync::{Notify, watch},
    task::AbortHandle,
    time::{Instant, sleep, timeout},
};

use super::optional_rights::note_refusal;
use crate::{
    redis::{endpoint::Endpoint, job::Timeouts, optional_right::OptionalRight, script::Call},
    store::groups::OpenGeneration,
    util::{backoff::Backoff, sync::lock},
};

/// How long a follow-up is tried again.
const PATIENCE: Duration = Duration::from_secs(600);
/// How many are tried again at the same time; what fails besides is given up.
const MOST: usize = 10_000;
/// How long the end of a store waits for those that are under way.
const LAST: Duration = Duration::from_millis(250);

/// Names the follow-ups for a generation's place among the open ones.
pub(super) fn name_of((stream, generation): &OpenGeneration) -> String {
    format!("open {generation} {stream}")
}

#[derive(Default)]
pub(super) struct FollowUps {
    state: Mutex<State>,
    done: Notify,
}

#[derive(Default)]
struct State {
    /// The last follow-up of each name.
    latest: HashMap<String, Latest>,
    count: u64,
    under_way: usize,
}

struct Latest {
    number: u64,
    task: Option<AbortHandle>,
}

impl Drop for Latest {
    /// A call that was sent is still executed.
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl FollowUps {
    /// Makes a follow-up call, which takes the place of one with the same name that is not done yet.
    pub fn run(
        self: &Arc<Self>,
        name: String,
        right: OptionalRight,
        call: Call,
        endpoint: Arc<Endpoint>,
        timeouts: Timeouts,
        mut closed: watch::Receiver<bool>,
    ) {
        let number = {
            let mut state = lock(&self.state);
            state.count += 1;
            let number = state.count;
            state.latest.insert(name.clone(), Latest { number, task: None });
            number
        };
        let (follow_ups, known_as) = (Arc::clone(self), name.clone());
        let mut follow_up = Box::pin(async move {
            tokio::select! {
                biased;
                _ = closed.wait_for(|closed| *closed) => {}
                () = follow_ups.attempts(right, &call, &endpoint, timeouts) => {}
            }
            follow_ups.with_latest(&name, number, |latest| drop(latest.remove()));
        });
        // Sent now, so that the caller's next command comes after it.
        if (&mut follow_up).now_or_never().is_none() {
            let task = tokio::spawn(follow_up).abort_handle();
            self.with_latest(&known_as, number, |mut latest| {
                latest.get_mut().task = Some(task);
            });
        }
    }

    /// There is no need for this any more, unless it has been sent.
    pub fn revoke(&self, name: &str) {
        lock(&self.state).latest.remove(name);
    }

    fn with_latest<T>(
        &self,
        name: &str,
        number: u64,
        change: impl FnOnce(OccupiedEntry<'_, String, Latest>) -> T,
    ) {
        let mut state = lock(&self.state);
        if let Entry::Occupied(latest) = state.latest.entry(name.to_owned())
            && latest.get().number == number
        {
            change(latest);
        }
    }

    /// Waits for those that are under way for the first time, but not for long.
    pub async fn finish(&self) {
        let finished = async {
            loop {
                let done = self.done.notified();
                if lock(&self.state).under_way == 0 {
                    return;
                }
                done.await;
            }
        };
        let _ = timeout(LAST, finished).await;
    }

    async fn attempts(&self, right: OptionalRight, call: &Call, endpoint: &Endpoint, timeouts: Timeouts) {
        let servers = &endpoint.servers;
        let deadline = Instant::now() + PATIENCE;
        let mut backoff = Backoff::default();
        let mut outcome = {
            let _first = UnderWay::new(self);
            servers.call(call, timeouts).await
        };
        while let Err(error) = outcome {
            if !error.is_retryable() || Instant::now() >= deadline {
                note_refusal(endpoint, right, &error);
                return;
            }
            if lock(&self.state).latest.len() > MOST {
                return;
            }
            sleep(backoff.next_delay()).await;
            outcome = servers.call(call, timeouts).await;
        }
    }
}

/// Counts a first attempt, also when it is given up.
struct UnderWay<'a>(&'a FollowUps);

impl<'a> UnderWay<'a> {
    fn new(follow_ups: &'a FollowUps) -> Self {
        lock(&follow_ups.state).under_way += 1;
        Self(follow_ups)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let mut state = lock(&self.0.state);
        state.under_way -= 1;
        if state.under_way == 0 {
            self.0.done.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ulid::Ulid;

    use super::{super::optional_rights::OPEN, super::scripts, *};
    use crate::{Config, StreamId, redis::target::Target};

    #[test]
    fn each_generation_of_each_stream_has_a_name() {
        let of =
            |stream, generation| name_of(&(StreamId::new(stream).unwrap(), Ulid::from_parts(generation, 0)));
        let mut names = vec![of("one", 1), of("one", 2), of("two", 1), of("two", 2)];
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 4, "{names:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_done_given_up_or_revoked_is_forgotten() {
        // Nothing listens there.
        let config = serde_json::json!({
            "url": "redis://127.0.0.1:1", "keyPrefix": "tm", "ttlActiveMs": 1, "ttlDoneMs": 1, "leaseMs": 1, "stopGraceMs": 1,
            "connectTimeoutMs": 1, "commandTimeoutMs": 1, "flushIntervalMs": 0, "writeIntervalMs": 0, "deliveryIntervalMs": 0,
            "ackIntervalMs": 0, "maxQueueBytes": 1, "compression": 0,
        });
        let config: Config = serde_json::from_value(config).unwrap();
        let target = Arc::new(Target::parse(&config, &scripts::LIBRARY).unwrap());
        let moment = Duration::from_millis(1);
        let timeouts = Timeouts {
            connect: moment,
            command: moment,
        };
        let endpoint = Endpoint::of(&target, timeouts);
        let closed = watch::Sender::new(false);
        let follow_ups = Arc::new(FollowUps::default());
        let run = |name: &str| {
            let call = Call::new(&scripts::OVERDUE).key("queue");
            follow_ups.run(
                name.to_owned(),
                OPEN,
                call,
                endpoint.clone(),
                timeouts,
                closed.subscribe(),
            );
        };
        let state = || {
            let state = lock(&follow_ups.state);
            (state.latest.len(), state.under_way)
        };
        for name in ["one", "two", "two", "three"] {
            run(name);
        }
        assert_eq!(state().0, 3);
        follow_ups.revoke("one");
        follow_ups.finish().await;
        assert_eq!(state(), (2, 0), "the first attempts are over");
        sleep(PATIENCE / 2).await;
        assert_eq!(state().0, 2, "they are tried again");
        sleep(PATIENCE).await;
        assert_eq!(state().0, 0);
    }
}
