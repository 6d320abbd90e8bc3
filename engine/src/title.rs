//! Title: what a person calls an item.

use crate::lines::{Line, Lines};

/// The first FN of a vCard, or SUMMARY of an iCalendar object that is not an alarm's, without its
/// escapes; `None` where there is none. The text is whoever wrote the item's: it may be as long as the
/// item, and hold control characters. What is no UTF-8 is replaced.
#[must_use]
pub fn title(data: &[u8]) -> Option<String> {
    let mut in_alarm = false;
    for line in Lines::new(data) {
        let Some(line) = Line::split(&line) else { continue };
        let name = line.name.rsplit(|byte| *byte == b'.').next().unwrap_or_default();
        let is = |word: &[u8]| name.eq_ignore_ascii_case(word);
        if (is(b"BEGIN") || is(b"END")) && line.value.trim_ascii().eq_ignore_ascii_case(b"VALARM") {
            in_alarm = is(b"BEGIN");
        }
        let value = line.value.trim_ascii();
        if (is(b"FN") || is(b"SUMMARY")) && !in_alarm && !value.is_empty() {
            return Some(plain(&String::from_utf8_lossy(value)));
        }
    }
    None
}

/// `\,` is a comma; `\n` is shown as a blank, for a title has one line.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, chars.clone().next()) {
            ('\\', Some('n' | 'N')) => plain.push(' '),
            ('\\', Some(escaped)) => plain.push(escaped),
            (c, _) => {
                plain.push(c);
                continue;
            }
        }
        chars.next();
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_is_called_by_its_name_and_an_event_by_its_summary() {
        let card = "BEGIN:VCARD\r\nUID:u\r\nitem1.fn;X=1:Garc\r\n ía\\, Anna\\nx\\\r\nEND:VCARD\r\n";
        assert_eq!(title(card.as_bytes()).as_deref(), Some("García, Anna x\\"));
        let event = "BEGIN:VCALENDAR\nBEGIN:VEVENT\nBEGIN:VALARM\nSUMMARY:alarm\nEND:VALARM\nSUMMARY: \nSUMMARY:tea\n\
                     END:VEVENT\nEND:VCALENDAR\n";
        assert_eq!(title(event.as_bytes()).as_deref(), Some("tea"));
    }

    #[test]
    fn what_has_no_title_has_none_and_no_bytes_are_refused() {
        assert_eq!(title(b""), None);
        assert_eq!(title(b"no card at all\xff"), None);
        assert_eq!(title(b"FN:\xff").as_deref(), Some("\u{fffd}"));
    }
}
