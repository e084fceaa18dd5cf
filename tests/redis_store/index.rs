//! Entries of the index: late ones of an earlier generation do not harm those of the next.

use super::support::*;

const INDEX: &str = concat!(
    include_str!("../../src/store/redis/lua/clock.lua"),
    include_str!("../../src/store/redis/lua/books.lua"),
    include_str!("../../src/store/redis/lua/index.lua"),
);

#[tokio::test]
async fn an_entry_is_as_long_as_the_generation_that_has_set_it_says() {
    let server = Server::start();
    let mut redis = server.connection().await;
    let mut enter = async |ttl: u64, tag: u64, is_last: bool| {
        let mut command = redis::cmd("EVAL");
        command
            .arg(INDEX)
            .arg(1)
            .arg("index")
            .arg("chat")
            .arg(ttl)
            .arg(tag);
        let () = command
            .arg(u8::from(is_last))
            .query_async(&mut redis)
            .await
            .unwrap();
        let score: f64 = redis::cmd("ZSCORE")
            .arg("index")
            .arg("chat")
            .query_async(&mut redis)
            .await
            .unwrap();
        (score.floor(), score.fract() * 1024.0)
    };
    let (first, tag) = enter(60_000, 1, false).await;
    assert!((tag - 1.0).abs() < 0.5, "{tag}");
    let (second, tag) = enter(1_000, 2, false).await;
    assert!(
        second > first && second < first + 30_000.0,
        "another time than the one that was seen, but not a shorter one: {first}, {second}"
    );
    assert!((tag - 2.0).abs() < 0.5, "{tag}");
    let (late, tag) = enter(500, 1, true).await;
    assert!(
        (late - second).abs() < 0.5,
        "the end of the one before: {late}, {second}"
    );
    assert!((tag - 2.0).abs() < 0.5, "{tag}");
    let (end, _) = enter(500, 2, true).await;
    assert!(end < second - 30_000.0, "its own end: {second}, {end}");
    server.expect_ttls().await;
}
