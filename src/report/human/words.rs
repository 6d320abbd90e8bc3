//! Small words: names and counts.

use outrigger_protocol::{Href, Words};

/// A name that a plugin gave, as its words.
pub(super) fn quoted(href: &Href) -> String {
    Words(href.as_bytes()).to_string()
}

/// What each member that holds an item calls it.
pub(super) fn named(names: &[Option<Href>; 2], members: &[String; 2]) -> String {
    let named = names.iter().zip(members).map(|(name, member)| match name {
        Some(name) => format!("{} at {member}", quoted(name)),
        None => format!("deleted at {member}"),
    });
    named.collect::<Vec<_>>().join(", ")
}

/// A count with its noun.
pub(crate) fn plural(count: u64, one: &str, many: &str) -> String {
    format!("{} {}", grouped(count), if count == 1 { one } else { many })
}

/// A number with its thousands apart: 1 234 567.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_stand_apart() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1 000", "1 234 567"]);
    }
}
