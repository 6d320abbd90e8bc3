//! The driver for one thread without a runtime: a connection machine over a [`Carrier`].

use std::io::{self, IoSlice};
use std::time::{Duration, Instant};

use outrigger_protocol::{Connection, Decoder, Event, Handshake, PeerError, Role, Session, limits};

use crate::carrier::{Carrier, MAX_RUNS, Wait};
use crate::error::LinkError;
use crate::handles::{Arrivals, Handle};

/// How long a peer may take none of the bytes that it is sent.
const MAX_STALL: Duration = Duration::from_secs(30);

/// One connection, driven by whoever calls. `C` is what is stored with a call.
pub struct BlockingLink<C> {
    carrier: Box<dyn Carrier>,
    decoder: Decoder,
    connection: Connection<C>,
    session: Session,
    started: Instant,
    /// Descriptors that have come, on a connection that passes them.
    arrivals: Option<Arrivals>,
}

impl<C> std::fmt::Debug for BlockingLink<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlockingLink").field("session", &self.session.id).finish_non_exhaustive()
    }
}

impl<C> BlockingLink<C> {
    /// Makes a connection: runs the handshake within its time limit.
    ///
    /// # Errors
    /// The ends do not fit, or the other end is silent for 10 s.
    pub fn establish(
        mut carrier: Box<dyn Carrier>,
        mut handshake: Handshake,
        role: Role,
    ) -> Result<Self, LinkError> {
        let started = Instant::now();
        let mut decoder = Decoder::new(limits::MAX_BODY);
        let session = loop {
            let agreed = handshake.receive(&mut decoder);
            let left = limits::HANDSHAKE_TIME.saturating_sub(started.elapsed());
            let sent = write_all(&mut *carrier, &handshake.output(), left);
            if let Some(session) = agreed? {
                sent?;
                break session;
            }
            sent?;
            let left = limits::HANDSHAKE_TIME.saturating_sub(started.elapsed());
            read_more(&mut *carrier, &mut decoder, Wait::For(left))?;
        };
        let connection = Connection::new(role, &session);
        let arrivals = session.has_handles().then(|| Arrivals::new(decoder.peek().len()));
        Ok(Self { carrier, decoder, connection, session, started, arrivals })
    }

    /// What the handshake agreed on.
    pub const fn session(&self) -> &Session {
        &self.session
    }

    /// The machine: make calls, answer them; then [`BlockingLink::flush`].
    pub const fn connection(&mut self) -> &mut Connection<C> {
        &mut self.connection
    }

