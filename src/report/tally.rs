//! One collection for programs: its counts, and the items that were told one by one.

use std::collections::BTreeMap;

use outrigger_engine::{Counts, Report, Side};
use outrigger_protocol::{CommitKind, Href};
use serde::{Deserialize, Serialize};

use super::run::{CollectionReport, GroupReport};

/// Characters that are kept of a text: a plugin cannot fill the state with words.
const LONGEST: usize = 1_000;

/// What happened at one member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MemberSummary {
    /// Items created there.
    pub created: u64,
    /// Items updated there.
    pub updated: u64,
    /// Items deleted there.
    pub deleted: u64,
    /// Items whose content was fetched from there.
    pub read: u64,
    /// Entries that it listed.
    pub listed: u64,
}

/// What came of one collection.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CollectionSummary {
    /// Its group.
    pub group: String,
    /// Its name at the first member.
    pub name: String,
    /// The exit code, were it alone.
    pub exit: u8,
    /// Conflicts that wait, old ones included.
    pub conflicts: u64,
    /// Items that are left alone.
    pub quarantined: u64,
    /// Items that did not come across.
    pub pending: u64,
    /// Per member.
    pub members: BTreeMap<String, MemberSummary>,
    /// Items that were told one by one; at most 20.
    pub items: Vec<ItemSummary>,
    /// Items beyond those.
    pub untold: u64,
}

/// One item that was told of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemSummary {
    /// `conflict`, `left` (alone until it changes) or `pending`; in a plan also `create`, `update`
    /// and `delete`.
    pub what: String,
    /// Where it would be written, or could not be read or written; null for a conflict.
    pub member: Option<String>,
    /// What each member calls it, where that is known.
    pub names: BTreeMap<String, String>,
    /// Why. May quote a plugin.
    pub why: Option<String>,
}

impl CollectionSummary {
    pub(super) fn of(group: &GroupReport, collection: &CollectionReport) -> Self {
        let summary = &collection.summary;
        let counts = |side: Side| (member(group, side), MemberSummary::of(&summary.sides[side.index()]));
        Self {
            group: group.name.clone(),
            name: collection.name.clone(),
            exit: collection.exit().code(),
            conflicts: summary.conflicts,
            quarantined: summary.quarantined,
            pending: summary.pending,
            members: Side::BOTH.map(counts).into(),
            items: collection.told.iter().filter_map(|report| ItemSummary::of(group, report)).collect(),
            untold: collection.untold,
        }
    }
}

impl MemberSummary {
    fn of(counts: &Counts) -> Self {
        let Counts { created, updated, deleted, read, listed, .. } = *counts;
        Self { created, updated, deleted, read, listed }
    }

    pub(super) fn add(&mut self, more: &Self) {
        self.created += more.created;
        self.updated += more.updated;
        self.deleted += more.deleted;
        self.read += more.read;
        self.listed += more.listed;
    }
}

impl ItemSummary {
    fn of(group: &GroupReport, report: &Report) -> Option<Self> {
        match report {
            Report::Planned { side, kind, names, .. } => {
                Some(Self { member: Some(member(group, *side)), ..Self::named(group, verb(*kind), names) })
            }
            Report::Conflict { names, .. } => Some(Self::named(group, "conflict", names)),
            Report::Quarantined { side, href, reason, .. } => {
                Some(Self::troubled(group, "left", *side, href, reason))
            }
            Report::Pending { side, href, reason } => {
                Some(Self::troubled(group, "pending", *side, href, reason))
            }
            _ => None,
        }
    }

    fn named(group: &GroupReport, what: &str, names: &[Option<Href>; 2]) -> Self {
        let name = |side: Side| Some((member(group, side), text(names[side.index()].as_ref()?)));
        let names = Side::BOTH.into_iter().filter_map(name).collect();
        Self { what: what.to_owned(), member: None, names, why: None }
    }

    fn troubled(group: &GroupReport, what: &str, side: Side, href: &Href, why: &str) -> Self {
        let at = member(group, side);
        let names = BTreeMap::from([(at.clone(), text(href))]);
        Self { what: what.to_owned(), member: Some(at), names, why: Some(cut(why)) }
    }
}

pub(super) fn member(group: &GroupReport, side: Side) -> String {
    group.members[side.index()].clone()
}

/// A name as text: a program that needs its bytes finds them at the member.
pub(super) fn text(href: &Href) -> String {
    cut(&String::from_utf8_lossy(href.as_bytes()))
}

pub(super) fn cut(text: &str) -> String {
    text.chars().take(LONGEST).collect()
}

fn verb(kind: CommitKind) -> &'static str {
    match kind {
        CommitKind::Create => "create",
        CommitKind::Update => "update",
        CommitKind::Delete => "delete",
    }
}
