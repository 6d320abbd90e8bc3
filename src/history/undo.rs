//! Undo: what a run took away becomes an edit that the next run brings to all members.

use std::io::{self, Write};

use outrigger_engine::RowId;
use outrigger_store::{Collection, RunId, Store, UndoEntry, UndoId, UndoOutcome, Undone};
use serde::Serialize;

use super::taken::{TakenItem, check, find, title_of};
use crate::config::{Config, GroupConfig};
use crate::report::{Failure, called};
use crate::{run, state};

/// Items that are shown to people, with their titles.
const SHOWN: usize = 200;

/// What undoing did, or would do. Keys are only ever added.
#[derive(Debug, Clone, Serialize)]
pub struct Undoing {
    /// The exit code.
    pub exit: u8,
    /// The group.
    pub group: String,
    /// The run that was undone.
    pub number: i64,
    /// Nothing was done.
    pub dry_run: bool,
    /// Item by item, in the order in which they were taken away.
    pub items: Vec<UndoneItem>,
}

/// One item.
#[derive(Debug, Clone, Serialize)]
pub struct UndoneItem {
    /// What was taken away.
    #[serde(flatten)]
    pub taken: TakenItem,
    /// `made` (it was gone, and is made anew), `restored`, `unchanged` (it is so already), `superseded`
    /// (other bytes of the same item were undone, see `by`), `missing` (not kept any more), or `elsewhere`
    /// (its collection is not in the group any more).
    pub outcome: &'static str,
    /// The item of the same one that was undone instead; null: none was.
    pub by: Option<i64>,
    /// Its bytes are the same as those of `by`.
    pub same: bool,
}

/// Undoes items of a run of a group, all of them if none is named; or says what that would do. No run may
/// be busy with the group; it is done when this returns.
///
/// # Errors
/// There is no such run or item; the group has a member whose content is everybody's; a run is busy with the
/// group; the state cannot be used.
pub fn undo(
    config: &Config,
    group: &GroupConfig,
    number: i64,
    items: &[i64],
    dry_run: bool,
) -> Result<Undoing, Failure> {
    let known = state::status(config, group)?;
    // A look first: who mistypes shall not wait for a lock, nor make a state.
    let looked = state::look(config, group)?;
    find(&looked, group, number)?;
    let entries = state::ask(group, looked.undo_entries(RunId(number)))?;
    check(group, number, &entries, items)?;
    refuse(config, group, number, &entries, items)?;
    let collections: Vec<Collection> =
        known.collections.iter().map(|one| state::collection(group, one)).collect();
    let wanted = (!items.is_empty()).then(|| items.iter().copied().map(UndoId).collect());
    let store = if dry_run { looked } else { state::take(config, group)? };
    let undone = state::ask(group, store.undo(&collections, RunId(number), wanted))?;
    let items = told(&store, group, &entries, &undone)?;
    store.close().map_err(|error| run::store_failure(&group.name, &error))?;
    Ok(Undoing { exit: 0, group: group.name.clone(), number, dry_run, items })
}

/// Of members whose content is everybody's nothing is overwritten: their word is final.
fn refuse(
    config: &Config,
    group: &GroupConfig,
    number: i64,
    entries: &[UndoEntry],
    items: &[i64],
) -> Result<(), Failure> {
    let authority = config.authorities(group).first().and_then(|at| group.members.get(*at));
    let item = items.first().copied().or_else(|| entries.first().map(|entry| entry.id.0));
    let (Some(authority), Some(item)) = (authority, item) else { return Ok(()) };
    let name = &group.name;
    let text = format!(
        "what {authority} holds is everybody's in {name}: the next sync would overrule what is undone"
    );
    Err(Failure::usage(text).hint(format!(
        "`outrigger undo {name}:{number} {item} --to FILE` writes what was taken away into a file; put it back at \
         {authority}"
    )))
}

fn told(
    store: &Store,
    group: &GroupConfig,
    entries: &[UndoEntry],
    undone: &[Undone],
) -> Result<Vec<UndoneItem>, Failure> {
    let mut items = Vec::new();
    for Undone { entry, outcome } in undone {
        let Some(entry) = entries.iter().find(|known| known.id == *entry) else { continue };
        let title = if items.len() < SHOWN { title_of(store, group, entry)? } else { None };
        items.push(UndoneItem::of(TakenItem::of(entry, title), outcome));
    }
    Ok(items)
}

impl UndoneItem {
    fn of(taken: TakenItem, outcome: &UndoOutcome) -> Self {
        let plain = |outcome| Self { taken: taken.clone(), outcome, by: None, same: false };
        match outcome {
            UndoOutcome::Restored { created: true, row: RowId(_) } => plain("made"),
            UndoOutcome::Restored { created: false, .. } => plain("restored"),
            UndoOutcome::Unchanged { .. } => plain("unchanged"),
            UndoOutcome::Missing => plain("missing"),
            UndoOutcome::OtherCollection => plain("elsewhere"),
            UndoOutcome::Superseded { by, same } => {
                Self { by: Some(by.0), same: *same, ..plain("superseded") }
            }
        }
    }

    fn words(&self) -> String {
        match (self.outcome, self.by) {
            ("made", _) => "comes back".to_owned(),
            ("restored", _) => "becomes what it was".to_owned(),
            ("unchanged", _) => "is so already".to_owned(),
            ("superseded", Some(by)) if self.same => format!("is the same as {by}"),
            ("superseded", Some(by)) => {
                format!("is left: {by} is the same item; undo this one alone to have it instead")
            }
            ("elsewhere", _) => "is left: its collection is not known any more".to_owned(),
            _ => "is not kept any more".to_owned(),
        }
    }
}

impl Undoing {
    /// Whether the next run has anything to do on this account.
    fn is_something(&self) -> bool {
        self.items.iter().any(|item| ["made", "restored"].contains(&item.outcome))
    }

    /// Writes a line for each item, and how to go on.
    ///
    /// # Errors
    /// `to` takes no more.
    pub fn write(&self, to: &mut dyn Write) -> io::Result<()> {
        for item in self.items.iter().take(SHOWN) {
            writeln!(to, "  {:<5} {}: {}", item.taken.item, item.taken.words(), item.words())?;
        }
        if self.items.len() > SHOWN {
            writeln!(to, "  and {} more", self.items.len() - SHOWN)?;
        }
        match (self.is_something(), self.dry_run) {
            (false, _) => writeln!(to, "there is nothing to undo"),
            (true, true) => writeln!(to, "nothing was done: it was asked what would be"),
            (true, false) => {
                writeln!(to, "the next sync brings it to all members:   {} sync {}", called(), self.group)
            }
        }
    }
}
