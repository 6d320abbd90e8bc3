//! Items: cards with a UID and a text, and what members and plugins make of them.

use outrigger_engine::Canonical;
use outrigger_protocol::Verdict;

pub(crate) fn card(uid: Option<u8>, text: impl Into<u32>) -> Vec<u8> {
    let (uid, text) = (uid.map(|uid| format!("UID:uid{uid}\r\n")).unwrap_or_default(), text.into());
    format!("BEGIN:VCARD\r\nVERSION:3.0\r\n{uid}FN:text{text}\r\nEND:VCARD\r\n").into_bytes()
}

pub(crate) fn key_of(data: &[u8]) -> Option<Vec<u8>> {
    let line = line_of(data, "UID:")?;
    line.strip_prefix("uid").map(|_| line.as_bytes().to_vec()).or_else(|| parsed_key(data))
}

fn parsed_key(data: &[u8]) -> Option<Vec<u8>> {
    Canonical::of("vcard", data).key.map(|key| key.0.into_vec())
}

/// The rest of the first line that begins so.
fn line_of<'d>(data: &'d [u8], name: &str) -> Option<&'d str> {
    let text = std::str::from_utf8(data).ok()?;
    text.split("\r\n").find_map(|line| line.strip_prefix(name))
}

/// What its text is called: `7` of `FN:text7`, `3+5` of two that were merged.
pub(crate) fn text_in(data: &[u8]) -> Option<&str> {
    line_of(data, "FN:text")
}

/// What its collection calls it: a contact, unless it says otherwise.
pub(crate) fn object_type_of(data: &[u8]) -> &str {
    line_of(data, "X-TYPE:").unwrap_or("contact")
}

/// The same card with another text.
pub(crate) fn with_text(data: &[u8], text: &str) -> Vec<u8> {
    let old = text_in(data).unwrap_or_default();
    let whole = String::from_utf8(data.to_vec()).unwrap();
    whole.replace(&format!("FN:text{old}\r"), &format!("FN:text{text}\r")).into_bytes()
}

/// Two texts as one, in an order of their own, so that nothing depends on that of the members.
pub(crate) fn merged(left: &[u8], right: &[u8]) -> Vec<u8> {
    let mut parts: Vec<&str> =
        [left, right].into_iter().filter_map(text_in).flat_map(|text| text.split('+')).collect();
    parts.sort_unstable();
    parts.dedup();
    with_text(left, &parts.join("+"))
}

/// What a rewriting member makes of an item.
pub(crate) fn rewritten(data: &[u8]) -> Vec<u8> {
    let Some(at) = data.windows(4).position(|part| part == b"END:") else { return data.to_vec() };
    let (head, end) = data.split_at(at);
    let is_done = head.windows(4).any(|part| part == b"X-RW");
    let line: &[u8] = if is_done { b"" } else { b"X-RW:1\r\n" };
    [head, line, end].concat()
}

/// What a plugin that compares takes an item for: the texts 0 and 1 mean the same to it.
pub(crate) fn meaning(data: &[u8]) -> Vec<u8> {
    match text_in(data) {
        Some("1") => rewritten(&with_text(data, "0")),
        _ => rewritten(data),
    }
}

/// What such a plugin says.
pub(crate) fn verdict(left: &[u8], right: &[u8]) -> Verdict {
    if meaning(left) == meaning(right) {
        Verdict::Same
    } else if key_of(left) == key_of(right) {
        Verdict::Similar
    } else {
        Verdict::Different
    }
}

/// The card without its UID.
pub(crate) fn line_free_of_uid(data: &[u8]) -> Vec<u8> {
    let Some(uid) = line_of(data, "UID:") else { return data.to_vec() };
    let line = format!("UID:{uid}\r\n");
    String::from_utf8(data.to_vec()).unwrap().replacen(&line, "", 1).into_bytes()
}
