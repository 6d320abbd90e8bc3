//! Supervised: a plugin that is started when it is needed, again after a crash, and stopped when
//! nobody needs it.
//!
//! Whoever has work for it takes a [`Lease`]. That starts the plugin, if it does not run, and
//! keeps it from being stopped for idleness. A plugin that has crashed is started again as
//! [`Restarts`] allows, and only when the last process of the old one has gone (decisions X3).

use std::ops::Deref;
use std::sync::{Arc, Mutex as StdMutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use outrigger_sandbox::{Ended, Exit, Usage};
use tokio::sync::{Mutex, watch};

use crate::death::Death;
use crate::host::{Facts, PluginHost};
use crate::restart::{Budget, Circuit, Crash, Restarts};
use crate::spec::PluginSpec;
use crate::start::{StartError, start};

/// Makes what to start: anew each time, for its descriptors are used up by a start.
type Make = Box<dyn Fn() -> std::io::Result<PluginSpec> + Send + Sync>;

/// How a plugin is looked after.
#[derive(Debug, Clone, Default)]
pub struct Care {
    /// How often it may crash.
    pub budget: Budget,
    /// The time since 1970. What is kept of crashes is compared with that of other processes; from here
    /// on a clock goes that nobody sets.
    pub now: Duration,
    /// Crashes that an earlier process has seen.
    pub crashes: Vec<Crash>,
    /// It is stopped when nobody has had a lease for so long; `None`: never.
    pub idle: Option<Duration>,
}

/// Why there is no plugin to be had.
#[derive(Debug, thiserror::Error)]
pub enum Down {
    /// It has crashed too often.
    #[error("{name}: the plugin crashed {crashes} times, and is not started again for now")]
    Open {
        /// The member's name.
        name: String,
        /// How often, lately.
        crashes: usize,
        /// When it may be started again, since 1970.
        until: Duration,
        /// How it ended last, if this process has seen it.
        last: Option<Box<Death>>,
    },
    /// It cannot be started, and another try would end the same.
    #[error(transparent)]
    Refused(StartError),
    /// That was said before; nothing was tried.
    #[error("{name}: the plugin cannot be started, and nothing has changed since that was found")]
    Still {
        /// The member's name.
        name: String,
    },
    /// A process of the last one is left and cannot be ended.
    #[error("{name}: a process of the plugin cannot be ended, so no other is started beside it")]
    Lingers {
        /// The member's name.
        name: String,
    },
}

/// What became of a plugin so far.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Health {
    /// Processes that were started and shook hands.
    pub starts: u32,
    /// Of those, and of those that did not come so far: processes that ended unasked.
    pub crashes: u32,
    /// Processes that were stopped because nobody needed them.
    pub idle_stops: u32,
    /// The most memory of any of its processes, and of any keeper, where the system told.
    pub peak_rss_bytes: Option<u64>,
    /// Of any keeper.
    pub keeper_peak_rss_bytes: Option<u64>,
    /// Processor time of all processes that have ended, where the system told.
    pub cpu_time: Option<Duration>,
}

impl Health {
    fn used(&mut self, ended: Option<&Ended>) {
        let Some(Usage { peak_rss_bytes, keeper_peak_rss_bytes, user_time, system_time }) =
            ended.and_then(|ended| ended.usage)
        else {
            return;
        };
        self.peak_rss_bytes = self.peak_rss_bytes.max(Some(peak_rss_bytes));
        self.keeper_peak_rss_bytes = self.keeper_peak_rss_bytes.max(Some(keeper_peak_rss_bytes));
        *self.cpu_time.get_or_insert_default() += user_time + system_time;
    }
}

/// A plugin under supervision. Dropping it ends the plugin.
pub struct Supervised {
    shared: Arc<Shared>,
}

struct Shared {
    name: String,
    make: Make,
    idle: Option<Duration>,
    clock: Clock,
    /// Held while it is started and while it is stopped.
    running: Mutex<Running>,
    record: StdMutex<Record>,
    leases: watch::Sender<usize>,
}

#[derive(Default)]
struct Running {
    host: Option<PluginHost>,
    facts: Option<Facts>,
    lingers: bool,
}

