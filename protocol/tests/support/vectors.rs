//! The vector files: hexadecimal bytes, each field on a line of its own with its name behind `#`.

use std::path::PathBuf;

use super::annotate::Line;
use super::samples::Sample;

/// Where they are.
pub(crate) fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors")
}

pub(crate) fn path(name: &str) -> PathBuf {
    directory().join(format!("{name}.hex"))
}

/// The text of a vector file.
pub(crate) fn text(sample: &Sample) -> String {
    let mut text = format!("# {}\n", sample.title);
    for line in &sample.lines {
        text.push_str(&row(line));
    }
    text
}

/// Bytes, then the name; long fields take several lines.
fn row((bytes, name): &Line) -> String {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let mut rows = bytes.chunks(32).map(hex);
    let first = rows.next().unwrap_or_default();
    let rest: String = rows.map(|row| format!("{row}\n")).collect();
    format!("{first:<32}  # {name}\n{rest}")
}

/// The bytes of a vector file.
pub(crate) fn parse(text: &str) -> Vec<u8> {
    let digits: String =
        text.lines().flat_map(|line| line.split('#').next()).flat_map(str::split_whitespace).collect();
    let pair = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(pair).collect()
}
