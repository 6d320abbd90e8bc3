//! Whole accounts, as a user reads them.

use std::time::Duration;

use outrigger_engine::{
    Counts, FailureClass, Guard, Key, MemberIndex, MemberSummary, PlannedWrite, Report, RowId, Summary,
};
use outrigger_protocol::{CommitKind, Href};

use super::words::grouped;
use super::*;
use crate::report::Known;
use crate::report::run::Waiting;

fn written(run: &RunReport) -> String {
    let mut stream = anstream::StripStream::new(Vec::new());
    write_run(run, &mut stream).unwrap();
    String::from_utf8(stream.into_inner()).unwrap()
}

const A: MemberIndex = MemberIndex(0);
const B: MemberIndex = MemberIndex(1);

fn collection(name: &str, reports: Vec<Report>, summary: Summary, dry_run: bool) -> CollectionReport {
    let mut collection = CollectionReport::new(name, summary.members.len());
    collection.listing = Duration::from_millis(300);
    for member in collection.indices() {
        collection.take(Report::Listed { member, count: 1_000, complete: member == A }, dry_run);
    }
    reports.into_iter().chain([Report::Ended(summary)]).for_each(|report| collection.take(report, dry_run));
    collection
}

fn run(collection: CollectionReport, dry_run: bool) -> RunReport {
    let names = ["laptop", "server", "phone", "usb", "tablet", "nas", "desk"].map(String::from);
    let members = names.into_iter().chain((7..).map(|number| format!("m{number}")));
    let mut group = GroupReport::new("contacts", members.take(collection.members.len()).collect());
    group.collections.push(collection);
    RunReport { groups: vec![group], dry_run, ..RunReport::default() }
}

fn listed_by(members: usize) -> Summary {
    let counts = Counts { listed: 1_000, ..Counts::default() };
    let member = MemberSummary { counts, ..MemberSummary::default() };
    Summary { members: vec![member; members], ..Summary::default() }
}

fn listed() -> Summary {
    listed_by(2)
}

fn failed(mut summary: Summary, member: MemberIndex) -> Summary {
    summary.members[member.index()].failed = true;
    summary
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
    summary.members[0].counts.updated = 3;
    let server = &mut summary.members[1].counts;
    (server.created, server.updated, server.deleted) = (4, 8, 1);
    assert_eq!(
        written(&run(collection("family", vec![], summary, false), false)),
        "contacts/family   laptop ⇄ server\n  \
           listing   laptop 1 000   server 1 000 (changes only)   0.3 s\n  \
           changes   12 → server   3 → laptop   1 delete   2 conflicts\n  \
           done      +4 ~11 −1   2 conflicts wait: outrigger conflicts contacts\n\
         Summary     1 group in sync, 2 conflicts   exit 3\n"
    );
}

#[test]
fn a_run_without_changes_says_so() {
    let text = written(&run(collection("family", vec![], listed(), false), false));
    assert!(text.contains("  changes   none\n  done      +0 ~0 −0\n"), "{text}");
    assert!(text.ends_with("Summary     1 group in sync   exit 0\n"), "{text}");
}

fn planned(kind: CommitKind, names: &[&str]) -> Report {
    let names = names.iter().map(|name| (!name.is_empty()).then(|| href(name))).collect();
    Report::Planned(PlannedWrite { member: B, kind, names, key: key("k"), expected: None, content: None })
}

#[test]
fn a_plan_names_what_would_be_written_and_claims_nothing() {
    let reports = vec![
        planned(CommitKind::Create, &["c.vcf", ""]),
        planned(CommitKind::Update, &["a.vcf", "its a.vcf"]),
        planned(CommitKind::Delete, &["", "b\x1b[2J.vcf"]),
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
        member: A,
        guard: Guard::Deletes,
        planned: 812,
        disputed: 0,
        total: 812,
        names: vec![href("a.vcf"), href("b.vcf")],
    };
    let mut summary = listed();
    summary.members[0].guard = true;
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
        let group = GroupReport::new("contacts", vec!["a".into(), "b".into()]);
        assert_eq!(group.target(name), target);
    }
}

#[test]
fn what_went_wrong_is_told_in_the_words_of_whoever_said_it() {
    let reports = vec![
        Report::Conflict {
            row: RowId(1),
            names: vec![Some(href("a.vcf")), None],
            key: key("uid-1"),
            is_for_policy: false,
        },
        Report::Pending { member: B, href: href("p.vcf"), reason: "try \"later\"".into() },
        Report::MemberFailed { member: A, class: FailureClass::Contract, words: "gone\x07".into() },
        Report::StoreChanged { member: B },
    ];
    let summary = failed(Summary { pending: 1, ..listed() }, A);
    let text = written(&run(collection("c", reports, summary, false), false));
    assert!(text.contains("\nconflict    contacts/c   \"uid-1\": outrigger conflicts list\n"), "{text}");
    assert!(text.contains("  pending   \"p.vcf\" at server: \"try \\\"later\\\"\"\n"), "{text}");
    assert!(text.contains("  failed    laptop: \"gone\\u{7}\"\n"), "{text}");
    assert!(text.contains("server is another store than at the last run"), "{text}");
    assert!(text.ends_with("exit 5\n"), "{text}");
}

