//! Lines: contents that are no cards or events, line by line; and a text for an editor.

use std::io::{self, Write};

use outrigger_protocol::Printable;
use outrigger_store::Kept;

use super::find::Dispute;
use super::sides::Side;
use crate::report::{Part, differences, lines};

/// Equal lines that are shown around a difference.
const AROUND: usize = 3;

/// Lines that are shown of two contents.
const SHOWN: usize = 200;

/// Whether a person can read it.
pub(super) fn is_text(copy: &Kept) -> bool {
    std::str::from_utf8(&copy.data)
        .is_ok_and(|text| !text.contains(|c: char| c.is_control() && !c.is_whitespace()))
}

/// Writes what stands in `right` instead of what stands in `left`; each has a name.
pub(super) fn write_differences(
    (left_name, left): (&str, &Kept),
    (right_name, right): (&str, &Kept),
    to: &mut dyn Write,
) -> io::Result<()> {
    writeln!(to, "  --- {left_name}\n  +++ {right_name}")?;
    let (left, right) = (lines(&left.data), lines(&right.data));
    write_some(&told(&differences(&left, &right)), to)
}

/// Writes a text as it is.
pub(super) fn write_text(copy: &Kept, to: &mut dyn Write) -> io::Result<()> {
    write_some(&lines(&copy.data).iter().map(|line| shown(' ', line)).collect::<Vec<_>>(), to)
}

fn write_some(told: &[String], to: &mut dyn Write) -> io::Result<()> {
    told.iter().take(SHOWN).try_for_each(|line| writeln!(to, "  {line}"))?;
    match told.len().saturating_sub(SHOWN) {
        0 => Ok(()),
        more => writeln!(to, "  … ({more} lines more)"),
    }
}

fn told(parts: &[Part<'_>]) -> Vec<String> {
    let mut told = Vec::new();
    for (at, part) in parts.iter().enumerate() {
        match part {
            Part::Same(same) => {
                let before = if at == 0 { 0 } else { AROUND };
                let after = if at + 1 == parts.len() { 0 } else { AROUND };
                add_same(same, before, after, &mut told);
            }
            Part::Other(left, right) => {
                told.extend(left.iter().map(|line| shown('-', line)));
                told.extend(right.iter().map(|line| shown('+', line)));
            }
        }
    }
    told
}

fn add_same(same: &[&[u8]], before: usize, after: usize, told: &mut Vec<String>) {
    let hidden = same.len().saturating_sub(before + after);
    if hidden == 0 {
        return told.extend(same.iter().map(|line| shown(' ', line)));
    }
    told.extend(same.iter().take(before).map(|line| shown(' ', line)));
    told.push(format!("  … ({hidden} equal lines)"));
    told.extend(same.iter().skip(before + hidden).map(|line| shown(' ', line)));
}

fn shown(sign: char, line: &[u8]) -> String {
    let text = line.strip_suffix(b"\n").unwrap_or(line);
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    format!("{sign} {}", Printable(text))
}

/// The contents in one text, for an editor: lines that all have stand once, what differs stands between
/// marks with the names of members. `None` if the bytes of one are not kept.
#[must_use]
pub fn marked(dispute: &Dispute) -> Option<Vec<u8>> {
    let sides = dispute.sides();
    let copies = dispute.copies()?;
    let texts: Vec<Vec<&[u8]>> = copies.iter().map(|copy| lines(&copy.data)).collect();
    let mut text = Vec::new();
    match &texts[..] {
        [only] => text.extend(only.concat()),
        [left, right] => {
            for part in differences(left, right) {
                match part {
                    Part::Same(same) => text.extend(same.concat()),
                    Part::Other(left, right) => mark(&sides, &[left, right], &mut text),
                }
            }
        }
        many => {
            let whole: Vec<&[&[u8]]> = many.iter().map(Vec::as_slice).collect();
            mark(&sides, &whole, &mut text);
        }
    }
    Some(text)
}

fn mark(sides: &[Side<'_>], parts: &[&[&[u8]]], text: &mut Vec<u8>) {
    for (at, (side, part)) in sides.iter().zip(parts).enumerate() {
        let begin = if at == 0 { "<<<<<<< " } else { "======= " };
        add_line(&format!("{begin}{}", side.holders()), text);
        text.extend(part.concat());
    }
    add_line(">>>>>>> ", text);
}

fn add_line(line: &str, text: &mut Vec<u8>) {
    if text.last().is_some_and(|last| *last != b'\n') {
        text.push(b'\n');
    }
    text.extend(line.as_bytes());
    text.push(b'\n');
}
