//! What is told one by one: items, and what stopped a member.

use std::io::{self, Write};

use outrigger_engine::{CRASHED, Guard, MemberIndex, PlannedWrite, Report};
use outrigger_protocol::{CommitKind, Href, Words};

use super::account::Account;
use super::words::{grouped, plural, quoted};

impl Account<'_> {
    pub(super) fn write_report(&self, report: &Report, to: &mut dyn Write) -> io::Result<()> {
        match report {
            Report::Planned(planned) => self.write_planned("would", planned, to),
            Report::Kept(planned) => self.write_planned("kept", planned, to),
            Report::Quarantined { member, href, reason, .. } => {
                self.write_item("left", *member, href, reason, to)?;
                self.write_way_out(reason, to)
            }
            Report::Pending { member, href, reason } => self.write_item("pending", *member, href, reason, to),
            Report::GuardStop { member, guard, planned, disputed, total, names } => {
                let (planned, disputed, total) = (*planned, *disputed, *total);
                Stop { member: *member, guard: *guard, planned, disputed, total, names }.write(self, to)
            }
            Report::StoreChanged { member } => self.write_store_changed(*member, to),
            Report::MemberFailed { member, words, .. } | Report::CallFailed { member, words } => {
                writeln!(to, "  failed    {}: {}", self.member(*member), Words(words))
            }
            Report::JournalFailed { reason } => writeln!(to, "  failed    the state: {}", Words(reason)),
            // What is counted, or told elsewhere.
            Report::Listed { .. }
            | Report::Conflict { .. }
            | Report::Untold { .. }
            | Report::Charged { .. }
            | Report::Ended(_) => Ok(()),
        }
    }

    /// What would be written where, or is not, and what it comes from.
    fn write_planned(&self, what: &str, planned: &PlannedWrite, to: &mut dyn Write) -> io::Result<()> {
        let target = self.member(planned.member);
        let name = |member: MemberIndex| planned.names.get(member.index())?.as_ref().map(quoted);
        let there = name(planned.member).unwrap_or_default();
        let others = || self.collection.indices().filter(|member| *member != planned.member);
        match planned.kind {
            CommitKind::Create => {
                writeln!(to, "  {what:<8}  create on {target}: {}", self.copied(planned))
            }
            CommitKind::Update => {
                writeln!(to, "  {what:<8}  update on {target}: {there}{}", self.replacing(planned))
            }
            CommitKind::Delete => {
                let on = self.only(others().filter(|member| name(*member).is_none()));
                let on = on.map(|member| format!(", deleted on {member}")).unwrap_or_default();
                writeln!(to, "  {what:<8}  delete on {target}: {there}{on}")
            }
        }
    }

    fn copied(&self, planned: &PlannedWrite) -> String {
        let sources = self.sources(planned);
        match &sources[..] {
            [] => supplied(planned),
            [(name, member)] => format!("a copy of {name} from {member}"),
            [(name, _), ..] => format!("a copy of {name}"),
        }
    }

    fn replacing(&self, planned: &PlannedWrite) -> String {
        let sources = self.sources(planned);
        match &sources[..] {
            [] => format!(", with {}", supplied(planned)),
            [(name, member)] => format!(", with {name} from {member}"),
            _ => String::new(),
        }
    }

    /// The members that the new content can come from, with what each calls the item: others that have it,
    /// and are not to get that content themselves.
    fn sources(&self, planned: &PlannedWrite) -> Vec<(String, &str)> {
        let others = self.collection.indices().filter(|member| *member != planned.member);
        let others = others.filter(|member| !self.collection.is_given(&planned.key, *member));
        let source = |member: MemberIndex| {
            let name = planned.names.get(member.index())?.as_ref().map(quoted);
            Some((name?, self.member(member)))
        };
        others.filter_map(source).collect()
    }

    /// The name of the member that can be meant, if it is but one.
    fn only(&self, mut members: impl Iterator<Item = MemberIndex>) -> Option<&str> {
        members.next().filter(|_| members.next().is_none()).map(|member| self.member(member))
    }

    fn write_item(
        &self,
        what: &str,
        member: MemberIndex,
        href: &Href,
        why: &str,
        to: &mut dyn Write,
    ) -> io::Result<()> {
        writeln!(to, "  {what:<8}  {} at {}: {}", quoted(href), self.member(member), Words(why))
    }

    fn write_way_out(&self, reason: &str, to: &mut dyn Write) -> io::Result<()> {
        if !reason.ends_with(CRASHED) {
            return Ok(());
        }
        writeln!(to, "            it is tried again when it changes; or once the plugin is mended, with:")?;
        writeln!(to, "              {}", self.group.retry_crashed(&self.collection.name))
    }

    fn write_store_changed(&self, member: MemberIndex, to: &mut dyn Write) -> io::Result<()> {
        let (command, index) = (self.group.new_store(self.member(member)), member.index());
        let member = self.member(member);
        let stopped = if self.dry_run { ("would     stop:", "would be") } else { ("stopped  ", "was") };
        let (stopped, was) = stopped;
        writeln!(
            to,
            "  {stopped} {member} is another store than at the last run: nothing {was} written there"
        )?;
        writeln!(
            to,
            "            is it a new or emptied account, or another disk in the same place? Put the right one back"
        )?;
        let is_authority = self.collection.members.get(index).is_some_and(|at| at.authority);
        let deleted = if is_authority {
            "what it does not hold is deleted at the others"
        } else {
            "nothing is deleted"
        };
        writeln!(to, "            if it is meant: it is met for the first time, and {deleted}, with:")?;
        writeln!(to, "              {command}")
    }
}

