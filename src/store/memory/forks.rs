//! What an entry keeps for forks: the list of a log's forks, and the staged beginning of a fork that is not open yet.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use bytes::Bytes;
use tokio::time::Instant;
use ulid::Ulid;

use super::transaction::Transaction;
use crate::{
    model::frame::SealedFrame,
    store::forks::{Forks, MAX_FORKS, Stage, StagePart, Staged},
};

/// How long the name of a deleted log that had forks is kept after the last request for it.
const KEPT: Duration = Duration::from_secs(30 * 24 * 3600);

/// How long a staged beginning is kept after its last step.
const PATIENCE: Duration = Duration::from_secs(600);

/// The forks of a log.
#[derive(Default)]
pub(super) struct ForkNames {
    streams: BTreeSet<String>,
    /// Once it was deleted: until when its name is kept.
    kept: Option<Instant>,
}

impl ForkNames {
    /// Drops what has expired.
    pub fn prune(&mut self, now: Instant) {
        if self.kept.is_some_and(|until| until <= now) {
            *self = Self::default();
        }
    }

    pub fn is_kept(&self) -> bool {
        self.kept.is_some()
    }

    /// The log is deleted.
    pub fn keep(&mut self, transaction: &Transaction) {
        self.kept = (!self.streams.is_empty()).then(|| transaction.after(KEPT));
    }

    /// Adds a fork. False if there is no room.
    pub fn add(&mut self, fork: &str) -> bool {
        let has_room = self.streams.len() < MAX_FORKS || self.streams.contains(fork);
        has_room && {
            self.streams.insert(fork.to_owned());
            true
        }
    }

    pub fn remove(&mut self, forks: &[String]) {
        for fork in forks {
            self.streams.remove(fork);
        }
        if self.streams.is_empty() {
            self.kept = None;
        }
    }

    pub fn show(&mut self, transaction: &Transaction, is_added: bool) -> Forks {
        if self.is_kept() {
            self.keep(transaction);
        }
        Forks {
            streams: self.streams.iter().cloned().collect(),
            is_kept: self.is_kept(),
            is_added,
        }
    }
}

/// The staged beginning of a fork.
pub(super) struct Prefix {
    pub id: Ulid,
    pub ordinal: u64,
    step: u64,
    expires: Instant,
    /// Each with the seq that it ends with.
    pub frames: Vec<(u64, SealedFrame)>,
    pub pieces: HashMap<Ulid, Vec<Bytes>>,
}

impl Prefix {
    pub fn is_over(&self, now: Instant) -> bool {
        self.expires <= now
    }

    /// Stores one more step of the fork that will have this ordinal.
    pub fn stage(
        prefix: &mut Option<Self>,
        transaction: &Transaction,
        stage: &Stage,
        ordinal: u64,
    ) -> Staged {
        let expires = transaction.after(PATIENCE);
        let is_begun = prefix.as_ref().is_some_and(|prefix| prefix.id == stage.id);
        if matches!(stage.part, StagePart::Begin) && !is_begun {
            *prefix = Some(Self {
                id: stage.id,
                ordinal,
                step: 0,
                expires,
                frames: Vec::new(),
                pieces: HashMap::new(),
            });
        }
        let own = prefix.as_mut().filter(|prefix| {
            prefix.id == stage.id && prefix.ordinal == ordinal && stage.step <= prefix.step + 1
        });
        let Some(prefix) = own else { return Staged::Lost };
        prefix.expires = expires;
        if stage.step > prefix.step {
            prefix.step = stage.step;
            match &stage.part {
                StagePart::Begin => {}
                StagePart::Frame { last, frame } => prefix.frames.push((*last, frame.clone())),
                StagePart::Piece { large, data, .. } => {
                    prefix.pieces.entry(large.id).or_default().push(data.clone());
                }
            }
        }
        Staged::Done { ordinal }
    }
}
