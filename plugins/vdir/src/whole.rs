//! Whole: whether a file holds all of an item, or was read while it was written, or cut by a crash.

use outrigger_plugin_sdk::protocol::{Blame, Code, Error, Href, Retry};

use crate::names::Format;

/// How long whoever writes the file is given.
const PAUSE: std::time::Duration = std::time::Duration::from_secs(1);

/// The error for a content that is no whole item: what a program has truncated and not written yet, or
/// what a crash has left of it. It would be spread as an edit, and empty the item everywhere.
///
/// A file that does not begin as an item does is none that was cut: it is bytes, and passes. Only lines
/// of their own count, so nothing that an item says makes it whole or cut. `settled`: nobody has written to it
/// lately, so waiting does not help.
///
/// `is_known`: it was synchronised before. Then what does not begin as an item does is refused too, such as an
/// error page that a download left in its place.
pub(crate) fn check(
    name: &[u8],
    format: Format,
    data: &[u8],
    settled: bool,
    is_known: bool,
) -> Result<(), Error> {
    let [begin, end] = ["BEGIN", "END"].map(|word| count(data, &format!("{word}:{}", format.component())));
    let what = match () {
        () if data.is_empty() => "is empty".to_owned(),
        () if data.iter().all(|byte| *byte == 0) => "holds nothing but zeros".to_owned(),
        () if end < begin.max(usize::from(is_begun(data, format))) => {
            format!("is cut: a line END:{} is missing", format.component())
        }
        () if is_known && !is_begun(data, format) => {
            format!("does not begin with BEGIN:{}", format.component())
        }
        () => return Ok(()),
    };
    let message = format!(
        "{} {what}. It may be in the middle of being written; if it stays so, write it anew, or delete it",
        Href::from(name)
    );
    let error = Error::new(Code::FORMAT, message).by(Blame::Member);
    Err(if settled { Error { retry: Retry::WithFix, ..error } } else { error.retry_after(PAUSE) })
}

/// Whether it begins with the first line of an item, or with a piece of that.
fn is_begun(data: &[u8], format: Format) -> bool {
    let line = format!("BEGIN:{}", format.component());
    let data = data.strip_prefix("\u{feff}".as_bytes()).unwrap_or(data).trim_ascii_start();
    let length = data.len().min(line.len());
    length > 0 && data[..length].eq_ignore_ascii_case(&line.as_bytes()[..length])
}

/// How many lines say just this.
fn count(data: &[u8], line: &str) -> usize {
    let lines = data.split(|byte| matches!(byte, b'\n' | b'\r'));
    lines.filter(|found| found.trim_ascii_end().eq_ignore_ascii_case(line.as_bytes())).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CARD: &str = "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:u\r\nNOTE:END:VCARD\r\n END:VCARD\r\nEND:VCARD\r\n";

    fn is_whole(data: impl AsRef<[u8]>) -> bool {
        check(b"a.vcf", Format::Vcard, data.as_ref(), true, false).is_ok()
    }

    #[test]
    fn a_card_is_whole_however_its_lines_end() {
        let last = CARD.trim_end();
        for whole in [CARD, last, &CARD.replace('\r', ""), &CARD.replace('\n', ""), &CARD.to_lowercase()] {
            assert!(is_whole(whole), "{whole:?}");
        }
        assert!(is_whole(format!("\u{feff}{CARD}\n\n")) && is_whole(CARD.repeat(2)));
        assert!(check(b"a.ics", Format::Icalendar, b"BEGIN:VCALENDAR\nEND:VCALENDAR", true, true).is_ok());
    }

    #[test]
    fn a_card_that_is_cut_anywhere_is_not_whole() {
        let last = CARD.trim_end().len();
        for length in (0..last).chain(CARD.len() + 12..CARD.len() + last) {
            assert!(!is_whole(&CARD.repeat(2)[..length]), "{length}");
        }
        // As a crash leaves what was never written.
        assert!(!is_whole([0; 300]));
        let event = b"BEGIN:VCALENDAR\nBEGIN:VEVENT\nEND:VEVENT\n";
        assert!(check(b"a.ics", Format::Icalendar, event, true, false).is_err());
    }

    #[test]
    fn what_never_was_a_card_is_bytes() {
        for other in [&b"not a card\n"[..], b"\xff\0", b"VERSION:3.0\r\n", b"\n\n"] {
            assert!(is_whole(other), "{other:?}");
            let known = check(b"a.vcf", Format::Vcard, other, true, true).unwrap_err();
            assert!(known.message.contains("does not begin with BEGIN:VCARD"), "{known}");
        }
    }

    #[test]
    fn it_is_said_clearly_and_tried_again_while_somebody_may_write_it() {
        let words = |data: &[u8]| check(b"a.vcf", Format::Vcard, data, false, false).unwrap_err();
        assert!(words(b"").message.starts_with("a.vcf is empty. It may be in the middle of being written"));
        assert!(words(b"BEGIN:VCARD\n").message.contains("a line END:VCARD is missing"));
        assert!(matches!(words(b"").retry, Retry::After(_)));
        let left_so = check(b"a.vcf", Format::Vcard, b"", true, false).unwrap_err();
        assert_eq!(left_so.retry, Retry::WithFix);
    }
}
