//! Another producer continues a generation in place of its only one, without an end in between.

use tidemark::{
    model::ending::Outcome,
    store::{Appended, ControlMessage, IfActive, IfEnded, Position, Start},
};
use ulid::Ulid;

use crate::{
    heard::Heard,
    world::{LONG, World, chunks, code, done, ended, id, lost, numbered, owned, share, start, terminal},
};

fn go_on() -> Start {
    Start {
        if_active: IfActive::Continue,
        ..start()
    }
}

pub async fn g4_a_producer_goes_on_and_the_one_before_is_fenced(world: &World) {
    let (here, there) = (world.engine(), world.engine());
    let chat = id("chat");
    let mut before = here.produce(&chat).await;
    before.complete().await;
    let mut old = here.produce(&chat).await;
    old.write(&["one", "two"]).await;
    old.write(&["three"]).await;
    there.listen(&chat).await;

    let mut new = there.produce_as(&chat, go_on()).await;
    let told = Heard::Control(ControlMessage::Replaced {
        generation: old.generation(),
        producer: old.start.producer,
    });
    here.heard.wait(&chat, &told).await;
    assert_eq!(new.generation(), old.generation());
    assert_eq!(
        (
            new.started.ordinal,
            new.started.base,
            new.started.seq,
            new.started.turn
        ),
        (2, 0, 3, 1)
    );
    let again = there.store.start(&chat, &new.start).await.unwrap();
    assert_eq!(again, new.started, "asked again");

    assert_eq!(old.try_write(&["late"]).await, Appended::Fenced);
    assert_eq!(old.renew(LONG).await, Appended::Fenced);
    assert_eq!(old.restore(3).await, Appended::Fenced);
    assert_eq!(old.complete().await, Appended::Fenced);
    assert_eq!(new.write(&["four"]).await, 4);
    let mut third = here.produce_as(&chat, go_on()).await;
    assert_eq!((third.started.seq, third.started.turn), (4, 2));
    assert_eq!(new.try_write(&["late"]).await, Appended::Fenced);
    third.write(&["five"]).await;
    assert_eq!(third.complete().await, ended(5, Outcome::Complete, ""));

    let page = there.page(&chat, Position::Start).await;
    let whole = [(1, "one"), (2, "two"), (3, "three"), (4, "four"), (5, "five")];
    assert_eq!(chunks(&page), numbered(&whole));
    let end = Heard::Ended(old.generation(), 5, terminal(Outcome::Complete, ""));
    let heard = there.heard.wait(&chat, &end).await;
    let again = Heard::Started(old.generation(), 0);
    let is_news = |heard: &&Heard| matches!(heard, Heard::Ended(..) | Heard::Started(..));
    let news: Vec<_> = heard.iter().filter(is_news).collect();
    assert_eq!(
        news,
        [&again, &again, &end],
        "twice another producer, and one end: {heard:?}"
    );
}

pub async fn g4_a_batch_that_was_fast_before_is_fenced_after(world: &World) {
    let engine = world.engine();
    let mut old = engine.produce(&id("chat")).await;
    for n in 1..=4 {
        assert_eq!(old.write(&["token"]).await, n);
    }
    let mut new = engine.produce_as(&id("chat"), go_on()).await;
    assert_eq!(new.started.seq, 4);
    assert_eq!(old.try_write(&["late"]).await, Appended::Fenced);
    for n in 5..=8 {
        assert_eq!(new.write(&["token"]).await, n);
        assert_eq!(old.try_write(&["late"]).await, Appended::Fenced);
    }
    assert_eq!(engine.head(&id("chat")).await.seq, 8);
}

pub async fn g4_whoever_was_replaced_is_fenced_whatever_ids_producers_have(world: &World) {
    let (here, there) = (world.engine(), world.engine());
    let chat = id("chat");
    // What a producer expects of the record began with a number that was made of these.
    let (first, second) = (Ulid::from_parts(1, 42), Ulid::from_parts(2, 42));
    let as_producer = |producer, start| Start { producer, ..start };
    let mut old = here.produce_as(&chat, as_producer(first, start())).await;
    assert_eq!(old.write(&["one"]).await, 1);
    let mut new = there.produce_as(&chat, as_producer(second, go_on())).await;
    assert_eq!(new.write(&["two"]).await, 2);
    // As long as the batch that may follow either, and beyond what is there.
    old.batch += 1;
    assert_eq!(old.try_write(&["x", "y"]).await, Appended::Fenced);
    assert_eq!(new.write(&["three"]).await, 3);
    let page = there.page(&chat, Position::Start).await;
    assert_eq!(chunks(&page), numbered(&[(1, "one"), (2, "two"), (3, "three")]));
}

