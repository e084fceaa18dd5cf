//! Random lives of a stream, against a plain array: chunks of any kind and size, frames, seals and cursors, answers that
//! are lost and batches that are sent again, producers that vanish between any two operations.

use tidemark::{
    model::{
        ending::Outcome,
        frame::{EncodedFrame, Frame, SealedFrame},
    },
    store::{Append, Appended, Page, Position, Read, Seal},
};
use ulid::Ulid;

use crate::{
    noise::{self, Chunk, Random},
    world::{Engine, Producer, World, id, read, takeover, terminal},
};

const LIVES: u64 = 30;
const STEPS: usize = 60;

/// The model: every chunk of the stream, and where its generations begin.
#[derive(Default)]
struct Model {
    chunks: Vec<Chunk>,
    generations: Vec<(Ulid, u64)>,
    ended: Vec<bool>,
    sealed_to: u64,
}

impl Model {
    fn last(&self) -> u64 {
        self.chunks.len() as u64
    }
}

pub async fn random_lives_match_a_plain_array(world: &World) {
    let seed = noise::seed();
    for life in 0..LIVES {
        live(world, Random(seed ^ (life << 32))).await;
    }
}

async fn live(world: &World, mut random: Random) {
    let engine = world.engine();
    let stream = id(&format!("life-{}", Ulid::new()));
    let mut model = Model::default();
    let mut producer = begin(&engine, &stream, &mut model).await;
    for _ in 0..STEPS {
        match random.below(12) {
            0..7 => write(&mut producer, &mut model, &mut random).await,
            7 if random.one_in(6) => producer = begin(&engine, &stream, &mut model).await,
            8 if random.one_in(8) => {
                let append = Append {
                    seal: seal(&producer, &mut random, None).await,
                    terminal: Some(terminal(Outcome::Complete, "")),
                    ..producer.next()
                };
                let sealed = append.seal.as_ref().map(Seal::last);
                for _ in 0..=random.below(2) {
                    let answer = producer.send(&append).await;
                    assert!(
                        matches!(
                            answer,
                            Appended::Done {
                                terminal: Some(_),
                                ..
                            }
                        ),
                        "{answer:?}"
                    );
                }
                model.sealed_to = sealed.unwrap_or(model.sealed_to);
                *model.ended.last_mut().unwrap() = true;
                check(&engine, &producer, &model, &mut random).await;
                producer = begin(&engine, &stream, &mut model).await;
            }
            _ => check(&engine, &producer, &model, &mut random).await,
        }
    }
}

/// The old producer, if any, vanishes: its batches are fenced.
async fn begin<'a>(engine: &'a Engine, stream: &tidemark::StreamId, model: &mut Model) -> Producer<'a> {
    let producer = engine.produce_as(stream, takeover()).await;
    assert_eq!(producer.started.seq, model.last());
    if let Some(ended) = model.ended.last_mut() {
        *ended = true;
    }
    model.generations.push((producer.generation(), model.last()));
    model.ended.push(false);
    model.sealed_to = model.last();
    producer
}

/// A seal of a part of the open frames, maybe with the batch's own chunks.
async fn seal(producer: &Producer<'_>, random: &mut Random, own: Option<&EncodedFrame>) -> Option<Seal> {
    let page = producer
        .engine
        .page(&producer.stream, Position::AfterSealed)
        .await;
    let mut frames = page.frames;
    let is_whole = !page.more;
    if let Some(own) = own.filter(|_| is_whole) {
        frames.push(own.at(producer.seq + 1));
    }
    let count = random.below(frames.len() + 1);
    frames.truncate(if random.one_in(2) { frames.len() } else { count });
    let frame = SealedFrame::of(&frames, u32::try_from(1 + random.below(9)).unwrap())?;
    let replaced = &frames[..];
    Some(Seal {
        after: page.after,
        replaced: replaced.iter().map(Frame::size).sum(),
        frame,
    })
}

async fn write(producer: &mut Producer<'_>, model: &mut Model, random: &mut Random) {
    let (frame, chunks) = random.frame();
    let seal = if random.one_in(4) {
        seal(producer, random, Some(&frame)).await
    } else {
        None
    };
    let append = Append {
        frame: Some(frame),
        large: None,
        seal,
        ..producer.next()
    };
    if let Some(seal) = &append.seal
        && random.one_in(5)
    {
        let stale = Append {
            seal: Some(Seal {
                after: seal.after + 1,
                ..seal.clone()
            }),
            ..append.clone()
        };
        assert_eq!(producer.send(&stale).await, Appended::Unsealed);
    }
    if random.one_in(20) {
        // It dies before it has sent anything.
        return;
    }
    model.chunks.extend(chunks);
    // Answers are lost; the batch is sent again.
    for _ in 0..=random.below(3) {
        let answer = producer.send(&append).await;
        assert!(
            matches!(answer, Appended::Done { last, terminal: None, .. } if last == model.last()),
            "{answer:?}"
        );
    }
    if let Some(seal) = &append.seal {
        model.sealed_to = seal.last();
    }
}

/// Reads from random cursors of the two generations that are kept, in pages of random sizes.
async fn check(engine: &Engine, producer: &Producer<'_>, model: &Model, random: &mut Random) {
    let open = engine.page(&producer.stream, Position::AfterSealed).await;
    assert_eq!(open.after, model.sealed_to);
    let count = model.generations.len();
    for index in count.saturating_sub(2)..count {
        let (generation, base) = model.generations[index];
        let end = model
            .generations
            .get(index + 1)
            .map_or(model.last(), |(_, base)| *base);
        let cursor = base + random.next() % (end - base + 1);
        let mut seq = cursor;
        let magnitude = random.below(20);
        let max_bytes = 1 + random.below(1 << magnitude);
        loop {
            let request = Read {
                max_bytes,
                ..read(Position::After { generation, seq })
            };
            let page = engine
                .store
                .read(&producer.stream, &request)
                .await
                .unwrap()
                .unwrap();
            seq = compare(&page, seq, model);
            let size: usize = page.frames.iter().rev().skip(1).map(Frame::size).sum();
            // A sealed frame counts without its header, of at most 6 bytes.
            assert!(
                size <= max_bytes + 6 * page.frames.len(),
                "{size} of {max_bytes} bytes"
            );
            if !page.more {
                assert_eq!(page.terminal.is_some(), model.ended[index]);
                break;
            }
        }
        assert_eq!(seq, end, "from {cursor} in generation {index}");
    }
}

/// Checks that the page follows `seq`; returns its last seq.
fn compare(page: &Page, seq: u64, model: &Model) -> u64 {
    let mut next = seq + 1;
    for (index, frame) in page.frames.iter().enumerate() {
        assert!(
            frame.first() == next || (index == 0 && frame.first() <= next && frame.last() >= next),
            "{}–{} where {next} follows",
            frame.first(),
            frame.last()
        );
        for (seq, chunk) in (frame.first()..).zip(frame.chunks()) {
            let (kind, data) = &model.chunks[usize::try_from(seq).unwrap() - 1];
            assert!(chunk.kind == *kind && chunk.data == data, "seq {seq}");
        }
        next = frame.last() + 1;
    }
    next - 1
}
