//! Which streams a clean-up removes.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tidemark::{
    model::ending::Outcome,
    store::{ControlMessage, OwnerCheck, StopResult, Sweep, Swept},
};

use crate::{
    ending::is_over,
    heard::Heard,
    world::{Engine, LONG, SHORT, World, caller, code, id, owned, pass, terminal},
};

fn everything_ended() -> Sweep {
    Sweep {
        older_than: Duration::ZERO,
        outcomes: vec![
            Outcome::Complete,
            Outcome::Failed,
            Outcome::Stopped,
            Outcome::Interrupted,
        ],
        force: false,
        dry_run: false,
    }
}

async fn sweep(engine: &Engine, names: &[&str], rule: &Sweep) -> Vec<Swept> {
    let streams: Vec<_> = names.iter().map(|name| id(name)).collect();
    engine.store.sweep(&streams, rule).await.expect("sweep")
}

pub async fn only_what_the_rule_is_about_is_removed(world: &World) {
    let engine = world.engine();
    let names = ["complete", "failed", "live", "nothing"];
    for (name, outcome) in [("complete", Outcome::Complete), ("failed", Outcome::Failed)] {
        let mut producer = engine.produce(&id(name)).await;
        producer.write(&["one"]).await;
        producer.end(outcome, "").await;
    }
    let mut live = engine.produce(&id("live")).await;
    assert_eq!(engine.store.count().await, Ok(3));

    let young = Sweep {
        older_than: LONG,
        force: true,
        ..everything_ended()
    };
    let expected = [Swept::Kept, Swept::Kept, Swept::Live, Swept::Gone];
    assert_eq!(sweep(&engine, &names, &young).await, expected);
    let look = Sweep {
        dry_run: true,
        force: true,
        ..everything_ended()
    };
    let expected = [Swept::Removed, Swept::Removed, Swept::Removed, Swept::Gone];
    assert_eq!(sweep(&engine, &names, &look).await, expected);
    let failed = Sweep {
        outcomes: vec![Outcome::Failed, Outcome::Stopped],
        ..everything_ended()
    };
    let expected = [Swept::Kept, Swept::Removed, Swept::Live, Swept::Gone];
    assert_eq!(sweep(&engine, &names, &failed).await, expected);
    let expected = [Swept::Removed, Swept::Gone, Swept::Live, Swept::Gone];
    assert_eq!(sweep(&engine, &names, &everything_ended()).await, expected);
    assert_eq!(engine.list(10).await, [id("live")]);
    assert_eq!(live.write(&["one"]).await, 1);
}

pub async fn a_lapsed_generation_counts_as_ended(world: &World) {
    let engine = world.engine();
    engine.produce(&id("dead")).await.die().await;
    let names = ["dead"];
    let look = Sweep {
        dry_run: true,
        ..everything_ended()
    };
    let others = Sweep {
        outcomes: vec![Outcome::Complete, Outcome::Stopped],
        ..everything_ended()
    };
    assert_eq!(sweep(&engine, &names, &look).await, [Swept::Removed]);
    assert_eq!(sweep(&engine, &names, &others).await, [Swept::Kept]);
    assert_eq!(
        sweep(&engine, &names, &everything_ended()).await,
        [Swept::Removed]
    );
    assert!(!engine.exists(&id("dead")).await);
}

pub async fn a_live_stream_is_removed_by_force_alone(world: &World) {
    let (here, there) = (world.engine(), world.engine());
    there.listen(&id("chat")).await;
    let mut producer = here.produce(&id("chat")).await;
    producer.write(&["one"]).await;
    let forced = Sweep {
        force: true,
        ..everything_ended()
    };
    assert_eq!(sweep(&there, &["chat"], &everything_ended()).await, [Swept::Live]);
    assert_eq!(sweep(&there, &["chat"], &forced).await, [Swept::Removed]);
    there.heard.wait(&id("chat"), &Heard::Deleted).await;
    let told = Heard::Control(ControlMessage::Ended {
        generation: producer.generation(),
        terminal: terminal(Outcome::Interrupted, "deleted"),
    });
    here.heard.wait(&id("chat"), &told).await;
    is_over(producer, Outcome::Interrupted, "deleted").await;
}

pub async fn a_stream_is_as_old_as_its_last_chunk(world: &World) {
    let engine = world.engine();
    let mut producer = engine.produce(&id("chat")).await;
    producer.write(&["one"]).await;
    let age = 10 * SHORT;
    pass(age).await;
    let before = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    // One of those that leave the record nearly as it is.
    producer.write(&["two"]).await;
    let forced = Sweep {
        force: true,
        older_than: age,
        ..everything_ended()
    };
    assert_eq!(sweep(&engine, &["chat"], &forced).await, [Swept::Live]);
    let updated = engine.status(&id("chat")).await.expect("a status").updated_at;
    assert!(
        u128::from(updated) >= before.as_millis(),
        "{updated} and {before:?}"
    );
    producer.renew(LONG).await;
    assert_eq!(sweep(&engine, &["chat"], &forced).await, [Swept::Live]);
    assert_eq!(producer.write(&["three"]).await, 3);
}

pub async fn g10_only_the_owner_deletes_as_an_owner(world: &World) {
    let engine = world.engine();
    let store = &engine.store;
    let mut producer = engine.produce_as(&id("chat"), owned("alice")).await;
    for stranger in [caller("mallory"), OwnerCheck::Caller(None)] {
        assert_eq!(code(store.remove(&id("chat"), &stranger).await), "ERR_FORBIDDEN");
    }
    assert_eq!(producer.write(&["one"]).await, 1);
    assert_eq!(store.remove(&id("chat"), &caller("alice")).await, Ok(true));
    assert_eq!(store.remove(&id("chat"), &caller("alice")).await, Ok(false));
    is_over(producer, Outcome::Interrupted, "deleted").await;

    // What is open to everyone, and what the engine itself removes.
    engine.produce(&id("open")).await;
    assert_eq!(store.remove(&id("open"), &caller("mallory")).await, Ok(true));
    engine.produce_as(&id("chat"), owned("alice")).await;
    assert!(engine.delete(&id("chat")).await);

    // Stops that are kept are others' too.
    let alice = caller("alice");
    let kept = store.stop(&id("later"), "enough", &alice, LONG).await;
    assert_eq!(kept, Ok(StopResult::Kept));
    assert_eq!(store.remove(&id("later"), &caller("mallory")).await, Ok(false));
    let later = engine.produce_as(&id("later"), owned("alice")).await;
    assert_eq!(later.started.stop.as_deref(), Some("enough"));
}
