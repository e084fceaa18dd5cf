//! One Redis server for all cases. It goes with this process: a shell waits for the end of its input and then kills it.

use std::{
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

use tidemark::{
    Config,
    config::LogLevel,
    store::{Listener, SharedStore, redis::RedisStore},
};
use ulid::Ulid;

use crate::rights;

static SERVER: LazyLock<Server> = LazyLock::new(Server::start);

struct Server {
    url: String,
    /// Its input is closed by the end of this process, and by nothing before.
    _shell: Child,
}

pub fn open(prefix: &str, node: Ulid, listener: Arc<dyn Listener>) -> SharedStore {
    let config = Config {
        url: SERVER.url.clone(),
        tls: None,
        credentials: None,
        process: String::new(),
        key_prefix: prefix.to_owned(),
        ttl_active_ms: 3_600_000,
        ttl_done_ms: 3_600_000,
        lease_ms: 15_000,
        stop_grace_ms: 5_000,
        connect_timeout_ms: 5_000,
        command_timeout_ms: 5_000,
        flush_interval_ms: 0,
        write_interval_ms: 0,
        delivery_interval_ms: 2,
        ack_interval_ms: 250,
        max_queue_bytes: 1 << 20,
        compression: 6,
        log_level: LogLevel::Off,
    };
    Arc::new(RedisStore::open(&config, node, listener).unwrap())
}

impl Server {
    fn start() -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let server = std::env::var("REDIS_SERVER").unwrap_or_else(|_| "redis-server".to_owned());
        let script =
            r#""$0" "$@" --bind 127.0.0.1 --save '' --appendonly no >/dev/null & read -r _; kill $!"#;
        let shell = Command::new("sh")
            .args(["-c", script, &server, "--port", &port.to_string()])
            .args(rights::user(&["contract-*"]))
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(
                Instant::now() < deadline,
                "no answer from {server}: these tests need redis-server 6.2 or newer on the PATH"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        Self {
            url: format!("redis://{}127.0.0.1:{port}", rights::USER_INFO),
            _shell: shell,
        }
    }
}
