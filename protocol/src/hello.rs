//! HELLO: what each side can do, as JSON, and what follows for both.
//!
//! JSON whatever the codec, so that peers of any age read each other's. Unknown keys are ignored
//! here and nowhere else. The protocol's number is independent of the product's version.

use serde::{Deserialize, Serialize};

use crate::blob;
use crate::codec::Codec;
use crate::idle::IdleTimes;
use crate::ids::SessionId;
use crate::limits;

/// The protocol that this build speaks. Vectors may still change below 1.0.
pub const VERSION: Version = Version { major: 0, minor: 9 };

/// The feature of a connection that carries descriptors: Unix only (decisions W10).
pub const HANDLES: &str = "handles";

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
#[serde(default)]
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
    /// Instances in one host.
    pub max_instances: u32,
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
            max_instances: 1,
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
    /// How long this side waits without a sign of life in the calls that it makes, where that is
    /// not as the methods say (decisions W3).
    #[serde(rename = "idle_ms", default, skip_serializing_if = "IdleTimes::is_empty")]
    pub idle: IdleTimes,
    /// 0: calls only, no streams and no calls of its own. 1: all of it.
    #[serde(default = "full_level")]
    pub level: u8,
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
            codecs: Codec::ALL.map(Codec::number).to_vec(),
            features: Vec::new(),
            limits: Limits::default(),
            idle: IdleTimes::default(),
            level: full_level(),
            nonce: nonce.into(),
            session: None,
        }
    }
}

const fn full_level() -> u8 {
    1
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
    /// How bodies are encoded.
    pub codec: Codec,
    /// What the peer can do: see [`Hello::level`].
    pub peer_level: u8,
    /// Features that both sides named.
    pub features: Vec<String>,
    /// What the peer takes.
    pub peer_limits: Limits,
    /// What this side takes.
    pub own_limits: Limits,
    /// How long a call of the peer may stay silent before the peer gives it up.
    pub peer_idle: IdleTimes,
    /// The same of calls of this side.
    pub own_idle: IdleTimes,
    /// The peer's program and version, in its words.
    pub peer_software: String,
}

impl Session {
    /// Whether descriptors may ride with frames.
    #[must_use]
    pub fn has_handles(&self) -> bool {
        self.features.iter().any(|feature| feature == HANDLES)
    }
}

/// Finds what both can do.
///
/// # Errors
/// Nothing fits; says what, with both ranges, and which side to upgrade.
pub(crate) fn agree(ours: &Hello, theirs: &Hello, dials: bool, id: SessionId) -> Result<Session, Refused> {
    let version = common_version(&ours.protocols, &theirs.protocols)?;
    let codec = common_codec(ours, theirs, dials)?;
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
    if !theirs.idle.are_possible() {
        return Err(Refused {
            reason: "`idle_ms` names too many methods, or a time of 0".into(),
            hint: format!("name at most {} methods, each with 1 ms or more", limits::MAX_IDLE_TIMES),
        });
    }
    Ok(Session {
        id,
        version,
        codec,
        peer_level: theirs.level,
        features: ours.features.iter().filter(|feature| theirs.features.contains(feature)).cloned().collect(),
        peer_limits: theirs.limits.capped(),
        own_limits: ours.limits,
        peer_idle: theirs.idle.clone(),
        own_idle: ours.idle.clone(),
        peer_software: theirs.software.chars().take(200).collect(),
    })
}

