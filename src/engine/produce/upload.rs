//! Stores the pieces of a large chunk, before the frame that refers to them.

use tokio::time::Instant;

use super::writer::Writer;
use crate::{
    Result,
    engine::large::Large,
    store::{Appended, Piece},
    util::{backoff::Backoff, sync::lock},
};

impl Writer {
    /// Writes all pieces of a large chunk. False when the store has lost something meanwhile: then what comes before the
    /// chunk has to be looked after first.
    pub(super) async fn upload(&mut self, large: &Large) -> Result<bool> {
        self.repeated = false;
        for index in 0..large.reference.pieces() {
            let piece = Piece {
                generation: self.producer.start.generation,
                producer: self.producer.start.producer,
                lease: self.context.config().lease(),
                large: large.reference,
                index,
                data: large.piece(index),
            };
            match self.put(&piece).await? {
                Appended::Done { stop, .. } => {
                    lock(&self.producer.state).last_sign = Some(Instant::now());
                    self.on_stop(stop);
                }
                other => {
                    self.recover(other).await?;
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Writes one piece until its outcome is known: the store recognises what it has.
    async fn put(&self, piece: &Piece) -> Result<Appended> {
        let mut backoff = Backoff::default();
        loop {
            let call = self.context.store().put(&self.producer.stream, piece);
            match self.while_offering(call).await {
                Ok(reply) => return Ok(reply),
                Err(error) => self.pause(error, &mut backoff).await?,
            }
        }
    }
}
