//! Session: a member for the length of a run, served by a plugin that is started again, or found
//! again, when it is lost.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use outrigger_broker::{Care, Circuit, Down, Health, Instance, Lease, PluginHost, SinkClient, Supervised};
use outrigger_engine::CRASHES;
use outrigger_protocol::{
    Code, CreateCollection, Discovered, Error, Group, Initialize, Member, OperationId, Sink, Snapshot,
};
use outrigger_store::Crash;

use super::keeper::Keeper;
use super::members::{Plugins, failure_of, plugin_failure};
use super::origin::{Origin, duplicates};
use super::retry::patiently;
use crate::clock;
use crate::config::{Config, MemberConfig};
use crate::exit::Exit;
use crate::report::{Failure, PluginReport, plural};

/// Why a member cannot take part.
pub(crate) struct StartFailure {
    pub(crate) failure: Failure,
    /// When its plugin crashed, lately: what is to be kept.
    pub(crate) crashes: Vec<Crash>,
}

/// What a member is started with.
pub(crate) struct Start<'s> {
    pub(crate) config: &'s Config,
    pub(crate) member: &'s MemberConfig,
    pub(crate) plugins: &'s Plugins,
    /// Nothing is written down.
    pub(crate) only_looks: bool,
    /// Held by each of its processes until the last one that it started has gone (decisions X3).
    pub(crate) locks: Vec<Arc<File>>,
    /// What its plugin is shown.
    pub(crate) group: Group,
    /// Crashes of its plugin in earlier runs.
    pub(crate) crashes: Vec<Crash>,
}

/// A member whose plugin runs, or is started again before its next collection.
pub(crate) struct MemberSession {
    member: MemberConfig,
    supervised: Supervised<Failure>,
    keeper: Arc<Keeper>,
    group: RefCell<Group>,
    served: RefCell<Served>,
    /// Whether `served` is not the first.
    is_anew: Cell<bool>,
    set_aside: Cell<u64>,
}

/// What one process of its plugin gave.
struct Served {
    lease: Lease,
    instance: Instance,
    discovered: Arc<Discovered>,
}

impl MemberSession {
    /// Starts the plugin, which is shown its group, and asks for its collections. One that crashes
    /// over that is started again, as far as its budget goes. `keeper` makes what answers its
    /// questions, of the member as it is configured.
    pub(crate) async fn start(
        start: Start<'_>,
        keeper: impl FnOnce(Member) -> Keeper,
    ) -> Result<Self, StartFailure> {
        let (member, group) = (start.member.clone(), start.group.clone());
        let supervised = supervise(start);
        let keeper = Arc::new(keeper(Member::new(&member.name, member.options.clone())));
        match serve(&supervised, &keeper, &member, group.clone()).await {
            Ok(served) => Ok(Self {
                member,
                supervised,
                keeper,
                group: RefCell::new(group),
                served: RefCell::new(served),
                is_anew: Cell::default(),
                set_aside: Cell::default(),
            }),
            Err(failure) => Err(StartFailure { failure, crashes: crashes_of(&supervised) }),
        }
    }

    /// How often a pair may be begun anew without a step forward before it is left to the next run: as
    /// often as its plugin may crash, however slowly it does that.
    pub(super) const fn patience(&self) -> u32 {
        self.member.restart.max
    }

    /// Whether its plugin runs.
    pub(super) async fn runs(&self) -> bool {
        self.supervised.runs().await
    }

    /// Starts its plugin again, after the wait that a crash brings, and begins with it anew: what its
    /// collections were called stays, their objects are others.
    pub(super) async fn serve_again(&self) -> Result<(), Failure> {
        let group = self.group.borrow().clone();
        let served = serve(&self.supervised, &self.keeper, &self.member, group).await?;
        self.is_anew.set(true);
        self.served.replace(served);
        Ok(())
    }

    /// Notes that the plugin has died over so many items too often, and will not be asked for them
    /// again: the crashes that it took to find that out do not count.
    pub(super) fn set_aside(&self, items: u64) {
        if items > 0 {
            self.set_aside.set(self.set_aside.get() + items);
            self.supervised.forgive(CRASHES.into());
        }
    }

    /// When its plugin crashed, as far as that counts: what is to be kept.
    pub(super) fn crashes(&self) -> Vec<Crash> {
        crashes_of(&self.supervised)
    }

