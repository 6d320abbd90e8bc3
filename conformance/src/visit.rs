//! A visit: one ordinary conversation with a plugin, for traces and recordings.

use std::path::PathBuf;
use std::sync::Arc;

use outrigger_protocol::{CommitKind, CommitOutcome, Discovered, Href, Method, ObjectId, Sink};

use crate::corpus::{Format, Item};
use crate::findings::{Findings, Step, Stop};
use crate::rule::Rule;
use crate::settings::{Settings, Subject};
use crate::talk::Talk;
use crate::tape::{Listener, Tape};
use crate::watcher::{Unwatched, Watcher};

/// Items that are read of each collection.
const READ: usize = 10;

/// Bytes that a stream may go ahead.
const WINDOW: u64 = 256 << 10;

/// Plays the life of a plugin once, from its start to goodbye, and lets `listener` hear every frame:
/// each collection is connected, listed, its first items are read. With `write`, an item is created,
/// updated and deleted in the first collection that can be written. Returns the scratch folder that
/// its settings spoke of (it is gone by then).
///
/// # Errors
/// What was wrong, in words: the plugin's, or a rule that it broke.
pub fn visit(
    subject: &Subject,
    settings: &Settings,
    write: bool,
    listener: Box<Listener<'static>>,
) -> Result<PathBuf, String> {
    let told = |stop| match stop {
        Stop::Broken(rule, why) => format!("{why} (rule `{rule}`: {})", rule.says()),
        Stop::Settings(why) | Stop::Pointless(why) => why,
        Stop::Interrupted => "interrupted".into(),
    };
    let watcher: Arc<dyn Watcher> = Arc::new(Unwatched);
    let mut talk = Talk::start(subject, settings, Tape::to(listener), &watcher).map_err(told)?;
    let scratch = talk.scratch().to_owned();
    let played = play(&mut talk, subject, write);
    talk.end(&mut Findings::new(watcher));
    played.map(|()| scratch).map_err(told)
}

fn play(talk: &mut Talk<'_>, subject: &Subject, write: bool) -> Step<()> {
    talk.greet(WINDOW)?;
    let instance = talk.initialize(subject)?.instance;
    let discovered: Discovered = talk.must(Method::DISCOVER, instance, &())?;
    talk.main = discovered.main;
    for sink in discovered.sinks.iter().filter(|sink| sink.unavailable.is_none()) {
        look(talk, sink)?;
    }
    if let Some((sink, _)) = if write { talk.writable_sink(instance)? } else { None } {
        write_one(talk, &sink)?;
    }
    talk.finalize(instance)?;
    talk.settle(Rule::Ping, "the answer to PING")?;
    talk.goodbye()
}

fn look(talk: &mut Talk<'_>, sink: &Sink) -> Step<()> {
    talk.open_run(sink.object, true)?;
    let listed = talk.list(sink.object)?;
    let hrefs: Vec<Href> = listed.changes.into_iter().take(READ).map(|change| change.href).collect();
    talk.fetch(sink.object, &hrefs)?;
    talk.close_run(sink.object)
}

fn write_one(talk: &mut Talk<'_>, sink: &Sink) -> Step<()> {
    let Some(format) = Format::of(sink) else { return Ok(()) };
    talk.open_run(sink.object, false)?;
    let mut item = format.item(0);
    let (mut href, mut revision) = (Href::default(), None);
    for kind in [CommitKind::Create, CommitKind::Update, CommitKind::Delete] {
        let outcome = talk.write_one(sink.object, format.write(kind, &item, &href, revision.as_ref()))?;
        let CommitOutcome::Done { href: now, revision: then, .. } = outcome else { break };
        talk.fetch(sink.object, std::slice::from_ref(&now))?;
        (href, revision) = (now, Some(then));
        item = Item { data: format.item(1).data, ..item };
    }
    close(talk, sink.object)
}

fn close(talk: &mut Talk<'_>, sink: ObjectId) -> Step<()> {
    talk.list(sink)?;
    talk.close_run(sink)
}
