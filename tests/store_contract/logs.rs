//! `log`: anybody writes, each write is stored once, anybody closes, and nothing is interrupted.

use std::time::Duration;

use bytes::Bytes;
use tidemark::{
    Error,
    model::{
        ending::Outcome,
        frame::{FrameBuilder, Kind, PIECE, Reference, SealedFrame},
    },
    store::{
        Appended, IfActive, OwnerCheck, Piece, Position, Read, Seal, Start, Sweep, Swept,
        logs::{
            FOREVER, IfThere, LogConfig, LogCreate, LogHead, LogOutcome, LogProducer, LogWrite, LogWritten,
            NOBODY,
        },
    },
};
use ulid::Ulid;

use crate::{
    heard::Heard,
    world::{
        Engine, SHORT, World, frame_of, id, log_config, log_create, log_write, pass, read, start, write_log,
    },
};

pub fn producer(epoch: u64, seq: u64) -> LogProducer {
    let id = "p".to_owned();
    LogProducer { id, epoch, seq }
}

/// A writer.
pub struct Writer<'a> {
    engine: &'a Engine,
    id: Ulid,
    batch: u64,
}

impl<'a> Writer<'a> {
    pub fn new(engine: &'a Engine) -> Self {
        let id = Ulid::new();
        Self { engine, id, batch: 0 }
    }

    /// A write to a log that is created if it does not exist.
    pub fn next(&mut self, chunks: &[&str]) -> LogWrite {
        self.batch += 1;
        LogWrite {
            owner: OwnerCheck::Caller(None),
            writer: self.id,
            frame: frame_of(chunks),
            ..log_write(self.batch)
        }
    }

    pub async fn send(&self, write: &LogWrite) -> LogWritten {
        write_log(&self.engine.store, &id("log"), write)
            .await
            .expect("log")
    }

    pub async fn outcome(&self, write: &LogWrite) -> LogOutcome {
        self.send(write).await.outcome
    }

    pub async fn append(&mut self, chunks: &[&str]) -> LogHead {
        let write = self.next(chunks);
        let written = self.send(&write).await;
        assert!(
            matches!(written.outcome, LogOutcome::Written { .. }),
            "{written:?}"
        );
        written.head.unwrap()
    }
}

pub fn written(last: u64) -> LogOutcome {
    LogOutcome::Written { last, is_new: false }
}

pub async fn texts(engine: &Engine, position: Position) -> Vec<String> {
    let page = engine.page(&id("log"), position).await;
    let after = page.after;
    let chunks = page.frames.iter().flat_map(|frame| {
        (frame.first()..).zip(
            frame
                .chunks()
                .map(|chunk| String::from_utf8_lossy(chunk.data).into_owned()),
        )
    });
    chunks
        .filter(|(seq, _)| *seq > after)
        .map(|(_, text)| text)
        .collect()
}

pub async fn anybody_appends_and_anybody_closes(world: &World) {
    let (one, two) = (world.engine(), world.engine());
    two.listen(&id("log")).await;
    let (mut here, mut there) = (Writer::new(&one), Writer::new(&two));
    let first = here.next(&["a", "b"]);
    let is_new = true;
    assert_eq!(
        here.outcome(&first).await,
        LogOutcome::Written { last: 2, is_new }
    );
    let second = there.next(&["c"]);
    assert_eq!(there.outcome(&second).await, written(3));
    let status = two.status(&id("log")).await.unwrap();
    assert_eq!(
        (status.state.as_str(), status.producers, status.log),
        ("active", 0, Some(log_config()))
    );
    let close = LogWrite {
        close: true,
        ..there.next(&["d"])
    };
    let closed = there.send(&close).await;
    assert_eq!(closed.outcome, written(4));
    let complete = closed.head.unwrap().terminal.unwrap();
    assert_eq!(complete.outcome, Outcome::Complete);
    assert_eq!(there.send(&close).await.outcome, written(4), "once more");
    let again = LogWrite {
        close: true,
        ..here.next(&[])
    };
    assert_eq!(
        here.outcome(&again).await,
        written(4),
        "closing it again is nothing"
    );
    let late = here.next(&["e"]);
    assert_eq!(here.outcome(&late).await, LogOutcome::Closed);
    assert_eq!(texts(&one, Position::Start).await, ["a", "b", "c", "d"]);
    let page = one.page(&id("log"), Position::Start).await;
    assert_eq!(
        (page.terminal.unwrap().outcome, page.log),
        (Outcome::Complete, Some(log_config()))
    );
    let ended = Heard::Ended(page.generation, 4, complete);
    two.heard.wait(&id("log"), &ended).await;
}

