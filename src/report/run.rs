//! What a run came to, gathered while it runs: per group, per collection, per plugin process.

use std::time::Duration;

use outrigger_engine::{FailureClass, Report, Side, Summary};
use outrigger_protocol::{Code, Printable};

use super::called::called;
use super::failure::Failure;
use crate::exit::Exit;

/// `text` as one word of a command line that a user may copy into a shell. `None`: no quotation is
/// safe in every shell and on every terminal.
#[must_use]
pub fn shell_word(text: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./@+".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return Some(text.to_owned());
    }
    let is_shown_as_it_is = Printable(text).to_string() == text;
    is_shown_as_it_is.then(|| format!("'{}'", text.replace('\'', r"'\''")))
}

/// The account of one run of the command.
#[derive(Debug, Clone, Default)]
pub struct RunReport {
    /// In the order in which they ran.
    pub groups: Vec<GroupReport>,
    /// Every plugin process that was started.
    pub plugins: Vec<PluginReport>,
    /// Wall time.
    pub duration: Duration,
    /// The most memory that the command itself held, if the system tells.
    pub peak_rss_bytes: Option<u64>,
    /// Nothing was written: it is a plan.
    pub dry_run: bool,
}

impl RunReport {
    /// What the command ends with.
    #[must_use]
    pub fn exit(&self) -> Exit {
        self.groups.iter().map(GroupReport::exit).fold(Exit::Done, Exit::or_worse)
    }
}

/// One group of the run.
#[derive(Debug, Clone)]
pub struct GroupReport {
    /// Its name.
    pub name: String,
    /// Its members, in order.
    pub members: [String; 2],
    /// What was synchronised.
    pub collections: Vec<CollectionReport>,
    /// Members that are not there and need not be; what is owed to them is kept.
    pub waiting: Vec<Waiting>,
    /// Why the group could not run, or not to its end.
    pub failures: Vec<Failure>,
    /// What is worth knowing and no failure.
    pub notes: Vec<String>,
}

/// A member that is caught up in a later run.
#[derive(Debug, Clone)]
pub struct Waiting {
    /// Its name.
    pub member: String,
    /// Why it is not there. May quote its plugin.
    pub why: String,
}

impl GroupReport {
    /// Of a group that has not done anything yet.
    pub fn new(name: impl Into<String>, members: [String; 2]) -> Self {
        let name = name.into();
        Self {
            name,
            members,
            collections: Vec::new(),
            waiting: Vec::new(),
            failures: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// The command line that lets exactly `planned` deletions of a collection happen.
    pub(super) fn allow_deletes(&self, collection: &str, planned: u64) -> String {
        format!("{} sync {} --allow-deletes {planned}", called(), self.target(collection))
    }

    /// The command line that tries items again that a plugin crashed over.
    pub(super) fn retry_crashed(&self, collection: &str) -> String {
        format!("{} sync {} --retry-crashed", called(), self.target(collection))
    }

    /// What names a collection on a command line that the user may copy.
    pub(super) fn target(&self, collection: &str) -> String {
        // The group is near enough where nothing safe names the collection.
        shell_word(&format!("{}/{collection}", self.name)).unwrap_or_else(|| self.name.clone())
    }

    /// What the command would end with if this were its only group.
    #[must_use]
    pub fn exit(&self) -> Exit {
        let collections = self.collections.iter().map(CollectionReport::exit);
        let failures = self.failures.iter().map(|failure| failure.exit);
        collections.chain(failures).fold(Exit::Done, Exit::or_worse)
    }
}

/// One collection of a group: what the engine reported of it.
#[derive(Debug, Clone, Default)]
pub struct CollectionReport {
    /// Its name at the first member.
    pub name: String,
    /// How long the listings took.
    pub listing: Duration,
    /// In a dry run: the members where it would be made.
    pub to_make: [bool; 2],
    /// The counts at the end.
    pub summary: Summary,
    /// Writes that were decided, per member: creates, updates, deletes.
    pub(super) planned: [Planned; 2],
    /// Whether each member listed everything; `None` until its listing ended.
    pub(super) complete: [Option<bool>; 2],
    /// Reports that are told one by one.
    pub(super) told: Vec<Report>,
    /// Reports of that kind beyond [`CollectionReport::TOLD`].
    pub(super) untold: u64,
    /// Items that the plugin of each member has died over too often.
    pub(crate) set_aside: [u64; 2],
    /// The error with which each member was lost.
    lost: [Option<Code>; 2],
    /// What outside reasons (a refused password, a broken plugin) end the command with.
    worse: Exit,
}

/// How many writes were decided for a member.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Planned {
    pub(super) writes: u64,
    pub(super) deletes: u64,
}

impl CollectionReport {
    /// So many reports are told one by one; a first run may have ten thousand.
    const TOLD: usize = 20;

