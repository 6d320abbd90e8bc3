//! Golden vectors: the bytes of the protocol as they stand in `vectors/`. A change of any of them
//! is a change of the protocol.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use hmac::{Hmac, KeyInit as _, Mac as _};
use outrigger_protocol::{Budget, Flags, Header, Kind, ObjectId};
use support::samples::{self, SECRET};
use support::{frames, harness, vectors};

const HOW: &str = "if the change is meant (never after a release): OUTRIGGER_WRITE_VECTORS=1 cargo test -p \
                   outrigger-protocol --test vectors";

/// Holds S12, S29.
#[test]
fn every_vector_is_what_is_encoded_and_comes_back() {
    for sample in samples::all() {
        let path = vectors::path(&sample.name);
        if std::env::var_os("OUTRIGGER_WRITE_VECTORS").is_some() {
            write(&path, &vectors::text(&sample));
        }
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}; {HOW}"));
        let bytes = vectors::parse(&text);
        assert_eq!(bytes, sample.bytes(), "{} differs; {HOW}", sample.name);
        assert_eq!((sample.back)(&bytes), Ok(true), "{} does not come back", sample.name);
    }
}

#[expect(clippy::disallowed_methods, reason = "the vectors are files")]
fn write(path: &std::path::Path, text: &str) {
    std::fs::write(path, text).unwrap();
}

#[test]
fn every_vector_file_is_tested() {
    let mut tested: Vec<_> = samples::all().iter().map(|sample| vectors::path(&sample.name)).collect();
    let mut files: Vec<_> =
        std::fs::read_dir(vectors::directory()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| !path.ends_with("README.md"));
    tested.sort();
    files.sort();
    assert_eq!(files, tested);
}

#[test]
fn every_kind_of_frame_has_a_vector() {
    let mut seen: Vec<u8> = Vec::new();
    for sample in samples::all().iter().filter(|sample| sample.is_frame) {
        let bytes = sample.bytes();
        let frame = bytes.strip_prefix(&outrigger_protocol::PREFACE).unwrap_or(&bytes);
        seen.push(Header::decode(frame.first_chunk().unwrap()).unwrap().kind.0);
    }
    let known = (0..=255).filter(|number| !format!("{}", Kind(*number)).starts_with("kind "));
    let missing: Vec<Kind> = known.filter(|number| !seen.contains(number)).map(Kind).collect();
    assert_eq!(missing, []);
}

#[test]
fn every_type_of_body_has_a_vector() {
    let names: Vec<String> = samples::all().into_iter().map(|sample| sample.name).collect();
    for (name, _) in harness::BODIES {
        let has = |prefix: &str| names.iter().any(|sample| sample.starts_with(&format!("{prefix}-{name}")));
        assert!(has("body") && has("json") || has("frame"), "{name}");
    }
}

#[test]
fn a_header_is_laid_out_as_the_document_says() {
    let header = Header {
        body_len: 0x0403_0201,
        kind: Kind(5),
        flags: Flags(6),
        handles: 0,
        id: 0x1007_0605_0403_0201,
        target: ObjectId(0x1413_1211),
        method: 0x1615,
        ext_len: 0x1817,
        budget: Budget(0x1c1b_1a19),
    };
    let expected = [
        1, 2, 3, 4, 5, 6, 0, 0, 1, 2, 3, 4, 5, 6, 7, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18,
        0x19, 0x1a, 0x1b, 0x1c,
    ];
    assert_eq!(header.encode(), expected);
    assert_eq!(Header::decode(&expected), Ok(header));
}

/// The proofs, computed from the document and not by the machine.
#[test]
fn w8_a_proof_is_an_hmac_over_a_label_and_all_bytes_before() {
    let [hello, hello_ok, plugin, broker] = samples::conversation();
    let labels = [&b"outrigger proof of the dialler\0"[..], b"outrigger proof of the listener\0"];
    for (label, proof) in labels.iter().zip([plugin, broker]) {
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(&SECRET).unwrap();
        mac.update(label);
        mac.update(&hello);
        mac.update(&hello_ok);
        assert_eq!(frames::parse(&proof)[0].1, mac.finalize().into_bytes().to_vec());
    }
}
