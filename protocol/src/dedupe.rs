//! Dedupe: how a member recognises a write that it is sent a second time.

use std::fmt;

use crate::member::Sink;

/// The tag of it in [`Sink::ext`].
const DEDUPE: u16 = 2;

/// How a collection recognises a create that comes again under the same operation, after its answer
/// was lost (decisions X2, X4). Updates and deletions are conditional in every case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Dedupe {
    /// By the operation, which it keeps in one transaction with the item.
    Token,
    /// By the condition: the name of an item follows from its key, so the second one meets the first.
    #[default]
    Conditional,
    /// Not at all; but an item that is there can be found by its key. The engine looks, and sends
    /// again only what is not there.
    Lookup,
    /// Not at all. What has no answer stays in doubt until a complete listing tells.
    None,
}

impl Dedupe {
    /// As it stands on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Conditional => "conditional",
            Self::Lookup => "lookup",
            Self::None => "none",
        }
    }

    /// A word that this version does not know promises nothing.
    fn named(name: &[u8]) -> Self {
        let all = [Self::Token, Self::Conditional, Self::Lookup];
        all.into_iter().find(|one| one.name().as_bytes() == name).unwrap_or(Self::None)
    }
}

impl fmt::Display for Dedupe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Sink {
    /// Says how it recognises a write that it is sent again.
    #[must_use]
    pub fn with_dedupe(mut self, dedupe: Dedupe) -> Self {
        self.ext.set(DEDUPE, dedupe.name().as_bytes());
        self
    }

    /// How it recognises a write that it is sent again; [`Dedupe::Conditional`] if it says nothing.
    /// A plugin that promises what it does not do can make items twice at its member.
    #[must_use]
    pub fn dedupe(&self) -> Dedupe {
        self.ext.get(DEDUPE).map_or(Dedupe::default(), Dedupe::named)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extension::Extensions;
    use crate::ids::ObjectId;

    fn sink() -> Sink {
        let (object_types, formats) = (Vec::new(), Vec::new());
        let (store, unavailable, ext) = (None, None, Extensions::default());
        let name = "book".to_owned();
        Sink { object: ObjectId(2), name, object_types, formats, read_only: false, store, unavailable, ext }
    }

    #[test]
    fn what_is_said_is_read() {
        for dedupe in [Dedupe::Token, Dedupe::Conditional, Dedupe::Lookup, Dedupe::None] {
            assert_eq!(sink().with_dedupe(dedupe).dedupe(), dedupe);
        }
    }

    #[test]
    fn silence_is_what_every_plugin_must_do_and_an_unknown_word_is_no_promise() {
        assert_eq!(sink().dedupe(), Dedupe::Conditional);
        for word in [&b"Token"[..], b"", b"two-phase", b"token\0", &[0xff; 9]] {
            let mut sink = sink();
            sink.ext.set(DEDUPE, word);
            assert_eq!(sink.dedupe(), Dedupe::None);
        }
    }
}
