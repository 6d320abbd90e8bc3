//! The worst 64 KiB that a peer can send as each body with a list in it: as many of the smallest
//! elements as fit, in both codecs. In JSON a structure may be written as an array: that is
//! smaller. Uses nothing but the public API: the bench includes this file.

use outrigger_protocol::{
    Ask, ChangesPage, Codec, Commit, Committed, CreateCollection, Discovered, Group, Initialize, Initialized,
    Member, MemberUpdate, Read, ReadPage, Rename,
};
use serde::Deserialize;

/// How large an input is.
pub(crate) const SIZE: usize = 64 << 10;

/// One input.
pub(crate) struct Worst {
    pub(crate) name: String,
    pub(crate) codec: Codec,
    pub(crate) bytes: Vec<u8>,
    decode: fn(Codec, &[u8]) -> bool,
}

impl Worst {
    /// Decodes it; whether it was accepted.
    pub(crate) fn decode(&self) -> bool {
        (self.decode)(self.codec, &self.bytes)
    }
}

fn accepts<'a, T: Deserialize<'a>>(codec: Codec, bytes: &'a [u8]) -> bool {
    std::hint::black_box(codec.decode::<T>(bytes)).is_ok()
}

/// As many elements between head and tail as fit, with `between` them.
fn fill(head: &[u8], element: &[u8], between: &[u8], tail: &[u8]) -> (Vec<u8>, u64) {
    let room = SIZE - head.len() - tail.len() - 8;
    let count = room / (element.len() + between.len());
    let mut bytes = head.to_vec();
    for n in 0..count {
        bytes.extend_from_slice(if n == 0 { b"" } else { between });
        bytes.extend_from_slice(element);
    }
    bytes.extend_from_slice(tail);
    (bytes, count as u64)
}

/// The list in the middle of a body of codec 1, between `head` and `tail` zeros.
fn binary(head: &[u8], element: &[u8], tail: usize) -> Vec<u8> {
    let marked = [head, &[0; 8]].concat();
    let (mut bytes, count) = fill(&marked, element, b"", &vec![0; tail]);
    bytes[head.len()..head.len() + 8].copy_from_slice(&count.to_le_bytes());
    bytes
}

fn text(head: &str, element: &str, tail: &str) -> Vec<u8> {
    fill(head.as_bytes(), element.as_bytes(), b",", tail.as_bytes()).0
}

/// Zeros: numbers, absent values, and lists and texts of no length in codec 1.
fn zeros(count: usize) -> Vec<u8> {
    vec![0; count]
}

macro_rules! worst {
    ($all:ident: $($codec:ident $name:literal $type:ty, $bytes:expr;)*) => {
        $($all.push(Worst {
            name: $name.into(),
            codec: Codec::$codec,
            bytes: $bytes,
            decode: |codec, bytes| accepts::<$type>(codec, bytes),
        });)*
    };
}

const SINK: &str = r#"[0,"",[""],[""],false,null,null]"#;
const SINK_EXT: &str = r#"[0,"",[""],[""],false,null,null,{"0":""}]"#;
const CHANGE: &str = r#"["","Added","",false,"",""]"#;
const CHANGE_EXT: &str = r#"["","Added","",false,"","",{"0":""}]"#;
const RESULT: &str =
    r#"["00000000000000000000000000000000",{"Failed":[1,"Plugin","Done","Never","",[[1,""]]]}]"#;
const ITEM: &str = concat!(
    r#"["00000000000000000000000000000000","Create","",null,null,"","","","#,
    r#""AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",""]"#
);
const NEW_COLLECTION: &str = r#"{"operation":"00000000000000000000000000000000","name":"","object_types":["#;
const MEMBER: &str = r#"{"object":0,"name":"","generation":0,"options":["#;
const GROUP: &str = r#"{"object":0,"name":"","generation":0,"members":["#;
const GROUP_END: &str = r#"],"object_types":[],"conflict":""}"#;

/// All of them.
pub(crate) fn all() -> Vec<Worst> {
    let mut all = Vec::new();
    in_binary(&mut all);
    in_json(&mut all);
    deep_and_long(&mut all);
    all
}

