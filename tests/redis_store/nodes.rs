//! Nodes that vouch for their producers.

use std::time::Duration;

use tidemark::store::{IfActive, Position};

use super::support::*;

#[tokio::test]
async fn g5_a_node_vouches_for_an_only_producer_and_for_none_of_several() {
    let (_server, store) = served();
    let lease = Duration::from_secs(10);
    store.vouch(lease * 2).await.unwrap();
    for (name, if_active) in [("alone", IfActive::Error), ("shared", IfActive::Share)] {
        let (stream, a) = (id(name), start(if_active));
        store.start(&stream, &a).await.unwrap();
        let mut first = batch(&a, a.generation, 1, Some(0), &["x"]);
        first.lease = lease;
        assert_eq!(append(&store, &stream, &first).await, done(1));
        let vouched = async || read(&store, &stream, Position::Now, 0).await.head.vouched;
        let Some(by) = vouched().await else {
            assert_eq!(name, "shared");
            continue;
        };
        assert_eq!(name, "alone");
        assert!(by.left > lease * 2, "{by:?}");
        assert!(store.vouched(by.node).await.unwrap() > Duration::ZERO);
        store.release(&stream, a.producer, false);
        until("it has left", || async { vouched().await.is_none() }).await;
    }
}
