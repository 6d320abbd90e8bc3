//! Text from elsewhere, made safe to print: it can neither move the cursor, nor hide, nor pass for
//! our own words.

use std::fmt::{self, Write as _};

/// Characters after which a text is cut: long enough for any honest message.
const LONGEST: usize = 1_000;

/// What a plugin said, in quotes.
#[derive(Debug, Clone, Copy)]
pub struct Words<'t>(pub &'t str);

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        escape(self.0, &['"'], f)?;
        f.write_char('"')
    }
}

/// A name that a plugin or a user gave to something, without quotes.
#[derive(Debug, Clone, Copy)]
pub struct Printable<'t>(pub &'t str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        escape(self.0, &[], f)
    }
}

fn escape(text: &str, also: &[char], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut chars = text.chars();
    for c in chars.by_ref().take(LONGEST) {
        match c {
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '\t' => f.write_str("\\t")?,
            c if also.contains(&c) => write!(f, "\\{c}")?,
            c if is_unseen(c) => write!(f, "{}", c.escape_unicode())?,
            c => f.write_char(c)?,
        }
    }
    match chars.count() {
        0 => Ok(()),
        more => write!(f, "… ({more} more)"),
    }
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
    fn names_of_people_stay_as_they_are() {
        assert_eq!(Printable("Anna García 北京 \"x\".vcf").to_string(), "Anna García 北京 \"x\".vcf");
    }

    #[test]
    fn a_flood_is_cut() {
        let text = Printable(&"x".repeat(5_000)).to_string();
        assert!(text.len() < 1_050 && text.ends_with("… (4000 more)"), "{}", text.len());
    }
}
