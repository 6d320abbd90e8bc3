//! Listing and reading, with real files.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::Path;
use std::rc::Rc;

use outrigger_plugin_sdk::protocol::limits::MAX_ITEM_DATA;
use outrigger_plugin_sdk::protocol::{Change, ChangeKind, Code, Href, RawDigest, ReadItem, ReadOutcome};

use crate::folder::Folder;
use crate::options::MARKER;
use crate::stamp::{Clock, Tick};
use crate::testing::{folder, options};

fn list(folder: &mut Folder) -> (Vec<Change>, bool) {
    let mut changes = Vec::new();
    let push = &mut |change: &Change| {
        changes.push(change.clone());
        Ok(())
    };
    let complete = folder.list(push).unwrap();
    (changes, complete)
}

fn hrefs(folder: &mut Folder) -> Vec<String> {
    list(folder).0.iter().map(|change| change.href.to_string()).collect()
}

fn read(folder: &Folder, href: impl Into<Href>, known: Option<RawDigest>) -> ReadOutcome<'static> {
    let mut found = None;
    let item = ReadItem { href: href.into(), known };
    let push = &mut |result: &outrigger_plugin_sdk::protocol::ReadResult<'_>| {
        assert_eq!(result.index, 0);
        found = Some(match &result.outcome {
            ReadOutcome::Item { revision, settled, format, data } => ReadOutcome::Item {
                revision: revision.clone(),
                settled: *settled,
                format: format.clone().into_owned().into(),
                data: data.clone().into_owned().into(),
            },
            ReadOutcome::NotModified { revision, settled } => {
                ReadOutcome::NotModified { revision: revision.clone(), settled: *settled }
            }
            ReadOutcome::NotFound => ReadOutcome::NotFound,
            ReadOutcome::Failed(error) => ReadOutcome::Failed(error.clone()),
        });
        Ok(())
    };
    folder.read(&[item], push).unwrap();
    found.unwrap()
}

const CARD: &str = "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:u\r\nFN:one\r\nEND:VCARD\r\n";

fn code(outcome: &ReadOutcome<'_>) -> Code {
    match outcome {
        ReadOutcome::Failed(error) => error.code,
        other => panic!("{other:?}"),
    }
}

#[test]
fn only_items_are_listed_sorted_and_nothing_is_touched() {
    let root = tempfile::tempdir().unwrap();
    let mut folder = folder(root.path());
    let book = folder.path().to_path_buf();
    for name in ["b.vcf", "a.ICS", ".hidden.vcf", "a.vcf.tmp", "color", "notes.txt", "~a.vcf"] {
        fs::write(book.join(name), name).unwrap();
    }
    fs::write(book.join(std::ffi::OsStr::from_bytes(b"\xff\xfe.vcf")), "x").unwrap();
    fs::write(book.join(format!("{}.vcf", "n".repeat(251))), "x").unwrap();
    fs::create_dir(book.join("folder.vcf")).unwrap();
    symlink("b.vcf", book.join("link.vcf")).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, book.join("pipe.vcf"), rustix::fs::FileType::Fifo, 0o600.into(), 0)
        .unwrap();
    let stamps = |name| {
        fs::metadata(book.join(name)).map(|meta| (meta.ino(), meta.ctime_nsec(), meta.atime_nsec())).unwrap()
    };
    let before = (stamps("color"), stamps(".hidden.vcf"), stamps("b.vcf"));

    let (changes, complete) = list(&mut folder);
    let names: Vec<_> = changes.iter().map(|change| change.href.to_string()).collect();
    assert_eq!(names, ["a.ICS", "b.vcf", &format!("{}.vcf", "n".repeat(251)), "~a.vcf", "\\xff\\xfe.vcf"]);
    assert!(complete && changes.iter().all(|change| change.kind == ChangeKind::Unknown));
    assert_eq!((&*changes[0].object_type, &*changes[0].format), ("event", "icalendar"));
    assert_eq!((&*changes[1].object_type, &*changes[1].format), ("contact", "vcard"));
    assert_eq!((stamps("color"), stamps(".hidden.vcf"), stamps("b.vcf")), before);
}

