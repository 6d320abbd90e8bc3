//! Taken: what one run overwrote and deleted, item by item.

use std::collections::HashSet;
use std::io::{self, Write};

use outrigger_engine::title;
use outrigger_protocol::{CommitKind, Printable, Words};
use outrigger_store::{RunId, Store, UndoEntry, UndoId};
use serde::Serialize;

use super::runs::RunSummary;
use crate::config::{Config, GroupConfig};
use crate::report::{Failure, called};
use crate::state;

/// Items of which the title is looked up, and that are shown to people.
const SHOWN: usize = 200;

/// One run in detail. Keys are only ever added.
#[derive(Debug, Clone, Serialize)]
pub struct RunDetail {
    /// The exit code.
    pub exit: u8,
    /// The run.
    #[serde(flatten)]
    pub run: RunSummary,
    /// What it overwrote and deleted, as far as it is kept, in its order.
    pub items: Vec<TakenItem>,
}

/// An item that was overwritten or deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TakenItem {
    /// Its number, for `undo`.
    pub item: i64,
    /// `overwritten` or `deleted`; `taken` where an earlier version did not keep which.
    pub what: &'static str,
    /// Its collection.
    pub collection: String,
    /// Where.
    pub member: String,
    /// What that member called it.
    pub name: String,
    /// What a person calls it; null: it has no title, or it is not among the first 200.
    pub title: Option<String>,
    /// Bytes.
    pub size: u64,
}

/// What a run of a group overwrote and deleted. Takes no lock and writes nothing.
///
/// # Errors
/// There is no such run; the state cannot be read.
pub fn taken(config: &Config, group: &GroupConfig, number: i64) -> Result<RunDetail, Failure> {
    let store = state::look(config, group)?;
    let run = find(&store, group, number)?;
    let entries = state::ask(group, store.undo_entries(RunId(number)))?;
    let named = entries.iter().enumerate().map(|(at, entry)| {
        let title = if at < SHOWN { title_of(&store, group, entry)? } else { None };
        Ok(TakenItem::of(entry, title))
    });
    Ok(RunDetail { exit: 0, run, items: named.collect::<Result<_, Failure>>()? })
}

/// The bytes of the one item among `items` that a run took away. Takes no lock and writes nothing.
///
/// # Errors
/// There is no such run or item, or not one alone is named; its bytes are not kept any more; the state cannot
/// be read.
pub fn content(config: &Config, group: &GroupConfig, number: i64, items: &[i64]) -> Result<Vec<u8>, Failure> {
    let [item] = items else {
        return Err(Failure::usage("one item goes into a file: name just one")
            .hint(format!("`outrigger log {} {number}` lists them", group.name)));
    };
    let store = state::look(config, group)?;
    find(&store, group, number)?;
    let entries = state::ask(group, store.undo_entries(RunId(number)))?;
    check(group, number, &entries, items)?;
    let content = state::ask(group, store.undo_content(UndoId(*item)))?;
    content.ok_or_else(|| Failure::usage(format!("item {item} is not kept any more")))
}

/// That a run has all of these items.
pub(super) fn check(
    group: &GroupConfig,
    number: i64,
    entries: &[UndoEntry],
    items: &[i64],
) -> Result<(), Failure> {
    let known: HashSet<i64> = entries.iter().map(|entry| entry.id.0).collect();
    match items.iter().find(|item| !known.contains(item)) {
        None => Ok(()),
        Some(missing) => Err(Failure::usage(format!("run {number} of {} has no item {missing}", group.name))
            .hint(format!("`outrigger log {} {number}` lists them", group.name))),
    }
}

/// A run of the group.
pub(super) fn find(store: &Store, group: &GroupConfig, number: i64) -> Result<RunSummary, Failure> {
    let runs = state::ask(group, store.runs(u32::MAX))?;
    let run = runs.iter().find(|run| run.id == RunId(number));
    let summary = run.map(|run| RunSummary::of(&group.name, run));
    summary.ok_or_else(|| {
        Failure::usage(format!("no run {number} of {} is known", group.name))
            .hint(format!("`outrigger log {}` lists those that are kept", group.name))
    })
}

pub(super) fn title_of(
    store: &Store,
    group: &GroupConfig,
    entry: &UndoEntry,
) -> Result<Option<String>, Failure> {
    let content = state::ask(group, store.undo_content(entry.id))?;
    Ok(content.and_then(|data| title(&data)))
}

impl TakenItem {
    pub(super) fn of(entry: &UndoEntry, title: Option<String>) -> Self {
        let what = match entry.kind {
            Some(CommitKind::Delete) => "deleted",
            Some(CommitKind::Update | CommitKind::Create) => "overwritten",
            None => "taken",
        };
        Self {
            item: entry.id.0,
            what,
            collection: entry.collection.clone(),
            member: entry.member.clone(),
            name: String::from_utf8_lossy(entry.href.as_bytes()).into_owned(),
            title,
            size: entry.size,
        }
    }

    /// The item in a few words for people.
    #[must_use]
    pub fn words(&self) -> String {
        let title = self.title.as_ref().map(|title| format!("{} ", Words(title))).unwrap_or_default();
        let Self { what, member, collection, .. } = self;
        format!("{what} at {member}   {title}({})   {}", Words(&self.name), Printable(collection))
    }
}

impl RunDetail {
    /// Writes the run, and a line for each item.
    ///
    /// # Errors
    /// `to` takes no more.
    pub fn write(&self, to: &mut dyn Write) -> io::Result<()> {
        writeln!(to, "{}", self.run.line())?;
        for item in self.items.iter().take(SHOWN) {
            writeln!(to, "  {:<5} {}", item.item, item.words())?;
        }
        match self.items.len() {
            0 => writeln!(to, "  it overwrote and deleted nothing that is still kept"),
            all => {
                if all > SHOWN {
                    writeln!(to, "  and {} more; --json has them all", all - SHOWN)?;
                }
                writeln!(to, "have them back, or some of them:   {} undo {} [ITEM…]", called(), self.run.run)
            }
        }
    }
}
