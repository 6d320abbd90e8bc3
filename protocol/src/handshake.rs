//! Handshake: from the first byte to READY.
//!
//! Each side sends the preface, then its HELLO (the side that dials first), then, where a secret
//! is shared, a proof: HMAC-SHA256 under the secret over a label of the direction and all bytes
//! that went either way before (decisions W8). The secret never crosses the wire, and a recorded
//! proof fits no other connection since both nonces are under it.
//!
//! The driver feeds bytes and keeps the time limit ([`crate::limits::HANDSHAKE_TIME`]).

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::Serialize;
use sha2::Sha256;

use crate::codec::from_json;
use crate::decoder::Decoder;
use crate::frame::{Frame, Header};
use crate::hello::{AuthKind, Hello, Refused, Session, agree};
use crate::ids::SessionId;
use crate::kind::Kind;
use crate::limits::MAX_HANDSHAKE;
use crate::peer_error::PeerError;
use crate::printable::Words;

/// The first bytes of each side. The CR LF shows a channel that mends line ends.
pub const PREFACE: [u8; 8] = *b"OUTRGR\r\n";

/// A secret that both ends of a connection know.
#[derive(Clone)]
pub struct Secret(pub [u8; 32]);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Why a handshake failed. The connection must end; what [`Handshake::output`] still holds
/// (a REFUSED) should be sent first.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// The peer broke a rule.
    #[error(transparent)]
    Peer(#[from] PeerError),
    /// The two ends do not fit, in this side's words.
    #[error("{} ({})", .0.reason, .0.hint)]
    Unfit(Refused),
    /// The two ends do not fit, in the peer's words.
    #[error("the other end refused, and says: {} ({})", Words(&.0.reason), Words(&.0.hint))]
    Refused(Refused),
    /// The peer does not know the secret.
    #[error("the other end does not know the secret of this connection")]
    Proof,
}

#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum Step {
    Preface,
    Hello,
    Proof,
}

/// One side's handshake.
#[derive(Debug)]
pub struct Handshake {
    dials: bool,
    step: Step,
    ours: Hello,
    secret: Option<Secret>,
    session: Option<Session>,
    sent: Vec<u8>,
    received: Vec<u8>,
    output: Vec<u8>,
}

impl Handshake {
    /// The side that dials (a plugin host): speaks first.
    #[must_use]
    pub fn dial(ours: Hello, secret: Option<Secret>) -> Self {
        let mut handshake = Self::new(true, ours, secret);
        handshake.send_hello(Kind::HELLO);
        handshake
    }

    /// The side that listens (the broker): names the session.
    #[must_use]
    pub fn listen(ours: Hello, secret: Option<Secret>, session: SessionId) -> Self {
        Self::new(false, Hello { session: Some(session), ..ours }, secret)
    }

    fn new(dials: bool, ours: Hello, secret: Option<Secret>) -> Self {
        let auth = if secret.is_some() { AuthKind::Hmac } else { AuthKind::Inherited };
        Self {
            dials,
            step: Step::Preface,
            ours: Hello { auth, ..ours },
            secret,
            session: None,
            sent: Vec::new(),
            received: Vec::new(),
            output: Vec::new(),
        }
    }

    /// Bytes to send now; empty when there are none.
    pub fn output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    /// Looks at what has come. `Some` once the handshake is over: what the decoder still holds
    /// belongs to the connection.
    ///
    /// # Errors
    /// See [`HandshakeError`]. At worst a hostile peer costs 64 KiB and the driver's time limit.
    pub fn receive(&mut self, input: &mut Decoder) -> Result<Option<Session>, HandshakeError> {
        if self.step == Step::Preface && !self.receive_preface(input)? {
            return Ok(None);
        }
        while let Some(frame) = input.next_frame()? {
            self.remember(frame)?;
            if let Some(session) = self.receive_frame(frame)? {
                return Ok(Some(session));
            }
        }
        self.check_size(input.peek().len()).map(|()| None).map_err(Into::into)
    }

