//! What happens to the two connections, and what the stores say about it.

use std::time::{Duration, Instant};

use tidemark::{
    Error,
    model::connection::ConnectionState,
    store::{IfActive, LiveMessage, Position},
};

use super::support::*;

#[tokio::test]
async fn scripts_that_the_server_forgot_are_given_again() {
    let (server, store, stream, a) = begun().await;
    server.run::<String>("SCRIPT FLUSH").await;
    assert_eq!(
        append(&store, &stream, &batch(&a, a.generation, 1, Some(0), &["a"])).await,
        done(1)
    );
    assert_eq!(texts(&read(&store, &stream, Position::Start, 99).await), ["a"]);
}

#[tokio::test]
async fn g7_stores_share_two_connections_and_close_them() {
    let server = Server::start();
    let (one, heard_one) = open(&config(&server.url()));
    let (two, heard_two) = open(&config(&format!("{}/0", server.url())));
    assert_eq!(one.state(), ConnectionState::Idle);
    let stream = id("chat");
    for store in [&one, &two] {
        store.connect().await.unwrap();
        store.listen(&stream).await.unwrap();
        assert_eq!(store.state(), ConnectionState::Ready);
    }
    let a = start(IfActive::Error);
    one.start(&stream, &a).await.unwrap();
    one.append(&stream, &batch(&a, a.generation, 1, Some(0), &["a"]))
        .await
        .unwrap();
    let arrived = |event: &Event| matches!(event, Event::Live(LiveMessage::Frame { .. })).then_some(());
    heard_one.wait(arrived).await;
    heard_two.wait(arrived).await;
    let clients = server.clients().await;
    assert_eq!(clients.len(), 2, "{clients:?}");

    // Closing one store does not disturb the other.
    one.close().await.unwrap();
    heard_one.wait_state(ConnectionState::Closed).await;
    assert_eq!(one.state(), ConnectionState::Closed);
    assert_eq!(one.status(&stream).await, Err(Error::Closed));
    heard_one.clear();
    heard_two.clear();
    two.start(&stream, &start(IfActive::Takeover)).await.unwrap();
    heard_two.wait_end(a.generation).await;
    assert!(heard_one.events().is_empty(), "{:?}", heard_one.events());
    assert_eq!(server.clients().await.len(), 2);

    two.close().await.unwrap();
    until("both connections are closed", async || {
        server.clients().await.is_empty()
    })
    .await;
}

#[tokio::test]
async fn what_nobody_listens_to_is_unsubscribed() {
    let server = Server::start();
    let (one, heard) = open(&config(&server.url()));
    let (two, _) = open(&config(&server.url()));
    let stream = id("chat");
    one.listen(&stream).await.unwrap();
    two.listen(&stream).await.unwrap();
    let channels = async || server.run::<Vec<String>>("PUBSUB CHANNELS").await;
    one.unlisten(&stream);
    let a = start(IfActive::Error);
    two.start(&stream, &a).await.unwrap();
    assert_eq!(
        channels().await.len(),
        3,
        "the stream's and the two names of the control channel of `two`"
    );
    assert!(
        !heard
            .events()
            .iter()
            .any(|event| matches!(event, Event::Live(..)))
    );
    two.unlisten(&stream);
    until("unsubscribed", async || channels().await.len() == 2).await;
    two.listen(&stream).await.unwrap();
    assert_eq!(channels().await.len(), 3);
    drop(two);
    until("a dropped store listens to nothing", async || {
        channels().await.is_empty()
    })
    .await;
    drop(one);
    until("a dropped store has no connection", async || {
        server.clients().await.is_empty()
    })
    .await;
}

#[tokio::test]
async fn many_streams_are_subscribed_in_batches() {
    let (server, store) = served();
    let streams: Vec<_> = (0..1000).map(|n| id(&n.to_string())).collect();
    let listening = futures_util::future::join_all(streams.iter().map(|stream| store.listen(stream)));
    for outcome in listening.await {
        outcome.unwrap();
    }
    let stats: String = server.run("INFO commandstats").await;
    let line = stats
        .lines()
        .find(|line| line.starts_with("cmdstat_subscribe:"))
        .unwrap();
    let calls: u64 = line.split(['=', ',']).nth(1).unwrap().parse().unwrap();
    assert!(calls <= 12, "{line}");
}

