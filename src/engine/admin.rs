//! Operations on the store as a whole, or on a stream by its name.

use futures_util::future::join_all;

use super::{Engine, events::Reply};
use crate::{
    Error, Result, StreamId,
    legacy::Ask,
    model::connection::Credentials,
    store::{Found, ListCursor, MOST_LOOKS, OwnerCheck, Sweep},
};

impl Engine {
    /// The status of a stream.
    pub async fn status(self, stream: StreamId) -> Result<Reply> {
        let status = self
            .context
            .ask_unless_away(|store| store.status(&stream))
            .await?;
        Ok(Reply::Status(status.map(Box::new)))
    }

    /// Looks at the names of streams, without their metadata if `is_brief`.
    pub async fn inspect(self, streams: Vec<StreamId>, is_brief: bool) -> Result<Reply> {
        Ok(Reply::Found(self.found(&streams, is_brief).await?))
    }

    /// A page of stream ids with what is found under each, without metadata.
    pub async fn glances(self, from: ListCursor, count: usize) -> Result<Reply> {
        let (ids, next) = self
            .context
            .ask_unless_away(|store| store.list(from, count))
            .await?;
        let found = self.found(&ids, true).await?;
        Ok(Reply::Glances(ids, found, next))
    }

    /// Where streams end, no more than [`MOST_LOOKS`].
    pub async fn tails(self, streams: Vec<StreamId>) -> Result<Reply> {
        if streams.len() > MOST_LOOKS {
            return Err(Error::invalid(
                "streamIds",
                format!("must be at most {MOST_LOOKS}"),
            ));
        }
        let tails = self
            .context
            .ask_unless_away(|store| store.tails(&streams))
            .await?;
        Ok(Reply::Tails(tails))
    }

    async fn found(&self, streams: &[StreamId], is_brief: bool) -> Result<Vec<Found>> {
        let found = streams.iter().map(|stream| {
            self.context
                .ask_unless_away(move |store| store.inspect(stream, is_brief))
        });
        join_all(found).await.into_iter().collect()
    }

    /// Reads or changes the keys that the predecessor has left behind.
    pub async fn predecessor(self, ask: Ask) -> Result<Reply> {
        self.context.check_open()?;
        let Some(predecessor) = self.context.predecessor() else {
            return Ok(Reply::Predecessor(None));
        };
        let answer = self.context.retry(|| predecessor.ask(&ask)).await?;
        Ok(Reply::Predecessor(answer))
    }

    /// A page of stream ids.
    pub async fn list(self, from: ListCursor, count: usize) -> Result<Reply> {
        let (ids, next) = self
            .context
            .ask_unless_away(|store| store.list(from, count))
            .await?;
        Ok(Reply::List(ids, next))
    }

    /// The memory of a stream in the store.
    pub async fn memory(self, stream: StreamId) -> Result<Reply> {
        let bytes = self.context.ask(|store| store.memory(&stream)).await?;
        Ok(Reply::Memory(bytes))
    }

    /// The `INFO` of the store's server.
    pub async fn info(self) -> Result<Reply> {
        let text = self.context.ask(|store| store.info()).await?;
        Ok(Reply::Info(text))
    }

    /// The rights on the store's server.
    pub async fn rights(self) -> Result<Reply> {
        let rights = self.context.ask(|store| store.rights()).await?;
        Ok(Reply::Rights(rights))
    }

    /// How many ids the index holds.
    pub async fn count(self) -> Result<Reply> {
        let count = self.context.ask(|store| store.count()).await?;
        Ok(Reply::Count(count))
    }

    /// Removes some of these streams.
    pub async fn sweep(self, streams: Vec<StreamId>, rule: Sweep) -> Result<Reply> {
        let swept = self.context.ask(|store| store.sweep(&streams, &rule)).await?;
        tracing::info!(looked_at = streams.len(), ?swept, "cleaned up");
        Ok(Reply::Swept(swept))
    }

    /// Removes a stream; with an owner, only if it may.
    pub async fn delete(self, stream: StreamId, owner: Option<String>) -> Result<Reply> {
        let check = owner.map_or(OwnerCheck::Internal, |owner| OwnerCheck::Caller(Some(owner)));
        let was_there = self
            .context
            .ask_unless_away(|store| store.remove(&stream, &check))
            .await?;
        tracing::info!(%stream, was_there, "deleted");
        Ok(Reply::Deleted(was_there))
    }

    /// Answers an [`Event::Ask`](super::events::Event::Ask): with credentials, or with why there are none.
    #[expect(clippy::unused_async, reason = "a request like all others")]
    pub async fn credentials(self, ask: u32, answer: Result<Credentials, String>) -> Result<Reply> {
        self.registry.answer(ask, answer);
        Ok(Reply::Unit)
    }
}