/// A content that no member holds, by what the item is called across members.
fn supplied(planned: &PlannedWrite) -> String {
    format!("what was chosen or undone, {}", Words(&planned.key.0))
}

/// What a guard stopped.
struct Stop<'s> {
    member: MemberIndex,
    guard: Guard,
    planned: u64,
    disputed: u64,
    total: u64,
    names: &'s [Href],
}

impl Stop<'_> {
    /// How much it is, ten of the items, the likely cause, and the one command that goes on. Where a plan is
    /// kept, that is to plan once more, and stands below all.
    fn write(&self, account: &Account<'_>, to: &mut dyn Write) -> io::Result<()> {
        let Self { guard, planned, names, .. } = *self;
        let member = account.member(self.member);
        let when = if account.dry_run {
            format!("would     stop before anything is written to {member}")
        } else {
            format!("stopped   before anything was written to {member}")
        };
        writeln!(to, "  {when}: {}", self.much())?;
        let rest = if (names.len() as u64) < planned { ", …" } else { "" };
        let names: Vec<String> = names.iter().map(quoted).collect();
        writeln!(to, "            {}{rest}", names.join(", "))?;
        if self.is_told(account) {
            return writeln!(to, "            as above, and the same command once more for {member}");
        }
        let [else_way, way] = self.advice();
        self.write_else(else_way, account, to)?;
        if account.collection.keeps_plan {
            return writeln!(to, "            {way}: see the command at the end");
        }
        writeln!(to, "            {way}:")?;
        writeln!(to, "              {}", account.group.allow(&account.collection.name, guard, planned))
    }

    /// What to do if it is not meant. Of what is everybody's only the member that says so can have it back.
    fn write_else(&self, way: &str, account: &Account<'_>, to: &mut dyn Write) -> io::Result<()> {
        let mut members = account.collection.indices().zip(&account.collection.members);
        let authority = members.find(|(_, at)| at.authority && self.guard == Guard::Deletes);
        if let Some((member, _)) = authority {
            let name = account.member(member);
            let text =
                format!("if they should stay: {name} must have them, for what it holds is everybody's");
            return writeln!(to, "            {text}");
        }
        writeln!(to, "            {way}")?;
        let Some((whose, command)) = self.having_back(account) else { return Ok(()) };
        let edits = "what was edited there since then waits as a conflict";
        writeln!(to, "            or have the sync put them back{whose}; {edits}:")?;
        writeln!(to, "              {command}")
    }

    /// Whether just this was told of another member before, so that its command is the same.
    fn is_told(&self, account: &Account<'_>) -> bool {
        let mut earlier = account
            .collection
            .stops()
            .take_while(|stop| !matches!(stop, Report::GuardStop { member, .. } if *member == self.member));
        !account.collection.keeps_plan
            && earlier.any(|stop| {
                matches!(stop, Report::GuardStop { guard, planned, .. }
                    if (*guard, *planned) == (self.guard, self.planned))
            })
    }

    fn much(&self) -> String {
        let (planned, total) = (grouped(self.planned), self.total);
        let much = match self.guard {
            Guard::Deletes => format!("{planned} of its {} would be deleted", plural(total, "item", "items")),
            Guard::Updates => format!("{planned} of its {} would be updated", plural(total, "item", "items")),
            Guard::Creates => {
                let items = plural(self.planned, "item", "items");
                format!("{items} would be created beside its {}", grouped(total))
            }
        };
        match self.disputed {
            0 => much,
            some => format!("up to {much}, {} among them", plural(some, "conflict", "conflicts")),
        }
    }

    /// What has deleted items back, and whose store it is about where nobody knows that. Not where what a member
    /// holds is everybody's: with a new store it would delete the more.
    fn having_back(&self, account: &Account<'_>) -> Option<(&'static str, String)> {
        if self.guard != Guard::Deletes {
            return None;
        }
        let mut others = account.collection.indices().filter(|member| *member != self.member);
        match (others.next(), others.next()) {
            (Some(only), None) => Some(("", account.group.new_store(account.member(only)))),
            _ => Some((", where MEMBER is the one that lost them", account.group.new_store("MEMBER"))),
        }
    }

    const fn advice(&self) -> [&'static str; 2] {
        match self.guard {
            Guard::Deletes => [
                "if they should stay: put them back where they were deleted, and sync again",
                "if they should go, and what else is new there with them",
            ],
            Guard::Updates => [
                "did a program rewrite nearly all items of another member? Then undo that there, and sync again",
                "if all these changes are meant, and what else is new there with them",
            ],
            Guard::Creates => [
                "a member listed everything anew: is it the same account or disk as before? Else each item comes to be there twice",
                "if they are meant, and what else is new there with them",
            ],
        }
    }
}
