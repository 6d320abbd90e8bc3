//! Pages: listing and reading in plain calls, for peers without streams (level 0).

use serde::{Deserialize, Serialize};

use crate::change::{Change, ReadResult};
use crate::ids::{Anchor, Cursor};
use crate::list;

/// Asks for the next part of a listing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GetChangesPage {
    /// List everything, whatever the anchor.
    pub slow_sync: bool,
    /// Changes since here suffice.
    pub anchor: Option<Anchor>,
    /// Where the last page ended, as it said; none for the first.
    pub cursor: Option<Cursor>,
    /// Most changes wanted.
    pub max: u32,
}

/// A part of a listing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangesPage {
    /// At most as many as were wanted. None only on the last page.
    #[serde(with = "list")]
    pub changes: Vec<Change>,
    /// Where the next page begins; none on the last.
    pub next: Option<Cursor>,
    /// As [`crate::Listing::complete`]; counts on the last page.
    pub complete: bool,
    /// As [`crate::Listing::anchor`]; counts on the last page.
    pub anchor: Option<Anchor>,
}

/// Results for the first items of a [`crate::Read`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadPage<'a> {
    /// One or more, in the order of the items, counted from 0. The rest is asked for again.
    #[serde(borrow, with = "list")]
    pub results: Vec<ReadResult<'a>>,
}
