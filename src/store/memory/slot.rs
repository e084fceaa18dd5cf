//! What is kept under one stream id: the stream, or what outlives and precedes it.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;
use ulid::Ulid;

use super::{
    cursors::Cursors,
    groups::Groups,
    kept_stops::KeptStops,
    step::{Message, Step},
    stream::{Place, Stream, interrupted},
};
use crate::{
    Cursor, Error, Result,
    model::frame::Reference,
    store::{
        Ack, Append, Appended, FinishedNews, IfActive, IfEnded, LiveMessage, OwnerCheck, Piece, Read, Renew,
        Restore, Start, Started, StopResult, StreamStatus, Sweep, Swept,
        doubt::Look,
        groups::{Dead, GroupStatus, Item, Resolve, Subject, Take, Taken},
        pages::RawPage,
    },
};

/// How long a producer is told that its stream was deleted.
const TOMBSTONE: Duration = Duration::from_secs(60);

/// A tombstone and a kept stop exist only while there is no stream, cursors and groups only while there is one.
#[derive(Default)]
pub(super) struct Slot {
    stream: Option<Stream>,
    cursors: Cursors,
    groups: Groups,
    kept: KeptStops,
    tombstone: Option<Tombstone>,
}

/// What a stream that was deleted while active leaves behind.
struct Tombstone {
    generation: Ulid,
    ordinal: u64,
    expires: Instant,
}

impl Slot {
    /// Drops what has expired; whether there is nothing left.
    pub fn prune(&mut self, now: Instant) -> bool {
        if self.stream.take_if(|stream| stream.expires() <= now).is_some() {
            self.forget_consumers();
        }
        self.kept.prune(now);
        self.tombstone.take_if(|tombstone| tombstone.expires <= now);
        self.is_empty()
    }

    pub fn is_empty(&self) -> bool {
        self.stream.is_none() && self.kept.is_empty() && self.tombstone.is_none()
    }

    /// Whether the list names it.
    pub fn is_stream(&self, now: Instant) -> bool {
        self.stream.as_ref().is_some_and(|stream| stream.expires() > now)
    }

    pub fn start(&mut self, step: &mut Step, start: &Start) -> Look<Result<Started>> {
        let answer = self.try_start(step, start);
        let stream = self
            .stream
            .as_ref()
            .filter(|_| matches!(answer, Err(Error::Active { .. })));
        Look {
            again: stream.and_then(|stream| stream.again(step.now)),
            answer,
        }
    }

    fn try_start(&mut self, step: &mut Step, start: &Start) -> Result<Started> {
        if let Some(stream) = &mut self.stream {
            check_owner(step, stream, &OwnerCheck::Caller(start.owner.clone()))?;
            stream.lapse(step);
            if let Some(started) = stream.started(start.producer) {
                return Ok(started);
            }
            if stream.is_active() {
                match start.if_active {
                    IfActive::Share if stream.is_shared() && stream.again(step.now).is_none() => {
                        return stream.join(step, start);
                    }
                    IfActive::Takeover => stream.end(step, &interrupted("superseded"), None),
                    IfActive::Error | IfActive::Share => {
                        return Err(Error::Active {
                            stream: step.stream.to_string(),
                        });
                    }
                }
            } else if start.if_ended == IfEnded::Error
                && let Some(outcome) = stream.outcome()
            {
                return Err(Error::Ended {
                    stream: step.stream.to_string(),
                    outcome: outcome.as_str(),
                });
            }
        }
        let mut start = start.clone();
        let place = match (self.stream.take(), self.tombstone.take()) {
            (Some(stream), _) => {
                start.generation = following(stream.generation(), start.generation);
                stream.into_place()
            }
            (None, Some(tombstone)) => {
                start.generation = following(tombstone.generation, start.generation);
                Place::new(tombstone.ordinal + 1, 0)
            }
            (None, None) => Place::new(1, 0),
        };
        let stream = self.begin(step, &start, place);
        step.tell(LiveMessage::Started {
            generation: stream.generation(),
            base: stream.base(),
        });
        step.messages.push(Message::Finished(FinishedNews::Open));
        stream.started(start.producer).ok_or_else(|| Error::Internal {
            reason: "a generation without its producer".to_owned(),
        })
    }

