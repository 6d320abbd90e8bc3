//! Origin: how the plugin of a member is had, each time that it is needed: started with what it is
//! granted then, or found.

use std::fs::File;
use std::io;
use std::sync::Arc;

use outrigger_broker::{PluginHost, PluginSpec, StartBy, StartError, TryError};
use outrigger_sandbox::Descriptor;

use super::found;
use super::grants::{Granted, grant};
use super::members::{Plugins, find_plugin, start_failure};
use crate::config::{Config, MemberConfig};
use crate::report::Failure;

/// All that one try needs. What the user has agreed to is asked anew each time: the plugin may have
/// changed since the last.
#[derive(Clone)]
pub(super) struct Origin {
    pub(super) config: Config,
    pub(super) member: MemberConfig,
    pub(super) plugins: Plugins,
    /// Nothing is written down.
    pub(super) only_looks: bool,
}

impl Origin {
    /// One try to have the plugin. Of one that is started, each process holds `locks`, until the last
    /// one that it started has gone (decisions X3); one that is found holds none.
    ///
    /// # Errors
    /// It crashed before it was a plugin; or it is refused: without consent, without the sandbox that
    /// it requires, or because it is not there to be found. A refusal is not mended by another try.
    pub(super) async fn begin(
        &self,
        locks: io::Result<Vec<Descriptor>>,
    ) -> Result<PluginHost, TryError<Failure>> {
        let Self { config, member, only_looks, .. } = self;
        if let Some(locate) = &member.locate {
            let found = found::find(config, member, locate, *only_looks).await;
            return found.map_err(TryError::Refused);
        }
        let locks = locks.map_err(|error| {
            let error = StartError::Io { name: member.name.clone(), error };
            TryError::Refused(start_failure(member, &error))
        })?;
        let spec = PluginSpec { locks, ..self.spec().await.map_err(TryError::Refused)? };
        let started = outrigger_broker::start(spec).await;
        started.map_err(|error| TryError::from(error).map(|error| start_failure(member, &error)))
    }

    async fn spec(&self) -> Result<PluginSpec, Failure> {
        let Granted { program, policy, start_timeout } = self.granted().await?;
        let Self { config, member, plugins, .. } = self;
        let mut spec = PluginSpec::new(&member.name, program);
        spec.helper = plugins.helper.clone();
        spec.start = if config.broker { StartBy::Broker } else { StartBy::Own };
        spec.connect = member.connect;
        spec.policy = policy;
        spec.handshake_limit = start_timeout.unwrap_or(spec.handshake_limit);
        spec.protected = config.protected();
        spec.calls_timeout = member.calls_timeout;
        Ok(spec)
    }

    /// What is started, and what it may do. Found out beside: it reads files.
    async fn granted(&self) -> Result<Granted, Failure> {
        let found = find_plugin(&self.config, &self.member, &self.plugins)?;
        let Self { config, member, only_looks, .. } = self.clone();
        let granted = tokio::task::spawn_blocking(move || grant(&config, &member, found, only_looks));
        granted.await.unwrap_or_else(|panic| Err(Failure::internal("what a plugin may do").because(&panic)))
    }
}

/// Descriptors of the same locks.
pub(super) fn duplicates(locks: &[Arc<File>]) -> io::Result<Vec<Descriptor>> {
    locks.iter().map(|lock| lock.try_clone().map(Descriptor::from)).collect()
}
