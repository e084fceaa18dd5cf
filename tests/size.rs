//! Files and functions stay short, in all languages: a file over 500 lines says `Long, since …` at its top, a function
//! over 80 lines has a comment beside it, `` `name` is long, since … ``. A function of a test may tell a long story.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, path::Path};

const FILE: usize = 500;
const FUNCTION: usize = 80;

/// Where people write, besides the types in `index.d.ts`.
const FOLDERS: [&str; 8] = [
    "src", "ts", "tests", "__test__", "bench", "scripts", "examples", "fuzz",
];
/// What programs write there; so they do in folders whose names begin with a dot.
const MADE: [&str; 5] = ["node_modules", "dist", "results", "artefacts", "target"];
const LANGUAGES: [&str; 10] = ["rs", "lua", "ts", "mts", "tsx", "js", "mjs", "cjs", "jsx", "css"];

/// The name of the function or method that begins with this line, if one does.
fn name(line: &str, is_rust: bool) -> Option<&str> {
    let code = line.trim_start();
    let head = code.split('(').next().filter(|head| head.len() < code.len())?;
    let name = if is_rust {
        head.split_once("fn ")?.1
    } else {
        // It has no operator, begins like a call, and opens a block.
        let is_head = line.ends_with('(') || line.ends_with('{');
        let word = head.split('<').next()?.rsplit(' ').next()?;
        let is_method = is_head && !head.contains(['=', '.', '\'', '?', ':']);
        (is_method && !matches!(word, "if" | "for" | "while" | "switch" | "catch" | "")).then_some(word)?
    };
    name.split('<').next()
}

/// What is too long and does not say why.
fn complaints(file: &str, text: &str) -> Vec<String> {
    let lines: Vec<_> = text.lines().collect();
    let top = lines
        .iter()
        .take_while(|line| line.is_empty() || line.starts_with("//") || line.starts_with("--"));
    let is_rust = Path::new(file).extension().is_some_and(|end| end == "rs");
    let mut complaints = Vec::new();
    if lines.len() > FILE && !top.into_iter().any(|line| line.contains("Long, since ")) {
        complaints.push(format!("{file} has {} lines", lines.len()));
    }
    // Declarations have heads alone.
    let is_code = !file.ends_with(".d.ts");
    for (at, line) in lines.iter().enumerate() {
        let Some(name) = name(line, is_rust).filter(|_| is_code) else {
            continue;
        };
        let indent = &line[..line.len() - line.trim_start().len()];
        // A call's arguments end with a parenthesis, a function's are followed by its block.
        let is_end = |line: &&str| {
            line.strip_prefix(indent)
                .is_some_and(|rest| rest.starts_with('}') || rest.starts_with(')') && !rest.ends_with('{'))
        };
        let ends_at_once = line.ends_with(';') || line.ends_with('}');
        let is_head = |line: &&&str| !is_end(line) || line.ends_with('{');
        let length = lines[at..].iter().take_while(is_head).count() + 1;
        let is_test = file.starts_with("tests") || file.starts_with("__test__");
        if !ends_at_once
            && length > FUNCTION
            && !is_test
            && !text.contains(&format!("`{name}` is long, since "))
        {
            complaints.push(format!("{file}: {name} has {length} lines"));
        }
    }
    complaints
}

fn read(folder: &Path, complaints: &mut Vec<String>) -> usize {
    let mut count = 0;
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap();
        if path.is_dir() {
            if !name.starts_with('.') && !MADE.contains(&name) {
                count += read(&path, complaints);
            }
        } else if name
            .rsplit_once('.')
            .is_some_and(|(_, end)| LANGUAGES.contains(&end))
        {
            complaints.extend(complaints_of(&path));
            count += 1;
        }
    }
    count
}

fn complaints_of(path: &Path) -> Vec<String> {
    let file = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap();
    complaints(file.to_str().unwrap(), &fs::read_to_string(path).unwrap())
}

#[test]
fn files_and_functions_are_short_or_say_why_not() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut complaints = complaints_of(&root.join("index.d.ts"));
    let count: usize = FOLDERS
        .map(|folder| read(&root.join(folder), &mut complaints))
        .iter()
        .sum();
    assert!(count > 800, "{count} files");
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn what_is_too_long_is_named_unless_it_says_why() {
    let body = "        let x = 1;\n".repeat(FUNCTION);
    let rust =
        |reason: &str| format!("{reason}impl A {{\n    fn f(\n        &self,\n    ) {{\n{body}    }}\n}}\n");
    let script = |reason: &str| format!("{reason}class A {{\n  async #f(a: B): C {{\n{body}  }}\n}}\n");
    assert_eq!(
        complaints("a.rs", &rust("")),
        [format!("a.rs: f has {} lines", FUNCTION + 4)]
    );
    assert_eq!(
        complaints("a.ts", &script("")),
        [format!("a.ts: #f has {} lines", FUNCTION + 2)]
    );
    assert_eq!(
        complaints("a.rs", &rust("// `f` is long, since it is.\n")),
        [""; 0]
    );
    assert_eq!(
        complaints("a.ts", &script("// `#f` is long, since it is.\n")),
        [""; 0]
    );
    let file = "fn f() {}\n".repeat(FILE + 1);
    assert_eq!(complaints("a.rs", &file).len(), 1);
    assert_eq!(
        complaints("a.rs", &format!("//! Long, since it is.\n{file}")),
        [""; 0]
    );
}