fn in_binary(all: &mut Vec<Worst>) {
    let sink_with_lists = [&zeros(12)[..], &one_text(), &one_text(), &zeros(1 + 1 + 1 + 8)].concat();
    let failed = [&zeros(16)[..], &[1, 0, 0, 0], &zeros(2 + 12 + 8 + 8 + 8)].concat();
    let new_collection = [&[16, 0, 0, 0, 0, 0, 0, 0][..], &zeros(16 + 8)].concat();
    worst! { all:
        Bincode "discovered: sinks" Discovered, binary(&[0], &zeros(39), 1);
        Bincode "discovered: sinks with lists" Discovered, binary(&[0], &sink_with_lists, 1);
        Bincode "initialized: formats" Initialized, binary(&[0; 4], &zeros(10), 0);
        Bincode "create_collection: texts" CreateCollection, binary(&new_collection, &zeros(8), 0);
        Bincode "read: items" Read, binary(&[], &zeros(9), 0);
        Bincode "read_page: not found" ReadPage<'_>, binary(&[], &[0, 0, 0, 0, 2, 0, 0, 0], 0);
        Bincode "changes_page: changes" ChangesPage, binary(&[], &zeros(8 + 4 + 8 + 1 + 8 + 8 + 8), 3);
        Bincode "commit: items" Commit<'_>, binary(&[], &commit_item(), 0);
        Bincode "committed: failed" Committed, binary(&[], &[&[16, 0, 0, 0, 0, 0, 0, 0][..], &failed].concat(), 0);
        Bincode "member: options" Member, binary(&zeros(4 + 8 + 8), &zeros(16), 16);
        Bincode "group: members" Group, binary(&zeros(4 + 8 + 8), &zeros(8), 8 + 8 + 1 + 8);
        Bincode "initialize: secrets" Initialize, binary(&zeros(36 + 8 + 53), &zeros(16), 0);
        Bincode "member_update: unset" MemberUpdate, binary(&update_head(), &zeros(8), 0);
        Bincode "ask: choices" Ask, binary(&zeros(12), &zeros(8), 0);
        Bincode "rename: names" Rename, binary(&zeros(4), &zeros(16), 0);
    }
}

/// A list of one empty text in codec 1.
fn one_text() -> Vec<u8> {
    [&[1u8][..], &[0; 15]].concat()
}

fn update_head() -> Vec<u8> {
    [&[16u8][..], &[0; 7 + 16 + 8 + 8]].concat()
}

/// Operation, kind, href, expected, expected_digest, key, type, format, digest, data.
fn commit_item() -> Vec<u8> {
    let digest = [&[32u8][..], &[0; 7 + 32]].concat();
    [&[16u8][..], &[0; 7 + 16 + 4 + 8 + 1 + 1 + 8 + 8 + 8], &digest, &[0; 8]].concat()
}

fn in_json(all: &mut Vec<Worst>) {
    let initialize =
        format!(r#"{{"member":{MEMBER}],"object_types":[]}},"group":{GROUP}{GROUP_END},"secrets":["#);
    worst! { all:
        Json "discovered: sinks" Discovered, text(r#"{"sinks":["#, SINK, r#"],"can_create":true}"#);
        Json "discovered: sinks with tails" Discovered, text(r#"{"sinks":["#, SINK_EXT, r#"],"can_create":true}"#);
        Json "initialized: formats" Initialized, text(r#"{"instance":0,"formats":["#, r#"["",true,true]"#, "]}");
        Json "create_collection: texts" CreateCollection, text(NEW_COLLECTION, "\"\"", "]}");
        Json "create_collection: letters" CreateCollection, text(NEW_COLLECTION, "\"x\"", "]}");
        Json "read: items" Read, text(r#"{"items":["#, r#"["",null]"#, "]}");
        Json "read_page: not found" ReadPage<'_>, text(r#"{"results":["#, r#"[0,"NotFound"]"#, "]}");
        Json "changes_page: changes" ChangesPage, text(r#"{"changes":["#, CHANGE, r#"],"complete":true}"#);
        Json "changes_page: changes with tails" ChangesPage, text(r#"{"changes":["#, CHANGE_EXT, r#"],"complete":true}"#);
        Json "commit: items" Commit<'_>, text(r#"{"items":["#, ITEM, "]}");
        Json "committed: failed" Committed, text(r#"{"results":["#, RESULT, "]}");
        Json "member: options" Member, text(MEMBER, r#"["",""]"#, r#"],"object_types":[]}"#);
        Json "group: members" Group, text(GROUP, "\"\"", GROUP_END);
        Json "initialize: secrets" Initialize, text(&initialize, r#"["",""]"#, "]}");
        Json "ask: choices" Ask, text(r#"{"kind":"Choice","prompt":"","choices":["#, "\"\"", "]}");
        Json "rename: names" Rename, text(r#"{"sink":0,"names":["#, r#"["",""]"#, "]}");
    }
}

/// What costs time and not memory.
fn deep_and_long(all: &mut Vec<Worst>) {
    let (prompt, _) = fill(br#"{"kind":"Text","prompt":""#, b"\\u0001", b"", br#"","choices":[]}"#);
    let (data, _) = fill(br#"{"format":"","data":""#, b"AAAA", b"", b"\"}");
    let brackets = "[".repeat(SIZE).into_bytes();
    worst! { all:
        Json "ask: escapes" Ask, prompt;
        Json "remarshal: base64" outrigger_protocol::Remarshal, data;
        Json "brackets" Ask, brackets;
    }
}
