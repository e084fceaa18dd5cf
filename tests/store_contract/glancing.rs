//! Streams as a list shows them.

use tidemark::{
    Cursor,
    model::ending::Outcome,
    store::{
        Ack, Found, Glance, OwnerCheck, Readers, StopResult,
        groups::{Resolution, Resolve, Work},
    },
};

use crate::{
    sharing::take,
    world::{Engine, World, id, owned},
};

impl Engine {
    async fn glances(&self, streams: &[&str]) -> Vec<Option<Glance>> {
        let streams: Vec<_> = streams.iter().map(|stream| id(stream)).collect();
        let found = self.store.glances(&streams).await.expect("glances");
        let found = found.into_iter().map(|found| match found {
            Found::Nothing => None,
            Found::Stream(glance) => Some(*glance),
            Found::Damaged(why) => panic!("damaged: {why}"),
        });
        found.collect()
    }

    async fn lag(&self) -> Option<u64> {
        let [Some(glance)] = &self.glances(&["chat"]).await[..] else {
            panic!("no stream")
        };
        glance.lag
    }
}

pub async fn a_glance_tells_what_a_status_does(world: &World) {
    let (here, there) = (world.engine(), world.engine());
    let mut live = here.produce_as(&id("live"), owned("alice")).await;
    live.write(&["one", "two", "three"]).await;
    assert_eq!(there.stop(&id("live"), "enough").await, StopResult::Stopping);
    let mut over = here.produce(&id("over")).await;
    over.write(&["one"]).await;
    over.end(Outcome::Failed, "why").await;
    here.produce(&id("gone")).await;
    assert!(here.delete(&id("gone")).await);
    assert_eq!(here.stop(&id("kept"), "x").await, StopResult::Kept);

    let names = ["over", "gone", "live", "kept", "never", "live"];
    let glances = there.glances(&names).await;
    for (name, glance) in names.iter().zip(glances) {
        let expected = there.status(&id(name)).await.map(|status| Glance {
            stream_id: status.stream_id,
            state: status.state,
            reason: status.reason,
            generation: status.generation,
            first_seq: status.first_seq,
            last_seq: status.last_seq,
            bytes: status.bytes,
            stored_bytes: status.stored_bytes,
            producers: status.producers,
            process: None,
            stop: status.stop,
            owner: status.owner,
            started_at: status.started_at,
            updated_at: status.updated_at,
            lag: None,
            readers: Readers::default(),
        });
        assert_eq!(glance, expected, "{name}");
        assert_eq!(glance.is_some(), ["over", "live"].contains(name), "{name}");
    }
    assert!(there.glances(&[]).await.is_empty());
}

pub async fn very_many_are_found_in_their_order(world: &World) {
    let engine = world.engine();
    let names: Vec<_> = (0..150).map(|number| format!("chat {number}")).collect();
    for name in names.iter().step_by(3) {
        engine.produce(&id(name)).await;
    }
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    for (number, glance) in engine.glances(&names).await.into_iter().enumerate() {
        let expected = (number % 3 == 0).then(|| names[number].to_owned());
        assert_eq!(glance.map(|glance| glance.stream_id), expected);
    }
}

pub async fn a_lapse_is_found_by_a_glance(world: &World) {
    let engine = world.engine();
    let mut alive = engine.produce(&id("alive")).await;
    alive.write(&["one"]).await;
    let dead = engine.produce(&id("dead")).await;
    dead.die().await;
    let glances = engine.glances(&["alive", "dead", "none"]).await;
    let states = glances
        .iter()
        .flatten()
        .map(|glance| (glance.state.as_str(), glance.reason.as_deref(), glance.producers));
    assert_eq!(
        states.collect::<Vec<_>>(),
        [("active", None, 1), ("interrupted", Some("lease"), 0)]
    );
}

pub async fn the_lag_is_that_of_whoever_is_furthest_behind(world: &World) {
    let engine = world.engine();
    let stream = id("chat");
    let mut producer = engine.produce(&stream).await;
    producer.write(&["one", "two", "three", "four", "five"]).await;
    assert_eq!(engine.lag().await, None, "nobody follows");
    let acks = [("ann", 5), ("bob", 4)].map(|(consumer, seq)| Ack {
        consumer: consumer.to_owned(),
        cursor: Cursor {
            generation: producer.generation(),
            seq,
        },
    });
    let acked = engine.store.ack(&stream, &acks, &OwnerCheck::Internal).await;
    assert_eq!(acked.expect("ack"), [true, true]);
    assert_eq!(engine.lag().await, Some(1));

    let work = Work::Stream(&stream);
    let taken = engine.store.take(work, &take("worker", 2)).await.expect("take");
    let items = taken.expect("the stream exists").items;
    assert_eq!(
        engine.lag().await,
        Some(5),
        "two are held, three are not handed out"
    );
    let resolve = Resolve {
        group: "workers".to_owned(),
        consumer: "worker".to_owned(),
        resolutions: items.iter().map(|item| (item.id, Resolution::Done)).collect(),
        owner: OwnerCheck::Internal,
    };
    engine.store.resolve(work, &resolve).await.expect("resolve");
    assert_eq!(engine.lag().await, Some(3));
    producer.write(&["six"]).await;
    assert_eq!(engine.lag().await, Some(4));
}
