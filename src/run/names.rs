//! Names: what a plugin says that its items are called now, on its way to the engine and back
//! (decisions X4). Nobody waits for anybody here: the run hears of it as of everything else, and the
//! plugin is answered when that is durable.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use outrigger_engine::{BatchId, MemberIndex};
use outrigger_protocol::{Blame, Code, Effect, Error, ObjectId, Rename};
use tokio::sync::oneshot;

use super::shared::{Later, Teller};

/// The next run may begin any time; to ask at once is of no use.
const NEXT_RUN: Duration = Duration::from_mins(1);

/// Who answers a plugin that says new names.
pub(super) type Answer = oneshot::Sender<Result<(), Error>>;

/// Where the plugin of one member says new names: heard while a run of one of its collections listens.
#[derive(Clone, Default)]
pub(super) struct Names(Arc<Mutex<Option<Listener>>>);

/// A run of one collection.
struct Listener {
    sink: ObjectId,
    member: MemberIndex,
    teller: Teller,
}

/// While this is there, new names of a collection are heard.
pub(super) struct Listening(Names);

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.lock().take();
    }
}

impl Names {
    fn lock(&self) -> MutexGuard<'_, Option<Listener>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a run hear what is said of a sink. A member has one run at a time.
    pub(super) fn listen(&self, sink: ObjectId, member: MemberIndex, teller: Teller) -> Listening {
        *self.lock() = Some(Listener { sink, member, teller });
        Listening(self.clone())
    }

    /// Says new names to the run; returns when they are durable.
    ///
    /// # Errors
    /// [`Code::INVALID_STATE`]: no run listens to that sink. [`Code::DISCONNECTED`], with an unknown
    /// effect: the run has ended over it. Otherwise the engine's refusal.
    pub(super) async fn say(&self, rename: Rename) -> Result<(), Error> {
        let (answer, told) = oneshot::channel();
        {
            let listener = self.lock();
            let Some(listener) = listener.as_ref().filter(|listener| listener.sink == rename.sink) else {
                return Err(not_now());
            };
            listener.teller.send(Later::Renamed { member: listener.member, names: rename.names, answer });
        }
        told.await.unwrap_or_else(|_| Err(ending()))
    }
}

fn not_now() -> Error {
    let text =
        "no run of this collection is going on: say it in the next one, from `get_changes` to `sync_done`";
    Error::new(Code::INVALID_STATE, text).by(Blame::Caller).retry_after(NEXT_RUN)
}

fn ending() -> Error {
    Error::new(Code::DISCONNECTED, "the run is ending").by(Blame::Broker).with_effect(Effect::Unknown)
}

/// Plugins that wait until the engine has taken what they said.
#[derive(Default)]
pub(super) struct Waiting {
    last: u64,
    answers: BTreeMap<BatchId, Answer>,
}

impl Waiting {
    /// A number for the engine's answer.
    pub(super) fn begin(&mut self, answer: Answer) -> BatchId {
        self.last += 1;
        let batch = BatchId(self.last);
        self.answers.insert(batch, answer);
        batch
    }

    /// The engine has answered. A plugin that gave up waiting is not told.
    pub(super) fn end(&mut self, batch: BatchId, result: Result<(), Error>) {
        if let Some(answer) = self.answers.remove(&batch) {
            drop(answer.send(result));
        }
    }
}

#[cfg(test)]
mod tests {
    use outrigger_protocol::Href;

    use super::*;

    fn rename(sink: u32) -> Rename {
        Rename { sink: ObjectId(sink), names: vec![(Href::from("old"), Href::from("new"))] }
    }

    #[tokio::test]
    async fn x4_names_are_heard_by_the_run_of_their_collection_and_by_no_other() {
        let names = Names::default();
        let (teller, mut told) = Teller::new();
        assert_eq!(names.say(rename(3)).await.unwrap_err().code, Code::INVALID_STATE, "no run");
        let listening = names.listen(ObjectId(3), MemberIndex(1), teller);
        assert_eq!(names.say(rename(4)).await.unwrap_err().code, Code::INVALID_STATE, "another sink");
        let mut waiting = Waiting::default();
        let engine = async {
            let Some(Later::Renamed { member: MemberIndex(1), names, answer }) = told.recv().await else {
                panic!("something else")
            };
            assert_eq!(names, rename(3).names);
            let batch = waiting.begin(answer);
            waiting.end(BatchId(batch.0 + 1), Err(ending()));
            waiting.end(batch, Ok(()));
        };
        assert_eq!(tokio::join!(names.say(rename(3)), engine).0, Ok(()));
        drop(listening);
        let error = names.say(rename(3)).await.unwrap_err();
        assert_eq!((error.code, error.effect), (Code::INVALID_STATE, Effect::NotStarted));
    }

    #[tokio::test]
    async fn x4_a_run_that_ends_over_names_leaves_nobody_waiting() {
        let names = Names::default();
        let (teller, mut told) = Teller::new();
        let _listening = names.listen(ObjectId(3), MemberIndex(0), teller);
        let run = async { drop(told.recv().await) };
        let error = tokio::join!(names.say(rename(3)), run).0.unwrap_err();
        assert_eq!((error.code, error.effect), (Code::DISCONNECTED, Effect::Unknown));
    }
}
