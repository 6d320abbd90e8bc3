//! Lines: content lines of vCard and iCalendar, unfolded.
//!
//! Works on any bytes and never fails: what is not a content line comes out as it is. Costs one
//! pass; a line is borrowed unless it is folded.

use std::borrow::Cow;

/// Splits a document into content lines.
#[derive(Debug, Clone)]
pub(crate) struct Lines<'a> {
    rest: &'a [u8],
}

impl<'a> Lines<'a> {
    pub(crate) fn new(data: &'a [u8]) -> Self {
        Self { rest: data.strip_prefix(b"\xef\xbb\xbf").unwrap_or(data) }
    }

    /// The next physical line without its end: CRLF, LF or CR.
    fn physical(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        let Some(end) = self.rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) else {
            return Some(std::mem::take(&mut self.rest));
        };
        let (line, rest) = self.rest.split_at(end);
        self.rest = rest.strip_prefix(b"\r\n").unwrap_or_else(|| rest.get(1..).unwrap_or_default());
        Some(line)
    }

    fn continues(&self) -> bool {
        matches!(self.rest.first(), Some(b' ' | b'\t'))
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = Cow<'a, [u8]>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut line = Cow::Borrowed(self.physical()?);
        // Looked at once: what is joined later is value, and parameters may be long.
        let mut is_known = false;
        loop {
            if self.continues() {
                let more = self.physical()?;
                line.to_mut().extend_from_slice(more.get(1..).unwrap_or_default());
            } else if line.last() == Some(&b'=') && (is_known || is_quoted_printable(&line)) {
                is_known = true;
                // vCard 2.1: quoted-printable text goes on after a trailing `=`, without a space.
                let Some(more) = self.physical() else { return Some(line) };
                let joined = line.to_mut();
                joined.pop();
                joined.extend_from_slice(more);
            } else {
                return Some(line);
            }
        }
    }
}

fn is_quoted_printable(line: &[u8]) -> bool {
    const NAME: &[u8] = b"QUOTED-PRINTABLE";
    Line::split(line)
        .is_some_and(|line| line.parameters.windows(NAME.len()).any(|part| part.eq_ignore_ascii_case(NAME)))
}

/// A content line in its three parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    /// With the group, if any: `item1.TEL`.
    pub(crate) name: &'a [u8],
    /// Everything between the first `;` and the `:`.
    pub(crate) parameters: &'a [u8],
    pub(crate) value: &'a [u8],
}

impl<'a> Line<'a> {
    /// `None` where there is no `:` outside quotes.
    pub(crate) fn split(line: &'a [u8]) -> Option<Self> {
        let name_end = line.iter().position(|byte| matches!(byte, b':' | b';'))?;
        let (name, rest) = line.split_at(name_end);
        if let Some(value) = rest.strip_prefix(b":") {
            return Some(Self { name, parameters: b"", value });
        }
        let colon = position_unquoted(rest, b':')?;
        Some(Self { name, parameters: rest.get(1..colon)?, value: rest.get(colon + 1..)? })
    }

    /// The name without its group.
    pub(crate) fn base_name(&self) -> &'a [u8] {
        self.name.rsplit(|byte| *byte == b'.').next().unwrap_or(self.name)
    }
}

/// Where `wanted` first stands outside double quotes.
fn position_unquoted(text: &[u8], wanted: u8) -> Option<usize> {
    let mut quoted = false;
    text.iter().position(|byte| {
        quoted ^= *byte == b'"';
        !quoted && *byte == wanted
    })
}

/// Splits at `separator` outside double quotes; an empty text has no parts.
pub(crate) fn split_unquoted(text: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(text).filter(|text| !text.is_empty());
    std::iter::from_fn(move || {
        let text = rest?;
        let Some(end) = position_unquoted(text, separator) else { return rest.take() };
        rest = text.get(end + 1..);
        text.get(..end)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(data: &[u8]) -> Vec<Vec<u8>> {
        Lines::new(data).map(Cow::into_owned).collect()
    }

    #[test]
    fn three_line_ends_are_one() {
        assert_eq!(lines(b"A:1\r\nB:2\nC:3\rD:4"), [b"A:1", b"B:2", b"C:3", b"D:4"]);
        assert_eq!(lines(b"A:1\r\n"), [b"A:1"]);
        assert!(lines(b"").is_empty());
    }

    #[test]
    fn folded_lines_are_joined_without_the_space() {
        assert_eq!(lines(b"NOTE:ab\r\n c\n\td\r e"), [b"NOTE:abcde"]);
    }

    #[test]
    fn quoted_printable_goes_on_after_an_equals_sign() {
        let data = b"NOTE;ENCODING=QUOTED-PRINTABLE:a=\r\nREV:b=\r\nc\r\nFN:x=\r\nTEL:1";
        assert_eq!(lines(data), [&b"NOTE;ENCODING=QUOTED-PRINTABLE:aREV:bc"[..], b"FN:x=", b"TEL:1"]);
    }

    #[test]
    fn a_colon_in_quotes_is_no_end_of_the_parameters() {
        let line = Line::split(b"item1.ORG;X=\"a:b;c\";TYPE=w:v:1").unwrap();
        assert_eq!(line.name, b"item1.ORG");
        assert_eq!(line.base_name(), b"ORG");
        assert_eq!(line.parameters, b"X=\"a:b;c\";TYPE=w");
        assert_eq!(line.value, b"v:1");
        let parts: Vec<_> = split_unquoted(line.parameters, b';').collect();
        assert_eq!(parts, [&b"X=\"a:b;c\""[..], b"TYPE=w"]);
        assert_eq!(Line::split(b"no colon"), None);
        assert_eq!(Line::split(b"X;A=\":"), None);
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_first_name() {
        assert_eq!(lines(b"\xef\xbb\xbfA:1"), [b"A:1"]);
    }

    /// A hostile member must not stall a run: 1 MiB of soft breaks behind long parameters is one pass.
    #[test]
    fn many_soft_breaks_behind_long_parameters_are_looked_at_once() {
        let breaks = 300_000;
        let text = format!("NOTE;X={};QUOTED-PRINTABLE:{}", "x".repeat(50_000), "=\n".repeat(breaks));
        let mut lines = Lines::new(text.as_bytes());
        let line = lines.next().unwrap();
        assert_eq!((line.len(), lines.next()), (text.len() - 2 * breaks + 1, None));
    }
}
