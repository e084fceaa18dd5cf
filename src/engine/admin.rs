//! Operations on the store as a whole, or on a stream by its name.

use futures_util::future::{join_all, try_join};

use super::{Engine, events::Reply};
use crate::{
    Error, Result, StreamId,
    legacy::Ask,
    model::connection::Credentials,
    store::{Found, Glance, ListCursor, MOST_LOOKS, OwnerCheck, Readers, Sweep},
    util::sync::lock,
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

    /// Looks at the names of streams.
    pub async fn inspect(self, streams: Vec<StreamId>) -> Result<Reply> {
        let found = streams
            .iter()
            .map(|stream| self.context.ask_unless_away(move |store| store.inspect(stream)));
        let found = join_all(found).await.into_iter().collect::<Result<_>>()?;
        Ok(Reply::Found(found))
    }

    /// A page of stream ids with a glance at each.
    pub async fn glances(self, from: ListCursor, count: usize) -> Result<Reply> {
        let (ids, next) = self
            .context
            .ask_unless_away(|store| store.list(from, count))
            .await?;
        let found = self.glance_at(&ids).await?;
        Ok(Reply::Glances(ids, found, next))
    }

    /// A glance at each of these streams.
    pub async fn glance(self, streams: Vec<StreamId>) -> Result<Reply> {
        Ok(Reply::Glanced(self.glance_at(&streams).await?))
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

    async fn glance_at(&self, streams: &[StreamId]) -> Result<Vec<Found<Glance>>> {
        let (mut found, listeners) = try_join(
            self.context.ask_unless_away(|store| store.glances(streams)),
            self.context.ask_unless_away(|store| store.listeners(streams)),
        )
        .await?;
        for (at, (stream, found)) in streams.iter().zip(&mut found).enumerate() {
            if let Found::Stream(glance) = found {
                let listeners = listeners.as_ref().and_then(|all| all.get(at).copied());
                self.complete(stream, glance, listeners);
            }
        }
        Ok(found)
    }

    /// Adds what this process knows itself.
    fn complete(&self, stream: &StreamId, glance: &mut Glance, listeners: Option<u64>) {
        let hub = self.registry.hubs.find(stream);
        let (here, listens) = hub.map_or((0, false), |hub| hub.readers());
        let elsewhere = listeners.map(|all| all.saturating_sub(u64::from(listens)));
        glance.readers = Readers { here, elsewhere };
        if glance.producers > 0 && glance.process.is_none() && self.produces(stream, &glance.generation) {
            let process = &self.context.config().process;
            glance.process = Some(process.clone()).filter(|process| !process.is_empty());
        }
    }

    /// Whether one of this engine's producers writes this generation.
    fn produces(&self, stream: &StreamId, generation: &str) -> bool {
        let producers = lock(&self.registry.producers);
        let theirs = producers.of(stream);
        theirs
            .iter()
            .any(|producer| producer.start.generation.to_string() == generation)
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
