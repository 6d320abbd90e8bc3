//! The rules: what each says, and how to mend what breaks it.

use std::fmt;

macro_rules! rules {
    ($($(#[$doc:meta])* $name:ident, $id:literal, $says:literal, $mend:literal;)*) => {
        /// One thing that every plugin must do right.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Rule {
            $($(#[$doc])* $name,)*
        }

        impl Rule {
            /// All rules, in the order in which they are reported.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Its name in reports, in `--json` and in `docs/plugins.md`.
            #[must_use]
            pub const fn id(self) -> &'static str {
                match self { $(Self::$name => $id,)* }
            }

            /// What the protocol says.
            #[must_use]
            pub const fn says(self) -> &'static str {
                match self { $(Self::$name => $says,)* }
            }

            /// What the author of a plugin that breaks it should do.
            #[must_use]
            pub const fn mend(self) -> &'static str {
                match self { $(Self::$name => $mend,)* }
            }
        }
    };
}

rules! {
    /// It starts, connects and says HELLO in time.
    Handshake, "handshake",
        "a plugin says HELLO within the time limit of its start",
        "connect and send preface and HELLO first; load and log in when `initialize` comes";
    /// Its HELLO is right.
    Hello, "hello",
        "HELLO names a protocol, a codec, limits and a fresh nonce that the broker can use",
        "compare with docs/plugins.md: protocols 0.9, codecs 1 or 2, 32 fresh random bytes as nonce";
    /// Another protocol ends it, and nothing else happens.
    Version, "version",
        "a plugin that meets a protocol it cannot speak, or is refused, ends and answers nothing",
        "when HELLO_OK names no protocol of yours, or REFUSED comes, close the connection and exit";
    /// Frames have the shape of frames.
    Frames, "frames",
        "every frame has a well-formed header, a known place, and a body within the limits",
        "write headers as `<IBBBBQIHHI`, reserved byte 0, and nothing but frames to the connection";
    /// Answers have the body of their method.
    Bodies, "bodies",
        "the body of an answer is the one of its method, in the codec that was agreed on",
        "encode each answer with the codec of the session; compare with the golden vectors";
    /// PING is answered.
    Ping, "ping",
        "PING is answered with PONG",
        "answer PING wherever frames are read";
    /// Frames may be cut anywhere.
    CutFrames, "cut-frames",
        "a frame may arrive in pieces, cut at any byte",
        "read until the header is whole, then until the body is whole";
    /// Unknown kinds are skipped.
    UnknownFrame, "unknown-frame",
        "a frame of an unknown kind that is not marked critical is skipped by its length",
        "skip body_len bytes of a kind that you do not know, and go on";
    /// Unknown methods are answered with an error.
    UnknownCall, "unknown-call",
        "a call of an unknown method is answered with an error, and the connection lives on",
        "answer ERROR with code 8 (unimplemented) instead of ending";
    /// Calls without a body do no harm.
    EmptyBody, "empty-body",
        "a call whose body is missing is answered with an error, and the connection lives on",
        "answer ERROR with code 9 (invalid) when a body cannot be decoded";
    /// Several calls may wait.
    Concurrent, "concurrent",
        "calls sent before the first answer are all answered, by their IDs, in any order",
        "keep calls that come while you work, and answer each with its own ID";
    /// Each call is answered.
    Answered, "answered",
        "every call is answered within its time",
        "answer every CALL with a REPLY or an ERROR, also when your code fails";
    /// Each call is answered once.
    OneAnswer, "one-answer",
        "a call is answered exactly once",
        "send one REPLY or ERROR for a CALL, never a second one";
    /// Only what was asked is answered.
    Issued, "issued",
        "answers, progress and streams name only calls that were made",
        "copy the ID of the CALL; number your own calls and streams even and rising";
    /// Nothing belongs to a call that is over.
    AfterAnswer, "after-answer",
        "nothing that belongs to a call follows its answer",
        "end streams and stop progress before you answer";
    /// Streams say truly what they carried.
    StreamCounts, "stream-counts",
        "STREAM_END, and the answer, say as many items and bytes as were sent",
        "count what you send: items, and bytes of DATA bodies";
    /// Streams end once.
    StreamOnce, "stream-once",
        "a stream is ended once, before the answer of its call, and nothing follows on it",
        "send STREAM_END once for each stream, then the answer";
    /// Credit is kept.
    Credit, "credit",
        "no more bytes of DATA are sent than the receiver has granted",
        "keep the offsets of CREDIT, and wait for more before you send on";
    /// A cancelled call ends soon, and not as if nothing were.
    Cancel, "cancel",
        "a cancelled call is answered soon, and not as if it had been done",
        "look for CANCEL while you work, and answer ERROR with code 1 (cancelled)";
    /// Discovering twice finds the same.
    Discover, "discover",
        "discover names each collection once, and the same ones when it is asked again",
        "keep the objects of the collections that you have named already";
    /// A collection is made once.
    CreateAgain, "create-again",
        "create_collection makes a collection of that name, and one only, however often it is sent",
        "keep the name or refuse it, and answer a repeated operation with what it has made";
    /// A complete listing is complete.
    Complete, "complete",
        "a listing marked complete names every item that is there",
        "set `complete` only when everything could be looked at; say false rather than guess";
    /// No item is listed twice.
    NoUidTwice, "no-uid-twice",
        "a listing names no item twice",
        "list each item once, by one name";
    /// What was written is read, to the byte.
    RoundTrip, "round-trip",
        "an item is read back exactly as it was written",
        "store the bytes; never parse and write them again";
    /// Long names are kept or refused.
    LongHref, "long-href",
        "a name of 4 KiB is kept or refused, and never cut",
        "answer a create whose name you cannot store with a failure, or choose a name and say it";
    /// A write needs the revision that it names.
    Stale, "stale",
        "an update or a deletion that names an old revision is refused, and changes nothing",
        "compare `expected` with the stored revision at the moment of writing; answer code 13";
    /// A deletion may be repeated.
    DeleteAgain, "delete-again",
        "a deletion that is sent again under the same operation is done, or finds nothing",
        "answer Done, or a failure with code 11 (not found), when the item is gone already";
    /// A create may be repeated.
    ItemAgain, "item-again",
        "a create that is sent again under the same operation makes no second item",
        "name items by their key, or keep the operation with the item; or say `lookup` or `none` in `Sink`";
    /// Marshalling is an identity.
    Remarshal, "remarshal",
        "demarshalling and marshalling a non-plain format gives the same bytes",
        "marshal deterministically, and keep every field";
    /// One instance serves many runs.
    Runs, "runs",
        "an instance serves any number of runs, and each lists the same",
        "reset what belongs to a run in `disconnect`";
    /// New names are said in sets that can be, and are the names then.
    NewNames, "new-names",
        "a set of new names names each item once, gives each a name of its own, and the next listing has them",
        "say old and new name of each item once, none empty, and list by the new ones from then on";
    /// Many items are no trouble.
    Memory, "memory",
        "many items are written and listed in bounded memory",
        "stream instead of collecting; keep names, not contents";
    /// Standard output is a log.
    StdoutQuiet, "stdout-quiet",
        "standard output is a log and never holds frames or other binary data",
        "write frames to the connection only: a duplicate of descriptor 0, or the named socket";
    /// A goodbye is answered.
    Goodbye, "goodbye",
        "GOODBYE is answered with GOODBYE_OK, and the process then leaves with code 0",
        "finish what was accepted, send GOODBYE_OK, close, exit 0";
    /// A closed connection ends it.
    CleanExit, "clean-exit",
        "a plugin whose connection is closed ends by itself",
        "treat the end of the connection as the end of the program";
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_rules_have_one_name_and_none_is_without_advice() {
        let ids: BTreeSet<&str> = Rule::ALL.iter().map(|rule| rule.id()).collect();
        assert_eq!(ids.len(), Rule::ALL.len());
        assert!(Rule::ALL.iter().all(|rule| !rule.says().is_empty() && !rule.mend().is_empty()));
    }

    #[test]
    fn every_rule_stands_in_the_guide_for_authors() {
        let guide = include_str!("../../docs/plugins.md");
        for rule in Rule::ALL {
            assert!(guide.contains(&format!("| `{}` |", rule.id())), "docs/plugins.md lacks {rule}");
        }
    }
}
