//! Names of files that are ours: what lies aside for a moment, and what recovery must know of it.
//!
//! `.outrigger-new-OPERATION.tmp` holds content that was never in place, perhaps half of it.
//! The others name what they were put aside for:
//! `.outrigger-KIND-OPERATION-EXPECTED-NEW=HREF.tmp` (`~EXT` for `=HREF` where that would be too
//! long), with the first half of the expected and the new digest. A file so named that holds one of
//! these two contents is known to the engine and may go. Anything else in it is somebody's edit.

use outrigger_plugin_sdk::protocol::{OperationId, RawDigest};

use crate::names::{self, MAX_NAME};

const PREFIX: &[u8] = b".outrigger-";
const SUFFIX: &[u8] = b".tmp";
const HALF: usize = 32;

/// How the file came to lie aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The complete new content before the exchange, the displaced one after it.
    Swap,
    /// A second name of the file to be replaced, where names cannot be exchanged.
    Copy,
    /// The file to be deleted.
    Gone,
}

impl Kind {
    const fn word(self) -> &'static str {
        match self {
            Self::Swap => "swap",
            Self::Copy => "copy",
            Self::Gone => "gone",
        }
    }
}

/// One of our names, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ours {
    /// Content that was never in place.
    New,
    /// A file that was, or is about to be, displaced.
    Aside(Aside),
}

/// What the name of a displaced file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Aside {
    pub(crate) operation: String,
    expected: String,
    new: String,
    /// The item's name, or only its extension.
    href: Result<Vec<u8>, Vec<u8>>,
}

impl Aside {
    pub(crate) fn new(operation: OperationId, expected: &RawDigest, new: &RawDigest, href: &[u8]) -> Self {
        Self {
            operation: operation.0.simple().to_string(),
            expected: half(expected),
            new: half(new),
            href: Ok(href.to_vec()),
        }
    }

    /// The file's name.
    pub(crate) fn name(&self, kind: Kind) -> Vec<u8> {
        let head = format!(".outrigger-{}-{}-{}-{}", kind.word(), self.operation, self.expected, self.new);
        let whole = |mark: u8, tail: &[u8]| [head.as_bytes(), &[mark], tail, SUFFIX].concat();
        match &self.href {
            Ok(href) if head.len() + 1 + href.len() + SUFFIX.len() <= MAX_NAME => whole(b'=', href),
            Ok(href) => whole(b'~', extension(href)),
            Err(extension) => whole(b'~', extension),
        }
    }

    /// The name that the content had, if the name of the file could hold it.
    pub(crate) fn href(&self) -> Option<&[u8]> {
        self.href.as_deref().ok()
    }

    /// Whether the engine knows this content: it expected it here, or sent it.
    pub(crate) fn knows(&self, digest: &RawDigest) -> bool {
        half(digest) == self.expected || self.is_new(digest)
    }

    /// Whether this is the content that was to be put in place.
    pub(crate) fn is_new(&self, digest: &RawDigest) -> bool {
        half(digest) == self.new
    }

    /// Names for an edit that finds its own name taken: the same on each attempt.
    pub(crate) fn names_to_keep(&self) -> impl Iterator<Item = Vec<u8>> {
        let name = self.href.as_deref().unwrap_or_else(|extension| extension);
        let (stem, extension) = name.split_at(name.len().saturating_sub(4));
        let stem = &stem[..stem.len().min(MAX_NAME - 40)];
        // The last twelve digits of a UUIDv7 are random.
        let tag = &self.operation[self.operation.len().saturating_sub(12)..];
        (0..100_u32).map(move |n| {
            let tag = if n == 0 { format!("kept-{tag}") } else { format!("kept-{tag}-{n}") };
            let dash: &[u8] = if stem.is_empty() { b"" } else { b"-" };
            [stem, dash, tag.as_bytes(), extension].concat()
        })
    }
}

/// The name of new content until it is complete and durable.
pub(crate) fn new_name(operation: OperationId) -> Vec<u8> {
    format!(".outrigger-new-{}.tmp", operation.0.simple()).into_bytes()
}

