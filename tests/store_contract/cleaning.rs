//! Which streams a clean-up removes.

use std::time::Duration;

use tidemark::{
    model::ending::Outcome,
    store::{ControlMessage, Sweep, Swept},
};

use crate::{
    ending::is_over,
    heard::Heard,
    world::{Engine, LONG, World, id, terminal},
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
