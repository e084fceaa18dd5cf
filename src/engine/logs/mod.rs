//! Logs: any process appends to them and closes them; they are read by page or followed like every other stream (`docs/adr/0035-an-open-log.md`).

mod line;
mod page;
mod writing;

pub use line::Lines;
pub use writing::{LogAppend, LogOpen};

use super::{Engine, events::Reply, groups::finished};
use crate::{
    Cursor, Result, StreamId,
    store::{OwnerCheck, Position, logs::LogOutcome},
};

impl Engine {
    /// Appends to a log, makes or closes it. Appends of one engine to one log are written in the order of the calls.
    pub async fn log(self, stream: StreamId, append: LogAppend) -> Result<Reply> {
        self.context.check_open()?;
        if let Some(outage) = self.context.known_outage(append.is_patient) {
            return Err(outage);
        }
        let is_close = append.close;
        let line = self.registry.lines.of(&stream);
        let written = line.turn().await.write(&self.context, &stream, append).await?;
        if let (LogOutcome::Written { .. }, Some(head)) = (&written.outcome, &written.head) {
            if let Some(terminal) = head.terminal.clone().filter(|_| is_close) {
                let cursor = Cursor {
                    generation: head.generation,
                    seq: head.seq,
                };
                finished::announce(&self.context, &stream, cursor, terminal);
            }
            writing::seal_later(&self.context, &line, &stream, head);
        }
        Ok(Reply::Log(written))
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
