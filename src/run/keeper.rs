//! Keeper: answers what the plugin of a member asks. What is to be kept goes to the store before
//! the answer, questions to the user.

use std::sync::{Arc, Weak};

use outrigger_broker::{Answer, Callbacks};
use outrigger_engine::{FoundCollection, MemberState};
use outrigger_protocol::{
    Ask, Blame, Code, Effect, Error, Member, MemberUpdate, MemberUpdated, OperationId, RaiseSlowSync, Rename,
    SecretText,
};
use outrigger_store::{Error as StoreError, Store};
use tokio::sync::{Mutex, oneshot};

use super::names::Names;

/// Asks the user what a plugin wants to know. The prompt is in the plugin's words.
pub trait Asker: Send + Sync + std::fmt::Debug {
    /// The user's answer. Dropped when the plugin, or the run, gives up.
    ///
    /// # Errors
    /// [`Code::CANCELLED`]: the user declined. [`Code::PERMISSION`]: nobody is there.
    fn ask(&self, member: &str, question: &Ask) -> Answer<'static, SecretText>;
}

/// What is kept of one member during a run.
pub(super) struct Keeper {
    configured: Member,
    state: Arc<Mutex<MemberState>>,
    /// `None` in a dry run: nothing is kept.
    store: Option<Weak<Store>>,
    asker: Option<Arc<dyn Asker>>,
    names: Names,
}

impl Keeper {
    pub(super) fn new(
        configured: Member,
        state: MemberState,
        store: Option<&Arc<Store>>,
        asker: Option<Arc<dyn Asker>>,
    ) -> Self {
        let (state, store, names) =
            (Arc::new(Mutex::new(state)), store.map(Arc::downgrade), Names::default());
        Self { configured, state, store, asker, names }
    }

    /// Where the plugin says new names of items.
    pub(super) fn names(&self) -> Names {
        self.names.clone()
    }

    /// The member as its plugin sees it now.
    pub(super) async fn seen(&self) -> Member {
        self.state.lock().await.snapshot(&self.configured)
    }

    /// What is kept now.
    pub(super) async fn state(&self) -> MemberState {
        self.state.lock().await.clone()
    }

    /// Takes in all collections of the member, and, where `done` is given, that everything that it
    /// asked for has been compared. Returns the member as it is now, if that is news to its plugin;
    /// it is durable then. A plan learns nothing.
    pub(super) async fn learn(
        &self,
        collections: &[FoundCollection],
        done: Option<&MemberState>,
    ) -> Result<Option<Member>, Error> {
        if self.store.is_none() {
            return Ok(None);
        }
        let learn = |state: &mut MemberState| {
            let lowered = done.is_some_and(|done| state.lower(done));
            let learnt = state.learn(collections);
            Ok((lowered || learnt).then(|| state.snapshot(&self.configured)))
        };
        self.change(learn).await
    }

    /// The operation to make a collection under, durable; `fresh` unless one is in doubt.
    pub(super) async fn begin_create(&self, name: &str, fresh: OperationId) -> Result<OperationId, Error> {
        self.change(|state| state.begin_create(name, fresh)).await
    }

    /// What became of a collection that was to be made is known.
    pub(super) async fn end_create(&self, name: &str) -> Result<(), Error> {
        let end = |state: &mut MemberState| {
            state.end_create(name);
            Ok(())
        };
        self.change(end).await
    }

    /// Changes what is kept: durable first, then true. Once the store has it, it is seen to the end
    /// also when the plugin gives up meanwhile: what is durable must not be decided on again.
    async fn change<T>(
        &self,
        act: impl FnOnce(&mut MemberState) -> Result<T, Error> + Send,
    ) -> Result<T, Error> {
        let mut state = Arc::clone(&self.state).lock_owned().await;
        let mut next = state.clone();
        let answer = act(&mut next)?;
        if next == *state {
            return Ok(answer);
        }
        let told = self.keep(next.clone())?;
        let seen_to_the_end = tokio::spawn(async move {
            let kept = kept(told.await);
            if kept.is_ok() {
                *state = next;
            }
            kept
        });
        seen_to_the_end.await.map_err(|_| ending())??;
        Ok(answer)
    }

    /// Hands a state to the store, which tells when it is durable.
    fn keep(&self, state: MemberState) -> Result<oneshot::Receiver<Result<(), StoreError>>, Error> {
        let Some(store) = &self.store else {
            return Err(refuse(Code::READ_ONLY, "a plan changes nothing"));
        };
        let (tell, told) = oneshot::channel();
        let store = store.upgrade().ok_or_else(ending)?;
        store.keep_member(&self.configured.name, state).then(move |kept| drop(tell.send(kept)));
        drop(store); // nothing but the run keeps it open
        Ok(told)
    }
}

/// What the store said of a state.
fn kept(told: Result<Result<(), StoreError>, oneshot::error::RecvError>) -> Result<(), Error> {
    told.map_err(|_| ending())?.map_err(|error| {
        Error::new(Code::IO, "it could not be kept")
            .by(Blame::Broker)
            .with_effect(Effect::Unknown)
            .because(Code::IO, error.to_string())
    })
}

fn ending() -> Error {
    refuse(Code::DISCONNECTED, "the run is ending")
}

