//! Groups: consumers that share the chunks of a stream.

use std::time::Duration;

use tidemark::{
    Cursor, StreamId,
    model::ending::Outcome,
    store::{
        OwnerCheck, Position,
        groups::{Dead, Item, ItemId, MAX_GROUPS, Resolution, Resolve, Subject, Take, Taken, Work},
    },
};
use ulid::Ulid;

use crate::world::{Engine, LONG, SHORT, World, caller, code, id, owned, pass, start, takeover, terminal};

pub fn take(consumer: &str, count: usize) -> Take {
    Take {
        group: "workers".to_owned(),
        consumer: consumer.to_owned(),
        from: Position::Start,
        count,
        claim_idle: LONG,
        max_deliveries: 3,
        own: None,
        told: None,
        owner: OwnerCheck::Internal,
    }
}

/// The same, for items that others have held for a moment.
pub fn claim(consumer: &str, count: usize) -> Take {
    Take {
        claim_idle: Duration::from_millis(1),
        ..take(consumer, count)
    }
}

fn chat() -> StreamId {
    id("chat")
}

impl Engine {
    async fn take(&self, take: &Take) -> Taken {
        let stream = chat();
        let taken = self.store.take(Work::Stream(&stream), take).await.expect("take");
        taken.expect("the stream exists")
    }

    async fn seqs(&self, take: &Take) -> Vec<(u64, u64)> {
        seqs(&self.take(take).await.items)
    }

    /// What comes once the store knows that its answer about a loss has arrived.
    async fn seqs_after(&self, lost: &Taken, take: &Take) -> Vec<(u64, u64)> {
        let told = Take {
            told: lost.lost,
            ..take.clone()
        };
        let taken = self.take(&told).await;
        if taken.lost.is_none() {
            return seqs(&taken.items);
        }
        assert_eq!((taken.lost, taken.items.len()), (lost.lost, 0));
        self.seqs(take).await
    }

    async fn resolve(&self, consumer: &str, resolution: Resolution, items: &[Item]) {
        let resolve = Resolve {
            group: "workers".to_owned(),
            consumer: consumer.to_owned(),
            resolutions: items.iter().map(|item| (item.id, resolution)).collect(),
            owner: OwnerCheck::Internal,
        };
        let stream = chat();
        self.store
            .resolve(Work::Stream(&stream), &resolve)
            .await
            .expect("resolve");
    }

    async fn dead(&self, after: Option<ItemId>, count: usize) -> Vec<Item> {
        let dead = Dead {
            group: "workers".to_owned(),
            after,
            count,
            owner: OwnerCheck::Internal,
        };
        let stream = chat();
        self.store.dead(Work::Stream(&stream), &dead).await.expect("dead")
    }
}

/// The seqs of items, each with how often it was handed out.
fn seqs(items: &[Item]) -> Vec<(u64, u64)> {
    let seq = |item: &Item| match item.subject {
        Subject::Chunk(cursor) => cursor.seq,
        Subject::Finished(_) => unreachable!("a chunk"),
    };
    items.iter().map(|item| (seq(item), item.deliveries)).collect()
}

pub async fn a_group_shares_the_chunks(world: &World) {
    let (here, there) = (world.engine(), world.engine());
    let missing = here.store.take(Work::Stream(&chat()), &take("a", 1)).await;
    assert_eq!(missing.unwrap(), None);
    let mut producer = here.produce(&chat()).await;
    producer.write(&["one", "two", "three"]).await;
    assert_eq!(here.seqs(&take("a", 2)).await, [(1, 1), (2, 1)]);
    assert_eq!(there.seqs(&take("b", 9)).await, [(3, 1)]);
    assert_eq!(here.take(&take("a", 9)).await, Taken::default());
    producer.write(&["four"]).await;
    let items = there.take(&take("b", 9)).await.items;
    assert_eq!(seqs(&items), [(4, 1)]);
    let cursor = Cursor {
        generation: producer.generation(),
        seq: 4,
    };
    assert_eq!(items[0].subject, Subject::Chunk(cursor));

    let other = Take {
        group: "others".to_owned(),
        ..take("a", 9)
    };
    assert_eq!(
        here.seqs(&other).await,
        [(1, 1), (2, 1), (3, 1), (4, 1)],
        "every group gets all"
    );
}

