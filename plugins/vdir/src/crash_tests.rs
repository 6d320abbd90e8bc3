//! Stops and editors before every single step of a write, and stops during the recovery.
//!
//! A stop is "no further step happens": what `kill -9` leaves. The sweep tries every pair of a step
//! before which an editor acts and a step at which we stop, then every stop of the recovery.

use std::cell::Cell;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use outrigger_plugin_sdk::protocol::{Code, CommitKind};

use crate::disk::Gate;
use crate::folder::Folder;
use crate::testing::{commit, files, folder, write};

const OLD: &[u8] = b"UID:key\nFN:old\n";
const NEW: &[u8] = b"UID:key\nFN:new, and longer\n";
const EDIT: &[u8] = b"UID:key\nFN:edited\n";

/// What somebody else does to `a.vcf`.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "only an exchange survives all of them"))]
enum Editor {
    Nobody,
    /// Writes a file beside it and renames that over it: vim, khal, khard.
    SavesByRename,
    /// Truncates it and writes: nano, `echo >`.
    SavesInPlace,
    Deletes,
}

impl Editor {
    fn act(self, folder: &Path) {
        let file = folder.join("a.vcf");
        match self {
            Self::Nobody => {}
            Self::SavesByRename => {
                fs::write(folder.join(".a.swp"), EDIT).unwrap();
                fs::rename(folder.join(".a.swp"), file).unwrap();
            }
            Self::SavesInPlace => fs::write(file, EDIT).unwrap(),
            Self::Deletes => fs::remove_file(file).unwrap_or_default(),
        }
    }
}

/// Lets the editor act before step `acts`, and stops at step `stops`; counts the steps.
fn gate(path: PathBuf, editor: Editor, acts: usize, stops: usize, count: Rc<Cell<usize>>) -> Gate {
    Box::new(move |_| {
        let step = count.replace(count.get() + 1);
        if step == acts {
            editor.act(&path);
        }
        if step >= stops { Err(io::Error::other("stopped")) } else { Ok(()) }
    })
}

struct Run {
    steps: usize,
    answer: Option<Code>,
    done: bool,
    acted: bool,
}

/// One write in a folder that holds `a.vcf` (for a create: nothing).
fn run(root: &Path, kind: CommitKind, plain: bool, editor: Editor, acts: usize, stops: usize) -> Run {
    let mut folder = folder(root);
    folder.disk.plain = plain;
    let path = folder.path().to_path_buf();
    let count = Rc::new(Cell::new(0));
    *folder.disk.gate.borrow_mut() = Some(gate(path, editor, acts, stops, Rc::clone(&count)));
    let data = if kind == CommitKind::Delete { b"" } else { NEW };
    let expected = (kind != CommitKind::Create).then_some(OLD);
    let answer = commit(&mut folder, &write(kind, "a.vcf", expected, data));
    Run {
        steps: count.get(),
        done: answer.is_ok(),
        answer: answer.err().map(|error| error.code),
        acted: acts < count.get(),
    }
}

fn prepare(kind: CommitKind) -> tempfile::TempDir {
    let fast = Path::new("/dev/shm");
    let root = if fast.is_dir() { tempfile::tempdir_in(fast) } else { tempfile::tempdir() }.unwrap();
    fs::create_dir(root.path().join("book")).unwrap();
    fs::write(root.path().join("book/other.vcf"), b"untouched").unwrap();
    if kind != CommitKind::Create {
        fs::write(root.path().join("book/a.vcf"), OLD).unwrap();
    }
    root
}

/// Nothing of ours lies about, nothing is there twice, nothing that is nobody's is there.
fn check(root: &Path, case: &str) -> Vec<(String, Vec<u8>)> {
    let found = files(&root.join("book"));
    assert!(found.contains(&("other.vcf".into(), b"untouched".to_vec())), "{case}: {found:?}");
    let items: Vec<_> = found.into_iter().filter(|(name, _)| name != "other.vcf").collect();
    for (at, (name, data)) in items.iter().enumerate() {
        assert!(!name.starts_with('.'), "{case}: {name} lies about");
        assert!([OLD, NEW, EDIT].contains(&&**data), "{case}: {name} is {data:?}");
        assert!(items[..at].iter().all(|(_, other)| other != data), "{case}: twice: {items:?}");
    }
    items
}

fn has(items: &[(String, Vec<u8>)], data: &[u8]) -> bool {
    items.iter().any(|(_, content)| content == data)
}

fn recover(root: &Path, plain: bool) {
    let mut folder = Folder::unrecovered(root.join("book"));
    folder.disk.plain = plain;
    folder.recover().unwrap();
}

