//! Writing, with real files; races and crashes have a file of their own.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

use outrigger_plugin_sdk::protocol::limits::MAX_ITEM_DATA;
use outrigger_plugin_sdk::protocol::{
    Code, CommitItem, CommitKind, CommitOutcome, Effect, Href, OperationId, RawDigest, ReadItem, ReadOutcome,
    Revision,
};

use crate::folder::Folder;
use crate::stamp::{Clock, Tick};
use crate::testing::{commit, files, folder, write};

use CommitKind::{Create, Delete, Update};

fn refused(folder: &mut Folder, item: &CommitItem<'_>) -> Code {
    let before = files(folder.path());
    let error = commit(folder, item).unwrap_err();
    assert_eq!(files(folder.path()), before, "a refusal changes nothing and leaves nothing");
    assert_eq!(error.effect, Effect::NotStarted);
    error.code
}

fn listed(folder: &mut Folder, href: &Href) -> Option<Revision> {
    let mut found = None;
    let complete = folder.list(&mut |change| {
        found = (change.href == *href).then(|| change.revision.clone()).or(found.take());
        Ok(())
    });
    assert!(complete.unwrap());
    found
}

#[test]
fn the_life_of_an_item() {
    let root = tempfile::tempdir().unwrap();
    let mut folder = folder(root.path());
    let (href, revision, _) = commit(&mut folder, &write(Create, "", None, b"one")).unwrap();
    assert_eq!(href, Href::from("key.vcf"), "named by its key");
    assert_eq!(listed(&mut folder, &href), Some(revision.clone()), "the answer is what a listing says");
    let mut update = write(Update, "key.vcf", Some(b"one"), b"two");
    update.expected = Some(revision);
    let (_, revision, _) = commit(&mut folder, &update).unwrap();
    assert_eq!(listed(&mut folder, &href), Some(revision.clone()));
    assert_eq!(files(folder.path()), [("key.vcf".into(), b"two".to_vec())]);
    let mut delete = write(Delete, "key.vcf", None, b"");
    delete.expected = Some(revision);
    commit(&mut folder, &delete).unwrap();
    assert_eq!(files(folder.path()), []);
}

#[test]
fn x1_a_retry_finds_its_own_work_done() {
    let root = tempfile::tempdir().unwrap();
    let mut folder = folder(root.path());
    let create = write(Create, "", None, b"one");
    let first = commit(&mut folder, &create).unwrap();
    assert_eq!(commit(&mut folder, &create).unwrap().0, first.0);
    let update = write(Update, "key.vcf", Some(b"one"), b"two");
    commit(&mut folder, &update).unwrap();
    commit(&mut folder, &update).unwrap();
    assert_eq!(files(folder.path()), [("key.vcf".into(), b"two".to_vec())]);
    commit(&mut folder, &write(Delete, "key.vcf", Some(b"two"), b"")).unwrap();
    assert_eq!(refused(&mut folder, &write(Delete, "key.vcf", Some(b"two"), b"")), Code::NOT_FOUND);
}

#[test]
fn s5_a_create_never_overwrites() {
    let root = tempfile::tempdir().unwrap();
    let mut folder = folder(root.path());
    fs::write(folder.path().join("key.vcf"), "UID:other\n").unwrap();
    assert_eq!(refused(&mut folder, &write(Create, "key.vcf", None, b"new")), Code::EXISTS);
    let (href, ..) = commit(&mut folder, &write(Create, "", None, b"new")).unwrap();
    assert_ne!(href, Href::from("key.vcf"), "another name, as it was left to us");
    assert_eq!(
        commit(&mut folder, &write(Create, "", None, b"new")).unwrap().0,
        href,
        "and a retry finds it"
    );
    assert_eq!(fs::read(folder.path().join("key.vcf")).unwrap(), b"UID:other\n");
}

#[test]
fn s7_a_second_file_with_the_same_uid_is_never_made() {
    let root = tempfile::tempdir().unwrap();
    let mut folder = folder(root.path());
    fs::write(folder.path().join("key.vcf"), "UID:key\nFN:edited since\n").unwrap();
    assert_eq!(refused(&mut folder, &write(Create, "", None, b"UID:key\n")), Code::EXISTS);
}

