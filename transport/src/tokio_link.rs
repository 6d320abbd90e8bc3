//! The asynchronous driver: handles to talk through a connection, and one task that reads it.
//!
//! Whoever makes a call encodes it in place into the connection's buffer and writes it out at once
//! ([`Link::send`]). What is said while the task is about to run anyway (several callers were just
//! woken, or one has written since) is gathered, and leaves with one system call; so does what
//! comes while the socket takes no more. Events are handled in the task, as they are decoded,
//! while they borrow from the receive buffer.

use std::sync::{Arc, Mutex};
use std::task::Waker;
use std::time::Duration;

use outrigger_protocol::{CallId, Connection, Decoder, Handshake, Role, Session, limits};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::{Instant, timeout};

use crate::duplex::{Duplex, Plain};
use crate::error::LinkError;
use crate::handles::Handle;
use crate::tokio_driver::{Driver, Ending, Handler};
use crate::tokio_held::lock;
use crate::tokio_shared::Shared;

/// A handle of a driven connection. Cheap to clone; `C` is what is stored with a call.
pub struct Link<C> {
    shared: Arc<Mutex<Shared<C>>>,
    session: Arc<Session>,
    started: Instant,
}

impl<C> Clone for Link<C> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), session: Arc::clone(&self.session), started: self.started }
    }
}

impl<C> std::fmt::Debug for Link<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("session", &self.session.id).finish_non_exhaustive()
    }
}

impl<C: Send + 'static> Link<C> {
    /// Makes a connection over `io`. Returns the handle and the driver, which must be polled
    /// (spawned) for anything to come in. When the connection ends, every open call's context comes
    /// out through `handler` before the driver returns, or when it is dropped; later calls are
    /// refused.
    ///
    /// # Errors
    /// The ends do not fit, or the other end does not complete the handshake within `limit`.
    pub async fn establish<IO, H>(
        io: IO,
        handshake: Handshake,
        role: Role,
        limit: Duration,
        handler: H,
    ) -> Result<(Self, impl Future<Output = Ending> + Send + use<C, IO, H>), LinkError>
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        H: Handler<C>,
    {
        Self::establish_over(Plain(io), handshake, role, limit, handler).await
    }

    /// As [`Link::establish`], over a stream that may be able to send descriptors along.
    ///
    /// # Errors
    /// As [`Link::establish`].
    pub async fn establish_over<IO, H>(
        mut io: IO,
        handshake: Handshake,
        role: Role,
        limit: Duration,
        handler: H,
    ) -> Result<(Self, impl Future<Output = Ending> + Send + use<C, IO, H>), LinkError>
    where
        IO: Duplex + 'static,
        H: Handler<C>,
    {
        let mut decoder = Decoder::new(limits::MAX_BODY);
        let greeting = greet(&mut io, handshake, &mut decoder);
        let session = timeout(limit, greeting).await.map_err(|_| LinkError::HandshakeTime)??;
        let connection = Connection::new(role, &session);
        let shared = Arc::new(Mutex::new(Shared::new(connection, Box::new(io))));
        let started = Instant::now();
        let driver = Driver::new(Arc::clone(&shared), started, decoder, handler);
        Ok((Self { shared, session: Arc::new(session), started }, driver.run()))
    }

    /// What the handshake agreed on.
    #[must_use]
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The time that the machine goes by.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Uses the machine, and writes what it has to say at once, unless the task is about to write
    /// more. For a caller that now waits for the answer. Never waits itself.
    ///
    /// # Panics
    /// As [`Link::with`].
    pub fn send<R>(&self, act: impl FnOnce(&mut Connection<C>) -> R) -> R {
        let mut shared = lock(&self.shared);
        let result = act(&mut shared.connection);
        let task = if shared.write_through() { None } else { shared.task() };
        drop(shared);
        task.into_iter().for_each(Waker::wake);
        result
    }

    /// Uses the machine, then wakes the task to write what it has to say. For whoever may have more
    /// to say before that. Never waits.
    ///
    /// # Panics
    /// Within [`Handler::event`] or another `with` of the same link: they have the machine in hand
    /// already, and waiting for them would be for ever.
    pub fn with<R>(&self, act: impl FnOnce(&mut Connection<C>) -> R) -> R {
        let mut shared = lock(&self.shared);
        let result = act(&mut shared.connection);
        let task = shared.task();
        drop(shared);
        task.into_iter().for_each(Waker::wake);
        result
    }

    /// Answers a call with `act`, which says whether the answer needs its descriptor
    /// ([`Connection::reply_with_handle`]): `handle` then leaves with the frame, and this process keeps
    /// no copy. Otherwise it is closed. Returns whether it is needed.
    pub fn with_handle(
        &self,
        call: CallId,
        handle: Handle,
        act: impl FnOnce(&mut Connection<C>) -> bool,
    ) -> bool {
        let mut shared = lock(&self.shared);
        let is_needed = act(&mut shared.connection) && shared.io.is_some();
        if is_needed {
            shared.handles.push((call, handle));
        }
        let task = shared.task();
        drop(shared);
        task.into_iter().for_each(Waker::wake);
        is_needed
    }

    /// Ends the connection at once, without a goodbye.
    pub fn close(&self) {
        lock(&self.shared).closing = true;
        self.with(|_| ());
    }
}

async fn greet<IO: AsyncRead + AsyncWrite + Unpin>(
    io: &mut IO,
    mut handshake: Handshake,
    decoder: &mut Decoder,
) -> Result<Session, LinkError> {
    loop {
        let agreed = handshake.receive(decoder);
        let sent = io.write_all(&handshake.output()).await;
        if let Some(session) = agreed? {
            sent?;
            return Ok(session);
        }
        sent?;
        match io.read(decoder.space()).await {
            Ok(0) => return Err(LinkError::Closed { mid_frame: decoder.is_mid_frame() }),
            Ok(count) => decoder.filled(count),
            Err(error) => return Err(LinkError::from_read(error, decoder)),
        }
    }
}