    /// Whether `more` bytes are within what may come before READY.
    fn check_size(&self, more: usize) -> Result<(), PeerError> {
        let total = self.received.len() + more;
        if total <= MAX_HANDSHAKE {
            return Ok(());
        }
        let actual = u32::try_from(total).unwrap_or(u32::MAX);
        Err(PeerError::FrameTooLarge { kind: Kind::HELLO, actual, limit: MAX_HANDSHAKE })
    }

    fn receive_preface(&mut self, input: &mut Decoder) -> Result<bool, HandshakeError> {
        let here = input.peek();
        let common = here.len().min(PREFACE.len());
        if here.get(..common) != PREFACE.get(..common) {
            let beginning = here.get(..here.len().min(32)).unwrap_or_default();
            return Err(PeerError::Preface(beginning.escape_ascii().to_string()).into());
        }
        let Some(preface) = input.take(PREFACE.len()) else { return Ok(false) };
        self.received.extend_from_slice(preface);
        self.step = Step::Hello;
        Ok(true)
    }

    /// Keeps the bytes that the peer's proof, or ours, will be taken over.
    fn remember(&mut self, frame: Frame<'_>) -> Result<(), PeerError> {
        self.check_size(frame.header.body_len as usize)?;
        if frame.header.handles != 0 {
            return Err(PeerError::Handles("with a frame of the handshake"));
        }
        if frame.header.kind != Kind::PROOF {
            self.received.extend_from_slice(&frame.header.encode());
            self.received.extend_from_slice(frame.ext);
            self.received.extend_from_slice(frame.body);
        }
        Ok(())
    }

    fn receive_frame(&mut self, frame: Frame<'_>) -> Result<Option<Session>, HandshakeError> {
        let kind = frame.header.kind;
        let hello = if self.dials { Kind::HELLO_OK } else { Kind::HELLO };
        match (self.step, kind) {
            (_, Kind::REFUSED) => Err(HandshakeError::Refused(json(kind, frame.body)?)),
            (Step::Hello, _) if kind == hello => self.receive_hello(&json(kind, frame.body)?),
            (Step::Proof, Kind::PROOF) => self.receive_proof(frame.body).map(Some),
            _ => Err(PeerError::Unexpected(kind).into()),
        }
    }

    fn receive_hello(&mut self, theirs: &Hello) -> Result<Option<Session>, HandshakeError> {
        let session = self.check(theirs).map_err(|refused| self.refuse(refused))?;
        if !self.dials {
            self.send_hello(Kind::HELLO_OK);
        }
        if self.secret.is_none() {
            return Ok(Some(session));
        }
        self.session = Some(session);
        self.step = Step::Proof;
        if self.dials {
            self.send_proof();
        }
        Ok(None)
    }

    fn check(&self, theirs: &Hello) -> Result<Session, Refused> {
        if theirs.auth != self.ours.auth {
            return Err(Refused {
                reason: format!(
                    "this end proves itself by {:?}, the other by {:?}",
                    self.ours.auth, theirs.auth
                ),
                hint: "a host that dials by name must use the token that it was given".into(),
            });
        }
        let id = self.ours.session.or(theirs.session).ok_or_else(|| Refused {
            reason: "the side that listens named no session".into(),
            hint: "put a UUID under `session` in HELLO_OK".into(),
        })?;
        agree(&self.ours, theirs, self.dials, id)
    }

    fn receive_proof(&mut self, proof: &[u8]) -> Result<Session, HandshakeError> {
        let label = if self.dials { LISTENER } else { DIALLER };
        let valid = self.mac(label).is_some_and(|mac| mac.verify_slice(proof).is_ok());
        if !valid {
            self.send_json(Kind::REFUSED, &wrong_proof());
            return Err(HandshakeError::Proof);
        }
        if !self.dials {
            self.send_proof();
        }
        self.session.take().ok_or_else(|| PeerError::Unexpected(Kind::PROOF).into())
    }

