//! Conflicts for programs. Keys are only ever added.

use std::collections::BTreeMap;

use outrigger_engine::{PropertyRow, last_changed};
use outrigger_store::{Disputed, Kept};
use serde::Serialize;

use super::find::{Dispute, Found};
use crate::exit::Exit;
use crate::report::{Failure, FailureSummary};

/// What `conflicts list --json` prints.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ConflictsSummary {
    /// The exit code.
    pub exit: u8,
    /// Why nothing, or not all, can be told.
    pub failures: Vec<FailureSummary>,
    /// What waits.
    pub conflicts: Vec<ConflictSummary>,
}

/// One conflict.
#[derive(Debug, Clone, Serialize)]
pub struct ConflictSummary {
    /// All digits of its ID; any beginning that no other has names it.
    pub id: String,
    /// Its group.
    pub group: String,
    /// Its collection.
    pub collection: String,
    /// What the item is called across members.
    pub key: String,
    /// What a person calls it.
    pub title: String,
    /// When it was raised, in seconds since 1970; null: not known.
    pub raised: Option<u64>,
    /// What each member holds.
    pub members: BTreeMap<String, Holds>,
    /// What was agreed before; null: nothing, or it is not kept.
    pub base: Option<Text>,
    /// What differs, by property; null for what is no card or event.
    pub properties: Option<Vec<Property>>,
    /// Whether `--merge` takes all changes.
    pub mergeable: bool,
}

/// What one member holds.
#[derive(Debug, Clone, Serialize)]
pub struct Holds {
    /// What it calls the item; null: it has none.
    pub name: Option<String>,
    /// Of the bytes; null: it has none.
    pub sha256: Option<String>,
    /// When the item says that it was changed, in seconds since 1970; null: it does not say so.
    pub changed: Option<i64>,
    /// The content; null: it has none, or it is not kept.
    pub content: Option<Text>,
}

/// A content.
#[derive(Debug, Clone, Serialize)]
pub struct Text {
    /// Its encoding, as its member names it.
    pub format: String,
    /// Bytes.
    pub size: usize,
    /// It; null where it is no UTF-8.
    pub text: Option<String>,
}

/// A property that not all have alike.
#[derive(Debug, Clone, Serialize)]
pub struct Property {
    /// Where it is: empty for the object itself.
    pub component: String,
    /// Such as `TEL`.
    pub name: String,
    /// Such as `home,voice`.
    pub types: String,
    /// Its values in what was agreed.
    pub base: Vec<String>,
    /// Its values at the first member that holds each content.
    pub members: BTreeMap<String, Vec<String>>,
    /// Whether it was changed once only.
    pub mergeable: bool,
}

impl ConflictsSummary {
    /// Of what was found. Three if any waits, as after a sync.
    #[must_use]
    pub fn of(found: &Found) -> Self {
        Self {
            exit: found.exit().code(),
            failures: found.failures.iter().map(FailureSummary::of).collect(),
            conflicts: found.disputes.iter().map(ConflictSummary::of).collect(),
        }
    }

    /// Of a command that could not begin.
    #[must_use]
    pub fn failed(failure: &Failure) -> Self {
        Self { exit: failure.exit.code(), failures: vec![FailureSummary::of(failure)], conflicts: Vec::new() }
    }
}

impl Found {
    /// What a command that lists them ends with.
    #[must_use]
    pub fn exit(&self) -> Exit {
        let waits = if self.disputes.is_empty() { Exit::Done } else { Exit::Conflicts };
        self.failures.iter().map(|failure| failure.exit).fold(waits, Exit::or_worse)
    }
}

impl ConflictSummary {
    fn of(dispute: &Dispute) -> Self {
        let Dispute { id, group, collection, conflict } = dispute;
        let members = collection.members.iter().cloned().zip(conflict.members.iter().map(Holds::of));
        Self {
            id: id.whole().to_owned(),
            group: group.clone(),
            collection: collection.name.clone(),
            key: String::from_utf8_lossy(&conflict.key.0).into_owned(),
            title: dispute.title(),
            raised: conflict.raised,
            members: members.collect(),
            base: conflict.base.as_ref().map(Text::of),
            properties: dispute
                .properties()
                .map(|rows| rows.iter().map(|row| Property::of(dispute, row)).collect()),
            mergeable: dispute.merged().is_some(),
        }
    }
}

impl Holds {
    fn of(held: &Disputed) -> Self {
        Self {
            name: held.href.as_ref().map(|href| String::from_utf8_lossy(href.as_bytes()).into_owned()),
            sha256: held.content.map(|content| content.raw.to_string()),
            changed: held.copy.as_ref().and_then(|copy| last_changed(&copy.data)),
            content: held.copy.as_ref().map(Text::of),
        }
    }
}

impl Text {
    fn of(kept: &Kept) -> Self {
        let text = std::str::from_utf8(&kept.data).ok().map(str::to_owned);
        Self { format: kept.format.clone(), size: kept.data.len(), text }
    }
}

impl Property {
    fn of(dispute: &Dispute, row: &PropertyRow) -> Self {
        let sides = dispute.sides();
        let members = sides.iter().map(|side| side.first().to_owned()).zip(row.copies.iter().cloned());
        Self {
            component: row.component.clone(),
            name: row.name.clone(),
            types: row.types.clone(),
            base: row.base.clone(),
            members: members.collect(),
            mergeable: row.is_mergeable,
        }
    }
}
