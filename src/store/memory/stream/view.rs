//! The views of a stream: pages of its log, and its status.

use tokio::time::Instant;
use ulid::Ulid;

use super::{Producer, Stream};
use crate::{
    Cursor,
    store::{
        Glance, Head, MAX_PAGE_FRAMES, Page, Position, Read, Readers, StreamStatus, Sweep, Swept, Tail,
        forks::Fork, logs::NOBODY, memory::transaction::Transaction, pages::RawPage,
    },
    util::time::millis,
};

impl Stream {
    pub fn read(&self, transaction: &Transaction, read: &Read) -> RawPage {
        let current = &self.current;
        let previous = |id: Ulid| self.previous.as_ref().filter(|generation| generation.id == id);
        let found = match read.position {
            Position::Start => Some((current, current.base)),
            Position::Now => Some((current, current.seq)),
            Position::AfterSealed => Some((current, current.sealed_to)),
            Position::Index(index) => {
                let from = if index < 0 { current.seq } else { current.base };
                Some((current, from.saturating_add_signed(index).max(current.base)))
            }
            Position::After { generation, seq } if generation == current.id => Some((current, seq)),
            Position::After { generation, seq } if self.inherits(Cursor { generation, seq }) => {
                Some((current, seq))
            }
            Position::After { generation, seq } => previous(generation).map(|generation| (generation, seq)),
            Position::Next { generation, .. } if generation == current.id => {
                return RawPage::plain(self.empty_page(transaction, false));
            }
            Position::Next { generation, seq } => match &self.previous {
                Some(kept) if kept.id != generation && kept.base == seq => Some((kept, kept.base)),
                kept => {
                    let follows = kept.as_ref().is_some_and(|kept| kept.id == generation);
                    (follows || current.base == seq).then_some((current, current.base))
                }
            },
        };
        let Some((generation, after)) = found else {
            return RawPage::plain(self.empty_page(transaction, true));
        };
        let (mut size, mut count) = (0, 0);
        let mut fits = |more: usize| {
            let fits = size < read.max_bytes && count < MAX_PAGE_FRAMES;
            size += more;
            count += 1;
            fits
        };
        let from = generation.sealed.partition_point(|sealed| sealed.last <= after);
        let rest = &generation.sealed[from..];
        let kept: Vec<_> = rest
            .iter()
            .take_while(|sealed| fits(sealed.body_len))
            .map(|sealed| (sealed.last, sealed.bytes.clone()))
            .collect();
        let sealed_left = rest.len() - kept.len();
        let from = generation.frames.partition_point(|frame| frame.last() <= after);
        let rest = &generation.frames[from..];
        let frames: Vec<_> = rest
            .iter()
            .take_while(|frame| sealed_left == 0 && fits(frame.size()))
            .cloned()
            .collect();
        let more = sealed_left + rest.len() > frames.len();
        let page = Page {
            head: self.head(transaction.now),
            generation: generation.id,
            base: generation.base,
            after,
            frames,
            terminal: generation.terminal.clone().filter(|_| !more),
            more,
            lost: false,
            log: self.log_config().cloned(),
        };
        RawPage { page, kept }
    }

    /// Whether it is a cursor of the log that this one was forked from, of a chunk that both have.
    fn inherits(&self, cursor: Cursor) -> bool {
        let fork = self.log_config().and_then(|config| config.fork.as_ref());
        fork.is_some_and(|fork| fork.inherits(cursor))
    }

    /// The cursor within its generation, with the generation's ordinal; `None` when that is no longer kept.
    pub fn bound(&self, cursor: Cursor) -> Option<(u64, Cursor)> {
        let kept = [Some(&self.current), self.previous.as_ref()];
        let generation = kept
            .into_iter()
            .flatten()
            .find(|kept| kept.id == cursor.generation)?;
        let seq = cursor.seq.max(generation.base).min(generation.seq);
        Some((generation.ordinal, Cursor { seq, ..cursor }))
    }