#[tokio::test]
async fn g1_killed_connections_come_back_and_everything_is_listened_to() {
    let server = Server::start();
    let (store, heard) = open(&config(&server.url()));
    let streams: Vec<_> = (0..250).map(|n| id(&format!("s{n}"))).collect();
    for stream in &streams {
        store.listen(stream).await.unwrap();
    }
    let a = start(IfActive::Error);
    store.start(&streams[0], &a).await.unwrap();
    heard.clear();
    for (client, _) in server.clients().await {
        server.run::<u64>(&format!("CLIENT KILL ID {client}")).await;
    }
    heard
        .wait(|event| matches!(event, Event::Restored).then_some(()))
        .await;
    let subscribed: Vec<String> = server.run("PUBSUB CHANNELS").await;
    assert_eq!(subscribed.len(), 252);
    // The first command may be the one that finds the connection gone.
    until("commands work again", async || {
        let retried = batch(&a, a.generation, 1, Some(0), &["a"]);
        match store.append(&streams[0], &retried).await {
            Ok(appended) => appended == done(1),
            Err(error) => {
                assert_eq!(error.code(), "ERR_CONNECTION", "{error}");
                false
            }
        }
    })
    .await;
    heard
        .wait(|event| matches!(event, Event::Live(LiveMessage::Frame { .. })).then_some(()))
        .await;
    heard.wait_state(ConnectionState::Reconnecting).await;
    heard.wait_state(ConnectionState::Ready).await;
    let restored = heard
        .events()
        .iter()
        .filter(|event| matches!(event, Event::Restored))
        .count();
    assert_eq!(restored, 1);
    assert_eq!(server.clients().await.len(), 2);
}

#[tokio::test]
async fn g8_an_outage_is_told_and_overcome() {
    let mut server = Server::start();
    let mut settings = config(&server.url());
    settings.connect_timeout_ms = 300;
    let (store, heard) = open(&settings);
    let stream = id("chat");
    store.connect().await.unwrap();
    store.listen(&stream).await.unwrap();
    server.kill();
    heard.wait_state(ConnectionState::Degraded).await;
    assert_eq!(store.state(), ConnectionState::Degraded);
    until("commands fail too", async || {
        store
            .status(&stream)
            .await
            .is_err_and(|error| error.code() == "ERR_CONNECTION")
    })
    .await;
    let other = store.listen(&id("other")).await.unwrap_err();
    assert_eq!(other.code(), "ERR_CONNECTION");
    heard.clear();
    server.revive();
    heard.wait_state(ConnectionState::Ready).await;
    heard
        .wait(|event| matches!(event, Event::Restored).then_some(()))
        .await;
    assert_eq!(store.status(&stream).await.unwrap(), None);
    let subscribed: Vec<String> = server.run("PUBSUB CHANNELS").await;
    assert_eq!(
        subscribed,
        ["{tm:chat}:live"],
        "what failed is not listened to later"
    );
}

#[tokio::test]
async fn g10_an_unreachable_server_is_named_in_time_and_without_the_password() {
    let mut server = Server::start();
    server.kill();
    let address = format!("127.0.0.1:{}", server.port);
    let mut settings = config(&format!("redis://bob:sesame@{address}"));
    settings.connect_timeout_ms = 300;
    let (store, heard) = open(&settings);
    let began = Instant::now();
    let (command, live) = tokio::join!(store.connect(), async { store.listen(&id("chat")).await });
    assert!(
        began.elapsed() < Duration::from_millis(1500),
        "{:?}",
        began.elapsed()
    );
    for error in [command.unwrap_err(), live.unwrap_err()] {
        let text = error.to_string();
        assert!(
            matches!(&error, Error::Connection { address: a, .. } if *a == address),
            "{text}"
        );
        assert!(text.contains("refused"), "{text}");
        assert!(!text.contains("sesame") && !text.contains("bob"), "{text}");
    }
    heard.wait_state(ConnectionState::Degraded).await;
    let told = format!("{:?}", heard.events());
    assert!(
        told.contains("refused") && !told.contains("sesame") && !told.contains("bob"),
        "{told}"
    );
}

