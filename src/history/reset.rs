//! Reset: starting over, with a member or with a whole group. No item is touched.

use std::time::Duration;

use crate::config::{Config, GroupConfig, nearest};
use crate::report::Failure;
use crate::{run, state};

/// How long it waits for a run to let go of the group.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is reset of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reset {
    /// The next run has it list everything, and takes nothing for deleted; the one after it looks by name.
    Listing,
    /// It is another store than before: what was known of its items is forgotten.
    Store,
}

/// Resets a member in one group, or in all that it is in. Hands back the groups in which anything was known
/// of it. No run may be busy with them.
///
/// # Errors
/// There is no such member, or not in that group; a run is busy with a group; a state cannot be written.
/// Groups before that one are reset.
pub fn reset(
    config: &Config,
    member: &str,
    group: Option<&str>,
    what: Reset,
) -> Result<Vec<String>, Failure> {
    if config.member(member).is_none() {
        return Err(unknown_member(config, member));
    }
    let mut known = Vec::new();
    for group in wanted(config, member, group)? {
        if reset_in(config, group, member, what)? {
            known.push(group.name.clone());
        }
    }
    Ok(known)
}

fn wanted<'c>(
    config: &'c Config,
    member: &str,
    group: Option<&str>,
) -> Result<Vec<&'c GroupConfig>, Failure> {
    let is_in = |group: &&GroupConfig| group.members.iter().any(|name| name == member);
    let Some(name) = group else { return Ok(config.groups.iter().filter(is_in).collect()) };
    let group = config.group(name).ok_or_else(|| run::unknown_group(config, name))?;
    if is_in(&group) {
        return Ok(vec![group]);
    }
    let failure = Failure::usage(format!("{member} is no member of the group {name}"));
    Err(failure.hint(format!("its members are {}", group.members.join(", "))))
}

fn reset_in(config: &Config, group: &GroupConfig, member: &str, what: Reset) -> Result<bool, Failure> {
    if state::status(config, group)?.last_run.is_none() {
        return Ok(false);
    }
    let store = state::take(config, group)?;
    let known = match what {
        Reset::Listing => store.reset(&[member]),
        Reset::Store => store.forget_members(&[member]),
    };
    let known = state::ask(group, known)?;
    store.close().map_err(|error| run::store_failure(&group.name, &error))?;
    Ok(!known.is_empty())
}

fn unknown_member(config: &Config, name: &str) -> Failure {
    let failure = Failure::usage(format!("no member is called `{name}` in {}", config.file.display()));
    match nearest(name, config.members.iter().map(|member| member.name.as_str())) {
        Some(nearest) => failure.hint(format!("did you mean `{nearest}`?")),
        None => failure.hint("`outrigger check` lists the members"),
    }
}

/// Forgets all that is known of a group, with what can be undone. It need not be in the configuration any
/// more. Hands back whether anything was known.
///
/// # Errors
/// A run is busy with the group; its files cannot be removed.
pub fn forget(config: &Config, group: &str) -> Result<bool, Failure> {
    outrigger_store::forget(&config.state, group, PATIENCE).map_err(|error| run::store_failure(group, &error))
}
