//! The asynchronous driver: one task that owns the socket, and handles to talk through it.
//!
//! Whoever makes a call encodes it in place into the connection's buffer and wakes the task; the
//! task writes all frames that are ready with one system call. Events are handled in the task, as
//! they are decoded, while they borrow from the receive buffer.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::ops::{Deref, DerefMut};
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

/// How long a peer that reads no more may take to end the connection.
const LAST_FRAMES: Duration = Duration::from_secs(1);

/// What is done with events. Runs in the driver's task: it must not wait, and it works on the
/// connection that it is given: [`Link::with`] on its own link panics.
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
    /// out through `handler` before the driver returns, or when it is dropped; later calls are
    /// refused.
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
        let why = "the connection was given up".to_owned();
        let held = decoder.is_mid_frame();
        let driver = Driver { io, decoder, held, link: link.clone(), handler, why };
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
    ///
    /// # Panics
    /// Within [`Handler::event`] or another `with` of the same link: they have the machine in hand
    /// already, and waiting for them would be for ever.
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

    fn lock(&self) -> Held<'_, C> {
        let address = Arc::as_ptr(&self.shared).addr();
        assert!(
            !HELD.with_borrow(|held| held.contains(&address)),
            "Link::with was called from within a handler (or another `with`) of the same link"
        );
        // A panic in a handler leaves the machine as consistent as between two frames.
        let shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        HELD.with_borrow_mut(|held| held.push(address));
        Held { shared, address }
    }
}

thread_local! {
    /// The links whose machines this thread has in hand, by address. More than one where the handler
    /// of one link uses another.
    static HELD: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

/// The machine, in this thread's hand.
struct Held<'l, C> {
    shared: MutexGuard<'l, Shared<C>>,
    address: usize,
}

impl<C> Drop for Held<'_, C> {
    fn drop(&mut self) {
        HELD.with_borrow_mut(|held| held.retain(|other| *other != self.address));
    }
}

impl<C> Deref for Held<'_, C> {
    type Target = Shared<C>;
    fn deref(&self) -> &Shared<C> {
        &self.shared
    }
}

impl<C> DerefMut for Held<'_, C> {
    fn deref_mut(&mut self) -> &mut Shared<C> {
        &mut self.shared
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

struct Driver<C: Send + 'static, IO, H: Handler<C>> {
    io: IO,
    decoder: Decoder,
    /// Frames came together with the end of the handshake.
    held: bool,
    link: Link<C>,
    handler: H,
    /// Why the connection ended, for the calls that it takes with it.
    why: String,
}

/// Whatever ends the driver, every open call ends with it, and none can be made any more.
impl<C: Send + 'static, IO, H: Handler<C>> Drop for Driver<C, IO, H> {
    fn drop(&mut self) {
        let mut shared = self.link.lock();
        shared.connection.goodbye();
        while let Some(event) = shared.connection.lost(&self.why) {
            if !std::thread::panicking() {
                self.handler.event(event, &mut shared.connection);
            }
        }
    }
}

impl<C: Send + 'static, IO: AsyncRead + AsyncWrite + Unpin + Send, H: Handler<C>> Driver<C, IO, H> {
    async fn run(mut self) -> Ending {
        let mut alarm = pin!(sleep_until(Instant::now()));
        let ending = match poll_fn(|context| self.poll(context, alarm.as_mut())).await {
            Ok(ending) => ending,
            Err(broken) => self.last_frames(broken).await,
        };
        self.why = match &ending {
            Ending::Done => "the connection is closed".to_owned(),
            Ending::Failed(error) => error.to_string(),
        };
        ending
    }

    /// The peer reads no more: takes in what it has said before.
    async fn last_frames(&mut self, broken: io::Error) -> Ending {
        let rest = poll_fn(|context| {
            loop {
                match ready!(self.read(context)) {
                    Ok(true) => {}
                    end => return Poll::Ready(end),
                }
            }
        });
        match timeout(LAST_FRAMES, rest).await {
            Ok(Ok(_)) => Ending::Done,
            Ok(Err(error)) => Ending::Failed(error),
            Err(_) => Ending::Failed(broken.into()),
        }
    }

    /// Moves what can be moved. An error: nothing can be written any more.
    fn poll(&mut self, context: &mut Context<'_>, mut alarm: Pin<&mut Sleep>) -> Poll<io::Result<Ending>> {
        for _ in 0..MAX_TURNS {
            self.expire(context, alarm.as_mut());
            let read = self.read(context);
            let write = self.write(context);
            match (read, write) {
                (Poll::Ready(Ok(false)), _) => return Poll::Ready(Ok(Ending::Done)),
                (Poll::Ready(Err(error)), _) => {
                    return Poll::Ready(Ok(Ending::Failed(self.say_why(context, error))));
                }
                (Poll::Pending, Poll::Ready(Err(broken))) => return Poll::Ready(Err(broken)),
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
        if std::mem::take(&mut self.held) {
            return Poll::Ready(self.handle_frames().map_err(Into::into));
        }
        let mut buffer = ReadBuf::new(self.decoder.space());
        let read = ready!(Pin::new(&mut self.io).poll_read(context, &mut buffer));
        let count = buffer.filled().len();
        read.map_err(|error| LinkError::from_read(error, &self.decoder))?;
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

    /// Ends calls whose time has run out, and sees to it that the alarm goes off in time for the
    /// next. One that goes off too early is set again then: that is cheaper than for every call.
    fn expire(&mut self, context: &mut Context<'_>, mut alarm: Pin<&mut Sleep>) {
        let mut shared = self.link.lock();
        let shared = &mut *shared;
        while let Some(event) = shared.connection.expire(self.link.now()) {
            self.handler.event(event, &mut shared.connection);
        }
        let Some(deadline) = shared.connection.next_deadline() else { return };
        let deadline = self.link.started + deadline;
        if deadline < alarm.deadline() || alarm.is_elapsed() {
            alarm.as_mut().reset(deadline);
        }
        if alarm.poll(context).is_ready() {
            context.waker().wake_by_ref();
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
