//! The asynchronous driver: one task that owns the socket, and handles to talk through it.
//!
//! Whoever makes a call encodes it in place into the connection's buffer and wakes the task; the
//! task writes all frames that are ready with one system call. Events are handled in the task, as
//! they are decoded, while they borrow from the receive buffer.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use outrigger_protocol::{Connection, Decoder, Event, Handshake, PeerError, Role, Session, limits};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use crate::error::LinkError;

/// Reads without a pause before other tasks get their turn.
const MAX_TURNS: usize = 32;

/// What is done with events. Runs in the driver's task: it must not wait.
pub trait Handler<C>: Send {
    /// Something happened. Everything borrowed must be copied or dealt with now.
    fn event(&mut self, event: Event<'_, C>, connection: &mut Connection<C>);
}

/// How a connection ended.
#[derive(Debug)]
pub enum Ending {
    /// Both sides said goodbye.
    Done,
    /// It broke.
    Failed(LinkError),
}

struct Shared<C> {
    connection: Connection<C>,
    waker: Option<Waker>,
    closing: bool,
}

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
    /// (spawned) for anything to move. When the connection ends, every open call's context comes
    /// out through `handler` before the driver returns.
    ///
    /// # Errors
    /// The ends do not fit, or the other end does not complete the handshake within `limit`.
    pub async fn establish<IO, H>(
        mut io: IO,
        handshake: Handshake,
        role: Role,
        limit: Duration,
        handler: H,
    ) -> Result<(Self, impl Future<Output = Ending> + Send + use<C, IO, H>), LinkError>
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send,
        H: Handler<C>,
    {
        let mut decoder = Decoder::new(limits::MAX_BODY);
        let greeting = greet(&mut io, handshake, &mut decoder);
        let session = timeout(limit, greeting).await.map_err(|_| LinkError::HandshakeTime)??;
        let connection = Connection::new(role, &session);
        let shared = Arc::new(Mutex::new(Shared { connection, waker: None, closing: false }));
        let link = Self { shared, session: Arc::new(session), started: Instant::now() };
        let driver = Driver { io, decoder, link: link.clone(), handler };
        Ok((link, driver.run()))
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

    /// Uses the machine, then sees to it that what it has to say is sent. Never waits.
    pub fn with<R>(&self, act: impl FnOnce(&mut Connection<C>) -> R) -> R {
        let mut shared = self.lock();
        let result = act(&mut shared.connection);
        let waker = shared.waker.take();
        drop(shared);
        if let Some(waker) = waker {
            waker.wake();
        }
        result
    }

    /// Ends the connection at once, without a goodbye.
    pub fn close(&self) {
        self.lock().closing = true;
        self.with(|_| ());
    }

    fn lock(&self) -> MutexGuard<'_, Shared<C>> {
        // A panic in a handler leaves the machine as consistent as between two frames.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
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
        match io.read(decoder.space()).await? {
            0 => return Err(LinkError::Closed { mid_frame: decoder.is_mid_frame() }),
            count => decoder.filled(count),
        }
    }
}

struct Driver<C, IO, H> {
    io: IO,
    decoder: Decoder,
    link: Link<C>,
    handler: H,
}

