//! Apply: what a finished step does to a row, as pure functions.

use outrigger_protocol::{CommitKind, Href};

use crate::journal::Intent;
use crate::observe::{State, content, is_present};
use crate::row::{Content, Entry, Observed, Row, Side};

/// What a member stores after a write.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) href: Href,
    pub(crate) state: State,
    pub(crate) content: Content,
    /// The member did not say what it stored, or not in full: it must be read back (decisions S4).
    pub(crate) read_back: bool,
}

/// A create or update is done: both members agree on its content. What the source was seen to hold
/// stays as it is: an edit made meanwhile remains news.
pub(crate) fn written(row: &mut Row, intent: &Intent, stored: Stored) {
    let Some(sent) = intent.content else { return };
    let version = intent.version.max(row.version);
    row.version = version;
    row.conflict = None;
    row.quarantine = None;
    if let Some(source) = &mut row.entries[intent.side.other().index()] {
        source.agreed = sent;
        source.have = version;
        source.rewritten = false;
    }
    let State { revision, settled } = stored.state;
    let observed = Observed::Present { revision, settled, content: stored.content };
    row.entries[intent.side.index()] = Some(Entry {
        href: stored.href,
        // Until it is read back, what was sent is what is agreed.
        agreed: if stored.read_back { sent } else { stored.content },
        have: version,
        rewritten: stored.read_back || stored.content.digest != sent.digest,
        observed,
    });
}

/// A delete is done. `None`: no member has the item any more, the row goes. Otherwise the other
/// member got the item back meanwhile, which is news.
pub(crate) fn deleted(mut row: Row, intent: &Intent) -> Option<Row> {
    let other = intent.side.other();
    if !is_present(&row, other) {
        return None;
    }
    row.entries[intent.side.index()] = None;
    if let Some(entry) = &mut row.entries[other.index()] {
        entry.have = 0;
    }
    row.version = 0;
    row.conflict = None;
    Some(row)
}

/// Both members hold the same, or what means the same: that is agreed now, as each of them stores
/// it. Where the digests differ, both are marked so that they are at rest like that (decisions S4).
pub(crate) fn adopt(row: &mut Row) {
    row.version += 1;
    row.conflict = None;
    let [a, b] = Side::BOTH.map(|side| content(row, side).map(|content| content.digest));
    for entry in row.entries.iter_mut().flatten() {
        if let Observed::Present { content, .. } = &entry.observed {
            entry.agreed = *content;
            entry.have = row.version;
            entry.rewritten = a != b;
        }
    }
}

/// Whether a state is the one that the write was conditional on.
pub(crate) fn is_base(intent: &Intent, state: &State, content: &Content) -> bool {
    intent
        .expected
        .as_ref()
        .is_some_and(|(revision, base)| *revision == state.revision && base.raw == content.raw)
}

/// Whether a content is what the write was to bring. Where it was to bring another UID alone, which
/// is no part of the digest, the bytes tell.
pub(crate) fn is_intended(intent: &Intent, content: &Content) -> bool {
    let Some(sent) = intent.content.filter(|_| intent.kind != CommitKind::Delete) else { return false };
    let brings_content = intent.expected.as_ref().is_none_or(|(_, base)| base.digest != sent.digest);
    sent.raw == content.raw || (brings_content && sent.digest == content.digest)
}