    /// Of a collection that has not done anything yet.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// Takes note of what the engine says. `dry_run`: planned writes are told one by one.
    pub fn take(&mut self, report: Report, dry_run: bool) {
        match report {
            Report::Listed { side, complete, .. } => self.complete[side.index()] = Some(complete),
            Report::Ended(summary) => self.summary = summary,
            Report::Untold { count, .. } => self.untold += count,
            Report::Charged { side, set_aside, .. } => self.set_aside[side.index()] += set_aside as u64,
            Report::MemberFailed { side, class: FailureClass::Call(code), .. } => {
                self.lost[side.index()] = Some(code);
                self.tell(report);
            }
            Report::Planned { side, kind, .. } => {
                self.planned[side.index()].count(kind);
                if dry_run {
                    self.tell(report);
                }
            }
            other => self.tell(other),
        }
    }

    /// Whether it ended because plugins died, and nothing else stopped a member. `dead`: whose plugin
    /// does not run; one that does may call a lost server by the same name.
    pub(crate) fn is_cut_by_a_crash(&self, dead: [bool; 2]) -> bool {
        let stops = self.stops().filter(|report| !matches!(report, Report::GuardStop { .. })).count();
        let is_death = |(lost, is_dead): (Option<Code>, bool)| is_dead && lost == Some(Code::DISCONNECTED);
        let deaths = self.lost.into_iter().zip(dead).filter(|both| is_death(*both)).count();
        deaths > 0 && deaths == stops
    }

    /// This one, which took up what `earlier` had begun when a plugin died: what was done is done, what
    /// was left is told of anew.
    pub(crate) fn after(mut self, earlier: Self) -> Self {
        self.listing += earlier.listing;
        self.summary.new_conflicts += earlier.summary.new_conflicts;
        self.summary.leave_used |= earlier.summary.leave_used;
        for at in Side::BOTH.map(Side::index) {
            let (now, then) = (&mut self.summary.sides[at], earlier.summary.sides[at]);
            now.created += then.created;
            now.updated += then.updated;
            now.deleted += then.deleted;
            now.read += then.read;
            self.planned[at].writes += then.created + then.updated;
            self.planned[at].deletes += then.deleted;
            self.set_aside[at] += earlier.set_aside[at];
        }
        let stays = |report: &Report| matches!(report, Report::Conflict { .. } | Report::Quarantined { .. });
        let told = std::mem::take(&mut self.told);
        self.told = earlier.told.into_iter().filter(stays).collect();
        for report in told.into_iter().filter(|report| !self.told.contains(report)).collect::<Vec<_>>() {
            self.tell(report);
        }
        self
    }

    /// Notes that the command cannot end with less than this.
    pub fn worsen(&mut self, exit: Exit) {
        self.worse = self.worse.or_worse(exit);
    }

    fn tell(&mut self, report: Report) {
        // The engine leaves such a member alone like one that failed; that was said already.
        if let Report::MemberFailed { side, .. } = report
            && self.told.contains(&Report::StoreChanged { side })
        {
            return;
        }
        // What stopped a member is never left out.
        if is_stop(&report) || self.told.len() < Self::TOLD {
            self.told.push(report);
        } else {
            self.untold += 1;
        }
    }

