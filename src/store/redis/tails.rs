//! Where streams end: the other side of `lua/tails.lua`.

use futures_util::future::try_join_all;

use super::{base::RedisStore, scripts};
use crate::{
    Result, StreamId,
    redis::{failure::is_split, fields::Fields, script::Call},
    store::{Tail, forks::Fork},
};

/// What is one command for each slot; once more, if only now it has turned out that the server hides slots.
pub(super) async fn by_known_slots<T, F: Future<Output = Result<T>>>(look: impl Fn() -> F) -> Result<T> {
    match look().await {
        Err(error) if is_split(&error) => look().await,
        done => done,
    }
}

impl RedisStore {
    pub(super) async fn look_at_tails(&self, streams: &[StreamId]) -> Result<Vec<Option<Tail>>> {
        let keys = try_join_all(streams.iter().map(|stream| self.meta_of(stream))).await?;
        by_known_slots(|| self.tails_of(&keys)).await
    }

    /// The places of keys, in parts that can be in one script.
    pub(super) fn by_slot<'a>(&self, keys: impl Iterator<Item = &'a str>) -> Result<Vec<Vec<usize>>> {
        let servers = &self.endpoint()?.servers;
        let places = keys.enumerate().map(|(place, key)| (servers.slot(key), place));
        let mut places: Vec<_> = places.collect();
        places.sort_unstable();
        let parts = places.chunk_by(|(one, _), (other, _)| one == other);
        let parts = parts.map(|part| part.iter().map(|(_, place)| *place).collect());
        Ok(parts.collect())
    }

    /// One command for all keys of a slot.
    async fn tails_of(&self, keys: &[String]) -> Result<Vec<Option<Tail>>> {
        let parts = self.by_slot(keys.iter().map(String::as_str))?;
        let looks = parts.iter().map(|some| async move {
            let call = Call::for_many(&scripts::TAILS, some.len(), 0);
            let call = some.iter().fold(call, |call, place| call.key(&keys[*place]));
            let mut fields = Fields::new("tails", self.call(call).await?)?;
            let tails = some.iter().map(|place| Ok((*place, tail(&mut fields)?)));
            tails.collect::<Result<Vec<_>>>()
        });
        let found = try_join_all(looks).await?;
        let mut tails = vec![None; keys.len()];
        for (place, tail) in found.into_iter().flatten() {
            tails[place] = tail;
        }
        Ok(tails)
    }
}

/// `None` also if something in it is damaged: one stream must not spoil the look at all others.
fn tail(fields: &mut Fields) -> Result<Option<Tail>> {
    let [generation, base, seq, owner, origin] = [
        fields.option()?,
        fields.option()?,
        fields.option()?,
        fields.option()?,
        fields.option()?,
    ];
    let whole = || {
        let fork: Option<Fork> = origin.map(|origin| origin.parse()).transpose().ok()?;
        Some(Tail {
            generation: generation?,
            base: base?.parse().ok()?,
            seq: seq?.parse().ok()?,
            owner,
            origins: fork.as_ref().map_or_else(Vec::new, Fork::texts),
        })
    };
    Ok(whole())
}