    /// A new generation; kept stops are used up.
    fn begin(&mut self, step: &Step, start: &Start, place: Place) -> &mut Stream {
        let requested = std::mem::take(&mut self.kept).reason_for(start.owner.as_ref(), step.now);
        self.stream.insert(Stream::begin(step, start, place, requested))
    }

    pub fn restore(&mut self, step: &mut Step, restore: &Restore) -> Appended {
        let start = &restore.start;
        let renew = Renew {
            generation: start.generation,
            producer: start.producer,
            lease: start.lease,
        };
        let known = self
            .tombstone
            .as_ref()
            .map(|left| (left.ordinal, left.generation));
        let known = self.stream.as_ref().map(Stream::name).or(known);
        let own = (restore.ordinal, start.generation);
        let is_later = known.is_none_or(|known| known.1 != own.1 && is_later(own, known));
        if is_later && self.tombstone.is_some() {
            return Appended::Ended(interrupted("deleted"));
        }
        if is_later {
            let place = Place::restored(restore.ordinal, restore.base, restore.seq);
            self.put_back(step, start, place);
        }
        self.renew(step, &renew)
    }

    /// Begins a generation again, in the place of an older one if one was faster to be put back.
    fn put_back(&mut self, step: &mut Step, start: &Start, mut place: Place) {
        let is_first = self.stream.is_none();
        if let Some(mut older) = self.stream.take() {
            if older.is_active() {
                older.end(step, &interrupted("superseded"), None);
            }
            place = place.after(older);
            if !place.has_previous() {
                self.groups = Groups::default();
            }
        }
        let stream = self.begin(step, start, place);
        if !is_first {
            step.tell(LiveMessage::Started {
                generation: stream.generation(),
                base: stream.base(),
            });
        }
    }

    pub fn append(&mut self, step: &mut Step, append: &Append) -> Appended {
        match &mut self.stream {
            Some(stream) => stream.append(step, append),
            None => self.missing(append.generation),
        }
    }

    pub fn put(&mut self, step: &mut Step, piece: &Piece) -> Appended {
        match &mut self.stream {
            Some(stream) => stream.put(step, piece),
            None => self.missing(piece.generation),
        }
    }

    pub fn piece(&self, large: &Reference, index: usize) -> Option<Bytes> {
        self.stream.as_ref()?.piece(large, index)
    }

    pub fn renew(&mut self, step: &mut Step, renew: &Renew) -> Appended {
        match &mut self.stream {
            Some(stream) => stream.renew(step, renew.generation, renew.producer, renew.lease),
            None => self.missing(renew.generation),
        }
    }

    /// A tombstone must not answer `Missing`: the producer would put the deleted stream back.
    fn missing(&self, generation: Ulid) -> Appended {
        match &self.tombstone {
            Some(tombstone) if tombstone.generation == generation => Appended::Ended(interrupted("deleted")),
            Some(_) => Appended::Fenced,
            None => Appended::Missing,
        }
    }

    pub fn read(&mut self, step: &mut Step, read: &Read) -> Result<Option<RawPage>> {
        let Some(stream) = &mut self.stream else {
            return Ok(None);
        };
        check_owner(step, stream, &read.owner)?;
        stream.lapse(step);
        Ok(Some(stream.read(step, read)))
    }

    pub fn stop(
        &mut self,
        step: &mut Step,
        reason: &str,
        owner: &OwnerCheck,
        keep: Duration,
    ) -> Result<StopResult> {
        let Some(stream) = &mut self.stream else {
            self.kept.keep(step, reason, owner, keep)?;
            return Ok(StopResult::Kept);
        };
        check_owner(step, stream, owner)?;
        stream.lapse(step);
        if !stream.is_active() {
            return Ok(StopResult::Ended);
        }
        stream.request_stop(step, reason);
        Ok(StopResult::Stopping)
    }

    fn forget_consumers(&mut self) {
        self.cursors = Cursors::default();
        self.groups = Groups::default();
    }

    /// Ends the generation if its producers are dead; whether it goes on.
    pub fn lapse(&mut self, step: &mut Step) -> bool {
        let Some(stream) = &mut self.stream else {
            return false;
        };
        stream.lapse(step);
        stream.is_active()
    }

