//! What became of one rule.

/// What became of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It was tried and held.
    Held,
    /// It was broken; says how.
    Broken(String),
    /// It could not be tried; says why.
    NotTried(String),
}