pub async fn a_group_is_done_when_everything_is(world: &World) {
    let engine = world.engine();
    let mut producer = engine.produce(&chat()).await;
    producer.write(&["one", "two"]).await;
    let items = engine.take(&take("a", 9)).await.items;
    producer.complete().await;
    assert_eq!(
        engine.take(&take("b", 9)).await,
        Taken::default(),
        "another has them"
    );
    engine.resolve("a", Resolution::Done, &items[..1]).await;
    assert_eq!(engine.take(&take("b", 9)).await.done, None);
    engine.resolve("a", Resolution::Done, &items).await;
    let done = engine.take(&take("b", 9)).await;
    assert_eq!(done.done, Some(terminal(Outcome::Complete, "")));
    assert_eq!(done.items, []);

    let fresh = Take {
        group: "late".to_owned(),
        ..take("a", 9)
    };
    assert_eq!(
        engine.seqs(&fresh).await,
        [(1, 1), (2, 1)],
        "a finished stream is worked through"
    );
    let now = Take {
        group: "later".to_owned(),
        from: Position::Now,
        ..take("a", 9)
    };
    assert!(engine.take(&now).await.done.is_some());
}

pub async fn what_is_held_too_long_is_handed_on(world: &World) {
    let engine = world.engine();
    let mut producer = engine.produce(&chat()).await;
    producer.write(&["one", "two", "three"]).await;
    let held = engine.take(&take("a", 2)).await.items;
    pass(Duration::ZERO).await;
    assert_eq!(engine.seqs(&take("b", 9)).await, [(3, 1)], "not yet");
    pass(Duration::ZERO).await;
    assert_eq!(engine.seqs(&claim("b", 1)).await, [(1, 2)]);
    // The consumer that had it before may still resolve it.
    engine.resolve("a", Resolution::Done, &held[..1]).await;
    pass(Duration::ZERO).await;
    assert_eq!(engine.seqs(&claim("c", 9)).await, [(2, 2), (3, 2)]);
}

pub async fn a_consumer_gets_its_own_back(world: &World) {
    let engine = world.engine();
    let mut producer = engine.produce(&chat()).await;
    producer.write(&["one", "two", "three", "four"]).await;
    assert_eq!(engine.seqs(&take("a", 2)).await.len(), 2);
    assert_eq!(engine.seqs(&take("b", 1)).await, [(3, 1)]);
    let back = |after| Take {
        own: Some(after),
        ..take("a", 1)
    };
    let first = engine.take(&back(ItemId(0, 0))).await.items;
    assert_eq!(seqs(&first), [(1, 2)]);
    let second = engine.take(&back(first[0].id)).await.items;
    assert_eq!(seqs(&second), [(2, 2)]);
    assert_eq!(
        engine.seqs(&back(second[0].id)).await,
        [(4, 1)],
        "then what is new"
    );
}

pub async fn what_is_given_back_counts_as_never_handed_out(world: &World) {
    let engine = world.engine();
    let mut producer = engine.produce(&chat()).await;
    producer.write(&["one", "two"]).await;
    let items = engine.take(&take("a", 9)).await.items;
    engine.resolve("b", Resolution::Back, &items).await;
    assert_eq!(engine.seqs(&take("b", 9)).await, [], "it is not b's to give");
    engine.resolve("a", Resolution::Back, &items[1..]).await;
    assert_eq!(engine.seqs(&take("b", 9)).await, [(2, 1)]);
    pass(Duration::ZERO).await;
    let again = engine.take(&claim("a", 9)).await.items;
    assert_eq!(seqs(&again), [(1, 2), (2, 2)]);
    // Twice, as if the answer had been lost.
    for _ in 0..2 {
        engine.resolve("a", Resolution::Back, &again[1..]).await;
    }
    assert_eq!(engine.seqs(&take("b", 9)).await, [(2, 2)]);
}

pub async fn poison_becomes_a_dead_letter(world: &World) {
    let engine = world.engine();
    let mut producer = engine.produce(&chat()).await;
    producer.write(&["one", "two", "three"]).await;
    for deliveries in 1..=3 {
        let items = engine.take(&claim("a", 9)).await.items;
        assert_eq!(items[0].deliveries, deliveries);
        engine.resolve("a", Resolution::Done, &items[2..]).await;
        pass(Duration::ZERO).await;
    }
    assert_eq!(engine.dead(None, 9).await, []);
    assert_eq!(engine.seqs(&claim("a", 9)).await, []);
    let dead = engine.dead(None, 9).await;
    assert_eq!(seqs(&dead), [(1, 3), (2, 3)]);
    assert_eq!(seqs(&engine.dead(None, 1).await), [(1, 3)]);
    assert_eq!(seqs(&engine.dead(Some(dead[0].id), 9).await), [(2, 3)]);
    producer.complete().await;
    assert!(
        engine.take(&claim("a", 9)).await.done.is_some(),
        "given up is resolved"
    );

    engine.resolve("a", Resolution::Retry, &dead[..1]).await;
    engine.resolve("a", Resolution::Drop, &dead[1..]).await;
    assert_eq!(engine.dead(None, 9).await, []);
    let again = engine.take(&take("b", 9)).await.items;
    assert_eq!(seqs(&again), [(1, 1)]);
    engine.resolve("b", Resolution::Done, &again).await;
    assert!(engine.take(&take("b", 9)).await.done.is_some());
}

