//! One collection, as a person reads of it.

use std::io::{self, Write};

use outrigger_engine::{CRASHED, Counts, Report, Side};
use outrigger_protocol::{CommitKind, Href, Printable, Words};

use super::words::{grouped, named, plural, quoted};
use crate::report::called;
use crate::report::failure::{BOLD, PLAIN};
use crate::report::run::{CollectionReport, GroupReport};

/// One collection, with what it takes to tell of it.
pub(super) struct Account<'r> {
    pub(super) group: &'r GroupReport,
    pub(super) collection: &'r CollectionReport,
    pub(super) dry_run: bool,
}

impl Account<'_> {
    pub(super) fn write(&self, to: &mut dyn Write) -> io::Result<()> {
        self.write_title(to)?;
        writeln!(to, "  listing   {}", self.listing())?;
        writeln!(to, "  changes   {}", self.changes())?;
        for side in Side::BOTH.into_iter().filter(|side| self.collection.to_make[side.index()]) {
            writeln!(to, "  would     make this collection on {}", self.member(side))?;
        }
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
                None if self.is_other_store(side) => " (another store)",
                None => " (broke off)",
            };
            format!("{} {listed}{note}   ", self.member(side))
        };
        format!("{}{}{:.1} s", of(Side::A), of(Side::B), self.collection.listing.as_secs_f64())
    }

    fn is_other_store(&self, side: Side) -> bool {
        self.collection.told.contains(&Report::StoreChanged { side })
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
        let sum = |count: fn(&Counts) -> u64| grouped(summary.sides.iter().map(count).sum());
        let mut text = format!("+{} ~{} −{}", sum(|s| s.created), sum(|s| s.updated), sum(|s| s.deleted));
        let mut add = |count, one, many, tail: &str| {
            if count > 0 {
                text += &format!("   {}{tail}", plural(count, one, many));
            }
        };
        let status = format!(": {} status", called());
        add(summary.conflicts, "conflict waits", "conflicts wait", &status);
        let tail = if summary.conflicts > 0 { "" } else { &status };
        add(summary.quarantined, "item is left alone", "items are left alone", tail);
        add(summary.pending, "item is pending", "items are pending", "");
        add(
            summary.sides.iter().map(|side| side.kept).sum(),
            "change is kept back",
            "changes are kept back",
            " (read-only)",
        );
        text
    }

    /// Only what stopped a member, or all.
    pub(super) fn write_stops(&self, to: &mut dyn Write) -> io::Result<()> {
        let mut stops = self.collection.stops().peekable();
        if stops.peek().is_none() {
            return Ok(());
        }
        self.write_title(to)?;
        stops.try_for_each(|report| self.write_report(report, to))
    }

    fn write_title(&self, to: &mut dyn Write) -> io::Result<()> {
        let name = Printable(&self.collection.name);
        writeln!(to, "{BOLD}{}/{name}{PLAIN}   {}", self.group.name, self.group.members.join(" ⇄ "))
    }

    fn write_report(&self, report: &Report, to: &mut dyn Write) -> io::Result<()> {
        match report {
            Report::Planned { side, kind, names, .. } => self.write_planned(*side, *kind, names, to),
            Report::Conflict { key, names, .. } => {
                let key = Words(&key.0);
                writeln!(to, "  conflict  {key}: {}", named(names, &self.group.members))
            }
            Report::Quarantined { side, href, reason, .. } => {
                self.write_item("left", *side, href, reason, to)?;
                if !reason.ends_with(CRASHED) {
                    return Ok(());
                }
                writeln!(
                    to,
                    "            it is tried again when it changes; or once the plugin is mended, with:"
                )?;
                writeln!(to, "              {}", self.group.retry_crashed(&self.collection.name))
            }
            Report::Pending { side, href, reason } => self.write_item("pending", *side, href, reason, to),
            Report::GuardStop { side, planned, total, names } => {
                self.write_guard(*side, (*planned, *total), names, to)
            }
            Report::StoreChanged { side } => self.write_store_changed(*side, to),
            Report::MemberFailed { side, words, .. } | Report::CallFailed { side, words } => {
                writeln!(to, "  failed    {}: {}", self.member(*side), Words(words))
            }
            Report::JournalFailed { reason } => writeln!(to, "  failed    the state: {}", Words(reason)),
            Report::Listed { .. } | Report::Untold { .. } | Report::Charged { .. } | Report::Ended(_) => {
                Ok(())
            }
        }
    }

    /// What would be written where, and what it comes from.
    fn write_planned(
        &self,
        side: Side,
        kind: CommitKind,
        names: &[Option<Href>; 2],
        to: &mut dyn Write,
    ) -> io::Result<()> {
        let (target, source) = (self.member(side), self.member(side.other()));
        let name = |side: Side| names[side.index()].as_ref().map(quoted).unwrap_or_default();
        let (there, here) = (name(side), name(side.other()));
        match kind {
            CommitKind::Create => {
                writeln!(to, "  would     create on {target}: a copy of {here} from {source}")
            }
            CommitKind::Update => {
                writeln!(to, "  would     update on {target}: {there}, with {here} from {source}")
            }
            CommitKind::Delete => {
                writeln!(to, "  would     delete on {target}: {there}, deleted on {source}")
            }
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
        let stopped = if self.dry_run {
            format!("would     stop before anything is written to {member}")
        } else {
            format!("stopped   before anything was written to {member}")
        };
        let (planned_text, total) = (grouped(planned), plural(total, "item", "items"));
        writeln!(to, "  {stopped}: {planned_text} of its {total} would be deleted")?;
        writeln!(to, "            {}{rest}", names.join(", "))?;
        writeln!(
            to,
            "            if they should stay: put them back where they were deleted, and sync again"
        )?;
        writeln!(to, "            if they should go, and what else is new there with them:")?;
        writeln!(to, "              {}", self.group.allow_deletes(&self.collection.name, planned))
    }

    fn write_store_changed(&self, side: Side, to: &mut dyn Write) -> io::Result<()> {
        let member = self.member(side);
        let stopped = if self.dry_run { ("would     stop:", "would be") } else { ("stopped  ", "was") };
        let (stopped, was) = stopped;
        writeln!(
            to,
            "  {stopped} {member} is another store than at the last run: nothing {was} written there"
        )?;
        writeln!(to, "            is it a new or emptied account, or another disk in the same place?")?;
        writeln!(
            to,
            "            if it is meant: give the group another name in the configuration; the next run"
        )?;
        writeln!(to, "            then compares everything anew, and deletes nothing")
    }
}
