//! What became of a plugin under supervision, and what its processes have used, in figures.

use std::time::Duration;

use outrigger_sandbox::Usage;

use crate::figures::Figures;
use crate::supervise::Final;

/// What became of a plugin so far.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Health {
    /// Processes that were started and shook hands.
    pub starts: u32,
    /// Of those, and of those that did not come so far: processes that ended unasked. Not with
    /// the broker that had started them.
    pub crashes: u32,
    /// Processes that were stopped because nobody needed them.
    pub idle_stops: u32,
    /// The most memory of any of its processes, and of any keeper, where the system told.
    pub peak_rss_bytes: Option<u64>,
    /// Of any keeper.
    pub keeper_peak_rss_bytes: Option<u64>,
    /// Processor time of all processes that have ended, where the system told.
    pub cpu_time: Option<Duration>,
    /// What all processes that have ended did on the network through the broker; `None`: none has.
    pub network: Option<Figures>,
}

impl Health {
    /// Adds what a process had used that has ended.
    pub(crate) fn used(&mut self, end: &Final, network: Figures) {
        self.network = Some(self.network.map_or(network, |before| before + network));
        let Some(Usage { peak_rss_bytes, keeper_peak_rss_bytes, user_time, system_time }) =
            end.ended.as_ref().and_then(|ended| ended.usage)
        else {
            return;
        };
        self.peak_rss_bytes = self.peak_rss_bytes.max(Some(peak_rss_bytes));
        self.keeper_peak_rss_bytes = self.keeper_peak_rss_bytes.max(Some(keeper_peak_rss_bytes));
        *self.cpu_time.get_or_insert_default() += user_time + system_time;
    }
}
