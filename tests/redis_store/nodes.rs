//! Nodes that vouch for their producers.

use std::time::Duration;

use tidemark::store::{ControlMessage, IfActive, Position, Renew};

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

#[tokio::test]
async fn g5_whoever_hears_of_a_server_of_an_older_version_does_not_vouch() {
    let server = Server::start();
    let (store, heard) = open(&config(&server.url()));
    let (stream, a) = (id("chat"), start(IfActive::Error));
    let lease = Duration::from_secs(10);
    store.vouch(lease * 2).await.unwrap();
    store.start(&stream, &a).await.unwrap();
    let vouched = async || read(&store, &stream, Position::Now, 0).await.head.vouched;
    let renew = Renew {
        generation: a.generation,
        producer: a.producer,
        lease,
    };
    store.renew(&stream, &renew).await.unwrap();
    assert!(vouched().await.is_some());
    // A version before ADR 38 takes the end of the lease for a part of the node's name.
    let of_older = async || {
        server
            .run::<Vec<String>>("PUBSUB CHANNELS tm:node:*L300000")
            .await
    };
    until("it listens", async || of_older().await.len() == 1).await;
    redis::cmd("PUBLISH")
        .arg(&of_older().await[0])
        .arg(format!("r {}\nchat\n", a.generation))
        .exec_async(&mut server.connection().await)
        .await
        .unwrap();
    let suspected = heard
        .wait(|event| match event {
            Event::Control(ControlMessage::Suspected { generation }) => Some(*generation),
            _ => None,
        })
        .await;
    assert_eq!(suspected, a.generation);
    store.renew(&stream, &renew).await.unwrap();
    assert!(
        vouched().await.is_none(),
        "the lease counts, as that server reads it"
    );
}
