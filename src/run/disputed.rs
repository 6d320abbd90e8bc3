//! Two contents in conflict, for whatever is to make one of them.

/// Two contents in conflict.
pub(super) struct Contents {
    /// Encoding of both.
    pub(super) format: String,
    /// What was agreed before.
    pub(super) base: Option<Vec<u8>>,
    /// What one member holds, after its name.
    pub(super) left: (String, Vec<u8>),
    /// What another holds.
    pub(super) right: (String, Vec<u8>),
}
