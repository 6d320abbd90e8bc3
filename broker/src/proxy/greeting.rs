//! What a client of the proxy says first, in either of two dialects: HTTP's `CONNECT host:port`, or
//! SOCKS 5 (RFC 1928) with names. The first byte tells them apart.
//!
//! Pure: bytes in, steps out. Nothing of a hostile client is kept beyond [`LONGEST`] bytes and one read.

use std::net::{Ipv4Addr, Ipv6Addr};

/// The longest greeting. What clients send is far below, whatever their headers.
pub(super) const LONGEST: usize = 8 << 10;

/// The first byte of SOCKS 5. No method of HTTP begins with it.
const SOCKS: u8 = 5;

/// How the client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    Http,
    Socks,
}

/// Why there is no connection, as far as the dialects have words for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failing {
    /// It is no host.
    Invalid,
    /// It is not granted.
    Refused,
    /// It cannot be found or connected to.
    Unreachable,
    /// It took too long.
    Late,
}

impl Dialect {
    /// From here on the stream is the client's.
    pub(super) fn connected(self) -> Vec<u8> {
        match self {
            Self::Http => b"HTTP/1.1 200 Connection established\r\n\r\n".to_vec(),
            Self::Socks => answer(0),
        }
    }

    /// There is no connection; only HTTP has room for words.
    pub(super) fn failed(self, failing: Failing, why: &str) -> Vec<u8> {
        let (status, code) = match failing {
            Failing::Invalid => ("400 Bad Request", 1),
            Failing::Refused => ("403 Forbidden", 2),
            Failing::Unreachable => ("502 Bad Gateway", 4),
            Failing::Late => ("504 Gateway Timeout", 4),
        };
        match self {
            Self::Http => page(status, why),
            Self::Socks => answer(code),
        }
    }
}

fn page(status: &str, why: &str) -> Vec<u8> {
    let head = "Content-Type: text/plain; charset=utf-8\r\nConnection: close";
    let length = why.len() + 1;
    format!("HTTP/1.1 {status}\r\n{head}\r\nContent-Length: {length}\r\n\r\n{why}\n").into_bytes()
}

/// The address in it is of no use to anybody.
fn answer(code: u8) -> Vec<u8> {
    vec![SOCKS, code, 0, 1, 0, 0, 0, 0, 0, 0]
}

/// What the client wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) dialect: Dialect,
    /// Any text without blanks.
    pub(super) host: String,
    pub(super) port: u16,
    /// What came behind it: it is for the host.
    pub(super) rest: Vec<u8>,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Read on.
    Read,
    /// Say this, and ask again.
    Say(Vec<u8>),
    /// The greeting is over.
    Connect(Wanted),
    /// Say this and close.
    Close(Vec<u8>),
}

/// A greeting that arrives.
#[derive(Debug, Default)]
pub(super) struct Greeting {
    bytes: Vec<u8>,
    /// A client of SOCKS has heard that it needs no password.
    welcomed: bool,
}

impl Greeting {
    pub(super) fn receive(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// What follows from all that was received.
    pub(super) fn step(&mut self) -> Step {
        let step = match self.bytes.first() {
            None => Some(Step::Read),
            Some(&SOCKS) if self.welcomed => self.request(),
            Some(&SOCKS) => self.methods(),
            Some(_) if self.welcomed => Some(Step::Close(answer(1))),
            Some(letter) if letter.is_ascii_uppercase() => self.head(),
            Some(_) => {
                Some(Step::Close(page("400 Bad Request", "this is a proxy for HTTP CONNECT and SOCKS 5")))
            }
        };
        match step {
            Some(step) => step,
            None if self.bytes.len() > LONGEST => {
                Step::Close(page("431 Request Header Fields Too Large", "the request is too long"))
            }
            None => Step::Read,
        }
    }

    /// `None`: it has not arrived whole.
    fn methods(&mut self) -> Option<Step> {
        const NO_PASSWORD: u8 = 0;
        let count = usize::from(*self.bytes.get(1)?);
        let accepts = self.bytes.get(2..2 + count)?.contains(&NO_PASSWORD);
        self.bytes.drain(..2 + count);
        self.welcomed = accepts;
        Some(if accepts { Step::Say(vec![SOCKS, NO_PASSWORD]) } else { Step::Close(vec![SOCKS, 0xFF]) })
    }

    fn request(&mut self) -> Option<Step> {
        const CONNECT: u8 = 1;
        let bytes = &self.bytes;
        if *bytes.get(1)? != CONNECT {
            return Some(Step::Close(answer(7)));
        }
        let (host, end) = match *bytes.get(3)? {
            1 => (Ipv4Addr::from(array::<4>(bytes, 4)?).to_string(), 8),
            4 => (Ipv6Addr::from(array::<16>(bytes, 4)?).to_string(), 20),
            3 => {
                let end = 5 + usize::from(*bytes.get(4)?);
                // What is no text is no name; it will be told so.
                (String::from_utf8_lossy(bytes.get(5..end)?).into_owned(), end)
            }
            _ => return Some(Step::Close(answer(8))),
        };
        let port = u16::from_be_bytes(array(bytes, end)?);
        Some(self.wanted(Dialect::Socks, host, port, end + 2))
    }

    fn head(&mut self) -> Option<Step> {
        const END: &[u8] = b"\r\n\r\n";
        let end = self.bytes.windows(END.len()).position(|found| found == END)?;
        let head = String::from_utf8_lossy(self.bytes.get(..end)?).into_owned();
        let mut words = head.lines().next().unwrap_or_default().split(' ');
        let request = (words.next(), words.next().and_then(authority), words.next(), words.next());
        Some(match request {
            (Some("CONNECT"), Some((host, port)), Some("HTTP/1.1" | "HTTP/1.0"), None) => {
                self.wanted(Dialect::Http, host, port, end + END.len())
            }
            (Some("CONNECT"), ..) => Step::Close(page("400 Bad Request", "this is no host and port")),
            _ => Step::Close(page("405 Method Not Allowed", "this proxy knows CONNECT only")),
        })
    }

    fn wanted(&mut self, dialect: Dialect, host: String, port: u16, length: usize) -> Step {
        Step::Connect(Wanted { dialect, host, port, rest: self.bytes.split_off(length) })
    }
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

fn authority(text: &str) -> Option<(String, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    Some((bare.unwrap_or(host).to_owned(), port.parse().ok()?))
}

#[cfg(test)]
#[path = "greeting_tests.rs"]
mod tests;
