//! What the next run has to write, as the state has it.

use outrigger::config::{Config, GroupConfig};
use outrigger::engine::Access;
use outrigger::report::CollectionSummary;
use outrigger::store::{Collection, Error, Status, owed as owed_in};

use super::kept;

/// Items that the next run writes at one member or more: what was chosen or undone, or is owed to a member.
///
/// # Errors
/// The state cannot be read.
pub(super) fn owed(config: &Config, group: &GroupConfig, found: &Status) -> Result<u64, Error> {
    let last = kept(&found.runs).collections;
    let of = |name: &String| {
        let last = last.iter().find(|last| last.name == *name);
        let (members, take_deletions): (Vec<_>, Vec<_>) = takers(config, group, last).into_iter().unzip();
        (Collection::new(name, members), take_deletions)
    };
    let collections: Vec<_> = found.collections.iter().map(|one| of(&one.name)).collect();
    Ok(owed_in(&config.state, &group.name, &collections)?.into_iter().sum())
}

/// The members that are written to, each with whether it takes deletions. One for which the last run kept
/// changes back takes none, though the configuration does not say so.
fn takers<'g>(
    config: &Config,
    group: &'g GroupConfig,
    last: Option<&CollectionSummary>,
) -> Vec<(&'g str, bool)> {
    let keeps = |name: &str| last.and_then(|last| last.members.get(name)).is_some_and(|at| at.kept > 0);
    let taker = |name: &'g String| match group.access_of(config.member(name)?)? {
        Access::Full => (!keeps(name)).then_some((name.as_str(), true)),
        Access::NoDelete => Some((name.as_str(), false)),
        _ => None,
    };
    group.members.iter().filter_map(taker).collect()
}
