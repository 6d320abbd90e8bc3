//! Plugins that crashed lately, as the state has it.

use std::io::{self, Write};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use outrigger::broker::{Circuit, Crash, Restarts};
use outrigger::config::{Config, GroupConfig};
use outrigger::report::as_called;
use outrigger::store::Status;
use serde::Serialize;

/// A plugin that crashed lately.
#[derive(Serialize)]
pub(super) struct PluginStatus {
    member: String,
    /// How often, as far as it counts still.
    crashes: usize,
    /// It is not started before this time (seconds since 1970); null: the next run starts it.
    open_until: Option<u64>,
}

impl PluginStatus {
    /// Those of a group.
    pub(super) fn of_group(config: &Config, group: &GroupConfig, found: &Status) -> Vec<Self> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let of = |name: &String| {
            let crashes = found
                .crashes
                .get(name)?
                .iter()
                .map(|crash| Crash { at: Duration::from_millis(crash.at_ms), forgiven: crash.forgiven });
            let crashes: Vec<Crash> = crashes.collect();
            let restarts = Restarts::new(config.member(name)?.restart, &crashes, now);
            Self::of(name, &restarts, now)
        };
        group.members.iter().filter_map(of).collect()
    }

    fn of(member: &str, restarts: &Restarts, now: Duration) -> Option<Self> {
        let crashes = restarts.crashes().len();
        let open_until = match restarts.circuit(now) {
            Circuit::Open { until } => Some(until.as_secs()),
            Circuit::Closed | Circuit::Refused => None,
        };
        (crashes > 0).then(|| Self { member: member.to_owned(), crashes, open_until })
    }

    /// Whether the next run cannot start it.
    pub(super) fn is_open(&self) -> bool {
        self.open_until.is_some()
    }

    /// One line for people, and what to do.
    pub(super) fn write(&self, group: &str, out: &mut dyn Write) -> io::Result<()> {
        let Self { member, crashes, open_until } = self;
        let times = if *crashes == 1 { "once".to_owned() } else { format!("{crashes} times") };
        write!(out, "  crashed   the plugin of {member}, {times} lately")?;
        if open_until.is_none() {
            return writeln!(out);
        }
        writeln!(out, "; it is not started for some minutes")?;
        let hint = format!("mend it; `outrigger sync {group} --retry-crashed` starts it at once");
        writeln!(out, "            hint: {}", as_called(&hint))
    }
}
