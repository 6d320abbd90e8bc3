//! How the engine's values stand in columns.
//!
//! Digests are blobs of 32 bytes, names and revisions blobs as the plugin gave them, counters
//! SQLite's signed integers. What does not fit is refused on the way in, and called damage on the
//! way out.

use outrigger_engine::{Content, Digest};
use outrigger_protocol::{CommitKind, OperationId, RawDigest};
use rusqlite::{
    Row,
    types::{FromSqlError, ValueRef},
};
use uuid::Uuid;

use crate::error::ErrorKind;

/// A counter as SQLite keeps it.
///
/// # Errors
/// [`ErrorKind::Invalid`] for numbers of 2^63 and above.
pub(crate) fn int(number: u64) -> Result<i64, ErrorKind> {
    i64::try_from(number).map_err(|_| ErrorKind::Invalid("a number of 2^63 or above"))
}

/// A counter as it was before [`int`].
pub(crate) fn uint(row: &Row<'_>, index: usize) -> Result<u64, ErrorKind> {
    u64::try_from(row.get::<_, i64>(index)?).map_err(|_| ErrorKind::corrupt("a counter is negative"))
}

/// A blob, without copying it.
pub(crate) fn blob<'a>(row: &'a Row<'_>, index: usize) -> Result<&'a [u8], ErrorKind> {
    Ok(row.get_ref(index)?.as_blob()?)
}

/// A blob, or `None` for NULL.
pub(crate) fn optional_blob<'a>(row: &'a Row<'_>, index: usize) -> Result<Option<&'a [u8]>, ErrorKind> {
    Ok(row.get_ref(index)?.as_blob_or_null()?)
}

/// Two digests in the columns `index` and `index + 1`; `None` for NULL.
pub(crate) fn content(row: &Row<'_>, index: usize) -> Result<Option<Content>, ErrorKind> {
    if row.get_ref(index)? == ValueRef::Null {
        return Ok(None);
    }
    let digest = Digest(array(row, index)?);
    Ok(Some(Content { digest, raw: RawDigest(array(row, index + 1)?) }))
}

/// Two digests that must be there.
pub(crate) fn some_content(row: &Row<'_>, index: usize) -> Result<Content, ErrorKind> {
    content(row, index)?.ok_or_else(|| ErrorKind::corrupt("a digest is missing"))
}

/// An operation's ID: 16 bytes.
pub(crate) fn operation(row: &Row<'_>, index: usize) -> Result<OperationId, ErrorKind> {
    Ok(OperationId(uuid(row, index)?))
}

/// A UUID: 16 bytes.
pub(crate) fn uuid(row: &Row<'_>, index: usize) -> Result<Uuid, ErrorKind> {
    Ok(Uuid::from_bytes(array(row, index)?))
}

/// A blob of so many bytes.
pub(crate) fn array<const N: usize>(row: &Row<'_>, index: usize) -> Result<[u8; N], ErrorKind> {
    let blob = blob(row, index)?;
    Ok(blob
        .try_into()
        .map_err(|_| FromSqlError::InvalidBlobSize { expected_size: N, blob_size: blob.len() })?)
}

/// The digests of an optional content as parameters: both, or both NULL.
pub(crate) fn digests(content: Option<&Content>) -> [Option<&[u8]>; 2] {
    [content.map(|content| &content.digest.0[..]), content.map(|content| &content.raw.0[..])]
}

/// A commit's kind as a number.
pub(crate) const fn kind_number(kind: CommitKind) -> i64 {
    match kind {
        CommitKind::Create => 0,
        CommitKind::Update => 1,
        CommitKind::Delete => 2,
    }
}

/// The kind of that number.
pub(crate) fn kind(number: i64) -> Result<CommitKind, ErrorKind> {
    [CommitKind::Create, CommitKind::Update, CommitKind::Delete]
        .into_iter()
        .find(|kind| kind_number(*kind) == number)
        .ok_or_else(|| ErrorKind::corrupt("an unknown kind of write"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_of_write_comes_back_from_its_number() {
        for kind_ in [CommitKind::Create, CommitKind::Update, CommitKind::Delete] {
            assert_eq!(kind(kind_number(kind_)).unwrap(), kind_);
        }
        assert!(matches!(kind(3), Err(ErrorKind::Corrupt { .. })));
    }

    #[test]
    fn a_number_that_does_not_fit_is_refused_not_wrapped() {
        assert_eq!(int(i64::MAX as u64).unwrap(), i64::MAX);
        assert!(matches!(int(1 << 63), Err(ErrorKind::Invalid(_))));
    }
}
