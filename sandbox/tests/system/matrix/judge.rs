//! Compares what the probes got with what they should have got, and with what the report says.

use std::collections::BTreeMap;

use outrigger_sandbox::{Guarantee, Report, Standing, Tier};

use super::field::Field;
use super::rows::{self, Row};
use super::rule::Expected;
use super::{Setup, witness};
use crate::probe::Outcome;

/// The verdict on each probe.
pub(super) type Verdicts = BTreeMap<String, Outcome>;

/// Everything that is not as it should be, a line each.
pub(super) fn differences(
    setup: &Setup,
    report: &Report,
    verdicts: &Verdicts,
    noticed: &[&str],
    field: &mut Field,
) -> Vec<String> {
    let mut differences = of_tier(setup, report);
    differences.extend(rows::all().filter_map(|row| of_row(setup, &row, &verdicts[row.name])));
    differences.extend(rows::all().filter_map(|row| of_promise(setup, report, &row, &verdicts[row.name])));
    differences.extend(of_reasons(report));
    differences.extend(of_witnesses(setup, report, noticed, field.targets.network.tcp6 != 0));
    differences.extend(of_life(field));
    differences
}

fn of_tier(setup: &Setup, report: &Report) -> Vec<String> {
    let as_it_should_be = report.tier() == setup.tier;
    (!as_it_should_be)
        .then(|| format!("the tier is {} instead of {}", report.tier(), setup.tier))
        .into_iter()
        .collect()
}

/// What the table says.
fn of_row(setup: &Setup, row: &Row, outcome: &Outcome) -> Option<String> {
    let fits = match (row.expected(setup), outcome) {
        (_, Outcome::Broken { .. }) => false,
        (Expected::Either, _) | (_, Outcome::Skipped { .. }) => true,
        (Expected::Open, outcome) => *outcome == Outcome::Open,
        (Expected::Blocked, outcome) => *outcome != Outcome::Open,
    };
    (!fits).then(|| format!("{:44} should be {:8} is {outcome:?}", row.name, row.expected(setup)))
}

/// What the report promises: nothing that it calls enforced may have been got around.
fn of_promise(setup: &Setup, report: &Report, row: &Row, outcome: &Outcome) -> Option<String> {
    let guarantee = row.broken_if_open(setup)?;
    let broken = report.enforces(guarantee) && *outcome == Outcome::Open;
    broken.then(|| format!("{:44} is open although {guarantee} is reported as enforced", row.name))
}

/// What is not enforced needs a reason that a user can read.
fn of_reasons(report: &Report) -> Vec<String> {
    let silent = |standing: &Standing| match standing {
        Standing::Enforced => false,
        Standing::Advisory { reason, .. } | Standing::Unavailable { reason, .. } => reason.is_empty(),
    };
    let named = |(guarantee, _): (Guarantee, Standing)| {
        format!("{guarantee} is not enforced, and no reason is given")
    };
    report.iter().filter(|(_, standing)| silent(standing)).map(named).collect()
}

/// In a sandbox nobody notices anything, but for the port that was granted; without one, everybody
/// does.
fn of_witnesses(setup: &Setup, report: &Report, noticed: &[&str], v6: bool) -> Vec<String> {
    let all = witness::ALL.into_iter().filter(|word| v6 || !word.ends_with("IPv6"));
    if setup.tier == Tier::None {
        let silent = all.filter(|word| !noticed.contains(word));
        return silent.map(|word| format!("without a sandbox nobody noticed: {word}")).collect();
    }
    let any_port = setup.port_without_landlock() && !report.enforces(Guarantee::Network);
    let allowed = |word: &str| match word {
        "connection to the granted port" => setup.port,
        "connection" | "connection over IPv6" => any_port,
        _ => false,
    };
    let seen = all.filter(|word| noticed.contains(word) && !allowed(word));
    seen.map(|word| format!("was noticed outside of the sandbox: {word}")).collect()
}

/// Whoever was attacked lives.
fn of_life(field: &mut Field) -> Vec<String> {
    let ended = field.victim.try_wait().unwrap();
    ended.map(|status| format!("the other process of the user ended: {status}")).into_iter().collect()
}
