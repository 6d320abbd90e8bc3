//! Together: several futures at once, on the run's own thread.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::Semaphore;

/// So many processes are started, or ended, at the same time: more of them only make each slower.
const AT_ONCE: usize = 8;

/// Lets all go on until the last is done; what came of each, in their order.
pub(super) async fn all<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut all: Vec<Going<F>> = futures.into_iter().map(|future| Going::On(Box::pin(future))).collect();
    poll_fn(|context| {
        let going = all.iter_mut().map(|one| usize::from(!one.is_done(context))).sum::<usize>();
        if going == 0 { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    all.into_iter().filter_map(Going::output).collect()
}

/// The same, of which a few go on at a time.
pub(super) async fn a_few<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let gate = Semaphore::new(AT_ONCE);
    let one = async |future: F| {
        let _turn = gate.acquire().await.ok(); // it is never closed
        future.await
    };
    all(futures.into_iter().map(one)).await
}

enum Going<F: Future> {
    On(Pin<Box<F>>),
    Done(F::Output),
}

impl<F: Future> Going<F> {
    fn is_done(&mut self, context: &mut Context<'_>) -> bool {
        if let Self::On(future) = self
            && let Poll::Ready(output) = future.as_mut().poll(context)
        {
            *self = Self::Done(output);
        }
        matches!(self, Self::Done(_))
    }

    fn output(self) -> Option<F::Output> {
        match self {
            Self::On(_) => None,
            Self::Done(output) => Some(output),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn what_waits_for_another_does_not_stop_it_and_the_order_stays() {
        let told = Notify::new();
        let waits = async {
            told.notified().await;
            1
        };
        let tells = async {
            told.notify_one();
            2
        };
        let both: [Pin<Box<dyn Future<Output = i32> + '_>>; 2] = [Box::pin(waits), Box::pin(tells)];
        assert_eq!(all(both).await, [1, 2]);
        assert_eq!(all(Vec::<std::future::Ready<()>>::new()).await, []);
    }

    #[tokio::test]
    async fn no_more_than_a_few_go_on_at_a_time_and_all_are_done() {
        let (now, most) = (Cell::new(0), Cell::new(0));
        let one = async |number: usize| {
            now.set(now.get() + 1);
            most.set(most.get().max(now.get()));
            tokio::task::yield_now().await;
            now.set(now.get() - 1);
            number
        };
        assert_eq!(a_few((0..100).map(one)).await, (0..100).collect::<Vec<_>>());
        assert_eq!((now.get(), most.get()), (0, AT_ONCE));
    }
}