pub async fn a_write_is_written_once(world: &World) {
    let engine = world.engine();
    let mut writer = Writer::new(&engine);
    let first = writer.next(&["a"]);
    let made = writer.send(&first).await;
    assert_eq!(writer.send(&first).await, made, "the stored answer");
    let second = writer.next(&["b"]);
    assert_eq!(writer.outcome(&second).await, written(2));
    assert_eq!(writer.outcome(&second).await, written(2));
    assert_eq!(
        writer.outcome(&first).await,
        LogOutcome::Late,
        "a copy that was under way for long"
    );
    assert_eq!(texts(&engine, Position::Start).await, ["a", "b"]);
}

pub async fn a_log_that_is_there_is_compared(world: &World) {
    let engine = world.engine();
    let mut writer = Writer::new(&engine);
    let make = |create: LogCreate, writer: &mut Writer<'_>, close: bool| LogWrite {
        create: Some(create),
        close,
        ..writer.next(&["body"])
    };
    let compared = || log_create(IfThere::Compare);
    let first = make(compared(), &mut writer, false);
    assert_eq!(
        writer.outcome(&first).await,
        LogOutcome::Written {
            last: 1,
            is_new: true
        }
    );
    let mut same = compared();
    "text/PLAIN".clone_into(&mut same.config.content_type);
    let same = make(same, &mut writer, false);
    assert_eq!(writer.outcome(&same).await, LogOutcome::Exists);
    for change in [
        |config: &mut LogConfig| "text/html".clone_into(&mut config.content_type),
        |config: &mut LogConfig| config.ttl_ms = Some(1000),
        |config: &mut LogConfig| config.expires_at = Some(4_000_000_000_000),
    ] {
        let mut other = compared();
        change(&mut other.config);
        let other = make(other, &mut writer, false);
        assert_eq!(writer.outcome(&other).await, LogOutcome::Conflict);
    }
    let closed = make(compared(), &mut writer, true);
    assert_eq!(writer.outcome(&closed).await, LogOutcome::Conflict);
    let typed = LogWrite {
        essence: Some("text/html".to_owned()),
        ..writer.next(&["x"])
    };
    assert_eq!(writer.outcome(&typed).await, LogOutcome::ContentType);
    let absent = LogWrite {
        create: None,
        ..writer.next(&["x"])
    };
    let missing = write_log(&engine.store, &id("another"), &absent).await.unwrap();
    assert_eq!((missing.outcome, missing.head), (LogOutcome::Missing, None));
    assert_eq!(texts(&engine, Position::Start).await, ["body"]);
}

pub async fn chunks_are_counted_from_either_end(world: &World) {
    let engine = world.engine();
    let mut writer = Writer::new(&engine);
    writer.append(&["a", "b"]).await;
    writer.append(&["c", "d"]).await;
    for (index, expected) in [
        (0, "abcd"),
        (1, "bcd"),
        (3, "d"),
        (4, ""),
        (9, ""),
        (-1, "d"),
        (-3, "bcd"),
        (-4, "abcd"),
        (-9, "abcd"),
        (i64::MIN, "abcd"),
    ] {
        let found = texts(&engine, Position::Index(index)).await.concat();
        assert_eq!(found, expected, "{index}");
    }
}

