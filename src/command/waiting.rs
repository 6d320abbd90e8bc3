//! What waits for a person in a group, item by item, as the state has it.

use outrigger::config::GroupConfig;
use outrigger::engine::{CRASHED, Row, Side};
use outrigger::protocol::{Printable, Words};
use outrigger::report::{CollectionSummary, ItemSummary};
use outrigger::store::{Collection, Error, Status, Store};
use serde::Serialize;

/// Items of one collection that are named; the rest is only counted.
pub(super) const SHOWN: usize = 20;

/// One item that waits.
#[derive(Serialize)]
pub(super) struct Waiting {
    collection: String,
    /// What each member calls it; null: it is not there.
    names: [Option<String>; 2],
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
        let [a, b] = &group.members;
        let snapshot = store.load(&Collection::new(&collection.name, a, b)).wait()?;
        let rows = snapshot.rows.iter().filter(|row| row.conflict.is_some() || row.quarantine.is_some());
        all.extend(rows.take(SHOWN).map(|row| Waiting::of(&collection.name, row)));
    }
    Ok(all)
}

impl Waiting {
    fn of(collection: &str, row: &Row) -> Self {
        let name = |side: Side| row.entries[side.index()].as_ref().map(|entry| entry.href.to_string());
        Self {
            collection: collection.to_owned(),
            names: Side::BOTH.map(name),
            what: if row.quarantine.is_some() { "left" } else { "conflict" },
            why: row.quarantine.clone().unwrap_or_default(),
        }
    }

    /// The items of a collection that did not come across, as its last run noted them.
    pub(super) fn pending(members: &[String; 2], collection: &CollectionSummary) -> Vec<Self> {
        let items = collection.items.iter().filter(|item| item.what == "pending");
        let of = |item: &ItemSummary| Self {
            collection: collection.name.clone(),
            names: members.each_ref().map(|member| item.names.get(member).cloned()),
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
    pub(super) fn line(&self, members: &[String; 2]) -> String {
        let named = self.names.iter().zip(members);
        let named =
            named.filter_map(|(name, member)| Some(format!("{} at {member}", Words(name.as_deref()?))));
        let named = named.collect::<Vec<_>>().join(", ");
        let why = match self.what {
            "conflict" => "make the two equal, or put one back as it was".to_owned(),
            "left" if self.why.ends_with(CRASHED) => {
                format!(
                    "{}; it is left alone until it changes, or a sync with --retry-crashed",
                    Words(&self.why)
                )
            }
            "left" => format!("{}; it is left alone until it changes", Words(&self.why)),
            _ => format!("{}; the next run tries again", Words(&self.why)),
        };
        format!("  {:<9} {}: {named}: {why}", self.what, Printable(&self.collection))
    }
}