pub async fn a_lapsed_lease_that_nobody_has_looked_at_is_no_end(world: &World) {
    let engine = world.engine();
    let mut old = engine.produce(&id("chat")).await;
    old.write(&["one"]).await;
    old.die().await;
    let mut new = engine.produce_as(&id("chat"), go_on()).await;
    assert_eq!((new.generation(), new.started.seq), (old.generation(), 1));
    let head = engine.head(&id("chat")).await;
    assert_eq!((head.terminal, head.doubt), (None, None));
    assert_eq!(new.write(&["two"]).await, 2);
}

pub async fn an_end_is_final(world: &World) {
    let engine = world.engine();
    let mut old = engine.produce(&id("chat")).await;
    old.write(&["one"]).await;
    old.end(Outcome::Interrupted, "lease").await;
    let strict = Start {
        if_ended: IfEnded::Error,
        ..go_on()
    };
    assert_eq!(code(engine.store.start(&id("chat"), &strict).await), "ERR_ENDED");
    let new = engine.produce_as(&id("chat"), go_on()).await;
    assert_ne!(new.generation(), old.generation());
    assert_eq!((new.started.base, new.started.seq, new.started.turn), (1, 1, 0));
    let first = engine.produce_as(&id("other"), go_on()).await;
    assert_eq!(
        (first.started.seq, first.started.turn),
        (0, 0),
        "nothing was there"
    );
}

pub async fn only_the_owner_goes_on_and_only_with_one_s_own(world: &World) {
    let engine = world.engine();
    engine.produce_as(&id("alice"), owned("alice")).await;
    let as_owner = |owner: &str| Start {
        if_active: IfActive::Continue,
        ..owned(owner)
    };
    assert_eq!(
        code(engine.store.start(&id("alice"), &as_owner("mallory")).await),
        "ERR_FORBIDDEN"
    );
    assert_eq!(
        code(engine.store.start(&id("alice"), &go_on()).await),
        "ERR_FORBIDDEN"
    );
    engine.produce_as(&id("alice"), as_owner("alice")).await;
    engine.produce_as(&id("shared"), share()).await;
    assert_eq!(
        code(engine.store.start(&id("shared"), &go_on()).await),
        "ERR_ACTIVE"
    );
}

pub async fn a_stop_goes_on_too(world: &World) {
    let engine = world.engine();
    engine.produce(&id("chat")).await;
    engine.stop(&id("chat"), "enough").await;
    let mut new = engine.produce_as(&id("chat"), go_on()).await;
    assert_eq!(new.started.stop.as_deref(), Some("enough"));
    let stopped = Appended::Done {
        last: 0,
        stop: Some("enough".to_owned()),
        terminal: Some(terminal(Outcome::Stopped, "enough")),
        due: false,
        is_heard: true,
    };
    assert_eq!(new.complete().await, stopped);
}

pub async fn g4_whoever_went_on_last_is_put_back_over_the_one_before(world: &World) {
    let (here, there) = (world.engine(), world.engine());
    for astray in [&[][..], &["astray", "more"]] {
        let (mut old, mut new) = lost([&here, &there], &id("chat"), [start(), go_on()]).await;
        assert_eq!(old.restore(1).await, done(1), "it was faster");
        old.seq = 1;
        old.write(&["two"]).await;
        if !astray.is_empty() {
            old.write(astray).await;
        }
        assert_eq!(new.try_write(&["four"]).await, Appended::Fenced);
        assert_eq!(new.restore(2).await, done(2));
        assert_eq!(new.restore(2).await, done(2), "asked again");
        assert_eq!(old.try_write(&["late"]).await, Appended::Fenced);
        assert_eq!(old.restore(1).await, Appended::Fenced);
        new.seq = 2;
        assert_eq!(new.write(&["three", "four"]).await, 4);
        let page = there.page(&id("chat"), Position::Index(-2)).await;
        assert_eq!(chunks(&page), numbered(&[(3, "three"), (4, "four")]));
        assert_eq!(new.complete().await, ended(4, Outcome::Complete, ""));
        here.delete(&id("chat")).await;
    }
}

pub async fn g4_the_one_before_is_not_put_back(world: &World) {
    let (here, there) = (world.engine(), world.engine());
    let (old, mut new) = lost([&here, &there], &id("chat"), [start(), go_on()]).await;
    assert_eq!(new.restore(2).await, done(2));
    assert_eq!(old.restore(0).await, Appended::Fenced);
    new.seq = 2;
    assert_eq!(new.write(&["three"]).await, 3);
}
