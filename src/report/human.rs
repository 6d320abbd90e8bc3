//! The account of a run for people.
//!
//! ```text
//! contacts/family   laptop ⇄ server
//!   listing   laptop 1 000   server 1 000 (changes only)   0.3 s
//!   changes   12 → server   3 → laptop   1 delete   2 conflicts
//!   done      +4 ~11 −1   2 conflicts wait: outrigger status
//! Summary     1 group in sync, 2 conflicts   exit 3
//! ```

use std::io::{self, Write};

use outrigger_engine::{Report, Side};
use outrigger_protocol::{CommitKind, Href};

use super::failure::{BOLD, Failure, PLAIN};
use super::run::{CollectionReport, GroupReport, RunReport};
use crate::exit::Exit;
use outrigger_protocol::{Printable, Words};

/// Writes the account of a run.
///
/// # Errors
/// `to` takes no more.
pub fn write_run(run: &RunReport, to: &mut dyn Write) -> io::Result<()> {
    for group in &run.groups {
        write_group(group, run.dry_run, to)?;
    }
    let parts = summary_parts(run).join(", ");
    writeln!(to, "{BOLD}Summary{PLAIN}     {parts}   exit {}", run.exit().code())
}

fn write_group(group: &GroupReport, dry_run: bool, to: &mut dyn Write) -> io::Result<()> {
    for collection in &group.collections {
        Account { group, collection, dry_run }.write(to)?;
    }
    if group.collections.is_empty() {
        writeln!(to, "{BOLD}{}{PLAIN}   {}", group.name, group.members.join(" ⇄ "))?;
    }
    for waiting in &group.waiting {
        let why = Words(&waiting.why);
        writeln!(to, "  waiting   {} is not there; what is owed to it is kept: {why}", waiting.member)?;
    }
    for failure in &group.failures {
        write_failure(failure, to)?;
    }
    Ok(())
}

fn write_failure(failure: &Failure, to: &mut dyn Write) -> io::Result<()> {
    writeln!(to, "  failed    {failure}")?;
    failure.write_rest("          ", to)
}

/// One collection, with what it takes to tell of it.
struct Account<'r> {
    group: &'r GroupReport,
    collection: &'r CollectionReport,
    dry_run: bool,
}

