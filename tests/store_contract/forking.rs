//! Forks: a log's beginning is staged where nobody sees it, and a deleted log's name is kept for as long as it has forks.

use tidemark::{
    Cursor,
    model::frame::SealedFrame,
    store::{
        Position,
        forks::{Fork, ForkList, Forks, MAX_FORKS, Stage, StagePart, Staged},
        logs::{IfThere, LogConfig, LogCreate, LogOutcome, LogWrite},
    },
};
use ulid::Ulid;

use crate::{
    logs::{Writer, texts},
    world::{Engine, World, frame, id, log_create},
};

async fn stage(engine: &Engine, attempt: Ulid, step: u64, part: StagePart) -> Staged {
    let stage = Stage {
        id: attempt,
        step,
        part,
    };
    engine.store.stage(&id("log"), &stage).await.unwrap()
}

/// The frame of this chunk.
fn part(seq: u64, text: &str) -> StagePart {
    let frame = frame(&[text]).at(seq);
    let frame = SealedFrame::of(&[frame], 6).unwrap();
    StagePart::Frame { last: seq, frame }
}

/// Opens the fork that an attempt has staged.
fn opening(writer: &mut Writer<'_>, attempt: Ulid, origin: Cursor) -> LogWrite {
    let fork = Fork {
        stream_id: "source".to_owned(),
        seq: origin.seq,
        part: 0,
        origins: vec![origin],
    };
    let made = log_create(IfThere::Compare);
    let config = LogConfig {
        fork: Some(fork),
        ..made.config.clone()
    };
    LogWrite {
        create: Some(LogCreate {
            config,
            stage: Some(attempt),
            ..made
        }),
        frame: None,
        ..writer.next(&["x"])
    }
}

pub async fn a_beginning_is_staged_step_by_step_and_once(world: &World) {
    let engine = world.engine();
    let mut writer = Writer::new(&engine);
    let origin = Cursor {
        generation: Ulid::new(),
        seq: 2,
    };
    let (first, second) = (Ulid::new(), Ulid::new());
    assert_eq!(stage(&engine, first, 1, part(1, "a")).await, Staged::Lost);
    let done = Staged::Done { ordinal: 1 };
    assert_eq!(stage(&engine, first, 0, StagePart::Begin).await, done);
    assert_eq!(stage(&engine, first, 1, part(1, "lost")).await, done);
    assert_eq!(stage(&engine, second, 0, StagePart::Begin).await, done);
    assert_eq!(
        stage(&engine, first, 2, part(2, "b")).await,
        Staged::Lost,
        "another has begun"
    );
    assert_eq!(
        stage(&engine, second, 2, part(1, "a")).await,
        Staged::Lost,
        "a step is missing"
    );
    for _ in 0..2 {
        assert_eq!(stage(&engine, second, 1, part(1, "a")).await, done);
    }
    assert_eq!(stage(&engine, second, 2, part(2, "b")).await, done);
    assert!(!engine.exists(&id("log")).await, "nobody sees it");
    let early = opening(&mut writer, first, origin);
    assert_eq!(writer.outcome(&early).await, LogOutcome::Unstaged);
    assert_eq!(stage(&engine, second, 2, part(2, "b")).await, done);
    let open = opening(&mut writer, second, origin);
    let outcome = writer.outcome(&open).await;
    assert_eq!(
        outcome,
        LogOutcome::Written {
            last: 2,
            is_new: true
        }
    );
    writer.append(&["c"]).await;
    assert_eq!(texts(&engine, Position::Start).await, ["a", "b", "c"]);
    let since = Position::After {
        generation: origin.generation,
        seq: 1,
    };
    assert_eq!(
        texts(&engine, since).await,
        ["b", "c"],
        "by a cursor of the other log"
    );
    let beyond = Position::After {
        generation: origin.generation,
        seq: 3,
    };
    assert!(engine.page(&id("log"), beyond).await.lost);
    assert_eq!(
        stage(&engine, second, 3, part(3, "d")).await,
        Staged::Taken,
        "it is there"
    );
}

pub async fn a_log_lists_its_forks_and_its_name_is_kept_for_them(world: &World) {
    let engine = world.engine();
    let (mut writer, log) = (Writer::new(&engine), id("log"));
    let list = async |list: ForkList| engine.store.forks(&log, &list).await.unwrap();
    let add = |generation, fork: &str| ForkList::Add {
        generation,
        fork: fork.to_owned(),
    };
    assert!(!list(add(Ulid::new(), "a")).await.is_added, "there is no log");
    let generation = writer.append(&["x"]).await.generation;
    assert!(!list(add(Ulid::new(), "a")).await.is_added, "another generation");
    for number in 0..MAX_FORKS {
        assert!(
            list(add(generation, &format!("{number}"))).await.is_added,
            "{number}"
        );
    }
    assert!(!list(add(generation, "more")).await.is_added, "it is full");
    assert!(list(add(generation, "7")).await.is_added, "this one is listed");
    let all = list(ForkList::Show).await;
    assert_eq!((all.streams.len(), all.is_kept), (MAX_FORKS, false));
    let gone = all.streams.into_iter().filter(|fork| fork != "7").collect();
    assert_eq!(list(ForkList::Drop(gone)).await.streams, ["7"]);

    assert!(engine.delete(&log).await);
    let kept = list(ForkList::Show).await;
    assert_eq!((kept.streams, kept.is_kept), (vec!["7".to_owned()], true));
    let write = writer.next(&["again"]);
    assert_eq!(writer.outcome(&write).await, LogOutcome::Kept);
    assert_eq!(list(ForkList::Drop(vec!["7".to_owned()])).await, Forks::default());
    writer.append(&["anew"]).await;
    assert_eq!(texts(&engine, Position::Start).await, ["anew"]);
}
