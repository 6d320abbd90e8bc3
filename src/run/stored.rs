//! The store, asked without stopping the thread that keeps the plugins' deadlines (decisions P6).

use outrigger_store::{ErrorKind, Request};
use tokio::sync::oneshot;

use crate::exit::Exit;
use crate::report::Failure;

/// Does what waits for the disk or for a lock beside the thread that keeps the plugins' deadlines
/// and hears the user's interrupt.
pub(super) async fn beside<T: Send + 'static>(
    group: &str,
    work: impl FnOnce() -> Result<T, outrigger_store::Error> + Send + 'static,
) -> Result<T, Failure> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(|error| store_failure(group, &error)),
        Err(panic) => Err(Failure::internal(format!("the state of the group {group}")).because(&panic)),
    }
}

/// Asks the store; the answer, or its error as a failure of the group.
pub(super) async fn ask<T: Send + 'static>(group: &str, request: Request<'_, T>) -> Result<T, Failure> {
    let (tell, told) = oneshot::channel();
    request.then(move |answer| drop(tell.send(answer)));
    match told.await {
        Ok(answer) => answer.map_err(|error| store_failure(group, &error)),
        Err(_) => Err(Failure::internal(format!("the state of the group {group} gave no answer"))),
    }
}

/// What the store says, as a failure of the group.
#[must_use]
pub fn store_failure(group: &str, error: &outrigger_store::Error) -> Failure {
    let words = match store_exit(error) {
        Exit::Locked => format!("another run is busy with the group {group}"),
        _ => format!("the state of the group {group} cannot be used"),
    };
    let failure = Failure::new(store_exit(error), words).because(error);
    match error.hint() {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

pub(super) fn store_exit(error: &outrigger_store::Error) -> Exit {
    if matches!(error.kind(), ErrorKind::Locked { .. }) { Exit::Locked } else { Exit::Internal }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use outrigger_store::Store;

    use super::*;

    #[tokio::test]
    async fn p6_a_store_that_waits_for_its_disk_does_not_stop_a_deadline() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), "g", Duration::ZERO).unwrap();
        let (disk_is_back, gate) = mpsc::channel::<()>();
        store.status().then(move |_| gate.recv().unwrap()); // the store's thread stands still
        let collection = outrigger_store::Collection::new("c", ["a", "b"]);
        let load = ask("g", store.load(&collection));
        let deadline = async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            disk_is_back.send(()).unwrap();
        };
        let (loaded, ()) = tokio::join!(load, deadline);
        assert!(loaded.unwrap().rows.is_empty());
    }
}
