//! Who answers what a plugin asks, and for which of the objects that it was given.
//!
//! An object exists for a plugin only if it was given to it, with the instance that serves its
//! member: it cannot name another.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use outrigger_protocol::{
    Ask, Blame, Code, Error, Member, MemberUpdate, MemberUpdated, ObjectId, RaiseSlowSync, Rename, SecretText,
};

/// An answer that takes its time.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

/// Answers what a plugin asks for the member that it serves. What is not answered here is refused.
pub trait Callbacks: Send + Sync + 'static {
    /// Sets options of the member if `update.generation` is the current one, durably; the same
    /// operation again gets the same answer. The member's number need not be filled in.
    ///
    /// A call that the plugin gives up, one that is not answered in its time, and the end of the
    /// plugin drop the future where it stands: what must not be half done is spawned.
    fn update_member(&self, update: MemberUpdate) -> Answer<'_, MemberUpdated> {
        let _ = update;
        refused(Code::READ_ONLY, "this member's options are not the plugin's to change")
    }

    /// Notes durably that everything must be compared; returns the member as it is then.
    fn raise_slow_sync(&self, raise: RaiseSlowSync) -> Answer<'_, Member> {
        let _ = raise;
        refused(Code::UNIMPLEMENTED, "nobody keeps what the member needs")
    }

    /// Asks the user. The prompt is in the plugin's words.
    fn ask(&self, question: Ask) -> Answer<'_, SecretText> {
        let _ = question;
        refused(Code::PERMISSION, "nobody is there to be asked")
    }

    /// Takes the new names of items, all or none of them, durably (decisions X4). The set has no flaw
    /// ([`Rename::flaw`]); its sink is a number of the plugin's, which may be nobody's.
    fn rename(&self, rename: Rename) -> Answer<'_, ()> {
        let _ = rename;
        refused(Code::UNIMPLEMENTED, "nobody keeps what items are called")
    }

    /// Something changed at a sink (or, for any other number, at the member). Told once for many
    /// notices in a row; must not wait.
    fn changed(&self, sink: ObjectId) {
        let _ = sink;
    }
}

/// Refuses everything.
#[derive(Debug, Clone, Copy)]
pub struct NoCallbacks;

impl Callbacks for NoCallbacks {}

/// Notices that are kept until it is known whom their object belongs to.
const MOST_UNCLAIMED: usize = 64;

/// Tells of a change. A panic there costs this notice only.
pub(crate) fn tell(listener: &dyn Callbacks, object: ObjectId) {
    if catch_unwind(AssertUnwindSafe(|| listener.changed(object))).is_err() {
        tracing::error!(%object, "what was to hear of a change panicked");
    }
}

fn refused<'a, T: 'a>(code: Code, text: &'static str) -> Answer<'a, T> {
    Box::pin(async move { Err(Error::new(code, text).by(Blame::Caller)) })
}

/// A member and its group, as a plugin was given them.
struct Exported {
    member: ObjectId,
    group: ObjectId,
    callbacks: Arc<dyn Callbacks>,
    instance: Option<ObjectId>,
    sinks: Vec<ObjectId>,
}

/// What a number of this side stands for.
pub(crate) enum Export {
    Member(Arc<dyn Callbacks>),
    Group,
}

/// The objects that a plugin was given.
#[derive(Default)]
pub(crate) struct Exports(Mutex<Given>);

#[derive(Default)]
struct Given {
    last: u32,
    all: Vec<Exported>,
    /// Objects that changed before this side had seen the answer that names them.
    unclaimed: VecDeque<ObjectId>,
}

impl Given {
    fn listener(&self, target: ObjectId) -> Option<Arc<dyn Callbacks>> {
        let concerns = |given: &&Exported| given.instance == Some(target) || given.sinks.contains(&target);
        self.all.iter().find(concerns).map(|given| Arc::clone(&given.callbacks))
    }
}

impl std::fmt::Debug for Exports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exports").field("members", &self.lock().all.len()).finish()
    }
}

impl Exports {
    fn lock(&self) -> MutexGuard<'_, Given> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fresh numbers for a member and its group.
    pub(crate) fn give(&self, callbacks: Arc<dyn Callbacks>) -> (ObjectId, ObjectId) {
        let mut given = self.lock();
        let (member, group) = (ObjectId(given.last + 1), ObjectId(given.last + 2));
        given.last += 2;
        given.all.push(Exported { member, group, callbacks, instance: None, sinks: Vec::new() });
        (member, group)
    }

    /// The instance that serves the member.
    pub(crate) fn serve(&self, member: ObjectId, instance: ObjectId) {
        self.change(|given| given.member == member, |given| given.instance = Some(instance));
        self.claim(instance);
    }

    /// A sink of the instance.
    pub(crate) fn sink(&self, instance: ObjectId, sink: ObjectId) {
        let add = |given: &mut Exported| {
            if !given.sinks.contains(&sink) {
                given.sinks.push(sink);
            }
        };
        self.change(|given| given.instance == Some(instance), add);
        self.claim(sink);
    }

    /// Tells of a change that came before the object was known.
    fn claim(&self, object: ObjectId) {
        let mut given = self.lock();
        let before = given.unclaimed.len();
        given.unclaimed.retain(|unclaimed| *unclaimed != object);
        let listener = if given.unclaimed.len() < before { given.listener(object) } else { None };
        drop(given);
        if let Some(listener) = listener {
            tell(&*listener, object);
        }
    }

    /// The sinks of an instance.
    pub(crate) fn sinks(&self, instance: ObjectId) -> Vec<ObjectId> {
        let given = self.lock();
        let found = given.all.iter().find(|given| given.instance == Some(instance));
        found.map(|given| given.sinks.clone()).unwrap_or_default()
    }

    /// Takes a member and its group back: they are never given again under these numbers.
    pub(crate) fn take_back(&self, member: ObjectId) {
        self.lock().all.retain(|given| given.member != member);
    }

    fn change(&self, which: impl Fn(&Exported) -> bool, change: impl FnOnce(&mut Exported)) {
        if let Some(given) = self.lock().all.iter_mut().find(|given| which(given)) {
            change(given);
        }
    }

    /// What `target` stands for, if it was given.
    pub(crate) fn find(&self, target: ObjectId) -> Option<Export> {
        self.lock().all.iter().find_map(|given| match target {
            member if member == given.member => Some(Export::Member(Arc::clone(&given.callbacks))),
            group if group == given.group => Some(Export::Group),
            _ => None,
        })
    }

    /// Who is to hear of a change at `target`, an object of the plugin. One that is not known yet
    /// is remembered: a notice can overtake whoever waits for the answer that names its object.
    pub(crate) fn listener(&self, target: ObjectId) -> Option<Arc<dyn Callbacks>> {
        let mut given = self.lock();
        let listener = given.listener(target);
        if listener.is_none() && !given.unclaimed.contains(&target) {
            if given.unclaimed.len() == MOST_UNCLAIMED {
                given.unclaimed.pop_front();
            }
            given.unclaimed.push_back(target);
        }
        listener
    }
}
