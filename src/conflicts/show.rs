//! Show: one conflict for the person who settles it.
//!
//! ```text
//! 3fa9c1   contacts/family   "Anna García"   since 2026-11-20 18:02 UTC
//!   laptop   "anna.vcf"   changed 2026-11-20 17:40 UTC
//!   server   "7f3a.vcf"   changed 2026-11-20 17:58 UTC
//!
//!           agreed before   laptop          server
//! TEL cell  +49 170 1       +49 170 2       +49 170 1
//! EMAIL     a@example.org   a@example.org   anna@example.net
//! ```

use std::io::{self, Write};

use outrigger_engine::{PropertyRow, keep_both_copy, last_changed};
use outrigger_protocol::{Printable, Words};
use outrigger_store::{Disputed, Kept};

use super::find::Dispute;
use super::lines::{is_text, write_differences, write_text};
use super::sides::Side;
use crate::clock;
use crate::report::{Table, TableRow, called, plural};

/// What was agreed, above its column.
const BASE: &str = "agreed before";

/// Digits that are shown of a digest that stands for a content.
const DIGITS: usize = 12;

/// Writes what members hold of an item, side by side, and the commands that settle it. For a terminal of
/// so many columns.
///
/// # Errors
/// `to` takes no more.
pub fn write_one(dispute: &Dispute, width: usize, to: &mut dyn Write) -> io::Result<()> {
    let since = dispute.since().map(|since| format!("   since {since}")).unwrap_or_default();
    let place = dispute.place();
    writeln!(to, "{}   {}   {}{since}", dispute.id, Printable(place), Words(dispute.title()))?;
    let unchanged = dispute.unchanged().map(|side| side.members).unwrap_or_default();
    for (member, held) in dispute.collection.members.iter().zip(&dispute.conflict.members) {
        let is_agreed = unchanged.contains(&member.as_str());
        writeln!(to, "  {member}   {}", held_there(held, is_agreed))?;
    }
    writeln!(to)?;
    match dispute.properties() {
        Some(rows) if !rows.is_empty() => table(dispute, &rows).write(width, to)?,
        _ => write_contents(dispute, width, to)?,
    }
    writeln!(to)?;
    write_ways(dispute, to)
}

fn held_there(held: &Disputed, is_agreed: bool) -> String {
    let Some(content) = &held.content else { return "does not have it".to_owned() };
    let name = held.href.as_ref().map(|href| Words(href.as_bytes()).to_string()).unwrap_or_default();
    let changed = held.copy.as_ref().and_then(|copy| last_changed(&copy.data));
    let changed = changed.and_then(|at| u64::try_from(at).ok()).map(clock::moment);
    match (changed, &held.copy) {
        _ if is_agreed => format!("{name}   as it was agreed before"),
        _ if !held.is_party => format!("{name}   an earlier one, which gets what is settled"),
        (Some(at), _) => format!("{name}   changed {at}, as it says itself"),
        (None, Some(copy)) => format!("{name}   {}", plural(copy.data.len() as u64, "byte", "bytes")),
        (None, None) => {
            format!("{name}   what it holds is not kept here: sha256 {:.DIGITS$}…", content.raw.to_string())
        }
    }
}

fn table(dispute: &Dispute, rows: &[PropertyRow]) -> Table {
    let has_base = dispute.conflict.base.is_some();
    let sides = dispute.sides();
    let heads = sides.iter().map(Side::holders);
    let heads = has_base.then(|| agreed(dispute)).into_iter().chain(heads).collect();
    Table { heads, rows: rows.iter().map(|row| table_row(row, has_base)).collect() }
}

/// What was agreed before, and who holds that still.
fn agreed(dispute: &Dispute) -> String {
    match dispute.unchanged() {
        Some(side) => format!("{BASE}: {}", side.holders()),
        None => BASE.to_owned(),
    }
}

/// What a member made of it stands out.
fn table_row(row: &PropertyRow, has_base: bool) -> TableRow {
    let name = [&row.component, &row.name, &row.types].map(String::as_str);
    let name = name.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ");
    let base = has_base.then(|| row.base.clone());
    let marked = row.copies.iter().map(|copy| has_base && *copy != row.base);
    let marked = has_base.then_some(false).into_iter().chain(marked).collect();
    let cells = base.into_iter().chain(row.copies.iter().cloned());
    TableRow { name, cells: cells.map(or_dash).collect(), marked }
}

