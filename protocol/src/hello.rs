//! HELLO: what each side can do, as JSON, and what follows for both.
//!
//! JSON whatever the codec, so that peers of any age read each other's. Unknown keys are ignored
//! here and nowhere else. The protocol's number is independent of the product's version.

use serde::{Deserialize, Serialize};

use crate::blob;
use crate::codec;
use crate::ids::SessionId;
use crate::limits;

/// The protocol that this build speaks. Vectors may still change below 1.0.
pub const VERSION: Version = Version { major: 0, minor: 9 };

/// Deepest nesting of JSON accepted in a handshake.
const MAX_DEPTH: usize = 16;

/// A protocol number. Another major cannot talk; the lower minor is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Version {
    /// Breaks when it changes.
    pub major: u16,
    /// Only adds.
    pub minor: u16,
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// What a receiver takes; each side announces its own (decisions W8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Largest body of a frame, in bytes.
    pub max_body: u32,
    /// Unanswered calls.
    pub max_calls: u32,
    /// Bytes of unanswered calls.
    pub call_bytes: u64,
    /// Open streams.
    pub max_streams: u32,
    /// Bytes granted to a stream in advance.
    pub stream_window: u64,
    /// Bytes granted to all streams in advance.
    pub connection_window: u64,
    /// Calls that are worked on, or waited for by the clock, at one time (decisions W3).
    pub dispatch_window: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_body: 1 << 20,
            max_calls: limits::MAX_CALLS,
            call_bytes: limits::CALL_BYTES,
            max_streams: limits::MAX_STREAMS,
            stream_window: limits::STREAM_WINDOW,
            connection_window: limits::CONNECTION_WINDOW,
            dispatch_window: limits::MAX_CALLS,
        }
    }
}

impl Limits {
    /// Whether a peer with these limits can be worked with at all.
    #[must_use]
    pub const fn reach_the_floor(&self) -> bool {
        self.max_body as usize >= limits::MAX_BODY_FLOOR
            && self.max_calls >= 1
            && self.call_bytes >= limits::MAX_BODY_FLOOR as u64
            && self.stream_window >= limits::MAX_DATA as u64
            && self.connection_window >= self.stream_window
            && self.dispatch_window >= 1
    }

    /// The same, with nothing above what this build can use.
    #[must_use]
    pub fn capped(self) -> Self {
        Self {
            max_body: self.max_body.min(1 << 20),
            max_calls: self.max_calls.min(1 << 16),
            max_streams: self.max_streams.min(1 << 16),
            ..self
        }
    }
}

/// How the two ends know each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuthKind {
    /// The connection itself is the proof: it was inherited from whoever started the process.
    Inherited,
    /// A shared 32-byte secret, proved both ways with HMAC-SHA256.
    Hmac,
}

/// The first frame of each side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Protocols spoken, one entry a major, with the highest minor.
    pub protocols: Vec<Version>,
    /// Program and version, for people.
    pub software: String,
    /// How the peer shall be known.
    pub auth: AuthKind,
    /// Codecs, best first.
    pub codecs: Vec<u16>,
    /// Optional abilities; used only when both name them.
    #[serde(default)]
    pub features: Vec<String>,
    /// What this side takes.
    #[serde(default)]
    pub limits: Limits,
    /// 32 random bytes, so that no proof fits twice.
    #[serde(with = "blob")]
    pub nonce: Box<[u8]>,
    /// The session's ID; named by the side that listens.
    #[serde(default)]
    pub session: Option<SessionId>,
}

impl Hello {
    /// A HELLO of this build. `nonce` must be fresh random bytes.
    #[must_use]
    pub fn new(software: impl Into<String>, auth: AuthKind, nonce: [u8; 32]) -> Self {
        Self {
            protocols: vec![VERSION],
            software: software.into(),
            auth,
            codecs: vec![codec::BINCODE],
            features: Vec::new(),
            limits: Limits::default(),
            nonce: nonce.into(),
            session: None,
        }
    }
}

/// Why a handshake failed, as it is told to the other side before the end. JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// What does not fit, with both ranges where versions differ.
    pub reason: String,
    /// What to do about it.
    pub hint: String,
}

/// What holds for a connection once the handshake is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its ID, for logs on both sides.
    pub id: SessionId,
    /// The protocol agreed on.
    pub version: Version,
    /// Features that both sides named.
    pub features: Vec<String>,
    /// What the peer takes.
    pub peer_limits: Limits,
    /// What this side takes.
    pub own_limits: Limits,
    /// The peer's program and version, in its words.
    pub peer_software: String,
}