    /// The reports of what stopped a member.
    pub(super) fn stops(&self) -> impl Iterator<Item = &Report> {
        self.told.iter().filter(|report| is_stop(report))
    }

    /// What the command would end with if this were all.
    #[must_use]
    pub fn exit(&self) -> Exit {
        let Summary { conflicts, quarantined, pending, guard, failed, journal_failed, .. } = self.summary;
        let in_doubt = self.summary.sides.iter().any(|side| side.in_doubt > 0);
        // What a plan has found to do is not yet undone.
        let undone = if self.summary.dry_run { 0 } else { pending };
        let partial = quarantined + undone > 0 || failed.contains(&true) || in_doubt;
        let store_changed = self.told.iter().any(|report| matches!(report, Report::StoreChanged { .. }));
        [
            (conflicts > 0, Exit::Conflicts),
            (partial, Exit::Partial),
            (guard.contains(&true) || store_changed, Exit::Guard),
            (journal_failed, Exit::Internal),
        ]
        .into_iter()
        .filter_map(|(holds, exit)| holds.then_some(exit))
        .fold(self.worse, Exit::or_worse)
    }

    /// Creates and updates at a member, decided or done; in a first run creates are only counted.
    pub(super) fn writes(&self, side: Side) -> u64 {
        let counts = self.summary.sides[side.index()];
        self.planned[side.index()].writes.max(counts.created + counts.updated)
    }

    /// Deletions at both members, decided or done.
    pub(super) fn deletes(&self) -> u64 {
        let of =
            |side: Side| self.planned[side.index()].deletes.max(self.summary.sides[side.index()].deleted);
        Side::BOTH.into_iter().map(of).sum()
    }
}

fn is_stop(report: &Report) -> bool {
    matches!(
        report,
        Report::GuardStop { .. }
            | Report::StoreChanged { .. }
            | Report::MemberFailed { .. }
            | Report::JournalFailed { .. }
    )
}

impl Planned {
    fn count(&mut self, kind: outrigger_protocol::CommitKind) {
        match kind {
            outrigger_protocol::CommitKind::Delete => self.deletes += 1,
            _ => self.writes += 1,
        }
    }
}

/// The plugin of one member: its latest process, and what all of them took.
#[derive(Debug, Clone)]
pub struct PluginReport {
    /// Which plugin.
    pub plugin: String,
    /// The member that it served.
    pub member: String,
    /// Its process ID.
    pub pid: u32,
    /// From the decision to start it until it was ready.
    pub start: Duration,
    /// The most memory that it held, if the system tells.
    pub peak_rss_bytes: Option<u64>,
    /// The most memory that its keeper process held, if the system tells.
    pub keeper_peak_rss_bytes: Option<u64>,
    /// What it did on the network through the broker.
    pub network: outrigger_broker::Figures,
    /// Processor time that its processes took, if the system tells.
    pub cpu_time: Option<Duration>,
    /// How often it was started again.
    pub restarts: u32,
    /// How often a process of it ended unasked.
    pub crashes: u32,
    /// Items that it has died over three times in this run.
    pub set_aside: u64,
    /// It crashed too often, and is not started again before this time since 1970.
    pub open_until: Option<Duration>,
    /// What was enforced on it.
    pub sandbox: outrigger_sandbox::Report,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_is_shown_can_be_copied_into_a_shell() {
        assert_eq!(shell_word("/home/a/my-conf.toml").as_deref(), Some("/home/a/my-conf.toml"));
        assert_eq!(shell_word("my conf.toml").as_deref(), Some("'my conf.toml'"));
        assert_eq!(shell_word("x$(id)'.toml").as_deref(), Some(r"'x$(id)'\''.toml'"));
        assert_eq!(shell_word(""), Some("''".into()));
        assert_eq!(shell_word("a\u{202e}b"), None, "what is shown is not what would be copied");
    }
}
