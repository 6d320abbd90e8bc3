//! Pieces: the lines of a document, unfolded, each with the bytes that it takes.

use std::borrow::Cow;

use crate::lines::{Line, Lines};

/// Lines of one document. Its size is bounded as an item's is; both bound what a hostile one costs in
/// memory to some 10 MiB.
pub(crate) const MAX_LINES: usize = 50_000;

/// A line and the bytes that it takes.
#[derive(Debug)]
pub(crate) struct Piece<'a> {
    pub(crate) text: Cow<'a, [u8]>,
    pub(crate) from: usize,
    pub(crate) to: usize,
}

/// The lines of a document; a blank one belongs to the one before it, those that lead to the first.
/// `None`: they are too many, or one begins on a blank line, which could end the line before it.
pub(crate) fn pieces(data: &[u8]) -> Option<Vec<Piece<'_>>> {
    let mut pieces: Vec<Piece<'_>> = Vec::new();
    let (mut at, mut from) = (0, 0);
    while at < data.len() {
        let (text, to) = unfold(data, at);
        let begins_blank = matches!(data.get(at), Some(b'\r' | b'\n'));
        at = to;
        if text.iter().all(u8::is_ascii_whitespace) {
            let Some(last) = pieces.last_mut() else { continue };
            last.to = to;
        } else if pieces.len() < MAX_LINES && !begins_blank {
            pieces.push(Piece { text, from, to });
        } else {
            return None;
        }
        from = to;
    }
    Some(pieces)
}

/// The line that begins at `from`, and where the next one begins.
fn unfold(data: &[u8], from: usize) -> (Cow<'_, [u8]>, usize) {
    let mut to = folded_end(data, from);
    let mut text = folded(data, from, to);
    // vCard 2.1: quoted-printable text goes on after a trailing `=`, without a space.
    let goes_on = |text: &[u8], to| to < data.len() && text.last() == Some(&b'=');
    if goes_on(&text, to) && is_quoted_printable(&text) {
        while goes_on(&text, to) {
            let next = folded_end(data, to);
            let joined = text.to_mut();
            joined.pop();
            joined.extend_from_slice(&folded(data, to, next));
            to = next;
        }
    }
    (text, to)
}

fn folded(data: &[u8], from: usize, to: usize) -> Cow<'_, [u8]> {
    const MARK: &[u8] = b"\xef\xbb\xbf";
    let part = data.get(from..to).unwrap_or_default();
    if from > 0 && part.starts_with(MARK) {
        // A byte order mark is none in the middle, but `Lines` does not see that this is the middle.
        let marked = [MARK, part].concat();
        return Cow::Owned(Lines::new(&marked).next().unwrap_or_default().into_owned());
    }
    Lines::new(part).next().unwrap_or_default()
}

/// Where the next line begins that no white space makes a part of this one.
fn folded_end(data: &[u8], from: usize) -> usize {
    let mut at = from;
    loop {
        at += physical(data.get(at..).unwrap_or_default());
        if !matches!(data.get(at), Some(b' ' | b'\t')) {
            return at;
        }
    }
}

/// The length of the first physical line with its end: CRLF, LF or CR.
fn physical(rest: &[u8]) -> usize {
    let Some(end) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) else { return rest.len() };
    let is_pair = rest.get(end..end + 2) == Some(b"\r\n");
    end + if is_pair { 2 } else { 1 }
}

pub(crate) fn is_quoted_printable(text: &[u8]) -> bool {
    const NAME: &[u8] = b"QUOTED-PRINTABLE";
    Line::split(text)
        .is_some_and(|line| line.parameters.windows(NAME.len()).any(|part| part.eq_ignore_ascii_case(NAME)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

        /// The canonical form reads the lines that are found here.
        #[test]
        fn lines_are_found_where_unfolding_finds_them(
            parts in proptest::collection::vec(
                prop_oneof![Just("A;QUOTED-PRINTABLE:"), Just("="), Just("\r"), Just("\n"), Just(" "), Just("b:"),
                    Just("\u{feff}")], 0..30
            ),
        ) {
            let data = parts.concat().into_bytes();
            let Some(found) = pieces(&data) else { return Ok(()) };
            let texts: Vec<_> = found.iter().map(|piece| piece.text.clone()).collect();
            let all: Vec<_> = Lines::new(&data).collect();
            let lines: Vec<_> = all.into_iter().filter(|line| !line.iter().all(u8::is_ascii_whitespace)).collect();
            prop_assert_eq!(texts, lines);
            let bytes: Vec<u8> = found.iter().flat_map(|piece| data[piece.from..piece.to].to_vec()).collect();
            prop_assert!(found.is_empty() || bytes == data);
        }
    }
}
