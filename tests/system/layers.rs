//! The rooms import each other only downwards (see ARCHITECTURE.md), and keep the rules that make
//! them rooms: pure ones stay pure, `unsafe` and bincode stay where they are, files import one way.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

/// Which rooms each room may use. A new room needs a line here.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("protocol", &[]),
    ("transfer", &["protocol"]),
    ("engine", &["protocol"]),
    ("transport", &["protocol"]),
    ("sandbox", &[]),
    ("store", &["protocol", "engine"]),
    ("broker", &["protocol", "transfer", "transport", "sandbox"]),
    ("plugin-sdk", &["protocol", "transfer", "transport"]),
    ("conformance", &["protocol", "transfer", "transport", "sandbox", "broker"]),
];

/// First-party connectors see what any author sees, and nothing else of ours.
const PLUGIN_MAY_IMPORT: &[&str] = &["plugin-sdk"];

/// The front door may use every room but this one, which only its tests and examples use.
const NOT_FOR_THE_FRONT_DOOR: &str = "plugin-sdk";

/// Rooms without clock, randomness, files, sockets and threads.
const PURE: &[&str] = &["protocol", "transfer", "engine"];

/// What the `clippy.toml` of a pure room must disallow at least.
const NOT_IN_A_PURE_ROOM: &[&str] = &[
    "std::time::Instant::now",
    "std::time::SystemTime::now",
    "std::fs::File::open",
    "std::fs::File::create",
    "std::fs::read",
    "std::fs::write",
    "std::net::TcpStream::connect",
    "std::thread::spawn",
];

/// The one room with `unsafe`.
const UNSAFE: &str = "sandbox";

/// The one file that knows how bodies are encoded.
const BINCODE: &str = "protocol/src/codec.rs";

/// Rings of files that stay, as the failing test prints them. A line here needs a reason behind it.
const EXCUSED_RINGS: &[&str] = &[];

/// Cargo packages that are no rooms: they have a workspace of their own, or none.
const NO_ROOMS: &[&str] = &["fuzz", "target"];

#[test]
fn rooms_import_only_downwards() {
    let mut wrong = Vec::new();
    for room in rooms() {
        let allowed = may_import(&room).unwrap_or_default();
        for import in imports(&manifest(&room)) {
            if !allowed.contains(&import) {
                wrong.push(format!("{room} must not import {import}"));
            }
        }
    }
    assert_none(wrong);
}

#[test]
fn the_front_door_uses_the_sdk_only_in_tests() {
    let import = imports(&manifest("."));
    assert!(!import.contains(NOT_FOR_THE_FRONT_DOOR), "outrigger must not import {NOT_FOR_THE_FRONT_DOOR}");
}

#[test]
fn every_room_is_listed() {
    assert_none(
        rooms()
            .into_iter()
            .filter(|room| may_import(room).is_none())
            .map(|room| format!("{room} is not listed")),
    );
}

#[test]
fn every_room_is_a_member_of_the_workspace() {
    let members = manifest(".")["workspace"]["members"].as_array().cloned().unwrap_or_default();
    let members: BTreeSet<&str> = members.iter().filter_map(Value::as_str).collect();
    let rooms = rooms();
    assert_eq!(members, rooms.iter().map(String::as_str).collect());
}

