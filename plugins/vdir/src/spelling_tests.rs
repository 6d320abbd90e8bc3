//! A file system that takes several spellings for one name (decisions S3). Here it is a shim below the steps
//! of [`Disk`](crate::disk::Disk): what is looked up is found as such a file system would find it.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::fs;

use outrigger_plugin_sdk::protocol::CommitKind::{Create, Delete, Update};
use outrigger_plugin_sdk::protocol::{Code, Href, ReadItem, ReadOutcome};

use crate::folder::Folder;
use crate::testing::{commit, files, folder, write};

/// As NTFS, exFAT and APFS do, and ext4 in a folder with `+F`.
fn case(name: &str) -> String {
    name.to_lowercase()
}

/// As APFS does also where case counts.
fn composition(name: &str) -> String {
    name.replace("e\u{301}", "\u{e9}")
}

type Fold = fn(&str) -> String;

/// Two spellings, and what takes them for one.
const FOLDINGS: [(&str, &str, Fold); 2] =
    [("note.vcf", "Note.vcf", case), ("\u{e9}.vcf", "e\u{301}.vcf", composition)];

fn folding(root: &tempfile::TempDir, fold: Fold) -> Folder {
    let mut folder = folder(root.path());
    folder.disk.folds = Some(fold);
    folder
}

fn put(folder: &Folder, name: &str, text: &str) {
    fs::write(folder.path().join(name), text).unwrap();
}

fn rename(folder: &Folder, from: &str, to: &str) {
    fs::rename(folder.path().join(from), folder.path().join(to)).unwrap();
}

/// Whether each of these names is an item.
fn are_there(folder: &Folder, names: &[&str]) -> Vec<bool> {
    let items: Vec<_> = names.iter().map(|name| ReadItem { href: Href::from(*name), known: None }).collect();
    let mut found = Vec::new();
    let push = &mut |result: &outrigger_plugin_sdk::protocol::ReadResult<'_>| {
        match &result.outcome {
            ReadOutcome::Item { .. } => found.push(true),
            ReadOutcome::NotFound => found.push(false),
            other => panic!("{other:?}"),
        }
        Ok(())
    };
    folder.read(&items, push).unwrap();
    found
}

#[test]
fn s3_an_item_is_found_under_the_name_that_is_listed_and_no_other() {
    for (one, other, fold) in FOLDINGS {
        let root = tempfile::tempdir().unwrap();
        let folder = folding(&root, fold);
        put(&folder, one, "UID:1\n");
        assert!(folder.disk.stat(other.as_bytes()).unwrap().is_some(), "the shim folds");
        assert_eq!(are_there(&folder, &[one, other]), [true, false]);
        rename(&folder, one, other);
        assert_eq!(are_there(&folder, &[one, other]), [false, true], "the old name is evidence of nothing");
        // On a file system that does not fold both can be there, also as two names of one file.
        let mut exact = folder;
        exact.disk.folds = None;
        fs::hard_link(exact.path().join(other), exact.path().join(one)).unwrap();
        assert_eq!(are_there(&exact, &[one, other]), [true, true]);
    }
}

/// The scenario: the create finds that it is done already, and the delete that follows it takes the only copy.
#[test]
fn s3_a_create_and_a_delete_that_fold_to_one_name_leave_what_was_created() {
    for (one, other, fold) in FOLDINGS {
        let root = tempfile::tempdir().unwrap();
        let mut folder = folding(&root, fold);
        put(&folder, one, "text");
        let create = write(Create, other, None, b"text");
        assert_eq!(
            commit(&mut folder, &create).unwrap_err().code,
            Code::EXISTS,
            "by a name that was prescribed"
        );
        // The name is left to us: so it is from the engine.
        let mut create = write(Create, "", None, b"text");
        create.key = other.as_bytes().into();
        let (made, ..) = commit(&mut folder, &create).unwrap();
        assert_ne!(fold(&made.to_string()), fold(one), "another item has another name");
        assert_eq!(commit(&mut folder, &create).unwrap().0, made, "x1: a retry finds its own work");
        commit(&mut folder, &write(Delete, one, Some(b"text"), b"")).unwrap();
        assert_eq!(files(folder.path()), [(made.to_string(), b"text".to_vec())]);
    }
}

/// It was renamed after the listing: whoever writes to the old name does not mean the new one.
#[test]
fn s3_a_write_to_a_name_that_is_spelled_otherwise_by_now_is_not_done() {
    for (one, other, fold) in FOLDINGS {
        let root = tempfile::tempdir().unwrap();
        let mut folder = folding(&root, fold);
        put(&folder, one, "old");
        rename(&folder, one, other);
        let update = write(Update, one, Some(b"old"), b"new");
        assert_eq!(commit(&mut folder, &update).unwrap_err().code, Code::PRECONDITION);
        let delete = write(Delete, one, Some(b"old"), b"");
        assert_eq!(commit(&mut folder, &delete).unwrap_err().code, Code::NOT_FOUND);
        assert_eq!(files(folder.path()), [(other.to_owned(), b"old".to_vec())]);
        commit(&mut folder, &write(Update, other, Some(b"old"), b"new")).unwrap();
        commit(&mut folder, &write(Delete, other, Some(b"new"), b"")).unwrap();
        assert_eq!(files(folder.path()), []);
    }
}

/// Two cards whose UIDs differ in case only are two items.
#[test]
fn s3_two_uids_that_fold_to_one_name_are_two_items() {
    let root = tempfile::tempdir().unwrap();
    let mut folder = folding(&root, case);
    let mut made = Vec::new();
    for uid in ["abc", "ABC"] {
        let text = format!("UID:{uid}\n");
        let mut create = write(Create, "", None, text.as_bytes());
        create.key = uid.as_bytes().into();
        made.push(commit(&mut folder, &create).unwrap().0.to_string());
    }
    assert_eq!((files(folder.path()).len(), case(&made[0]) == case(&made[1])), (2, false), "{made:?}");
}

/// A reading that shows the file under no name at all (decisions S2) does not prove that it is gone.
#[test]
fn s3_s2_a_reading_that_shows_no_spelling_proves_nothing() {
    let root = tempfile::tempdir().unwrap();
    let folder = folding(&root, case);
    put(&folder, "note.vcf", "text");
    put(&folder, "other.vcf", "text");
    let file = folder.disk.stat(b"note.vcf").unwrap().unwrap();
    let hidden = crate::spelling::Spellings::of(std::iter::once(b"other.vcf".to_vec()));
    assert!(!folder.disk.is_spelled_otherwise(b"note.vcf", &file, &hidden).unwrap());
}
