//! Targets: the groups and collections that a run is asked for, found in the configuration.

use super::options::Options;
use crate::config::{Config, GroupConfig};
use crate::report::Failure;

/// The groups to run, each with the collections that are wanted of it (none named: all).
pub(super) fn wanted<'c>(
    config: &'c Config,
    options: &Options,
) -> Result<Vec<(&'c GroupConfig, Vec<String>)>, Failure> {
    if options.targets.is_empty() {
        return Ok(config.groups.iter().map(|group| (group, Vec::new())).collect());
    }
    let mut wanted: Vec<(&GroupConfig, Vec<String>)> = Vec::new();
    for (name, collection) in &options.targets {
        let group = config.group(name).ok_or_else(|| unknown_group(config, name))?;
        let at = wanted.iter().position(|(known, _)| known.name == group.name);
        match (at, collection) {
            (None, collection) => wanted.push((group, collection.iter().cloned().collect())),
            (Some(at), Some(collection)) if !wanted[at].1.is_empty() => wanted[at].1.push(collection.clone()),
            (Some(at), _) => wanted[at].1.clear(),
        }
    }
    Ok(wanted)
}

/// The failure of a name that no group has.
#[must_use]
pub fn unknown_group(config: &Config, name: &str) -> Failure {
    let failure = Failure::usage(format!("no group is called `{name}` in {}", config.file.display()));
    match config.nearest_group(name) {
        Some(nearest) => failure.hint(format!("did you mean `{nearest}`?")),
        None => failure.hint("`outrigger status` lists the groups"),
    }
}
