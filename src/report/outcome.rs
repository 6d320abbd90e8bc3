//! What came of groups, for programs.

use outrigger_engine::Report;
use serde::{Deserialize, Serialize};

use super::collection::CollectionReport;
use super::failure::Failure;
use super::run::{GroupReport, guard_word};
use super::tally::{CollectionSummary, cut, text};
use crate::exit::Exit;

/// What came of one or more groups. Keys are only ever added; one that is missing is empty.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Outcome {
    /// The exit code.
    pub exit: u8,
    /// What went wrong with the command, a group, a collection or a member.
    pub failures: Vec<FailureSummary>,
    /// Members that were not there and need not be.
    pub absent: Vec<Absent>,
    /// Members that a guard stopped.
    pub guard: Vec<GuardStop>,
    /// Every collection that was synchronised.
    pub collections: Vec<CollectionSummary>,
}

/// A failure, and what it is about as far as that is known.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct FailureSummary {
    /// The group; null: the command itself failed.
    pub group: Option<String>,
    /// The collection; null: the group as a whole failed.
    pub collection: Option<String>,
    /// The member that is left alone; null: no single one, or `message` names it.
    pub member: Option<String>,
    /// What failed, in one line. May quote a plugin.
    pub message: String,
    /// Why, outermost first.
    pub causes: Vec<String>,
    /// What to do about it.
    pub hint: Option<String>,
    /// The exit code, were it the only failure.
    pub exit: u8,
}

/// A member that is caught up in a later run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Absent {
    /// The group.
    pub group: String,
    /// Its name.
    pub member: String,
    /// Why it is not there. May quote its plugin.
    pub why: String,
}

/// A member that nothing was written to, because too much would have been done there.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct GuardStop {
    /// The group.
    pub group: String,
    /// The collection.
    pub collection: String,
    /// The member.
    pub member: String,
    /// What there would have been too much of: `deletes`, `updates` or `creates`. Empty, in what an
    /// earlier version kept: deletes.
    pub guard: String,
    /// How many were planned: the number for `--allow-deletes` and the like.
    pub planned: u64,
    /// Conflicts among them that the policy may settle: they count as all that could come of it.
    pub disputed: u64,
    /// Items known there.
    pub total: u64,
    /// Some of the items, as the member calls them.
    pub names: Vec<String>,
    /// The command line that lets them happen.
    pub command: String,
}

impl Outcome {
    pub(super) fn of(groups: &[GroupReport]) -> Self {
        let mut outcome = Self::default();
        let exit = groups.iter().map(GroupReport::exit).fold(Exit::Done, Exit::or_worse);
        outcome.exit = exit.code();
        groups.iter().for_each(|group| outcome.add(group));
        outcome
    }

    /// Of a command that could not begin.
    #[must_use]
    pub fn failed(failure: &Failure) -> Self {
        let failures = vec![FailureSummary::of(failure)];
        Self { exit: failure.exit.code(), failures, ..Self::default() }
    }

    fn add(&mut self, group: &GroupReport) {
        let name = || Some(group.name.clone());
        let failures = group.failures.iter();
        self.failures
            .extend(failures.map(|failure| FailureSummary { group: name(), ..FailureSummary::of(failure) }));
        self.absent.extend(group.waiting.iter().map(|waiting| Absent {
            group: group.name.clone(),
            member: waiting.member.clone(),
            why: cut(&waiting.why),
        }));
        for collection in &group.collections {
            self.failures.extend(collection.told.iter().filter_map(|stop| stopped(group, collection, stop)));
            self.guard.extend(collection.stops().filter_map(|stop| guarded(group, collection, stop)));
            self.collections.push(CollectionSummary::of(group, collection));
        }
    }
}

impl FailureSummary {
    /// Of a failure that is about no single group.
    #[must_use]
    pub fn of(failure: &Failure) -> Self {
        Self {
            message: failure.message.clone(),
            causes: failure.causes.iter().map(|cause| cut(&cause.to_string())).collect(),
            hint: failure.hint.clone(),
            exit: failure.exit.code(),
            ..Self::default()
        }
    }
}

/// A member or the state that failed in the middle of a collection.
fn stopped(group: &GroupReport, collection: &CollectionReport, report: &Report) -> Option<FailureSummary> {
    let (member, message, exit) = match report {
        Report::StoreChanged { member } => {
            (Some(*member), "it is another store than at the last run".to_owned(), Exit::Guard)
        }
        Report::MemberFailed { member, class, words } => {
            (Some(*member), cut(words), Exit::of_failure(*class).or_worse(Exit::Partial))
        }
        Report::CallFailed { member, words } => (Some(*member), cut(words), Exit::Partial),
        Report::JournalFailed { reason } => (None, format!("the state: {}", cut(reason)), Exit::Internal),
        _ => return None,
    };
    let is_other_store = matches!(report, Report::StoreChanged { .. });
    let hint = member.filter(|_| is_other_store).map(|member| {
        format!("put the right one back; or, if it is meant: `{}`", group.new_store(group.member(member)))
    });
    Some(FailureSummary {
        group: Some(group.name.clone()),
        collection: Some(collection.name.clone()),
        hint,
        member: member.map(|member| group.member(member).to_owned()),
        message,
        exit: exit.code(),
        ..FailureSummary::default()
    })
}

fn guarded(group: &GroupReport, collection: &CollectionReport, report: &Report) -> Option<GuardStop> {
    let Report::GuardStop { member, guard, planned, disputed, total, names } = report else { return None };
    Some(GuardStop {
        group: group.name.clone(),
        collection: collection.name.clone(),
        member: group.member(*member).to_owned(),
        guard: guard_word(*guard).to_owned(),
        planned: *planned,
        disputed: *disputed,
        total: *total,
        names: names.iter().map(text).collect(),
        command: group.allow(&collection.name, *guard, *planned),
    })
}
