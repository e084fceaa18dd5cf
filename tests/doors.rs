//! The doors between the rooms of `src/` open one way: reads all imports, and refuses one against the arrows and any circle of
//! imports between files.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// Each room, and the rooms, or parts of them, that it may import from.
const DOORS: &str = "
    lib           config error model
    error
    util
    model         error
    config        model
    redis         config error model/connection util
    store         error model util
    store/memory  store error model util
    store/redis   legacy redis store config error model util
    store/open    legacy store/memory store/redis store config error
    legacy        store redis/fields error
    sse           error model
    engine        legacy sse store store/open config error model util
    binding       legacy engine sse store config error model util
";

/// The text of each file, by its module's path: `store/redis` for the `mod.rs` there, `lib` for the root.
type Files = BTreeMap<String, String>;
type Imports = BTreeMap<String, BTreeSet<String>>;

/// `a::{b, c::{self, d as e}}` as `a::b`, `a::c`, `a::c::d`.
fn flat(tree: &str) -> Vec<String> {
    let Some((before, group)) = tree.split_once('{') else {
        let path = tree.split(" as ").next().unwrap().trim();
        return vec![path.trim_end_matches("self").trim_end_matches("::").to_owned()];
    };
    let (mut depth, mut start, mut paths) = (0, 0, Vec::new());
    let group = &group[..group.rfind('}').unwrap()];
    for (at, c) in group.char_indices().chain([(group.len(), ',')]) {
        depth += i32::from(c == '{') - i32::from(c == '}');
        if c == ',' && depth == 0 {
            let parts = flat(&group[start..at])
                .into_iter()
                .filter(|part| !part.is_empty());
            paths.extend(parts.map(|part| format!("{}{part}", before.trim())));
            start = at + 1;
        }
    }
    paths
}

/// The paths that a file imports, and those that it hands on: no imports in a file that does nothing else.
fn paths(text: &str) -> [Vec<String>; 2] {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let [mut imported, mut handed_on] = [Vec::new(), Vec::new()];
    let mut has_code = false;
    let mut lines = code
        .lines()
        .map(str::trim_start)
        .filter(|line| !line.starts_with("//"));
    while let Some(line) = lines.next() {
        let (who, tree) = line.split_once("use ").unwrap_or((line, ""));
        if !tree.is_empty() && matches!(who, "" | "pub " | "pub(super) " | "pub(crate) ") {
            let rest = lines.by_ref();
            let mut tree = tree.to_owned();
            while !tree.contains(';') {
                tree += rest.next().unwrap();
            }
            let paths = flat(tree.trim_end_matches(';'));
            if who.is_empty() {
                &mut imported
            } else {
                &mut handed_on
            }
            .extend(paths);
        } else {
            let words = line.split(|c: char| !c.is_alphanumeric() && c != '_' && c != ':');
            let is_path = |word: &&str| word.starts_with("crate::") || word.starts_with("super::");
            imported.extend(words.filter(is_path).map(str::to_owned));
            has_code |= !line.is_empty() && !line.starts_with('#') && !line.contains("mod ");
        }
    }
    if has_code {
        imported.extend(handed_on.iter().cloned());
    }
    [imported, handed_on]
}

/// A path of a file from the root; `None` if it leads out of the crate.
fn absolute(files: &Files, file: &str, path: &str) -> Option<String> {
    let mut at: Vec<&str> = file.split('/').filter(|part| *part != "lib").collect();
    let first = path.split("::").next().unwrap();
    let is_child = files.contains_key(&[&at[..], &[first]].concat().join("/"));
    if first == "crate" {
        at.clear();
    } else if first != "self" && first != "super" && !is_child {
        return None;
    }
    for part in path
        .split("::")
        .filter(|part| !matches!(*part, "crate" | "self" | ""))
    {
        if part == "super" {
            at.pop();
        } else {
            at.push(part);
        }
    }
    Some(at.join("/"))
}

/// Where the thing itself is that a path names, which other files may hand on.
fn home(files: &Files, path: &str) -> String {
    let mut file = path;
    while !files.contains_key(file) {
        file = file.rsplit_once('/').map_or("lib", |(parent, _)| parent);
    }
    let rest = path.strip_prefix(file).unwrap_or(path).trim_start_matches('/');
    let is_it = |known: &String| !rest.is_empty() && known.rsplit("::").next() == rest.split('/').next();
    let [_, handed_on] = paths(&files[file]);
    match handed_on
        .into_iter()
        .find(is_it)
        .and_then(|path| absolute(files, file, &path))
    {
        Some(path) => home(files, &path),
        None => file.to_owned(),
    }
}

fn imports(files: &Files) -> Imports {
    let of = |(file, text): (&String, &String)| {
        let [imported, _] = paths(text);
        let paths = imported.iter().filter_map(|path| absolute(files, file, path));
        let homes = paths.map(|path| home(files, &path)).filter(|home| home != file);
        (file.clone(), homes.collect())
    };
    files.iter().map(of).collect()
}

