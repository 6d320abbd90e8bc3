//! One collection for programs: its counts, and the items that were told one by one.

use std::collections::BTreeMap;

use outrigger_engine::{Counts, MemberIndex, PlannedWrite, Report};
use outrigger_protocol::{CommitKind, Href};
use serde::{Deserialize, Serialize};

use super::collection::CollectionReport;
use super::raised::Raised;
use super::run::GroupReport;

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
    /// Changes that are kept back, for it takes no such writes.
    #[serde(default)]
    pub kept: u64,
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
    /// Items that were told one by one: at most 20 conflicts, and 20 others.
    pub items: Vec<ItemSummary>,
    /// Items beyond those.
    pub untold: u64,
}

/// What a plan says of a conflict that the policy may settle: it has not looked at the contents.
pub(super) const SETTLED_LATER: &str = "a sync settles it by the policy of the group, if it can";

/// One item that was told of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemSummary {
    /// `conflict`, `left` (alone until it changes), `pending` or `kept` (back, with `readonly = "error"`); in a plan also `create`, `update`
    /// and `delete`.
    pub what: String,
    /// Where it would be written, or could not be read or written; null for a conflict.
    pub member: Option<String>,
    /// What each member calls it, where that is known.
    pub names: BTreeMap<String, String>,
    /// Why. May quote a plugin.
    pub why: Option<String>,
    /// Of a conflict what it is called, for as long as it waits as it was raised.
    pub conflict: Option<ConflictItem>,
}

/// What a conflict is called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConflictItem {
    /// All digits of its ID.
    pub id: String,
    /// What a person calls the item. A member's words.
    pub title: String,
    /// The command line that shows it, and how to settle it.
    pub command: String,
}

impl CollectionSummary {
    pub(super) fn of(group: &GroupReport, collection: &CollectionReport) -> Self {
        let summary = &collection.summary;
        let counts =
            |member| (group.member(member).to_owned(), MemberSummary::of(&collection.counts(member)));
        let conflicts = collection.raised.iter().map(|raised| ItemSummary::raised(group, raised));
        let others = collection.told.iter().filter_map(|report| ItemSummary::of(group, report));
        Self {
            group: group.name.clone(),
            name: collection.name.clone(),
            exit: collection.exit().code(),
            conflicts: summary.conflicts,
            quarantined: summary.quarantined,
            pending: collection.pending(),
            members: collection.indices().map(counts).collect(),
            items: conflicts.chain(others).collect(),
            untold: collection.untold + collection.unnamed,
        }
    }
}

impl MemberSummary {
    fn of(counts: &Counts) -> Self {
        let Counts { created, updated, deleted, read, listed, kept, .. } = *counts;
        Self { created, updated, deleted, read, listed, kept }
    }

    pub(super) fn add(&mut self, more: &Self) {
        self.created += more.created;
        self.updated += more.updated;
        self.deleted += more.deleted;
        self.read += more.read;
        self.listed += more.listed;
        self.kept += more.kept;
    }
}

impl ItemSummary {
    pub(crate) fn of(group: &GroupReport, report: &Report) -> Option<Self> {
        match report {
            Report::Planned(PlannedWrite { member, kind, names, .. }) => Some(Self {
                member: Some(group.member(*member).to_owned()),
                ..Self::named(group, verb(*kind), names)
            }),
            Report::Kept(PlannedWrite { member, kind, names, .. }) => Some(Self {
                member: Some(group.member(*member).to_owned()),
                why: Some(format!("it takes no writes, so the {} is kept back", verb(*kind))),
                ..Self::named(group, "kept", names)
            }),
            Report::Conflict { names, .. } => Some(Self::named(group, "conflict", names)),
            Report::Quarantined { member, href, reason, .. } => {
                Some(Self::troubled(group, "left", *member, href, reason))
            }
            Report::Pending { member, href, reason } => {
                Some(Self::troubled(group, "pending", *member, href, reason))
            }
            _ => None,
        }
    }

    fn raised(group: &GroupReport, raised: &Raised) -> Self {
        let conflict = raised.known.as_ref().map(|known| ConflictItem {
            id: known.id.clone(),
            title: cut(&known.title),
            command: known.command(),
        });
        let why = raised.is_for_policy.then(|| SETTLED_LATER.to_owned());
        Self { conflict, why, ..Self::named(group, "conflict", &raised.names) }
    }

    fn named(group: &GroupReport, what: &str, names: &[Option<Href>]) -> Self {
        let names = group.members.iter().zip(names);
        let names = names.filter_map(|(member, name)| Some((member.clone(), text(name.as_ref()?)))).collect();
        Self { what: what.to_owned(), member: None, names, why: None, conflict: None }
    }

    fn troubled(group: &GroupReport, what: &str, member: MemberIndex, href: &Href, why: &str) -> Self {
        let at = group.member(member).to_owned();
        let names = BTreeMap::from([(at.clone(), text(href))]);
        Self { what: what.to_owned(), member: Some(at), names, why: Some(cut(why)), conflict: None }
    }
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
