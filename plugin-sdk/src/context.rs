//! What a connector can do while it works on a call.

use std::marker::PhantomData;
use std::time::Duration;

use outrigger_protocol::{Change, Error, ReadResult};

/// One call, seen from the connector.
#[derive(Debug)]
pub struct Context<'c>(PhantomData<&'c mut ()>);

impl Context<'_> {
    /// Whether the caller gave up: stop soon.
    pub fn is_cancelled(&mut self) -> bool {
        false
    }

    /// Says how far the work is; keeps the call's idle clock from running out.
    ///
    /// # Errors
    /// The call was cancelled or the connection ended: return the error.
    pub fn progress(&mut self, done: u64, total: Option<u64>) -> Result<(), Error> {
        let _ = (done, total);
        Ok(())
    }

    /// Says that nothing can happen for `wait` (a rate limit).
    ///
    /// # Errors
    /// As [`Context::progress`].
    pub fn waiting(&mut self, wait: Duration) -> Result<(), Error> {
        let _ = wait;
        Ok(())
    }
}

/// Where `get_changes` puts its changes.
#[derive(Debug)]
pub struct ChangeSink<'a, 'c>(&'a mut Context<'c>);

impl<'c> ChangeSink<'_, 'c> {
    /// Sends one change; waits while the broker is slow.
    ///
    /// # Errors
    /// The call was cancelled or the connection ended: return the error.
    pub fn push(&mut self, change: &Change) -> Result<(), Error> {
        let _ = change;
        Ok(())
    }

    /// The call itself.
    pub fn context(&mut self) -> &mut Context<'c> {
        self.0
    }
}

/// Where `read` puts its results.
#[derive(Debug)]
pub struct ReadSink<'a, 'c>(&'a mut Context<'c>);

impl<'c> ReadSink<'_, 'c> {
    /// Sends one result; waits while the broker is slow.
    ///
    /// # Errors
    /// As [`ChangeSink::push`].
    pub fn push(&mut self, result: &ReadResult<'_>) -> Result<(), Error> {
        let _ = result;
        Ok(())
    }

    /// The call itself.
    pub fn context(&mut self) -> &mut Context<'c> {
        self.0
    }
}
