//! `read`: positions, pages and owners.

use tidemark::{
    model::ending::{Outcome, Terminal},
    store::{OwnerCheck, Page, Position, Read},
};
use ulid::Ulid;

use crate::world::{LONG, World, caller, chunks, code, id, numbered, owned, read, terminal};

fn after(generation: Ulid, seq: u64) -> Position {
    Position::After { generation, seq }
}

fn complete() -> Terminal {
    terminal(Outcome::Complete, "")
}

fn seqs(page: &Page) -> Vec<u64> {
    chunks(page).into_iter().map(|(seq, _)| seq).collect()
}

pub async fn a_missing_stream_has_no_page(world: &World) {
    let engine = world.engine();
    for position in [
        Position::Start,
        Position::Now,
        after(Ulid::new(), 3),
        Position::Next {
            generation: Ulid::new(),
            seq: 3,
        },
    ] {
        let page = engine.store.read(&id("chat"), &read(position)).await.unwrap();
        assert!(page.is_none(), "{position:?}");
    }
}

pub async fn positions_of_the_current_generation(world: &World) {
    let engine = world.engine();
    let mut producer = engine.produce(&id("chat")).await;
    let generation = producer.generation();

    let empty = engine.page(&id("chat"), Position::Start).await;
    assert_eq!((empty.base, empty.after, empty.frames.len()), (0, 0, 0));
    assert!(!empty.more && !empty.lost && empty.terminal.is_none());

    for chunk in ["one", "two", "three"] {
        producer.write(&[chunk]).await;
    }
    let start = engine.page(&id("chat"), Position::Start).await;
    assert_eq!((start.generation, start.base, start.after), (generation, 0, 0));
    assert_eq!(seqs(&start), [1, 2, 3]);
    let now = engine.page(&id("chat"), Position::Now).await;
    assert_eq!(
        (now.generation, now.base, now.after, seqs(&now)),
        (generation, 0, 3, vec![])
    );
    let later = engine.page(&id("chat"), after(generation, 1)).await;
    assert_eq!((later.base, later.after), (0, 1));
    assert_eq!(chunks(&later), numbered(&[(2, "two"), (3, "three")]));
    for page in [&start, &now, &later] {
        assert!(!page.more && !page.lost && page.terminal.is_none());
        let head = &page.head;
        assert_eq!((head.generation, head.base, head.seq), (generation, 0, 3));
        assert_eq!(head.terminal, None);
    }

    producer.complete().await;
    for position in [
        Position::Start,
        Position::Now,
        after(generation, 1),
        after(generation, 3),
    ] {
        let page = engine.page(&id("chat"), position).await;
        assert_eq!(
            (page.terminal, page.more),
            (Some(complete()), false),
            "{position:?}"
        );
    }
}

pub async fn positions_of_other_generations(world: &World) {
    let engine = world.engine();
    let mut first = engine.produce(&id("chat")).await;
    for chunk in ["one", "two", "three"] {
        first.write(&[chunk]).await;
    }
    let nothing_yet = Position::Next {
        generation: first.generation(),
        seq: 3,
    };
    let page = engine.page(&id("chat"), nothing_yet).await;
    assert_eq!((page.generation, page.frames.len()), (first.generation(), 0));
    assert!(!page.lost && !page.more && page.terminal.is_none());

    first.complete().await;
    let page = engine.page(&id("chat"), nothing_yet).await;
    assert_eq!((page.generation, page.frames.len()), (first.generation(), 0));
    assert!(
        !page.lost && !page.more && page.terminal.is_none(),
        "the end was read before"
    );

    let mut second = engine.produce(&id("chat")).await;
    second.write(&["four"]).await;

    let previous = engine.page(&id("chat"), after(first.generation(), 1)).await;
    assert_eq!(
        (previous.generation, previous.base, previous.after),
        (first.generation(), 0, 1)
    );
    assert_eq!(chunks(&previous), numbered(&[(2, "two"), (3, "three")]));
    assert_eq!(
        (previous.terminal, previous.more, previous.lost),
        (Some(complete()), false, false)
    );
    assert_eq!(
        (previous.head.generation, previous.head.base, previous.head.seq),
        (second.generation(), 3, 4)
    );
    let its_end = engine.page(&id("chat"), after(first.generation(), 3)).await;
    assert_eq!((its_end.frames.len(), its_end.terminal), (0, Some(complete())));

    let next = engine.page(&id("chat"), nothing_yet).await;
    assert_eq!(
        (next.generation, next.base, next.after),
        (second.generation(), 3, 3)
    );
    assert_eq!(chunks(&next), numbered(&[(4, "four")]));
    assert!(!next.lost && next.terminal.is_none());
    let start = engine.page(&id("chat"), Position::Start).await;
    assert_eq!(
        (start.generation, start.after, seqs(&start)),
        (second.generation(), 3, vec![4])
    );
}

