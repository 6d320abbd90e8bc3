//! Supervised: a plugin that is started when it is needed, again after a crash, and stopped when
//! nobody needs it.
//!
//! Whoever has work for it takes a [`Lease`]. That starts the plugin, if it does not run, and
//! keeps it from being stopped for idleness. A plugin that has crashed is started again as
//! [`Restarts`] allows, and only when the last process of the old one has gone (decisions X3).
//!
//! How it is had is its owner's affair: started, or found. One that is found has crashed when its
//! connection was lost; it is looked for again, and never ended.

use std::pin::Pin;
use std::sync::{Arc, Mutex as StdMutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use outrigger_sandbox::Exit;
use tokio::sync::{Mutex, watch};

use crate::death::Death;
use crate::health::Health;
use crate::host::{Facts, PluginHost};
use crate::lease::{Lease, Leases};
use crate::restart::{Budget, Circuit, Crash, Restarts};
use crate::start::StartError;
use crate::supervise::Final;
use crate::try_error::TryError;

/// One try to have the plugin.
type Try<E> = Pin<Box<dyn Future<Output = Result<PluginHost, TryError<E>>> + Send>>;

/// Tries: anew each time, for what it may do can have changed since the last.
type Begin<E> = Box<dyn Fn() -> Try<E> + Send + Sync>;

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
pub enum Down<E = StartError> {
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
    Refused(E),
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

/// A plugin under supervision. Dropping it ends the plugin.
pub struct Supervised<E = StartError> {
    shared: Arc<Shared<E>>,
}

struct Shared<E> {
    name: String,
    begin: Begin<E>,
    idle: Option<Duration>,
    clock: Clock,
    /// Held while it is started and while it is stopped.
    running: Mutex<Running>,
    record: StdMutex<Record>,
    leases: Leases,
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

impl<E> std::fmt::Debug for Supervised<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Supervised").field("name", &self.shared.name).finish_non_exhaustive()
    }
}

impl<E: 'static> Supervised<E> {
    /// A plugin that is not started yet. `begin` is one try to have it, by [`crate::start`] or another
    /// way; it is called anew each time.
    pub fn new<F>(name: impl Into<String>, care: Care, begin: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<PluginHost, TryError<E>>> + Send + 'static,
    {
        let clock = Clock { epoch: care.now, begun: Instant::now() };
        let restarts = Restarts::new(care.budget, &care.crashes, care.now);
        let record = Record { restarts, health: Health::default(), last: None };
        let shared = Shared {
            name: name.into(),
            begin: Box::new(move || Box::pin(begin())),
            idle: care.idle,
            clock,
            running: Mutex::default(),
            record: StdMutex::new(record),
            leases: Arc::new(watch::Sender::new(0)),
        };
        Self { shared: Arc::new(shared) }
    }

    /// The plugin, running: the same process as before if that still runs, else a new one, after
    /// the wait that a crash brings. A start that crashes is tried again as far as the budget goes.
    ///
    /// # Errors
    /// See [`Down`]. Nothing runs then.
    pub async fn lease(&self) -> Result<Lease, Down<E>> {
        let mut running = self.shared.running.lock().await;
        self.shared.bury(&mut running).await;
        // Also one that dies so slowly that its crashes never come together is given up at some point.
        let patience = self.shared.record().restarts.budget().max;
        for _ in 0..=patience {
            if let Some(host) = &running.host {
                return Ok(Lease::new(host.clone(), &self.shared.leases));
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

    /// How it ended when it crashed last, or went with its broker.
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

impl<E: 'static> Shared<E> {
    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes away a process that has ended unasked, and ends one that hangs: it had its time.
    async fn bury(&self, running: &mut Running) {
        let Some(host) = running.host.take_if(|host| host.is_lost()) else { return };
        let end = self.finish(host, running).await;
        self.ended_unasked(end.death.clone());
    }

    /// Waits for the end of a process, and notes what it had used.
    async fn finish(&self, host: PluginHost, running: &mut Running) -> Arc<Final> {
        let network = host.traffic(); // before its streams end with it
        let end = host.finish().await;
        running.lingers |= !end.gone;
        self.record().health.used(&end, network);
        end
    }

    /// Notes an end that is a crash, unless the broker that had started it took it along.
    fn ended_unasked(&self, death: Death) {
        tracing::warn!(member = self.name, %death, "the plugin ended unasked");
        let mut record = self.record();
        if !death.with_broker {
            record.health.crashes += 1;
            record.restarts.crashed(self.clock.now());
        }
        record.last = Some(death);
    }

    /// One try. A crash on the way is no error: the budget says how many there are.
    async fn start(self: &Arc<Self>, running: &mut Running) -> Result<(), Down<E>> {
        self.admit(running)?;
        let wait = self.record().restarts.started(random());
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        match (self.begin)().await {
            Ok(host) => {
                self.record().health.starts += 1;
                running.facts = Some(host.facts().clone());
                running.host = Some(host);
                self.watch_idle();
                Ok(())
            }
            Err(TryError::Crashed(death)) => {
                self.ended_unasked(*death);
                Ok(())
            }
            Err(TryError::Refused(error)) => {
                self.record().restarts.refuse();
                Err(Down::Refused(error))
            }
        }
    }

    fn admit(&self, running: &Running) -> Result<(), Down<E>> {
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

    fn down(&self, until: Duration) -> Down<E> {
        let record = self.record();
        let (crashes, last) = (record.restarts.crashes().len(), record.last.clone().map(Box::new));
        Down::Open { name: self.name.clone(), crashes, until, last }
    }

    async fn stop(&self, running: &mut Running) {
        let Some(host) = running.host.take() else { return };
        let (was_lost, was_found) = (host.is_lost(), host.facts().keeper_pid.is_none());
        let end = self.finish(host, running).await;
        if was_lost && !left_in_peace(&end.death, was_found) {
            self.ended_unasked(end.death.clone());
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

/// Whether nothing was lost with it. How a process ended that we did not start, nobody tells.
fn left_in_peace(death: &Death, was_found: bool) -> bool {
    if was_found { death.calls_in_flight == 0 } else { death.exit.is_some_and(Exit::success) }
}

/// Ends with the process that it watches, and when nobody is left who could ask for it.
async fn stop_when_idle<E: 'static>(
    shared: Weak<Shared<E>>,
    mut leases: watch::Receiver<usize>,
    idle: Duration,
) {
    loop {
        if leases.wait_for(|out| *out == 0).await.is_err() {
            return;
        }
        match tokio::time::timeout(idle, leases.changed()).await {
            Ok(Ok(())) => continue,   // somebody has come
            Ok(Err(_gone)) => return, // nobody is left
            Err(_elapsed) => {}
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