const KINDS: [CommitKind; 3] = [CommitKind::Create, CommitKind::Update, CommitKind::Delete];

/// With exchanges: whatever the editor saved is there, under one name.
#[test]
#[cfg(target_os = "linux")]
fn s5_an_editor_acts_before_any_step_and_we_stop_at_any_later_one() {
    for kind in KINDS {
        for editor in [Editor::Nobody, Editor::SavesByRename, Editor::SavesInPlace, Editor::Deletes] {
            let steps = run(prepare(kind).path(), kind, false, Editor::Nobody, usize::MAX, usize::MAX).steps;
            for acts in 0..steps + 8 {
                for stops in (acts + 1..steps + 12).chain([usize::MAX]) {
                    let case = format!("{kind:?}, {editor:?} before {acts}, stop at {stops}");
                    let root = prepare(kind);
                    let run = run(root.path(), kind, false, editor, acts, stops);
                    recover(root.path(), false);
                    judge(&check(root.path(), &case), kind, editor, &run, &case);
                }
            }
        }
    }
}

fn judge(items: &[(String, Vec<u8>)], kind: CommitKind, editor: Editor, run: &Run, case: &str) {
    let saved = run.acted && matches!(editor, Editor::SavesByRename | Editor::SavesInPlace);
    if saved {
        assert!(has(items, EDIT), "{case}: the edit is lost: {items:?}");
    }
    if run.answer == Some(Code::PRECONDITION) || run.answer == Some(Code::EXISTS) {
        assert!(run.acted && !has(items, NEW), "{case}: refused, and yet there: {items:?}");
    }
    if !run.acted && run.done {
        assert_eq!(has(items, NEW), kind != CommitKind::Delete, "{case}: {items:?}");
        assert!(!has(items, OLD), "{case}: {items:?}");
    }
    if !run.acted && kind == CommitKind::Update {
        assert!(items.len() == 1 && items[0].0 == "a.vcf", "{case}: old or new, never neither: {items:?}");
    }
}

/// Without exchanges the item is still old or new after any stop, and an edit within the file that
/// comes after it got its second name survives.
#[test]
fn s5_without_exchanges_a_stop_at_any_step_loses_nothing() {
    for kind in KINDS {
        let steps = run(prepare(kind).path(), kind, true, Editor::Nobody, usize::MAX, usize::MAX).steps;
        for stops in (0..=steps).chain([usize::MAX]) {
            let case = format!("{kind:?} without exchanges, stop at {stops}");
            let root = prepare(kind);
            let run = run(root.path(), kind, true, Editor::Nobody, usize::MAX, stops);
            recover(root.path(), true);
            judge(&check(root.path(), &case), kind, Editor::Nobody, &run, &case);
        }
        for acts in 0..steps {
            let case = format!("{kind:?} without exchanges, edit in place before {acts}");
            let root = prepare(kind);
            let run = run(root.path(), kind, true, Editor::SavesInPlace, acts, usize::MAX);
            recover(root.path(), true);
            judge(&check(root.path(), &case), kind, Editor::SavesInPlace, &run, &case);
        }
    }
}

/// The worst leftover, an edit displaced by an exchange and not looked at: recovery is stopped at
/// any step, and the one after it finishes.
#[test]
fn s5_the_recovery_is_stopped_at_any_step() {
    for (kind, plain) in KINDS.into_iter().flat_map(|kind| [(kind, false), (kind, true)]) {
        let steps = run(prepare(kind).path(), kind, plain, Editor::Nobody, usize::MAX, usize::MAX).steps;
        for (acts, stops) in (0..steps).flat_map(|stops| (0..=stops).map(move |acts| (acts, stops))) {
            for recovery_stops in 0..16 {
                let case = format!(
                    "{kind:?} {plain}, edit before {acts}, stop at {stops}, then at {recovery_stops}"
                );
                let root = prepare(kind);
                let run = run(root.path(), kind, plain, Editor::SavesInPlace, acts, stops);
                stopped_recovery(root.path(), plain, recovery_stops);
                recover(root.path(), plain);
                judge(&check(root.path(), &case), kind, Editor::SavesInPlace, &run, &case);
            }
        }
    }
}

/// Opens the folder without its own recovery, and stops one.
fn stopped_recovery(root: &Path, plain: bool, stops: usize) {
    let mut folder = Folder::unrecovered(root.join("book"));
    folder.disk.plain = plain;
    *folder.disk.gate.borrow_mut() =
        Some(gate(root.join("book"), Editor::Nobody, usize::MAX, stops, Rc::new(Cell::new(0))));
    folder.recover().unwrap_or_default();
}

