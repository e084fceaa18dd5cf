//! What only this store does; everything else is in `tests/store_contract`.

use std::{sync::Weak, thread};

use futures_util::FutureExt;
use tokio::time::advance;

use super::*;
use crate::{
    model::{
        frame::{FrameBuilder, Kind},
        ttl::Ttl,
    },
    store::{ControlMessage, FinishedNews, IfActive, IfEnded, LiveMessage, Position},
};

const MINUTE: Duration = Duration::from_secs(60);

/// Notes the last seqs that it gets, and calls its store from within the notification.
#[derive(Default)]
struct Reentrant {
    lasts: Mutex<Vec<u64>>,
    store: Mutex<Option<Weak<dyn Store>>>,
}

impl Listener for Reentrant {
    fn on_live(&self, stream: &StreamId, message: LiveMessage) {
        let store = self.store.lock().unwrap().clone();
        if let Some(store) = store.and_then(|store| store.upgrade()) {
            assert!(store.status(stream).now_or_never().unwrap().unwrap().is_some());
            store.unlisten(stream);
        }
        if let LiveMessage::Frame { last, .. } = message {
            self.lasts.lock().unwrap().push(last);
        }
    }

    fn on_control(&self, _stream: &StreamId, _message: ControlMessage) {}
    fn on_finished(&self, _news: FinishedNews) {}
    fn on_restored(&self) {}
    fn on_state(&self, _state: ConnectionState, _reason: &str) {}
}

fn open(name: &str, prefix: &str) -> SharedStore {
    MemoryStore::open(name, prefix, Ulid::new(), Arc::new(Reentrant::default()))
}

fn id(text: &str) -> StreamId {
    StreamId::new(text).unwrap()
}

fn shared(ttl: Duration) -> Start {
    Start {
        generation: Ulid::new(),
        producer: Ulid::new(),
        if_active: IfActive::Share,
        if_ended: IfEnded::Restart,
        owner: None,
        metadata: None,
        lease: MINUTE * 60,
        ttl: Ttl {
            active: ttl,
            done: ttl,
        },
    }
}

fn write(started: &Started, producer: Ulid, batch: u64) -> Append {
    let mut builder = FrameBuilder::default();
    builder.push(Kind::Text, b"chunk");
    Append {
        generation: started.generation,
        producer,
        batch,
        expected: None,
        frame: builder.take(1, 1),
        large: None,
        terminal: None,
        seal: None,
        lease: MINUTE * 60,
    }
}

async fn exists(store: &SharedStore, stream: &str) -> bool {
    store.status(&id(stream)).await.unwrap().is_some()
}

#[tokio::test]
async fn a_space_ends_with_its_last_store() {
    let (first, second, other) = (open("ends", "a"), open("ends", "a"), open("ends", "b"));
    assert_eq!(first.state(), ConnectionState::Ready, "from the start");
    first.start(&id("chat"), &shared(MINUTE)).await.unwrap();
    assert!(exists(&second, "chat").await);
    assert!(!exists(&other, "chat").await, "another prefix");
    assert!(!exists(&open("another keyspace", "a"), "chat").await);
    first.close().await.unwrap();
    drop(second);
    assert!(exists(&open("ends", "a"), "chat").await, "one store is left");
    other.close().await.unwrap();
    assert!(!exists(&open("ends", "a"), "chat").await);
}

#[tokio::test]
async fn a_listener_may_call_back() {
    let ear = Arc::new(Reentrant::default());
    let store = MemoryStore::open("re-entrant", "a", Ulid::new(), ear.clone());
    *ear.store.lock().unwrap() = Some(Arc::downgrade(&store));
    let start = shared(MINUTE);
    let started = store.start(&id("chat"), &start).await.unwrap();
    store.listen(&id("chat")).await.unwrap();
    for batch in 1..=3 {
        store
            .append(&id("chat"), &write(&started, start.producer, batch))
            .await
            .unwrap();
    }
    assert_eq!(
        *ear.lasts.lock().unwrap(),
        [1],
        "it stopped listening at the first"
    );
}

#[tokio::test]
async fn messages_are_in_order_whatever_thread_they_come_from() {
    const THREADS: u64 = 4;
    const EACH: u64 = 200;
    let ear = Arc::new(Reentrant::default());
    let reader = MemoryStore::open("threads", "a", Ulid::new(), ear.clone());
    reader.listen(&id("chat")).await.unwrap();
    let writers = (0..THREADS).map(|_| {
        thread::spawn(|| {
            let store = open("threads", "a");
            let start = shared(MINUTE);
            let started = store.start(&id("chat"), &start).now_or_never().unwrap().unwrap();
            for batch in 1..=EACH {
                let append = write(&started, start.producer, batch);
                store
                    .append(&id("chat"), &append)
                    .now_or_never()
                    .unwrap()
                    .unwrap();
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.join().unwrap();
    }
    assert_eq!(
        *ear.lasts.lock().unwrap(),
        (1..=THREADS * EACH).collect::<Vec<_>>()
    );
}

#[tokio::test(start_paused = true)]
async fn what_nobody_touches_is_swept() {
    let store = open("swept", "a");
    for number in 0..20 {
        let stream = id(&number.to_string());
        store.start(&stream, &shared(MINUTE)).await.unwrap();
    }
    let keep = Duration::from_secs(1);
    store
        .stop(&id("kept"), "", &OwnerCheck::Internal, keep)
        .await
        .unwrap();
    advance(MINUTE * 2).await;
    for _ in 0..6 {
        store.start(&id("live"), &shared(MINUTE)).await.unwrap();
    }
    let listed = store.list(ListCursor::default(), 100).await.unwrap();
    assert_eq!(listed, (vec![id("live")], None));
}

#[tokio::test(start_paused = true)]
async fn a_tombstone_lasts_for_a_minute() {
    let store = open("tombstone", "a");
    let start = shared(MINUTE * 60);
    let started = store.start(&id("chat"), &start).await.unwrap();
    assert!(store.remove(&id("chat"), &OwnerCheck::Internal).await.unwrap());
    advance(Duration::from_secs(59)).await;
    let append = write(&started, start.producer, 1);
    let told = store.append(&id("chat"), &append).await.unwrap();
    assert!(matches!(told, Appended::Ended(_)), "{told:?}");
    advance(Duration::from_secs(1)).await;
    let told = store.append(&id("chat"), &append).await.unwrap();
    assert_eq!(told, Appended::Missing);
}

#[tokio::test(start_paused = true)]
async fn a_producer_at_work_keeps_its_stream() {
    let store = open("renewing", "a");
    let start = shared(MINUTE);
    let started = store.start(&id("chat"), &start).await.unwrap();
    store
        .append(&id("chat"), &write(&started, start.producer, 1))
        .await
        .unwrap();
    let renew = Renew {
        generation: started.generation,
        producer: start.producer,
        lease: MINUTE,
    };
    for _ in 0..5 {
        advance(MINUTE / 2).await;
        store.renew(&id("chat"), &renew).await.unwrap();
    }
    let read = Read {
        position: Position::Start,
        max_bytes: 100,
        owner: OwnerCheck::Internal,
    };
    let page = store.read(&id("chat"), &read).await.unwrap().unwrap();
    assert_eq!(page.frames.len(), 1);
}