impl Callbacks for Keeper {
    fn update_member(&self, update: MemberUpdate) -> Answer<'_, MemberUpdated> {
        Box::pin(async move { self.change(|state| state.update(&update, &self.configured)).await })
    }

    fn raise_slow_sync(&self, raise: RaiseSlowSync) -> Answer<'_, Member> {
        Box::pin(async move {
            let change = |state: &mut MemberState| {
                state.raise(&raise)?;
                Ok(state.snapshot(&self.configured))
            };
            self.change(change).await
        })
    }

    fn rename(&self, rename: Rename) -> Answer<'_, ()> {
        if self.store.is_none() {
            return Box::pin(async { Err(refuse(Code::READ_ONLY, "a plan changes nothing")) });
        }
        Box::pin(self.names.say(rename))
    }

    fn ask(&self, question: Ask) -> Answer<'_, SecretText> {
        match &self.asker {
            Some(asker) => asker.ask(&self.configured.name, &question),
            None => Box::pin(async { Err(refuse(Code::PERMISSION, "nobody is there to be asked")) }),
        }
    }
}

fn refuse(code: Code, text: &str) -> Error {
    Error::new(code, text).by(Blame::Caller)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn update(number: u128, generation: u64) -> MemberUpdate {
        MemberUpdate {
            operation: OperationId(uuid::Uuid::from_u128(number)),
            generation,
            set: vec![("url".into(), "found".into())],
            unset: Vec::new(),
        }
    }

    #[tokio::test]
    async fn w11_what_was_set_is_there_in_the_next_run() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Arc::new(Store::open(folder.path(), "g", Duration::ZERO).unwrap());
        let member = || Member::new("phone", vec![("path".into(), "/books".into())]);
        let store = open();
        let keeper = Keeper::new(member(), MemberState::default(), Some(&store), None);
        assert!(keeper.update_member(update(1, 0)).await.unwrap().applied);
        assert!(!keeper.update_member(update(2, 0)).await.unwrap().applied, "the generation has risen");
        Arc::into_inner(store).expect("nobody else holds it").close().unwrap();
        let late = keeper.update_member(update(3, 1)).await.unwrap_err();
        assert_eq!(late.code, Code::DISCONNECTED);

        let store = open();
        let kept = store.member("phone").wait().unwrap();
        assert_eq!(kept.snapshot(&member()).option("url"), Some("found"));
        let again = Keeper::new(member(), kept, Some(&store), None);
        assert!(again.update_member(update(1, 0)).await.unwrap().applied, "a retry, a run later");
    }

    /// Its plugin gave up between the moment when it was durable and the answer.
    #[tokio::test]
    async fn w11_a_set_that_was_given_up_on_its_way_is_not_half_done() {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(folder.path(), "g", Duration::ZERO).unwrap());
        let member = Member::new("phone", vec![]);
        let keeper = Keeper::new(member.clone(), MemberState::default(), Some(&store), None);
        let mut given_up = keeper.update_member(update(1, 0));
        let polled = std::future::poll_fn(|context| {
            std::task::Poll::Ready(given_up.as_mut().poll(context).is_pending())
        });
        assert!(polled.await, "the store has it, and has not answered");
        drop(given_up);
        assert!(!keeper.update_member(update(2, 0)).await.unwrap().applied, "the first was done");
        assert!(keeper.update_member(update(1, 0)).await.unwrap().applied, "and its retry says so");
        assert_eq!(store.member("phone").wait().unwrap(), keeper.state().await);
    }

    #[tokio::test]
    async fn w11_what_is_no_news_is_not_kept_again() {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(folder.path(), "g", Duration::ZERO).unwrap());
        let keeper = Keeper::new(Member::new("phone", vec![]), MemberState::default(), Some(&store), None);
        let object_types = vec!["contact".to_owned()];
        let found = [FoundCollection { name: "book".into(), object_types, anchor: None }];
        let told = keeper.learn(&found, None).await.unwrap().unwrap();
        assert_eq!((told.generation, told.object_types.len()), (1, 1));
        assert_eq!(store.member("phone").wait().unwrap(), keeper.state().await);
        // A store that is closed cannot have been asked.
        Arc::into_inner(store).expect("nobody else holds it").close().unwrap();
        let seen = keeper.state().await;
        assert_eq!(keeper.learn(&found, Some(&seen)).await, Ok(None));
        assert_eq!(keeper.learn(&[], None).await.unwrap_err().code, Code::DISCONNECTED);
        assert_eq!(keeper.state().await, seen, "what is not kept is not believed");
    }

    #[tokio::test]
    async fn x1_the_operation_of_a_create_is_there_in_the_next_run() {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(folder.path(), "g", Duration::ZERO).unwrap());
        let [first, second] = [1, 2].map(|number| OperationId(uuid::Uuid::from_u128(number)));
        let member = || Member::new("phone", vec![]);
        let keeper = Keeper::new(member(), MemberState::default(), Some(&store), None);
        assert_eq!(keeper.begin_create("book", first).await, Ok(first));
        let next = Keeper::new(member(), store.member("phone").wait().unwrap(), Some(&store), None);
        assert_eq!(next.begin_create("book", second).await, Ok(first));
        next.end_create("book").await.unwrap();
        let last = Keeper::new(member(), store.member("phone").wait().unwrap(), Some(&store), None);
        assert_eq!(last.begin_create("book", second).await, Ok(second));
    }

    #[tokio::test]
    async fn a_plan_keeps_nothing() {
        let keeper = Keeper::new(Member::new("phone", vec![]), MemberState::default(), None, None);
        assert_eq!(keeper.update_member(update(1, 0)).await.unwrap_err().code, Code::READ_ONLY);
        assert_eq!(keeper.state().await, MemberState::default());
        let rename = Rename { sink: outrigger_protocol::ObjectId(1), names: Vec::new() };
        assert_eq!(keeper.rename(rename).await.unwrap_err().code, Code::READ_ONLY);
        let question =
            Ask { kind: outrigger_protocol::AskKind::Confirm, prompt: "?".into(), choices: vec![] };
        assert_eq!(keeper.ask(question).await.unwrap_err().code, Code::PERMISSION);
    }
}
