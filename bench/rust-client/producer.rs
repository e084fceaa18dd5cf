//! A stream's writer: chunks gather while flushes are under way, as in `bench/subjects/handmade/producer.mjs`.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use redis::aio::MultiplexedConnection;
use tokio::sync::Notify;

const MOST_CHUNKS: usize = 256;
const MOST_FLUSHES: usize = 4;
const MOST_WAITING: usize = 2048;

/// An entry for each chunk, and one message.
const SCRIPT: &str = r"
    local seq = tonumber(ARGV[1])
    for i = 2, #ARGV do redis.call('XADD', KEYS[1], '0-' .. seq, 'd', ARGV[i]) seq = seq + 1 end
    if ARGV[1] == '1' then redis.call('EXPIRE', KEYS[1], 3600) end
    return redis.call('PUBLISH', KEYS[2], ARGV[1] .. '\n' .. table.concat(ARGV, '\n', 2))";

/// Marks the end.
pub const END: &str = "null";

pub struct Redis {
    connection: MultiplexedConnection,
    hash: String,
}

impl Redis {
    pub async fn connect(url: &str) -> Rc<Self> {
        let client = redis::Client::open(url).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let script = redis::Script::new(SCRIPT);
        script.prepare_invoke().load_async(&mut connection).await.unwrap();
        Rc::new(Self {
            connection,
            hash: script.get_hash().to_owned(),
        })
    }

    /// How many entries a stream has, its end left out.
    pub async fn found(&self, id: &str) -> u64 {
        let mut length = redis::cmd("XLEN");
        let entries: u64 = length
            .arg(key(id))
            .query_async(&mut self.connection.clone())
            .await
            .unwrap();
        entries.saturating_sub(1)
    }
}

fn key(id: &str) -> String {
    format!("plain:{id}")
}

pub struct Producer {
    redis: Rc<Redis>,
    id: String,
    waiting: RefCell<Vec<String>>,
    next: Cell<u64>,
    flushes: Cell<usize>,
    settled: Notify,
}

impl Producer {
    pub fn new(redis: &Rc<Redis>, id: String) -> Rc<Self> {
        Rc::new(Self {
            redis: Rc::clone(redis),
            id,
            waiting: RefCell::default(),
            next: Cell::new(1),
            flushes: Cell::new(0),
            settled: Notify::new(),
        })
    }

    pub fn push(self: &Rc<Self>, chunk: String) {
        self.waiting.borrow_mut().push(chunk);
        self.flush();
    }

    pub fn waiting(&self) -> usize {
        self.waiting.borrow().len()
    }

    /// Waits until there is room for more.
    pub async fn room(&self) {
        while self.waiting() >= MOST_WAITING {
            self.settled.notified().await;
        }
    }

    pub async fn end(self: &Rc<Self>) {
        self.push(END.to_owned());
        while self.flushes.get() > 0 || self.waiting() > 0 {
            self.settled.notified().await;
        }
    }

    /// An idle writer sends what it has, once this turn's chunks have come; a busy one only full batches.
    fn flush(self: &Rc<Self>) {
        if self.flushes.get() > 0 && (self.flushes.get() >= MOST_FLUSHES || self.waiting() < MOST_CHUNKS) {
            return;
        }
        self.flushes.set(self.flushes.get() + 1);
        let producer = Rc::clone(self);
        tokio::task::spawn_local(async move {
            producer.send().await;
            producer.flushes.set(producer.flushes.get() - 1);
            producer.settled.notify_one();
            if producer.waiting() > 0 {
                producer.flush();
            }
        });
    }

    async fn send(&self) {
        let chunks = {
            let mut waiting = self.waiting.borrow_mut();
            let count = waiting.len().min(MOST_CHUNKS);
            waiting.drain(..count).collect::<Vec<_>>()
        };
        if chunks.is_empty() {
            return;
        }
        let first = self.next.get();
        self.next.set(first + chunks.len() as u64);
        let mut command = redis::cmd("EVALSHA");
        command
            .arg(&self.redis.hash)
            .arg(2)
            .arg(key(&self.id))
            .arg(&self.id);
        command.arg(first).arg(chunks);
        let mut connection = self.redis.connection.clone();
        let _: u64 = command.query_async(&mut connection).await.unwrap();
    }
}
