//! Reads the chunks of a group's items.

use ulid::Ulid;

use crate::{
    Cursor, Result, StreamId,
    engine::{context::Context, events::Data, load, read::hub::PAGE_BYTES},
    model::frame::{Frame, Kind, Mark, Reference},
    store::{OwnerCheck, Position, Read},
};

/// Reads single chunks, which mostly follow each other.
#[derive(Default)]
pub(crate) struct Reader {
    /// The generation and the frames of the page that was read last.
    generation: Option<Ulid>,
    frames: Vec<Frame>,
    /// The last chunk that the page says anything about.
    reach: u64,
    /// After the chunk that was found last: its frame, the next seq and where that is.
    at: Option<(usize, u64, Mark)>,
}

impl Reader {
    /// A chunk's data; `None` when it is gone.
    pub async fn chunk(
        &mut self,
        context: &Context,
        stream: &StreamId,
        cursor: Cursor,
    ) -> Result<Option<Data>> {
        let mut found = self.find(cursor);
        if found.is_none() {
            self.read(context, stream, cursor).await?;
            found = self.find(cursor);
        }
        let Some((kind, data)) = found else {
            return Ok(None);
        };
        match Reference::decode(&data).filter(|_| kind == Kind::Large) {
            None => Ok(Some(Data::Small(kind, data))),
            Some(reference) => {
                let large = load::whole(context, stream, reference, cursor.seq).await?;
                Ok(large.map(Data::Large))
            }
        }
    }

    async fn read(&mut self, context: &Context, stream: &StreamId, cursor: Cursor) -> Result<()> {
        let read = Read {
            position: Position::After {
                generation: cursor.generation,
                seq: cursor.seq - 1,
            },
            max_bytes: PAGE_BYTES,
            owner: OwnerCheck::Internal,
        };
        let permit = context.reads().acquire().await;
        let page = context.store().read(stream, &read).await;
        drop(permit);
        self.generation = Some(cursor.generation);
        self.at = None;
        let page = page?.filter(|page| !page.lost);
        self.reach = page
            .as_ref()
            .filter(|page| !page.more)
            .map_or(0, |page| page.end().seq);
        self.frames = page.map(|page| page.frames).unwrap_or_default();
        Ok(())
    }

    fn find(&mut self, cursor: Cursor) -> Option<(Kind, Vec<u8>)> {
        let Cursor { generation, seq } = cursor;
        if self.generation? != generation {
            return None;
        }
        let index = self.frames.partition_point(|frame| frame.last() < seq);
        let frame = self.frames.get(index).filter(|frame| frame.first() <= seq)?;
        let near = self.at.filter(|(frame, next, _)| *frame == index && *next <= seq);
        let (next, mut chunks) = match near {
            Some((_, next, mark)) => (next, frame.chunks_from(mark)),
            None => (frame.first(), frame.chunks()),
        };
        let chunk = chunks.nth(usize::try_from(seq - next).ok()?)?;
        let found = (chunk.kind, chunk.data.to_vec());
        self.at = Some((index, seq + 1, chunks.mark()));
        Some(found)
    }

    /// Whether a chunk is gone as well as the one that was just looked for in vain, which comes before it.
    pub fn is_gone(&self, cursor: Cursor) -> bool {
        let first = self.frames.first();
        self.generation == Some(cursor.generation) && first.is_none_or(|frame| cursor.seq < frame.first())
    }

    /// The last chunk of those that are gone together with the one that was just looked for in vain.
    pub fn end_of_gap(&self, cursor: Cursor) -> Cursor {
        let last = self.frames.first().map_or(self.reach, |frame| frame.first() - 1);
        Cursor {
            seq: last.max(cursor.seq),
            ..cursor
        }
    }
}
