//! One collection, as a person reads of it.

use std::io::{self, Write};

use outrigger_engine::{Counts, MemberIndex, Report};
use outrigger_protocol::{Printable, Words};

use super::words::{NAMED, cut, grouped, joined, named, plural};
use crate::report::called;
use crate::report::collection::CollectionReport;
use crate::report::failure::{BOLD, PLAIN};
use crate::report::raised::Raised;
use crate::report::run::GroupReport;
use crate::report::tally::SETTLED_LATER;

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
        for member in self.to_make() {
            writeln!(to, "  would     make this collection on {}", self.member(member))?;
        }
        // What a run raised has a name by now, and is told at the end of all.
        let raised = self.collection.raised.iter().filter(|_| self.dry_run);
        for Raised { key, names, is_for_policy, .. } in raised {
            let then = if *is_for_policy { format!("; {SETTLED_LATER}") } else { String::new() };
            writeln!(to, "  conflict  {}: {}{then}", Words(&key.0), named(names, &self.group.members))?;
        }
        for report in &self.collection.told {
            self.write_report(report, to)?;
        }
        let unnamed = if self.dry_run { self.collection.unnamed } else { 0 };
        match self.collection.untold + unnamed {
            0 => {}
            more => writeln!(to, "            and {} more", grouped(more))?,
        }
        if self.dry_run { Ok(()) } else { writeln!(to, "  done      {}", self.done()) }
    }

    pub(super) fn member(&self, member: MemberIndex) -> &str {
        self.group.member(member)
    }

    fn to_make(&self) -> impl Iterator<Item = MemberIndex> {
        let members = self.collection.indices().zip(&self.collection.members);
        members.filter(|(_, at)| at.to_make).map(|(member, _)| member)
    }

    /// What each member listed. Of many members, the first ones, and those of which not all was listed.
    fn listing(&self) -> String {
        let shown = |member: &MemberIndex| member.index() < NAMED || self.is_odd(*member);
        let (shown, rest): (Vec<_>, Vec<_>) = self.collection.indices().partition(shown);
        let mut parts: Vec<String> = shown.into_iter().map(|member| self.listed(member)).collect();
        if !rest.is_empty() {
            let listed = rest.iter().map(|member| self.collection.counts(*member).listed).sum();
            parts.push(format!("{} more {}", rest.len(), grouped(listed)));
        }
        format!("{}   {:.1} s", parts.join("   "), self.collection.listing.as_secs_f64())
    }

    fn listed(&self, member: MemberIndex) -> String {
        let listed = grouped(self.collection.counts(member).listed);
        match self.collection.members.get(member.index()) {
            Some(at) if at.absent => format!("{} (not there)", self.member(member)),
            Some(at) => {
                let note = match at.complete {
                    Some(true) => "",
                    Some(false) => " (changes only)",
                    None if self.is_other_store(member) => " (another store)",
                    None => " (broke off)",
                };
                format!("{} {listed}{note}", self.member(member))
            }
            None => String::new(),
        }
    }

    /// Whether its listing ended unlike others.
    fn is_odd(&self, member: MemberIndex) -> bool {
        let at = self.collection.members.get(member.index());
        at.is_some_and(|at| !at.absent && at.complete.is_none())
    }

    fn is_other_store(&self, member: MemberIndex) -> bool {
        self.collection.told.contains(&Report::StoreChanged { member })
    }

    fn changes(&self) -> String {
        let toward = |member| {
            let writes = self.collection.writes(member);
            (writes > 0).then(|| format!("{} → {}", grouped(writes), self.member(member)))
        };
        let counted = |count, one, many| (count > 0).then(|| plural(count, one, many));
        let mut parts = cut(self.collection.indices().rev().filter_map(toward).collect());
        parts.extend(counted(self.collection.deletes(), "delete", "deletes"));
        parts.extend(counted(self.collection.summary.conflicts, "conflict", "conflicts"));
        if parts.is_empty() { "none".to_owned() } else { parts.join("   ") }
    }

    fn done(&self) -> String {
        let summary = &self.collection.summary;
        let sum =
            |count: fn(&Counts) -> u64| summary.members.iter().map(|member| count(&member.counts)).sum();
        let [created, updated, deleted] =
            [sum(|s| s.created), sum(|s| s.updated), sum(|s| s.deleted)].map(grouped);
        let mut text = format!("+{created} ~{updated} −{deleted}");
        let mut add = |count, one, many, tail: &str| {
            if count > 0 {
                text += &format!("   {}{tail}", plural(count, one, many));
            }
        };
        let status = format!(": {} status", called());
        add(summary.resolved, "conflict settled", "conflicts settled", "");
        let conflicts = format!(": {} conflicts {}", called(), self.group.name);
        add(summary.conflicts, "conflict waits", "conflicts wait", &conflicts);
        let tail = if summary.conflicts > 0 { "" } else { &status };
        add(summary.quarantined, "item is left alone", "items are left alone", tail);
        add(self.collection.pending(), "item is pending", "items are pending", "");
        add(sum(|s| s.kept), "change is kept back", "changes are kept back", self.kept_by());
        text
    }

    /// What kind of members changes are kept for.
    fn kept_by(&self) -> &'static str {
        let keeps = |(member, _): &(MemberIndex, _)| self.collection.counts(*member).kept > 0;
        let keeping = || self.collection.indices().zip(&self.collection.members).filter(keeps);
        let no_delete = keeping().any(|(_, at)| at.no_delete);
        match (keeping().all(|(_, at)| at.no_delete), no_delete) {
            (true, true) => " (nothing is deleted there)",
            (false, true) => " (read-only, or nothing is deleted there)",
            (_, false) => " (read-only)",
        }
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
        let is_authority = |at: usize| self.collection.members.get(at).is_some_and(|at| at.authority);
        let members = joined(&self.group.members, is_authority);
        writeln!(to, "{BOLD}{}/{name}{PLAIN}   {members}", self.group.name)
    }
}
