//! Pieces of large chunks.

use bytes::Bytes;
use redis::Value;

use super::{base::RedisStore, reply, scripts};
use crate::{
    Result, StreamId,
    model::frame::Reference,
    redis::fields::Fields,
    store::{Appended, Piece},
};

impl RedisStore {
    pub(super) async fn put_piece(&self, stream: &StreamId, piece: &Piece) -> Result<Appended> {
        let keys = self.keys.stream(stream);
        let call = self
            .on(&scripts::PIECE, &keys)
            .show(piece.generation)
            .show(piece.producer)
            .text(self.terms(piece.lease))
            .show(piece.large.id)
            .show(piece.index)
            .bytes(&piece.data);
        let reply = self.call(call).await?;
        self.appended(stream, piece.generation, reply::appended("piece", reply)?)
    }

    pub(super) async fn get_piece(
        &self,
        stream: &StreamId,
        large: &Reference,
        index: usize,
    ) -> Result<Option<Bytes>> {
        let keys = self.keys.stream(stream);
        let key = keys.large(large.ordinal);
        let mut command = redis::cmd("HGET");
        command.arg(key).arg(format!("{}.{index}", large.id));
        let reply = self.run("piece", key, &command).await?;
        let piece = Fields::new("piece", Value::Array(vec![reply]))?.bytes()?;
        Ok(piece.map(Bytes::from))
    }
}
