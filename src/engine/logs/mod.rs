//! Logs: any process appends to them and closes them; they are read by page or followed like every other stream (`docs/adr/0035-an-open-log.md`).

mod copying;
mod forking;
mod line;
mod page;
mod turn;
mod writing;

pub use forking::LogFork;
pub use line::Lines;
pub use writing::{LogAppend, LogOpen};

use std::sync::Arc;

use line::Line;

use super::{Engine, events::Reply, groups::finished};
use crate::{
    Cursor, Result, StreamId,
    store::{
        Need, OwnerCheck, Position,
        logs::{LogOutcome, LogWritten},
    },
};

impl Engine {
    /// Appends to a log, creates it or closes it. Appends of one engine to one log are written in the order of the calls.
    pub async fn log(self, stream: StreamId, append: LogAppend) -> Result<Reply> {
        self.context.check_open()?;
        if let Some(outage) = self.context.known_outage(Need::Answers, append.is_patient) {
            return Err(outage);
        }
        let is_close = append.close;
        let line = self.registry.lines.of(&stream);
        // Only who creates a log is told that its name is kept.
        let again = append.create.is_some().then(|| append.clone());
        let mut written = line.write(&self.context, &stream, append).await?;
        if let Some(append) = again.filter(|_| written.outcome == LogOutcome::Kept)
            && !forking::is_kept(&self.context, &stream).await?
        {
            written = line.write(&self.context, &stream, append).await?;
        }
        self.settle(&line, &stream, &written, is_close);
        Ok(Reply::Log(written))
    }

    /// Creates a log as a fork of another. `append` is the write that opens it; it may also append chunks and close it.
    pub async fn fork(self, stream: StreamId, fork: LogFork, append: LogAppend) -> Result<Reply> {
        self.context.check_open()?;
        if let Some(outage) = self.context.known_outage(Need::Answers, append.is_patient) {
            return Err(outage);
        }
        let is_close = append.close;
        let line = self.registry.lines.of(&stream);
        let mut turn = line.turn().await;
        let written = forking::fork(&self.context, &mut turn, &stream, &fork, append).await?;
        drop(turn);
        self.settle(&line, &stream, &written, is_close);
        Ok(Reply::Log(written))
    }

    /// Whether the name of a log that was deleted is kept, because forks of it live.
    pub async fn is_kept(self, stream: StreamId) -> Result<Reply> {
        self.context.check_open()?;
        Ok(Reply::Kept(forking::is_kept(&self.context, &stream).await?))
    }

    /// Announces the end that a write has made, and seals a log that has become long.
    fn settle(&self, line: &Arc<Line>, stream: &StreamId, written: &LogWritten, is_close: bool) {
        if let (LogOutcome::Written { .. }, Some(head)) = (&written.outcome, &written.head) {
            if let Some(terminal) = head.terminal.clone().filter(|_| is_close) {
                let cursor = Cursor {
                    generation: head.generation,
                    seq: head.seq,
                };
                finished::announce(&self.context, stream, cursor, terminal);
            }
            line::seal_later(&self.context, line, stream, head);
        }
    }

    /// A page of a stream, whether or not it is a log; never waits for anything to be written.
    pub async fn page(
        self,
        stream: StreamId,
        position: Position,
        limits: (usize, usize),
        owner: Option<String>,
    ) -> Result<Reply> {
        self.context.check_open()?;
        let owner = OwnerCheck::Caller(owner);
        let page = page::read(&self.context, &stream, position, limits, owner).await?;
        Ok(Reply::Page(page.map(Box::new)))
    }
}
