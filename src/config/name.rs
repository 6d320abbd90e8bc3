//! Names of members, groups and plugins. They become file names and parts of the command line.

use super::fields::{Result, Value};

const LONGEST: usize = 64;

/// Whether a member or a group may be called so: letters, digits, `-` and `_`, at most 64,
/// beginning with a letter or a digit.
#[must_use]
pub fn is_valid_name(name: &str) -> bool {
    let first = name.chars().next().is_some_and(|c| c.is_ascii_alphanumeric());
    first && name.len() <= LONGEST && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}

/// Refuses names that cannot be, and those that a file system could take for each other.
pub(super) fn check_names(what: &str, values: &[Value<'_>]) -> Result<()> {
    for (index, value) in values.iter().enumerate() {
        if !is_valid_name(value.name) {
            return Err(value
                .key_error(format!("\"{}\" cannot be the name of a {what}", value.name.escape_debug()))
                .hint("use letters, digits, - and _, at most 64"));
        }
        if let Some(other) = values[..index].iter().find(|other| other.name.eq_ignore_ascii_case(value.name))
        {
            let what = format!(
                "the {what}s `{}` and `{}` differ only in upper and lower case",
                other.name, value.name
            );
            return Err(value.key_error(what));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_can_be_a_file_name_and_an_argument_everywhere() {
        for name in ["a", "laptop", "Nas-2", "my_phone", "0"] {
            assert!(is_valid_name(name), "{name}");
        }
        for name in ["", "-x", "_x", "a/b", "a b", "..", "a.b", "é", &"a".repeat(65)] {
            assert!(!is_valid_name(name), "{name}");
        }
    }
}
