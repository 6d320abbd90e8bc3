//! `docs/design/statements.md` names a test for each statement: every one of them is there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::path::{Path, PathBuf};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The rows of the tables: number, statement, what holds it.
fn rows(page: &str) -> Vec<[&str; 3]> {
    fn cells(line: &str) -> Option<[&str; 3]> {
        let row = line.strip_prefix("| S")?.strip_suffix(" |")?;
        row.splitn(3, " | ").collect::<Vec<_>>().try_into().ok()
    }
    page.lines().filter_map(cells).collect()
}

/// The tests that a cell names: file and function.
fn named(cell: &str) -> Vec<(&str, &str)> {
    cell.split('`').skip(1).step_by(2).map(|name| name.split_once("::").expect(name)).collect()
}

/// Whether a file has a function of that name that is marked as a test, or handed to the macro that
/// makes two of it.
fn has_test(text: &str, name: &str) -> bool {
    let lines: Vec<&str> = text.lines().map(str::trim_start).collect();
    let is_it = |line: &str| {
        let function = line.trim_start_matches("async ").strip_prefix("fn ");
        function.is_some_and(|rest| rest.strip_prefix(name).is_some_and(|rest| rest.starts_with('(')))
    };
    let over_both = text.split_once("over_both_connections!(").and_then(|(_, rest)| rest.split_once(");"));
    if over_both.is_some_and(|(names, _)| names.lines().any(|line| line.trim() == format!("{name},"))) {
        return lines.iter().any(|line| is_it(line));
    }
    let Some(at) = lines.iter().position(|line| is_it(line)) else { return false };
    lines[..at]
        .iter()
        .rev()
        .take_while(|line| line.starts_with('#'))
        .any(|line| ["#[test]", "#[tokio::test"].iter().any(|mark| line.starts_with(mark)))
}

#[test]
fn every_named_test_is_there() {
    let page = std::fs::read_to_string(repository().join("docs/design/statements.md")).unwrap();
    let rows = rows(&page);
    assert!(rows.len() > 40, "{} rows", rows.len());
    let mut wrong = Vec::new();
    for (at, [number, _, held_by]) in rows.iter().enumerate() {
        assert_eq!(*number, (at + 1).to_string(), "the numbers rise by one");
        if named(held_by).is_empty() && !held_by.contains("*open:*") {
            wrong.push(format!("S{number} is held by nothing, and does not say so"));
        }
        for (file, name) in named(held_by) {
            let text = std::fs::read_to_string(repository().join(file)).unwrap_or_default();
            if !has_test(&text, name) {
                wrong.push(format!("S{number}: {file} has no test {name}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_test_that_is_not_there_is_noticed() {
    let file = "#[test]\n#[ignore]\nfn one() {}\nfn two() {}\n    #[tokio::test(flavor = \"x\")]\n    async fn three() {}";
    assert!(has_test(file, "one") && has_test(file, "three"));
    assert!(!has_test(file, "two") && !has_test(file, "on") && !has_test(file, "four"));
}
