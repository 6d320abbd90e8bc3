//! A test runner with a `main` of our own; it speaks like the usual one.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Instant;

/// A test: its name and what it does.
pub(crate) type Case = (&'static str, fn());

/// Runs those that the arguments name, or all.
pub(crate) fn run(rooms: &[&[Case]]) -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let filters: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let all: Vec<Case> = rooms.concat();
    let wanted =
        |case: &&Case| filters.is_empty() || filters.iter().any(|filter| case.0.contains(filter.as_str()));
    let chosen: Vec<&Case> = all.iter().filter(wanted).collect();
    if arguments.iter().any(|argument| argument == "--list") {
        return list(&chosen);
    }
    run_all(&chosen, all.len())
}

fn list(cases: &[&Case]) -> ExitCode {
    cases.iter().for_each(|case| println!("{}: test", case.0));
    ExitCode::SUCCESS
}

fn run_all(cases: &[&Case], of: usize) -> ExitCode {
    let begun = Instant::now();
    println!("\nrunning {} tests", cases.len());
    let passed = cases.iter().filter(|case| run_one(case)).count();
    let failed = cases.len() - passed;
    let verdict = if failed == 0 { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {verdict}. {passed} passed; {failed} failed; 0 ignored; 0 measured; {} filtered out; \
         finished in {:.2}s\n",
        of - cases.len(),
        begun.elapsed().as_secs_f64()
    );
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run_one(case: &Case) -> bool {
    let passed = catch_unwind(AssertUnwindSafe(case.1)).is_ok();
    println!("test {} ... {}", case.0, if passed { "ok" } else { "FAILED" });
    passed
}