/// The way that imports lead from one file to another.
fn way(imports: &Imports, from: &str, to: &str, seen: &mut BTreeSet<String>) -> Option<String> {
    if from == to {
        return Some(to.to_owned());
    }
    let next = imports.get(from).filter(|_| seen.insert(from.to_owned()))?;
    let rest = next.iter().find_map(|next| way(imports, next, to, seen))?;
    Some(format!("{from} → {rest}"))
}

/// What is wrong, each with file, import and rule; of the circles the shortest.
fn complaints(files: &Files) -> Vec<String> {
    let is_in = |file: &str, room: &str| file == room || file.starts_with(&format!("{room}/"));
    let doors = DOORS.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        Some((words.next()?, words.collect::<Vec<_>>()))
    });
    let doors: Vec<_> = doors.collect();
    let room = |file: &str| {
        let rooms = doors.iter().filter(|(room, _)| is_in(file, room));
        rooms.max_by_key(|(room, _)| room.len())
    };
    let imports = imports(files);
    let (mut complaints, mut circles) = (Vec::new(), Vec::new());
    for (file, import) in imports
        .iter()
        .flat_map(|(file, all)| all.iter().map(move |import| (file, import)))
    {
        let (Some((here, doors)), Some((there, _))) = (room(file), room(import)) else {
            complaints.push(format!("{file} or {import} is in no room"));
            continue;
        };
        let is_open = |door: &&str| is_in(import, door) && door.len() >= there.len();
        if here != there && !doors.iter().any(is_open) {
            complaints.push(format!(
                "{file} imports {import}: {here} may import from {doors:?} only"
            ));
        }
        if let Some(back) = way(&imports, import, file, &mut BTreeSet::new()) {
            circles.push(format!("{file} imports {import}, and so itself: {file} → {back}"));
        }
    }
    complaints.extend(
        circles
            .into_iter()
            .min_by_key(|circle| circle.matches('→').count()),
    );
    complaints
}

fn read(folder: &Path, name: &str, files: &mut Files) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        let stem = path.file_stem().unwrap().to_str().unwrap();
        let inner = if name.is_empty() {
            stem.to_owned()
        } else {
            format!("{name}/{stem}")
        };
        if path.is_dir() {
            read(&path, &inner, files);
        } else if path.extension().is_some_and(|end| end == "rs") && stem != "tests" {
            let inner = if stem == "mod" { name.to_owned() } else { inner };
            files.insert(inner, fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn doors_open_one_way_and_no_import_leads_back() {
    let mut files = Files::new();
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), "", &mut files);
    assert!(files.len() > 50, "{:?}", files.keys());
    let complaints = complaints(&files);
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn a_door_that_is_opened_the_wrong_way_is_named() {
    let well = "
        lib: mod engine; pub use error::Error;
        error: pub struct Error;
        model: pub mod frame;
        model/frame: use crate::Error; // crate::engine::hub
        redis: pub mod commands;
        redis/commands: use crate::{Error, model::connection::State};
        model/connection:
        store: mod values; pub use values::{Read, Start as Begin};
        store/values: use crate::model::{self, frame::{Frame, Kind}};
        store/redis: use super::values::Read;
        store/redis/keys: use crate::{redis::commands::Job, store::Read};
        engine: mod hub; use hub::Hub;
        engine/hub: use crate::store::Read;";
    let parse = |files: &str| -> Files {
        let files = files.lines().filter_map(|line| line.trim().split_once(':'));
        let text = |text: &str| text.trim().replace("; ", ";\n");
        files.map(|(file, code)| (file.to_owned(), text(code))).collect()
    };
    let plant = |planted: &str| complaints(&parse(&format!("{well}\n{planted}")));
    assert_eq!(plant(""), [""; 0]);
    for (planted, named) in [
        (
            "redis/commands: use crate::store::Read;",
            "redis/commands imports store/values",
        ),
        (
            "redis: use crate::model::frame::Frame;",
            "redis imports model/frame",
        ),
        (
            "store/values: fn f() -> crate::store::redis::Keys {}",
            "store/values imports store/redis",
        ),
        (
            "store/memory: use super::redis;",
            "store/memory imports store/redis",
        ),
        (
            "model/frame: use super::super::engine::{hub::Hub};",
            "model/frame imports engine/hub",
        ),
        (
            "engine/hub: use super::Engine;",
            "engine imports engine/hub, and so itself: engine → engine/hub → engine",
        ),
    ] {
        let complaints = plant(planted);
        assert!(
            complaints.iter().any(|complaint| complaint.starts_with(named)),
            "{planted}: {complaints:?}"
        );
    }
}
