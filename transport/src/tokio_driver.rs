//! The task of a connection: reads, keeps the clocks, and writes what callers did not.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use outrigger_protocol::{Connection, Decoder, Event, PeerError};
use tokio::io::{AsyncRead as _, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use crate::error::LinkError;
use crate::tokio_held::lock;
use crate::tokio_shared::Shared;

/// Reads without a pause before other tasks get their turn.
const MAX_TURNS: usize = 32;

/// How long a peer that reads no more may take to end the connection.
const LAST_FRAMES: Duration = Duration::from_secs(1);

/// As good as never, where a deadline lies beyond the clock's range.
const NEVER: Duration = Duration::from_secs(1 << 31);

/// What is done with events. Runs in the driver's task: it must not wait, and it works on the
/// connection that it is given: [`crate::Link::with`] on its own link panics.
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

pub(crate) struct Driver<C: Send + 'static, H: Handler<C>> {
    shared: Arc<Mutex<Shared<C>>>,
    inbound: Inbound<H>,
    /// Why the connection ended, for the calls that it takes with it.
    why: String,
}

/// Whatever ends the driver, every open call ends with it, and none can be made any more.
impl<C: Send + 'static, H: Handler<C>> Drop for Driver<C, H> {
    fn drop(&mut self) {
        let mut shared = lock(&self.shared);
        shared.io = None;
        shared.handles.clear();
        shared.connection.goodbye();
        while let Some(event) = shared.connection.lost(&self.why) {
            if !std::thread::panicking() {
                self.inbound.handler.event(event, &mut shared.connection);
            }
        }
    }
}

impl<C: Send + 'static, H: Handler<C>> Driver<C, H> {
    pub(crate) fn new(shared: Arc<Mutex<Shared<C>>>, started: Instant, decoder: Decoder, handler: H) -> Self {
        let held = decoder.is_mid_frame();
        let why = "the connection was given up".to_owned();
        Self { shared, inbound: Inbound { decoder, held, handler, started, ends: 0 }, why }
    }

    pub(crate) async fn run(mut self) -> Ending {
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
                match ready!(self.inbound.read(&mut lock(&self.shared), context)) {
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
        let Self { shared, inbound, .. } = self;
        inbound.ends = 0;
        for _ in 0..MAX_TURNS {
            let mut shared = lock(shared);
            let read = inbound.read(&mut shared, context);
            if read.is_pending() {
                inbound.expire(&mut shared);
            }
            let write = shared.write(context);
            match (read, write) {
                (Poll::Ready(Ok(false)), _) => return Poll::Ready(Ok(Ending::Done)),
                (Poll::Ready(Err(error)), _) => {
                    return Poll::Ready(Ok(Ending::Failed(say_why(&mut shared, context, error))));
                }
                (Poll::Pending, Poll::Ready(Err(broken))) => return Poll::Ready(Err(broken)),
                (Poll::Ready(Ok(true)), _) => {} // also after a failed write: take in what is left
                (Poll::Pending, _) => {
                    inbound.set_alarm(&mut shared, context, alarm.as_mut());
                    shared.rest(context.waker(), inbound.ends > 1);
                    return Poll::Pending;
                }
            }
        }
        inbound.expire(&mut lock(shared));
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

/// What comes in, and the clocks that run meanwhile.
struct Inbound<H> {
    decoder: Decoder,
    /// Frames came together with the end of the handshake.
    held: bool,
    handler: H,
    started: Instant,
    /// Calls that ended in this turn of the task: as many callers are about to say more.
    ends: usize,
}

impl<H> Inbound<H> {
    /// Reads once and handles all frames that have come. False: the connection is over.
    fn read<C>(&mut self, shared: &mut Shared<C>, context: &mut Context<'_>) -> Poll<Result<bool, LinkError>>
    where
        H: Handler<C>,
    {
        let Some(io) = shared.io.as_mut().filter(|_| !shared.closing) else {
            return Poll::Ready(Ok(false));
        };
        if !std::mem::take(&mut self.held) {
            let mut buffer = ReadBuf::new(self.decoder.space());
            let read = ready!(Pin::new(io).poll_read(context, &mut buffer));
            let count = buffer.filled().len();
            read.map_err(|error| LinkError::from_read(error, &self.decoder))?;
            if count == 0 {
                let mid_frame = self.decoder.is_mid_frame();
                return Poll::Ready(Err(LinkError::Closed { mid_frame }));
            }
            self.decoder.filled(count);
        }
        Poll::Ready(self.handle_frames(&mut shared.connection).map_err(Into::into))
    }

    fn handle_frames<C>(&mut self, connection: &mut Connection<C>) -> Result<bool, PeerError>
    where
        H: Handler<C>,
    {
        let now = self.started.elapsed();
        while let Some(frame) = self.decoder.next_frame()? {
            let Some(event) = connection.receive(frame, now)? else { continue };
            if matches!(event, Event::Closed) {
                return Ok(false);
            }
            self.ends += usize::from(matches!(event, Event::Reply { .. } | Event::Failed { .. }));
            let goodbye = matches!(event, Event::Goodbye);
            self.handler.event(event, connection);
            while goodbye && let Some(event) = connection.not_accepted() {
                self.handler.event(event, connection);
            }
        }
        Ok(true)
    }

    /// Ends calls whose time has run out.
    fn expire<C>(&mut self, shared: &mut Shared<C>)
    where
        H: Handler<C>,
    {
        let now = self.started.elapsed();
        while let Some(event) = shared.connection.expire(now) {
            self.handler.event(event, &mut shared.connection);
        }
    }

    /// Sees to it that the alarm goes off in time for the next deadline. One that goes off too early
    /// is set again then: that is cheaper than for every call.
    fn set_alarm<C>(&self, shared: &mut Shared<C>, context: &mut Context<'_>, mut alarm: Pin<&mut Sleep>) {
        if alarm.is_elapsed() {
            shared.alarm = None;
        }
        if shared.is_alarm_late()
            && let Some(next) = shared.connection.next_deadline()
        {
            let at = self.started.checked_add(next);
            alarm.as_mut().reset(at.unwrap_or_else(|| Instant::now() + NEVER));
            shared.alarm = Some(next);
        }
        if shared.alarm.is_some() && alarm.poll(context).is_ready() {
            context.waker().wake_by_ref();
        }
    }
}

/// Tells the peer which rule it broke, as far as it still reads.
fn say_why<C>(shared: &mut Shared<C>, context: &mut Context<'_>, error: LinkError) -> LinkError {
    if let LinkError::Peer(broken) = &error {
        shared.connection.abort(broken);
        let _told = shared.write(context);
    }
    error
}