    /// What a person is told of its crashes, or of its end with its broker, if there were any.
    pub(super) fn note(&self) -> Option<String> {
        let Health { starts, crashes, .. } = self.supervised.health();
        let last = self.supervised.last_death()?;
        if crashes == 0 {
            let again = if starts > 1 { " (and was started again)" } else { "" };
            return Some(format!("{last}{again}"));
        }
        let times = if crashes == 1 { "once".to_owned() } else { format!("{crashes} times") };
        Some(match (&self.member.locate, starts > 1) {
            (None, true) => format!("{last} (it crashed {times} in this run and was started again)"),
            (None, false) => format!("{last} (it crashed {times} in this run)"),
            (Some(_), true) => format!("{last} (it was lost {times} in this run and was found again)"),
            (Some(_), false) => format!("{last} (it was lost {times} in this run)"),
        })
    }

    /// Answers what the plugin asks.
    pub(super) fn keeper(&self) -> &Keeper {
        &self.keeper
    }

    /// What its plugin serves it with.
    pub(super) fn instance(&self) -> Instance {
        self.served.borrow().instance.clone()
    }

    /// What it said it has.
    pub(super) fn discovered(&self) -> Arc<Discovered> {
        Arc::clone(&self.served.borrow().discovered)
    }

    /// Asks it once more what it has.
    ///
    /// # Errors
    /// It cannot say; what it said before stays.
    pub(super) async fn look_again(&self) -> Result<(), Failure> {
        let discovered = self.instance().discover().await;
        let discovered = discovered.map_err(|error| self.failure("cannot say what it has", &error))?;
        self.served.borrow_mut().discovered = Arc::new(discovered);
        Ok(())
    }

    /// A client of its main sink, where it has one.
    pub(super) fn main_sink(&self) -> Option<SinkClient> {
        let served = self.served.borrow();
        served.discovered.main.map(|object| served.instance.main_sink(object))
    }

    /// A client of a collection that was found before, by whichever of its processes. `None`: it is not
    /// there any more.
    pub(super) fn sink(&self, sink: &Sink) -> Option<SinkClient> {
        let served = self.served.borrow();
        if !self.is_anew.get() {
            return Some(served.instance.sink(sink.clone()));
        }
        let now = served.discovered.sinks.iter().find(|now| now.name == sink.name);
        now.filter(|now| now.unavailable.is_none()).map(|now| served.instance.sink(now.clone()))
    }

    /// Tells the plugin what its member or its group is now; it sees it from its next call on.
    pub(super) fn tell(&self, snapshot: Snapshot) {
        if let Snapshot::Group(group) = &snapshot {
            self.group.replace(group.clone());
        }
        self.instance().tell(snapshot);
    }

    /// Makes a collection, under an operation that is durable before it is sent.
    pub(super) async fn create_collection(&self, operation: OperationId, name: &str) -> Result<Sink, Error> {
        let request = CreateCollection { operation, name: name.to_owned(), object_types: Vec::new() };
        let made = self.instance().create_collection(&request).await?;
        let mut served = self.served.borrow_mut();
        Arc::make_mut(&mut served.discovered).sinks.push(made.clone());
        Ok(made)
    }

    /// What its plugin answered, as a failure that quotes it.
    pub(super) fn failure(&self, what: &str, error: &Error) -> Failure {
        failure_of(&self.member.name, &self.member.plugin, what, error)
    }

    /// Ends the plugin, and says what it had used, and when it crashed.
    pub(crate) async fn stop(self) -> (PluginReport, Vec<Crash>) {
        let Served { lease, instance, .. } = self.served.into_inner();
        if let Err(error) = instance.finalize().await {
            tracing::debug!(member = self.member.name, %error, "finalize");
        }
        let facts = lease.facts().clone();
        drop(lease);
        self.supervised.stop().await;
        let health = self.supervised.health();
        let open_until = match self.supervised.circuit() {
            Circuit::Open { until } => Some(until),
            Circuit::Closed | Circuit::Refused => None,
        };
        let report = PluginReport {
            plugin: self.member.plugin,
            member: self.member.name,
            pid: facts.pid,
            start: facts.start,
            peak_rss_bytes: health.peak_rss_bytes,
            keeper_peak_rss_bytes: health.keeper_peak_rss_bytes,
            cpu_time: health.cpu_time,
            restarts: health.starts.saturating_sub(1),
            crashes: health.crashes,
            set_aside: self.set_aside.get(),
            open_until,
            network: health.network.unwrap_or_default(),
            sandbox: facts.report,
        };
        (report, crashes_of(&self.supervised))
    }
}

