//! What the fuzz target and the replay of its corpus do with hostile bytes. Uses nothing but the
//! public API: `fuzz/` includes this file.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "each target uses a part")]

use std::collections::BTreeSet;

use outrigger_engine::{Canonical, Content, keep_both_copy, last_changed, merge, properties};

/// Between the base, the left and the right copy.
pub const SEPARATOR: &[u8] = b"----\n";

/// Three copies of an item, as the bytes of a seed have them.
pub fn copies(bytes: &[u8]) -> [&[u8]; 3] {
    let (base, rest) = cut(bytes);
    let (left, rest) = cut(rest);
    [base, left, rest]
}

fn cut(bytes: &[u8]) -> (&[u8], &[u8]) {
    match bytes.windows(SEPARATOR.len()).position(|part| part == SEPARATOR) {
        Some(at) => (&bytes[..at], &bytes[at + SEPARATOR.len()..]),
        None => (bytes, bytes),
    }
}

fn content(data: &[u8]) -> Content {
    Canonical::of("vcard", data).content
}

/// All that holds of any three copies.
pub fn text(bytes: &[u8]) {
    let [base, left, right] = copies(bytes);
    for data in [base, left, right] {
        copy(data);
        alone(base, data);
    }
    let merged = merge(Some(base), left, right);
    let swapped = merge(Some(base), right, left);
    assert_eq!(merged.as_deref().map(|data| content(data).digest), swapped.map(|data| content(&data).digest));
    if let Some(merged) = merged {
        assert_eq!(Canonical::of("vcard", &merged).key, Canonical::of("vcard", left).key);
        made_of(&merged, left, right);
        let rows = properties(Some(base), &[left, right]).unwrap_or_default();
        assert!(rows.iter().all(|row| row.is_mergeable), "merged, and said not to be: {rows:?}");
    }
    let alone = properties(None, &[base, left, right]).unwrap_or_default();
    assert!(alone.iter().all(|row| row.base.is_empty() && row.copies.len() == 3 && !row.is_mergeable));
}

/// One side's edit is the merge, whichever side it is.
fn alone(base: &[u8], edit: &[u8]) {
    assert!(merge(None, edit, edit).is_none());
    if let Some(merged) = merge(Some(base), base, edit) {
        assert_eq!(content(&merged).digest, content(edit).digest);
    }
    if let Some(merged) = merge(Some(base), edit, base) {
        assert_eq!(content(&merged).digest, content(edit).digest);
        assert!(merged == edit || has_zone(base), "an edit is taken as it is");
    }
    if let Some(merged) = merge(Some(base), edit, edit) {
        assert_eq!(merged, edit);
    }
}

/// A time zone that one side removed stays.
fn has_zone(data: &[u8]) -> bool {
    data.to_ascii_uppercase().windows(9).any(|part| part == b"VTIMEZONE")
}

fn lines(data: &[u8]) -> BTreeSet<&[u8]> {
    data.strip_prefix(b"\xef\xbb\xbf").unwrap_or(data).split(|byte| matches!(byte, b'\r' | b'\n')).collect()
}

fn made_of(merged: &[u8], left: &[u8], right: &[u8]) {
    let known: BTreeSet<&[u8]> = lines(left).union(&lines(right)).copied().collect();
    assert!(lines(merged).is_subset(&known), "a line that nobody wrote");
}

/// A copy is another item.
fn copy(data: &[u8]) {
    if let Some(copy) = keep_both_copy(data, "another uid", "laptop, ä") {
        assert_eq!(Canonical::of("vcard", &copy).key.unwrap().0.as_ref(), b"another uid");
        assert_eq!(last_changed(&copy), last_changed(data));
    }
}
