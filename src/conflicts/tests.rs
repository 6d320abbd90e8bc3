//! Conflicts on a state that no run made.

use std::path::Path;
use std::time::Duration;

use outrigger_engine::{
    Canonical, Conflict, DisputedCopy, Entry, Key, MemberIndex, Observed, Record, Row, RowId,
};
use outrigger_protocol::{Href, Revision};
use outrigger_store::{Collection, Store};
use uuid::Uuid;

use super::*;
use crate::config::{Config, Places};
use crate::exit::Exit;

const MEMBERS: [&str; 3] = ["laptop", "phone", "nas"];

struct Scene {
    config: Config,
    _state: tempfile::TempDir,
}

/// A group whose members hold these notes of one item, each its own.
fn scene(notes: [&str; 3]) -> Scene {
    let state = tempfile::tempdir().unwrap();
    let member = |name: &&str| format!("[member.{name}]\nplugin = \"vdir\"\npath = \"/{name}\"\n");
    let members: String = MEMBERS.iter().map(member).collect();
    let text = format!("state = {:?}\n{members}[group.g]\nmembers = {MEMBERS:?}\n", state.path());
    let config = Config::parse(&text, Path::new("/c.toml"), &Places::default()).unwrap();
    let scene = Scene { config, _state: state };
    scene.raise(notes);
    scene
}

impl Scene {
    /// A run finds that members hold these.
    fn raise(&self, notes: [&str; 3]) {
        let store = Store::open(&self.config.state, "g", Duration::ZERO).unwrap();
        let contents = notes.map(|note| Canonical::of("note", note.as_bytes()).content);
        let mut row = Row::new(Key(b"it".as_slice().into()), MEMBERS.len());
        row.id = RowId(1);
        row.entries = contents.iter().map(|content| Some(entry(*content))).collect();
        row.conflict = Some(Conflict { contents: contents.map(Some).to_vec() });
        let copies = (0..).map(MemberIndex).zip(notes);
        let copies =
            copies.map(|(member, note)| DisputedCopy { member, format: "note".into(), data: note.into() });
        let records = vec![Record::Row(Box::new(row)), Record::Disputed(RowId(1), copies.collect())];
        let run = store.begin_run(1, Uuid::now_v7()).wait().unwrap();
        store.apply(&Collection::new("c", MEMBERS), records).wait().unwrap();
        store.end_run(run, 2, "").wait().unwrap();
        store.close().unwrap();
    }

    /// Of what members hold, only this is kept.
    fn keep_only(&self, copies: Vec<DisputedCopy>) {
        let store = Store::open(&self.config.state, "g", Duration::ZERO).unwrap();
        let records = vec![Record::Disputed(RowId(1), copies)];
        store.apply(&Collection::new("c", MEMBERS), records).wait().unwrap();
        store.close().unwrap();
    }

    fn shown(&self) -> String {
        let mut stream = anstream::StripStream::new(Vec::new());
        write_one(&self.dispute(), 80, &mut stream).unwrap();
        String::from_utf8(stream.into_inner()).unwrap()
    }

    fn dispute(&self) -> Dispute {
        find(&self.config, &[]).unwrap().disputes.pop().unwrap()
    }
}

fn entry(content: outrigger_engine::Content) -> Entry {
    let observed = Observed::Present { revision: Revision::from("1"), settled: true, content };
    Entry { href: Href::from("it"), agreed: content, have: 0, rewritten: false, observed }
}

/// It was looked at, and before it was settled a run found something else.
#[test]
fn what_changes_between_the_look_and_the_choice_is_not_overwritten() {
    let scene = scene(["a", "b", "b"]);
    let seen = scene.dispute();
    scene.raise(["a", "c", "b"]);
    let refused = settle(&scene.config, seen, &Choice::Take("laptop".into())).unwrap_err();
    assert_eq!((refused.exit, scene.dispute().conflict.members.len()), (Exit::Usage, 3));
    let settled = settle(&scene.config, scene.dispute(), &Choice::Take("laptop".into())).unwrap();
    assert_eq!(settled.effects, [Effect::Stays, Effect::Update, Effect::Update]);
    assert!(find(&scene.config, &[]).unwrap().disputes.is_empty());
}

#[test]
fn what_means_the_same_is_one_side() {
    let dispute = scene(["a", "b", "a"]).dispute();
    let sides = dispute.sides();
    let members: Vec<_> = sides.iter().map(|side| &side.members[..]).collect();
    assert_eq!(members, [&["laptop", "nas"][..], &["phone"]]);
    assert!(dispute.without().is_empty() && dispute.unchanged().is_none());
    assert_eq!(dispute.merged(), None);
}

#[test]
fn an_editor_is_given_all_contents_and_each_line_is_whole() {
    let two = marked(&scene(["x\na\ny", "x\nb\ny", "x\nb\ny"]).dispute()).unwrap();
    assert_eq!(String::from_utf8(two).unwrap(), "x\n<<<<<<< laptop\na\n======= phone, nas\nb\n>>>>>>> \ny");
    let three = marked(&scene(["a", "b\n", "c"]).dispute()).unwrap();
    assert_eq!(
        String::from_utf8(three).unwrap(),
        "<<<<<<< laptop\na\n======= phone\nb\n======= nas\nc\n>>>>>>> \n"
    );
}

#[test]
fn six_contents_or_bytes_are_shown_too() {
    let shown = |notes| scene(notes).shown();
    let text = shown(["same\na\n", "same\nb\n", "same\n\u{202e}c\n"]);
    assert!(text.contains("  --- laptop\n  +++ phone\n    same\n  - a\n  + b\n"), "{text}");
    assert!(text.contains("  +++ nas\n    same\n  - a\n  + \\u{202e}c\n"), "{text}");
    let text = shown(["a\0", "b", "c"]);
    assert!(text.contains("sha256") && text.contains("bytes   2 "), "{text}");
}

#[test]
fn all_ways_that_are_open_are_named_and_no_other() {
    let scene = scene(["a", "b", "b"]);
    let ways = |text: &str| -> Vec<String> {
        let command = format!("conflicts resolve {} ", scene.dispute().id);
        text.lines().filter_map(|line| Some(line.split_once(&command)?.1.to_owned())).collect()
    };
    let all = scene.shown();
    assert_eq!(ways(&all), ["--take laptop", "--take phone", "--edit", "--content FILE", "--delete"]);
    assert!(!all.contains("not kept"), "{all}");
    scene.keep_only(vec![DisputedCopy { member: MemberIndex(0), format: "note".into(), data: b"a".into() }]);
    let text = scene.shown();
    assert_eq!(ways(&text), ["--take laptop", "--take phone", "--content FILE", "--delete"]);
    // Of "b", as `sha256sum` has it.
    let line = "  phone   \"it\"   what it holds is not kept here: sha256 3e23e8160039…\n";
    assert!(text.contains(line) && text.contains("  laptop   \"it\"   1 byte\n"), "{text}");
    scene.keep_only(Vec::new());
    assert_eq!(ways(&scene.shown()), ["--take laptop", "--take phone", "--delete"]);
}