pub async fn a_large_chunk_comes_whole_or_not_at_all(world: &World) {
    let engine = world.engine();
    let mut writer = Writer::new(&engine);
    let head = writer.append(&["a"]).await;
    let large = Reference {
        id: Ulid::new(),
        ordinal: head.ordinal,
        kind: Kind::Bytes,
        length: 5 * PIECE,
    };
    let mut builder = FrameBuilder::default();
    builder.push(Kind::Large, &large.encode());
    let refers = LogWrite {
        generation: Some(head.generation),
        frame: builder.take(1, 0),
        large: Some(large),
        create: None,
        ..writer.next(&[])
    };
    assert_eq!(writer.outcome(&refers).await, LogOutcome::Incomplete);
    let put = async |index: usize| {
        let piece = Piece {
            generation: head.generation,
            producer: NOBODY,
            lease: FOREVER,
            large,
            index,
            data: Bytes::from(vec![7; PIECE]),
        };
        engine.store.put(&id("log"), &piece).await.unwrap()
    };
    for index in 0..large.pieces() {
        assert!(matches!(put(index).await, Appended::Done { .. }));
    }
    // What was refused leaves nothing behind.
    let gap = LogWrite {
        producer: Some(producer(0, 5)),
        ..refers.clone()
    };
    assert_eq!(writer.outcome(&gap).await, LogOutcome::Skipped { expected: 0 });
    assert_eq!(engine.store.piece(&id("log"), &large, 0).await.unwrap(), None);
    for index in 0..large.pieces() {
        put(index).await;
    }
    let other = LogWrite {
        generation: Some(Ulid::new()),
        ..refers.clone()
    };
    assert_eq!(writer.outcome(&other).await, LogOutcome::Renewed);
    assert_eq!(writer.outcome(&refers).await, written(2));
    assert!(engine.store.piece(&id("log"), &large, 4).await.unwrap().is_some());
}

pub async fn a_ttl_slides_and_an_end_does_not(world: &World) {
    let engine = world.engine();
    let wall = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let mut writer = Writer::new(&engine);
    let keep = SHORT * 10;
    let sliding = LogCreate {
        keep,
        ..log_create(IfThere::Write)
    };
    let write = LogWrite {
        create: Some(sliding),
        ..writer.next(&["a"])
    };
    writer.send(&write).await;
    let mut fixed = LogCreate {
        keep,
        ..log_create(IfThere::Write)
    };
    let end = wall + keep;
    fixed.config.expires_at = Some(u64::try_from(end.as_millis()).unwrap());
    let write = LogWrite {
        create: Some(fixed),
        ..writer.next(&["a"])
    };
    write_log(&engine.store, &id("fixed"), &write).await.unwrap();
    let caller = Read {
        owner: OwnerCheck::Caller(None),
        ..read(Position::Start)
    };
    for turn in 0..6 {
        tokio::time::sleep(SHORT * 2).await;
        assert!(
            engine.store.read(&id("log"), &caller).await.unwrap().is_some(),
            "{turn}"
        );
        engine.store.read(&id("fixed"), &caller).await.unwrap();
        assert!(engine.list(100).await.contains(&id("log")), "{turn}");
    }
    assert!(
        !engine.exists(&id("fixed")).await,
        "its time is over, however much it was read"
    );
    pass(keep).await;
    assert!(!engine.exists(&id("log")).await, "nobody has used it");
    let made = writer.next(&["again"]);
    assert_eq!(
        writer.outcome(&made).await,
        LogOutcome::Written {
            last: 1,
            is_new: true
        }
    );
}

pub async fn a_log_is_nobodys_to_take(world: &World) {
    let engine = world.engine();
    let mut writer = Writer::new(&engine);
    writer.append(&["a"]).await;
    for if_active in [IfActive::Error, IfActive::Takeover, IfActive::Share] {
        let refused = engine
            .store
            .start(&id("log"), &Start { if_active, ..start() })
            .await;
        assert!(
            matches!(refused, Err(Error::Active { .. })),
            "{if_active:?} {refused:?}"
        );
    }
    engine.produce(&id("chat")).await;
    let write = writer.next(&["x"]);
    let other = write_log(&engine.store, &id("chat"), &write).await.unwrap();
    assert_eq!(other.outcome, LogOutcome::Other);
    let sweep = Sweep {
        older_than: Duration::ZERO,
        outcomes: vec![Outcome::Complete, Outcome::Interrupted],
        force: false,
        dry_run: false,
    };
    assert_eq!(
        engine.store.sweep(&[id("log")], &sweep).await.unwrap(),
        [Swept::Live]
    );
}

