//! Names of folders as text, and back: a byte that is not UTF-8 becomes `%XX`.

use std::ffi::OsString;

/// Text for any name. A `%` that could be taken for an escape is one itself.
pub(crate) fn encode(name: &[u8]) -> String {
    let mut text = String::with_capacity(name.len());
    for chunk in name.utf8_chunks() {
        for (at, c) in chunk.valid().char_indices() {
            let looks_escaped = c == '%' && escaped(&chunk.valid().as_bytes()[at..]).is_some();
            text.push(c);
            text.push_str(if looks_escaped { "25" } else { "" });
        }
        text.extend(chunk.invalid().iter().map(|byte| format!("%{byte:02X}")));
    }
    text
}

/// The name that [`encode`] made the text of.
pub(crate) fn decode(text: &str) -> Vec<u8> {
    let mut rest = text.as_bytes();
    let mut name = Vec::with_capacity(rest.len());
    while let Some(first) = rest.first() {
        let byte = escaped(rest);
        name.push(byte.unwrap_or(*first));
        rest = &rest[if byte.is_some() { 3 } else { 1 }..];
    }
    name
}

fn escaped(text: &[u8]) -> Option<u8> {
    let [b'%', high, low, ..] = text else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()
}

/// The name as the system has it; `None` where it must be Unicode and is not.
#[cfg(unix)]
#[allow(clippy::unnecessary_wraps, reason = "the twin for other systems can fail")]
pub(crate) fn os_name(name: Vec<u8>) -> Option<OsString> {
    Some(std::os::unix::ffi::OsStringExt::from_vec(name))
}

/// The name as the system has it; `None` where it must be Unicode and is not.
#[cfg(not(unix))]
pub(crate) fn os_name(name: Vec<u8>) -> Option<OsString> {
    String::from_utf8(name).ok().map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_comes_back() {
        let samples: [&[u8]; 10] = [
            b"plain",
            b"50%",
            b"%41",
            b"%2541",
            b"\xff",
            b"%\xff",
            b"%4\xff",
            b"%%ff",
            "zu\u{df}".as_bytes(),
            b"%f\xc3",
        ];
        for name in samples {
            assert_eq!(decode(&encode(name)), name, "{name:?} as {}", encode(name));
        }
    }

    #[test]
    fn ordinary_names_stay_as_they_are() {
        for name in ["Personal", "50%", "100% sure", "J\u{f6}rg"] {
            assert_eq!(encode(name.as_bytes()), name);
        }
        assert_eq!(encode(b"caf\xe9"), "caf%E9");
        assert_eq!(encode(b"%41"), "%2541");
    }
}
