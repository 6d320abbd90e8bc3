//! Plan: what a dry run found to do, kept in a file, and a run that does just that.
//!
//! A write of a plan says what the member holds and what it is to hold. The run that is given the plan decides
//! everything anew and does what is in it and still the same; anything else waits, and is told.

mod configuration;
mod file;

use std::path::Path;

use outrigger_engine::{MemberIndex, PlannedWrite, Report};

use crate::config::{Config, GroupConfig};
use crate::report::{CollectionReport, Failure, GroupReport, RunReport, shell_word};
use crate::run::unknown_group;
use file::{PlanFile, PlanFileCollection, PlanFileGroup, PlanFileWrite};

/// What is to be done, and nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    groups: Vec<PlannedGroup>,
    /// Where it was read from, as a word of a command line.
    word: Option<String>,
}

/// One group of it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct PlannedGroup {
    name: String,
    /// Stands for the configuration that it was planned with.
    configuration: String,
    collections: Vec<PlannedCollection>,
}

/// One collection of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PlannedCollection {
    name: String,
    /// The members where it is to be made.
    pub(crate) makes: Vec<MemberIndex>,
    /// The items to be written.
    pub(crate) writes: Vec<PlannedWrite>,
}

impl Plan {
    /// What a dry run found; it must have kept its plan ([`crate::run::Options::keep_plan`]).
    #[must_use]
    pub fn of(config: &Config, report: &RunReport) -> Self {
        let group = |report: &GroupReport| {
            let group = config.group(&report.name)?;
            let collections: Vec<PlannedCollection> =
                report.collections.iter().map(PlannedCollection::of).filter(|one| !one.is_empty()).collect();
            let (name, configuration) = (report.name.clone(), configuration::digest(config, group));
            (!collections.is_empty()).then_some(PlannedGroup { name, configuration, collections })
        };
        Self { groups: report.groups.iter().filter_map(group).collect(), word: None }
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Items to be written.
    #[must_use]
    pub fn writes(&self) -> u64 {
        self.groups.iter().flat_map(|group| &group.collections).map(|one| one.writes.len() as u64).sum()
    }

    /// The groups and collections that a run of it is about.
    #[must_use]
    pub fn targets(&self) -> Vec<(String, Option<String>)> {
        let of = |group: &PlannedGroup| {
            let name = group.name.clone();
            let one = move |collection: &PlannedCollection| (name.clone(), Some(collection.name.clone()));
            group.collections.iter().map(one).collect::<Vec<_>>()
        };
        self.groups.iter().flat_map(of).collect()
    }

    /// Where it was read from, as a word of a command line; `None`: it was not kept.
    #[must_use]
    pub fn word(&self) -> Option<&str> {
        self.word.as_deref()
    }

    /// What is planned of one collection.
    pub(crate) fn collection(&self, group: &str, name: &str) -> Option<&PlannedCollection> {
        let group = self.groups.iter().find(|planned| planned.name == group)?;
        group.collections.iter().find(|planned| planned.name == name)
    }

    /// Writes it into `file`, in whole or not at all, for its owner's eyes only.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self, config: &Config, file: &Path) -> Result<(), Failure> {
        let groups = self.groups.iter().map(|group| group.to_file(config)).collect();
        PlanFile::new(groups).save(file)
    }

    /// Reads one that was made for this configuration.
    ///
    /// # Errors
    /// It cannot be read, is no plan, is of another version of the format, or was made for another
    /// configuration.
    pub fn load(config: &Config, file: &Path) -> Result<Self, Failure> {
        let groups = PlanFile::load(file)?
            .groups
            .into_iter()
            .map(|group| PlannedGroup::from_file(config, file, group));
        Ok(Self { groups: groups.collect::<Result<_, Failure>>()?, word: Some(file_word(file)) })
    }
}

impl PlannedCollection {
    fn of(report: &CollectionReport) -> Self {
        let makes = report.members.iter().enumerate().filter(|(_, at)| at.to_make);
        let makes = makes.map(|(place, _)| MemberIndex::at(place)).collect();
        let planned = report.found.iter().filter_map(|found| match found {
            Report::Planned(planned) => Some(planned.clone()),
            _ => None,
        });
        Self { name: report.name.clone(), makes, writes: planned.collect() }
    }

    fn is_empty(&self) -> bool {
        self.makes.is_empty() && self.writes.is_empty()
    }

    fn to_file(&self, members: &[String]) -> PlanFileCollection {
        let name = |member: &MemberIndex| members.get(member.index()).cloned().unwrap_or_default();
        PlanFileCollection {
            name: self.name.clone(),
            make: self.makes.iter().map(name).collect(),
            writes: self.writes.iter().map(|write| PlanFileWrite::of(write, members)).collect(),
        }
    }

    fn from_file(collection: PlanFileCollection, members: &[String]) -> Option<Self> {
        let place = |name: &String| members.iter().position(|member| member == name).map(MemberIndex::at);
        let makes = collection.make.iter().map(place).collect::<Option<Vec<_>>>()?;
        let writes = collection.writes.into_iter().map(|write| write.planned(members));
        Some(Self { name: collection.name, makes, writes: writes.collect::<Option<_>>()? })
    }
}

impl PlannedGroup {
    fn to_file(&self, config: &Config) -> PlanFileGroup {
        let members = config.group(&self.name).map(|group| group.members.clone()).unwrap_or_default();
        let collections = self.collections.iter().map(|one| one.to_file(&members)).collect();
        let (group, configuration) = (self.name.clone(), self.configuration.clone());
        PlanFileGroup { group, configuration, members, collections }
    }

    fn from_file(config: &Config, file: &Path, planned: PlanFileGroup) -> Result<Self, Failure> {
        let group = config.group(&planned.group).ok_or_else(|| unknown_group(config, &planned.group))?;
        if planned.members != group.members || planned.configuration != configuration::digest(config, group) {
            return Err(other_configuration(file, group));
        }
        let collections =
            planned.collections.into_iter().map(|one| PlannedCollection::from_file(one, &group.members));
        let collections = collections.collect::<Option<Vec<_>>>().ok_or_else(|| file::no_plan(file))?;
        Ok(Self { name: planned.group, configuration: planned.configuration, collections })
    }
}

/// A file, as a word of a command line that a user may copy; `FILE` where none is safe.
#[must_use]
pub fn file_word(file: &Path) -> String {
    file.to_str().and_then(shell_word).unwrap_or_else(|| "FILE".to_owned())
}

fn other_configuration(file: &Path, group: &GroupConfig) -> Failure {
    let text = format!("{} was made with another configuration of the group {}", file.display(), group.name);
    Failure::usage(text).hint(format!("plan anew: `outrigger plan {} -o FILE`", group.name))
}