#[test]
fn ten_thousand_troubles_do_not_fill_the_screen_and_never_hide_a_failed_member() {
    let pending = |n: u32| Report::Pending { member: B, href: href(&n.to_string()), reason: String::new() };
    let mut reports: Vec<Report> = (0..10_000).map(pending).collect();
    reports.push(Report::MemberFailed { member: B, class: FailureClass::Contract, words: "the last".into() });
    let text = written(&run(collection("c", reports, listed(), false), false));
    assert!(text.lines().count() < 30, "{text}");
    assert!(text.contains("and 9 980 more") && text.contains("the last"), "{text}");
}

#[test]
fn a_group_that_did_not_run_is_told_with_its_reason() {
    let mut group = GroupReport::new("work", vec!["a".into(), "b".into()]);
    group
        .failures
        .push(Failure::new(Exit::Locked, "another run is busy with this group").hint("wait for it"));
    let mut other = GroupReport::new("notes", vec!["a".into(), "c".into()]);
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
    let mut broken = CollectionReport::new("c", 2);
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
            Report::StoreChanged { member: B },
            Report::MemberFailed { member: B, class: FailureClass::Contract, words },
        ]
    };
    let summary = failed(listed(), B);
    let told = |dry_run| written(&run(collection("c", reports(), summary.clone(), dry_run), dry_run));
    assert_eq!(told(false).matches("another store than at the last run").count(), 1, "{}", told(false));
    assert!(told(false).contains("  stopped   server is another store"), "{}", told(false));
    assert!(told(true).contains("  would     stop: server is another store"), "{}", told(true));
    assert!(told(true).contains("nothing would be written there"), "{}", told(true));
}

#[test]
fn a_quiet_run_still_says_what_stopped_it() {
    let stop = Report::GuardStop {
        member: A,
        guard: Guard::Deletes,
        planned: 8,
        disputed: 0,
        total: 9,
        names: vec![],
    };
    let conflict =
        Report::Conflict { row: RowId(1), names: vec![None, None], key: key("k"), is_for_policy: false };
    let mut run = run(collection("c", vec![conflict, stop], listed(), false), false);
    run.groups[0].failures.push(Failure::new(Exit::Plugin, "it broke"));
    let mut stream = anstream::StripStream::new(Vec::new());
    write_errors(&run, &mut stream).unwrap();
    let text = String::from_utf8(stream.into_inner()).unwrap();
    assert!(text.contains("--allow-deletes 8") && text.contains("error: it broke"), "{text}");
    assert!(!text.contains("  conflict"), "{text}");
}

#[test]
fn many_members_are_told_in_lines_that_can_be_read() {
    let mut summary = listed_by(100);
    for (place, member) in summary.members.iter_mut().enumerate() {
        member.counts.created = place as u64;
    }
    let mut collection = collection("family", vec![], summary, false);
    collection.members[50].complete = None;
    let text = written(&run(collection, false));
    assert_eq!(
        text,
        "contacts/family   laptop ⇄ server ⇄ phone ⇄ usb ⇄ tablet ⇄ 95 more\n  \
           listing   laptop 1 000   server 1 000 (changes only)   phone 1 000 (changes only)   usb 1 000 (changes only)   \
                     tablet 1 000 (changes only)   m50 1 000 (broke off)   94 more 94 000   0.3 s\n  \
           changes   99 → m99   98 → m98   97 → m97   96 → m96   95 → m95   and 94 more\n  \
           done      +4 950 ~0 −0\n\
         Summary     1 group in sync   exit 0\n"
    );
}

#[test]
fn what_a_plan_would_do_to_one_of_many_names_a_source_only_where_it_is_plain() {
    let reports = vec![
        planned(CommitKind::Create, &["c.vcf", "", ""]),
        planned(CommitKind::Create, &["d.vcf", "", "e.vcf"]),
        planned(CommitKind::Update, &["a.vcf", "its a.vcf", "b.vcf"]),
        planned(CommitKind::Delete, &["", "f.vcf", "g.vcf"]),
        planned(CommitKind::Delete, &["", "h.vcf", ""]),
        Report::Conflict {
            row: RowId(1),
            names: vec![Some(href("x")), None, Some(href("y"))],
            key: key("k"),
            is_for_policy: true,
        },
    ];
    let text = written(&run(collection("family", reports, listed_by(3), true), true));
    for line in [
        "create on server: a copy of \"c.vcf\" from laptop\n",
        "create on server: a copy of \"d.vcf\"\n",
        "update on server: \"its a.vcf\"\n",
        "delete on server: \"f.vcf\", deleted on laptop\n",
        "delete on server: \"h.vcf\"\n",
        "conflict  \"k\": \"x\" at laptop, not at server, \"y\" at phone; a sync settles it by the policy of the group, if it can\n",
    ] {
        assert!(text.contains(line), "{line}{text}");
    }
}

