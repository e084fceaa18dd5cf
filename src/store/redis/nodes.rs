//! Nodes: an engine shows that it lives by one key, for all of its producers, and looks at those of others (ADR 38).
//!
//! Only where all keys are on one server: a script that judges a stream reads the node's key there. In a cluster every producer
//! renews its own lease.

use std::time::Duration;

use redis::Value;
use ulid::Ulid;

use super::{
    arguments::{millis, number},
    base::RedisStore,
    scripts, spares,
};
use crate::{Result, StreamId, redis::script::Call};

/// A node's producers have to give a sign of their own within their lease and this: should one be gone without a word, its
/// generation ends then.
pub(super) const VOUCHED: Duration = Duration::from_secs(300);

impl RedisStore {
    /// A lease as `prolong` in `lua/prelude.lua` takes it.
    pub(super) fn terms(&self, lease: Duration) -> String {
        if self.vouches {
            format!("{}{}", millis(lease), mark())
        } else {
            millis(lease).to_string()
        }
    }

    /// Where control messages arrive; the second one is what versions before ADR 38 take for the name of a node that vouches.
    pub(super) fn control_channels(&self) -> Vec<String> {
        let own = self.keys.node(self.node);
        let marked = self.vouches.then(|| own.clone() + &mark());
        [Some(own), marked].into_iter().flatten().collect()
    }

    pub(super) async fn show_life(&self, lease: Duration) -> Result<()> {
        if !self.vouches {
            return Ok(());
        }
        let call = Call::new(&scripts::VOUCH)
            .key(self.keys.node(self.node))
            .show(millis(lease));
        self.call(call).await.map(drop)
    }

    pub(super) async fn life_of(&self, node: Ulid) -> Result<Duration> {
        let key = self.keys.node(node);
        let mut command = redis::cmd("PTTL");
        command.arg(&key);
        let left = self.run("vouched", &key, &command).await?;
        Ok(Duration::from_millis(number(&left)))
    }

    /// The producer is gone while this node lives.
    pub(super) fn stop_vouching(&self, stream: &StreamId, producer: Ulid) {
        if !self.vouches {
            return;
        }
        let call = self.on(&scripts::LEAVE, &self.keys.stream(stream)).show(producer);
        // Closed, the engine vouches for nobody.
        let _ = self.send_along(format!("leave {producer}"), spares::LEAVE, call);
    }

    pub(super) async fn absent_records(&self, streams: &[StreamId]) -> Result<Vec<usize>> {
        if !self.vouches || streams.is_empty() {
            return Ok(Vec::new());
        }
        let call = Call::for_many(&scripts::ABSENT, streams.len(), 0);
        let call = streams
            .iter()
            .fold(call, |call, stream| call.key(self.keys.stream(stream).meta));
        let Value::Array(absent) = self.call(call).await? else {
            return Ok(Vec::new());
        };
        let places = absent.iter().map(number);
        Ok(places
            .filter_map(|place| usize::try_from(place).ok()?.checked_sub(1))
            .collect())
    }
}

fn mark() -> String {
    format!("L{}", VOUCHED.as_millis())
}