/// The member's plugin under supervision, not started yet.
fn supervise(start: Start<'_>) -> Supervised<Failure> {
    let Start { config, member, plugins, only_looks, locks, crashes, .. } = start;
    let care = Care {
        budget: member.restart,
        now: clock::now(),
        crashes: crashes.iter().map(from_store).collect(),
        idle: None, // a run needs it to the end
    };
    let origin = Arc::new(Origin {
        config: config.clone(),
        member: member.clone(),
        plugins: plugins.clone(),
        only_looks,
    });
    Supervised::new(&member.name, care, move || {
        let (origin, locks) = (Arc::clone(&origin), duplicates(&locks));
        async move { origin.begin(locks).await }
    })
}

/// A process of the plugin that has said what it has.
async fn serve(
    supervised: &Supervised<Failure>,
    keeper: &Arc<Keeper>,
    member: &MemberConfig,
    group: Group,
) -> Result<Served, Failure> {
    let mut tries = 0;
    loop {
        let lease = supervised.lease().await.map_err(|down| down_failure(member, down))?;
        tries += 1;
        match introduce(&lease, keeper, group.clone()).await {
            Ok((instance, discovered)) => {
                return Ok(Served { lease, instance, discovered: Arc::new(discovered) });
            }
            // However slowly it dies, so that its budget lasts: not for ever in one run. One that hangs has
            // had all of its time.
            Err((what, error))
                if error.code == Code::DEADLINE || supervised.runs().await || tries > member.restart.max =>
            {
                return Err(plugin_failure(member, what, &error));
            }
            Err((what, error)) => tracing::debug!(member = member.name, %error, what, "it died over that"),
        }
    }
}

async fn introduce(
    host: &PluginHost,
    keeper: &Arc<Keeper>,
    group: Group,
) -> Result<(Instance, Discovered), (&'static str, Error)> {
    let seen = keeper.seen().await;
    let request = Initialize::new(seen, group);
    let initialized =
        patiently(async || host.initialize_with(request.clone(), Arc::clone(keeper) as _).await).await;
    let instance = initialized.map_err(|error| (refusal(&error), error))?;
    let discovered = patiently(async || instance.discover().await)
        .await
        .map_err(|error| ("cannot say what it has", error))?;
    Ok((instance, discovered))
}

/// A refusal is an answer; a defect of the plugin says nothing of its settings.
fn refusal(error: &Error) -> &'static str {
    use outrigger_protocol::Code;
    match error.code {
        Code::PANIC | Code::INTERNAL => "failed in initialize",
        _ => "refused its settings",
    }
}

fn down_failure(member: &MemberConfig, down: Down<Failure>) -> Failure {
    match down {
        Down::Refused(failure) => failure,
        Down::Open { crashes, until, last, .. } => {
            let (name, wait) = (&member.name, until.saturating_sub(clock::now()).as_secs().div_ceil(60));
            let text = format!(
                "the plugin of {name} crashed {} in a short time, and is not started again for {}",
                plural(crashes as u64, "time", "times"),
                plural(wait, "minute", "minutes")
            );
            let failure = Failure::new(Exit::Plugin, text);
            let failure = last.iter().fold(failure, |failure, death| failure.because_of(death));
            failure.hint("`outrigger -v check` shows what it says; once it is mended, `outrigger sync --retry-crashed` starts it at once")
        }
        down @ (Down::Still { .. } | Down::Lingers { .. }) => {
            Failure::new(Exit::Plugin, format!("the plugin of {} is not started again", member.name))
                .because(&down)
        }
    }
}

fn crashes_of(supervised: &Supervised<Failure>) -> Vec<Crash> {
    let milliseconds = |at: Duration| u64::try_from(at.as_millis()).unwrap_or(u64::MAX);
    let kept =
        |crash: outrigger_broker::Crash| Crash { at_ms: milliseconds(crash.at), forgiven: crash.forgiven };
    supervised.crashes().into_iter().map(kept).collect()
}

/// A crash as the broker counts it.
pub(super) fn from_store(crash: &Crash) -> outrigger_broker::Crash {
    outrigger_broker::Crash { at: Duration::from_millis(crash.at_ms), forgiven: crash.forgiven }
}
