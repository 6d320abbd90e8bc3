//! Quiet: what is expected to fail now and then, without a word on the terminal.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

thread_local! {
    static IS_QUIET: Cell<bool> = const { Cell::new(false) };
}

/// What the world or the oracle says against what is played; `None`: it holds.
pub(crate) fn objection(play: impl FnOnce()) -> Option<String> {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !IS_QUIET.get() {
                usual(info);
            }
        }));
    });
    IS_QUIET.set(true);
    let played = catch_unwind(AssertUnwindSafe(play));
    IS_QUIET.set(false);
    played.err().map(|panic| match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(other) => other.downcast_ref::<&str>().map_or("a panic", |text| text).to_owned(),
    })
}
