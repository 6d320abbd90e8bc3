//! The layers of the sandbox, applied by the plugin's own process before any foreign code runs,
//! and the report of what they gave.
//!
//! Today this is one layer. Namespaces, rlimits, Landlock, capabilities and seccomp come here, in
//! that order, each setting the guarantees that it gives. What they cannot give stays as it is.

use std::io;

use crate::{Guarantee, Policy, Report, Standing};

/// Why the guarantees of layers to come do not hold.
const NOT_BUILT: &str = "not built yet";

/// How the cleanup can be got around today.
const CLEANUP_REASON: &str = "holds against crashes and daemons, not against malice: without process isolation \
                              a plugin can kill its keeper, or fork faster than the keeper can follow";

/// Applies every layer. The environment and the descriptors are clean by now: the caller checked.
pub(super) fn apply(_policy: &Policy) -> io::Result<Report> {
    let mut report = Report::nothing(NOT_BUILT, "");
    rustix::thread::set_no_new_privs(true)?;
    report.set(Guarantee::NoNewPrivileges, Standing::Enforced);
    report.set(Guarantee::EnvAndDescriptorsClean, Standing::Enforced);
    report.set(Guarantee::CleanupOnBrokerDeath, Standing::advisory(CLEANUP_REASON));
    Ok(report)
}
