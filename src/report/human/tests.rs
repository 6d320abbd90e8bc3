//! Whole accounts, as a user reads them.

use std::time::Duration;

use outrigger_engine::{Counts, FailureClass, Key, Report, RowId, Side, Summary};
use outrigger_protocol::{CommitKind, Href};

use super::*;
use crate::report::run::Waiting;

fn written(run: &RunReport) -> String {
    let mut stream = anstream::StripStream::new(Vec::new());
    write_run(run, &mut stream).unwrap();
    String::from_utf8(stream.into_inner()).unwrap()
}

fn collection(name: &str, reports: Vec<Report>, summary: Summary, dry_run: bool) -> CollectionReport {
    let mut collection = CollectionReport::new(name);
    collection.listing = Duration::from_millis(300);
    for (side, complete) in [(Side::A, true), (Side::B, false)] {
        collection.take(Report::Listed { side, count: 1_000, complete }, dry_run);
    }
    reports.into_iter().chain([Report::Ended(summary)]).for_each(|report| collection.take(report, dry_run));
    collection
}

fn run(collection: CollectionReport, dry_run: bool) -> RunReport {
    let mut group = GroupReport::new("contacts", ["laptop".into(), "server".into()]);
    group.collections.push(collection);
    RunReport { groups: vec![group], dry_run, ..RunReport::default() }
}

fn listed() -> Summary {
    let counts = Counts { listed: 1_000, ..Counts::default() };
    Summary { sides: [counts, counts], ..Summary::default() }
}

fn href(name: &str) -> Href {
    Href::from(name.as_bytes())
}

fn key(name: &str) -> Key {
    Key(name.as_bytes().into())
}

#[test]
fn a_run_is_told_in_four_lines() {
    let mut summary = Summary { conflicts: 2, ..listed() };
    summary.sides[0].updated = 3;
    summary.sides[1] = Counts { created: 4, updated: 8, deleted: 1, ..summary.sides[1] };
    assert_eq!(
        written(&run(collection("family", vec![], summary, false), false)),
        "contacts/family   laptop ⇄ server\n  \
           listing   laptop 1 000   server 1 000 (changes only)   0.3 s\n  \
           changes   12 → server   3 → laptop   1 delete   2 conflicts\n  \
           done      +4 ~11 −1   2 conflicts wait: outrigger status\n\
         Summary     1 group in sync, 2 conflicts   exit 3\n"
    );
}

#[test]
fn a_run_without_changes_says_so() {
    let text = written(&run(collection("family", vec![], listed(), false), false));
    assert!(text.contains("  changes   none\n  done      +0 ~0 −0\n"), "{text}");
    assert!(text.ends_with("Summary     1 group in sync   exit 0\n"), "{text}");
}

#[test]
fn a_plan_names_what_would_be_written_and_claims_nothing() {
    let planned = |kind, names: [&str; 2]| {
        let names = names.map(|name| (!name.is_empty()).then(|| href(name)));
        Report::Planned { side: Side::B, kind, names, key: key("k") }
    };
    let reports = vec![
        planned(CommitKind::Create, ["c.vcf", ""]),
        planned(CommitKind::Update, ["a.vcf", "its a.vcf"]),
        planned(CommitKind::Delete, ["", "b\x1b[2J.vcf"]),
    ];
    let text = written(&run(collection("family", reports, listed(), true), true));
    assert!(text.contains("  changes   2 → server   1 delete\n"), "{text}");
    assert!(text.contains("  would     create on server: a copy of \"c.vcf\" from laptop\n"), "{text}");
    assert!(
        text.contains("  would     update on server: \"its a.vcf\", with \"a.vcf\" from laptop\n"),
        "{text}"
    );
    assert!(
        text.contains("  would     delete on server: \"b\\u{1b}[2J.vcf\", deleted on laptop\n"),
        "{text}"
    );
    assert!(!text.contains("done") && text.ends_with("Summary     1 group read   exit 0\n"), "{text}");
}

#[test]
fn a_stopped_run_names_the_one_command_that_goes_on() {
    let stop = Report::GuardStop {
        side: Side::A,
        planned: 812,
        total: 812,
        names: vec![href("a.vcf"), href("b.vcf")],
    };
    let summary = Summary { guard: [true, false], ..listed() };
    let text = written(&run(collection("my book", vec![stop], summary, false), false));
    assert!(
        text.contains(
            "  stopped   before anything was written to laptop: 812 of its 812 items would be deleted\n"
        ),
        "{text}"
    );
    assert!(text.contains("\"a.vcf\", \"b.vcf\", …\n"), "{text}");
    assert!(text.contains("outrigger sync 'contacts/my book' --allow-deletes 812\n"), "{text}");
    assert!(text.ends_with("Summary     1 group with trouble   exit 5\n"), "{text}");
}

#[test]
fn a_collection_cannot_smuggle_a_command_into_the_advice() {
    for (name, target) in
        [("x'; rm -rf ~; '", r"'contacts/x'\''; rm -rf ~; '\'''"), ("x\nrm", "contacts"), ("x", "contacts/x")]
    {
        let group = GroupReport::new("contacts", ["a".into(), "b".into()]);
        assert_eq!(group.target(name), target);
    }
}

