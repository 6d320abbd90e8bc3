//! The conversation in `docs/protocol.md` is what this build speaks: its headers and lengths hold,
//! and each body is the one of its frame.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::collections::BTreeMap;

use outrigger_protocol::{
    ChangesPage, Codec, Commit, Committed, Connect, ConnectDone, Connected, CreateCollection, Discovered,
    Error, GetChangesPage, Goodbye, Header, Hello, Initialize, Initialized, Kind, Method, Read, ReadPage,
    Refused, Sink,
};
use serde::Deserialize;

/// A box: the header, and the body as it is shown.
struct Shown {
    header: Header,
    body: String,
}

/// The boxes of section 1.
fn shown() -> Vec<Shown> {
    let page = include_str!("../../docs/protocol.md");
    let (_, section) = page.split_once("\n## 1. ").unwrap();
    let (section, _) = section.split_once("\n### What the smallest plugin must do").unwrap();
    let boxes = section.split("```text\n").skip(1).map(|rest| rest.split_once("```").unwrap().0);
    boxes.flat_map(frames).collect()
}

/// The frames of one box: a line with a header begins each.
fn frames(text: &str) -> Vec<Shown> {
    let mut frames: Vec<Shown> = Vec::new();
    for line in text.lines().filter(|line| *line != "4f55545247520d0a") {
        match (line.split(' ').count(), frames.last_mut()) {
            (10, _) if !line.starts_with('{') => {
                frames.push(Shown { header: header(line), body: String::new() });
            }
            (_, Some(frame)) => frame.body.push_str(line),
            (_, None) => panic!("no header: {line}"),
        }
    }
    frames
}

fn header(line: &str) -> Header {
    let digits: String = line.split(' ').collect();
    let bytes: Vec<u8> =
        (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect();
    Header::decode(&bytes.try_into().expect(line)).unwrap()
}

fn is<'b, T: Deserialize<'b>>(body: &'b str) {
    if let Err(error) = Codec::Json.decode::<T>(body.as_bytes()) {
        panic!("{error}: {body}");
    }
}

fn request(method: Method, body: &str) {
    match method {
        Method::INITIALIZE => is::<Initialize>(body),
        Method::CREATE_COLLECTION => is::<CreateCollection>(body),
        Method::CONNECT => is::<Connect>(body),
        Method::CONNECT_DONE => is::<ConnectDone>(body),
        Method::COMMIT => commit(body),
        Method::GET_CHANGES_PAGE => is::<GetChangesPage>(body),
        Method::READ_PAGE => is::<Read>(body),
        _ => is::<()>(body),
    }
}

fn answer(method: Method, body: &str) {
    match method {
        Method::INITIALIZE => is::<Initialized>(body),
        Method::DISCOVER => is::<Discovered>(body),
        Method::CREATE_COLLECTION => is::<Sink>(body),
        Method::CONNECT => is::<Connected>(body),
        Method::COMMIT => is::<Committed>(body),
        Method::GET_CHANGES_PAGE => is::<ChangesPage>(body),
        Method::READ_PAGE => is::<ReadPage<'_>>(body),
        _ => is::<()>(body),
    }
}

/// The digests are those of the content.
fn commit(body: &str) {
    let commit: Commit<'_> = Codec::Json.decode(body.as_bytes()).unwrap();
    for item in commit.items {
        assert_eq!(item.digest, outrigger_protocol::RawDigest::of(&item.data), "{body}");
    }
}

#[test]
fn the_conversation_of_the_page_is_what_is_spoken() {
    let shown = shown();
    let mut methods: BTreeMap<u64, Method> = BTreeMap::new();
    for Shown { header, body } in &shown {
        assert_eq!(header.body_len as usize, body.len(), "{body}");
        match header.kind {
            Kind::HELLO | Kind::HELLO_OK => drop(serde_json::from_str::<Hello>(body).unwrap()),
            Kind::REFUSED => drop(serde_json::from_str::<Refused>(body).unwrap()),
            Kind::CALL => {
                let method = Method(header.method);
                methods.insert(header.id, method);
                request(method, body);
            }
            Kind::REPLY => answer(methods[&header.id], body),
            Kind::ERROR => is::<Error>(body),
            Kind::GOODBYE => is::<Goodbye>(body),
            kind => assert_eq!((kind, body.as_str()), (Kind::GOODBYE_OK, "")),
        }
    }
    assert_eq!(shown.len(), 26 + 9, "boxes that were not found");
}