pub async fn older_generations_are_dropped(world: &World) {
    let engine = world.engine();
    let mut generations = Vec::new();
    for _ in 0..3 {
        let mut producer = engine.produce(&id("chat")).await;
        producer.write(&["a", "b"]).await;
        producer.complete().await;
        generations.push(producer.generation());
    }
    let [oldest, previous, current] = generations[..] else {
        unreachable!("three were made");
    };
    for position in [
        after(oldest, 0),
        after(oldest, 2),
        after(Ulid::new(), 1),
        Position::Next {
            generation: Ulid::new(),
            seq: 1,
        },
    ] {
        let page = engine.page(&id("chat"), position).await;
        assert!(page.lost, "{position:?}");
        assert!(
            page.frames.is_empty() && page.terminal.is_none() && !page.more,
            "{position:?}"
        );
        assert_eq!(
            (page.head.generation, page.head.base, page.head.seq),
            (current, 4, 6)
        );
    }
    let follows = Position::Next {
        generation: oldest,
        seq: 2,
    };
    let page = engine.page(&id("chat"), follows).await;
    assert_eq!(
        (page.generation, seqs(&page), page.terminal.is_some()),
        (previous, vec![3, 4], true),
        "what follows it is still there"
    );
    let kept = engine.page(&id("chat"), after(previous, 2)).await;
    assert_eq!(
        (seqs(&kept), kept.base),
        (vec![3, 4], 2),
        "the oldest one's frames are not among them"
    );
    let all = engine.page(&id("chat"), after(previous, 0)).await;
    assert_eq!(seqs(&all), [3, 4]);
}

pub async fn a_cursor_inside_a_frame_gets_the_frame(world: &World) {
    let engine = world.engine();
    let mut producer = engine.produce(&id("chat")).await;
    producer.write(&["one", "two", "three"]).await;
    producer.write(&["four", "five"]).await;
    let generation = producer.generation();
    for (seq, firsts) in [
        (0, vec![1, 4]),
        (1, vec![1, 4]),
        (2, vec![1, 4]),
        (3, vec![4]),
        (4, vec![4]),
        (5, vec![]),
    ] {
        let page = engine.page(&id("chat"), after(generation, seq)).await;
        let got: Vec<_> = page
            .frames
            .iter()
            .map(tidemark::model::frame::Frame::first)
            .collect();
        assert_eq!((page.after, got), (seq, firsts));
    }
}

pub async fn a_cursor_ahead_of_the_log_gets_nothing(world: &World) {
    let engine = world.engine();
    let mut producer = engine.produce(&id("chat")).await;
    producer.write(&["one"]).await;
    for seq in [2, 99, tidemark::model::cursor::MAX_SEQ] {
        let page = engine.page(&id("chat"), after(producer.generation(), seq)).await;
        assert_eq!(
            (page.frames.len(), page.more, page.lost, page.after),
            (0, false, false, seq)
        );
        assert_eq!(
            (page.head.seq, page.terminal),
            (1, None),
            "the caller sees that the log is shorter"
        );
    }
}