pub async fn groups_are_listed(world: &World) {
    let engine = world.engine();
    let list = async |work| {
        let mut groups = engine.store.groups(work).await.expect("groups")?;
        groups.sort_by(|one, other| one.group.cmp(&other.group));
        let listed = groups
            .into_iter()
            .map(|each| (each.group, each.held, each.dead, each.behind));
        Some(listed.collect::<Vec<_>>())
    };
    let stream = chat();
    assert_eq!(list(Work::Stream(&stream)).await, None, "no stream");
    assert_eq!(list(Work::Finished).await, Some(vec![]));
    let mut producer = engine.produce(&stream).await;
    producer.write(&["one", "two", "three", "four"]).await;
    assert_eq!(list(Work::Stream(&stream)).await, Some(vec![]));
    let mut once = claim("a", 2);
    once.max_deliveries = 1;
    engine.take(&once).await;
    let all = Take {
        group: "all".to_owned(),
        ..take("a", 9)
    };
    engine.take(&all).await;
    let name = |name: &str| name.to_owned();
    assert_eq!(
        list(Work::Stream(&stream)).await,
        Some(vec![
            (name("all"), 4, 0, Some(0)),
            (name("workers"), 2, 0, Some(2))
        ])
    );
    pass(Duration::ZERO).await;
    engine.take(&once).await;
    assert_eq!(
        list(Work::Stream(&stream)).await,
        Some(vec![
            (name("all"), 4, 0, Some(0)),
            (name("workers"), 2, 2, Some(0))
        ])
    );
    assert_eq!(engine.finished(&take("a", 9)).await, []);
    let queues = list(Work::Finished).await.unwrap_or_default();
    assert_eq!(queues.len(), 1);
    assert_eq!(
        (queues[0].0.as_str(), queues[0].1, queues[0].2),
        ("workers", 0, 0)
    );
}

pub async fn a_late_resolution_of_a_dead_letter_counts(world: &World) {
    let engine = world.engine();
    let mut producer = engine.produce(&chat()).await;
    producer.write(&["one"]).await;
    let mut once = claim("a", 9);
    once.max_deliveries = 1;
    let items = engine.take(&once).await.items;
    pass(Duration::ZERO).await;
    assert_eq!(engine.seqs(&once).await, []);
    assert_eq!(engine.dead(None, 9).await.len(), 1);
    engine.resolve("a", Resolution::Done, &items).await;
    assert_eq!(engine.dead(None, 9).await, []);
}

pub async fn a_group_begins_where_it_is_told(world: &World) {
    let engine = world.engine();
    let mut first = engine.produce(&chat()).await;
    first.write(&["one", "two"]).await;
    let mut second = engine.produce_as(&chat(), takeover()).await;
    second.write(&["three", "four"]).await;
    let after = |generation, seq| Position::After { generation, seq };
    for (number, (from, expected)) in [
        (Position::Start, vec![3, 4]),
        (Position::Now, vec![]),
        (after(first.generation(), 1), vec![2, 3, 4]),
        (after(first.generation(), 9), vec![3, 4]),
        (after(second.generation(), 0), vec![3, 4]),
        (after(second.generation(), 3), vec![4]),
    ]
    .into_iter()
    .enumerate()
    {
        let take = Take {
            group: format!("group {number}"),
            from,
            ..take("a", 9)
        };
        let handed: Vec<_> = engine.seqs(&take).await.iter().map(|(seq, _)| *seq).collect();
        assert_eq!(handed, expected, "{from:?}");
        assert_eq!(engine.seqs(&take).await, [], "only a new group is told");
    }
    let unknown = Take {
        from: after(Ulid::new(), 1),
        ..take("a", 9)
    };
    let lost = engine.take(&unknown).await;
    let resume = Cursor {
        generation: second.generation(),
        seq: 2,
    };
    assert_eq!((lost.lost, lost.items.len()), (Some(resume), 0));
    assert_eq!(engine.seqs_after(&lost, &unknown).await, [(3, 1), (4, 1)]);
}