impl Account<'_> {
    fn write(&self, to: &mut dyn Write) -> io::Result<()> {
        let name = Printable(&self.collection.name);
        writeln!(to, "{BOLD}{}/{name}{PLAIN}   {}", self.group.name, self.group.members.join(" ⇄ "))?;
        writeln!(to, "  listing   {}", self.listing())?;
        writeln!(to, "  changes   {}", self.changes())?;
        for report in &self.collection.told {
            self.write_report(report, to)?;
        }
        match self.collection.untold {
            0 => {}
            more => writeln!(to, "            and {} more", grouped(more))?,
        }
        if self.dry_run { Ok(()) } else { writeln!(to, "  done      {}", self.done()) }
    }

    fn member(&self, side: Side) -> &str {
        &self.group.members[side.index()]
    }

    fn listing(&self) -> String {
        let of = |side: Side| {
            let listed = grouped(self.collection.summary.sides[side.index()].listed);
            let note = match self.collection.complete[side.index()] {
                Some(true) => "",
                Some(false) => " (changes only)",
                None => " (broke off)",
            };
            format!("{} {listed}{note}   ", self.member(side))
        };
        format!("{}{}{:.1} s", of(Side::A), of(Side::B), self.collection.listing.as_secs_f64())
    }

    fn changes(&self) -> String {
        let toward = |side| {
            let writes = self.collection.writes(side);
            (writes > 0).then(|| format!("{} → {}", grouped(writes), self.member(side)))
        };
        let counted = |count, one, many| (count > 0).then(|| plural(count, one, many));
        let parts = [
            toward(Side::B),
            toward(Side::A),
            counted(self.collection.deletes(), "delete", "deletes"),
            counted(self.collection.summary.conflicts, "conflict", "conflicts"),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        if parts.is_empty() { "none".to_owned() } else { parts.join("   ") }
    }

    fn done(&self) -> String {
        let summary = &self.collection.summary;
        let sum =
            |count: fn(&outrigger_engine::Counts) -> u64| grouped(summary.sides.iter().map(count).sum());
        let mut text = format!("+{} ~{} −{}", sum(|s| s.created), sum(|s| s.updated), sum(|s| s.deleted));
        let mut add = |count, one, many, tail: &str| {
            if count > 0 {
                text += &format!("   {}{tail}", plural(count, one, many));
            }
        };
        add(
            summary.conflicts,
            "conflict waits",
            "conflicts wait",
            &format!(": {} status", self.group.command),
        );
        add(summary.quarantined, "item is left alone", "items are left alone", "");
        add(summary.pending, "item is pending", "items are pending", "");
        add(
            summary.sides.iter().map(|side| side.kept).sum(),
            "change is kept back",
            "changes are kept back",
            " (read-only)",
        );
        text
    }

    fn write_report(&self, report: &Report, to: &mut dyn Write) -> io::Result<()> {
        match report {
            Report::Planned { side, kind, href, .. } => {
                writeln!(to, "  would     {} {} on {}", verb(*kind), quoted(href), self.member(*side))
            }
            Report::Conflict { key, .. } => {
                writeln!(to, "  conflict  {}", Words(&key.0))
            }
            Report::Quarantined { side, href, reason, .. } => {
                self.write_item("left", *side, href, reason, to)
            }
            Report::Pending { side, href, reason } => self.write_item("pending", *side, href, reason, to),
            Report::GuardStop { side, planned, total, names } => {
                self.write_guard(*side, (*planned, *total), names, to)
            }
            Report::StoreChanged { side } => self.write_store_changed(*side, to),
            Report::MemberFailed { side, words, .. } => {
                writeln!(to, "  failed    {}: {}", self.member(*side), Words(words))
            }
            Report::CallFailed { side, words } => {
                writeln!(to, "  failed    {}: {}", self.member(*side), Words(words))
            }
            Report::JournalFailed { reason } => writeln!(to, "  failed    the state: {}", Words(reason)),
            Report::Listed { .. } | Report::Untold { .. } | Report::Ended(_) => Ok(()),
        }
    }

    fn write_item(
        &self,
        what: &str,
        side: Side,
        href: &Href,
        why: &str,
        to: &mut dyn Write,
    ) -> io::Result<()> {
        writeln!(to, "  {what:<8}  {} at {}: {}", quoted(href), self.member(side), Words(why))
    }

    fn write_guard(
        &self,
        side: Side,
        counts: (u64, u64),
        names: &[Href],
        to: &mut dyn Write,
    ) -> io::Result<()> {
        let ((planned, total), member) = (counts, self.member(side));
        let names: Vec<String> = names.iter().map(quoted).collect();
        let rest = if (names.len() as u64) < planned { ", …" } else { "" };
        writeln!(
            to,
            "  stopped   before anything was written to {member}: {} of its {} items would be deleted",
            grouped(planned),
            grouped(total)
        )?;
        writeln!(to, "            {}{rest}", names.join(", "))?;
        writeln!(
            to,
            "            if they should stay: put them back where they were deleted, and sync again"
        )?;
        writeln!(to, "            if they should go, and what else is new there with them:")?;
        writeln!(to, "              {} sync {} --allow-deletes {planned}", self.group.command, self.target())
    }

    fn write_store_changed(&self, side: Side, to: &mut dyn Write) -> io::Result<()> {
        let member = self.member(side);
        writeln!(
            to,
            "  stopped   {member} is another store than at the last run: nothing was written there"
        )?;
        writeln!(to, "            is it a new or emptied account, or another disk in the same place?")?;
        writeln!(
            to,
            "            if it is meant: give the group another name in the configuration; the next run"
        )?;
        writeln!(to, "            then compares everything anew, and deletes nothing")
    }

    /// What names this collection on a command line that the user may copy.
    fn target(&self) -> String {
        let target = format!("{}/{}", self.group.name, self.collection.name);
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./@+".contains(c);
        if target.chars().all(plain) {
            target
        } else if Printable(&target).to_string() != target {
            // No quotation is safe in every shell and on every terminal; the group is near enough.
            self.group.name.clone()
        } else {
            format!("'{}'", target.replace('\'', r"'\''"))
        }
    }
}

/// A name that a plugin gave, as its words.
fn quoted(href: &Href) -> String {
    Words(href.as_bytes()).to_string()
}

fn verb(kind: CommitKind) -> &'static str {
    match kind {
        CommitKind::Create => "create",
        CommitKind::Update => "update",
        CommitKind::Delete => "delete",
    }
}

fn summary_parts(run: &RunReport) -> Vec<String> {
    let groups =
        |holds: fn(&GroupReport) -> bool| run.groups.iter().filter(|group| holds(group)).count() as u64;
    let total = |count: fn(&CollectionReport) -> u64| -> u64 {
        run.groups.iter().flat_map(|group| &group.collections).map(count).sum()
    };
    let in_sync = |group: &GroupReport| {
        matches!(group.exit(), Exit::Done | Exit::Conflicts) && group.waiting.is_empty()
    };
    let parts = [
        (
            groups(in_sync),
            if run.dry_run { "group read" } else { "group in sync" },
            if run.dry_run { "groups read" } else { "groups in sync" },
        ),
        (groups(|group| !group.waiting.is_empty()), "waiting", "waiting"),
        (
            groups(|group| !matches!(group.exit(), Exit::Done | Exit::Conflicts)),
            "with trouble",
            "with trouble",
        ),
        (total(|collection| collection.summary.conflicts), "conflict", "conflicts"),
    ];
    let parts: Vec<String> = parts
        .into_iter()
        .filter(|(count, ..)| *count > 0)
        .map(|(count, one, many)| plural(count, one, many))
        .collect();
    if parts.is_empty() { vec!["no groups".to_owned()] } else { parts }
}

fn plural(count: u64, one: &str, many: &str) -> String {
    format!("{} {}", grouped(count), if count == 1 { one } else { many })
}

/// A number with its thousands apart: 1 234 567.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests;