pub async fn pages_are_bounded_in_bytes(world: &World) {
    let engine = world.engine();
    let mut producer = engine.produce(&id("chat")).await;
    for number in 10..30 {
        producer.write(&[&format!("chunk {number}")]).await;
    }
    producer.complete().await;
    let generation = producer.generation();
    let page_of = async |position, max_bytes| {
        let request = Read {
            max_bytes,
            ..read(position)
        };
        engine.store.read(&id("chat"), &request).await.unwrap().unwrap()
    };

    let all = page_of(Position::Start, usize::MAX).await;
    assert_eq!(
        (all.frames.len(), all.more, &all.terminal),
        (20, false, &Some(complete()))
    );
    let size = all.frames[0].size();

    let none = page_of(Position::Start, 0).await;
    assert_eq!((none.frames.len(), none.more, &none.terminal), (0, true, &None));
    assert_eq!((&none.head.terminal, none.after), (&Some(complete()), 0));
    let end = page_of(after(generation, 20), 0).await;
    assert_eq!(
        (end.more, &end.terminal),
        (false, &Some(complete())),
        "there are no frames to leave out"
    );

    for (max_bytes, frames) in [(1, 1), (size, 1), (size + 1, 2), (3 * size, 3), (20 * size, 20)] {
        let page = page_of(Position::Start, max_bytes).await;
        assert_eq!(page.frames.len(), frames, "{max_bytes} bytes");
        assert_eq!(page.more, frames < 20, "{max_bytes} bytes");
        assert_eq!(page.terminal.is_some(), frames == 20, "{max_bytes} bytes");
    }

    let mut seen = Vec::new();
    let mut position = Position::Start;
    loop {
        let page = page_of(position, 3 * size).await;
        seen.extend(seqs(&page));
        if !page.more {
            assert_eq!(page.terminal, Some(complete()));
            break;
        }
        assert_eq!(page.terminal, None, "not before the last page");
        position = after(generation, *seen.last().unwrap());
    }
    assert_eq!(seen, (1..=20).collect::<Vec<_>>());
}

pub async fn the_head_tells_the_lease(world: &World) {
    let engine = world.engine();
    let mut producer = engine.produce(&id("chat")).await;
    let left = engine.head(&id("chat")).await.lease_left;
    assert!(left > LONG / 2 && left <= LONG, "{left:?}");
    producer.renew(LONG * 3).await;
    let left = engine.head(&id("chat")).await.lease_left;
    assert!(left > LONG * 2 && left <= LONG * 3, "{left:?}");
    producer.write(&["one"]).await;
    let left = engine.head(&id("chat")).await.lease_left;
    assert!(left > LONG / 2 && left <= LONG, "a write sets its own: {left:?}");
}

pub async fn only_the_owner_reads(world: &World) {
    let engine = world.engine();
    let mut producer = engine.produce_as(&id("hers"), owned("alice")).await;
    engine.produce(&id("open")).await;
    let read_as = async |stream: &str, owner: &OwnerCheck| {
        let request = Read {
            owner: owner.clone(),
            ..read(Position::Start)
        };
        engine.store.read(&id(stream), &request).await
    };
    let anyone = OwnerCheck::Caller(None);
    for finished in [false, true] {
        if finished {
            producer.complete().await;
        }
        for who in [&caller("bob"), &anyone, &caller(""), &caller("alice ")] {
            assert_eq!(code(read_as("hers", who).await), "ERR_FORBIDDEN", "{who:?}");
        }
        for who in [&caller("alice"), &OwnerCheck::Internal] {
            assert!(read_as("hers", who).await.unwrap().is_some(), "{who:?}");
        }
    }
    for who in [&caller("bob"), &anyone, &OwnerCheck::Internal] {
        assert!(read_as("open", who).await.unwrap().is_some(), "{who:?}");
    }
    assert!(read_as("missing", &caller("bob")).await.unwrap().is_none());
}