impl<C: Send + 'static, IO: AsyncRead + AsyncWrite + Unpin + Send, H: Handler<C>> Driver<C, IO, H> {
    async fn run(mut self) -> Ending {
        let mut alarm = pin!(sleep_until(Instant::now()));
        // The first frames may have come together with the end of the handshake.
        let ending = match self.handle_frames() {
            Ok(true) => poll_fn(|context| self.poll(context, alarm.as_mut())).await,
            Ok(false) => Ending::Done,
            Err(error) => poll_fn(|context| Poll::Ready(Ending::Failed(self.say_why(context, error.clone().into())))).await,
        };
        let why = match &ending {
            Ending::Done => "the connection is closed".to_owned(),
            Ending::Failed(error) => error.to_string(),
        };
        let mut shared = self.link.lock();
        while let Some(event) = shared.connection.lost(&why) {
            self.handler.event(event, &mut shared.connection);
        }
        drop(shared);
        ending
    }

    fn poll(&mut self, context: &mut Context<'_>, mut alarm: Pin<&mut Sleep>) -> Poll<Ending> {
        for _ in 0..MAX_TURNS {
            self.expire(context, alarm.as_mut());
            let read = self.read(context);
            let write = self.write(context);
            match (read, write) {
                (Poll::Ready(Ok(false)), _) => return Poll::Ready(Ending::Done),
                (Poll::Ready(Err(error)), _) => return Poll::Ready(Ending::Failed(self.say_why(context, error))),
                (Poll::Pending, Poll::Ready(Err(error))) => return Poll::Ready(Ending::Failed(error.into())),
                (Poll::Ready(Ok(true)), _) => {} // also after a failed write: take in what is left
                (Poll::Pending, write) if self.rest(context, write.is_pending()) => return Poll::Pending,
                (Poll::Pending, _) => {}
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// Nothing to read: whether there is nothing to write either, so that the task can sleep. Looks
    /// under the lock, so that a call made meanwhile on another thread is not slept through.
    fn rest(&mut self, context: &Context<'_>, blocked: bool) -> bool {
        let mut shared = self.link.lock();
        if shared.closing || (!blocked && !shared.connection.output().is_empty()) {
            return false;
        }
        shared.waker = Some(context.waker().clone());
        true
    }

    /// Writes all frames that are ready. Pending: the peer does not read at the moment.
    fn write(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut shared = self.link.lock();
        loop {
            let bytes = shared.connection.output();
            if bytes.is_empty() {
                return Poll::Ready(Ok(()));
            }
            let count = ready!(Pin::new(&mut self.io).poll_write(context, bytes))?;
            shared.connection.wrote(count);
        }
    }

    /// Reads once and handles all frames that have come. False: the connection is over.
    fn read(&mut self, context: &mut Context<'_>) -> Poll<Result<bool, LinkError>> {
        if self.link.lock().closing {
            return Poll::Ready(Ok(false));
        }
        let mut buffer = ReadBuf::new(self.decoder.space());
        ready!(Pin::new(&mut self.io).poll_read(context, &mut buffer))?;
        let count = buffer.filled().len();
        if count == 0 {
            let mid_frame = self.decoder.is_mid_frame();
            return Poll::Ready(Err(LinkError::Closed { mid_frame }));
        }
        self.decoder.filled(count);
        Poll::Ready(self.handle_frames().map_err(Into::into))
    }

    fn handle_frames(&mut self) -> Result<bool, PeerError> {
        let now = self.link.now();
        let mut shared = self.link.lock();
        let shared = &mut *shared;
        while let Some(frame) = self.decoder.next_frame()? {
            let Some(event) = shared.connection.receive(frame, now)? else { continue };
            if matches!(event, Event::Closed) {
                return Ok(false);
            }
            let goodbye = matches!(event, Event::Goodbye);
            self.handler.event(event, &mut shared.connection);
            while goodbye && let Some(event) = shared.connection.not_accepted() {
                self.handler.event(event, &mut shared.connection);
            }
        }
        Ok(true)
    }

    /// Ends calls whose time has run out, and sets the alarm for the next.
    fn expire(&mut self, context: &mut Context<'_>, mut alarm: Pin<&mut Sleep>) {
        let mut shared = self.link.lock();
        let shared = &mut *shared;
        while let Some(event) = shared.connection.expire(self.link.now()) {
            self.handler.event(event, &mut shared.connection);
        }
        if let Some(deadline) = shared.connection.next_deadline() {
            let deadline = self.link.started + deadline;
            if alarm.deadline() != deadline {
                alarm.as_mut().reset(deadline);
            }
            if alarm.poll(context).is_ready() {
                context.waker().wake_by_ref();
            }
        }
    }

    /// Tells the peer which rule it broke, as far as it still reads.
    fn say_why(&mut self, context: &mut Context<'_>, error: LinkError) -> LinkError {
        if let LinkError::Peer(broken) = &error {
            self.link.lock().connection.abort(broken);
            let _told = self.write(context);
        }
        error
    }
}
