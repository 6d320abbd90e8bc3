//! Many items: credit, cancel, memory.

use std::time::{Duration, Instant};

use outrigger_protocol::{CommitOutcome, GetChanges, Method, ObjectId};

use super::Scene;
use crate::corpus::Format;
use crate::findings::{Findings, Step, Stop, hold};
use crate::judge::Seen;
use crate::message::Message;
use crate::rule::Rule;
use crate::talk::{Talk, told};
use crate::wire::Lost;

/// Items of one batch.
const BATCH: usize = 500;

/// A window so small that a listing of many items cannot fit: the floor of the protocol.
const SMALL: u64 = 64 << 10;

/// Rules: credit, cancel, memory.
pub(super) fn many(scene: &Scene<'_>, findings: &mut Findings) -> Step<()> {
    scene.play(findings, |talk, findings| {
        let level = talk.greet(SMALL)?.level;
        let instance = talk.initialize(scene.subject)?.instance;
        let rules = [Rule::Credit, Rule::Cancel, Rule::Memory];
        let Some((sink, format)) = super::writable(talk, instance, findings, &rules)? else { return Ok(()) };
        let sink = sink.object;
        talk.open_run(sink, false)?;
        let before = talk.process().peak_memory();
        create(talk, sink, format)?;
        if level == 0 {
            findings.skip(Rule::Credit, "level 0 has no streams");
            findings.skip(Rule::Cancel, "at level 0 a cancel may be ignored");
        } else {
            cancel(talk, sink, findings)?;
        }
        let begun = Instant::now();
        let listed = talk.list(sink)?;
        hold(listed.changes.len() >= talk.settings.items || !listed.complete, Rule::Complete, || {
            let (written, listed) = (talk.settings.items, listed.changes.len());
            format!("{written} items were written, and a listing marked complete names {listed}")
        })?;
        memory(talk, before, begun.elapsed())?;
        findings.held(Rule::Memory);
        talk.close_run(sink)
    })
}

fn create(talk: &mut Talk<'_>, sink: ObjectId, format: Format) -> Step<()> {
    let mut left = talk.settings.items;
    while left > 0 {
        let count = left.min(BATCH);
        let batch = (left - count..left).map(|number| format.create(&format.item(number))).collect();
        let outcomes = talk.write(sink, batch)?;
        let failed = outcomes.iter().find_map(|outcome| match outcome {
            CommitOutcome::Failed(error) => Some(told(error)),
            CommitOutcome::Done { .. } => None,
        });
        if let Some(why) = failed {
            return Err(Stop::Pointless(format!("an item could not be created: {why}")));
        }
        left -= count;
        talk.wire.watcher.written(talk.settings.items - left, talk.settings.items);
    }
    Ok(())
}

/// Lists without granting anything, cancels when the credit is used up, and sees what comes.
fn cancel(talk: &mut Talk<'_>, sink: ObjectId, findings: &mut Findings) -> Step<()> {
    talk.wire.granting = false;
    let call = talk.call(Method::GET_CHANGES, sink, &GetChanges { slow_sync: true, anchor: None })?;
    // The first data shows that the plugin is at work.
    while !matches!(talk.hear(Rule::Answered, "get_changes")?, Seen::Items { .. } | Seen::Answer { .. }) {}
    talk.send(&Message::bare(outrigger_protocol::Kind::CANCEL, call, Vec::new()), Rule::Cancel)?;
    let begun = Instant::now();
    let answer = loop {
        if let Some(answer) = talk.answered(call) {
            break answer;
        }
        let left = talk.settings.cancel.saturating_sub(begun.elapsed());
        let what = format!("a cancelled get_changes was not answered within {:?}", talk.settings.cancel);
        talk.hear_within(left, Rule::Cancel, &what)?;
    };
    let came = talk.take_items(call).len();
    let granted = talk.wire.grant_again();
    granted.map_err(|lost| talk.explain(lost, Rule::Cancel, "CREDIT after a cancelled call"))?;
    match answer {
        Ok(_) if came >= talk.settings.items => {
            let why = format!("a listing of {came} items fits {SMALL} bytes: try more with --items");
            findings.skip(Rule::Cancel, why.clone());
            findings.skip(Rule::Credit, why);
        }
        Ok(_) => hold(false, Rule::Cancel, || {
            format!("a cancelled get_changes was answered as done, with {came} items")
        })?,
        Err(_) => {
            findings.held(Rule::Cancel);
            findings.held(Rule::Credit);
        }
    }
    talk.settle(Rule::Ping, "the answer to PING after a cancelled call")
}

fn memory(talk: &mut Talk<'_>, before: Option<u64>, took: Duration) -> Step<()> {
    let (Some(before), Some(after)) = (before, talk.process().peak_memory()) else {
        return Err(Stop::Pointless("this system does not tell the memory of a process".into()));
    };
    let (grown, items) = (after.saturating_sub(before), talk.settings.items);
    hold(grown <= talk.settings.growth, Rule::Memory, || {
        format!(
            "writing and listing {items} items (listed in {took:?}) took {} MiB more memory; {} are allowed",
            grown >> 20,
            talk.settings.growth >> 20
        )
    })
}

impl Talk<'_> {
    /// As `hear`, with a time limit of its own.
    fn hear_within(&mut self, limit: Duration, rule: Rule, what: &str) -> Step<()> {
        match self.wire.receive(limit) {
            Ok((_, seen)) => {
                self.note(&seen);
                Ok(())
            }
            Err(Lost::Late) => Err(Stop::Broken(rule, what.into())),
            Err(lost) => Err(self.explain(lost, rule, what)),
        }
    }
}
