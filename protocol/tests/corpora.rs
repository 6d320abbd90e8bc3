//! The seeds of the fuzz targets, fed to the same functions with an ordinary compiler.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use std::path::PathBuf;

use outrigger_protocol::{
    Abort, Codec, Goodbye, Header, Kind, Level, Log, ObjectId, Progress, StreamEnd, StreamReset,
};
use support::{callback_values, frames, harness, samples, values};

const HOW: &str = "to write it: OUTRIGGER_WRITE_VECTORS=1 cargo test -p outrigger-protocol --test corpora";

fn directory(target: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds").join(target)
}

/// Holds S14.
#[test]
#[expect(clippy::disallowed_methods, reason = "the seeds are files")]
fn every_seed_is_survived() {
    for (target, feed) in harness::TARGETS {
        let mut count = 0;
        for entry in std::fs::read_dir(directory(target)).unwrap() {
            feed(&std::fs::read(entry.unwrap().path()).unwrap());
            count += 1;
        }
        assert!(count > 3, "{target} has {count} seeds");
    }
}

/// Frames whose bodies are JSON, as the vectors have them in codec 1.
fn frames_in_json() -> Vec<(String, Vec<u8>)> {
    fn frame<T: serde::Serialize>(kind: Kind, id: u64, body: &T) -> (String, Vec<u8>) {
        let header = Header { target: ObjectId(1), ..Header::new(kind, id) };
        let bytes = frames::with_ext(header, &[], &frames::encoded_in(Codec::Json, body));
        (format!("json-{}", kind.to_string().to_lowercase()), bytes)
    }
    let [end, ..] = callback_values::stream_ends();
    vec![
        frame(Kind::REPLY, 3, &values::listing()),
        frame(Kind::ERROR, 1, &values::error()),
        frame(Kind::PROGRESS, 1, &Progress { done: 20, total: Some(100), waiting_ms: 1500 }),
        frame(Kind::STREAM_OPEN, 6, &values::stream_open()),
        frame(Kind::STREAM_END, 2, &StreamEnd { items: 0, bytes: 0, ..end }),
        frame(Kind::STREAM_RESET, 2, &StreamReset { code: outrigger_protocol::Code::CANCELLED }),
        frame(Kind::LOG, 0, &Log { level: Level::Warn, message: "slow server".into() }),
        frame(Kind::SNAPSHOT, 0, &callback_values::snapshots()[1]),
        frame(Kind::GOODBYE, 0, &Goodbye { last_accepted: 3 }),
        frame(Kind::ABORT, 0, &Abort { reason: "call 7 was never issued".into() }),
    ]
}

/// The seeds that come from the vectors: for each target, names and bytes.
fn seeds() -> Vec<(&'static str, String, Vec<u8>)> {
    let mut seeds = Vec::new();
    let mut all = Vec::new();
    for sample in samples::all() {
        let (name, bytes) = (sample.name.clone(), sample.bytes());
        if sample.name.starts_with("handshake") {
            seeds.push(("handshake", name, bytes));
        } else if sample.is_frame {
            all.extend_from_slice(&bytes);
            seeds.push(("broker", name.clone(), bytes.clone()));
            seeds.push(("plugin", name, bytes));
        } else {
            let is_type = |(kind, _): &harness::Body| sample.name[5..].split('-').next() == Some(kind);
            let which = harness::BODIES.iter().position(is_type).unwrap();
            let codec = if sample.name.starts_with("json") { harness::IN_JSON } else { 0 };
            let which = u8::try_from(which).unwrap() + codec;
            seeds.push(("body", name, [&[which], &bytes[..]].concat()));
        }
    }
    for (name, bytes) in frames_in_json() {
        seeds.push(("broker", name.clone(), bytes.clone()));
        seeds.push(("plugin", name, bytes));
    }
    let [hello, hello_ok, plugin, broker] = samples::conversation();
    seeds.push(("handshake", "dialler".into(), [hello, plugin].concat()));
    seeds.push(("handshake", "listener".into(), [hello_ok, broker].concat()));
    seeds.push(("broker", "all".into(), all.clone()));
    seeds.push(("plugin", "all".into(), all));
    seeds
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the seeds are files")]
fn every_vector_is_a_seed() {
    for (target, name, bytes) in seeds() {
        let path = directory(target).join(name);
        if std::env::var_os("OUTRIGGER_WRITE_VECTORS").is_some() {
            std::fs::create_dir_all(directory(target)).unwrap();
            std::fs::write(&path, &bytes).unwrap();
        }
        let seed = std::fs::read(&path).unwrap_or_else(|error| panic!("{path:?}: {error}; {HOW}"));
        assert_eq!(seed, bytes, "{path:?}; {HOW}");
    }
}
