//! Small words: names and counts.

use outrigger_protocol::{Href, Words};

/// So many members are named in one line; of the rest it is told how many.
pub(super) const NAMED: usize = 5;

/// A name that a plugin gave, as its words.
pub(super) fn quoted(href: &Href) -> String {
    Words(href.as_bytes()).to_string()
}

/// The members of a group in one line: each gives to each, or those at some places to the rest.
#[must_use]
pub fn joined(members: &[String], is_authority: impl Fn(usize) -> bool) -> String {
    let part = |wanted: bool| -> Vec<&str> {
        let of = members.iter().enumerate().filter(|(at, _)| is_authority(*at) == wanted);
        of.map(|(_, name)| name.as_str()).collect()
    };
    match (part(true), part(false)) {
        (all, none) | (none, all) if none.is_empty() => listed(&all, " ⇄ "),
        (from, to) => format!("{} → {}", listed(&from, " ⇄ "), listed(&to, ", ")),
    }
}

fn listed(names: &[&str], between: &str) -> String {
    let (named, rest) = names.split_at(names.len().min(NAMED));
    match rest.len() {
        0 => named.join(between),
        more => format!("{}{between}{more} more", named.join(between)),
    }
}

/// What each member that holds an item calls it.
pub(super) fn named(names: &[Option<Href>], members: &[String]) -> String {
    // Of two, the one that has not got it had it; of many, one may be behind.
    let without = if members.len() == 2 { "deleted" } else { "not" };
    let named = names.iter().zip(members).map(|(name, member)| match name {
        Some(name) => format!("{} at {member}", quoted(name)),
        None => format!("{without} at {member}"),
    });
    cut(named.collect()).join(", ")
}

/// The first of many parts, and how many there are besides.
pub(super) fn cut(mut parts: Vec<String>) -> Vec<String> {
    let rest = parts.len().saturating_sub(NAMED);
    parts.truncate(NAMED);
    if rest > 0 {
        parts.push(format!("and {rest} more"));
    }
    parts
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

    #[test]
    fn a_line_names_five_members_and_counts_the_rest() {
        let members: Vec<String> = ('a'..='g').map(String::from).collect();
        let equals = |members| joined(members, |_| false);
        assert_eq!(equals(&members[..2]), "a ⇄ b");
        assert_eq!(equals(&members[..5]), "a ⇄ b ⇄ c ⇄ d ⇄ e");
        assert_eq!(equals(&members), "a ⇄ b ⇄ c ⇄ d ⇄ e ⇄ 2 more");
        assert_eq!(joined(&members[..3], |at| at == 1), "b → a, c");
        assert_eq!(joined(&members, |at| at == 0), "a → b, c, d, e, f, 1 more");
        assert_eq!(joined(&members[..3], |at| at < 2), "a ⇄ b → c");
        assert_eq!(joined(&members[..2], |_| true), "a ⇄ b", "where all are, there is no direction");
    }
}