/// Two editors: one saves before the exchange, one before it is undone. Both edits are items.
#[test]
#[cfg(target_os = "linux")]
fn s5_two_editors_save_around_one_exchange() {
    let root = prepare(CommitKind::Update);
    let mut folder = folder(root.path());
    let book = folder.path().to_path_buf();
    let mut exchanges = 0;
    *folder.disk.gate.borrow_mut() = Some(Box::new(move |step| {
        if step == "exchange" {
            exchanges += 1;
            fs::write(book.join("a.vcf"), format!("UID:key\nFN:edit {exchanges}\n")).unwrap();
        }
        Ok(())
    }));
    let error = commit(&mut folder, &write(CommitKind::Update, "a.vcf", Some(OLD), NEW)).unwrap_err();
    assert_eq!(error.code, Code::PRECONDITION);
    let found = files(folder.path());
    assert!(has(&found, b"UID:key\nFN:edit 1\n") && has(&found, b"UID:key\nFN:edit 2\n"), "{found:?}");
    assert!(!has(&found, NEW) && found.len() == 3, "{found:?}");
}

/// Who holds the displaced file open writes to it after it was looked at; the second look sees it.
/// (Windows does not even let us rename over a file that is open.)
#[test]
#[cfg(unix)]
fn s5_an_open_editor_writes_into_the_displaced_file() {
    for kind in [CommitKind::Update, CommitKind::Delete] {
        let root = prepare(kind);
        let mut folder = folder(root.path());
        let mut editor = Some(fs::OpenOptions::new().append(true).open(folder.path().join("a.vcf")).unwrap());
        *folder.disk.gate.borrow_mut() = Some(Box::new(move |step| {
            if step == "sync folder"
                && let Some(mut open) = editor.take()
            {
                io::Write::write_all(&mut open, b"NOTE:mine\n").unwrap();
            }
            Ok(())
        }));
        let data = if kind == CommitKind::Delete { b"" } else { NEW };
        let error = commit(&mut folder, &write(kind, "a.vcf", Some(OLD), data)).unwrap_err();
        assert_eq!(error.code, Code::PRECONDITION);
        let edited = [OLD, b"NOTE:mine\n"].concat();
        assert_eq!(files(folder.path())[0], ("a.vcf".into(), edited));
        assert_eq!(files(folder.path()).len(), 2);
    }
}

/// Too large to be compared, but one file under two names all the same.
#[test]
#[cfg(unix)]
fn s5_a_second_name_of_a_huge_file_is_no_second_item() {
    use outrigger_plugin_sdk::protocol::RawDigest;

    use crate::aside::{Aside, Kind};
    let root = prepare(CommitKind::Update);
    let book = root.path().join("book");
    let edit = fs::File::options().write(true).open(book.join("a.vcf")).unwrap();
    let item = write(CommitKind::Update, "a.vcf", Some(OLD), NEW);
    let copy = Aside::new(item.operation, &RawDigest::of(OLD), &item.digest, b"a.vcf").name(Kind::Copy);
    fs::hard_link(book.join("a.vcf"), book.join(String::from_utf8(copy).unwrap())).unwrap();
    edit.set_len(2_000_000).unwrap();
    recover(root.path(), true);
    let names: Vec<_> = files(&book).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["a.vcf", "other.vcf"]);
}

/// Hrefs of 255 bytes do not fit into the name of the displaced file: the edit becomes an item.
#[test]
#[cfg(target_os = "linux")]
fn s5_an_edit_under_a_name_of_255_bytes_survives_a_crash() {
    let root = prepare(CommitKind::Create);
    let name = format!("{}.vcf", "h".repeat(251));
    let file = root.path().join("book").join(&name);
    fs::write(&file, OLD).unwrap();
    let mut folder = folder(root.path());
    let mut stopped = false;
    *folder.disk.gate.borrow_mut() = Some(Box::new(move |step| {
        if step == "exchange" {
            fs::write(&file, EDIT).unwrap();
            stopped = true;
            return Ok(());
        }
        if stopped { Err(io::Error::other("stopped")) } else { Ok(()) }
    }));
    commit(&mut folder, &write(CommitKind::Update, &name, Some(OLD), NEW)).unwrap_err();
    recover(root.path(), false);
    let items = check(root.path(), "long name");
    assert!(has(&items, EDIT) && has(&items, NEW) && items.len() == 2, "{items:?}");
}
