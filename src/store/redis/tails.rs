//! Where streams end: the other side of `lua/tails.lua`.

use futures_util::future::try_join_all;

use super::{base::RedisStore, scripts};
use crate::{
    Result, StreamId,
    redis::{failure::is_split, fields::Fields, script::Call},
    store::{Tail, forks::Fork},
};

impl RedisStore {
    pub(super) async fn look_at_tails(&self, streams: &[StreamId]) -> Result<Vec<Option<Tail>>> {
        let names = try_join_all(streams.iter().map(|stream| self.names(stream))).await?;
        let keys: Vec<_> = names.into_iter().map(|names| names.keys.meta).collect();
        match self.tails_of(&keys).await {
            // Only now it has turned out that the server hides slots.
            Err(error) if is_split(&error) => self.tails_of(&keys).await,
            done => done,
        }
    }

    /// One command for all keys of a slot.
    async fn tails_of(&self, keys: &[String]) -> Result<Vec<Option<Tail>>> {
        let servers = &self.endpoint()?.servers;
        let mut places: Vec<_> = keys
            .iter()
            .enumerate()
            .map(|(place, key)| (servers.slot(key), place))
            .collect();
        places.sort_unstable();
        let looks = places
            .chunk_by(|(one, _), (other, _)| one == other)
            .map(|some| async move {
                let call = Call::for_many(&scripts::TAILS, some.len(), 0);
                let call = some.iter().fold(call, |call, (_, place)| call.key(&keys[*place]));
                let mut fields = Fields::new("tails", self.call(call).await?)?;
                let tails = some.iter().map(|(_, place)| Ok((*place, tail(&mut fields)?)));
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
