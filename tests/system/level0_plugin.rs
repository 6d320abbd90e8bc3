//! A plugin of level 0 with nothing but a standard library and JSON: `level0_plugin DEED`.
//!
//! Frames by hand: calls come in, answers go out, all else is skipped by its length. `good` does
//! everything right; `level0.rs` says what each other deed must cost.
#![forbid(unsafe_code)]

use std::process::ExitCode;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    match plugin::serve(&std::env::args().nth(1).unwrap_or_default()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    ExitCode::FAILURE
}

#[cfg(target_os = "linux")]
mod plugin {
    use std::io::{self, Read as _, Write as _};
    use std::os::fd::AsFd as _;
    use std::os::unix::net::UnixStream;

    use serde_json::{Value, json};

    const HELLO: u8 = 1;
    const CALL: u8 = 16;
    const REPLY: u8 = 17;
    const ERROR: u8 = 18;
    const PING: u8 = 64;
    const PONG: u8 = 65;
    const GOODBYE: u8 = 66;
    const GOODBYE_OK: u8 = 67;

    /// Notes in the collection.
    const NOTES: usize = 2500;

    struct Frame {
        kind: u8,
        id: [u8; 8],
        method: u16,
        body: Value,
    }

    struct Link(UnixStream);

    impl Link {
        fn send(&mut self, kind: u8, id: [u8; 8], body: &Value) -> io::Result<()> {
            let text = if body.is_null() { String::new() } else { body.to_string() };
            let length = u32::try_from(text.len()).map_err(io::Error::other)?;
            let mut frame = vec![0; 28];
            frame[..4].copy_from_slice(&length.to_le_bytes());
            frame[4] = kind;
            frame[8..16].copy_from_slice(&id);
            frame.extend_from_slice(text.as_bytes());
            self.0.write_all(&frame)
        }

        fn receive(&mut self) -> io::Result<Frame> {
            let mut header = [0; 28];
            self.0.read_exact(&mut header)?;
            let length = u32::from_le_bytes([header[0], header[1], header[2], header[3]]);
            let mut rest = vec![0; length as usize];
            self.0.read_exact(&mut rest)?;
            let extensions = usize::from(u16::from_le_bytes([header[22], header[23]]));
            let text = rest.get(extensions..).unwrap_or_default();
            let mut id = [0; 8];
            id.copy_from_slice(&header[8..16]);
            let method = u16::from_le_bytes([header[20], header[21]]);
            Ok(Frame {
                kind: header[4],
                id,
                method,
                body: serde_json::from_slice(text).unwrap_or(Value::Null),
            })
        }
    }