/// Takes a name of ours apart; `None` for all others, also those that only look alike.
pub(crate) fn parse(name: &[u8]) -> Option<Ours> {
    let rest = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
    if let Some(operation) = rest.strip_prefix(b"new-") {
        return hex(operation).map(|_| Ours::New);
    }
    let mut words = [Kind::Swap, Kind::Copy, Kind::Gone].into_iter().map(Kind::word);
    let rest = words.find_map(|word| rest.strip_prefix(word.as_bytes()))?;
    aside(rest).map(Ours::Aside)
}

fn aside(rest: &[u8]) -> Option<Aside> {
    let (operation, rest) = field(rest)?;
    let (expected, rest) = field(rest)?;
    let (new, rest) = field(rest)?;
    let href = match rest.split_first()? {
        (b'=', href) => names::item(href).map(|_| Ok(href.to_vec()))?,
        (b'~', extension) => names::item(&[b"x", extension].concat()).map(|_| Err(extension.to_vec()))?,
        _ => return None,
    };
    Some(Aside { operation, expected, new, href })
}

fn field(rest: &[u8]) -> Option<(String, &[u8])> {
    let (field, rest) = rest.strip_prefix(b"-")?.split_at_checked(HALF)?;
    Some((hex(field)?, rest))
}

fn hex(text: &[u8]) -> Option<String> {
    let digits = text.len() == HALF && text.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    digits.then(|| String::from_utf8_lossy(text).into_owned())
}

fn half(digest: &RawDigest) -> String {
    let mut text = digest.to_string();
    text.truncate(HALF);
    text
}

fn extension(href: &[u8]) -> &[u8] {
    &href[href.len().saturating_sub(4)..]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(href: &[u8]) -> Aside {
        let operation = OperationId(uuid::Uuid::from_u128(0x0199_0000_0000_7000_8000_abcd_ef01_2345));
        Aside::new(operation, &RawDigest::of(b"old"), &RawDigest::of(b"new"), href)
    }

    #[test]
    fn a_name_says_all_that_recovery_needs() {
        for href in [&b"a.vcf"[..], b"a=b~c-d.ICS", b"\xff\xfe.vcf"] {
            let aside = sample(href);
            for kind in [Kind::Swap, Kind::Copy, Kind::Gone] {
                assert_eq!(parse(&aside.name(kind)), Some(Ours::Aside(aside.clone())));
            }
        }
        assert!(sample(b"a.vcf").knows(&RawDigest::of(b"old")));
        assert!(!sample(b"a.vcf").knows(&RawDigest::of(b"edit")));
    }

    #[test]
    fn names_of_255_bytes_leave_names_of_255_bytes() {
        let href = [&[b'h'; 251][..], b".vcf"].concat();
        let name = sample(&href).name(Kind::Swap);
        assert!(name.len() <= MAX_NAME);
        let Some(Ours::Aside(aside)) = parse(&name) else { panic!("not ours") };
        assert_eq!(aside.href(), None);
        assert!(aside.names_to_keep().all(|name| name.len() <= MAX_NAME && names::item(&name).is_some()));
        assert!(
            sample(&href).names_to_keep().all(|name| name.len() <= MAX_NAME && names::item(&name).is_some())
        );
    }

    #[test]
    fn what_only_looks_like_ours_is_left_alone() {
        let good = sample(b"a.vcf").name(Kind::Gone);
        for bad in [
            &b".outrigger-marker"[..],
            b".outrigger-new-xyz.tmp",
            b".outrigger-gone-.tmp",
            &good[1..],
            &[&good[..good.len() - 9], b".tmp"].concat(),
            &[&good[..good.len() - 9], b".bashrc.tmp"].concat(),
        ] {
            assert_eq!(parse(bad), None, "{}", String::from_utf8_lossy(bad));
        }
        assert_eq!(parse(&new_name(OperationId(uuid::Uuid::nil()))), Some(Ours::New));
    }
}
