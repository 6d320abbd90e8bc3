//! Text from elsewhere, made safe to print: it can neither move the cursor, nor hide, nor pass for
//! our own words. All rooms use this one: whoever prints what he was told, prints it through here.

use std::fmt::{self, Write as _};

/// Characters after which a text is cut: long enough for any honest message.
const LONGEST: usize = 1_000;

/// What a plugin or a peer said (text, or bytes that should be text), in quotes that it cannot end.
#[derive(Debug, Clone, Copy)]
pub struct Words<T>(pub T);

impl<T: AsRef<[u8]>> fmt::Display for Words<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        escape(self.0.as_ref(), LONGEST, |c| c == '\\' || c == '"', is_unseen, f)?;
        f.write_char('"')
    }
}

/// A name that a plugin or a user gave to something, or a text that may quote one; without quotes.
#[derive(Debug, Clone, Copy)]
pub struct Printable<T>(pub T);

impl<T: AsRef<[u8]>> fmt::Display for Printable<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What is quoted in it already stays as it is.
        escape(self.0.as_ref(), LONGEST, |_| false, is_unseen, f)
    }
}

/// An ID of a plugin's, whole and as near to its bytes as can be: programs read it too.
pub(crate) fn fmt_id(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    escape(bytes, usize::MAX, |_| false, char::is_control, f)
}

/// Writes up to `longest` characters. Some get a backslash, and some are shown by their number, as
/// are bytes that are no text.
fn escape(
    bytes: &[u8],
    longest: usize,
    marked: impl Fn(char) -> bool,
    unseen: impl Fn(char) -> bool,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    let chunks = bytes.utf8_chunks();
    let mut pieces = chunks.flat_map(|chunk| {
        let text = chunk.valid().chars().map(Piece::Char);
        text.chain(chunk.invalid().iter().map(|byte| Piece::Byte(*byte)))
    });
    for piece in pieces.by_ref().take(longest) {
        match piece {
            Piece::Byte(byte) => write!(f, "\\x{byte:02x}")?,
            Piece::Char('\n') => f.write_str("\\n")?,
            Piece::Char('\t') => f.write_str("\\t")?,
            Piece::Char(c) if marked(c) => write!(f, "\\{c}")?,
            Piece::Char(c) if unseen(c) => write!(f, "{}", c.escape_unicode())?,
            Piece::Char(c) => f.write_char(c)?,
        }
    }
    match pieces.count() {
        0 => Ok(()),
        more => write!(f, "… ({more} more)"),
    }
}

enum Piece {
    Char(char),
    Byte(u8),
}

/// Whether a character acts on the terminal or on its neighbours, instead of being seen.
fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_cannot_write_to_the_terminal() {
        let said = "ok\x1b[2J\x1b]0;owned\x07\r\nerror: run \u{202e}this\u{9b}1m";
        assert_eq!(
            Words(said).to_string(),
            r#""ok\u{1b}[2J\u{1b}]0;owned\u{7}\u{d}\nerror: run \u{202e}this\u{9b}1m""#
        );
        assert!(!Words(said).to_string().chars().any(char::is_control));
    }

    #[test]
    fn a_plugin_cannot_end_its_quotation() {
        assert_eq!(Words(r#"no" hint: run "rm"#).to_string(), r#""no\" hint: run \"rm""#);
        assert_eq!(Words(r"back\").to_string(), r#""back\\""#);
    }

    #[test]
    fn bytes_that_are_no_text_are_shown() {
        assert_eq!(Words(b"a\x1b[2Jb\xff").to_string(), "\"a\\u{1b}[2Jb\\xff\"");
    }

    #[test]
    fn names_of_people_stay_as_they_are() {
        assert_eq!(Printable("Anna García 北京 \"x\".vcf").to_string(), "Anna García 北京 \"x\".vcf");
    }

    #[test]
    fn a_flood_is_cut() {
        let text = Printable(&"x".repeat(5_000)).to_string();
        assert!(text.len() < 1_050 && text.ends_with("… (4000 more)"), "{}", text.len());
    }
}
