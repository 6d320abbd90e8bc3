//! The state of one side of a connection, and its way out.

use std::io::IoSlice;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::control::{Abort, Goodbye};
use crate::error::{Blame, Code, Effect, Error};
use crate::frame::Header;
use crate::hello::{Limits, Session};
use crate::idle::IdleTimes;
use crate::ids::CallId;
use crate::kind::Kind;
use crate::limits::{MAX_DATA, REPLY_BYTES};
use crate::outbound::Outbound;
use crate::peer_error::PeerError;
use crate::pending::{Clock, Ended, PendingCalls};
use crate::stream::{Receiving, Sending, fill};
use crate::{codec::Codec, number, text};

use super::event::{EndedBy, Event};
use super::open_calls::OpenCalls;
use super::token_bucket::TokenBucket;

/// Bytes of automatic answers (PONG, CREDIT, …) that may wait for a peer that does not read: 1 MiB.
/// A peer that waits for answers never makes as many.
const MAX_AUTOMATIC: usize = 1 << 20;

/// Most text of an ABORT: what a peer said may be quoted in it.
const MAX_REASON: usize = 1 << 10;

/// Log lines and progress, and notices, that are listened to: a second, and at once after a
/// silence (decisions W6).
const CHATTER_RATE: u32 = 1000;
const CHATTER_BURST: u32 = 2000;

/// Which side of the connection this is. Decides the parity of numbers, whoever dialled
/// (decisions W4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Odd numbers.
    Broker,
    /// Even numbers.
    Plugin,
}

/// What was dropped, for logs and tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Answers and progress of calls that were over.
    pub late: u64,
    /// Bytes of data for streams that were over.
    pub discarded: u64,
    /// Frames of an unknown kind.
    pub skipped: u64,
    /// Log lines, progress and notices above the rate that is listened to.
    pub throttled: u64,
}

/// One side of a connection. `C` is what a caller stores with a call.
#[derive(Debug)]
pub struct Connection<C> {
    /// The next number of this side.
    pub(super) next: u64,
    /// The highest number of the peer so far.
    pub(super) peer_highest: u64,
    pub(super) codec: Codec,
    pub(super) peer_level: u8,
    /// Whether both sides pass descriptors.
    pub(super) handles: bool,
    pub(super) own: Limits,
    pub(super) peer: Limits,
    /// How long calls of this side may stay silent, as the peer was told.
    pub(super) idle: IdleTimes,
    pub(super) out: Outbound,
    pub(super) pending: PendingCalls<C>,
    /// What the answers to them may take together.
    pub(super) reply_bytes: u64,
    pub(super) serving: OpenCalls,
    pub(super) sending: Vec<Sending>,
    pub(super) receiving: Vec<Receiving>,
    /// Replies that wait behind the data of their own call (decisions W1).
    pub(super) held: Vec<(CallId, Zeroizing<Vec<u8>>)>,
    /// Bytes of data sent, and how far all streams may go.
    pub(super) data_sent: u64,
    pub(super) data_limit: u64,
    /// Bytes of data received, consumed and granted, over all streams.
    pub(super) data_received: u64,
    pub(super) data_consumed: u64,
    pub(super) data_granted: u64,
    /// What the peer may still say unasked.
    pub(super) chatter: TokenBucket,
    /// The same for notices of a change: a talkative log must not cost one.
    pub(super) notices: TokenBucket,
    pub(super) said_goodbye: bool,
    pub(super) heard_goodbye: bool,
    pub(super) answered_goodbye: bool,
    /// From the peer's GOODBYE: calls above this number were not started.
    pub(super) not_accepted_above: Option<u64>,
    /// What was dropped so far.
    pub counters: Counters,
}

