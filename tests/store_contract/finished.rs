//! The queue of finished generations, which groups share.

use std::time::Duration;

use tidemark::{
    Cursor,
    model::ending::Outcome,
    store::{
        FinishedNews, OwnerCheck,
        groups::{Dead, Finished, Item, Resolution, Resolve, Subject, Take, Work},
    },
};

use crate::{
    heard::{Heard, QUEUE},
    sharing::{claim, take},
    world::{Engine, LONG, SHORT, World, id, pass, start, terminal, until},
};

impl Engine {
    pub async fn finished(&self, take: &Take) -> Vec<Item> {
        let taken = self.store.take(Work::Finished, take).await.expect("take");
        taken.expect("always there").items
    }
}

fn what(items: &[Item]) -> Vec<Finished> {
    let finished = |item: &Item| match &item.subject {
        Subject::Finished(finished) => finished.clone(),
        Subject::Chunk(_) => unreachable!("a generation"),
    };
    items.iter().map(finished).collect()
}

pub async fn what_has_finished_is_queued_once_asked_for(world: &World) {
    let (here, there) = (world.engine(), world.engine());
    let announce = async |engine: &Engine, stream: &str, generation, seq, outcome, reason: &str, if_open| {
        let finished = Finished {
            stream: id(stream),
            cursor: Cursor { generation, seq },
            terminal: terminal(outcome, reason),
        };
        engine.store.announce(&finished, if_open).await.expect("announce");
        finished
    };
    let mut early = here.produce(&id("early")).await;
    early.complete().await;
    announce(
        &here,
        "early",
        early.generation(),
        0,
        Outcome::Complete,
        "",
        false,
    )
    .await;
    assert_eq!(there.finished(&take("a", 9)).await, [], "nobody had asked");

    let mut one = here.produce(&id("one")).await;
    one.write(&["chunk"]).await;
    one.end(Outcome::Failed, "no more words").await;
    let first = announce(
        &here,
        "one",
        one.generation(),
        1,
        Outcome::Failed,
        "no more words",
        false,
    )
    .await;
    announce(
        &there,
        "one",
        one.generation(),
        1,
        Outcome::Failed,
        "no more words",
        true,
    )
    .await;
    let mut two = there.produce(&id("two {}")).await;
    two.complete().await;
    let second = announce(&there, "two {}", two.generation(), 0, Outcome::Complete, "", true).await;

    let items = there.finished(&take("a", 1)).await;
    assert_eq!(what(&items), [first]);
    assert_eq!(
        what(&here.finished(&take("b", 9)).await),
        std::slice::from_ref(&second)
    );
    let other = Take {
        group: "others".to_owned(),
        ..take("a", 9)
    };
    assert_eq!(
        there.finished(&other).await.len(),
        2,
        "every group gets all that is there"
    );

    let resolve = Resolve {
        group: "workers".to_owned(),
        consumer: "a".to_owned(),
        resolutions: vec![(items[0].id, Resolution::Done)],
        owner: OwnerCheck::Internal,
    };
    here.store.resolve(Work::Finished, &resolve).await.unwrap();
    for deliveries in 2..=3 {
        pass(Duration::ZERO).await;
        let items = there.finished(&claim("c", 9)).await;
        assert_eq!(what(&items), std::slice::from_ref(&second));
        assert_eq!(items[0].deliveries, deliveries);
    }
    pass(Duration::ZERO).await;
    assert_eq!(there.finished(&claim("c", 9)).await, []);
    let dead = Dead {
        group: "workers".to_owned(),
        after: None,
        count: 9,
        owner: OwnerCheck::Internal,
    };
    let dead = here.store.dead(Work::Finished, &dead).await.unwrap();
    assert_eq!(what(&dead), [second]);
}

pub async fn news_of_the_queue_are_told(world: &World) {
    let (here, there) = (world.engine(), world.engine());
    there.store.listen_finished().await.expect("listen");
    assert_eq!(there.store.overdue(9, LONG).await.expect("overdue").next, None);
    assert_eq!(there.finished(&take("a", 9)).await, []);
    let mut producer = here.produce(&id("chat")).await;
    let opened = Heard::Finished(FinishedNews::Opened);
    there.heard.wait(&id(QUEUE), &opened).await;
    let next = there.store.overdue(9, LONG).await.expect("overdue").next;
    assert!(next.is_some_and(|next| next <= LONG + SHORT * 4), "{next:?}");
    producer.complete().await;
    let finished = Finished {
        stream: id("chat"),
        cursor: Cursor {
            generation: producer.generation(),
            seq: 0,
        },
        terminal: terminal(Outcome::Complete, ""),
    };
    here.store.announce(&finished, false).await.expect("announce");
    let added = Heard::Finished(FinishedNews::Added);
    there.heard.wait(&id(QUEUE), &added).await;
    assert_eq!(there.finished(&take("a", 9)).await.len(), 1);
    until("nothing is open", async || {
        let overdue = there.store.overdue(9, LONG).await.expect("overdue");
        overdue.next.is_none().then_some(())
    })
    .await;
}

pub async fn an_end_that_nobody_announced_is_found(world: &World) {
    let engine = world.engine();
    assert_eq!(engine.finished(&take("a", 9)).await, []);
    let mut short = start();
    short.lease = SHORT;
    let producer = engine.produce_as(&id("dead"), short).await;
    engine.produce(&id("alive")).await;
    let generation = producer.generation();
    // The memory store finds it by itself, the Redis store returns where to look.
    let finished = until("the end is queued", async || {
        let overdue = engine.store.overdue(9, LONG).await.expect("overdue");
        for (stream, found) in overdue.open {
            assert_eq!((stream.as_str(), found), ("dead", generation));
            assert_eq!(
                engine.store.overdue(9, LONG).await.expect("overdue").open,
                [],
                "told once"
            );
            let status = engine.status(&stream).await.expect("it is there");
            assert_eq!(status.state, "interrupted");
            let finished = Finished {
                stream,
                cursor: Cursor { generation, seq: 0 },
                terminal: terminal(Outcome::Interrupted, "lease"),
            };
            engine.store.announce(&finished, true).await.expect("announce");
            engine.store.announce(&finished, true).await.expect("announce");
        }
        let items = engine.finished(&take("a", 9)).await;
        (!items.is_empty()).then(|| what(&items))
    })
    .await;
    assert_eq!(finished.len(), 1);
    assert_eq!(finished[0].stream, id("dead"));
    assert_eq!(finished[0].terminal, terminal(Outcome::Interrupted, "lease"));
}
