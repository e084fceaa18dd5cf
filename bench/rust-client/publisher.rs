//! The publisher of a live run: an open loop, as `bench/live/publisher.mjs`.

use std::{rc::Rc, time::Duration};

use serde_json::json;
use tokio::{sync::oneshot, time::sleep};

use crate::{
    clock::{Used, now},
    load::{Load, stream_id},
    producer::{Producer, Redis},
    words::{say, words},
};

pub async fn publish(load: &Load) {
    let redis = Redis::connect(&load.url).await;
    let writers: Vec<_> = (0..load.streams)
        .map(|index| Producer::new(&redis, stream_id(index)))
        .collect();
    let mut words = words();
    let mut published = None;
    say(&json!("open"));
    while let Some(word) = words.recv().await {
        match word.as_str() {
            "warmUp" => published = Some(offer_all(load, &writers).await),
            "finish" => say(&published.take().unwrap().await.unwrap()),
            "end" => {
                for writer in &writers {
                    writer.end().await;
                }
                say(&json!("ended"));
            }
            other => panic!("no word {other}"),
        }
    }
}

/// Begins, says when the warm-up is over, and gives what will say what was used after it.
async fn offer_all(load: &Load, writers: &[Rc<Producer>]) -> oneshot::Receiver<serde_json::Value> {
    let (warm_up, turns) = (load.warm_up_turns(), load.turns());
    let (per_turn, turn_ms) = (load.per_turn, load.turn_ms);
    let (warm, warmed_up) = oneshot::channel();
    let (done, results) = oneshot::channel();
    let writers = writers.to_vec();
    tokio::task::spawn_local(async move {
        let start = now();
        let mut warm = Some(warm);
        let mut used = Used::new();
        let mut turn = 0;
        while turn < turns {
            let time = now();
            while turn < turns && start + f64::from(turn) * turn_ms <= time {
                if turn == warm_up {
                    used = Used::new();
                    warm.take().map(|warm| warm.send(()));
                }
                offer(
                    &writers,
                    turn * per_turn..(turn + 1) * per_turn,
                    start + f64::from(turn) * turn_ms,
                    turn_ms,
                );
                turn += 1;
            }
            let pause = (start + f64::from(turn) * turn_ms - now()).max(0.0);
            sleep(Duration::from_secs_f64(pause.ceil() / 1e3)).await;
        }
        let mut results = used.so_far();
        results["written"] = json!((turns - warm_up) * per_turn);
        results["backlog"] = json!(writers.iter().map(|writer| writer.waiting()).sum::<usize>());
        let _ = done.send(results);
    });
    warmed_up.await.unwrap();
    say(&json!("warm"));
    results
}

/// A chunk that is more than a turn late counts from when it was due.
fn offer(writers: &[Rc<Producer>], chunks: std::ops::Range<u32>, due: f64, turn_ms: f64) {
    let time = now();
    let offered = if time - due > turn_ms { due } else { time };
    for chunk in chunks {
        let index = chunk as usize % writers.len();
        let number = chunk as usize / writers.len() + 1;
        let event =
            json!({ "type": "text-delta", "id": "0", "delta": " compilers", "t": offered, "n": number });
        writers[index].push(event.to_string());
    }
}