#[test]
fn s5_an_edit_before_the_write_is_a_precondition() {
    let root = tempfile::tempdir().unwrap();
    let mut folder = folder(root.path());
    let file = folder.path().join("a.vcf");
    fs::write(&file, "edited").unwrap();
    let stamps = |file| fs::metadata(file).map(|meta| (meta.ino(), meta.ctime(), meta.ctime_nsec())).unwrap();
    let before = stamps(&file);
    for kind in [Update, Delete] {
        let data: &[u8] = if kind == Update { b"new" } else { b"" };
        assert_eq!(refused(&mut folder, &write(kind, "a.vcf", Some(b"old"), data)), Code::PRECONDITION);
        let mut by_revision = write(kind, "a.vcf", None, data);
        assert_eq!(refused(&mut folder, &by_revision), Code::INVALID, "no condition at all");
        by_revision.expected = Some(Revision::from("1-2-3-4"));
        assert_eq!(refused(&mut folder, &by_revision), Code::PRECONDITION);
    }
    assert_eq!(stamps(&file), before, "the editor's file was not even renamed");
    assert_eq!(refused(&mut folder, &write(Update, "gone.vcf", Some(b"old"), b"new")), Code::PRECONDITION);
    assert_eq!(refused(&mut folder, &write(Delete, "gone.vcf", Some(b"old"), b"")), Code::NOT_FOUND);
}

#[test]
fn s5_a_touched_file_is_still_the_expected_one() {
    let root = tempfile::tempdir().unwrap();
    let mut folder = folder(root.path());
    fs::write(folder.path().join("a.vcf"), "old").unwrap();
    let mut update = write(Update, "a.vcf", Some(b"old"), b"new");
    update.expected = Some(Revision::from("1-2-3-4"));
    commit(&mut folder, &update).unwrap();
}

#[test]
fn s5_an_equal_revision_with_other_content_is_caught_after_the_exchange() {
    let root = tempfile::tempdir().unwrap();
    let mut folder = folder(root.path());
    fs::write(folder.path().join("a.vcf"), "edited within the tick").unwrap();
    for kind in [Update, Delete] {
        let revision = listed(&mut folder, &Href::from("a.vcf"));
        let mut item = write(kind, "a.vcf", Some(b"old"), if kind == Update { b"new" } else { b"" });
        item.expected = revision;
        assert_eq!(refused(&mut folder, &item), Code::PRECONDITION);
    }
}

#[test]
fn s6_an_edit_within_the_tick_of_our_write_leaves_an_unsettled_revision() {
    let root = tempfile::tempdir().unwrap();
    let mut folder = folder(root.path());
    folder.disk.clock = Clock::new(Tick::Kernel, || 4_000_000_000_000_000_000);
    folder.disk.clock.grain = Some(i128::MAX);
    let book = folder.path().to_path_buf();
    *folder.disk.gate.borrow_mut() = Some(Box::new(move |step| {
        if step == "sync folder" {
            fs::write(book.join("key.vcf"), "TWO").unwrap();
        }
        Ok(())
    }));
    let (_, revision, settled) = commit(&mut folder, &write(Create, "", None, b"one")).unwrap();
    *folder.disk.gate.borrow_mut() = None;
    assert_eq!(listed(&mut folder, &Href::from("key.vcf")), Some(revision), "the edit does not show");
    assert!(!settled, "so the engine reads again");
}

#[test]
fn s4_an_edit_after_our_rename_is_an_edit_and_not_a_rewriting() {
    let root = tempfile::tempdir().unwrap();
    let mut folder = folder(root.path());
    let book = folder.path().to_path_buf();
    *folder.disk.gate.borrow_mut() = Some(Box::new(move |step| {
        if step == "sync folder" {
            fs::write(book.join("key.vcf"), "edited").unwrap();
        }
        Ok(())
    }));
    let (href, revision, settled) = commit(&mut folder, &write(Create, "", None, b"one")).unwrap();
    *folder.disk.gate.borrow_mut() = None;
    assert!(!settled);
    assert_ne!(listed(&mut folder, &href), Some(revision), "the next listing shows an edit of what we wrote");
}

