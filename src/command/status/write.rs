//! How a group stands, for people.

use std::io::{self, Write};

use outrigger::protocol::{Printable, Words};
use outrigger::report::{Absent, FailureSummary, GuardStop, called, joined};
use outrigger::run::Note;

use super::{GroupStatus, KeptBack};
use crate::command::waiting::SHOWN;

impl GroupStatus {
    /// Writes a line of counts, and one for each thing that waits.
    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}   {}", self.group, joined(&self.members, |at| self.authorities.contains(&at)))?;
        writeln!(out, "  {}; {}", self.counts(), self.last())?;
        if self.owed > 0 {
            let items = if self.owed == 1 { "item" } else { "items" };
            writeln!(
                out,
                "  waiting   {} {items} for the next sync, which writes what was chosen, undone, or is owed:   {} sync {}",
                self.owed,
                called(),
                self.group
            )?;
        }
        for KeptBack { member, changes } in &self.kept_back {
            let what = if *changes == 1 { "change" } else { "changes" };
            writeln!(out, "  kept      {changes} {what} for {member}, which takes no such writes")?;
        }
        for member in &self.not_sandboxed {
            writeln!(out, "  note      {member} is not sandboxed: its program is found, not started")?;
        }
        self.waiting.iter().try_for_each(|waiting| writeln!(out, "{}", waiting.line(&self.members)))?;
        self.write_rest(out)?;
        for (at, stop) in self.guard.iter().enumerate() {
            let is_told = self.guard.iter().take(at).any(|earlier| earlier.command == stop.command);
            write_guard(stop, is_told, out)?;
        }
        self.absent.iter().try_for_each(|absent| write_absent(absent, out))?;
        self.plugins.iter().try_for_each(|plugin| plugin.write(&self.group, out))?;
        self.failures.iter().try_for_each(|failure| write_failure(failure, out))?;
        self.notes.iter().try_for_each(|Note { member, words, .. }| {
            writeln!(out, "  note      {member} {}", Printable(words))
        })
    }

    fn counts(&self) -> String {
        let items = if self.items == 1 { "item" } else { "items" };
        format!(
            "{} {items}, {} in conflict, {} left alone, {} pending, {} in doubt",
            self.items, self.conflicts, self.quarantined, self.pending, self.in_doubt
        )
    }

    fn last(&self) -> String {
        let with = |code| format!(" (exit {code})");
        match self.last_run {
            Some(at) => format!("last run {}{}", ago(at), self.last_exit.map(with).unwrap_or_default()),
            None if self.unfinished => {
                "the last run goes on, or was cut off; the next one goes on from there".to_owned()
            }
            None => "never synchronised".to_owned(),
        }
    }

    fn write_rest(&self, out: &mut dyn Write) -> io::Result<()> {
        let pending = self.waiting.iter().filter(|waiting| waiting.is_pending()).count() as u64;
        let named = self.waiting.len() as u64 - pending;
        let more = (self.conflicts + self.quarantined).saturating_sub(named);
        // Behind a guard, or a failure of all, items are pending without a word on each.
        let is_listed = pending > 0 && self.guard.is_empty();
        match more + if is_listed { self.pending.saturating_sub(pending) } else { 0 } {
            0 => Ok(()),
            more => writeln!(out, "  and {more} more (at most {SHOWN} of a collection are named)"),
        }
    }
}

fn write_guard(stop: &GuardStop, is_told: bool, out: &mut dyn Write) -> io::Result<()> {
    let GuardStop { collection, member, planned, total, command, disputed, .. } = stop;
    let planned = if *disputed > 0 { format!("up to {planned}") } else { planned.to_string() };
    let (collection, items) = (Printable(collection), if *total == 1 { "item" } else { "items" });
    let much = match stop.guard.as_str() {
        "updates" => {
            format!("{planned} of the {total} {items} of {member} would be updated; if that is meant:")
        }
        "creates" => {
            format!("{planned} would be created beside the {total} {items} of {member}; if that is meant:")
        }
        _ => format!("{planned} of the {total} {items} of {member} would be deleted; put them back, or:"),
    };
    writeln!(out, "  stopped   {collection}: {much}")?;
    if is_told {
        return writeln!(out, "              the same command once more, for {member}");
    }
    writeln!(out, "              {}", Printable(command))
}

fn write_absent(absent: &Absent, out: &mut dyn Write) -> io::Result<()> {
    let Absent { member, why, .. } = absent;
    writeln!(out, "  absent    {member} was not there; what is owed to it is kept: {}", Printable(why))
}

fn write_failure(failure: &FailureSummary, out: &mut dyn Write) -> io::Result<()> {
    let FailureSummary { collection, member, message, causes, hint, .. } = failure;
    let place = [collection.as_deref(), member.as_deref()].into_iter().flatten();
    let place = place.map(|name| Printable(name).to_string()).collect::<Vec<_>>().join(" at ");
    match (place.as_str(), member) {
        ("", _) => writeln!(out, "  failed    {}", Printable(message))?,
        // A member's own words.
        (place, Some(_)) => writeln!(out, "  failed    {place}: {}", Words(message))?,
        (place, None) => writeln!(out, "  failed    {place}: {}", Printable(message))?,
    }
    causes.iter().try_for_each(|cause| writeln!(out, "            caused by: {}", Printable(cause)))?;
    hint.iter().try_for_each(|hint| writeln!(out, "            hint: {}", Printable(hint)))
}

/// A moment, roughly, as people say it.
fn ago(at: u64) -> String {
    let now =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |now| now.as_secs());
    since(now.saturating_sub(at))
}

fn since(seconds: u64) -> String {
    match seconds {
        0..60 => "just now".into(),
        60..120 => "a minute ago".into(),
        120..7200 => format!("{} minutes ago", seconds / 60),
        7200..172_800 => format!("{} hours ago", seconds / 3600),
        _ => format!("{} days ago", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_told_as_people_say_it() {
        let told = [0, 60, 119, 120, 7_200, 172_800].map(since);
        let expected =
            ["just now", "a minute ago", "a minute ago", "2 minutes ago", "2 hours ago", "2 days ago"];
        assert_eq!(told, expected);
    }

    #[test]
    fn what_a_member_said_stays_its_words() {
        let failure = FailureSummary {
            collection: Some("family".into()),
            member: Some("usb".into()),
            message: "gone\x1b[2J".into(),
            hint: Some("look".into()),
            ..FailureSummary::default()
        };
        let mut out = Vec::new();
        write_failure(&failure, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, "  failed    family at usb: \"gone\\u{1b}[2J\"\n            hint: look\n");
    }
}