    fn empty_page(&self, transaction: &Transaction, lost: bool) -> Page {
        Page {
            head: self.head(transaction.now),
            generation: self.current.id,
            base: self.current.base,
            after: self.current.seq,
            frames: Vec::new(),
            terminal: None,
            more: false,
            lost,
            log: self.log_config().cloned(),
        }
    }

    fn head(&self, now: Instant) -> Head {
        let live = self.live(now);
        Head {
            generation: self.current.id,
            base: self.current.base,
            seq: self.current.seq,
            terminal: self.current.terminal.clone(),
            lease_left: live
                .map(|producer| producer.lease_ends - now)
                .max()
                .unwrap_or_default(),
            doubt: self.doubt(now),
            vouched: None,
        }
    }

    /// Without its lag.
    pub fn glance(&self, transaction: &Transaction) -> Glance {
        let terminal = self.current.terminal.as_ref();
        let live = self.live(transaction.now);
        Glance {
            stream_id: transaction.stream.to_string(),
            state: terminal
                .map_or("active", |terminal| terminal.outcome.as_str())
                .to_owned(),
            reason: terminal
                .map(|terminal| terminal.reason.clone())
                .filter(|reason| !reason.is_empty()),
            generation: self.current.id.to_string(),
            first_seq: self.current.base + 1,
            last_seq: self.current.seq,
            bytes: self.bytes,
            stored_bytes: self.current.stored as u64,
            producers: u32::try_from(live.filter(|producer| producer.id != NOBODY).count())
                .unwrap_or(u32::MAX),
            process: None,
            stop: self.stop.clone(),
            owner: self.owner.clone(),
            started_at: self.started_at,
            updated_at: self.updated_at,
            lag: None,
            readers: Readers::default(),
        }
    }

    pub fn status(&self, transaction: &Transaction) -> StreamStatus {
        let glance = self.glance(transaction);
        StreamStatus {
            stream_id: glance.stream_id,
            state: glance.state,
            reason: glance.reason,
            generation: glance.generation,
            first_seq: glance.first_seq,
            last_seq: glance.last_seq,
            bytes: glance.bytes,
            stored_bytes: glance.stored_bytes,
            producers: glance.producers,
            stop: glance.stop,
            owner: glance.owner,
            metadata: self.metadata.clone(),
            started_at: glance.started_at,
            updated_at: glance.updated_at,
            ttl_ms: millis(self.expires - transaction.now),
            consumers: Vec::new(),
            log: self.log_config().cloned(),
        }
    }

    pub fn tail(&self) -> Tail {
        let fork = self.log_config().and_then(|config| config.fork.as_ref());
        Tail {
            generation: self.current.id.to_string(),
            base: self.current.base,
            seq: self.current.seq,
            owner: self.owner.clone(),
            origins: fork.map_or_else(Vec::new, Fork::texts),
        }
    }

    /// The bytes of the frames, which are nearly all of it.
    pub fn memory(&self) -> u64 {
        let generations = std::iter::once(&self.current).chain(&self.previous);
        generations.map(|generation| generation.stored as u64).sum()
    }

    /// What a clean-up does with this stream.
    pub fn assess(&self, transaction: &Transaction, rule: &Sweep) -> Swept {
        let lapsed = self.lapsed(transaction.now);
        let outcome = self.current.terminal.as_ref().or(lapsed.as_ref());
        let outcome = outcome.map(|terminal| terminal.outcome);
        let is_wanted = outcome.map_or(rule.force, |outcome| rule.outcomes.contains(&outcome));
        let age = transaction.wall_ms.saturating_sub(self.updated_at);
        if is_wanted && u128::from(age) >= rule.older_than.as_millis() {
            Swept::Removed
        } else if outcome.is_none() {
            Swept::Live
        } else {
            Swept::Kept
        }
    }

    /// The producers whose leases keep the generation alive.
    fn live(&self, now: Instant) -> impl Iterator<Item = &Producer> {
        self.producers
            .iter()
            .filter(move |producer| self.is_active() && producer.is_live(now))
    }
}
