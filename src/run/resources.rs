//! Resources: what a group holds as long as it is open, its state, locks and plugins.

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use outrigger_protocol::Group;
use outrigger_store::Store;

use super::options::Options;
use super::session::MemberSession;
use super::{locks, members, stored};
use crate::config::{Config, GroupConfig, MemberConfig};
use crate::report::Failure;

/// How long a run waits for the last process of a killed one to let go of the group, and of each
/// member.
const PATIENCE: Duration = Duration::from_secs(5);

/// What stays between two runs.
pub(super) struct Resources {
    pub(super) store: Arc<Store>,
    /// Of the group; none in a dry run.
    pub(super) group_lock: Option<Arc<File>>,
    /// Of the members; none in a dry run.
    pub(super) locks: Vec<Arc<File>>,
    /// Of the members; `None`: it does not run.
    pub(super) sessions: Vec<Option<MemberSession>>,
    /// The group as its plugins were told last.
    pub(super) told: Option<Group>,
}

impl Resources {
    /// Opens and locks the state of a group, and locks its members; no plugin is started.
    pub(super) async fn acquire(
        config: &Config,
        group: &GroupConfig,
        options: &Options,
    ) -> Result<Self, Failure> {
        let members = members_of(config, group)?;
        for member in &members {
            members::check_plugin(config, member, &options.plugins)?;
        }
        locks::check_apart(group, &members)?;
        let store = Arc::new(open_store(config, group, options.dry_run).await?);
        let locks = if options.dry_run { Vec::new() } else { lock_members(config, &members).await? };
        let sessions = members.iter().map(|_| None).collect();
        let group_lock = group_lock(group, &store)?;
        Ok(Self { store, group_lock, locks, sessions, told: None })
    }
}

/// The members of a group, in its order.
pub(super) fn members_of<'c>(
    config: &'c Config,
    group: &GroupConfig,
) -> Result<Vec<&'c MemberConfig>, Failure> {
    let member =
        |name: &String| config.member(name).ok_or_else(|| Failure::internal(format!("no member {name}")));
    group.members.iter().map(member).collect()
}

/// The locks of all members.
async fn lock_members(config: &Config, members: &[&MemberConfig]) -> Result<Vec<Arc<File>>, Failure> {
    let (state, members) = (config.state.clone(), members.iter().copied().cloned().collect::<Vec<_>>());
    let take = move || locks::take(&state, &members.iter().collect::<Vec<_>>(), PATIENCE);
    let taken = tokio::task::spawn_blocking(take).await;
    let taken = taken.map_err(|panic| Failure::internal("the locks of the members").because(&panic))?;
    Ok(taken?.into_iter().map(Arc::new).collect())
}

/// The lock of the group, for the keepers of all its plugins.
fn group_lock(group: &GroupConfig, store: &Store) -> Result<Option<Arc<File>>, Failure> {
    let lock = store.try_clone_lock().map_err(|error| stored::store_failure(&group.name, &error))?;
    Ok(lock.map(Arc::new))
}

async fn open_store(config: &Config, group: &GroupConfig, dry_run: bool) -> Result<Store, Failure> {
    let (state, name) = (config.state.clone(), group.name.clone());
    let open =
        move || if dry_run { Store::open_copy(&state, &name) } else { Store::open(&state, &name, PATIENCE) };
    stored::beside(&group.name, open).await
}
