//! The machine of a connection, in the hand of one thread: a second grasp panics instead of waiting
//! for ever.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, PoisonError};

thread_local! {
    /// What this thread has in hand, by address. More than one where the handler of one link uses
    /// another.
    static HELD: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

/// Something shared, in this thread's hand.
pub(crate) struct Held<'l, S> {
    shared: MutexGuard<'l, S>,
    address: usize,
}

/// Takes it in hand.
///
/// # Panics
/// This thread has it in hand already.
pub(crate) fn lock<S>(shared: &Mutex<S>) -> Held<'_, S> {
    let address = std::ptr::from_ref(shared).addr();
    assert!(
        !HELD.with_borrow(|held| held.contains(&address)),
        "Link::with was called from within a handler (or another `with`) of the same link"
    );
    // A panic in a handler leaves the machine as consistent as between two frames.
    let shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
    HELD.with_borrow_mut(|held| held.push(address));
    Held { shared, address }
}

impl<S> Drop for Held<'_, S> {
    fn drop(&mut self) {
        HELD.with_borrow_mut(|held| held.retain(|other| *other != self.address));
    }
}

impl<S> Deref for Held<'_, S> {
    type Target = S;
    fn deref(&self) -> &S {
        &self.shared
    }
}

impl<S> DerefMut for Held<'_, S> {
    fn deref_mut(&mut self) -> &mut S {
        &mut self.shared
    }
}
