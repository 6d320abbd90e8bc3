//! What a run came to, gathered while it runs: per group, and per plugin process.

use std::time::Duration;

use outrigger_engine::{Guard, MemberIndex};
use outrigger_protocol::Printable;

use super::called::called;
use super::collection::CollectionReport;
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
    /// Nothing was run: it was to execute a plan in which there is nothing to do.
    pub empty_plan: bool,
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
    pub members: Vec<String>,
    /// The places of those whose content is everybody's, as far as the configuration says so.
    pub authorities: Vec<usize>,
    /// What was synchronised.
    pub collections: Vec<CollectionReport>,
    /// Members that are not there and need not be; what is owed to them is kept.
    pub waiting: Vec<Waiting>,
    /// Why the group could not run, or not to its end.
    pub failures: Vec<Failure>,
    /// What is worth knowing and no failure.
    pub notes: Vec<String>,
    /// The plan that it executes, as a word of a command line.
    pub plan: Option<String>,
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
    pub fn new(name: impl Into<String>, members: Vec<String>) -> Self {
        let name = name.into();
        Self {
            name,
            members,
            authorities: Vec::new(),
            collections: Vec::new(),
            waiting: Vec::new(),
            failures: Vec::new(),
            notes: Vec::new(),
            plan: None,
        }
    }

    /// What a member is called.
    pub(super) fn member(&self, member: MemberIndex) -> &str {
        self.members.get(member.index()).map_or("?", String::as_str)
    }

    /// The command line that lets exactly so many writes that a guard stopped happen to a collection, and
    /// nothing more than the plan where one is executed.
    pub(super) fn allow(&self, collection: &str, guard: Guard, planned: u64) -> String {
        let what = match &self.plan {
            Some(file) => format!("--plan {file}"),
            None => self.target(collection),
        };
        format!("{} sync {what} --allow-{} {planned}", called(), guard_word(guard))
    }

    /// The command line that takes a member for another store than before.
    pub(super) fn new_store(&self, member: &str) -> String {
        let (called, group) = (called(), &self.name);
        format!("{called} reset {member} {group} --new-store && {called} sync {group}")
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

/// What a guard counts, as options and JSON call it.
pub(super) const fn guard_word(guard: Guard) -> &'static str {
    match guard {
        Guard::Deletes => "deletes",
        Guard::Updates => "updates",
        Guard::Creates => "creates",
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