struct Record {
    restarts: Restarts,
    health: Health,
    last: Option<Death>,
}

/// The time since 1970, as it was at the beginning.
struct Clock {
    epoch: Duration,
    begun: Instant,
}

impl Clock {
    fn now(&self) -> Duration {
        self.epoch + self.begun.elapsed()
    }
}

/// The right to use a plugin: it is not stopped for idleness while one is out. It may crash all
/// the same, and then every call says so.
pub struct Lease {
    host: PluginHost,
    shared: Arc<Shared>,
}

impl Deref for Lease {
    type Target = PluginHost;

    fn deref(&self) -> &PluginHost {
        &self.host
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.shared.leases.send_modify(|out| *out = out.saturating_sub(1));
    }
}

impl std::fmt::Debug for Lease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lease").field("host", &self.host).finish()
    }
}

impl std::fmt::Debug for Supervised {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Supervised").field("name", &self.shared.name).finish_non_exhaustive()
    }
}

impl Supervised {
    /// A plugin that is not started yet. `make` says what to start, each time.
    pub fn new(
        name: impl Into<String>,
        care: Care,
        make: impl Fn() -> std::io::Result<PluginSpec> + Send + Sync + 'static,
    ) -> Self {
        let clock = Clock { epoch: care.now, begun: Instant::now() };
        let restarts = Restarts::new(care.budget, &care.crashes, care.now);
        let record = Record { restarts, health: Health::default(), last: None };
        let shared = Shared {
            name: name.into(),
            make: Box::new(make),
            idle: care.idle,
            clock,
            running: Mutex::default(),
            record: StdMutex::new(record),
            leases: watch::Sender::new(0),
        };
        Self { shared: Arc::new(shared) }
    }

    /// The plugin, running: the same process as before if that still runs, else a new one, after
    /// the wait that a crash brings. A start that crashes is tried again as far as the budget goes.
    ///
    /// # Errors
    /// See [`Down`]. Nothing runs then.
    pub async fn lease(&self) -> Result<Lease, Down> {
        let mut running = self.shared.running.lock().await;
        self.shared.bury(&mut running).await;
        // Also one that dies so slowly that its crashes never come together is given up at some point.
        let patience = self.shared.record().restarts.budget().max;
        for _ in 0..=patience {
            if let Some(host) = &running.host {
                self.shared.leases.send_modify(|out| *out += 1);
                return Ok(Lease { host: host.clone(), shared: Arc::clone(&self.shared) });
            }
            self.shared.start(&mut running).await?;
        }
        Err(self.shared.down(self.shared.clock.now()))
    }

    /// Whether it runs now. A process that has ended unasked, or hangs and is ended for it, is counted,
    /// once.
    pub async fn runs(&self) -> bool {
        let mut running = self.shared.running.lock().await;
        self.shared.bury(&mut running).await;
        running.host.is_some()
    }

    /// The latest `count` crashes were the doing of an item that is now set aside.
    pub fn forgive(&self, count: usize) {
        self.shared.record().restarts.forgive(count);
    }

    /// Whether it may be started.
    #[must_use]
    pub fn circuit(&self) -> Circuit {
        self.shared.record().restarts.circuit(self.shared.clock.now())
    }

    /// The crashes that count, oldest first: what [`Care::crashes`] takes in the next process.
    #[must_use]
    pub fn crashes(&self) -> Vec<Crash> {
        self.shared.record().restarts.crashes().to_vec()
    }

    /// What became of it so far.
    #[must_use]
    pub fn health(&self) -> Health {
        self.shared.record().health.clone()
    }

    /// How it ended when it crashed last.
    #[must_use]
    pub fn last_death(&self) -> Option<Death> {
        self.shared.record().last.clone()
    }

    /// What is known of its latest process; `None` before the first.
    pub async fn facts(&self) -> Option<Facts> {
        self.shared.running.lock().await.facts.clone()
    }

    /// Ends it, if it runs, and returns once its last process has gone. The next lease starts it. One
    /// that has just crashed is counted; one that left in peace a moment too early is not.
    pub async fn stop(&self) {
        let mut running = self.shared.running.lock().await;
        self.shared.stop(&mut running).await;
    }
}

