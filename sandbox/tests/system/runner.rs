//! A test runner with a `main` of our own; it speaks like the usual one.
//!
//! A test that this machine cannot run is ignored, and says why. `--ignored` runs exactly those,
//! `--include-ignored` or `OUTRIGGER_DEMAND_ALL=1` runs them as well: they then fail. `--skip=PART`
//! leaves out those with that part in their names.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Instant;

/// A test that every machine can run: its name and what it does.
pub(crate) type Case = (&'static str, fn());

/// A test.
pub(crate) struct Test {
    pub(crate) name: String,
    pub(crate) body: Box<dyn Fn()>,
    /// Why this machine cannot run it.
    pub(crate) missing: Box<dyn Fn() -> Option<String>>,
}

impl Test {
    /// A test that every machine can run.
    pub(crate) fn plain(name: &str, body: fn()) -> Self {
        Self { name: name.into(), body: Box::new(body), missing: Box::new(|| None) }
    }
}

/// What to do with the tests that this machine cannot run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ignored {
    Skip,
    Only,
    Include,
}

impl Ignored {
    fn asked(arguments: &[String]) -> Self {
        let asked = |word: &str| arguments.iter().any(|argument| argument == word);
        match () {
            () if asked("--ignored") => Self::Only,
            () if asked("--include-ignored") || std::env::var_os("OUTRIGGER_DEMAND_ALL").is_some() => {
                Self::Include
            }
            () => Self::Skip,
        }
    }
}

/// How a test ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ended {
    Passed,
    Failed,
    Ignored,
}

/// Runs those that the arguments name, or all.
pub(crate) fn run(tests: &[Test]) -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let filters: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let skipped: Vec<&str> =
        arguments.iter().filter_map(|argument| argument.strip_prefix("--skip=")).collect();
    let wanted = |test: &&Test| {
        let is_filter = |filter: &&String| test.name.contains(filter.as_str());
        let named = filters.is_empty() || filters.iter().any(is_filter);
        named && !skipped.iter().any(|part| test.name.contains(part))
    };
    let mut chosen: Vec<&Test> = tests.iter().filter(wanted).collect();
    let ignored = Ignored::asked(&arguments);
    if ignored == Ignored::Only {
        chosen.retain(|test| (test.missing)().is_some());
    }
    if arguments.iter().any(|argument| argument == "--list") {
        return list(&chosen);
    }
    run_all(&chosen, ignored, tests.len())
}

fn list(tests: &[&Test]) -> ExitCode {
    tests.iter().for_each(|test| println!("{}: test", test.name));
    ExitCode::SUCCESS
}

fn run_all(tests: &[&Test], ignored: Ignored, of: usize) -> ExitCode {
    let begun = Instant::now();
    println!("\nrunning {} tests", tests.len());
    let ended: Vec<Ended> = tests.iter().map(|test| run_one(test, ignored)).collect();
    let count = |wanted| ended.iter().filter(|ended| **ended == wanted).count();
    let failed = count(Ended::Failed);
    let verdict = if failed == 0 { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {verdict}. {} passed; {failed} failed; {} ignored; 0 measured; {} filtered out; \
         finished in {:.2}s\n",
        count(Ended::Passed),
        count(Ended::Ignored),
        of - tests.len(),
        begun.elapsed().as_secs_f64()
    );
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run_one(test: &Test, ignored: Ignored) -> Ended {
    if ignored == Ignored::Skip
        && let Some(reason) = (test.missing)()
    {
        println!("test {} ... ignored, {reason}", test.name);
        return Ended::Ignored;
    }
    let passed = catch_unwind(AssertUnwindSafe(&test.body)).is_ok();
    println!("test {} ... {}", test.name, if passed { "ok" } else { "FAILED" });
    if passed { Ended::Passed } else { Ended::Failed }
}