#[test]
fn the_extension_filter_hides_the_others() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("book")).unwrap();
    fs::write(root.path().join("book/a.vcf"), "").unwrap();
    fs::write(root.path().join("book/a.ics"), "").unwrap();
    let options = options(root.path(), &[("extension", "ics")]);
    let mut folder = Folder::open(&options, options.folder("book").unwrap()).unwrap();
    assert_eq!(hrefs(&mut folder), ["a.ics"]);
}

#[test]
fn links_pipes_and_folders_are_not_items_to_read() {
    let root = tempfile::tempdir().unwrap();
    let folder = folder(root.path());
    let book = folder.path();
    fs::write(root.path().join("secret"), "secret").unwrap();
    symlink("../secret", book.join("link.vcf")).unwrap();
    symlink("nowhere", book.join("dangling.vcf")).unwrap();
    fs::create_dir(book.join("folder.vcf")).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, book.join("pipe.vcf"), rustix::fs::FileType::Fifo, 0o600.into(), 0)
        .unwrap();
    for name in ["link.vcf", "dangling.vcf", "folder.vcf", "pipe.vcf"] {
        assert_eq!(code(&read(&folder, name, None)), Code::FORMAT, "{name}: there, so never NotFound");
    }
    for name in ["../secret", "..", "", ".hidden.vcf", "color", "a/b.vcf"] {
        assert_eq!(code(&read(&folder, name, None)), Code::INVALID, "{name}");
    }
}

/// Holds S21.
#[test]
fn reading_is_conditional_and_exact() {
    let root = tempfile::tempdir().unwrap();
    let mut folder = folder(root.path());
    let data = b"BEGIN:VCARD\r\n\xff\0\r\nEND:VCARD\r\n";
    fs::write(folder.path().join("a.vcf"), data).unwrap();
    let listed = list(&mut folder).0;
    let ReadOutcome::Item { revision, format, data: found, .. } =
        read(&folder, "a.vcf", Some(RawDigest::of(b"other")))
    else {
        panic!("no item")
    };
    assert_eq!((&*found, &*format, &revision), (&data[..], "vcard", &listed[0].revision));
    let known = read(&folder, "a.vcf", Some(RawDigest::of(data)));
    assert!(matches!(known, ReadOutcome::NotModified { revision: again, .. } if again == revision));
    assert_eq!(read(&folder, "gone.vcf", None), ReadOutcome::NotFound);
}

/// An editor that truncates and writes, or a crash: what is left of an item is no edit.
#[test]
fn what_is_empty_or_cut_is_there_and_cannot_be_read() {
    let root = tempfile::tempdir().unwrap();
    let mut folder = folder(root.path());
    for (name, data) in [("empty.vcf", ""), ("empty.ics", ""), ("cut.vcf", &CARD[..30])] {
        fs::write(folder.path().join(name), data).unwrap();
        let ReadOutcome::Failed(error) = read(&folder, name, None) else { panic!("{name} was read") };
        assert_eq!(error.code, Code::FORMAT);
        assert!(error.message.contains("may be in the middle of being written"), "{error}");
        // The engine knows it already: it came from elsewhere.
        let known = read(&folder, name, Some(RawDigest::of(data.as_bytes())));
        assert!(matches!(known, ReadOutcome::NotModified { .. }), "{name}");
    }
    assert_eq!(hrefs(&mut folder), ["cut.vcf", "empty.ics", "empty.vcf"], "nothing of it was deleted");
    fs::write(folder.path().join("cut.vcf"), CARD).unwrap();
    assert!(
        matches!(read(&folder, "cut.vcf", None), ReadOutcome::Item { data, .. } if *data == *CARD.as_bytes())
    );
}

