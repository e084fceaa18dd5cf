//! The rooms of `src/` have doors that open one way: reads every import, and refuses one against the arrows and any circle of
//! imports between files.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// Each room, the most special first, and what it may import besides itself.
const ARROWS: &[(&str, &[&str])] = &[
    ("lib", &["config", "error", "model"]),
    ("error", &[]),
    ("util", &[]),
    ("config", &["error", "model"]),
    ("model", &["error", "util"]),
    ("redis", &["config", "error", "model/connection", "util"]),
    ("store/open", &["config", "error", "store", "store/memory", "store/redis"]),
    ("store/memory", &["store", "error", "model", "util"]),
    ("store/redis", &["store", "redis", "config", "error", "model", "util"]),
    ("store", &["error", "model", "util"]),
    ("sse", &["error", "model"]),
    ("engine", &["sse", "store", "store/open", "config", "error", "model", "util"]),
    ("binding", &["engine", "sse", "store", "config", "error", "model", "util"]),
];

/// Files by path without extension (`store/redis` for its `mod.rs`), and their text.
type Files = BTreeMap<String, String>;
type Imports = BTreeMap<String, BTreeSet<String>>;

fn is_in(file: &str, room: &str) -> bool {
    file.strip_prefix(room).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The room of a file: the one with the longest name.
fn room(file: &str) -> Option<&'static (&'static str, &'static [&'static str])> {
    let rooms = ARROWS.iter().filter(|(room, _)| is_in(file, room));
    rooms.max_by_key(|(room, _)| room.len())
}

/// `a::{b, c::{d, e}}` as `a::b`, `a::c::d`, `a::c::e`.
fn paths(tree: &str) -> Vec<String> {
    let Some((before, rest)) = tree.split_once('{') else { return vec![tree.trim().to_owned()] };
    let (mut depth, mut start, mut found) = (0, 0, Vec::new());
    let inner = &rest[..rest.rfind('}').unwrap_or(rest.len())];
    for (at, c) in inner.char_indices().chain([(inner.len(), ',')]) {
        depth += i32::from(c == '{') - i32::from(c == '}');
        if c == ',' && depth == 0 {
            found.extend(paths(&inner[start..at]).iter().map(|path| format!("{}{path}", before.trim())));
            start = at + 1;
        }
    }
    found
}

/// The `use` declarations of a text, as (whether public, path).
fn uses(text: &str) -> Vec<(bool, String)> {
    let statements = text.split(';').filter_map(|statement| {
        let statement = statement.rsplit(['}', ']']).find(|part| part.contains("use ")).unwrap_or_default();
        todo!()
    });
    statements.collect()
}