#[test]
fn a_member_that_is_not_there_is_no_trouble_and_what_waits_for_it_is_not_pending() {
    let mut collection = CollectionReport::new("family", 3);
    collection.members[2].absent = true;
    for member in [A, B] {
        collection.take(Report::Listed { member, count: 1_000, complete: true }, false);
    }
    let phone = MemberIndex(2);
    let reason = String::new();
    for report in [
        Report::MemberFailed { member: phone, class: FailureClass::Contract, words: "away".into() },
        Report::Pending { member: phone, href: href("a"), reason: reason.clone() },
        Report::Untold { member: phone, count: 5 },
        Report::Ended(failed(Summary { pending: 6, ..listed_by(3) }, phone)),
    ] {
        collection.take(report, false);
    }
    let text = written(&run(collection.clone(), false));
    assert!(text.contains("laptop 1 000   server 1 000   phone (not there)   0.0 s\n"), "{text}");
    assert!(text.contains("  done      +0 ~0 −0\n") && text.ends_with("exit 0\n"), "{text}");
    // What one of the others could not be brought, is.
    collection.take(Report::Pending { member: B, href: href("b"), reason }, false);
    assert_eq!((collection.pending(), collection.exit()), (1, Exit::Partial));
}

#[test]
fn each_guard_names_what_there_is_too_much_of_and_its_own_option() {
    for (guard, much, option) in [
        (Guard::Deletes, "812 of its 1 000 items would be deleted\n", "--allow-deletes 812\n"),
        (Guard::Updates, "812 of its 1 000 items would be updated\n", "--allow-updates 812\n"),
        (Guard::Creates, "812 items would be created beside its 1 000\n", "--allow-creates 812\n"),
    ] {
        let stop = |disputed| {
            let names = vec![href("a")];
            Report::GuardStop { member: A, guard, planned: 812, disputed, total: 1_000, names }
        };
        let text = |disputed| written(&run(collection("c", vec![stop(disputed)], listed(), false), false));
        let up_to = format!("up to {}, 7 conflicts among them\n", much.trim_end());
        assert!(text(7).contains(&up_to), "{}", text(7));
        let text = text(0);
        assert!(text.contains(&format!("before anything was written to laptop: {much}")), "{text}");
        assert!(text.contains(&format!("outrigger sync contacts/c {option}")), "{text}");
    }
}

#[test]
fn why_changes_are_kept_is_told_as_the_members_are() {
    let told = |read_only: u64, no_delete: u64| {
        let mut summary = listed_by(2);
        (summary.members[0].counts.kept, summary.members[1].counts.kept) = (read_only, no_delete);
        let mut collection = collection("c", vec![], summary, false);
        collection.members[1].no_delete = true;
        written(&run(collection, false))
    };
    assert!(told(2, 0).contains("   2 changes are kept back (read-only)\n"));
    assert!(told(0, 1).contains("   1 change is kept back (nothing is deleted there)\n"));
    assert!(told(1, 1).contains("   2 changes are kept back (read-only, or nothing is deleted there)\n"));
}

/// Conflicts of so many items in each of these collections.
fn in_conflict(counts: &[u64]) -> RunReport {
    let mut run =
        RunReport { groups: vec![GroupReport::new("g", vec!["a".into(), "b".into()])], ..Default::default() };
    for count in counts {
        let conflict = |row| Report::Conflict {
            row: RowId(row),
            names: vec![None, None],
            key: key("k"),
            is_for_policy: false,
        };
        let reports = (0..*count).map(conflict).collect();
        run.groups[0].collections.push(collection("c", reports, listed(), false));
    }
    run
}

#[test]
fn a_conflict_is_told_with_the_command_that_shows_it() {
    let mut run = in_conflict(&[1]);
    let (short, id, title) = ("3fa9c1".into(), "3fa9c10011223344".into(), "Anna\x1b".into());
    run.groups[0].collections[0].raised[0].known = Some(Known { short, id, title });
    let text = written(&run);
    let line = "conflict    3fa9c1   g/c   \"Anna\\u{1b}\": outrigger conflicts show 3fa9c1\n";
    assert!(text.contains(line), "{text}");
    run.dry_run = true;
    assert!(written(&run).contains("  conflict  \"k\": deleted at a, deleted at b\n"), "{}", written(&run));
    assert!(!written(&run).contains("3fa9c1"), "a plan raises none");
}

#[test]
fn of_very_many_conflicts_ten_are_told_and_the_rest_counted() {
    for (counts, rest) in [(&[10][..], None), (&[4, 7], Some(1)), (&[1_000, 1_000], Some(1_990))] {
        let text = written(&in_conflict(counts));
        assert_eq!(text.matches("g/c   \"k\"").count(), 10, "{text}");
        let tail =
            rest.map(|rest| format!("conflict    … and {} more: outrigger conflicts list\n", grouped(rest)));
        assert!(tail.iter().all(|tail| text.contains(tail)), "{text}");
        assert_eq!(text.contains(" more: "), rest.is_some(), "{text}");
    }
}
