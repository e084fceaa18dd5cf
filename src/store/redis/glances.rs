//! Streams as a list shows them: the other side of `lua/glances.lua`. And who listens to them.

use std::sync::Arc;

use futures_util::future::{join_all, try_join_all};
use redis::Value;

use super::{
    arguments::number,
    base::RedisStore,
    keys::channel_of,
    optional_rights::{self, note_refusal},
    scripts,
    tails::by_known_slots,
};
use crate::{
    Error, Result, StreamId,
    redis::{fields::Fields, script::Call},
    store::{Found, Glance, Readers, SHOWN_CONSUMERS, Store as _},
};

/// The most streams of a command: others are not to wait for it.
const AT_ONCE: usize = 64;

/// A stream that is looked at, and the key of its record.
struct Place<'a> {
    stream: &'a StreamId,
    meta: String,
}

/// What was found of it, and whether its producers may be dead.
struct Seen {
    found: Found<Glance>,
    is_doubtful: bool,
}

impl RedisStore {
    pub(super) async fn glance_at(&self, streams: &[StreamId]) -> Result<Vec<Found<Glance>>> {
        let mut seen = self.look_at(streams).await?;
        let doubtful = streams.iter().enumerate().filter(|(at, _)| seen[*at].is_doubtful);
        let (places, doubtful): (Vec<_>, Vec<_>) = doubtful.map(|(at, stream)| (at, stream.clone())).unzip();
        if !doubtful.is_empty() {
            // Ends those whose producers are dead, once that is certain.
            let looks = join_all(doubtful.iter().map(|stream| self.inspect(stream))).await;
            looks.into_iter().collect::<Result<Vec<_>>>()?;
            for (at, again) in places.into_iter().zip(self.look_at(&doubtful).await?) {
                seen[at] = again;
            }
        }
        Ok(seen.into_iter().map(|seen| seen.found).collect())
    }

    async fn look_at(&self, streams: &[StreamId]) -> Result<Vec<Seen>> {
        let places = self.places(streams).await?;
        by_known_slots(|| self.look_by_slot(&places)).await
    }

    async fn places<'a>(&self, streams: &'a [StreamId]) -> Result<Vec<Place<'a>>> {
        let places = streams.iter().map(|stream| async move {
            let meta = self.meta_of(stream).await?;
            Ok(Place { stream, meta })
        });
        try_join_all(places).await
    }

    async fn look_by_slot(&self, places: &[Place<'_>]) -> Result<Vec<Seen>> {
        let parts = self.by_slot(places.iter().map(|place| place.meta.as_str()))?;
        let parts = parts.iter().flat_map(|part| part.chunks(AT_ONCE));
        let looks = parts.map(|part| async move {
            let mut seen = Vec::with_capacity(part.len());
            // A script ends early where there is very much in the records.
            while seen.len() < part.len() {
                let some = part[seen.len()..].iter().map(|at| &places[*at]);
                seen.extend(self.look_at_some(some).await?);
            }
            Ok::<_, Error>(part.iter().copied().zip(seen))
        });
        let mut all: Vec<_> = try_join_all(looks).await?.into_iter().flatten().collect();
        all.sort_unstable_by_key(|(at, _)| *at);
        Ok(all.into_iter().map(|(_, seen)| seen).collect())
    }

    /// At least the first of these, and as many of the next ones as the script has got to.
    async fn look_at_some<'a>(
        &self,
        places: impl ExactSizeIterator<Item = &'a Place<'a>> + Clone,
    ) -> Result<Vec<Seen>> {
        let call = Call::for_many(&scripts::GLANCES, places.len(), 0);
        let call = places.clone().fold(call, |call, place| call.key(&place.meta));
        let call = call
            .text("")
            .text(self.keys.nodes())
            .text("")
            .show(SHOWN_CONSUMERS);
        let mut fields = Fields::new("glances", self.call(call).await?)?;
        if fields.is_empty() {
            return Err(fields.malformed());
        }
        let count = fields.len();
        let seen = places.take(count).map(|place| seen(place.stream, &mut fields));
        seen.collect()
    }

    /// How many connections listen to each stream's channel.
    pub(super) async fn count_listeners(&self, streams: &[StreamId]) -> Result<Option<Vec<u64>>> {
        let endpoint = self.endpoint()?;
        if !endpoint.servers.are_known() || !endpoint.health.may(optional_rights::LISTENERS) {
            return Ok(None);
        }
        let places = self.places(streams).await?;
        let counts = places.chunks(AT_ONCE).map(|some| {
            let endpoint = Arc::clone(&endpoint);
            async move {
                let mut command = redis::cmd("PUBSUB");
                command.arg("NUMSUB");
                for place in some {
                    command.arg(channel_of(&place.meta));
                }
                let replies = endpoint
                    .servers
                    .run_everywhere("listeners", &command, self.timeouts);
                Ok(sum(some.len(), &replies.await?))
            }
        });
        match self.until_closed(try_join_all(counts)).await {
            Ok(counts) => Ok(Some(counts.concat())),
            Err(Error::Closed) => Err(Error::Closed),
            Err(error) => {
                note_refusal(&endpoint, optional_rights::LISTENERS, &error);
                Ok(None)
            }
        }
    }
}

/// Adds up the replies of all servers, each of which is channel, count, channel, count …
fn sum(channels: usize, replies: &[Value]) -> Vec<u64> {
    let mut counts = vec![0; channels];
    for reply in replies {
        let Value::Array(fields) = reply else { continue };
        for (count, field) in counts.iter_mut().zip(fields.iter().skip(1).step_by(2)) {
            *count += number(field);
        }
    }
    counts
}

fn seen(stream: &StreamId, fields: &mut Fields) -> Result<Seen> {
    let sure = |found| Seen {
        found,
        is_doubtful: false,
    };
    let Some(mut fields) = fields.nested_option()? else {
        return Ok(sure(Found::Nothing));
    };
    let facts = fields.text()?;
    if facts == "damaged" {
        return Ok(sure(Found::Damaged(fields.text()?)));
    }
    // The script has looked at what it counts on itself, and hands the rest over as it is.
    let glance = glance(stream, &facts, &mut fields);
    let damaged = || Found::Damaged("one of its fields is no text, or no number".to_owned());
    Ok(glance.map_or_else(
        |_| sure(damaged()),
        |(glance, is_doubtful)| Seen {
            found: Found::Stream(Box::new(glance)),
            is_doubtful,
        },
    ))
}

fn glance(stream: &StreamId, facts: &str, fields: &mut Fields) -> Result<(Glance, bool)> {
    let mut facts = facts.split(' ');
    let mut fact = || facts.next().unwrap_or_default();
    let malformed = fields.malformed();
    let number = |fact: &str| fact.parse::<u64>().map_err(|_| malformed.clone());
    let glance = Glance {
        stream_id: stream.to_string(),
        state: fact().to_owned(),
        generation: fact().to_owned(),
        first_seq: number(fact())? + 1,
        last_seq: number(fact())?,
        bytes: number(fact())?,
        stored_bytes: number(fact())?,
        producers: u32::try_from(number(fact())?).unwrap_or(u32::MAX),
        started_at: number(fact())?,
        updated_at: number(fact())?,
        lag: fact().parse().ok(),
        reason: fields.option()?.filter(|reason| !reason.is_empty()),
        stop: fields.option()?,
        owner: fields.option()?,
        process: fields.option()?.filter(|process| !process.is_empty()),
        readers: Readers::default(),
    };
    Ok((glance, fact() == "1"))
}