    fn refuse(&mut self, refused: Refused) -> HandshakeError {
        if self.sent.is_empty() {
            self.output.extend_from_slice(&PREFACE);
        }
        self.send_json(Kind::REFUSED, &refused);
        HandshakeError::Unfit(refused)
    }

    fn send_hello(&mut self, kind: Kind) {
        self.output.extend_from_slice(&PREFACE);
        self.sent.extend_from_slice(&PREFACE);
        let hello = self.ours.clone();
        self.send_json(kind, &hello);
    }

    fn send_json<T: Serialize>(&mut self, kind: Kind, value: &T) {
        // Serialising our own plain structures cannot fail.
        let body = serde_json::to_vec(value).unwrap_or_default();
        let frame = whole_frame(kind, &body);
        self.sent.extend_from_slice(&frame);
        self.output.extend_from_slice(&frame);
    }

    fn send_proof(&mut self) {
        let label = if self.dials { DIALLER } else { LISTENER };
        if let Some(mac) = self.mac(label) {
            let proof = mac.finalize().into_bytes();
            self.output.extend_from_slice(&whole_frame(Kind::PROOF, &proof));
        }
    }

    /// The MAC over a direction's label and both HELLOs, the dialler's first.
    fn mac(&self, label: &[u8]) -> Option<Hmac<Sha256>> {
        let secret = self.secret.as_ref()?;
        let (first, second) =
            if self.dials { (&self.sent, &self.received) } else { (&self.received, &self.sent) };
        let mut mac = Hmac::<Sha256>::new_from_slice(&secret.0).ok()?;
        mac.update(label);
        mac.update(first);
        mac.update(second);
        Some(mac)
    }
}

/// What a peer is told whose proof does not fit. It says nothing that the peer does not know.
fn wrong_proof() -> Refused {
    Refused {
        reason: "the proof does not fit: the two ends do not share a secret".into(),
        hint: "approve this end again if its key is new".into(),
    }
}

const DIALLER: &[u8] = b"outrigger proof of the dialler\0";
const LISTENER: &[u8] = b"outrigger proof of the listener\0";

/// Reads an object by its keys; one that is told by position would break with the next key.
fn json<'a, T: serde::Deserialize<'a>>(kind: Kind, body: &'a [u8]) -> Result<T, PeerError> {
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(PeerError::Body { kind, reason: "not a JSON object".into() });
    }
    from_json(body).map_err(|reason| PeerError::Body { kind, reason })
}

