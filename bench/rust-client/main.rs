//! The ceiling: a plain client of Redis in Rust, without JavaScript, that does what the hand-made peers do: one script for each flush,
//! chunks that gather while one is under way, one connection for messages. It repairs nothing and keeps nothing of what it
//! reads, so it is no product; what it costs is what a publication through Redis costs outside of Node.js.
//!
//! `rust-client ROLE TASK`: the task is the scenario's, in JSON; words come on stdin, answers go to stdout, a line of JSON each.

#![allow(clippy::unwrap_used, reason = "what fails is a defect, and ends the program")]

mod burst;
mod clock;
mod load;
mod producer;
mod publisher;
mod reader;
mod words;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut args = std::env::args().skip(1);
    let (role, task) = (args.next().unwrap(), args.next().unwrap());
    let role = async {
        match role.as_str() {
            "writer" => burst::write(&serde_json::from_str(&task).unwrap()).await,
            "publisher" => publisher::publish(&serde_json::from_str(&task).unwrap()).await,
            "reader" => reader::read(&serde_json::from_str(&task).unwrap()).await,
            other => panic!("no role {other}"),
        }
    };
    tokio::task::LocalSet::new().run_until(role).await;
}