/// Holds S15.
#[test]
fn an_item_that_is_too_large_is_refused_by_its_size_alone() {
    let root = tempfile::tempdir().unwrap();
    let folder = folder(root.path());
    let file = fs::File::create(folder.path().join("a.vcf")).unwrap();
    fs::write(folder.path().join("a.vcf"), " ".repeat(MAX_ITEM_DATA - CARD.len()) + CARD).unwrap();
    assert!(
        matches!(read(&folder, "a.vcf", None), ReadOutcome::Item { data, .. } if data.len() == MAX_ITEM_DATA)
    );
    file.set_len(1 << 40).unwrap();
    let ReadOutcome::Failed(error) = read(&folder, "a.vcf", None) else { panic!("read a tebibyte") };
    assert_eq!(error.code, Code::TOO_LARGE);
    assert!(error.message.contains("1099511627776") && error.message.contains("983040"), "{error}");
}

#[test]
fn an_item_that_is_edited_while_it_is_read_is_read_again() {
    let root = tempfile::tempdir().unwrap();
    let folder = folder(root.path());
    let file = folder.path().join("a.vcf");
    fs::write(&file, "one").unwrap();
    let (path, mut looks) = (file.clone(), 0);
    *folder.disk.gate.borrow_mut() = Some(Box::new(move |step| {
        looks += usize::from(step == "stat open file");
        if looks == 2 && step == "stat open file" {
            fs::write(&path, CARD).unwrap();
        }
        Ok(())
    }));
    assert!(
        matches!(read(&folder, "a.vcf", None), ReadOutcome::Item { data, .. } if *data == *CARD.as_bytes())
    );

    let mut edits = 0;
    *folder.disk.gate.borrow_mut() = Some(Box::new(move |step| {
        if step == "stat open file" {
            edits += 1;
            fs::write(&file, "x".repeat(edits)).unwrap();
        }
        Ok(())
    }));
    let ReadOutcome::Failed(error) = read(&folder, "a.vcf", None) else { panic!("half an item") };
    assert_eq!(error.code, Code::IO);
    assert!(matches!(error.retry, outrigger_plugin_sdk::protocol::Retry::After(_)));
}

#[test]
fn s6_a_change_that_leaves_the_revision_as_it_was_is_met_by_an_unsettled_one() {
    let root = tempfile::tempdir().unwrap();
    let mut folder = folder(root.path());
    let now = Rc::new(std::cell::Cell::new(0));
    let shim = Rc::clone(&now);
    folder.disk.clock = Clock::new(Tick::Unknown, move || shim.get());
    folder.disk.clock.grain = Some(i128::MAX);
    let file = folder.path().join("a.vcf");
    fs::write(&file, CARD).unwrap();
    let first = list(&mut folder).0;
    let two = CARD.replace("one", "two");
    fs::write(&file, &two).unwrap();
    let second = list(&mut folder).0;
    assert_eq!(
        first[0].revision, second[0].revision,
        "inode, size and times are equal: the change does not show"
    );
    assert!(!first[0].settled, "but the first revision was not settled, so the engine reads again");
    assert!(
        matches!(read(&folder, "a.vcf", Some(RawDigest::of(CARD.as_bytes()))), ReadOutcome::Item { data, .. } if *data == *two.as_bytes())
    );
    now.set(3_000_000_000);
    assert!(list(&mut folder).0[0].settled, "two seconds on, a change could not hide any more");
}

/// When a file changed last, as the file system says; `None`: it is not there.
fn changed(path: &Path) -> Option<(i64, i64)> {
    fs::metadata(path).ok().map(|about| (about.ctime(), about.ctime_nsec()))
}

