//! The scenarios: conversations that try the rules, each with a fresh process and a fresh folder.

mod ending;
mod items;
mod manners;
mod many;
mod meeting;
mod names;

use std::sync::Arc;

use outrigger_protocol::{ObjectId, Sink};

use crate::corpus::Format;
use crate::findings::{Findings, Step, Stop};
use crate::rule::Rule;
use crate::settings::{Settings, Subject};
use crate::talk::Talk;
use crate::tape::Tape;
use crate::watcher::Watcher;

/// Bytes that a stream may go ahead where credit is not the question.
const WINDOW: u64 = 256 << 10;

/// Who is checked, and how.
struct Scene<'k> {
    subject: &'k Subject,
    settings: &'k Settings,
    watcher: &'k Arc<dyn Watcher>,
}

impl<'k> Scene<'k> {
    /// Plays one conversation from the start of the process to its end.
    fn play<T>(
        &self,
        findings: &mut Findings,
        story: impl FnOnce(&mut Talk<'k>, &mut Findings) -> Step<T>,
    ) -> Step<T> {
        let mut talk = Talk::start(self.subject, self.settings, Tape::off(), self.watcher)?;
        let told = story(&mut talk, findings);
        if self.watcher.is_over() {
            // What it does now may be our doing; dropping the talk ends it.
            return Err(Stop::Interrupted);
        }
        talk.end(findings);
        told
    }
}

/// Rules that speak of streams only.
const STREAMS: [Rule; 3] = [Rule::StreamCounts, Rule::StreamOnce, Rule::Credit];

type Scenario = fn(&Scene<'_>, &mut Findings) -> Step<()>;

/// Plays all scenarios. A plugin that cannot even shake hands is left alone after the first.
pub(crate) fn play(subject: &Subject, settings: &Settings, watcher: &Arc<dyn Watcher>) -> Findings {
    const REST: [Scenario; 5] =
        [meeting::version, manners::manners, items::items, many::many, ending::ending];
    let (scene, mut findings) = (Scene { subject, settings, watcher }, Findings::new(Arc::clone(watcher)));
    if let Err(stop) = meeting::greet(&scene, &mut findings) {
        findings.stop(stop);
        return findings;
    }
    if findings.greeting.as_ref().is_some_and(|greeting| greeting.level == 0) {
        STREAMS.iter().for_each(|rule| findings.skip(*rule, "level 0 has no streams"));
    }
    for scenario in REST {
        if watcher.is_over() {
            findings.stop(Stop::Interrupted);
            break;
        }
        if let Err(stop) = scenario(&scene, &mut findings) {
            findings.stop(stop);
        }
    }
    findings
}

/// A collection to write to, and the format to write; otherwise says why `rules` are not tried.
fn writable(
    talk: &mut Talk<'_>,
    instance: ObjectId,
    findings: &mut Findings,
    rules: &[Rule],
) -> Step<Option<(Sink, Format)>> {
    let found = talk.writable_sink(instance)?;
    match &found {
        Some((made, Some(request))) => {
            talk.create_again(instance, made, request)?;
            findings.held(Rule::CreateAgain);
        }
        Some((_, None)) => findings.skip(Rule::CreateAgain, "a collection is there, so none was made"),
        None => findings.skip(Rule::CreateAgain, "it makes no collections"),
    }
    let found = found.map(|(sink, _)| (Format::of(&sink), sink));
    let why = match found {
        Some((Some(format), sink)) => return Ok(Some((sink, format))),
        Some((None, _)) => "its collection takes none of the formats that the kit can write",
        None => "it offers no collection that can be written",
    };
    rules.iter().for_each(|rule| findings.skip(*rule, why));
    Ok(None)
}
