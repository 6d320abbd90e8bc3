//! What the tests of this room share.

use std::path::Path;

use outrigger_plugin_sdk::protocol::{
    CommitItem, CommitKind, CommitOutcome, Error, Href, Member, OperationId, RawDigest, Revision,
};

use crate::folder::Folder;
use crate::options::Options;

/// Settings for `path`.
pub(crate) fn options(path: &Path, more: &[(&str, &str)]) -> Options {
    let mut options = vec![("path".to_owned(), path.to_str().unwrap().to_owned())];
    options.extend(more.iter().map(|(key, value)| ((*key).into(), (*value).into())));
    Options::of(&Member::new("laptop", options)).unwrap()
}

/// The collection `book` in `root`, made if it is not there.
pub(crate) fn folder(root: &Path) -> Folder {
    let options = options(root, &[]);
    if !root.join("book").exists() {
        options.create("book").unwrap();
    }
    Folder::open(&options, options.usable_folder("book").unwrap()).unwrap()
}

/// A write with everything that the engine would fill in.
pub(crate) fn write<'a>(
    kind: CommitKind,
    href: &str,
    expected: Option<&[u8]>,
    data: &'a [u8],
) -> CommitItem<'a> {
    CommitItem {
        operation: OperationId(uuid::Uuid::from_u128(
            RawDigest::of(href.as_bytes()).0[..8].iter().fold(7, |n, b| n << 8 | u128::from(*b)),
        )),
        kind,
        href: Href::from(href),
        expected: None,
        expected_digest: expected.map(RawDigest::of),
        key: b"key".into(),
        object_type: "contact".into(),
        format: "vcard".into(),
        digest: RawDigest::of(data),
        data: data.into(),
    }
}

/// Commits one write.
pub(crate) fn commit(folder: &mut Folder, item: &CommitItem<'_>) -> Result<(Href, Revision, bool), Error> {
    let mut results = folder.commit(std::slice::from_ref(item), &mut |_| Ok(()))?;
    match results.pop().unwrap().outcome {
        CommitOutcome::Done { href, revision, settled, digest } => {
            let expected = (item.kind != CommitKind::Delete).then_some(item.digest);
            assert_eq!(digest, expected);
            Ok((href, revision, settled))
        }
        CommitOutcome::Failed(error) => Err(error),
    }
}

/// Every file of the folder, hidden ones too, with its content.
pub(crate) fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let plain = entries.filter(|entry| entry.file_type().unwrap().is_file());
    let mut files: Vec<_> = plain
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), std::fs::read(entry.path()).unwrap()))
        .collect();
    files.sort();
    files
}