/// Finds what both can do.
///
/// # Errors
/// Nothing fits; says what, with both ranges, and which side to upgrade.
pub(crate) fn agree(ours: &Hello, theirs: &Hello, id: SessionId) -> Result<Session, Refused> {
    let version = common_version(&ours.protocols, &theirs.protocols)?;
    if !ours.codecs.iter().any(|codec| theirs.codecs.contains(codec)) {
        return Err(Refused {
            reason: format!(
                "no common codec: ours are {}, theirs are {}",
                list(&ours.codecs),
                list(&theirs.codecs)
            ),
            hint: "use an SDK that speaks codec 1 (bincode)".into(),
        });
    }
    if theirs.nonce.len() != ours.nonce.len() {
        return Err(Refused {
            reason: format!("the nonce has {} bytes", theirs.nonce.len()),
            hint: "put 32 fresh random bytes under `nonce`".into(),
        });
    }
    if !theirs.limits.reach_the_floor() {
        return Err(Refused {
            reason: "the announced limits are below the floor".into(),
            hint: "announce at least a body of 64 KiB, one call, and a stream window of 64 KiB".into(),
        });
    }
    Ok(Session {
        id,
        version,
        features: ours.features.iter().filter(|feature| theirs.features.contains(feature)).cloned().collect(),
        peer_limits: theirs.limits.capped(),
        own_limits: ours.limits,
        peer_software: theirs.software.chars().take(200).collect(),
    })
}

/// The highest common major, with the lower minor.
fn common_version(ours: &[Version], theirs: &[Version]) -> Result<Version, Refused> {
    let common = ours.iter().flat_map(|our| {
        let same_major = theirs.iter().filter(move |their| their.major == our.major);
        same_major.map(move |their| Version { major: our.major, minor: our.minor.min(their.minor) })
    });
    common.max().ok_or_else(|| Refused {
        reason: format!("no common protocol: ours is {}, theirs is {}", list(ours), list(theirs)),
        hint: if ours.iter().max() > theirs.iter().max() {
            "upgrade the other end, or use an older version of this one".into()
        } else {
            "upgrade this end, or use an older version of the other one".into()
        },
    })
}

/// The first few of them, as text: a refusal must fit a frame whatever the peer announced.
fn list<T: ToString>(all: &[T]) -> String {
    let texts: Vec<String> = all.iter().take(8).map(ToString::to_string).collect();
    if texts.is_empty() { "nothing".into() } else { texts.join(", ") }
}

/// Reads a JSON body of the handshake.
pub(crate) fn from_json<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, String> {
    if depth(body) > MAX_DEPTH {
        return Err(format!("nested deeper than {MAX_DEPTH}"));
    }
    serde_json::from_slice(body).map_err(|error| plain(&error.to_string()))
}

/// The front of a text that may quote a peer, without what draws on a terminal.
fn plain(text: &str) -> String {
    text.chars().take(200).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// Deepest nesting of brackets outside strings.
fn depth(json: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0usize, 0, false, false);
    for byte in json {
        match (in_string, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => in_string = !in_string,
            (false, b'[' | b'{') => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            (false, b']' | b'}') => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(protocols: &[(u16, u16)]) -> Hello {
        let protocols = protocols.iter().map(|&(major, minor)| Version { major, minor }).collect();
        Hello { protocols, ..Hello::new("test 1", AuthKind::Inherited, [0; 32]) }
    }

    fn session() -> SessionId {
        SessionId(uuid::Uuid::from_u128(7))
    }

    #[test]
    fn the_highest_common_major_and_the_lower_minor_are_used() {
        let agreed = agree(&hello(&[(1, 4), (2, 3)]), &hello(&[(2, 1), (1, 9)]), session()).unwrap();
        assert_eq!(agreed.version, Version { major: 2, minor: 1 });
    }

    #[test]
    fn a_refusal_names_both_ranges_and_the_side_to_upgrade() {
        let refused = agree(&hello(&[(2, 3)]), &hello(&[(1, 4)]), session()).unwrap_err();
        assert_eq!(refused.reason, "no common protocol: ours is 2.3, theirs is 1.4");
        assert!(refused.hint.starts_with("upgrade the other end"));
    }

    #[test]
    fn a_feature_needs_both_sides() {
        let mut ours = hello(&[(0, 9)]);
        ours.features = vec!["handles".into(), "extra".into()];
        let mut theirs = ours.clone();
        theirs.features = vec!["handles".into(), "unheard-of".into()];
        assert_eq!(agree(&ours, &theirs, session()).unwrap().features, ["handles"]);
    }

    #[test]
    fn w8_limits_are_the_receivers_own_and_have_a_floor() {
        let mut small = hello(&[(0, 9)]);
        small.limits.max_body = 64 << 10;
        let agreed = agree(&hello(&[(0, 9)]), &small, session()).unwrap();
        assert_eq!(agreed.peer_limits.max_body, 64 << 10, "what may be sent to it");
        assert_eq!(agreed.own_limits.max_body, 1 << 20, "what it may send is not shrunk by that");
        small.limits.max_body = 4 << 10;
        assert!(agree(&hello(&[(0, 9)]), &small, session()).is_err());
    }

    #[test]
    fn unknown_keys_are_ignored_and_depth_is_bounded() {
        let mut json = serde_json::to_value(hello(&[(0, 9)])).unwrap();
        json["from_the_future"] = serde_json::json!({"a": [1, 2]});
        assert!(from_json::<Hello>(json.to_string().as_bytes()).is_ok());
        let deep = format!("{}{}", "[".repeat(17), "]".repeat(17));
        assert!(from_json::<serde_json::Value>(deep.as_bytes()).unwrap_err().contains("nested"));
        assert_eq!(depth(br#"{"a":"[[[[\"[["}"#), 1);
    }
}
