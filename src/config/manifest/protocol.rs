//! Which versions of the protocol a plugin speaks.

use std::fmt;

use outrigger_protocol::VERSION;

/// All versions from one to another, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProtocolRange {
    first: (u16, u16),
    last: (u16, u16),
}

impl ProtocolRange {
    /// `0.9`, or `0.9 - 1.2`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let (first, last) = (version(first.trim())?, version(last.trim())?);
        (first <= last).then_some(Self { first, last })
    }

    /// Whether this broker speaks one of them: it knows all minor versions before its own.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.holds((VERSION.major, VERSION.minor))
    }

    fn holds(&self, ours: (u16, u16)) -> bool {
        self.first <= ours && ours.0 <= self.last.0
    }
}

impl fmt::Display for ProtocolRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { first, last } = self;
        write!(f, "{}.{}", first.0, first.1)?;
        if first == last { Ok(()) } else { write!(f, " - {}.{}", last.0, last.1) }
    }
}

fn version(text: &str) -> Option<(u16, u16)> {
    let (major, minor) = text.split_once('.')?;
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse().ok()).flatten()
    };
    Some((number(major)?, number(minor)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_one_version_or_two() {
        for (text, shown) in [("0.9", "0.9"), ("0.9-1.2", "0.9 - 1.2"), (" 0.9  -  0.9 ", "0.9")] {
            assert_eq!(ProtocolRange::parse(text).unwrap().to_string(), shown);
        }
        for text in ["", "1", "0.9.1", "1.2 - 0.9", "0.9-", "-0.9", "+0.9", "0.99999", ">=0.9"] {
            assert_eq!(ProtocolRange::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_broker_speaks_the_minor_versions_before_its_own() {
        let holds = |text: &str, ours| ProtocolRange::parse(text).unwrap().holds(ours);
        assert!(holds("0.9", (0, 9)) && holds("0.9", (0, 11)) && holds("0.9 - 1.2", (1, 0)));
        assert!(holds("0.9 - 1.2", (1, 7)));
        assert!(!holds("0.9", (0, 8)) && !holds("0.9", (1, 0)) && !holds("1.0", (0, 9)));
    }
}
