//! Apply: what an answered write does to a row, as pure functions.
//!
//! What the group agrees on was settled before the write was sent (`accept`): an answer concerns the
//! member that gave it, and nobody else.

use outrigger_protocol::{CommitKind, Href};

use crate::journal::Intent;
use crate::observe::State;
use crate::row::{Content, Entry, Observed, Row};

/// What a member stores after a write.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) href: Href,
    pub(crate) state: State,
    pub(crate) content: Content,
    /// The member did not say what it stored, or not in full: it must be read back (decisions S4).
    pub(crate) read_back: bool,
}

/// A create or update is done: the member has that version.
pub(crate) fn written(row: &mut Row, intent: &Intent, stored: Stored) {
    let Some(sent) = intent.content else { return };
    row.quarantine.retain(|quarantine| quarantine.member != intent.member);
    // One member holds it now: whoever else needs it gets it from there.
    row.supplied.take_if(|supplied| supplied.content == sent);
    let have = intent.version.min(row.version);
    // What was sent may be how another member stores what was agreed.
    let agreed = row.base.filter(|_| have == row.version).unwrap_or(sent);
    let State { revision, settled } = stored.state;
    let observed = Observed::Present { revision, settled, content: stored.content };
    let entry = Entry {
        href: stored.href,
        // Until it is read back, what was sent is what is agreed.
        agreed: if stored.read_back { sent } else { stored.content },
        have,
        rewritten: stored.read_back || stored.content.digest != agreed.digest,
        observed,
    };
    if let Some(place) = row.entries.get_mut(intent.member.index()) {
        *place = Some(entry);
    }
}

/// A delete is done: the member has taken note.
pub(crate) fn deleted(row: &mut Row, intent: &Intent) {
    let version = intent.version.min(row.version);
    row.quarantine.retain(|quarantine| quarantine.member != intent.member);
    if let Some(entry) = row.entry_mut(intent.member) {
        entry.observed = Observed::Gone;
        entry.have = version;
        entry.rewritten = false;
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
