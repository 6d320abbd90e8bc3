//! Which known word a mistyped one was meant to be.

use strsim::osa_distance;

/// The word of `known` nearest to `word`, if any is near enough to be what was meant.
pub(crate) fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    // A third of the letters may be wrong; more than that is another word, not a slip.
    let tolerated = (word.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|candidate| (osa_distance(&word.to_lowercase(), &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= tolerated)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [&str; 4] = ["conflict", "collections", "create_collections", "members"];

    #[test]
    fn a_slip_finds_its_word() {
        assert_eq!(nearest("conflct", KEYS), Some("conflict"));
        assert_eq!(nearest("Members", KEYS), Some("members"));
        assert_eq!(nearest("collectoins", KEYS), Some("collections"));
        assert_eq!(nearest("create_collection", KEYS), Some("create_collections"));
    }

    #[test]
    fn another_word_finds_nothing() {
        assert_eq!(nearest("password", KEYS), None);
        assert_eq!(nearest("x", KEYS), None);
        assert_eq!(nearest("", KEYS), None);
    }

    #[test]
    fn swapping_two_letters_is_one_slip() {
        assert_eq!(nearest("edti", ["edit"]), Some("edit"));
    }
}
