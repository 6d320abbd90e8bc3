//! A plugin without a fault keeps all rules; with one fault, exactly the rule that names it is
//! broken. Every rule has a fault here.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "helpers of tests may stop at what is wrong")]

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use outrigger_conformance::{
    Report, Rule, Settings, Subject, Unwatched, Verdict, Watcher, check, write_rule,
};
use outrigger_sandbox::Helper;

const PLUGIN: &str = env!("CARGO_BIN_EXE_outrigger-faulty-plugin");

/// Far above what anything takes, since the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a fault makes the kit wait for: as short as a busy machine allows.
const IN_VAIN: Duration = Duration::from_secs(3);

/// Few items: enough that a listing does not fit the smallest window.
fn settings() -> Settings {
    Settings {
        handshake: PATIENCE,
        answer: PATIENCE,
        cancel: PATIENCE,
        exit: PATIENCE,
        items: 1_000,
        growth: 32 << 20,
    }
}

/// The items, and the memory for them, that the kit goes by where nobody says otherwise: ten
/// thousand. A plugin that keeps what it was sent is known by them only.
fn as_many_as_an_author_is_asked_for() -> Settings {
    let Settings { items, growth, .. } = Settings::default();
    Settings { items, growth, ..settings() }
}

fn plugin(args: &[&str]) -> Subject {
    let args = args.iter().map(OsString::from).collect();
    let mut subject = Subject::executable(PathBuf::from(PLUGIN), args);
    subject.helper = Helper::Executable(PLUGIN.into());
    subject
}

fn unwatched() -> Arc<dyn Watcher> {
    Arc::new(Unwatched)
}

