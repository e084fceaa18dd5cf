//! `log`: writes that are numbered or ordered, and what a log remembers of its writers.

use tidemark::store::{
    Position,
    logs::{IfThere, LogCreate, LogOutcome, LogProducer, LogWrite, MAX_WRITERS},
};
use ulid::Ulid;

use crate::{
    logs::{Writer, producer, texts, written},
    world::{World, id, log_create},
};

pub async fn producers_number_what_they_write(world: &World) {
    let engine = world.engine();
    let mut writer = Writer::new(&engine);
    writer.append(&["first"]).await;
    for (epoch, seq, expected) in [
        (0, 1, LogOutcome::Skipped { expected: 0 }),
        (0, 0, written(2)),
        (0, 0, LogOutcome::Duplicate { epoch: 0, seq: 0 }),
        (0, 2, LogOutcome::Skipped { expected: 1 }),
        (0, 1, written(3)),
        (0, 0, LogOutcome::Duplicate { epoch: 0, seq: 1 }),
        (2, 1, LogOutcome::Begin),
        (2, 0, written(4)),
        (0, 2, LogOutcome::Stale { epoch: 2 }),
        (1, 0, LogOutcome::Stale { epoch: 2 }),
        (2, 1, written(5)),
    ] {
        let write = LogWrite {
            producer: Some(producer(epoch, seq)),
            ..writer.next(&["x"])
        };
        assert_eq!(writer.outcome(&write).await, expected, "{epoch} {seq}");
    }
    let close = LogWrite {
        producer: Some(producer(2, 2)),
        close: true,
        ..writer.next(&[])
    };
    assert_eq!(writer.outcome(&close).await, written(5));
    let again = LogWrite {
        producer: Some(producer(2, 2)),
        close: true,
        ..writer.next(&["y"])
    };
    assert_eq!(
        writer.outcome(&again).await,
        LogOutcome::Duplicate { epoch: 2, seq: 2 }
    );
    let other = LogWrite {
        producer: Some(producer(2, 3)),
        close: true,
        ..writer.next(&["y"])
    };
    assert_eq!(writer.outcome(&other).await, LogOutcome::Closed);
    assert_eq!(texts(&engine, Position::Start).await.len(), 5);
}

pub async fn an_order_is_compared_byte_by_byte(world: &World) {
    let engine = world.engine();
    let mut writer = Writer::new(&engine);
    for (order, is_greater) in [
        ("2", true),
        ("10", false),
        ("2", false),
        ("2a", true),
        ("Z", true),
        ("a", true),
        ("Zz", false),
        ("é", true),
    ] {
        let write = LogWrite {
            order: Some(order.to_owned()),
            ..writer.next(&["x"])
        };
        let outcome = writer.outcome(&write).await;
        assert_eq!(outcome != LogOutcome::Disorder, is_greater, "{order} {outcome:?}");
    }
}

pub async fn the_writers_that_are_remembered_are_bounded(world: &World) {
    let engine = world.engine();
    let mut writer = Writer::new(&engine);
    let mut first = writer.next(&["x"]);
    first.producer = Some(producer(0, 0));
    writer.send(&first).await;
    for number in 0..MAX_WRITERS {
        let mut write = writer.next(&["x"]);
        write.producer = Some(LogProducer {
            id: format!("{number}"),
            epoch: 0,
            seq: 0,
        });
        assert!(matches!(writer.outcome(&write).await, LogOutcome::Written { .. }));
    }
    let forgotten = LogWrite {
        producer: Some(producer(0, 1)),
        ..writer.next(&["x"])
    };
    assert_eq!(
        writer.outcome(&forgotten).await,
        LogOutcome::Skipped { expected: 0 }
    );
    let mut known = writer.next(&["x"]);
    known.producer = Some(LogProducer {
        id: format!("{}", MAX_WRITERS - 400),
        epoch: 0,
        seq: 0,
    });
    assert_eq!(
        writer.outcome(&known).await,
        LogOutcome::Duplicate { epoch: 0, seq: 0 }
    );
}

pub async fn writes_together_are_repeated_as_a_whole(world: &World) {
    let engine = world.engine();
    let mut writer = Writer::new(&engine);
    writer.append(&["a"]).await;
    let mut together = Vec::new();
    for (chunks, number, order) in [
        (&["b", "c"][..], Some(0), Some("1")),
        (&["d"], Some(2), None),
        (&["e"], Some(1), Some("0")),
        (&["f"], Some(1), Some("2")),
        (&["g"], Some(0), None),
        (&["h"], None, None),
    ] {
        let write = writer.next(chunks);
        together.push(LogWrite {
            producer: number.map(|number| producer(0, number)),
            order: order.map(str::to_owned),
            ..write
        });
    }
    let expected = [
        (written(3), 3),
        (LogOutcome::Skipped { expected: 1 }, 3),
        (LogOutcome::Disorder, 3),
        (written(4), 4),
        (LogOutcome::Duplicate { epoch: 0, seq: 1 }, 4),
        (written(5), 5),
    ];
    for _ in 0..2 {
        let all = engine.store.log_all(&id("log"), &together).await.unwrap();
        let all: Vec<_> = all
            .into_iter()
            .map(|one| (one.outcome, one.head.unwrap().seq))
            .collect();
        assert_eq!(all, expected);
    }
    assert_eq!(texts(&engine, Position::Start).await, ["a", "b", "c", "f", "h"]);
    let absent: Vec<_> = [writer.next(&["x"]), writer.next(&["y"])]
        .into_iter()
        .map(|write| LogWrite {
            create: None,
            ..write
        })
        .collect();
    let all = engine.store.log_all(&id("nothing"), &absent).await.unwrap();
    let outcomes: Vec<_> = all.into_iter().map(|one| one.outcome).collect();
    assert_eq!(outcomes, [LogOutcome::Missing, LogOutcome::Missing]);
}

pub async fn a_log_that_is_made_again_is_later_whatever_the_clocks(world: &World) {
    let engine = world.engine();
    let mut writer = Writer::new(&engine);
    let mut before = Ulid::nil();
    // By three engines: the first one's clock is ahead, the others have one time.
    for time in [5_000_000_000_000, 4_000_000_000_000, 4_000_000_000_000] {
        let made = LogCreate {
            generation: Ulid::from_parts(time, 0),
            ..log_create(IfThere::Write)
        };
        let write = LogWrite {
            create: Some(made),
            ..writer.next(&["x"])
        };
        let generation = writer.send(&write).await.head.unwrap().generation;
        assert!(
            generation.timestamp_ms() > before.timestamp_ms(),
            "{generation} after {before}"
        );
        before = generation;
        assert!(engine.delete(&id("log")).await);
    }
}
