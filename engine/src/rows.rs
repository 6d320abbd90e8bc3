//! Rows: all rows of a collection, handed from the store to a run.

use crate::packed::Packed;
use crate::row::Row;

/// The rows of a collection, packed as they come: together they take a fraction of as many [`Row`]s.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Rows(Vec<Packed>);

impl Rows {
    /// Adds a row behind the others.
    pub fn push(&mut self, row: Row) {
        self.0.push(Packed::from(row));
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them, in the order in which they came; each is unpacked when it is asked for.
    pub fn iter(&self) -> impl Iterator<Item = Row> + '_ {
        self.0.iter().map(Packed::row)
    }

    /// All of them at once.
    #[must_use]
    pub fn to_vec(&self) -> Vec<Row> {
        self.iter().collect()
    }

    /// In the order of their numbers.
    pub(crate) fn into_sorted(mut self) -> Vec<Packed> {
        if !self.0.is_sorted_by_key(Packed::id) {
            self.0.sort_by_key(Packed::id);
        }
        self.0
    }
}

impl FromIterator<Row> for Rows {
    fn from_iter<I: IntoIterator<Item = Row>>(rows: I) -> Self {
        Self(rows.into_iter().map(Packed::from).collect())
    }
}

impl std::fmt::Debug for Rows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