/// The best codec of the side that dials that the other speaks too.
fn common_codec(ours: &Hello, theirs: &Hello, dials: bool) -> Result<Codec, Refused> {
    let (first, second) = if dials { (ours, theirs) } else { (theirs, ours) };
    let common = first.codecs.iter().find(|codec| second.codecs.contains(codec));
    common.and_then(|codec| Codec::from_number(*codec)).ok_or_else(|| Refused {
        reason: format!(
            "no common codec: ours are {}, theirs are {}",
            list(&ours.codecs),
            list(&theirs.codecs)
        ),
        hint: "name codec 1 (bincode) or 2 (JSON) under `codecs`".into(),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::from_json;

    fn hello(protocols: &[(u16, u16)]) -> Hello {
        let protocols = protocols.iter().map(|&(major, minor)| Version { major, minor }).collect();
        Hello { protocols, ..Hello::new("test 1", AuthKind::Inherited, [0; 32]) }
    }

    fn session() -> SessionId {
        SessionId(uuid::Uuid::from_u128(7))
    }

    /// Holds S29, S74.
    #[test]
    fn the_highest_common_major_and_the_lower_minor_are_used() {
        let agreed = agree(&hello(&[(1, 4), (2, 3)]), &hello(&[(2, 1), (1, 9)]), false, session()).unwrap();
        assert_eq!(agreed.version, Version { major: 2, minor: 1 });
    }

    /// Holds S74.
    #[test]
    fn the_product_decides_nothing() {
        let ours = hello(&[(0, 9)]);
        let with = |software: &str| {
            let theirs = Hello { software: software.into(), ..ours.clone() };
            let agreed = agree(&ours, &theirs, false, session()).unwrap();
            assert_eq!(agreed.peer_software, software);
            Session { peer_software: String::new(), ..agreed }
        };
        assert_eq!(with("test 1"), with("test 99.0.0"));
        assert_eq!(with("test 1"), with(""));
    }

    /// Holds S74.
    #[test]
    fn a_refusal_names_both_ranges_and_the_side_to_upgrade() {
        let refused = agree(&hello(&[(2, 3)]), &hello(&[(1, 4)]), false, session()).unwrap_err();
        assert_eq!(refused.reason, "no common protocol: ours is 2.3, theirs is 1.4");
        assert!(refused.hint.starts_with("upgrade the other end"));
    }

    /// Holds S75.
    #[test]
    fn a_feature_needs_both_sides() {
        let mut ours = hello(&[(0, 9)]);
        ours.features = vec!["handles".into(), "extra".into()];
        let mut theirs = ours.clone();
        theirs.features = vec!["handles".into(), "unheard-of".into()];
        assert_eq!(agree(&ours, &theirs, false, session()).unwrap().features, ["handles"]);
    }

    #[test]
    fn w8_limits_are_the_receivers_own_and_have_a_floor() {
        let mut small = hello(&[(0, 9)]);
        small.limits.max_body = 64 << 10;
        let agreed = agree(&hello(&[(0, 9)]), &small, false, session()).unwrap();
        assert_eq!(agreed.peer_limits.max_body, 64 << 10, "what may be sent to it");
        assert_eq!(agreed.own_limits.max_body, 1 << 20, "what it may send is not shrunk by that");
        small.limits.max_body = 4 << 10;
        assert!(agree(&hello(&[(0, 9)]), &small, false, session()).is_err());
    }

    #[test]
    fn the_codec_is_the_best_of_the_side_that_dials() {
        let (mut plugin, broker) = (hello(&[(0, 9)]), hello(&[(0, 9)]));
        assert_eq!(agree(&broker, &plugin, false, session()).unwrap().codec, Codec::Bincode);
        plugin.codecs = vec![77, 2, 1];
        assert_eq!(agree(&broker, &plugin, false, session()).unwrap().codec, Codec::Json);
        assert_eq!(agree(&plugin, &broker, true, session()).unwrap().codec, Codec::Json);
        plugin.codecs = vec![77];
        assert!(agree(&broker, &plugin, false, session()).unwrap_err().reason.ends_with("theirs are 77"));
    }

    /// Holds S29, S73.
    #[test]
    fn unknown_keys_are_ignored() {
        let mut json = serde_json::to_value(hello(&[(0, 9)])).unwrap();
        json["from_the_future"] = serde_json::json!({"a": [1, 2]});
        assert!(from_json::<Hello>(json.to_string().as_bytes()).is_ok());
    }
}
