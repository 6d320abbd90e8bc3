//! Lease: the right to use a plugin under supervision, and how many have it.

use std::ops::Deref;
use std::sync::Arc;

use tokio::sync::watch;

use crate::host::PluginHost;

/// How many leases are out.
pub(crate) type Leases = Arc<watch::Sender<usize>>;

/// The right to use a plugin: it is not stopped for idleness while one is out. It may crash all
/// the same, and then every call says so.
pub struct Lease {
    host: PluginHost,
    leases: Leases,
}

impl Lease {
    pub(crate) fn new(host: PluginHost, leases: &Leases) -> Self {
        leases.send_modify(|out| *out += 1);
        Self { host, leases: Arc::clone(leases) }
    }
}

impl Deref for Lease {
    type Target = PluginHost;

    fn deref(&self) -> &PluginHost {
        &self.host
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.leases.send_modify(|out| *out = out.saturating_sub(1));
    }
}

impl std::fmt::Debug for Lease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lease").field("host", &self.host).finish()
    }
}
