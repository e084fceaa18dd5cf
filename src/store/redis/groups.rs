//! Groups: calls of the scripts that deliver items, and their replies.

use redis::Value;

use super::{
    arguments::{check, millis, position, queue_ttl},
    base::RedisStore,
    follow_ups::name_of,
    keys::StreamKeys,
    optional_rights, reply, scripts,
};
use crate::{
    Error, Result, StreamId,
    redis::{
        fields::Fields,
        script::{Call, Script},
    },
    store::{
        OwnerCheck, Start,
        groups::{
            Dead, Finished, GroupStatus, Item, ItemId, MAX_FINISHED, MAX_GROUPS, MAX_HELD, OpenGeneration,
            Overdue, Repeat, Repeated, Resolve, Subject, Take, Taken, Work, full,
        },
    },
};

use std::time::Duration;

/// How long after a missed renewal a generation is looked at.
pub(super) const SLACK: Duration = Duration::from_secs(1);

impl RedisStore {
    /// A script's call for a group, up to its consumer.
    fn in_group<'a>(
        &'a self,
        [of_stream, of_queue]: [&'static Script; 2],
        keys: Option<&'a StreamKeys>,
        (group, consumer): (&'a str, &'a str),
        owner: &OwnerCheck,
    ) -> Call {
        let call = match keys {
            Some(keys) => self.on(of_stream, keys).key(keys.work(group)),
            None => self.on_queue(of_queue).text("").text(""),
        };
        call.text(check(owner)).text(group).text(consumer)
    }

    fn on_queue(&self, script: &'static Script) -> Call {
        self.on_queue_for(script, self.queue_ttl)
    }

    fn on_queue_for(&self, script: &'static Script, ttl: u64) -> Call {
        Call::new(script)
            .key(self.keys.finished())
            .key(self.keys.open())
            .show(ttl)
    }

    async fn keys_of(&self, work: Work<'_>) -> Result<Option<StreamKeys>> {
        match work {
            Work::Stream(stream) => Ok(Some(self.names(stream).await?.keys)),
            Work::Finished => Ok(None),
        }
    }

    pub(super) async fn take_items(&self, work: Work<'_>, take: &Take) -> Result<Option<Taken>> {
        let keys = self.keys_of(work).await?;
        let (from, generation, seq) = position(take.from);
        let members = (take.group.as_str(), take.consumer.as_str());
        let scripts = [&*scripts::TAKE, &*scripts::TAKE_FINISHED];
        let call = self
            .in_group(scripts, keys.as_ref(), members, &take.owner)
            .show(take.count)
            .show(millis(take.claim_idle))
            .show(take.max_deliveries)
            .text(take.own.map_or_else(String::new, after))
            .show(MAX_GROUPS)
            .text(from)
            .text(generation.map_or_else(String::new, |generation| generation.to_string()))
            .show(seq)
            .show(MAX_HELD)
            .text(take.told.map_or_else(String::new, |told| told.to_string()));
        let reply = self.call(call).await?;
        if reply == Value::Nil {
            return Ok(None);
        }
        let mut fields = Fields::new("take", reply)?;
        match fields.text()?.as_str() {
            "taken" => {}
            "full" => return Err(full()),
            refused => return Err(refusal(work, refused, &fields)),
        }
        let done = reply::terminal(&mut fields)?;
        let lost = fields.option()?.and_then(|cursor| cursor.parse().ok());
        let items = items(work, fields.nested()?)?;
        Ok(Some(Taken { items, done, lost }))
    }

    pub(super) async fn repeat_items(&self, work: Work<'_>, repeat: &Repeat) -> Result<Repeated> {
        let keys = self.keys_of(work).await?;
        let scripts = [&*scripts::REPEAT, &*scripts::REPEAT_FINISHED];
        let members = (repeat.group.as_str(), repeat.consumer.as_str());
        let call = self
            .in_group(scripts, keys.as_ref(), members, &repeat.owner)
            .text(after(repeat.after))
            .show(repeat.count)
            .show(millis(repeat.claim_idle));
        let mut fields = Fields::new("repeat", self.call(call).await?)?;
        match fields.text()?.as_str() {
            "held" => Ok(Repeated {
                items: items(work, fields.nested()?)?,
                after: fields.option()?.and_then(|id| id.parse().ok()),
            }),
            refused => Err(refusal(work, refused, &fields)),
        }
    }

    pub(super) async fn resolve_items(&self, work: Work<'_>, resolve: &Resolve) -> Result<()> {
        let keys = self.keys_of(work).await?;
        let members = (resolve.group.as_str(), resolve.consumer.as_str());
        let scripts = [&*scripts::RESOLVE, &*scripts::RESOLVE_FINISHED];
        let mut call = self.in_group(scripts, keys.as_ref(), members, &resolve.owner);
        for (id, resolution) in &resolve.resolutions {
            call = call.text(resolution.as_str()).show(id);
        }
        let reply = self.call(call).await?;
        let mut fields = Fields::new("resolve", Value::Array(vec![reply]))?;
        match fields.text()?.as_str() {
            "ok" => Ok(()),
            refused => Err(refusal(work, refused, &fields)),
        }
    }

