//! What a writer does when the store's answer shows that the store has lost data.

use std::sync::Arc;

use super::{kept::Kept, writer::Writer};
use crate::{
    Error, Result,
    model::ending::{InterruptReason, Terminal},
    store::{Append, Appended, Restore},
    util::{backoff::Backoff, log::dropped, sync::lock},
};

/// How often in a row written pieces may be missing before the chunk counts as lost: a store that evicts keys while they are
/// being written will continue to do so.
const MOST_SETBACKS: u32 = 8;

impl Writer {
    pub(super) async fn refill(&mut self) -> Result<()> {
        while let Some(Kept { frame, large, .. }) = self.lost_frame()? {
            if let Some(large) = &large
                && !self.upload(large).await?
            {
                continue;
            }
            let large = large.map(|large| large.reference);
            let reply = self.send(Some(frame.encoded()), large, None, None).await?;
            self.rewritten(reply, frame.last()).await?;
        }
        Ok(())
    }

    async fn rewritten(&mut self, reply: Appended, last: u64) -> Result<()> {
        match reply {
            Appended::Done { stop, .. } => {
                self.log_end = last;
                self.on_stop(stop);
                Ok(())
            }
            other => self.recover(other).await,
        }
    }

    /// The first accepted frame that the log no longer has.
    fn lost_frame(&self) -> Result<Option<Kept>> {
        if self.log_end >= self.accepted {
            return Ok(None);
        }
        let at = self
            .kept
            .partition_point(|kept| kept.frame.first() <= self.log_end);
        let found = self
            .kept
            .get(at)
            .filter(|kept| kept.frame.first() == self.log_end + 1);
        found.map(|kept| Some(kept.clone())).ok_or_else(|| self.lost())
    }

    /// Deals with every answer but `Done`.
    pub(super) async fn recover(&mut self, reply: Appended) -> Result<()> {
        match reply {
            Appended::Unsealed => {
                tracing::debug!(stream = %self.producer.stream, "a seal was refused: the log is not as it was");
                self.sealing.lose_track();
                Ok(())
            }
            // Others may have written lost chunks, so no producer can write all of them again.
            Appended::Hole { .. } if !self.producer.exclusive => {
                self.give_up().await;
                Err(self.lost())
            }
            Appended::Incomplete => {
                self.setbacks += 1;
                if self.setbacks > MOST_SETBACKS {
                    self.give_up().await;
                    return Err(self.lost());
                }
                Ok(())
            }
            Appended::Hole { seq } if seq < self.log_end => {
                let (stream, generation) = (&self.producer.stream, self.producer.start.generation);
                tracing::warn!(%stream, %generation, seq, known = self.log_end, "the store has lost the end of the log");
                self.log_end = seq;
                self.sealing.lose_track();
                if self.lost_frame().is_err() {
                    self.give_up().await;
                    return Err(self.lost());
                }
                Ok(())
            }
            Appended::Missing if self.producer.exclusive => self.restore().await,
            Appended::Missing => Err(self.lost()),
            Appended::Ended(terminal) => Err(self.producer.cut_off_error(&terminal)),
            Appended::Fenced => self.appeal().await,
            Appended::Hole { .. } | Appended::Done { .. } => Err(self.disagreement()),
        }
    }

    pub(super) fn disagreement(&self) -> Error {
        Error::internal(format!(
            "stream {:?}: the log and its producer disagree",
            self.producer.stream.as_str()
        ))
    }

    /// What the log must not end before. Of a shared generation that is all that local readers have been given, too: the
    /// same number must not be given again.
    pub(super) fn known_end(&self) -> u64 {
        if self.producer.exclusive {
            return self.log_end;
        }
        let heard = self.hub.tail_of(self.producer.start.generation);
        self.log_end.max(heard.unwrap_or_default())
    }

    fn fenced(&self) -> Error {
        Error::Fenced {
            stream: self.producer.stream.to_string(),
            in_doubt: self.repeated,
        }
    }

    /// Another generation stands where this producer's should. If that is an older one, which came back after the store
    /// had lost the takeover, this one is put in its place.
    async fn appeal(&mut self) -> Result<()> {
        let is_told = lock(&self.producer.state).cut_off.is_some();
        if is_told || self.appealed || !self.producer.exclusive {
            return Err(self.fenced());
        }
        self.appealed = true;
        self.restore().await
    }

    /// The store has lost the whole stream: restores it as far as it is still kept here.
    async fn restore(&mut self) -> Result<()> {
        let restore = Restore {
            start: self.producer.start.clone(),
            ordinal: self.producer.ordinal,
            base: self.base,
            seq: self
                .kept
                .front()
                .map_or(self.accepted, |kept| kept.frame.first() - 1),
            turn: self.turn,
            own_after: self.own_after,
        };
        let context = Arc::clone(&self.context);
        let mut backoff = Backoff::default();
        loop {
            match self
                .while_offering(context.store().restore(&self.producer.stream, &restore))
                .await
            {
                Ok(Appended::Done { last, stop, .. }) if last <= self.accepted => {
                    let (stream, generation) = (&self.producer.stream, self.producer.start.generation);
                    tracing::warn!(%stream, %generation, seq = last, "the store had lost the stream; it was put back");
                    self.log_end = last;
                    self.sealing.lose_track();
                    self.on_stop(stop);
                    return Ok(());
                }
                Ok(Appended::Ended(terminal)) => return Err(self.producer.cut_off_error(&terminal)),
                Ok(_) => return Err(self.fenced()),
                Err(error) => self.pause(error, &mut backoff).await?,
            }
        }
    }

    /// Ends a generation with a hole that cannot be filled. If this fails too, readers notice when the lease expires.
    async fn give_up(&mut self) {
        self.batch += 1;
        let append = Append {
            terminal: Some(Terminal::interrupted(InterruptReason::Lost)),
            ..self.producer.batch(self.batch)
        };
        let outcome = self.context.store().append(&self.producer.stream, &append).await;
        dropped(
            outcome,
            "the end of a generation that has a hole was not written; its lease will end it",
        );
    }

    pub(super) fn lost(&self) -> Error {
        Error::Interrupted {
            stream: self.producer.stream.to_string(),
            reason: InterruptReason::Lost.as_str().into(),
        }
    }
}
