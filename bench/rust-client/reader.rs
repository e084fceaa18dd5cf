//! The readers of a live run: one subscriber connection, a message parsed once for all readers of its stream, as the hand-made peers do.

use std::collections::HashMap;

use futures_util::StreamExt;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Duration, timeout};

use crate::{
    clock::{Used, now},
    load::{Load, stream_id},
    producer::END,
    words::{say, words},
};

const GRACE: Duration = Duration::from_secs(5);

#[derive(Deserialize)]
struct Event {
    n: u32,
    t: f64,
}

/// What one reader has seen.
#[derive(Clone, Default)]
struct Seen {
    last: u32,
    gaps: u32,
    duplicates: u32,
    has_ended: bool,
}

impl Seen {
    fn take(&mut self, number: u32) {
        if number <= self.last {
            self.duplicates += 1;
            return;
        }
        self.gaps += number - self.last - 1;
        self.last = number;
    }
}

struct Readers<'a> {
    load: &'a Load,
    /// Of each stream, its readers.
    seen: HashMap<String, (u32, Vec<Seen>)>,
    latencies: Vec<f64>,
    received: u64,
    used: Option<(Used, u64)>,
}

pub async fn read(load: &Load) {
    let client = redis::Client::open(load.url.as_str()).unwrap();
    let mut messages = client.get_async_pubsub().await.unwrap();
    for index in 0..load.streams {
        messages.subscribe(stream_id(index)).await.unwrap();
    }
    let mut messages = messages.into_on_message();
    let mut words = words();
    let fan = load.fan as usize;
    let mut readers = Readers {
        load,
        seen: (0..load.streams)
            .map(|index| (stream_id(index), (index, vec![Seen::default(); fan])))
            .collect(),
        latencies: Vec::new(),
        received: 0,
        used: None,
    };
    say(&json!("following"));
    loop {
        tokio::select! {
            message = messages.next() => {
                let message = message.unwrap();
                readers.take(message.get_channel_name(), std::str::from_utf8(message.get_payload_bytes()).unwrap());
            }
            word = words.recv() => match word.as_deref() {
                Some("settle") => say(&json!({ "catchUpMs": 0 })),
                Some("measure") => {
                    readers.measure();
                    say(&json!("measuring"));
                }
                Some("freeze") => say(&readers.used()),
                Some("results") => {
                    while !readers.are_done()
                        && let Ok(Some(message)) = timeout(GRACE, messages.next()).await
                    {
                        readers.take(message.get_channel_name(), std::str::from_utf8(message.get_payload_bytes()).unwrap());
                    }
                    say(&readers.results());
                }
                Some(other) => panic!("no word {other}"),
                None => return,
            },
        }
    }
}

impl Readers<'_> {
    fn measure(&mut self) {
        self.used.get_or_insert_with(|| (Used::new(), self.received));
    }

    /// The first line is the number of the first chunk, each further one a chunk.
    fn take(&mut self, channel: &str, message: &str) {
        let (index, _) = self.seen[channel];
        for chunk in message.split('\n').skip(1) {
            if chunk == END {
                let (_, readers) = self.seen.get_mut(channel).unwrap();
                for seen in readers {
                    seen.has_ended = true;
                }
                continue;
            }
            let event: Event = serde_json::from_str(chunk).unwrap();
            let is_measured = self.load.is_measured(index, event.n);
            if is_measured {
                self.measure();
            }
            let (_, readers) = self.seen.get_mut(channel).unwrap();
            for seen in readers {
                seen.take(event.n);
                self.received += 1;
                if is_measured {
                    self.latencies.push(now() - event.t);
                }
            }
        }
    }

    fn all(&self) -> impl Iterator<Item = (u32, &Seen)> {
        self.seen
            .values()
            .flat_map(|(index, readers)| readers.iter().map(|seen| (*index, seen)))
    }

    fn are_done(&self) -> bool {
        self.all().all(|(_, seen)| seen.has_ended)
    }

    fn used(&self) -> Value {
        let (used, received) = self.used.as_ref().unwrap();
        let mut used = used.so_far();
        used["received"] = json!(self.received - received);
        used
    }

    fn results(&mut self) -> Value {
        self.latencies.sort_by(f64::total_cmp);
        let of = |share: usize| self.latencies.get(self.latencies.len() * share / 1000);
        let is_complete = |(index, seen): &(u32, &Seen)| {
            seen.has_ended && (seen.last, seen.gaps, seen.duplicates) == (self.load.chunks_of(*index), 0, 0)
        };
        json!({
            "p50": of(500),
            "p99": of(990),
            "p999": of(999),
            "received": self.received,
            "complete": self.all().filter(is_complete).count(),
            "readers": self.all().count(),
            "gaps": self.all().map(|(_, seen)| seen.gaps).sum::<u32>(),
            "duplicates": self.all().map(|(_, seen)| seen.duplicates).sum::<u32>(),
            "errors": [],
        })
    }
}
