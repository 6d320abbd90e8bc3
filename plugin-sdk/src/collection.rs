//! What a member offers: its collections, and how a listing of one ended.

use outrigger_protocol::{Anchor, Dedupe, Error, StoreId};

/// What the main sink is called where a method takes a sink's name.
pub const MAIN_SINK: &str = "";

/// One collection that a member offers (an address book, a folder).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Collection {
    /// Its name, unique in the member; collections of different members pair by it.
    pub name: String,
    /// Object types that it holds; empty means any.
    pub object_types: Vec<String>,
    /// Formats that it takes, best first; empty means any.
    pub formats: Vec<String>,
    /// No commit is accepted.
    pub read_only: bool,
    /// Identity of the store behind it: another one means that nothing missing was deleted.
    pub store: Option<StoreId>,
    /// The collection cannot be used now, and why.
    pub unavailable: Option<Error>,
    /// How a create that comes a second time under its operation is recognised, after a lost answer.
    /// `None` counts as [`Dedupe::Conditional`]; with [`Dedupe::Lookup`] and [`Dedupe::None`] the engine looks
    /// for the item before it sends it again.
    pub dedupe: Option<Dedupe>,
}

/// How a listing ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListingEnd {
    /// Everything that is there was pushed. Say false whenever anything could not be looked at:
    /// what a complete listing lacks is taken for deleted once a second look confirms it.
    pub complete: bool,
    /// Where the feed stood when this listing began, for members with a change feed.
    pub anchor: Option<Anchor>,
}
