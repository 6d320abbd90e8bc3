//! Errors of files, as the protocol says them.

use std::io::{self, ErrorKind};
use std::time::Duration;

use outrigger_plugin_sdk::protocol::{Blame, Code, Effect, Error, Href, Retry};

/// `doing` (such as "read") failed for `name`; nothing came of it.
///
/// A missing file is never said by this way: `NOT_FOUND` is evidence of a deletion, and only the
/// place that looked for exactly that says it.
pub(crate) fn failed(doing: &str, name: &[u8], error: &io::Error) -> Error {
    use ErrorKind as K;
    let (code, retry) = match error.kind() {
        K::PermissionDenied => (Code::PERMISSION, Retry::WithFix),
        K::ReadOnlyFilesystem => (Code::READ_ONLY, Retry::WithFix),
        K::StorageFull | K::QuotaExceeded | K::FileTooLarge => (Code::FULL, Retry::WithFix),
        K::Interrupted | K::WouldBlock | K::TimedOut | K::ResourceBusy | K::StaleNetworkFileHandle => {
            (Code::IO, Retry::After(1_000))
        }
        _ => (Code::IO, Retry::WithFix),
    };
    let message = format!("cannot {doing} {}: {error}", Href::from(name));
    let mut failure = Error::new(code, message).by(Blame::Member);
    failure.retry = retry;
    failure
}

/// The item is not as the write expects it.
pub(crate) fn precondition(name: &[u8], found: &str) -> Error {
    Error::new(Code::PRECONDITION, format!("{} {found}", Href::from(name))).by(Blame::Member)
}

/// Somebody keeps writing to the file.
pub(crate) fn restless(name: &[u8]) -> Error {
    Error::new(Code::IO, format!("{} is being written to", Href::from(name)))
        .by(Blame::Member)
        .retry_after(Duration::from_secs(1))
}

/// The whole folder cannot be used until somebody mends it.
pub(crate) fn unavailable(message: impl Into<String>) -> Error {
    let mut error = Error::new(Code::INVALID_STATE, message).by(Blame::Member);
    error.retry = Retry::WithFix;
    error
}

/// A setting cannot work.
pub(crate) fn configuration(message: impl Into<String>) -> Error {
    let mut error = Error::new(Code::INVALID, message).by(Blame::Configuration);
    error.retry = Retry::WithFix;
    error
}

/// What was done may be lost: only a look can tell.
pub(crate) fn in_doubt(name: &[u8], error: &io::Error) -> Error {
    failed("make durable", name, error).with_effect(Effect::Unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_named_and_a_missing_file_is_no_evidence() {
        let full = failed("write", b"a.vcf", &io::Error::from(ErrorKind::StorageFull));
        assert_eq!((full.code, full.effect, full.blame), (Code::FULL, Effect::NotStarted, Blame::Member));
        assert_eq!(failed("read", b"a.vcf", &io::Error::from(ErrorKind::NotFound)).code, Code::IO);
        assert_eq!(in_doubt(b"a.vcf", &io::Error::other("x")).effect, Effect::Unknown);
    }

    #[test]
    fn a_name_cannot_draw_on_a_terminal() {
        assert!(!failed("read", b"\x1b[2J.vcf", &io::Error::other("x")).message.contains('\x1b'));
    }
}