pub async fn a_group_goes_on_over_generations_and_tells_what_it_lost(world: &World) {
    let engine = world.engine();
    for text in ["one", "two"] {
        let mut producer = engine.produce(&chat()).await;
        producer.write(&[text]).await;
        producer.complete().await;
        assert_eq!(engine.seqs(&take("a", 9)).await.len(), 1);
    }
    // Neither was resolved; the first one goes with its generation.
    let mut producer = engine.produce(&chat()).await;
    producer.write(&["three"]).await;
    let lost = engine.take(&take("a", 9)).await;
    assert_eq!(lost.lost.map(|cursor| cursor.seq), Some(1));
    assert_eq!(engine.seqs_after(&lost, &take("a", 9)).await, [(3, 1)]);
    pass(Duration::ZERO).await;
    assert_eq!(engine.seqs(&claim("b", 9)).await, [(2, 2), (3, 2)]);

    // Chunks that were never delivered are lost as well, and reported once.
    producer.complete().await;
    for text in ["four", "five"] {
        let mut producer = engine.produce(&chat()).await;
        producer.write(&[text]).await;
        producer.complete().await;
    }
    let lost = engine.take(&take("a", 9)).await;
    assert_eq!(lost.lost.map(|cursor| cursor.seq), Some(3));
    assert_eq!(engine.seqs_after(&lost, &take("a", 9)).await, [(4, 1), (5, 1)]);
}

pub async fn a_group_goes_on_after_what_its_consumer_has_found_to_be_lost(world: &World) {
    let engine = world.engine();
    let mut producer = engine.produce(&chat()).await;
    producer.write(&["one", "two", "three", "four", "five"]).await;
    let items = engine.take(&take("a", 1)).await.items;
    assert_eq!(seqs(&items), [(1, 1)]);
    let told = |seq| Take {
        told: Some(Cursor {
            generation: producer.generation(),
            seq,
        }),
        ..take("a", 1)
    };
    assert_eq!(engine.seqs(&told(3)).await, [(4, 1)]);
    assert_eq!(engine.seqs(&told(2)).await, [(5, 1)], "never back");
    let beyond = told(99);
    assert_eq!(engine.take(&beyond).await, Taken::default());
    producer.write(&["six"]).await;
    assert_eq!(engine.seqs(&take("a", 9)).await, [(6, 1)], "never beyond the end");
    let elsewhere = Take {
        told: Some(Cursor {
            generation: Ulid::from_parts(1, 1),
            seq: 99,
        }),
        ..take("a", 9)
    };
    producer.write(&["seven"]).await;
    assert_eq!(engine.seqs(&elsewhere).await, [(7, 1)]);
}

pub async fn only_the_owner_shares(world: &World) {
    let engine = world.engine();
    let mut producer = engine.produce_as(&chat(), owned("alice")).await;
    producer.write(&["one"]).await;
    for stranger in [caller("bob"), OwnerCheck::Caller(None)] {
        let request = Take {
            owner: stranger.clone(),
            ..take("a", 9)
        };
        let refused = engine.store.take(Work::Stream(&chat()), &request).await;
        assert_eq!(code(refused), "ERR_FORBIDDEN");
        let request = Resolve {
            group: "workers".to_owned(),
            consumer: "a".to_owned(),
            resolutions: Vec::new(),
            owner: stranger.clone(),
        };
        let refused = engine.store.resolve(Work::Stream(&chat()), &request).await;
        assert_eq!(code(refused), "ERR_FORBIDDEN");
        let request = Dead {
            group: "workers".to_owned(),
            after: None,
            count: 1,
            owner: stranger,
        };
        let refused = engine.store.dead(Work::Stream(&chat()), &request).await;
        assert_eq!(code(refused), "ERR_FORBIDDEN");
    }
    let request = Take {
        owner: caller("alice"),
        ..take("a", 9)
    };
    assert_eq!(engine.seqs(&request).await, [(1, 1)]);
}

pub async fn groups_are_bounded(world: &World) {
    let engine = world.engine();
    engine.produce(&chat()).await.write(&["one"]).await;
    let named = |number: usize| Take {
        group: format!("group {number}"),
        ..take("a", 1)
    };
    for number in 0..MAX_GROUPS {
        assert_eq!(engine.seqs(&named(number)).await, [(1, 1)]);
    }
    let refused = engine.store.take(Work::Stream(&chat()), &named(MAX_GROUPS)).await;
    assert_eq!(code(refused), "ERR_STORE");
    assert_eq!(engine.seqs(&named(0)).await, []);
}

pub async fn groups_go_with_their_stream(world: &World) {
    let engine = world.engine();
    engine.produce(&chat()).await.write(&["one", "two"]).await;
    assert_eq!(engine.seqs(&take("a", 9)).await.len(), 2);
    engine.delete(&chat()).await;
    engine.produce(&chat()).await.write(&["three"]).await;
    assert_eq!(engine.seqs(&take("a", 9)).await, [(1, 1)]);

    engine.delete(&chat()).await;
    let mut short = start();
    short.ttl.done = SHORT;
    let mut producer = engine.produce_as(&chat(), short).await;
    producer.write(&["one", "two"]).await;
    assert_eq!(engine.seqs(&take("a", 9)).await.len(), 2);
    producer.complete().await;
    pass(SHORT).await;
    engine.produce(&chat()).await.write(&["three"]).await;
    assert_eq!(engine.seqs(&take("a", 9)).await, [(1, 1)]);
}
