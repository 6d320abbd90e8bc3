//! Every limit of the protocol: what it protects, its unit, its default, and what it costs.
//!
//! A receiver announces its own limits in HELLO; a sender keeps to what the other announced
//! (decisions W8). The floors are what every peer must be able to receive.

use std::time::Duration;

/// Bytes of a frame header.
pub const HEADER: usize = 28;

/// Largest body of a CALL, REPLY or ERROR, extensions included: 1 MiB. Larger things go beside
/// the call, so one call cannot delay another for long.
pub const MAX_BODY: usize = 1 << 20;

/// Smallest `max_body` that a peer may announce: 64 KiB.
pub const MAX_BODY_FLOOR: usize = 64 << 10;

/// Largest body of a DATA frame: 64 KiB. Near the knee of throughput on local sockets; a transfer
/// delays a call by one such frame at most.
pub const MAX_DATA: usize = 64 << 10;

/// Largest item in an `items` stream: 1 MiB, credited on arrival until it is whole.
pub const MAX_ITEM: usize = 1 << 20;

/// Largest item content in a commit: what fits a body beside names and revisions.
pub const MAX_ITEM_DATA: usize = MAX_BODY - (64 << 10);

/// Unanswered calls that a receiver takes: 64.
pub const MAX_CALLS: u32 = 64;

/// Bytes of unanswered calls that a receiver keeps: 4 MiB.
pub const CALL_BYTES: u64 = 4 << 20;

/// Largest answer, a reply or an error, to a call whose method says no more: 64 KiB.
pub const MAX_REPLY: usize = 64 << 10;

/// What the answers to all open calls of one side may take together: 8 MiB. So many are eight of
/// the largest, or 64 small ones and four of the largest.
pub const REPLY_BYTES: u64 = 8 << 20;

/// Bytes of DATA that a receiver keeps for one stream before it grants more: 256 KiB.
pub const STREAM_WINDOW: u64 = 256 << 10;

/// Bytes of DATA that a receiver keeps for all streams of a connection: 4 MiB.
pub const CONNECTION_WINDOW: u64 = 4 << 20;

/// Open streams of one connection and sender: 64.
pub const MAX_STREAMS: u32 = 64;

/// Calls within calls (NESTED), counted from the root: 8.
pub const MAX_DEPTH: u32 = 8;

/// Bytes before READY, in one direction: 64 KiB.
pub const MAX_HANDSHAKE: usize = 64 << 10;

/// Time from the first byte to READY: 10 s.
pub const HANDSHAKE_TIME: Duration = Duration::from_secs(10);

/// Methods whose idle time a HELLO may name: 256.
pub const MAX_IDLE_TIMES: usize = 256;

/// Longest name that a member gives an item: 4 KiB.
pub const MAX_HREF: usize = 4 << 10;

/// Longest piece of text meant for a person (error message, log line): 8 KiB.
pub const MAX_TEXT: usize = 8 << 10;

/// Longest name of a host, or of records: 253 bytes, as the name system has it.
pub const MAX_HOST: usize = 253;

/// Records in the answer to a lookup: 64. The rest is left out.
pub const MAX_RECORDS: usize = 64;

/// Descriptors that have come before their frames: 64, one for each call that may be open.
pub const MAX_HANDLES: usize = 64;

/// Causes in an error: 16.
pub const MAX_CAUSES: usize = 16;

/// Extension entries after a header, and in the tail of an object: 64.
pub const MAX_EXTENSIONS: usize = 64;

/// Elements in any list inside a body: 65,536.
pub const MAX_LIST: usize = 1 << 16;
