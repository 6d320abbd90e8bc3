//! `docs/design/statements.md` names the tests of each statement, and each test names its statements:
//! both say the same, and no statement is missing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn page() -> String {
    fs::read_to_string(repository().join("docs/design/statements.md")).unwrap()
}

/// The rows of the tables: number, origin, statement, what holds it.
fn rows(page: &str) -> Vec<[&str; 4]> {
    fn cells(line: &str) -> Option<[&str; 4]> {
        let row = line.strip_prefix("| ")?.strip_suffix(" |").filter(|row| row.starts_with('S'))?;
        row.splitn(4, " | ").collect::<Vec<_>>().try_into().ok()
    }
    page.lines().filter_map(cells).collect()
}

/// The tests that a cell names: file and function.
fn named(cell: &str) -> Vec<(&str, &str)> {
    cell.split('`').skip(1).step_by(2).map(|name| name.split_once("::").expect(name)).collect()
}

/// The lines above a function of that name that is marked as a test, handed to the macro that makes
/// two of it, or to a runner of its own: comments and attributes, the nearest first.
fn above<'t>(text: &'t str, name: &str) -> Option<Vec<&'t str>> {
    let lines: Vec<&str> = text.lines().map(str::trim_start).collect();
    let is_it = |line: &&str| {
        let function = line.trim_start_matches("async ").strip_prefix("fn ");
        function.is_some_and(|rest| rest.strip_prefix(name).is_some_and(|rest| rest.starts_with('(')))
    };
    let at = lines.iter().position(is_it)?;
    let above = lines[..at].iter().rev().copied();
    let above: Vec<&str> =
        above.take_while(|line| line.starts_with('#') || line.starts_with("///")).collect();
    let over_both = text.split_once("over_both_connections!(").and_then(|(_, rest)| rest.split_once(");"));
    let is_over_both = over_both.unwrap_or_default().0.split(',').any(|other| other.trim() == name);
    let marked = |line: &&str| ["#[test]", "#[tokio::test"].iter().any(|mark| line.starts_with(mark));
    let mut handed = text.split("Test::plain(").skip(1).filter_map(|rest| rest.split_once(')'));
    let is_case = handed.any(|(test, _)| test.split(',').any(|part| part.trim() == name));
    (is_over_both || is_case || above.iter().any(marked)).then_some(above)
}

/// The statements that a line of a comment names.
fn mark(line: &str) -> Option<&str> {
    let held = line.trim_start().strip_prefix("/// Holds ")?.strip_suffix('.')?;
    held.strip_prefix('S')?.starts_with(|c: char| c.is_ascii_digit()).then_some(held)
}

/// The statements that a test names, by the lines above it.
fn statements(above: &[&str]) -> BTreeSet<String> {
    let held = above.iter().find_map(|line| mark(line));
    held.map(|held| held.split(", ").map(str::to_owned).collect()).unwrap_or_default()
}

/// All files with code below a folder.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let hidden = |path: &Path| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    let visible = entries.filter(|path| !hidden(path) && !path.ends_with("target"));
    visible
        .flat_map(|path| match path.is_dir() {
            true => sources(&path),
            false => vec![path],
        })
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect()
}

#[test]
fn the_page_and_the_tests_name_each_other() {
    let page = page();
    let mut tests: BTreeMap<(&str, &str), BTreeSet<String>> = BTreeMap::new();
    let mut wrong = Vec::new();
    for (at, [number, _, _, held_by]) in rows(&page).iter().enumerate() {
        assert_eq!(*number, format!("S{}", at + 1), "the numbers rise by one");
        if named(held_by).is_empty() && !held_by.contains("*open:*") {
            wrong.push(format!("{number} is held by nothing, and does not say so"));
        }
        for test in named(held_by) {
            tests.entry(test).or_default().insert((*number).to_owned());
        }
    }
    for ((file, name), numbers) in &tests {
        let text = fs::read_to_string(repository().join(file)).unwrap_or_default();
        match above(&text, name) {
            None => wrong.push(format!("{file} has no test {name}")),
            Some(above) if statements(&above) == *numbers => {}
            Some(above) => {
                wrong.push(format!("{file}: {name} names {:?}, not {numbers:?}", statements(&above)))
            }
        }
    }
    let texts = sources(&repository()).into_iter().map(|path| fs::read_to_string(path).unwrap());
    let marks: usize = texts.map(|text| text.lines().filter_map(mark).count()).sum();
    if marks != tests.len() {
        wrong.push(format!("{marks} tests name statements, and {} are named by them", tests.len()));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// P18 to P50; O7 to O32.
#[test]
fn no_statement_is_missing() {
    let page = page();
    let origins: Vec<&str> = rows(&page).iter().flat_map(|[_, origin, ..]| origin.split(", ")).collect();
    let numbers = |letter: char| -> Vec<u32> {
        let of_it = origins.iter().filter_map(|origin| origin.strip_prefix(letter)?.parse().ok());
        let mut numbers: Vec<u32> = of_it.collect();
        numbers.sort_unstable();
        numbers
    };
    assert_eq!(numbers('P'), (18..=50).collect::<Vec<_>>());
    assert_eq!(numbers('O'), (7..=32).collect::<Vec<_>>());
    assert!(origins.iter().all(|origin| *origin == "–" || origin.starts_with(['P', 'O'])), "{origins:?}");
}

#[test]
fn a_test_that_is_not_there_is_noticed() {
    let file = "/// Why.\n/// Holds S1, S20.\n#[test]\n#[ignore]\nfn one() {}\nfn two() {}\n    \
                #[tokio::test(flavor = \"x\")]\n    async fn three() {}\n\
                over_both_connections!(five, six);\nfn five() {}\n\
                Test::plain(\"7\", seven)\nfn seven() {}\n";
    assert_eq!(statements(&above(file, "one").unwrap()), ["S1", "S20"].map(String::from).into());
    assert_eq!(statements(&above(file, "three").unwrap()), BTreeSet::new());
    assert!(above(file, "five").is_some() && above(file, "seven").is_some());
    assert!(["two", "on", "four", "six"].iter().all(|name| above(file, name).is_none()));
}
