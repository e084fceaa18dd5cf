//! Seals: which entries they replace, and that readers see no difference.

use bytes::Bytes;
use tidemark::{
    model::{
        ending::Outcome,
        frame::{Frame, SealedFrame},
    },
    store::{Append, Appended, Page, Position, Read, Seal},
};
use ulid::Ulid;

use crate::{
    heard::Heard,
    world::{
        Engine, Producer, World, chunks, done, ended, frame, frame_of, id, read, share, takeover, terminal,
    },
};

impl Producer<'_> {
    /// A seal of the open part up to `to`.
    async fn sealed(&self, to: u64) -> Seal {
        let mut page = self.engine.page(&self.stream, Position::AfterSealed).await;
        page.frames.retain(|frame| frame.last() <= to);
        seal(page.after, &page.frames)
    }

    /// Seals up to `to` with a batch of these chunks.
    async fn write_sealing(&mut self, to: u64, chunks: &[&str]) -> Appended {
        let append = Append {
            frame: frame_of(chunks),
            large: None,
            seal: Some(self.sealed(to).await),
            ..self.next()
        };
        self.send(&append).await
    }
}

fn seal(after: u64, frames: &[Frame]) -> Seal {
    Seal {
        after,
        frame: SealedFrame::of(frames, 6).unwrap(),
        replaced: frames.iter().map(Frame::size).sum(),
    }
}

fn after(generation: Ulid, seq: u64) -> Position {
    Position::After { generation, seq }
}