    pub(super) fn serve(deed: &str) -> io::Result<()> {
        let mut link = Link(UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?));
        link.0.write_all(b"OUTRGR\r\n")?;
        let hello = json!({
            "protocols": [{"major": 0, "minor": 9}], "software": "by hand", "auth": "inherited",
            "codecs": [2], "level": 0, "nonce": base64(&[7; 32]),
        });
        link.send(HELLO, [0; 8], &hello)?;
        link.0.read_exact(&mut [0; 8])?;
        link.receive()?; // HELLO_OK: there is one codec to agree on
        loop {
            let frame = link.receive()?;
            match frame.kind {
                CALL => match answer(deed, frame.method, &frame.body) {
                    Some(body) => link.send(REPLY, frame.id, &body)?,
                    None => link.send(ERROR, frame.id, &unknown(frame.method))?,
                },
                PING => link.send(PONG, frame.id, &Value::Null)?,
                GOODBYE => {
                    link.send(GOODBYE_OK, [0; 8], &Value::Null)?;
                    return link.0.read_to_end(&mut Vec::new()).map(drop);
                }
                _ => {}
            }
        }
    }

    fn unknown(method: u16) -> Value {
        json!({
            "code": 1, "blame": "Caller", "effect": "NotStarted", "retry": "Never",
            "message": format!("there is no method {method}"), "causes": [],
        })
    }

    fn answer(deed: &str, method: u16, request: &Value) -> Option<Value> {
        Some(match method {
            1 => json!({"instance": 1}),
            2 => json!({"can_create": false, "sinks": [{
                "object": 2, "name": "notes", "object_types": [], "formats": [], "read_only": false,
                "store": null, "unavailable": null,
            }]}),
            4 => json!({"slow_sync": false}),
            5 | 9..=12 => Value::Null,
            8 => committed(request),
            13 => page(deed, request),
            14 => results(deed, request),
            _ => return None,
        })
    }

    fn committed(request: &Value) -> Value {
        let done = |item: &Value| {
            let done = json!({
                "href": item["href"], "revision": base64(b"2"), "settled": true, "digest": item["digest"],
            });
            json!({"operation": item["operation"], "outcome": {"Done": done}})
        };
        let results: Vec<Value> = request["items"].as_array().into_iter().flatten().map(done).collect();
        json!({ "results": results })
    }

    /// A cursor is the number of the next note, in decimal digits.
    fn page(deed: &str, request: &Value) -> Value {
        let from = request["cursor"].as_str().map_or(0, number);
        let most = usize::try_from(request["max"].as_u64().unwrap_or(0)).unwrap_or(0);
        let (count, next) = match deed {
            "empty-page" => (0, Some(from + 1)),
            "too-many" => (most + 1, None),
            "same-cursor" => (10, Some(7)),
            "for-ever" => (10, Some(from + 10)),
            _ => {
                let to = NOTES.min(from + most);
                (to - from, (to < NOTES).then_some(to))
            }
        };
        let changes: Vec<Value> = (from..from + count).map(change).collect();
        let next = next.map(|next| base64(next.to_string().as_bytes()));
        json!({"changes": changes, "next": next, "complete": true, "anchor": base64(b"here")})
    }

    fn change(number: usize) -> Value {
        json!({
            "href": base64(format!("note-{number}").as_bytes()), "kind": "Unknown",
            "revision": base64(b"1"), "settled": true, "object_type": "note", "format": "text",
        })
    }

    /// Three results at a time.
    fn results(deed: &str, request: &Value) -> Value {
        let asked = request["items"].as_array().map_or(0, Vec::len);
        let indices: Vec<usize> = match deed {
            "no-results" => vec![],
            "more-results" => (0..=asked).collect(),
            "disorder" => vec![1, 0],
            "twice" => vec![0, 0],
            _ => (0..asked.min(3)).collect(),
        };
        let result = |index: usize| {
            let data = base64(format!("note {}", request["items"][index]["href"]).as_bytes());
            let item = json!({"revision": base64(b"1"), "settled": true, "format": "text", "data": data});
            json!({"index": index, "outcome": {"Item": item}})
        };
        let results: Vec<Value> = indices.into_iter().map(result).collect();
        json!({ "results": results })
    }

    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    fn base64(bytes: &[u8]) -> String {
        let mut text = String::new();
        for chunk in bytes.chunks(3) {
            let bits = chunk.iter().fold(0usize, |bits, byte| bits << 8 | usize::from(*byte));
            let bits = bits << (8 * (3 - chunk.len()));
            for at in 0..4 {
                let digit = char::from(DIGITS[bits >> (18 - 6 * at) & 63]);
                text.push(if at <= chunk.len() { digit } else { '=' });
            }
        }
        text
    }

    /// The decimal number whose digits a base64 text holds.
    fn number(text: &str) -> usize {
        let digits = text.trim_end_matches('=').bytes();
        let mut bits = digits.map(|digit| DIGITS.iter().position(|known| *known == digit).unwrap_or(0));
        let mut bytes = Vec::new();
        while let Some(a) = bits.next() {
            let (b, c, d) = (bits.next(), bits.next(), bits.next());
            let all = a << 18 | b.unwrap_or(0) << 12 | c.unwrap_or(0) << 6 | d.unwrap_or(0);
            let held = [b, c, d].iter().flatten().count();
            bytes.extend((0..held).map(|at| u8::try_from(all >> (16 - 8 * at) & 255).unwrap_or(0)));
        }
        String::from_utf8(bytes).ok().and_then(|text| text.parse().ok()).unwrap_or(0)
    }
}