impl Shared {
    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes away a process that has ended unasked, and ends one that hangs: it had its time.
    async fn bury(&self, running: &mut Running) {
        let Some(host) = running.host.take_if(|host| host.is_lost()) else { return };
        let end = host.finish().await;
        running.lingers |= !end.gone;
        self.record().health.used(end.ended.as_ref());
        self.crashed(end.death.clone());
    }

    fn crashed(&self, death: Death) {
        tracing::warn!(member = self.name, %death, "the plugin ended unasked");
        let mut record = self.record();
        record.health.crashes += 1;
        record.restarts.crashed(self.clock.now());
        record.last = Some(death);
    }

    /// One try. A crash on the way is no error: the budget says how many there are.
    async fn start(self: &Arc<Self>, running: &mut Running) -> Result<(), Down> {
        self.admit(running)?;
        let wait = self.record().restarts.started(random());
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        let name = || self.name.clone();
        let spec = (self.make)().map_err(|error| Down::Refused(StartError::Io { name: name(), error }))?;
        match start(spec).await {
            Ok(host) => {
                self.record().health.starts += 1;
                running.facts = Some(host.facts().clone());
                running.host = Some(host);
                self.watch_idle();
                Ok(())
            }
            Err(StartError::Handshake { death, error, .. }) if StartError::is_crash(&error) => {
                self.crashed(*death);
                Ok(())
            }
            Err(error) => {
                self.record().restarts.refuse();
                Err(Down::Refused(error))
            }
        }
    }

    fn admit(&self, running: &Running) -> Result<(), Down> {
        let (now, name) = (self.clock.now(), self.name.clone());
        if running.lingers {
            return Err(Down::Lingers { name });
        }
        let (is_news, circuit) = {
            let mut record = self.record();
            (record.restarts.is_news(now), record.restarts.circuit(now))
        };
        if is_news {
            tracing::error!(member = name, "the plugin crashes again and again: it is not started");
        }
        match circuit {
            Circuit::Closed => Ok(()),
            Circuit::Open { until } => Err(self.down(until)),
            Circuit::Refused => Err(Down::Still { name }),
        }
    }

    fn down(&self, until: Duration) -> Down {
        let record = self.record();
        let (crashes, last) = (record.restarts.crashes().len(), record.last.clone().map(Box::new));
        Down::Open { name: self.name.clone(), crashes, until, last }
    }

    async fn stop(&self, running: &mut Running) {
        let Some(host) = running.host.take() else { return };
        let was_lost = host.is_lost();
        let end = host.finish().await;
        running.lingers |= !end.gone;
        self.record().health.used(end.ended.as_ref());
        if was_lost && !end.death.exit.is_some_and(Exit::success) {
            self.crashed(end.death.clone());
        }
    }

    /// Watches over the process that was just started, and stops it when nobody has needed it for
    /// long enough.
    fn watch_idle(self: &Arc<Self>) {
        if let Some(idle) = self.idle {
            tokio::spawn(stop_when_idle(Arc::downgrade(self), self.leases.subscribe(), idle));
        }
    }
}

/// Ends with the process that it watches, and when nobody is left who could ask for it.
async fn stop_when_idle(shared: Weak<Shared>, mut leases: watch::Receiver<usize>, idle: Duration) {
    loop {
        if leases.wait_for(|out| *out == 0).await.is_err() {
            return;
        }
        if tokio::time::timeout(idle, leases.changed()).await.is_ok() {
            continue; // somebody has come, or nobody is left
        }
        let Some(shared) = shared.upgrade() else { return };
        // Whoever starts it, or takes a lease, holds this.
        let mut running = shared.running.lock().await;
        if *shared.leases.borrow() > 0 {
            continue;
        }
        if running.host.as_ref().is_some_and(|host| !host.is_ending()) {
            shared.stop(&mut running).await;
            shared.record().health.idle_stops += 1;
        }
        return;
    }
}

/// How much of a wait is waited. Without randomness, all of it.
fn random() -> u32 {
    let mut bytes = [0xff; 4];
    if getrandom::fill(&mut bytes).is_err() {
        return u32::MAX;
    }
    u32::from_le_bytes(bytes)
}