#[test]
fn rights_are_kept_and_new_items_follow_the_umask() {
    let root = tempfile::tempdir().unwrap();
    let mut folder = folder(root.path());
    let file = folder.path().join("a.vcf");
    fs::write(&file, "old").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    commit(&mut folder, &write(Update, "a.vcf", Some(b"old"), b"new")).unwrap();
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
    commit(&mut folder, &write(Create, "", None, b"one")).unwrap();
    fs::write(folder.path().join("usual"), "").unwrap();
    let mode = |name| fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
    assert_eq!(mode("key.vcf"), mode("usual"));
}

#[test]
fn links_are_neither_replaced_nor_deleted() {
    let root = tempfile::tempdir().unwrap();
    let mut folder = folder(root.path());
    fs::write(root.path().join("target"), "old").unwrap();
    symlink("../target", folder.path().join("a.vcf")).unwrap();
    for kind in [Update, Delete] {
        let item = write(kind, "a.vcf", Some(b"old"), if kind == Update { b"new" } else { b"" });
        assert_eq!(refused(&mut folder, &item), Code::PRECONDITION);
    }
    assert_eq!(refused(&mut folder, &write(Create, "a.vcf", None, b"new")), Code::EXISTS);
    assert!(folder.path().join("a.vcf").is_symlink());
}

#[test]
fn names_of_any_bytes_and_any_length() {
    let root = tempfile::tempdir().unwrap();
    let mut folder = folder(root.path());
    for name in [&b"\xff\xfe\n.vcf"[..], &[&[b'n'; 251][..], b".vcf"].concat()] {
        let file = folder.path().join(std::ffi::OsStr::from_bytes(name));
        let mut item = write(Create, "", None, b"one");
        item.href = Href::from(name);
        commit(&mut folder, &item).unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"one");
        item = CommitItem { href: Href::from(name), ..write(Update, "", Some(b"one"), b"two") };
        commit(&mut folder, &item).unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"two");
        item = CommitItem { href: Href::from(name), ..write(Delete, "", Some(b"two"), b"") };
        commit(&mut folder, &item).unwrap();
    }
    assert_eq!(files(folder.path()), []);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let mut folder = folder(root.path());
    for href in [
        "../a.vcf",
        ".hidden.vcf",
        "a.txt",
        "a.ics",
        "a/b.vcf",
        "nul\0.vcf",
        &format!("{}.vcf", "n".repeat(252)),
    ] {
        assert_eq!(refused(&mut folder, &write(Create, href, None, b"x")), Code::INVALID, "{href}");
    }
    let mut item = write(Create, "", None, b"x");
    item.digest = RawDigest::of(b"y");
    assert_eq!(refused(&mut folder, &item), Code::INVALID);
    item = CommitItem { format: "text/plain".into(), ..write(Create, "", None, b"x") };
    assert_eq!(refused(&mut folder, &item), Code::FORMAT);
    assert_eq!(
        refused(&mut folder, &write(Create, "", None, &vec![b'x'; MAX_ITEM_DATA + 1])),
        Code::TOO_LARGE
    );
    let twice = [write(Create, "", None, b"x"), write(Create, "", None, b"x")];
    let results = folder.commit(&twice, &mut |_| Ok(())).unwrap();
    assert!(matches!(&results[1].outcome, CommitOutcome::Failed(error) if error.code == Code::INVALID));
}

#[test]
fn a_full_disk_fails_its_items_and_leaves_nothing() {
    for full in
        ["create", "write the second half", "change mode", "sync file", "rename to a free name", "exchange"]
    {
        let root = tempfile::tempdir().unwrap();
        let mut folder = folder(root.path());
        fs::write(folder.path().join("a.vcf"), "old").unwrap();
        *folder.disk.gate.borrow_mut() =
            Some(Box::new(
                move |step| {
                    if step == full { Err(std::io::ErrorKind::StorageFull.into()) } else { Ok(()) }
                },
            ));
        assert_eq!(refused(&mut folder, &write(Update, "a.vcf", Some(b"old"), b"new")), Code::FULL, "{full}");
    }
}

