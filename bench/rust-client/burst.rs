//! The writer of a burst, as `bench/burst/writer.mjs`: a single stream gets its chunks at once, many get one each in turn.

use futures_util::future::join_all;
use serde::Deserialize;
use serde_json::json;

use crate::{
    clock::Used,
    producer::{Producer, Redis},
    words::{say, words},
};

/// As of the word of middle length that other subjects write.
const BYTES: usize = 48;

#[derive(Deserialize)]
pub struct Burst {
    url: String,
    streams: u32,
    chunks: u32,
    #[serde(default)]
    bytes: Option<usize>,
}

pub async fn write(burst: &Burst) {
    let redis = Redis::connect(&burst.url).await;
    let ids: Vec<_> = (0..burst.streams).map(|index| format!("burst-{index}")).collect();
    let event = |text: &str| json!({ "type": "text-delta", "id": "0", "delta": text });
    let length = burst.bytes.unwrap_or(BYTES) - event("").to_string().len();
    let event = event(&"x".repeat(length));
    let mut words = words();
    say(&json!("open"));
    while let Some(word) = words.recv().await {
        match word.as_str() {
            "write" => {
                let used = Used::new();
                let writers: Vec<_> = ids.iter().map(|id| Producer::new(&redis, id.clone())).collect();
                for _ in 0..burst.chunks {
                    for writer in &writers {
                        writer.room().await;
                        writer.push(event.to_string());
                    }
                    if writers.len() > 1 {
                        tokio::task::yield_now().await;
                    }
                }
                join_all(writers.iter().map(Producer::end)).await;
                say(&used.so_far());
            }
            "readBack" => {
                let found = join_all(ids.iter().map(|id| redis.found(id))).await;
                say(&json!({ "found": found.iter().sum::<u64>() }));
            }
            other => panic!("no word {other}"),
        }
    }
}