#[test]
fn a_hidden_import_is_found() {
    let hidden = "
        [dependencies]
        serde = \"1\"
        outrigger-protocol.workspace = true
        wire = { package = \"outrigger-transport\", path = \"../transport\" }
        [build-dependencies]
        outrigger-engine = { path = \"../engine\" }
        [target.'cfg(windows)'.dependencies]
        outrigger-sandbox.workspace = true
        [target.'cfg(unix)'.dependencies.outrigger-store]
        workspace = true
        [target.'cfg(unix)'.dev-dependencies]
        outrigger-broker.workspace = true
        [dev-dependencies]
        outrigger-plugin-sdk.workspace = true";
    let without: Vec<String> = imports(&hidden.parse().unwrap()).into_iter().collect();
    assert_eq!(without, ["engine", "protocol", "sandbox", "store", "transport"]);
}

#[test]
fn unsafe_code_stays_in_one_room() {
    let mut wrong = Vec::new();
    for room in rooms().into_iter().chain([".".to_owned()]) {
        let allowed = room == UNSAFE;
        for door in ["lib.rs", "main.rs"].map(|door| root().join(&room).join("src").join(door)) {
            let Ok(text) = fs::read_to_string(&door) else { continue };
            if !allowed && !text.contains("#![forbid(unsafe_code)]") {
                wrong.push(format!("{} does not forbid unsafe code", door.display()));
            }
        }
        for file in sources(&room).into_iter().filter(|_| !allowed) {
            if code(&file).any(|line| words(line).any(|word| word == "unsafe")) {
                wrong.push(format!("{} has unsafe code; only {UNSAFE} may", file.display()));
            }
        }
    }
    assert_none(wrong);
}

/// Time is measured by clocks that nobody sets.
/// Holds S38.
#[test]
fn no_call_goes_by_a_wall_clock() {
    let mut wrong = Vec::new();
    for room in ["protocol", "transport", "sandbox", "broker", "plugin-sdk"] {
        for file in sources(room) {
            if code(&file).any(|line| words(line).any(|word| word == "SystemTime")) {
                wrong.push(format!("{} reads a clock that can be set", file.display()));
            }
        }
    }
    let python = fs::read_to_string(root().join("plugin-sdk/python/outrigger.py")).unwrap();
    if python.contains("time.time(") || !python.contains("time.monotonic()") {
        wrong.push("outrigger.py reads a clock that can be set".into());
    }
    assert_none(wrong);
}

#[test]
fn only_the_codec_knows_bincode() {
    let mut wrong = Vec::new();
    for room in rooms().into_iter().chain([".".to_owned()]) {
        if room != "protocol" && names_bincode(&manifest(&room)) {
            wrong.push(format!("{room}/Cargo.toml names bincode"));
        }
        for file in sources(&room).into_iter().filter(|file| !file.ends_with(BINCODE)) {
            if code(&file).any(|line| words(line).any(|word| word == "bincode")) {
                wrong.push(format!("{} names bincode; only {BINCODE} may", file.display()));
            }
        }
    }
    assert_none(wrong);
}

/// Holds S38.
#[test]
fn pure_rooms_disallow_clock_files_sockets_and_threads() {
    let mut wrong = Vec::new();
    for room in PURE {
        let text = fs::read_to_string(root().join(room).join("clippy.toml")).unwrap_or_default();
        let table: Table = text.parse().unwrap_or_default();
        let banned = banned(&table);
        for path in NOT_IN_A_PURE_ROOM {
            // Disallowing a type disallows what is called on it.
            if !banned.iter().any(|banned| path == banned || path.starts_with(&format!("{banned}::"))) {
                wrong.push(format!("{room}/clippy.toml does not disallow {path}"));
            }
        }
    }
    assert_none(wrong);
}

#[test]
fn every_manifest_takes_the_lints_of_the_house() {
    let takes =
        |room: &String| manifest(room).get("lints").and_then(|lints| lints.get("workspace")?.as_bool());
    assert_none(
        rooms()
            .into_iter()
            .filter(|room| takes(room) != Some(true))
            .map(|room| format!("{room}: no [lints]")),
    );
}

/// Within a room, files import each other one way. A test file imports what it tests.
#[test]
fn files_import_one_way() {
    let mut wrong = Vec::new();
    for room in rooms().into_iter().chain([".".to_owned()]) {
        let graph = file_imports(&root().join(&room).join("src"));
        let rings = cycles(&graph).map(|cycle| format!("{room}: {}", cycle.join(" → ")));
        wrong.extend(rings.filter(|ring| !EXCUSED_RINGS.contains(&ring.as_str())));
    }
    assert_none(wrong);
}

#[test]
fn a_cycle_is_found_and_told_once() {
    let edge = |from: &str, to: &[&str]| (from.to_owned(), to.iter().map(|to| (*to).to_owned()).collect());
    let graph = BTreeMap::from([edge("a", &["b"]), edge("b", &["c"]), edge("c", &["a"]), edge("d", &["a"])]);
    assert_eq!(cycles(&graph).collect::<Vec<_>>(), [["a", "b", "c", "a"]]);
    assert_eq!(cycles(&BTreeMap::from([edge("a", &["b"]), edge("b", &[])])).count(), 0);
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn assert_none(wrong: impl IntoIterator<Item = String>) {
    let wrong: Vec<String> = wrong.into_iter().collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Every folder with a manifest below the root, one or two levels down.
fn rooms() -> BTreeSet<String> {
    let here = folders(root()).into_iter().filter(|name| !NO_ROOMS.contains(&name.as_str()));
    here.flat_map(|name| {
        let inner = folders(&root().join(&name)).into_iter().map(|inner| format!("{name}/{inner}"));
        inner.chain([name.clone()]).collect::<Vec<_>>()
    })
    .filter(|room| root().join(room).join("Cargo.toml").exists())
    .collect()
}

fn folders(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap());
    let folders = entries.filter(|entry| entry.path().is_dir()).map(|entry| entry.file_name());
    folders.filter_map(|name| name.into_string().ok()).filter(|name| !name.starts_with('.')).collect()
}

fn may_import(room: &str) -> Option<BTreeSet<String>> {
    let allowed = if room.starts_with("plugins/") {
        PLUGIN_MAY_IMPORT
    } else {
        MAY_IMPORT.iter().find(|(name, _)| *name == room)?.1
    };
    Some(allowed.iter().map(|name| (*name).to_owned()).collect())
}

fn manifest(room: &str) -> Table {
    fs::read_to_string(root().join(room).join("Cargo.toml")).unwrap().parse().unwrap()
}

/// Everything that a package needs in order to run, for any system; what its tests need is left out.
fn dependencies(manifest: &Table) -> Vec<(String, Value)> {
    let of = |table: &Table| -> Vec<(String, Value)> {
        let tables =
            ["dependencies", "build-dependencies"].into_iter().filter_map(|kind| table.get(kind)?.as_table());
        tables.flatten().map(|(name, value)| (name.clone(), value.clone())).collect()
    };
    let systems = manifest.get("target").and_then(Value::as_table).into_iter().flatten();
    let systems = systems.filter_map(|(_, table)| table.as_table()).flat_map(of);
    of(manifest).into_iter().chain(systems).collect()
}

/// Our own rooms that a package needs in order to run, whatever it calls them.
fn imports(manifest: &Table) -> BTreeSet<String> {
    let named = dependencies(manifest).into_iter().map(|(name, value)| {
        let package = value.get("package").and_then(Value::as_str).map(str::to_owned);
        package.unwrap_or(name)
    });
    named.filter_map(|package| package.strip_prefix("outrigger-").map(str::to_owned)).collect()
}

fn names_bincode(manifest: &Table) -> bool {
    dependencies(manifest).iter().any(|(name, _)| name == "bincode")
}

/// What a `clippy.toml` disallows, methods and types together.
fn banned(clippy: &Table) -> BTreeSet<String> {
    let lists =
        ["disallowed-methods", "disallowed-types"].into_iter().filter_map(|key| clippy.get(key)?.as_array());
    let path = |entry: &Value| entry.as_str().or_else(|| entry.get("path")?.as_str()).map(str::to_owned);
    lists.flatten().filter_map(path).collect()
}

/// The Rust files below `room/src`.
fn sources(room: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut left = vec![root().join(room).join("src")];
    while let Some(path) = left.pop() {
        let Ok(entries) = fs::read_dir(&path) else { continue };
        for path in entries.map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                left.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// The lines of a file without comments (and without texts in quotes, as far as a line shows them).
fn code(file: &Path) -> impl Iterator<Item = &'static str> {
    let text: &'static str = fs::read_to_string(file).unwrap().leak();
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).filter(|line| !line.contains('"'))
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !(c.is_alphanumeric() || c == '_'))
}

/// Which file of a room imports which, by module path; doors (`lib.rs`, `main.rs`) are left out:
/// they name every module and no module names them.
fn file_imports(source: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let files = modules(source);
    let names: BTreeSet<String> = files.iter().map(|(name, _)| name.clone()).collect();
    let imports_of = |(name, path): (String, PathBuf)| {
        let imports = uses(&path, &name).into_iter().filter_map(|path| longest_module(&path, &names));
        let imports = imports.filter(|import| *import != name).collect();
        (name, imports)
    };
    files.into_iter().map(imports_of).collect()
}

/// Every file that is a module, with its path as `a::b`. Tests are left out.
fn modules(source: &Path) -> Vec<(String, PathBuf)> {
    let room = source.parent().unwrap().strip_prefix(root()).unwrap().display().to_string();
    let named = sources(&room).into_iter().map(|path| {
        let inside = path.strip_prefix(source).unwrap().with_extension("");
        let parts: Vec<String> = inside.iter().map(|part| part.to_string_lossy().into_owned()).collect();
        (parts.join("::"), path)
    });
    named.filter(|(name, _)| !["lib", "main"].contains(&name.as_str()) && !name.ends_with("tests")).collect()
}

/// The module paths that a file imports from its own room, up to its tests. `pub use` of a module's
/// own children makes it a door to them and does not count.
fn uses(file: &Path, module: &str) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap();
    let text = text.split("#[cfg(test)]").next().unwrap_or_default();
    let statements = text.split(';').filter_map(|statement| statement.trim_start().lines().last_use());
    statements.flat_map(|path| expand(&path, module)).collect()
}

/// Finds the `use` at the end of the lines that precede a semicolon.
trait LastUse {
    fn last_use(self) -> Option<String>;
}

impl<'t, I: Iterator<Item = &'t str>> LastUse for I {
    fn last_use(self) -> Option<String> {
        let joined = self.filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join(" ");
        let start = joined.rfind("use ").filter(|at| *at == 0 || joined[..*at].ends_with(' '))?;
        Some(joined[start + 4..].split_whitespace().collect())
    }
}

/// `super::{a::B, c}` as the full paths of a module of the room; empty if it leads out of the room.
fn expand(path: &str, module: &str) -> Vec<String> {
    let parent =
        |module: &str| module.rsplit_once("::").map_or(String::new(), |(parent, _)| parent.to_owned());
    let (mut base, mut rest) = (module.to_owned(), path);
    if let Some(inside) = rest.strip_prefix("crate::") {
        (base, rest) = (String::new(), inside);
    } else if rest.starts_with("super::") {
        while let Some(inside) = rest.strip_prefix("super::") {
            (base, rest) = (parent(&base), inside);
        }
    } else {
        return Vec::new(); // another crate, or a child of this module
    }
    let joined = |name: &str| if base.is_empty() { name.to_owned() } else { format!("{base}::{name}") };
    branches(rest).iter().map(|branch| joined(branch)).collect()
}

/// `a::{B, c::D}` as `a::B`, `a::c::D`.
fn branches(path: &str) -> Vec<String> {
    let Some((stem, rest)) = path.split_once('{') else { return vec![path.to_owned()] };
    let (mut depth, mut start, mut parts) = (0, 0, Vec::new());
    let inside = rest.strip_suffix('}').unwrap_or(rest);
    for (at, c) in inside.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&inside[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&inside[start..]);
    let full =
        |part: &&str| branches(part).into_iter().map(|branch| format!("{stem}{branch}")).collect::<Vec<_>>();
    parts.iter().filter(|part| !part.is_empty()).flat_map(full).collect()
}

/// The file that a path like `a::b::Type` lies in.
fn longest_module(path: &str, names: &BTreeSet<String>) -> Option<String> {
    let mut path = path;
    loop {
        if names.contains(path) {
            return Some(path.to_owned());
        }
        path = path.rsplit_once("::")?.0;
    }
}

/// Every ring of imports, once, beginning with its first name.
fn cycles(graph: &BTreeMap<String, BTreeSet<String>>) -> impl Iterator<Item = Vec<String>> {
    let mut found = BTreeSet::new();
    for start in graph.keys() {
        // Only names after the first: so each ring is found from its smallest member alone.
        let mut paths = vec![vec![start.clone()]];
        let mut seen = BTreeSet::new();
        while let Some(path) = paths.pop() {
            let last = path.last().cloned().unwrap_or_default();
            for next in graph.get(&last).into_iter().flatten() {
                let longer: Vec<String> = path.iter().chain([next]).cloned().collect();
                if next == start {
                    found.insert(longer);
                } else if next > start && seen.insert(next.clone()) {
                    paths.push(longer);
                }
            }
        }
    }
    found.into_iter()
}