#[test]
fn what_could_not_be_created_is_named() {
    let root = tempfile::tempdir().unwrap();
    let mut folder = folder(root.path());
    for step in ["create", "write the second half", "rename to a free name"] {
        *folder.disk.gate.borrow_mut() =
            Some(Box::new(
                move |now| {
                    if now == step { Err(std::io::ErrorKind::StorageFull.into()) } else { Ok(()) }
                },
            ));
        let error = commit(&mut folder, &write(Create, "", None, b"new")).unwrap_err();
        assert!(error.message.contains(" key.vcf: "), "{step}: {error}");
    }
}

#[test]
fn a_batch_whose_names_cannot_be_made_durable_is_in_doubt() {
    let root = tempfile::tempdir().unwrap();
    let mut folder = folder(root.path());
    *folder.disk.gate.borrow_mut() = Some(Box::new(|step| {
        if step == "sync folder" { Err(std::io::Error::other("cable pulled")) } else { Ok(()) }
    }));
    let error = commit(&mut folder, &write(Create, "", None, b"one")).unwrap_err();
    assert_eq!((error.code, error.effect), (Code::IO, Effect::Unknown));
}

/// 10,000 items of 300 bytes: `cargo test --release -p outrigger-plugin-vdir -- --ignored --nocapture`.
#[test]
#[ignore = "measures, and writes 20,000 files"]
#[allow(clippy::print_stderr, reason = "figures for a person")]
fn figures() {
    const COUNT: usize = 10_000;
    let root = tempfile::tempdir().unwrap();
    let mut folder = folder(root.path());
    let contents: Vec<_> = (0..COUNT).map(|n| format!("BEGIN:VCARD\nUID:{n:<268}\nEND:VCARD\n")).collect();
    let item = |n: usize, kind, base: Option<&[u8]>, data| CommitItem {
        operation: OperationId(uuid::Uuid::from_u128(n as u128)),
        href: Href::from(if kind == Create { String::new() } else { format!("{n}.vcf") }.into_bytes()),
        key: n.to_string().into_bytes().into(),
        ..write(kind, "", base, data)
    };
    let commit = |folder: &mut Folder, what: &str, items: Vec<CommitItem<'_>>| {
        let start = std::time::Instant::now();
        let done = items.chunks(128).flat_map(|items| folder.commit(items, &mut |_| Ok(())).unwrap());
        let outcomes: Vec<_> = done.map(|result| result.outcome).collect();
        let settled =
            outcomes.iter().filter(|done| matches!(done, CommitOutcome::Done { settled: true, .. })).count();
        eprintln!("{what} {COUNT}: {:?}, {settled} settled", start.elapsed());
        assert!(outcomes.iter().all(|outcome| matches!(outcome, CommitOutcome::Done { .. })));
    };
    commit(
        &mut folder,
        "create",
        (0..COUNT).map(|n| item(n, Create, None, contents[n].as_bytes())).collect(),
    );
    for _ in 0..3 {
        let (start, mut count) = (std::time::Instant::now(), 0);
        folder
            .list(&mut |change| {
                count += usize::from(change.settled);
                Ok(())
            })
            .unwrap();
        eprintln!("list {COUNT}: {:?}, {count} settled", start.elapsed());
        let items: Vec<_> = (0..COUNT)
            .map(|n| ReadItem { href: Href::from(format!("{n}.vcf").into_bytes()), known: None })
            .collect();
        let (start, mut bytes) = (std::time::Instant::now(), 0);
        for batch in items.chunks(128) {
            let push = &mut |result: &outrigger_plugin_sdk::protocol::ReadResult<'_>| {
                let ReadOutcome::Item { data, .. } = &result.outcome else { panic!("{result:?}") };
                bytes += data.len();
                Ok(())
            };
            folder.read(batch, push).unwrap();
        }
        eprintln!("read {COUNT}: {:?}, {bytes} bytes", start.elapsed());
    }
    let updates = (0..COUNT)
        .map(|n| item(n, Update, Some(contents[n].as_bytes()), contents[(n + 1) % COUNT].as_bytes()));
    commit(&mut folder, "update", updates.collect());
    let deletes = (0..COUNT).map(|n| item(n, Delete, Some(contents[(n + 1) % COUNT].as_bytes()), b""));
    commit(&mut folder, "delete", deletes.collect());
}
