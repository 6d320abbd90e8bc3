#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use super::*;

/// What a greeting comes to when it arrives in these pieces, and what was said on the way.
fn play<'p>(pieces: impl IntoIterator<Item = &'p [u8]>) -> (Vec<u8>, Step) {
    let mut greeting = Greeting::default();
    let mut said = Vec::new();
    let mut pieces = pieces.into_iter();
    loop {
        match greeting.step() {
            Step::Say(bytes) => said.extend(bytes),
            Step::Read => match pieces.next() {
                Some(piece) => greeting.receive(piece),
                None => return (said, Step::Read),
            },
            end => {
                // What comes behind it is for the host, however it was cut.
                let behind: Vec<u8> = pieces.flatten().copied().collect();
                return (said, with(end, &behind));
            }
        }
    }
}

fn with(step: Step, behind: &[u8]) -> Step {
    match step {
        Step::Connect(mut wanted) => {
            wanted.rest.extend_from_slice(behind);
            Step::Connect(wanted)
        }
        other => other,
    }
}

fn whole(bytes: &[u8]) -> (Vec<u8>, Step) {
    play([bytes])
}

fn wants(dialect: Dialect, host: &str, port: u16, rest: &[u8]) -> Step {
    Step::Connect(Wanted { dialect, host: host.into(), port, rest: rest.into() })
}

/// A request of SOCKS, after the agreement that there is no password.
fn socks(kind: u8, address: &[u8], port: u16) -> Vec<u8> {
    [&[5, 2, 2, 0, 5, 1, 0, kind], address, &port.to_be_bytes()].concat()
}

fn socks_name(name: &str, port: u16) -> Vec<u8> {
    socks(3, &[&[u8::try_from(name.len()).unwrap()], name.as_bytes()].concat(), port)
}

const HEAD: &[u8] = b"CONNECT a.org:443 HTTP/1.1\r\nHost: a.org:443\r\nUser-Agent: x\r\n\r\n";

/// The beginning of an answer.
fn refusal(bytes: &[u8]) -> String {
    match whole(bytes) {
        (said, Step::Close(answer)) if said.is_empty() => {
            String::from_utf8_lossy(&answer).lines().next().unwrap().to_owned()
        }
        other => panic!("{other:?}"),
    }
}

/// The code with which SOCKS refuses.
fn code(bytes: &[u8]) -> u8 {
    match whole(bytes) {
        (_, Step::Close(answer)) => answer[1],
        other => panic!("{other:?}"),
    }
}

#[test]
fn both_dialects_name_a_host_and_a_port_and_what_comes_behind_is_for_the_host() {
    assert_eq!(whole(&[HEAD, b"\x16tls"].concat()), (vec![], wants(Dialect::Http, "a.org", 443, b"\x16tls")));
    let request = [&socks_name("a.org", 443)[..], b"\x16tls"].concat();
    assert_eq!(whole(&request), (vec![5, 0], wants(Dialect::Socks, "a.org", 443, b"\x16tls")));
}

#[test]
fn addresses_can_be_named_too() {
    assert_eq!(whole(b"CONNECT [::1]:8 HTTP/1.0\r\n\r\n").1, wants(Dialect::Http, "::1", 8, b""));
    assert_eq!(whole(&socks(1, &[10, 0, 0, 1], 8)).1, wants(Dialect::Socks, "10.0.0.1", 8, b""));
    let mut loopback = [0; 16];
    loopback[15] = 1;
    assert_eq!(whole(&socks(4, &loopback, 8)).1, wants(Dialect::Socks, "::1", 8, b""));
}

/// Wherever it is cut, and byte by byte.
#[test]
fn how_a_greeting_is_cut_changes_nothing() {
    for greeting in [[HEAD, b"rest"].concat(), [&socks_name("a.org", 443)[..], b"rest"].concat()] {
        let expected = whole(&greeting);
        assert!(matches!(expected.1, Step::Connect(_)));
        for at in 0..=greeting.len() {
            let (front, back) = greeting.split_at(at);
            assert_eq!(play([front, back]), expected, "cut at {at}");
        }
        assert_eq!(play(greeting.chunks(1)), expected);
    }
}

#[test]
fn what_is_not_whole_is_waited_for() {
    for greeting in [HEAD, &socks_name("a.org", 443)] {
        for length in 0..greeting.len() {
            assert_eq!(whole(&greeting[..length]).1, Step::Read, "{length}");
        }
    }
}

#[test]
fn a_head_without_an_end_is_cut_off() {
    let endless = [b"CONNECT a.org:443 HTTP/1.1\r\n", &vec![b'x'; LONGEST][..]].concat();
    assert_eq!(whole(&endless[..LONGEST]).1, Step::Read);
    assert!(refusal(&endless).contains("431"));
}

#[test]
fn other_requests_are_refused_in_http() {
    assert!(refusal(b"GET http://a.org/ HTTP/1.1\r\n\r\n").contains("405"));
    assert!(refusal(b"CONNECTED a.org:1 HTTP/1.1\r\n\r\n").contains("405"));
    for authority in ["a.org", "a.org:", ":x", "a.org:70000", "a.org:-1", "a.org:1 x", "", " a.org:1"] {
        let request = format!("CONNECT {authority} HTTP/1.1\r\n\r\n");
        assert!(refusal(request.as_bytes()).contains("400"), "{authority}");
    }
    assert!(refusal(b"CONNECT a.org:1 HTTP/9\r\n\r\n").contains("400"));
}

#[test]
fn garbage_is_refused_at_its_first_byte() {
    for byte in (0..=u8::MAX).filter(|byte| *byte != 5 && !byte.is_ascii_uppercase()) {
        assert!(refusal(&[byte]).contains("400"), "{byte}");
    }
}

#[test]
fn other_requests_are_refused_in_socks() {
    assert_eq!(code(&[5, 1, 2]), 0xFF, "a password only");
    assert_eq!(code(&[5, 0]), 0xFF);
    assert_eq!(code(&[5, 1, 0, 5, 2]), 7, "BIND");
    assert_eq!(code(&[5, 1, 0, 5, 3]), 7, "UDP ASSOCIATE");
    assert_eq!(code(&[5, 1, 0, 5, 1, 0, 2]), 8, "no kind of address");
    assert_eq!(code(&[5, 1, 0, b'C']), 1, "another dialect in between");
}

#[test]
fn both_dialects_have_words_for_a_refusal() {
    let page = String::from_utf8(Dialect::Http.failed(Failing::Refused, "why")).unwrap();
    assert!(page.starts_with("HTTP/1.1 403 ") && page.ends_with("Content-Length: 4\r\n\r\nwhy\n"), "{page}");
    assert_eq!(Dialect::Socks.failed(Failing::Refused, "why"), [5, 2, 0, 1, 0, 0, 0, 0, 0, 0]);
}