fn text(report: &Report) -> String {
    let mut out = Vec::new();
    report.rules.iter().for_each(|(rule, verdict)| write_rule(*rule, verdict, &mut out).unwrap());
    report.write_rest(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// Every rule with a fault that breaks it, and with the time limits that the fault exhausts.
const FAULTS: &[(&str, Rule)] = &[
    ("slow_hello", Rule::Handshake),
    ("wrong_major", Rule::Hello),
    ("same_nonce", Rule::Hello),
    ("ignores_refusal", Rule::Version),
    ("garbage", Rule::Frames),
    ("large_answer", Rule::Frames),
    ("garbled_body", Rule::Bodies),
    ("no_pong", Rule::Ping),
    ("whole_frames_only", Rule::CutFrames),
    ("unknown_frame_ends", Rule::UnknownFrame),
    ("unknown_call_ends", Rule::UnknownCall),
    ("empty_body_ends", Rule::EmptyBody),
    ("one_at_a_time", Rule::Concurrent),
    ("never_answers", Rule::Answered),
    ("answers_twice", Rule::OneAnswer),
    ("answers_unasked", Rule::Issued),
    ("change_after", Rule::AfterAnswer),
    ("counts_wrong", Rule::StreamCounts),
    ("ends_twice", Rule::StreamOnce),
    ("ignores_credit", Rule::Credit),
    ("ignores_cancel", Rule::Cancel),
    ("new_names", Rule::Discover),
    ("creates_twice", Rule::CreateAgain),
    ("renames_it", Rule::CreateAgain),
    ("lies_complete", Rule::Complete),
    ("same_uid", Rule::NoUidTwice),
    ("changes_bytes", Rule::RoundTrip),
    ("cuts_names", Rule::LongHref),
    ("accepts_stale", Rule::Stale),
    ("revision_of_before", Rule::Stale),
    ("deletes_once", Rule::DeleteAgain),
    ("doubles_items", Rule::ItemAgain),
    ("doubles_quietly", Rule::ItemAgain),
    ("marshals_otherwise", Rule::Remarshal),
    ("one_run", Rule::Runs),
    ("names_twice", Rule::NewNames),
    ("names_nothing", Rule::NewNames),
    ("takes_a_name", Rule::NewNames),
    ("keeps_the_name", Rule::NewNames),
    ("grows", Rule::Memory),
    ("noise", Rule::StdoutQuiet),
    ("no_goodbye", Rule::Goodbye),
    ("ignores_close", Rule::CleanExit),
];

macro_rules! faults {
    ($($fault:ident)*) => {
        const TESTED: &[&str] = &[$(stringify!($fault)),*];
        $(#[test] fn $fault() { breaks_one_rule(stringify!($fault)); })*
    };
}

faults! {
    slow_hello wrong_major same_nonce ignores_refusal garbage large_answer garbled_body no_pong whole_frames_only
    unknown_frame_ends unknown_call_ends empty_body_ends one_at_a_time never_answers answers_twice
    answers_unasked change_after counts_wrong ends_twice ignores_credit ignores_cancel new_names
    creates_twice renames_it lies_complete same_uid changes_bytes cuts_names accepts_stale
    revision_of_before deletes_once doubles_items doubles_quietly marshals_otherwise one_run
    names_twice names_nothing takes_a_name keeps_the_name grows noise no_goodbye ignores_close
}

fn breaks_one_rule(fault: &str) {
    let rule = FAULTS.iter().find(|(name, _)| *name == fault).unwrap().1;
    let mut settings = settings();
    match rule {
        Rule::Handshake => settings.handshake = IN_VAIN,
        Rule::Ping | Rule::Concurrent | Rule::Answered => settings.answer = IN_VAIN,
        Rule::Version | Rule::CleanExit => settings.exit = IN_VAIN,
        Rule::Memory => settings = as_many_as_an_author_is_asked_for(),
        _ => {}
    }
    let report = check(&plugin(&["--fault", fault]), &settings, &unwatched());
    assert_eq!(report.broken().collect::<Vec<_>>(), [rule], "\n{}", text(&report));
}

#[test]
fn every_rule_has_a_fault_and_every_fault_a_test() {
    let with_fault: BTreeSet<Rule> = FAULTS.iter().map(|(_, rule)| *rule).collect();
    assert_eq!(with_fault, Rule::ALL.iter().copied().collect());
    assert_eq!(FAULTS.iter().map(|(fault, _)| *fault).collect::<Vec<_>>(), TESTED);
}

#[test]
fn without_a_fault_every_rule_holds() {
    let report = check(&plugin(&[]), &settings(), &unwatched());
    let held = report.rules.iter().all(|(_, verdict)| *verdict == Verdict::Held);
    assert!(held && report.passed(), "\n{}", text(&report));
}

#[test]
fn ten_thousand_items_take_no_more_memory_than_is_allowed() {
    let settings = as_many_as_an_author_is_asked_for();
    assert_eq!(settings.items, 10_000);
    let report = check(&plugin(&[]), &settings, &unwatched());
    assert!(report.passed() && report.held() == Rule::ALL.len(), "\n{}", text(&report));
}

#[test]
fn json_holds_every_rule_too() {
    let report = check(&plugin(&["--codec", "2"]), &settings(), &unwatched());
    assert!(report.passed() && report.held() == Rule::ALL.len(), "\n{}", text(&report));
}

#[test]
fn without_streams_the_rules_of_streams_are_not_tried_and_said_so() {
    let report = check(&plugin(&["--codec", "2", "--level", "0"]), &settings(), &unwatched());
    let left = report.rules.iter().filter(|(_, verdict)| *verdict != Verdict::Held);
    let left: Vec<Rule> = left.map(|(rule, _)| *rule).collect();
    let not_there = [Rule::StreamCounts, Rule::StreamOnce, Rule::Credit, Rule::Cancel, Rule::NewNames];
    assert_eq!(left, not_there, "\n{}", text(&report));
    assert!(report.passed() && text(&report).contains("level 0 has no streams"));
}

/// Who promises nothing is sent nothing twice.
#[test]
fn a_create_is_repeated_only_where_the_plugin_knows_it_again() {
    for (dedupe, tried) in [("token", true), ("conditional", true), ("lookup", false), ("none", false)] {
        let report =
            check(&plugin(&["--fault", "doubles_items", "--dedupe", dedupe]), &settings(), &unwatched());
        let broken: Vec<_> = report.broken().collect();
        assert_eq!(broken.contains(&Rule::ItemAgain), tried, "{dedupe}\n{}", text(&report));
        assert_eq!(report.passed(), !tried);
    }
}

#[test]
fn a_program_that_is_none_is_told_with_its_last_words() {
    let mut subject =
        Subject::executable("/bin/sh".into(), vec!["-c".into(), "echo 'no such table' >&2; exit 3".into()]);
    subject.helper = Helper::Executable(PLUGIN.into());
    let report = check(&subject, &settings(), &unwatched());
    assert_eq!(report.broken().collect::<Vec<_>>(), [Rule::Handshake]);
    let text = text(&report);
    assert!(text.contains("left with code 3; it said last: \"no such table\""), "{text}");
}