impl<C> Connection<C> {
    /// A connection whose handshake is over.
    #[must_use]
    pub fn new(role: Role, session: &Session) -> Self {
        let (next, peer_highest) = match role {
            Role::Broker => (1, 0),
            Role::Plugin => (2, 0),
        };
        let (own, peer) = (session.own_limits, session.peer_limits);
        Self {
            next,
            peer_highest,
            codec: session.codec,
            peer_level: session.peer_level,
            handles: session.has_handles(),
            own,
            peer,
            idle: session.own_idle.clone(),
            out: Outbound::default(),
            pending: PendingCalls::new(peer.dispatch_window as usize),
            reply_bytes: REPLY_BYTES,
            serving: OpenCalls::default(),
            sending: Vec::new(),
            receiving: Vec::new(),
            held: Vec::new(),
            data_sent: 0,
            data_limit: peer.connection_window,
            data_received: 0,
            data_consumed: 0,
            data_granted: own.connection_window,
            chatter: TokenBucket::new(CHATTER_RATE, CHATTER_BURST),
            notices: TokenBucket::new(CHATTER_RATE, CHATTER_BURST),
            said_goodbye: false,
            heard_goodbye: false,
            answered_goodbye: false,
            not_accepted_above: None,
            counters: Counters::default(),
        }
    }

    /// Which side this is.
    pub(super) const fn role(&self) -> Role {
        if self.next % 2 == 1 { Role::Broker } else { Role::Plugin }
    }

    /// How bodies are encoded.
    #[must_use]
    pub const fn codec(&self) -> Codec {
        self.codec
    }

    /// A fresh number of this side.
    pub(super) fn number(&mut self) -> u64 {
        let number = self.next;
        self.next += 2;
        number
    }

    /// Whether this side ever gave out `number`.
    pub(super) const fn issued(&self, number: u64) -> bool {
        number % 2 == self.next % 2 && number < self.next && number != 0
    }

    /// Whether `number` is one that the peer gave out before.
    pub(super) const fn peer_issued(&self, number: u64) -> bool {
        number % 2 != self.next % 2 && number <= self.peer_highest && number != 0
    }

    /// Takes a new number of the peer: of its parity, above all before it (decisions W4), and one
    /// that bodies in JSON can name.
    pub(super) const fn peer_number(&mut self, number: u64) -> Result<(), PeerError> {
        if number % 2 == self.next % 2 || number <= self.peer_highest || number > number::MAX {
            return Err(PeerError::BadNumber(number));
        }
        self.peer_highest = number;
        Ok(())
    }

    /// The next bytes to write that lie together; empty when there is nothing to send. Call
    /// [`Connection::wrote`] with what was written.
    pub fn output(&mut self) -> &[u8] {
        self.prepare_output();
        self.out.bytes()
    }

    /// The call with whose answer the next output begins, if a descriptor rides with that: it must
    /// go with the first byte, and with no byte before (decisions W10).
    pub fn output_handle(&mut self) -> Option<CallId> {
        self.prepare_output();
        self.out.handle().map(CallId)
    }

    /// All bytes to write now, as many runs as `slices` has room for; returns how many that are, 0
    /// when there is nothing to send. Call [`Connection::wrote`] with what was written.
    pub fn output_slices<'a>(&'a mut self, slices: &mut [IoSlice<'a>]) -> usize {
        self.prepare_output();
        self.out.slices(slices)
    }

    /// All frames that are ready: calls first, then at most 64 KiB of data, so that a transfer
    /// delays a call by one such batch.
    fn prepare_output(&mut self) {
        if self.out.is_drained() {
            self.release_held();
            let writing = self.out.turn();
            let room = MAX_DATA.saturating_sub(writing.len());
            fill(&mut self.sending, &mut self.data_sent, self.data_limit, writing, room);
        }
    }

    /// `count` bytes of [`Connection::output`] are on their way.
    pub fn wrote(&mut self, count: usize) {
        self.out.wrote(count);
    }

    /// Whether nothing waits to be written (data without credit apart).
    #[must_use]
    pub fn is_flushed(&self) -> bool {
        self.out.is_empty() && !self.can_send_data() && !self.can_release()
    }