    pub fn take(&mut self, step: &mut Step, take: &Take) -> Result<Option<Taken>> {
        let Some(stream) = &mut self.stream else {
            return Ok(None);
        };
        check_owner(step, stream, &take.owner)?;
        stream.lapse(step);
        let taken = self
            .groups
            .take_chunks(take, &stream.kept(), stream.terminal(), step.now)?;
        Ok(Some(taken))
    }

    pub fn resolve(&mut self, step: &Step, resolve: &Resolve) -> Result<()> {
        if let Some(stream) = &self.stream {
            check_owner(step, stream, &resolve.owner)?;
        }
        self.groups.resolve(resolve);
        Ok(())
    }

    pub fn dead(&self, step: &Step, dead: &Dead) -> Result<Vec<Item>> {
        let Some(stream) = &self.stream else {
            return Ok(Vec::new());
        };
        check_owner(step, stream, &dead.owner)?;
        let kept = stream.kept();
        Ok(self.groups.dead(dead, |id| {
            let found = kept.iter().find(|kept| kept.ordinal == id.0)?;
            Some(Subject::Chunk(Cursor {
                generation: found.generation,
                seq: id.1,
            }))
        }))
    }

    pub fn groups(&self) -> Option<Vec<GroupStatus>> {
        let stream = self.stream.as_ref()?;
        let last = stream.kept().last().map_or(0, |kept| kept.last);
        Some(self.groups.list(last))
    }

    pub fn ack(&mut self, step: &Step, acks: &[Ack], owner: &OwnerCheck) -> Result<Vec<bool>> {
        let Some(stream) = &self.stream else {
            return Err(Error::NotFound {
                stream: step.stream.to_string(),
            });
        };
        check_owner(step, stream, owner)?;
        Ok(acks.iter().map(|ack| self.cursors.ack(stream, ack)).collect())
    }

    pub fn cursor(&self, consumer: &str) -> Option<Cursor> {
        self.cursors.get(consumer)
    }

    pub fn status(&mut self, step: &mut Step) -> Look<Option<StreamStatus>> {
        let Some(stream) = &mut self.stream else {
            return Look::sure(None);
        };
        stream.lapse(step);
        let status = stream.status(step);
        Look {
            answer: Some(StreamStatus {
                consumers: self.cursors.show(status.last_seq),
                ..status
            }),
            again: stream.again(step.now),
        }
    }

    pub fn memory(&self) -> Option<u64> {
        self.stream.as_ref().map(Stream::memory)
    }

    pub fn sweep(&mut self, step: &mut Step, rule: &Sweep) -> Look<Swept> {
        let Some(stream) = &mut self.stream else {
            return Look::sure(Swept::Gone);
        };
        stream.examine(step);
        let verdict = stream.judge(step, rule);
        let again = stream.again(step.now).filter(|_| verdict == Swept::Live);
        if verdict == Swept::Removed && !rule.look {
            self.delete(step);
        }
        Look {
            answer: verdict,
            again,
        }
    }

    pub fn delete(&mut self, step: &mut Step) -> bool {
        self.kept = KeptStops::default();
        let Some(stream) = self.stream.take() else {
            return false;
        };
        self.forget_consumers();
        if stream.is_active() {
            stream.tell_ended(step, &interrupted("deleted"), None);
            self.tombstone = Some(Tombstone {
                generation: stream.generation(),
                ordinal: stream.ordinal(),
                expires: step.after(TOMBSTONE),
            });
        }
        step.tell(LiveMessage::Deleted);
        true
    }
}

/// Whether a generation, named by its ordinal and its id, is later than another. The ordinals tell, unless somebody has
/// begun to count anew since it began.
fn is_later((ordinal, id): (u64, Ulid), than: (u64, Ulid)) -> bool {
    if ordinal == than.0 {
        return id > than.1;
    }
    ordinal > than.0 && id.timestamp_ms() >= than.1.timestamp_ms()
}

/// The id of a generation that follows another: however the servers' clocks differ, it names no earlier time.
fn following(before: Ulid, id: Ulid) -> Ulid {
    Ulid::from_parts(id.timestamp_ms().max(before.timestamp_ms()), id.random())
}

fn check_owner(step: &Step, stream: &Stream, check: &OwnerCheck) -> Result<()> {
    if stream.admits(check) {
        return Ok(());
    }
    Err(Error::Forbidden {
        stream: step.stream.to_string(),
    })
}
