//! Resolve: makes one content of those that are in conflict, by a merge or by a command of the user's; of
//! more than two by one after the other.
//!
//! Beside the run's thread, which keeps the plugins' deadlines (decisions P6).

use std::sync::Arc;

use outrigger_engine::{BatchId, Content, DisputedCopy, Event, RowId};
use outrigger_store::{Collection, Store};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;

use super::disputed::Contents;
use super::shared::Teller;
use crate::config::Conflict;

/// What came of one: the content, or why a person must choose.
type Resolved = Result<Vec<u8>, String>;

/// A content, after the name of its member, or what was made of several.
type Named = (String, Vec<u8>);

/// What was agreed before, if it is kept.
type Base = Result<Option<Vec<u8>>, String>;

/// Settles the conflicts of one collection.
pub(super) struct Resolver<'r> {
    store: &'r Store,
    collection: Collection,
    by: Settling,
    teller: Teller,
    /// Ends what is still at work when the run ends.
    at_work: JoinSet<()>,
}

/// What settles them.
#[derive(Clone)]
struct Settling {
    conflict: Arc<Conflict>,
    dry_run: bool,
    /// One command at a time: it may ask the user.
    turn: Arc<Semaphore>,
}

impl<'r> Resolver<'r> {
    pub(super) fn new(
        store: &'r Store,
        collection: &Collection,
        by: &Conflict,
        dry_run: bool,
        teller: Teller,
    ) -> Self {
        let by = Settling { conflict: Arc::new(by.clone()), dry_run, turn: Arc::new(Semaphore::new(1)) };
        Self { store, collection: collection.clone(), by, teller, at_work: JoinSet::new() }
    }

    /// Begins to settle one; [`Event::Resolved`] tells what came of it.
    pub(super) fn begin(
        &mut self,
        batch: BatchId,
        row: RowId,
        base: Option<Content>,
        copies: Vec<DisputedCopy>,
    ) {
        while self.at_work.try_join_next().is_some() {}
        let base = base.map(|content| self.base(row, content));
        let format = copies.first().map(|copy| copy.format.clone()).unwrap_or_default();
        let copies: Vec<Named> = copies.into_iter().map(|copy| self.named(copy)).collect();
        let (by, teller) = (self.by.clone(), self.teller.clone());
        self.at_work.spawn(async move {
            let result = match told(base).await {
                Ok(base) => by.one_of_all(format, base, copies).await,
                Err(why) => Err(why),
            };
            teller.tell(Event::Resolved { batch, result });
        });
    }

    /// A content, after the name of its member.
    fn named(&self, copy: DisputedCopy) -> Named {
        let name = self.collection.members.get(copy.member.index());
        (name.cloned().unwrap_or_default(), copy.data)
    }

    /// The bytes of what was agreed before, once the state has been asked.
    fn base(&self, row: RowId, content: Content) -> oneshot::Receiver<Base> {
        let (tell, told) = oneshot::channel();
        self.store.base(&self.collection, row, content.raw).then(move |kept| {
            let kept = kept.map(|kept| kept.map(|kept| kept.data));
            drop(tell.send(kept.map_err(|error| error.to_string())));
        });
        told
    }
}

/// What the state said of it, if it was asked. Nobody merges without it, but a command may know better.
async fn told(base: Option<oneshot::Receiver<Base>>) -> Base {
    match base {
        Some(told) => told.await.unwrap_or_else(|_| Err("the state is closed".to_owned())),
        None => Ok(None),
    }
}

impl Settling {
    /// What came of the first two with the third, and so on.
    async fn one_of_all(&self, format: String, base: Option<Vec<u8>>, copies: Vec<Named>) -> Resolved {
        let mut copies = copies.into_iter();
        let mut whole = copies.next().unwrap_or_default();
        for next in copies {
            let contents = Contents { format: format.clone(), base: base.clone(), left: whole, right: next };
            whole = ("merged".to_owned(), self.one_of_two(contents).await?);
        }
        Ok(whole.1)
    }

    async fn one_of_two(&self, contents: Contents) -> Resolved {
        match &*self.conflict {
            Conflict::Merge => {
                let merged = tokio::task::spawn_blocking(move || merged(&contents)).await;
                let merged = merged.map_err(|panic| format!("the merge broke: {panic}"))?;
                merged.ok_or_else(|| "the same was changed twice".to_owned())
            }
            Conflict::Command(_) if self.dry_run => Err("a plan does not run the command".to_owned()),
            Conflict::Command(argv) => {
                let _turn = self.turn.acquire().await.ok(); // it is never closed
                run(argv, contents).await
            }
            Conflict::Queue | Conflict::Prefer(_) | Conflict::Newest | Conflict::KeepBoth => {
                Err("nothing is said to settle conflicts by".to_owned())
            }
        }
    }
}

fn merged(contents: &Contents) -> Option<Vec<u8>> {
    let Contents { base, left: (_, left), right: (_, right), .. } = contents;
    outrigger_engine::merge(base.as_deref(), left, right)
}

#[cfg(unix)]
use super::tool::run;

/// What a command started cannot be ended with it here.
#[cfg(not(unix))]
async fn run(_argv: &[std::ffi::OsString], _contents: Contents) -> Resolved {
    Err("commands settle conflicts on Unix only".to_owned())
}
