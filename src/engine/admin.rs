//! What is asked of the store as a whole, or of a stream by its name.

use futures_util::future::join_all;

use super::{Engine, events::Reply};
use crate::{
    Result, StreamId,
    legacy::Ask,
    model::connection::Credentials,
    store::{ListCursor, StreamStatus, Sweep},
};

impl Engine {
    /// What is known of a stream.
    pub async fn status(self, stream: StreamId) -> Result<Reply> {
        self.context.check_open()?;
        let status: Option<StreamStatus> = self
            .context
            .retry(|| self.context.store().status(&stream))
            .await?;
        Ok(Reply::Status(status.map(Box::new)))
    }

    /// What is found under the names of streams.
    pub async fn inspect(self, streams: Vec<StreamId>) -> Result<Reply> {
        self.context.check_open()?;
        let found = streams
            .iter()
            .map(|stream| self.context.retry(|| self.context.store().inspect(stream)));
        Ok(Reply::Found(
            join_all(found).await.into_iter().collect::<Result<_>>()?,
        ))
    }

    /// Looks at what the predecessor has left behind, or changes it.
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
        self.context.check_open()?;
        let (ids, next) = self
            .context
            .retry(|| self.context.store().list(from, count))
            .await?;
        Ok(Reply::List(ids, next))
    }

    /// What a stream takes of the store's memory.
    pub async fn memory(self, stream: StreamId) -> Result<Reply> {
        self.context.check_open()?;
        Ok(Reply::Memory(
            self.context
                .retry(|| self.context.store().memory(&stream))
                .await?,
        ))
    }

    /// What the store's server says of itself.
    pub async fn info(self) -> Result<Reply> {
        self.context.check_open()?;
        Ok(Reply::Info(
            self.context.retry(|| self.context.store().info()).await?,
        ))
    }

    /// What the store's server allows.
    pub async fn rights(self) -> Result<Reply> {
        self.context.check_open()?;
        Ok(Reply::Rights(
            self.context.retry(|| self.context.store().rights()).await?,
        ))
    }

    /// How many ids the index holds.
    pub async fn count(self) -> Result<Reply> {
        self.context.check_open()?;
        Ok(Reply::Count(
            self.context.retry(|| self.context.store().count()).await?,
        ))
    }

    /// Removes some of these streams.
    pub async fn sweep(self, streams: Vec<StreamId>, rule: Sweep) -> Result<Reply> {
        self.context.check_open()?;
        Ok(Reply::Swept(
            self.context
                .retry(|| self.context.store().sweep(&streams, &rule))
                .await
                .inspect(|swept| tracing::info!(looked_at = streams.len(), ?swept, "cleaned up"))?,
        ))
    }

    /// Removes a stream.
    pub async fn delete(self, stream: StreamId) -> Result<Reply> {
        self.context.check_open()?;
        Ok(Reply::Deleted(
            self.context
                .retry(|| self.context.store().delete(&stream))
                .await
                .inspect(|was_there| tracing::info!(%stream, was_there, "deleted"))?,
        ))
    }

    /// Answers an [`Event::Ask`](super::events::Event::Ask): with credentials, or with why there are none.
    #[allow(clippy::unused_async, reason = "a request like all others")]
    pub async fn credentials(self, ask: u32, answer: Result<Credentials, String>) -> Result<Reply> {
        self.registry.answer(ask, answer);
        Ok(Reply::Unit)
    }
}
