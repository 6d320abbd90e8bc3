//! Find: the open conflicts of groups, and the one that an ID means.

use std::io::{self, Write};

use outrigger_engine::title;
use outrigger_protocol::{Printable, Words};
use outrigger_store::{Collection, OpenConflict};

use super::id::ConflictId;
use crate::clock;
use crate::config::{Config, GroupConfig};
use crate::report::{Failure, called, joined};
use crate::{run, state};

/// An open conflict, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dispute {
    /// What it is called.
    pub id: ConflictId,
    /// Its group.
    pub group: String,
    /// Its collection, with the members of the group in their order.
    pub collection: Collection,
    /// What members hold.
    pub conflict: OpenConflict,
}

/// The conflicts of several groups.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// All that could be read, by group and collection.
    pub disputes: Vec<Dispute>,
    /// Groups whose state cannot be read.
    pub failures: Vec<Failure>,
}

/// The open conflicts of these groups; of all, if none is named. Starts no plugin, takes no lock and
/// writes nothing.
///
/// # Errors
/// A group that the configuration does not have.
pub fn find(config: &Config, groups: &[String]) -> Result<Found, Failure> {
    let named = groups.iter().map(|name| config.group(name).ok_or_else(|| run::unknown_group(config, name)));
    let named = named.collect::<Result<Vec<&GroupConfig>, Failure>>()?;
    let wanted = if groups.is_empty() { config.groups.iter().collect() } else { named };
    let mut found = Found::default();
    for group in wanted {
        match of_group(config, group) {
            Ok(disputes) => found.disputes.extend(disputes),
            Err(failure) => found.failures.push(failure),
        }
    }
    Ok(found)
}

/// The conflict that `typed` is the beginning of.
///
/// # Errors
/// There is none, or there are several.
pub fn find_one(config: &Config, typed: &str) -> Result<Dispute, Failure> {
    let mut found = find(config, &[])?;
    found.disputes.retain(|dispute| dispute.id.begins_with(typed));
    match (found.disputes.pop(), found.disputes.is_empty(), found.failures.pop()) {
        (Some(dispute), true, _) => Ok(dispute),
        (Some(dispute), false, _) => Err(several(typed, found.disputes.into_iter().chain([dispute]))),
        (None, _, Some(failure)) => Err(failure),
        (None, _, None) => Err(gone(typed)),
    }
}

fn of_group(config: &Config, group: &GroupConfig) -> Result<Vec<Dispute>, Failure> {
    let known = state::status(config, group)?.collections;
    let mut concerned = known.iter().filter(|one| one.conflicts > 0).peekable();
    if concerned.peek().is_none() {
        return Ok(Vec::new());
    }
    let store = state::look(config, group)?;
    let mut disputes = Vec::new();
    for known in concerned {
        let collection = state::collection(group, known);
        let conflicts = state::ask(group, store.conflicts(&collection))?;
        disputes.extend(conflicts.into_iter().map(|conflict| Dispute::new(group, &collection, conflict)));
    }
    Ok(disputes)
}

fn gone(typed: &str) -> Failure {
    Failure::usage(format!("no conflict is called {typed}")).hint(
        "it may be settled, or something has changed, so that it is another one now; `outrigger conflicts` lists \
         what waits",
    )
}

fn several(typed: &str, disputes: impl Iterator<Item = Dispute>) -> Failure {
    let names: Vec<String> = disputes.map(|dispute| dispute.id.whole().to_owned()).collect();
    Failure::usage(format!("{typed} means several conflicts"))
        .hint(format!("type more: {}", names.join(", ")))
}

impl Dispute {
    pub(super) fn new(group: &GroupConfig, collection: &Collection, conflict: OpenConflict) -> Self {
        let id = ConflictId::of(&group.name, collection, &conflict);
        Self { id, group: group.name.clone(), collection: collection.clone(), conflict }
    }

    /// What a person calls the item: its title, or its key where it has none. A member's words.
    #[must_use]
    pub fn title(&self) -> String {
        let copies = self.conflict.members.iter().filter_map(|held| held.copy.as_ref());
        let known = copies.chain(&self.conflict.base).find_map(|copy| title(&copy.data));
        known.unwrap_or_else(|| String::from_utf8_lossy(&self.conflict.key.0).into_owned())
    }

    /// `GROUP/COLLECTION`.
    #[must_use]
    pub fn place(&self) -> String {
        format!("{}/{}", self.group, self.collection.name)
    }

    /// When it was raised, where that is known.
    #[must_use]
    pub fn since(&self) -> Option<String> {
        self.conflict.raised.map(clock::moment)
    }

    fn line(&self) -> String {
        let since = self.since().map(|since| format!("   since {since}")).unwrap_or_default();
        let differs = match self.differing() {
            names if names.is_empty() => String::new(),
            names => format!("   {}", Printable(names.join(", "))),
        };
        format!("  {}   {}{differs}   {}{since}", self.id, Words(self.title()), self.holders())
    }
}

/// Writes a line for each conflict, and how to go on.
///
/// # Errors
/// `to` takes no more.
pub fn write_list(found: &Found, to: &mut dyn Write) -> io::Result<()> {
    let mut place = None;
    for dispute in &found.disputes {
        if place.replace(dispute.place()).as_ref() != Some(&dispute.place()) {
            let members = joined(&dispute.collection.members, |_| false);
            writeln!(to, "{}   {members}", Printable(dispute.place()))?;
        }
        writeln!(to, "{}", dispute.line())?;
    }
    match found.disputes.first() {
        None if found.failures.is_empty() => writeln!(to, "no conflict waits"),
        None => Ok(()),
        Some(first) => {
            writeln!(to, "look at one, and see how to settle it:   {} conflicts show {}", called(), first.id)
        }
    }
}