#[test]
fn what_went_wrong_is_told_in_the_words_of_whoever_said_it() {
    let reports = vec![
        Report::Conflict { row: RowId(1), names: [Some(href("a.vcf")), None], key: key("uid-1") },
        Report::Pending { side: Side::B, href: href("p.vcf"), reason: "try \"later\"".into() },
        Report::MemberFailed { side: Side::A, class: FailureClass::Contract, words: "gone\x07".into() },
        Report::StoreChanged { side: Side::B },
    ];
    let summary = Summary { pending: 1, failed: [true, false], ..listed() };
    let text = written(&run(collection("c", reports, summary, false), false));
    assert!(text.contains("  conflict  \"uid-1\": \"a.vcf\" at laptop, deleted at server\n"), "{text}");
    assert!(text.contains("  pending   \"p.vcf\" at server: \"try \\\"later\\\"\"\n"), "{text}");
    assert!(text.contains("  failed    laptop: \"gone\\u{7}\"\n"), "{text}");
    assert!(text.contains("server is another store than at the last run"), "{text}");
    assert!(text.ends_with("exit 5\n"), "{text}");
}

#[test]
fn ten_thousand_troubles_do_not_fill_the_screen_and_never_hide_a_failed_member() {
    let pending =
        |n: u32| Report::Pending { side: Side::B, href: href(&n.to_string()), reason: String::new() };
    let mut reports: Vec<Report> = (0..10_000).map(pending).collect();
    reports.push(Report::MemberFailed {
        side: Side::B,
        class: FailureClass::Contract,
        words: "the last".into(),
    });
    let text = written(&run(collection("c", reports, listed(), false), false));
    assert!(text.lines().count() < 30, "{text}");
    assert!(text.contains("and 9 980 more") && text.contains("the last"), "{text}");
}

#[test]
fn a_group_that_did_not_run_is_told_with_its_reason() {
    let mut group = GroupReport::new("work", ["a".into(), "b".into()]);
    group
        .failures
        .push(Failure::new(Exit::Locked, "another run is busy with this group").hint("wait for it"));
    let mut other = GroupReport::new("notes", ["a".into(), "c".into()]);
    other.waiting.push(Waiting { member: "c".into(), why: "no such folder".into() });
    let run = RunReport { groups: vec![group, other], ..RunReport::default() };
    assert_eq!(
        written(&run),
        "work   a ⇄ b\n  \
           failed    another run is busy with this group\n            hint: wait for it\n\
         notes   a ⇄ c\n  \
           waiting   c is not there; what is owed to it is kept: no such folder\n\
         Summary     1 group waiting, 1 group with trouble   exit 75\n"
    );
}

#[test]
fn the_gravest_group_decides_what_the_command_ends_with() {
    let mut broken = CollectionReport::new("c");
    broken.worsen(Exit::Plugin);
    broken.worsen(Exit::Partial);
    assert_eq!(run(broken, false).exit(), Exit::Plugin);
    let journal = Summary { journal_failed: true, conflicts: 1, ..Summary::default() };
    assert_eq!(run(collection("c", vec![], journal, false), false).exit(), Exit::Internal);
    assert_eq!(RunReport::default().exit(), Exit::Done);
}

#[test]
fn a_store_that_changed_is_said_once_and_a_plan_says_it_in_the_conditional() {
    let reports = || {
        let words = "it is another store than at the last run".into();
        vec![
            Report::StoreChanged { side: Side::B },
            Report::MemberFailed { side: Side::B, class: FailureClass::Contract, words },
        ]
    };
    let summary = Summary { failed: [false, true], ..listed() };
    let told = |dry_run| written(&run(collection("c", reports(), summary, dry_run), dry_run));
    assert_eq!(told(false).matches("another store than at the last run").count(), 1, "{}", told(false));
    assert!(told(false).contains("  stopped   server is another store"), "{}", told(false));
    assert!(told(true).contains("  would     stop: server is another store"), "{}", told(true));
    assert!(told(true).contains("nothing would be written there"), "{}", told(true));
}

#[test]
fn a_quiet_run_still_says_what_stopped_it() {
    let stop = Report::GuardStop { side: Side::A, planned: 8, total: 9, names: vec![] };
    let conflict = Report::Conflict { row: RowId(1), names: [None, None], key: key("k") };
    let mut run = run(collection("c", vec![conflict, stop], listed(), false), false);
    run.groups[0].failures.push(Failure::new(Exit::Plugin, "it broke"));
    let mut stream = anstream::StripStream::new(Vec::new());
    write_errors(&run, &mut stream).unwrap();
    let text = String::from_utf8(stream.into_inner()).unwrap();
    assert!(text.contains("--allow-deletes 8") && text.contains("error: it broke"), "{text}");
    assert!(!text.contains("conflict"), "{text}");
}
