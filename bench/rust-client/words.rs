//! What the benchmark asks, and the answers.

use std::io::BufRead;

use serde_json::Value;
use tokio::sync::mpsc;

/// The words on stdin. They end when the benchmark does.
pub fn words() -> mpsc::UnboundedReceiver<String> {
    let (sender, words) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            if line.is_err() || sender.send(line.unwrap_or_default()).is_err() {
                break;
            }
        }
    });
    words
}

pub fn say(answer: &Value) {
    println!("{answer}");
}