#[tokio::test]
async fn g10_wrong_credentials_are_told_at_once() {
    let server = Server::start();
    server
        .run::<String>("ACL SETUSER ann on >right ~* &* +@all -script -client")
        .await;
    server.run::<String>("ACL SETUSER default on >secret").await;
    let open_as = |who: &str| open(&config(&format!("redis://{who}127.0.0.1:{}", server.port)));
    for (who, words) in [
        ("ann:sesame@", "refused the user name or the password"),
        ("", "NOAUTH"),
    ] {
        let (store, _) = open_as(who);
        let began = Instant::now();
        for outcome in [store.connect().await, store.listen(&id("chat")).await] {
            let error = outcome.unwrap_err();
            assert_eq!(error.code(), "ERR_CONNECTION", "{error}");
            assert!(
                error.to_string().contains(words) && !error.to_string().contains("sesame"),
                "{error}"
            );
        }
        assert!(began.elapsed() < Duration::from_secs(4));
    }
    // Neither the right to load scripts nor the right to name the connection is needed.
    let (store, _) = open_as("ann:right@");
    store.start(&id("chat"), &start(IfActive::Error)).await.unwrap();
}

#[tokio::test]
async fn a_forbidden_channel_is_told_to_the_one_who_asked() {
    let server = Server::start();
    server
        .run::<String>("ACL SETUSER ann on >right ~* resetchannels &{tm:mine}:live +@all")
        .await;
    let (store, _) = open(&config(&format!("redis://ann:right@127.0.0.1:{}", server.port)));
    let (mine, other) = (id("mine"), id("other"));
    store.connect().await.unwrap();
    store.listen(&mine).await.unwrap();
    match store.listen(&other).await {
        Err(Error::Store {
            reason, retryable, ..
        }) => {
            assert!(!retryable && reason.starts_with("NOPERM"), "{reason}");
        }
        outcome => panic!("{outcome:?}"),
    }
    assert_eq!(store.state(), ConnectionState::Ready);
    assert_eq!(server.run::<u64>("PUBLISH {tm:mine}:live d").await, 1);
}

#[tokio::test]
async fn a_silent_server_is_a_timeout_and_gets_a_new_connection() {
    let server = Server::start();
    let mut settings = config(&server.url());
    settings.command_timeout_ms = 200;
    let (store, _) = open(&settings);
    let stream = id("chat");
    let a = start(IfActive::Error);
    store.start(&stream, &a).await.unwrap();
    let before = server.clients().await;
    server.run::<String>("CLIENT PAUSE 600 ALL").await;
    let retried = batch(&a, a.generation, 1, Some(0), &["a"]);
    let error = store.append(&stream, &retried).await.unwrap_err();
    assert_eq!(
        error,
        Error::Timeout {
            operation: "append",
            milliseconds: 200
        }
    );
    until("the server answers again", async || {
        store
            .append(&stream, &retried)
            .await
            .is_ok_and(|appended| appended == done(1))
    })
    .await;
    until("there is one new connection", async || {
        let commands = |clients: &[(String, bool)]| {
            clients
                .iter()
                .find(|(_, subscribes)| !subscribes)
                .map(|(client, _)| client.clone())
        };
        let now = server.clients().await;
        now.len() == 2 && commands(&now) != commands(&before)
    })
    .await;
}

#[tokio::test]
async fn refusals_say_whether_to_try_again() {
    let (server, store, stream, a) = begun().await;
    let retried = batch(&a, a.generation, 1, Some(0), &["a"]);
    let refusal = async || match store.append(&stream, &retried).await {
        Err(Error::Store {
            reason, retryable, ..
        }) => (reason, retryable),
        other => panic!("{other:?}"),
    };
    server.run::<String>("CONFIG SET maxmemory 1").await;
    let (reason, retryable) = refusal().await;
    assert!(retryable && reason.contains("OOM"), "{reason}");
    server.run::<String>("CONFIG SET maxmemory 0").await;

    server.run::<String>("REPLICAOF 127.0.0.1 1").await;
    let (reason, retryable) = refusal().await;
    assert!(retryable && reason.contains("READONLY"), "{reason}");
    server.run::<String>("REPLICAOF NO ONE").await;
    assert_eq!(append(&store, &stream, &retried).await, done(1));

    server.run::<u64>("DEL {tm:chat}:log").await;
    server.run::<String>("SET {tm:chat}:log x EX 60").await;
    let retried = batch(&a, a.generation, 2, Some(1), &["b"]);
    match store.append(&stream, &retried).await {
        Err(Error::Store {
            reason, retryable, ..
        }) => {
            assert!(!retryable && reason.contains("WRONGTYPE"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
}
