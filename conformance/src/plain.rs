//! Text of a plugin, made safe to show: it cannot draw on a terminal or hide.

use std::fmt::Write as _;

/// The front of `text`, at most `most` characters; what acts on a terminal or cannot be seen is
/// written as `\u{…}`.
#[must_use]
pub(crate) fn plain(text: &str, most: usize) -> String {
    let mut out = String::new();
    for c in text.chars().take(most) {
        if is_unseen(c) {
            // Writing to a string cannot fail.
            let _written = write!(out, "{}", c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    if text.chars().nth(most).is_some() {
        out.push('…');
    }
    out
}

fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_draws_is_written_out_and_long_text_is_cut() {
        assert_eq!(plain("a\x1b[2J\u{202e}é", 99), "a\\u{1b}[2J\\u{202e}é");
        assert_eq!(plain("abc", 2), "ab…");
    }
}