fn or_dash(texts: Vec<String>) -> Vec<String> {
    if texts.is_empty() { vec!["–".to_owned()] } else { texts }
}

/// Of contents that have no properties: lines that differ, or what can be said of bytes.
fn write_contents(dispute: &Dispute, width: usize, to: &mut dyn Write) -> io::Result<()> {
    let sides = dispute.sides();
    let Some(copies) = dispute.copies().filter(|copies| copies.iter().all(|copy| is_text(copy))) else {
        return bytes(&sides).write(width, to);
    };
    let base = dispute.conflict.base.as_ref().filter(|base| is_text(base));
    let base = base.map(|base| (agreed(dispute), base));
    let named = sides.iter().zip(copies).map(|(side, copy)| (side.holders(), copy));
    let all: Vec<(String, &Kept)> = base.into_iter().chain(named).collect();
    match all.split_first() {
        Some(((_, only), [])) => write_text(only, to),
        Some(((first_name, first), others)) => others
            .iter()
            .try_for_each(|(name, copy)| write_differences((first_name, first), (name, copy), to)),
        None => Ok(()),
    }
}

fn bytes(sides: &[Side<'_>]) -> Table {
    let heads = sides.iter().map(Side::holders).collect();
    let row = |name: &str, cell: &dyn Fn(&Side<'_>) -> String| TableRow {
        name: name.to_owned(),
        cells: sides.iter().map(|side| vec![cell(side)]).collect(),
        marked: Vec::new(),
    };
    let of_copy = |say: fn(&Kept) -> String| move |side: &Side<'_>| side.copy.map_or_else(|| "?".into(), say);
    let rows = vec![
        row("format", &of_copy(|copy| copy.format.clone())),
        row("bytes", &of_copy(|copy| copy.data.len().to_string())),
        row("sha256", &|side| side.content.raw.to_string()),
    ];
    Table { heads, rows }
}

/// The commands, each as it can be typed.
fn write_ways(dispute: &Dispute, to: &mut dyn Write) -> io::Result<()> {
    writeln!(to, "settle it with one of these; the next sync carries it out:")?;
    let command = format!("{} conflicts resolve {}", called(), dispute.id);
    for (how, what) in ways(dispute) {
        writeln!(to, "  {command} {how}")?;
        writeln!(to, "      {what}")?;
    }
    Ok(())
}

fn ways(dispute: &Dispute) -> Vec<(String, String)> {
    let sides = dispute.sides();
    let mut ways = Vec::new();
    let mut add = |how: &str, what: &str| ways.push((how.to_owned(), what.to_owned()));
    if dispute.merged().is_some() {
        add("--merge", "nothing was changed twice: takes all changes");
    }
    for side in sides.iter().filter(|side| !side.members.is_empty()) {
        add(&format!("--take {}", side.first()), &format!("what {} has goes to all", side.first()));
    }
    if dispute.conflict.chosen.is_some() {
        add(
            "--chosen",
            "what was chosen before, and no member has yet, goes to all; otherwise it is dropped",
        );
    }
    if let Some(side) = dispute.unchanged() {
        add(&format!("--take {}", side.first()), "puts it back as it was agreed before");
    }
    if can_be_kept_twice(&sides) {
        add("--keep-both", &format!("what {} has stays, the rest becomes another item", sides[0].first()));
    }
    if dispute.copies().is_some() {
        add("--edit", "opens an editor; what you make of it goes to all");
    }
    if sides.iter().any(|side| side.copy.is_some()) {
        add("--content FILE", "what is in FILE goes to all");
    }
    add("--delete", "it is deleted everywhere");
    ways
}

fn can_be_kept_twice(sides: &[Side<'_>]) -> bool {
    let is_good =
        |side: &Side<'_>| side.copy.is_some_and(|copy| keep_both_copy(&copy.data, "u", "m").is_some());
    sides.len() > 1 && sides.iter().skip(1).all(is_good)
}
