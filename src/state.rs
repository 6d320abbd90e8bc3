//! State: what is kept of a group, for what a person asks between two runs.

use std::time::Duration;

use outrigger_store::{Collection, CollectionStatus, Request, Status, Store, status as status_of};

use crate::config::{Config, GroupConfig};
use crate::report::Failure;
use crate::run::store_failure;

/// How long it waits for a run to let go of the group: as long as another run would.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is known of a group; takes no lock and writes nothing.
///
/// # Errors
/// The state cannot be read.
pub(crate) fn status(config: &Config, group: &GroupConfig) -> Result<Status, Failure> {
    status_of(&config.state, &group.name).map_err(|error| store_failure(&group.name, &error))
}

/// A copy to look at; takes no lock and writes nothing, now or later.
///
/// # Errors
/// The state cannot be read.
pub(crate) fn look(config: &Config, group: &GroupConfig) -> Result<Store, Failure> {
    Store::open_copy(&config.state, &group.name).map_err(|error| store_failure(&group.name, &error))
}

/// The state itself, alone: no run begins while it is open.
///
/// # Errors
/// It cannot be used; a run that is busy with the group does not end soon ([`crate::exit::Exit::Locked`]).
pub(crate) fn take(config: &Config, group: &GroupConfig) -> Result<Store, Failure> {
    Store::open(&config.state, &group.name, PATIENCE).map_err(|error| store_failure(&group.name, &error))
}

/// Waits for what the store says.
pub(crate) fn ask<T: Send + 'static>(group: &GroupConfig, request: Request<'_, T>) -> Result<T, Failure> {
    request.wait().map_err(|error| store_failure(&group.name, &error))
}

/// A collection that the state knows, with the members that the group has now.
pub(crate) fn collection(group: &GroupConfig, known: &CollectionStatus) -> Collection {
    Collection::new(&known.name, &group.members)
}
