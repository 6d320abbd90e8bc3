//! What waits for a person in a group, item by item, as the state has it.

use outrigger::config::GroupConfig;
use outrigger::engine::{CRASHED, Row};
use outrigger::protocol::{Printable, Words};
use outrigger::report::{CollectionSummary, ItemSummary, as_called};
use outrigger::store::{Collection, Error, Status, Store};
use serde::Serialize;

/// Items of one collection that are named; the rest is only counted.
pub(super) const SHOWN: usize = 20;

/// Members that are named in one line.
const NAMED: usize = 5;

/// One item that waits.
#[derive(Serialize)]
pub(super) struct Waiting {
    collection: String,
    /// What each member calls it; null: it is not there.
    names: Vec<Option<String>>,
    /// Where it is left alone, or could not be read or written; null for a conflict.
    member: Option<String>,
    /// `conflict`, `left` (alone until it changes) or `pending` (tried again by the next run).
    what: &'static str,
    /// Why; empty for a conflict. May quote a plugin.
    why: String,
}

/// Conflicts and items that are left alone. Reads a copy of the state; writes nothing.
///
/// # Errors
/// The state cannot be read.
pub(super) fn waiting(
    state: &std::path::Path,
    group: &GroupConfig,
    found: &Status,
) -> Result<Vec<Waiting>, Error> {
    let mut all = Vec::new();
    let concerned = found.collections.iter().filter(|one| one.conflicts + one.quarantined > 0);
    let mut copy = None;
    for collection in concerned {
        let store = match &copy {
            Some(store) => store,
            None => copy.insert(Store::open_copy(state, &group.name)?),
        };
        let snapshot = store.load(&Collection::new(&collection.name, &group.members)).wait()?;
        let rows = snapshot.rows.iter().filter(|row| row.conflict.is_some() || !row.quarantine.is_empty());
        all.extend(rows.take(SHOWN).map(|row| Waiting::of(&collection.name, &group.members, &row)));
    }
    Ok(all)
}

impl Waiting {
    fn of(collection: &str, members: &[String], row: &Row) -> Self {
        let names = row.entries.iter().map(|entry| entry.as_ref().map(|entry| entry.href.to_string()));
        let left = row.quarantine.first(); // one reason is enough to begin with
        Self {
            collection: collection.to_owned(),
            names: names.collect(),
            member: left.and_then(|left| members.get(left.member.index()).cloned()),
            what: if left.is_some() { "left" } else { "conflict" },
            why: left.map(|left| left.reason.clone()).unwrap_or_default(),
        }
    }

    /// The items of a collection that did not come across, as its last run noted them.
    pub(super) fn pending(members: &[String], collection: &CollectionSummary) -> Vec<Self> {
        let items = collection.items.iter().filter(|item| item.what == "pending");
        let of = |item: &ItemSummary| Self {
            collection: collection.name.clone(),
            names: members.iter().map(|member| item.names.get(member).cloned()).collect(),
            member: item.member.clone(),
            what: "pending",
            why: item.why.clone().unwrap_or_default(),
        };
        items.map(of).collect()
    }

    /// Whether the next run tries again by itself.
    pub(super) fn is_pending(&self) -> bool {
        self.what == "pending"
    }

    /// One line for people.
    pub(super) fn line(&self, members: &[String]) -> String {
        let named = self.named(members);
        let why = match self.what {
            "conflict" => as_called("`outrigger conflicts` shows and settles it"),
            "left" if self.why.ends_with(CRASHED) => {
                format!(
                    "{}; it is left alone until it changes, or a sync with --retry-crashed",
                    Words(&self.why)
                )
            }
            "left" => format!("{}; it is left alone until it changes", Words(&self.why)),
            _ => format!("{}; the next run tries again", Words(&self.why)),
        };
        // Of two members it is plain which one is meant.
        let at = self.member.as_deref().filter(|_| members.len() > 2);
        let at = at.map(|member| format!("{member}: ")).unwrap_or_default();
        format!("  {:<9} {}: {named}: {at}{why}", self.what, Printable(&self.collection))
    }

    /// What members call it.
    fn named(&self, members: &[String]) -> String {
        let named = self.names.iter().zip(members);
        let named =
            named.filter_map(|(name, member)| Some(format!("{} at {member}", Words(name.as_deref()?))));
        let mut named: Vec<String> = named.collect();
        let more = named.len().saturating_sub(NAMED);
        named.truncate(NAMED);
        if more > 0 {
            named.push(format!("and at {more} more"));
        }
        named.join(", ")
    }
}