fn whole_frame(kind: Kind, body: &[u8]) -> Vec<u8> {
    let header = Header { body_len: u32::try_from(body.len()).unwrap_or(0), ..Header::new(kind, 0) };
    [&header.encode()[..], body].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(name: &str, nonce: u8) -> Hello {
        Hello::new(name, AuthKind::Inherited, [nonce; 32])
    }

    fn id() -> SessionId {
        SessionId(uuid::Uuid::from_u128(9))
    }

    fn feed(decoder: &mut Decoder, bytes: &[u8]) {
        for byte in bytes {
            decoder.space()[0] = *byte;
            decoder.filled(1);
        }
    }

    type Outcome = (Result<Option<Session>, HandshakeError>, Result<Option<Session>, HandshakeError>);

    /// Lets both sides talk until neither has anything to say.
    fn talk(mut plugin: Handshake, mut broker: Handshake) -> Outcome {
        let (mut to_plugin, mut to_broker) = (Decoder::new(MAX_HANDSHAKE), Decoder::new(MAX_HANDSHAKE));
        let (mut plugin_end, mut broker_end) = (Ok(None), Ok(None));
        for _ in 0..4 {
            feed(&mut to_broker, &plugin.output());
            if broker_end == Ok(None) {
                broker_end = broker.receive(&mut to_broker);
            }
            feed(&mut to_plugin, &broker.output());
            if plugin_end == Ok(None) {
                plugin_end = plugin.receive(&mut to_plugin);
            }
        }
        (plugin_end, broker_end)
    }

    #[test]
    fn an_inherited_connection_needs_two_frames() {
        let (plugin, broker) = talk(
            Handshake::dial(hello("plugin", 1), None),
            Handshake::listen(hello("broker", 2), None, id()),
        );
        assert_eq!(plugin.unwrap().unwrap().id, id());
        assert_eq!(broker.unwrap().unwrap().peer_software, "plugin");
    }

    #[test]
    fn w8_both_sides_prove_the_secret_over_all_bytes_before() {
        let secret = Some(Secret([5; 32]));
        let plugin = Handshake::dial(hello("plugin", 1), secret.clone());
        let (plugin, broker) = talk(plugin, Handshake::listen(hello("broker", 2), secret, id()));
        assert!(plugin.unwrap().is_some());
        assert!(broker.unwrap().is_some());
    }

    #[test]
    fn w8_another_secret_is_refused_before_anything_is_called() {
        let plugin = Handshake::dial(hello("plugin", 1), Some(Secret([5; 32])));
        let broker = Handshake::listen(hello("broker", 2), Some(Secret([6; 32])), id());
        let (plugin, broker) = talk(plugin, broker);
        assert_eq!(broker, Err(HandshakeError::Proof));
        // It is told, so that whoever configured it learns why.
        assert_eq!(plugin, Err(HandshakeError::Refused(wrong_proof())));
    }

    #[test]
    fn w8_a_peer_without_the_secret_is_refused_in_words() {
        let plugin = Handshake::dial(hello("plugin", 1), None);
        let broker = Handshake::listen(hello("broker", 2), Some(Secret([6; 32])), id());
        let (plugin, broker) = talk(plugin, broker);
        assert!(matches!(broker, Err(HandshakeError::Unfit(_))));
        assert!(matches!(plugin, Err(HandshakeError::Refused(_))));
    }

    #[test]
    fn w8_a_proof_recorded_from_another_connection_does_not_fit() {
        let secret = Some(Secret([5; 32]));
        let mut first = Handshake::dial(hello("plugin", 1), secret.clone());
        let mut decoder = Decoder::new(MAX_HANDSHAKE);
        let mut broker = Handshake::listen(hello("broker", 2), secret.clone(), id());
        feed(&mut decoder, &first.output());
        broker.receive(&mut decoder).unwrap();
        let mut to_plugin = Decoder::new(MAX_HANDSHAKE);
        feed(&mut to_plugin, &broker.output());
        first.receive(&mut to_plugin).unwrap();
        let recorded = first.output();

        let mut again = Handshake::listen(hello("broker", 3), secret.clone(), id());
        let mut decoder = Decoder::new(MAX_HANDSHAKE);
        feed(&mut decoder, &Handshake::dial(hello("plugin", 1), secret).output());
        again.receive(&mut decoder).unwrap();
        feed(&mut decoder, &recorded);
        assert_eq!(again.receive(&mut decoder), Err(HandshakeError::Proof));
    }

    #[test]
    fn something_else_on_the_line_is_named() {
        let mut broker = Handshake::listen(hello("broker", 2), None, id());
        let mut decoder = Decoder::new(MAX_HANDSHAKE);
        feed(&mut decoder, b"Hello, world\n");
        let error = broker.receive(&mut decoder).unwrap_err();
        assert!(error.to_string().contains("Hello, world"), "{error}");
    }

    #[test]
    fn w8_no_more_than_64_kib_before_ready() {
        let mut broker = Handshake::listen(hello("broker", 2), None, id());
        let mut decoder = Decoder::new(MAX_HANDSHAKE);
        feed(&mut decoder, &PREFACE);
        let header = Header { body_len: 65_536, ..Header::new(Kind::HELLO, 0) };
        feed(&mut decoder, &header.encode());
        let mut sent = 0;
        let error = loop {
            feed(&mut decoder, &[b' '; 1024]);
            sent += 1024;
            if let Err(error) = broker.receive(&mut decoder) {
                break error;
            }
        };
        assert!(matches!(error, HandshakeError::Peer(PeerError::FrameTooLarge { .. })), "{error}");
        assert!(sent <= 66 << 10);
    }
}
