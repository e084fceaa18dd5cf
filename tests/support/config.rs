//! The configuration of a store in tests.

use tidemark::{Config, config::LogLevel};

pub fn config_of(url: &str, prefix: &str) -> Config {
    Config {
        url: url.to_owned(),
        tls: None,
        credentials: None,
        process: String::new(),
        key_prefix: prefix.to_owned(),
        ttl_active_ms: 3_600_000,
        ttl_done_ms: 3_600_000,
        lease_ms: 60_000,
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
    }
}