    pub(super) async fn dead_items(&self, work: Work<'_>, dead: &Dead) -> Result<Vec<Item>> {
        let keys = self.keys_of(work).await?;
        let scripts = [&*scripts::DEAD, &*scripts::DEAD_FINISHED];
        let call = self
            .in_group(scripts, keys.as_ref(), (&dead.group, ""), &dead.owner)
            .text(dead.after.map_or_else(|| "-".to_owned(), after))
            .show(dead.count);
        let mut fields = Fields::new("dead", self.call(call).await?)?;
        match fields.text()?.as_str() {
            "dead" => items(work, fields.nested()?),
            refused => Err(refusal(work, refused, &fields)),
        }
    }

    pub(super) async fn list_groups(&self, work: Work<'_>) -> Result<Option<Vec<GroupStatus>>> {
        let call = match self.keys_of(work).await? {
            Some(keys) => self.on(&scripts::GROUPS, &keys),
            None => self.on_queue(&scripts::GROUPS_FINISHED),
        };
        let reply = self.call(call).await?;
        if reply == Value::Nil {
            return Ok(None);
        }
        let mut fields = Fields::new("groups", reply)?;
        let mut groups = Vec::new();
        while !fields.is_empty() {
            let mut group = fields.nested()?;
            groups.push(GroupStatus {
                group: group.text()?,
                held: group.number()?,
                dead: group.number()?,
                behind: group.text()?.parse().ok(),
            });
        }
        Ok(Some(groups))
    }

    pub(super) async fn add_finished(&self, finished: &Finished, if_open: bool) -> Result<()> {
        let terminal = &finished.terminal;
        let stream = finished.stream.as_str();
        let open = (finished.stream.clone(), finished.cursor.generation);
        self.follow_ups.revoke(&name_of(&open));
        if self.is_booked(finished.cursor.generation) {
            return Ok(());
        }
        let call = self
            .on_queue(&scripts::ANNOUNCE)
            .text(member(&open))
            .text(if if_open { "1" } else { "0" })
            .show(MAX_FINISHED)
            .text(stream)
            .show(finished.cursor)
            .text(terminal.outcome.as_str())
            .text(terminal.reason.as_str());
        self.call_if_allowed(optional_rights::ANNOUNCE, call)
            .await
            .map(drop)
    }

    pub(super) async fn remove_open(&self, open: &OpenGeneration) -> Result<()> {
        self.follow_ups.revoke(&name_of(open));
        self.call(self.leave_open(open)).await.map(drop)
    }

    /// Forgets a generation that is not there, or never was.
    pub(super) fn leave_open(&self, open: &OpenGeneration) -> Call {
        let call = self
            .on_queue(&scripts::ANNOUNCE)
            .text(member(open))
            .text("1")
            .show(0);
        call.text("").text("").text("").text("")
    }

    pub(super) async fn overdue_open(&self, count: usize, pause: Duration) -> Result<Overdue> {
        let call = self.on_queue(&scripts::OVERDUE).show(count).show(millis(pause));
        let Some(reply) = self.call_if_allowed(optional_rights::OVERDUE, call).await? else {
            return Ok(Overdue::default());
        };
        let mut fields = Fields::new("overdue", reply)?;
        let next = fields.millis()?;
        let mut found = Vec::new();
        while !fields.is_empty() {
            let member = fields.text()?;
            // Another program has put anything else there.
            found.extend(member.split_once(' ').and_then(|(generation, stream)| {
                Some((StreamId::new(stream).ok()?, generation.parse().ok()?))
            }));
        }
        Ok(Overdue { open: found, next })
    }

    /// Notes a generation that begins.
    pub(super) fn enter_open(&self, open: &OpenGeneration, start: &Start) -> Call {
        self.on_queue_for(&scripts::ENTER, self.queue_ttl.max(queue_ttl(start.ttl)))
            .text(member(open))
            .show(millis(start.lease + SLACK))
    }
}

fn member((stream, generation): &OpenGeneration) -> String {
    format!("{generation} {stream}")
}

/// A range that begins after this id.
fn after(id: ItemId) -> String {
    format!("({id}")
}

fn refusal(work: Work<'_>, said: &str, fields: &Fields) -> Error {
    match (work, said) {
        (Work::Stream(stream), "forbidden") => reply::forbidden(stream),
        _ => fields.malformed(),
    }
}

fn items(work: Work<'_>, mut list: Fields) -> Result<Vec<Item>> {
    let mut items = Vec::new();
    while !list.is_empty() {
        let mut fields = list.nested()?;
        let id = fields.text()?.parse().map_err(|_| fields.malformed())?;
        let deliveries = fields.number()?;
        let subject = match work {
            Work::Stream(_) => Subject::Chunk(fields.text()?.parse().map_err(|_| fields.malformed())?),
            Work::Finished => match finished(&mut fields) {
                Some(finished) => Subject::Finished(finished),
                // Entries of another form are skipped.
                None => continue,
            },
        };
        items.push(Item {
            id,
            deliveries,
            subject,
        });
    }
    Ok(items)
}

fn finished(fields: &mut Fields) -> Option<Finished> {
    let (stream, cursor) = (fields.text().ok()?, fields.text().ok()?);
    let (outcome, reason) = (fields.text().ok()?, fields.text().ok()?);
    Finished::parse(&stream, &cursor, &outcome, &reason)
}