    /// Appends a frame that is not DATA.
    pub(super) fn send<T: serde::Serialize + ?Sized>(&mut self, header: Header, body: &T) {
        let codec = self.codec; // our own small bodies always fit a frame
        let _fits = self.out.frame(header, |out| codec.encode(body, out));
    }

    /// Appends a frame with a raw body, as an automatic answer: a peer that makes us queue
    /// without reading is cut off.
    pub(super) fn send_raw(&mut self, header: Header, body: &[u8]) -> Result<(), PeerError> {
        if self.out.automatic() > MAX_AUTOMATIC {
            return Err(PeerError::NotReading);
        }
        let _fits = self.out.frame(header, |out| {
            out.extend_from_slice(body);
            Ok(())
        });
        self.out.count_automatic(body.len());
        Ok(())
    }

    /// Asks whether the peer is there; the answer is [`Event::Pong`]. A peer that works on a call
    /// may answer late.
    pub fn ping(&mut self) {
        self.ping_as(0);
    }

    /// As [`Connection::ping`], with a number that comes back. One that the peer cannot guess proves
    /// that it has read what was sent before.
    pub fn ping_as(&mut self, number: u64) {
        let _fits = self.out.frame(Header::new(Kind::PING, number), |_| Ok(()));
    }

    /// Says that this side makes no more calls and takes no more; what was accepted is finished
    /// (decisions W9).
    pub fn goodbye(&mut self) {
        if !self.said_goodbye {
            self.said_goodbye = true;
            let last_accepted = self.serving.highest;
            self.send(Header::new(Kind::GOODBYE, 0), &Goodbye { last_accepted });
        }
    }

    /// Says which rule the peer broke; to be sent before closing.
    pub fn abort(&mut self, error: &PeerError) {
        let reason = error.to_string();
        let reason = text::front(&reason, MAX_REASON).to_owned();
        self.send(Header::new(Kind::ABORT, 0), &Abort { reason });
    }

    /// When [`Connection::expire`] has something to do.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        self.pending.next_deadline()
    }

    /// Ends one call whose time has run out, and asks the peer to stop it; call until `None`.
    /// `now` is the time since any fixed moment, never going back.
    pub fn expire(&mut self, now: Duration) -> Option<Event<'static, C>> {
        let (ended, clock) = self.pending.expire(now)?;
        let held = self.give_up(ended.id);
        self.answer_goodbye();
        let (code, text) = match clock {
            Clock::Total => (Code::DEADLINE, "not answered in time"),
            Clock::Idle => (Code::IDLE_TIMEOUT, "no sign of life in time"),
        };
        let effect = if held { Effect::NotStarted } else { Effect::Unknown };
        let error = Error::new(code, format!("{}: {text}", ended.method)).with_effect(effect);
        Some(failed(ended, error, EndedBy::Time))
    }

    /// Takes a call back, or asks the peer to stop it; says whether nothing of it had left.
    pub(super) fn give_up(&mut self, id: CallId) -> bool {
        let held = self.out.take_back(id.0);
        if held {
            self.pending.unstick(id); // no late answer will come for it
        } else {
            self.send(Header::new(Kind::CANCEL, id.0), &());
        }
        self.reset_streams(id);
        held
    }

    /// Ends one open call because the connection is over; call until `None`. A call of which
    /// nothing had left was not started; of the others nobody knows.
    pub fn lost(&mut self, why: &str) -> Option<Event<'static, C>> {
        let ended = self.pending.take_above(0)?;
        let effect = if self.out.holds(ended.id.0) { Effect::NotStarted } else { Effect::Unknown };
        let text = format!("{}: {why}", ended.method);
        let error = Error::new(Code::DISCONNECTED, text).by(Blame::Plugin).with_effect(effect);
        Some(failed(ended, error, EndedBy::Connection))
    }
}

/// The event of a call that failed.
pub(super) fn failed<C>(ended: Ended<C>, error: Error, by: EndedBy) -> Event<'static, C> {
    Event::Failed { call: ended.id, context: ended.context, error, by }
}