pub async fn only_the_owner_uses_it(world: &World) {
    let engine = world.engine();
    let mut writer = Writer::new(&engine);
    let mut owned = writer.next(&["a"]);
    owned.create.as_mut().unwrap().owner = Some("anna".to_owned());
    writer.send(&owned).await;
    let stranger = LogWrite {
        owner: OwnerCheck::Caller(Some("ben".to_owned())),
        ..writer.next(&["b"])
    };
    let refused = write_log(&engine.store, &id("log"), &stranger).await;
    assert!(matches!(refused, Err(Error::Forbidden { .. })), "{refused:?}");
    let anna = LogWrite {
        owner: OwnerCheck::Caller(Some("anna".to_owned())),
        ..writer.next(&["b"])
    };
    assert_eq!(writer.outcome(&anna).await, written(2));
}

pub async fn a_log_is_deleted_with_its_writers(world: &World) {
    let engine = world.engine();
    engine.listen(&id("log")).await;
    let mut writer = Writer::new(&engine);
    let write = LogWrite {
        producer: Some(producer(3, 0)),
        order: Some("z".to_owned()),
        ..writer.next(&["a"])
    };
    let before = writer.send(&write).await.head.unwrap();
    assert!(engine.delete(&id("log")).await);
    engine.heard.wait(&id("log"), &Heard::Deleted).await;
    let write = LogWrite {
        producer: Some(producer(0, 0)),
        order: Some("a".to_owned()),
        ..writer.next(&["b"])
    };
    let written = writer.send(&write).await;
    assert_eq!(
        written.outcome,
        LogOutcome::Written {
            last: 1,
            is_new: true
        }
    );
    let after = written.head.unwrap();
    assert!(after.generation > before.generation && after.ordinal > before.ordinal);
}

pub async fn a_stop_is_told_to_those_who_write(world: &World) {
    let engine = world.engine();
    let mut writer = Writer::new(&engine);
    writer.append(&["a"]).await;
    engine.stop(&id("log"), "enough").await;
    assert_eq!(writer.append(&["b"]).await.stop.as_deref(), Some("enough"));
    let close = LogWrite {
        close: true,
        ..writer.next(&[])
    };
    let terminal = writer.send(&close).await.head.unwrap().terminal.unwrap();
    assert_eq!(
        (terminal.outcome, terminal.reason.as_str()),
        (Outcome::Stopped, "enough")
    );
}

pub async fn a_log_is_sealed_as_every_stream(world: &World) {
    let engine = world.engine();
    let mut writer = Writer::new(&engine);
    for text in ["a", "b", "c"] {
        writer.append(&[text]).await;
    }
    let page = engine.page(&id("log"), Position::AfterSealed).await;
    let frame = SealedFrame::of(&page.frames, 6).unwrap();
    let replaced = page.frames.iter().map(tidemark::model::frame::Frame::size).sum();
    let seal = Seal {
        after: 0,
        frame,
        replaced,
    };
    let write = LogWrite {
        create: None,
        seal: Some(seal.clone()),
        ..writer.next(&[])
    };
    let sealed = writer.send(&write).await;
    assert_eq!((sealed.outcome, sealed.head.unwrap().open), (written(3), 0));
    let again = LogWrite {
        create: None,
        seal: Some(seal),
        ..writer.next(&[])
    };
    assert_eq!(writer.outcome(&again).await, LogOutcome::Unsealed);
    writer.append(&["d"]).await;
    assert_eq!(texts(&engine, Position::Start).await, ["a", "b", "c", "d"]);
}