    /// The time that the machine goes by.
    pub fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Writes all that is ready. While the other side does not read, what it sends is taken in, so
    /// that two ends never wait for each other: at most what it may send without being answered.
    ///
    /// # Errors
    /// The connection is over; [`LinkError::Stalled`]: the other side has not taken a byte for 30 s.
    pub fn flush(&mut self) -> Result<(), LinkError> {
        let mut stalled = None;
        loop {
            let mut runs = [IoSlice::new(&[]); MAX_RUNS];
            let used = self.connection.output_slices(&mut runs);
            let written = match runs.get(..used).unwrap_or_default() {
                [] => return Ok(()),
                [run] => self.carrier.try_write(run),
                runs => self.carrier.try_write_vectored(runs),
            };
            match written {
                Ok(count) => {
                    self.connection.wrote(count);
                    stalled = None;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let since = *stalled.get_or_insert_with(Instant::now);
                    self.wait_for_room(MAX_STALL.saturating_sub(since.elapsed()))?;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn wait_for_room(&mut self, left: Duration) -> Result<(), LinkError> {
        let may_read = self.decoder.peek().len() < self.most_unanswered();
        match self.carrier.wait_writable(left, may_read) {
            Err(error) if error.kind() == io::ErrorKind::TimedOut => Err(LinkError::Stalled(MAX_STALL)),
            Err(error) => Err(error.into()),
            Ok(()) if left.is_zero() => Err(LinkError::Stalled(MAX_STALL)),
            Ok(()) if may_read => self.read(Wait::No).map(|_| ()),
            Ok(()) => Ok(()),
        }
    }

    /// Bytes that the other side may send while this side says nothing, by the limits that it was
    /// told: calls and data, and half as much again for the frames around them.
    fn most_unanswered(&self) -> usize {
        let own = &self.session.own_limits;
        let most = own.call_bytes.saturating_add(own.max_body.into()).saturating_add(own.connection_window);
        usize::try_from(most.saturating_add(most / 2)).unwrap_or(usize::MAX)
    }

    /// Reads once, as `wait` says, unless a whole frame is here already. Returns whether there may
    /// be events.
    ///
    /// # Errors
    /// The connection is over.
    pub fn take_in(&mut self, wait: Wait) -> Result<bool, LinkError> {
        // What a flush took in, or came with the handshake, must not be waited for once more.
        if self.decoder.has_frame() {
            return Ok(true);
        }
        self.read(wait)
    }

    fn read(&mut self, wait: Wait) -> Result<bool, LinkError> {
        let read = match &mut self.arrivals {
            None => read_more(&mut *self.carrier, &mut self.decoder, wait),
            Some(arrivals) => read_with_handles(&mut *self.carrier, &mut self.decoder, arrivals, wait),
        };
        match read {
            Ok(()) => Ok(true),
            Err(LinkError::Peer(broken)) => Err(self.say_why(broken)),
            Err(LinkError::Io(error))
                if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) =>
            {
                Ok(false)
            }
            Err(LinkError::HandshakeTime) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Hands every frame that has come to `each`, as events. Descriptors that come are closed.
    ///
    /// # Errors
    /// The other side broke a rule; it was told which, as far as it still reads.
    pub fn events(
        &mut self,
        mut each: impl FnMut(Event<'_, C>, &mut Connection<C>),
    ) -> Result<(), LinkError> {
        self.events_with_handles(|event, _closed, connection| each(event, connection))
    }

    /// As [`BlockingLink::events`], each event with the descriptor that came with its frame.
    ///
    /// # Errors
    /// As [`BlockingLink::events`].
    pub fn events_with_handles(
        &mut self,
        mut each: impl FnMut(Event<'_, C>, Option<Handle>, &mut Connection<C>),
    ) -> Result<(), LinkError> {
        let now = self.started.elapsed();
        while self.next_event(now, &mut each).map_err(|broken| self.say_why(broken))? {}
        Ok(())
    }

    /// Hands one frame over. False: there is none that is whole.
    fn next_event(
        &mut self,
        now: Duration,
        each: &mut impl FnMut(Event<'_, C>, Option<Handle>, &mut Connection<C>),
    ) -> Result<bool, PeerError> {
        let untaken = self.decoder.peek().len();
        let Some(frame) = self.decoder.next_frame()? else {
            let is_mid_frame = self.decoder.is_mid_frame();
            return self.arrivals.as_ref().map_or(Ok(()), |some| some.rest(is_mid_frame)).map(|()| false);
        };
        let handle = match &mut self.arrivals {
            Some(arrivals) => arrivals.claim(frame.header.handles, untaken)?,
            None => None,
        };
        if let Some(event) = self.connection.receive(frame, now)? {
            each(event, handle, &mut self.connection);
        }
        Ok(true)
    }

    /// Tells the other side which rule it broke, as far as it still reads.
    fn say_why(&mut self, broken: PeerError) -> LinkError {
        self.connection.abort(&broken);
        let _told = self.carrier.try_write(self.connection.output());
        broken.into()
    }
}

fn write_all(carrier: &mut dyn Carrier, mut bytes: &[u8], limit: Duration) -> Result<(), LinkError> {
    let begun = Instant::now();
    while !bytes.is_empty() {
        match carrier.try_write(bytes) {
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let left = limit.saturating_sub(begun.elapsed());
                carrier.wait_writable(left, false).map_err(handshake_time)?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn read_more(carrier: &mut dyn Carrier, decoder: &mut Decoder, wait: Wait) -> Result<(), LinkError> {
    match carrier.read(decoder.space(), wait) {
        Ok(0) => Err(LinkError::Closed { mid_frame: decoder.is_mid_frame() }),
        Ok(count) => {
            decoder.filled(count);
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::TimedOut => Err(LinkError::HandshakeTime),
        Err(error) => Err(LinkError::from_read(error, decoder)),
    }
}

fn read_with_handles(
    carrier: &mut dyn Carrier,
    decoder: &mut Decoder,
    arrivals: &mut Arrivals,
    wait: Wait,
) -> Result<(), LinkError> {
    let mut brought = Vec::new(); // which costs nothing while it is empty
    match carrier.read_with_handles(decoder.space(), wait, &mut brought) {
        Ok(0) => Err(LinkError::Closed { mid_frame: decoder.is_mid_frame() }),
        Ok(count) => {
            decoder.filled(count);
            Ok(arrivals.came(count, brought)?)
        }
        Err(error) => Err(LinkError::from_read(error, decoder)),
    }
}

fn handshake_time(error: io::Error) -> LinkError {
    if error.kind() == io::ErrorKind::TimedOut { LinkError::HandshakeTime } else { error.into() }
}