fn word(seq: u64) -> String {
    format!(r#"{{"type":"text-delta","id":"0","delta":" word {seq}"}}"#)
}

/// A producer that has written this many chunks, one by one.
async fn write_words(producer: &mut Producer<'_>, count: u64) {
    for _ in 0..count {
        producer.write(&[&word(producer.seq + 1)]).await;
    }
}

/// From every cursor there is exactly what follows it, and at most one frame that begins before.
async fn check_all(engine: &Engine, generation: Ulid, base: u64, last: u64) {
    for seq in base..=last {
        let page = engine.page(&id("chat"), after(generation, seq)).await;
        let follows: Vec<_> = chunks(&page)
            .into_iter()
            .skip_while(|(found, _)| *found <= seq)
            .collect();
        let wanted: Vec<_> = (seq + 1..=last).map(|seq| (seq, word(seq))).collect();
        assert_eq!(follows, wanted, "after {seq}");
        assert!(
            page.frames.iter().skip(1).all(|frame| frame.first() > seq),
            "after {seq}"
        );
        assert!(
            page.frames.first().is_none_or(|frame| frame.last() > seq),
            "after {seq}"
        );
    }
}

fn bounds(page: &Page) -> Vec<(u64, u64)> {
    page.frames
        .iter()
        .map(|frame| (frame.first(), frame.last()))
        .collect()
}

pub async fn a_seal_replaces_open_frames(world: &World) {
    let engine = world.engine();
    let mut producer = engine.produce(&id("chat")).await;
    write_words(&mut producer, 20).await;
    let open = engine.page(&id("chat"), Position::AfterSealed).await;
    assert_eq!((open.after, open.frames.len()), (0, 20));

    assert_eq!(producer.write_sealing(16, &[&word(21)]).await, done(21));
    let page = engine.page(&id("chat"), Position::Start).await;
    assert_eq!(
        bounds(&page),
        [(1, 16), (17, 17), (18, 18), (19, 19), (20, 20), (21, 21)]
    );
    check_all(&engine, producer.generation(), 0, 21).await;
    let open = engine.page(&id("chat"), Position::AfterSealed).await;
    assert_eq!((open.after, open.frames.len()), (16, 5));

    write_words(&mut producer, 3).await;
    assert_eq!(producer.write_sealing(24, &[]).await, done(24), "without chunks");
    assert_eq!(
        bounds(&engine.page(&id("chat"), Position::Start).await),
        [(1, 16), (17, 24)]
    );
    write_words(&mut producer, 2).await;
    check_all(&engine, producer.generation(), 0, 26).await;
}

pub async fn a_seal_may_hold_its_own_batch(world: &World) {
    let engine = world.engine();
    let mut producer = engine.produce(&id("chat")).await;
    write_words(&mut producer, 3).await;
    let mut frames = engine.page(&id("chat"), Position::AfterSealed).await.frames;
    let own = frame(&[&word(4)]);
    frames.push(own.at(4));
    engine.listen(&id("chat")).await;
    let last = Append {
        frame: Some(own),
        large: None,
        seal: Some(seal(0, &frames)),
        terminal: Some(terminal(Outcome::Complete, "")),
        ..producer.next()
    };
    for _ in 0..2 {
        assert_eq!(
            producer.send(&last).await,
            ended(4, Outcome::Complete, ""),
            "and again"
        );
    }
    let as_written = Heard::Frame(producer.generation(), 4, vec![word(4)]);
    engine.heard.wait(&id("chat"), &as_written).await;
    let page = engine.page(&id("chat"), Position::Start).await;
    assert_eq!(bounds(&page), [(1, 4)]);
    assert_eq!(page.terminal, Some(terminal(Outcome::Complete, "")));
    check_all(&engine, producer.generation(), 0, 4).await;
}

pub async fn a_seal_that_does_not_fit_changes_nothing(world: &World) {
    let engine = world.engine();
    let mut producer = engine.produce(&id("chat")).await;
    write_words(&mut producer, 6).await;
    let fits = producer.sealed(4).await;
    let early = Seal {
        after: 1,
        ..fits.clone()
    };
    let late = Seal {
        frame: SealedFrame {
            count: 8,
            ..fits.frame.clone()
        },
        ..fits.clone()
    };
    for wrong in [early, late] {
        let append = Append {
            frame: Some(frame(&["no"])),
            large: None,
            seal: Some(wrong),
            terminal: Some(terminal(Outcome::Complete, "")),
            ..producer.next()
        };
        assert_eq!(producer.send(&append).await, Appended::Unsealed);
    }
    check_all(&engine, producer.generation(), 0, 6).await;
    let append = Append {
        seal: Some(fits),
        ..producer.next()
    };
    assert_eq!(producer.send(&append).await, done(6));
    assert_eq!(producer.send(&append).await, done(6), "the same batch again");
    let twice = Append {
        batch: append.batch + 1,
        ..append
    };
    assert_eq!(producer.send(&twice).await, Appended::Unsealed);
    check_all(&engine, producer.generation(), 0, 6).await;
}

pub async fn a_refused_batch_seals_nothing(world: &World) {
    let engine = world.engine();
    let mut old = engine.produce(&id("chat")).await;
    write_words(&mut old, 3).await;
    let seal = old.sealed(3).await;
    let mut new = engine.produce_as(&id("chat"), takeover()).await;
    let append = Append {
        seal: Some(seal.clone()),
        ..old.next()
    };
    assert_eq!(old.send(&append).await, Appended::Fenced);
    let hole = Append {
        expected: Some(9),
        seal: Some(seal),
        ..new.next()
    };
    assert_eq!(new.send(&hole).await, Appended::Hole { seq: 3 });
    assert_eq!(
        bounds(&engine.page(&id("chat"), after(old.generation(), 0)).await).len(),
        3
    );
}

pub async fn what_the_previous_generation_left_open_stays(world: &World) {
    let engine = world.engine();
    let mut first = engine.produce(&id("chat")).await;
    write_words(&mut first, 8).await;
    first.write_sealing(4, &[]).await;
    let mut second = engine.produce_as(&id("chat"), takeover()).await;
    write_words(&mut second, 200).await;
    second.write_sealing(150, &[&word(209)]).await;
    check_all(&engine, first.generation(), 0, 8).await;
    let end = engine.page(&id("chat"), after(first.generation(), 0)).await;
    assert_eq!(end.terminal, Some(terminal(Outcome::Interrupted, "superseded")));
    check_all(&engine, second.generation(), 8, 209).await;
    second.write_sealing(209, &[]).await;
    second.complete().await;
    check_all(&engine, first.generation(), 0, 8).await;

    let mut third = engine.produce(&id("chat")).await;
    write_words(&mut third, 4).await;
    third.write_sealing(213, &[]).await;
    check_all(&engine, second.generation(), 8, 209).await;
    check_all(&engine, third.generation(), 209, 213).await;
    let next = Position::Next {
        generation: first.generation(),
        seq: 8,
    };
    assert_eq!(
        bounds(&engine.page(&id("chat"), next).await)[0],
        (9, 150),
        "also as what follows"
    );
    let lost = engine.page(&id("chat"), after(first.generation(), 0)).await;
    assert!(lost.lost && lost.frames.is_empty());
}

pub async fn a_sealed_page_is_bounded_by_what_it_inflates_to(world: &World) {
    let engine = world.engine();
    let mut producer = engine.produce(&id("chat")).await;
    let large = "0".repeat(100_000);
    for seq in 1..=6 {
        let append = Append {
            seal: Some(seal(seq - 1, &[frame(&[&large]).at(seq)])),
            frame: Some(frame(&[&large])),
            ..producer.next()
        };
        assert_eq!(producer.send(&append).await, done(seq));
    }
    producer.write(&["open"]).await;
    let (mut position, mut lasts) = (Position::Start, Vec::new());
    loop {
        let request = Read {
            max_bytes: 250_000,
            ..read(position)
        };
        let page = engine.store.read(&id("chat"), &request).await.unwrap().unwrap();
        let last = page.frames.last().unwrap().last();
        lasts.push(last);
        position = after(producer.generation(), last);
        if !page.more {
            break;
        }
    }
    assert_eq!(lasts, [3, 6, 7]);
}

pub async fn a_damaged_frame_fails_who_reads_it(world: &World) {
    let engine = world.engine();
    let mut producer = engine.produce(&id("chat")).await;
    write_words(&mut producer, 30).await;
    producer.write_sealing(10, &[]).await;
    let mut damaged = producer.sealed(20).await;
    let mut bytes = damaged.frame.bytes.to_vec();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x55;
    damaged.frame.bytes = Bytes::from(bytes);
    let append = Append {
        seal: Some(damaged),
        ..producer.next()
    };
    assert_eq!(producer.send(&append).await, done(30));
    producer.write_sealing(30, &[]).await;

    let page = engine.page(&id("chat"), Position::Start).await;
    assert_eq!(
        (bounds(&page), page.more, page.terminal),
        (vec![(1, 10)], true, None)
    );
    for seq in [10, 15, 19] {
        let position = after(producer.generation(), seq);
        let error = engine.store.read(&id("chat"), &read(position)).await.unwrap_err();
        assert_eq!(error.code(), "ERR_CORRUPT");
        let text = error.to_string();
        assert!(text.contains("\"chat\"") && text.contains("seq 20"), "{text}");
    }
    let rest = engine.page(&id("chat"), after(producer.generation(), 20)).await;
    assert_eq!(bounds(&rest), [(21, 30)]);
    producer.write(&["goes on"]).await;
}

pub async fn status_tells_what_is_kept(world: &World) {
    let engine = world.engine();
    let mut producer = engine.produce(&id("chat")).await;
    write_words(&mut producer, 100).await;
    let before = engine.status(&id("chat")).await.unwrap();
    assert_eq!(before.bytes, before.stored_bytes);
    producer.write_sealing(100, &[&word(101)]).await;
    let status = engine.status(&id("chat")).await.unwrap();
    assert!(
        status.bytes > before.bytes && status.stored_bytes * 4 < status.bytes,
        "{status:?}"
    );
    let page = engine.page(&id("chat"), Position::AfterSealed).await;
    assert!(status.stored_bytes > page.frames[0].size() as u64);
}

pub async fn a_restored_stream_is_sealed_from_where_it_begins(world: &World) {
    let engine = world.engine();
    let mut producer = engine.produce(&id("chat")).await;
    write_words(&mut producer, 10).await;
    producer.write_sealing(8, &[]).await;
    engine.lose(&id("chat"), None).await;
    assert_eq!(producer.restore(6).await, done(6));
    assert_eq!(engine.page(&id("chat"), Position::AfterSealed).await.after, 6);
    producer.seq = 6;
    write_words(&mut producer, 4).await;
    producer.write_sealing(10, &[]).await;
    let page = engine.page(&id("chat"), Position::Start).await;
    assert_eq!(bounds(&page), [(7, 10)]);
    check_all(&engine, producer.generation(), 6, 10).await;
}

pub async fn whoever_shares_may_seal(world: &World) {
    let engine = world.engine();
    let mut one = engine.produce_as(&id("chat"), share()).await;
    let mut two = engine.produce_as(&id("chat"), share()).await;
    for seq in 1..=10 {
        let producer = if seq % 2 == 0 { &mut one } else { &mut two };
        producer.write(&[&word(seq)]).await;
    }
    let same = two.sealed(10).await;
    assert_eq!(one.write_sealing(6, &[&word(11)]).await, done(11));
    let append = Append {
        seal: Some(same),
        ..two.next()
    };
    assert_eq!(two.send(&append).await, Appended::Unsealed, "somebody was faster");
    assert_eq!(two.write_sealing(11, &[]).await, done(11));
    check_all(&engine, one.generation(), 0, 11).await;
}

pub async fn a_deleted_stream_leaves_nothing_sealed(world: &World) {
    let engine = world.engine();
    let mut producer = engine.produce(&id("chat")).await;
    write_words(&mut producer, 5).await;
    producer.write_sealing(5, &[]).await;
    assert!(engine.delete(&id("chat")).await);
    let mut again = engine.produce(&id("chat")).await;
    write_words(&mut again, 2).await;
    check_all(&engine, again.generation(), 0, 2).await;
    again.write_sealing(2, &[]).await;
    check_all(&engine, again.generation(), 0, 2).await;
}