#[test]
fn s6_a_restored_mtime_shows_by_the_ctime() {
    let root = tempfile::tempdir().unwrap();
    let mut folder = folder(root.path());
    let path = folder.path().join("a.vcf");
    fs::write(&path, "one").unwrap();
    let mtime = fs::metadata(&path).unwrap().modified().unwrap();
    let first = list(&mut folder).0;
    // The clock of files moves in steps; within one, nothing could show.
    let (clock, before) = (root.path().join("clock"), changed(&path));
    while changed(&clock) == before {
        fs::write(&clock, "").unwrap();
    }
    fs::write(&path, "two").unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_modified(mtime).unwrap();
    assert_ne!(list(&mut folder).0[0].revision, first[0].revision);
}

#[test]
fn s2_what_is_missing_in_another_folder_was_not_deleted() {
    let root = tempfile::tempdir().unwrap();
    let mut folder = folder(root.path());
    fs::write(folder.path().join("a.vcf"), "x").unwrap();
    fs::rename(root.path().join("book"), root.path().join("away")).unwrap();
    fs::create_dir(root.path().join("book")).unwrap();
    assert!(!list(&mut folder).1, "a listing of a folder that is not there any more is not complete");
    assert_eq!(code(&read(&folder, "b.vcf", None)), Code::INVALID_STATE);
}

#[test]
fn s2_without_the_marker_nothing_is_said_to_be_missing() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("book")).unwrap();
    let options = options(root.path(), &[("marker", "true")]);
    let book = options.folder("book").unwrap();
    assert!(Folder::open(&options, book.clone()).is_err());
    fs::write(root.path().join(MARKER), "").unwrap();
    let mut folder = Folder::open(&options, book).unwrap();
    assert!(list(&mut folder).1);
    fs::remove_file(root.path().join(MARKER)).unwrap();
    assert!(!list(&mut folder).1);
    assert_eq!(code(&read(&folder, "a.vcf", None)), Code::INVALID_STATE);
    assert!(options.discover().is_err());
}

#[test]
fn s2_what_cannot_be_looked_at_is_said_so() {
    let root = tempfile::tempdir().unwrap();
    let mut folder = folder(root.path());
    fs::write(folder.path().join("a.vcf"), "x").unwrap();
    fs::write(folder.path().join("b.vcf"), "x").unwrap();
    let mut looks = 0;
    *folder.disk.gate.borrow_mut() = Some(Box::new(move |step| {
        looks += usize::from(step == "stat");
        if step == "stat" && looks == 1 { Err(std::io::Error::other("bad sector")) } else { Ok(()) }
    }));
    let (changes, complete) = list(&mut folder);
    assert_eq!(changes[0].kind, ChangeKind::Unreadable);
    assert!(changes[1].kind == ChangeKind::Unknown && complete);
    *folder.disk.gate.borrow_mut() = Some(Box::new(|_| Err(std::io::Error::other("bad sector"))));
    assert!(!list(&mut folder).1, "a folder that cannot be read to the end");
}

#[test]
fn a_run_that_only_looks_leaves_even_a_leftover_where_it_is() {
    let root = tempfile::tempdir().unwrap();
    let book = folder(root.path()).path().to_owned();
    fs::write(book.join("a.vcf"), "a").unwrap();
    let leftover = crate::aside::new_name(outrigger_plugin_sdk::protocol::OperationId(uuid::Uuid::nil()));
    let leftover = book.join(String::from_utf8(leftover).unwrap());
    fs::write(&leftover, "half").unwrap();
    let mut looking = Folder::look(&options(root.path(), &[]), book).unwrap();
    let mut seen = 0;
    let count = &mut |_: &_| {
        seen += 1;
        Ok(())
    };
    let complete = looking.list(count).unwrap();
    assert_eq!((seen, complete), (1, false), "an item may lie aside, so nothing counts as deleted");
    let refused = looking.commit(&[], &mut |_| Ok(())).unwrap_err();
    assert_eq!(refused.code, Code::READ_ONLY);
    assert!(leftover.exists());
    folder(root.path());
    assert!(!leftover.exists(), "a run that writes tidies up");
}
