//! Retry: what failed for a while is tried again in the same run.
//!
//! A plugin says with each failure whether and when trying again can help. A single call is made again
//! ([`patiently`]). A collection in which something is left for such a reason is begun anew from what the
//! state knows by then ([`Prospects`]): what was in doubt is read back first (decisions X2), so nothing is
//! sent again blindly. Three times at most, each wait twice as long as the one before. Who asks for more
//! patience than that is tried again by the next run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use outrigger_protocol::{Error, Retry};

/// How often anything is tried again in a run.
const TRIES: u32 = 3;

/// The longest wait before one of them.
const LONGEST: Duration = Duration::from_secs(10);

/// What the failures of one collection's run say of another try. Counted where they arrive.
#[derive(Debug, Clone, Default)]
pub(super) struct Prospects(Arc<Said>);

#[derive(Debug, Default)]
struct Said {
    /// Milliseconds, the most that was asked for; 0: nothing failed for a while.
    wait: AtomicU32,
    /// A member failed for good: it shall not be asked for its password, or hang, four times a run.
    hopeless: AtomicBool,
}

impl Prospects {
    /// An item failed. What is wrong with that one for good, or for longer than a run, keeps nobody else
    /// from another try.
    pub(super) fn item_failed(&self, error: &Error) {
        if let Some(wait) = wait(error).filter(|wait| *wait <= LONGEST) {
            let wait = u32::try_from(wait.as_millis()).unwrap_or(u32::MAX);
            self.0.wait.fetch_max(wait.max(1), Ordering::Relaxed);
        }
    }

    /// A whole call failed.
    pub(super) fn call_failed(&self, error: &Error) {
        self.item_failed(error);
        if wait(error).is_none() {
            self.0.hopeless.store(true, Ordering::Relaxed);
        }
    }

    /// How long to wait before it is worth trying again; `None`: it is not.
    pub(super) fn wait(&self) -> Option<Duration> {
        let wait = self.0.wait.load(Ordering::Relaxed);
        let is_worth_it = wait > 0 && !self.0.hopeless.load(Ordering::Relaxed);
        is_worth_it.then(|| Duration::from_millis(wait.into()))
    }
}

/// The wait before the next try, after so many; `None`: there is none in this run.
pub(super) fn pause(wait: Option<Duration>, tries: u32) -> Option<Duration> {
    let pause = wait?.saturating_mul(1 << tries.min(TRIES));
    (tries < TRIES && pause <= LONGEST).then_some(pause)
}

/// Makes a call, and again while its failures say that this can help. Not for calls that write: of those the
/// worst effect of all tries would count.
///
/// # Errors
/// The last failure.
pub(super) async fn patiently<T>(call: impl AsyncFn() -> Result<T, Error>) -> Result<T, Error> {
    let mut tries = 0;
    loop {
        let error = match call().await {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        let Some(pause) = pause(wait(&error), tries) else { return Err(error) };
        tracing::info!(%error, ?pause, "it is tried again");
        tokio::time::sleep(pause).await;
        tries += 1;
    }
}

fn wait(error: &Error) -> Option<Duration> {
    match error.retry {
        Retry::After(wait) => Some(Duration::from_millis(wait.into())),
        Retry::Never | Retry::WithFix => None,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use outrigger_protocol::Code;

    use super::*;

    const SOON: Duration = Duration::from_millis(40);

    fn error(wait: Option<Duration>) -> Error {
        let error = Error::new(Code::REMOTE, "the server said no");
        wait.map_or(error.clone(), |wait| error.retry_after(wait))
    }

    #[test]
    fn waits_grow_and_end() {
        let pauses: Vec<_> = (0..5).map(|tries| pause(Some(SOON), tries)).collect();
        assert_eq!(pauses, [Some(SOON), Some(SOON * 2), Some(SOON * 4), None, None]);
        assert_eq!(pause(None, 0), None);
        let long = Duration::from_secs(4);
        assert_eq!([0, 1, 2].map(|tries| pause(Some(long), tries)), [Some(long), Some(long * 2), None]);
        assert_eq!(pause(Some(Duration::MAX), 2), None);
    }

    #[test]
    fn another_try_is_worth_it_when_all_that_failed_for_good_is_items() {
        let prospects = Prospects::default();
        prospects.item_failed(&error(None));
        assert_eq!(prospects.wait(), None);
        prospects.item_failed(&error(Some(SOON)));
        prospects.item_failed(&error(Some(LONGEST * 2)));
        prospects.call_failed(&error(Some(Duration::ZERO)));
        assert_eq!(prospects.wait(), Some(SOON));
        prospects.call_failed(&error(None));
        assert_eq!(prospects.wait(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_is_made_four_times_at_most() {
        for (failures, calls) in [(0, 1), (3, 4), (9, 4)] {
            let made = Cell::new(0);
            let call = async || {
                made.set(made.get() + 1);
                if made.get() > failures { Ok(()) } else { Err(error(Some(SOON))) }
            };
            assert_eq!(patiently(call).await.is_ok(), failures < 4);
            assert_eq!(made.get(), calls);
        }
        let made = Cell::new(0);
        let for_good = async || {
            made.set(made.get() + 1);
            Err::<(), _>(error(None))
        };
        assert!(patiently(for_good).await.is_err() && made.get() == 1);
    }
}
