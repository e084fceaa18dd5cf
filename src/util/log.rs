//! The log for the program's operator: `tracing`'s events as JSON, passed to every sink that wants their level.
//!
//! Without a sink the level is `off`, and an event costs one relaxed load. Events name streams, generations, seqs and causes;
//! never payloads, metadata, owners or secrets.

use std::{
    fmt::{Debug, Display},
    sync::{
        Mutex, OnceLock, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use serde_json::{Map, Value, json};
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    level_filters::LevelFilter,
    span,
    subscriber::Interest,
};

use super::{sync::lock, time::millis};

/// Takes lines: objects of JSON with `id` (rising within the process), `time` (milliseconds since 1970), `level`, `message` and
/// what the event says. Must not block.
pub trait LogSink: Send + Sync {
    /// Takes a line.
    fn log(&self, line: &str);
}

type Sinks = Vec<(LevelFilter, Weak<dyn LogSink>)>;

static SINKS: Mutex<Sinks> = Mutex::new(Vec::new());

/// Gives the events of this level and the graver ones to a sink, for as long as it is there.
pub fn listen(level: LevelFilter, sink: Weak<dyn LogSink>) {
    static INSTALLED: OnceLock<()> = OnceLock::new();
    if level == LevelFilter::OFF {
        return;
    }
    {
        let mut sinks = lock(&SINKS);
        sinks.retain(|(_, sink)| sink.strong_count() > 0);
        sinks.push((level, sink));
    }
    INSTALLED.get_or_init(|| {
        // A host that has a subscriber of its own in this library cannot be: the crate is linked into nothing else.
        let _ = tracing::subscriber::set_global_default(Dispatch);
    });
    tracing::callsite::rebuild_interest_cache();
}

/// Logs a failure that nobody waits for.
pub(crate) fn dropped<T>(outcome: Result<T, impl Display>, what: &'static str) {
    if let Err(error) = outcome {
        tracing::warn!(cause = %error, "{what}");
    }
}

struct Dispatch;

fn most() -> LevelFilter {
    let sinks = lock(&SINKS);
    let levels = sinks.iter().map(|(level, _)| *level);
    levels.max().unwrap_or(LevelFilter::OFF)
}

impl Subscriber for Dispatch {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.enabled(metadata) {
            Interest::always()
        } else {
            Interest::never()
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with(env!("CARGO_CRATE_NAME")) && *metadata.level() <= most()
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(most())
    }

    fn event(&self, event: &Event<'_>) {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let level = *event.metadata().level();
        let sinks: Vec<_> = lock(&SINKS)
            .iter()
            .filter(|(wanted, _)| level <= *wanted)
            .filter_map(|(_, sink)| sink.upgrade())
            .collect();
        if sinks.is_empty() {
            return;
        }
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut line = Line(Map::new());
        line.put("id", json!(NEXT.fetch_add(1, Ordering::Relaxed)));
        line.put("time", json!(millis(time)));
        line.put("level", json!(level.as_str().to_ascii_lowercase()));
        event.record(&mut line);
        let line = Value::Object(line.0).to_string();
        for sink in sinks {
            sink.log(&line);
        }
    }

    // There are no spans.
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

struct Line(Map<String, Value>);

impl Line {
    fn put(&mut self, name: &str, value: Value) {
        // As the host's API calls it.
        let name = if name == "stream" { "streamId" } else { name };
        self.0.insert(name.to_owned(), value);
    }
}

impl Visit for Line {
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field.name(), json!(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field.name(), json!(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field.name(), json!(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field.name(), json!(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.put(field.name(), json!(format!("{value:?}")));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[derive(Default)]
    struct Lines(Mutex<Vec<String>>);

    impl LogSink for Lines {
        fn log(&self, line: &str) {
            lock(&self.0).push(line.to_owned());
        }
    }

    #[test]
    fn every_sink_gets_its_levels_for_as_long_as_it_is_there() {
        let (grave, all) = (Arc::new(Lines::default()), Arc::new(Lines::default()));
        let as_sink = |lines: &Arc<Lines>| {
            let sink: Arc<dyn LogSink> = lines.clone();
            Arc::downgrade(&sink)
        };
        listen(LevelFilter::WARN, as_sink(&grave));
        tracing::debug!("nobody wants this");
        listen(LevelFilter::DEBUG, as_sink(&all));
        tracing::warn!(stream = %"a\"b", seq = 7_u64, is_last = true, "grave");
        tracing::debug!("light");
        let of = |lines: &Lines| -> Vec<Value> {
            let lines = lock(&lines.0);
            let values = lines.iter().map(|line| serde_json::from_str(line).unwrap());
            // Other tests of this program may have something to say.
            values
                .filter(|line: &Value| {
                    line.get("message")
                        .is_some_and(|text| text == "grave" || text == "light")
                })
                .collect()
        };
        assert_eq!((of(&grave).len(), of(&all).len()), (1, 2));
        let line = &of(&all)[0];
        assert_eq!(line["streamId"], "a\"b");
        assert_eq!(
            (&line["seq"], &line["is_last"], &line["level"]),
            (&json!(7), &json!(true), &json!("warn"))
        );
        drop(all);
        tracing::debug!("light");
        assert_eq!(of(&grave).len(), 1);
    }
}
