//! Replay: a recorded conversation once more, against a plugin of today.
//!
//! The recorded frames of the broker are sent in order, each when the plugin has said what it had
//! said before it in the recording. What the plugin says is then compared, decoded.
//!
//! What may differ: how items are spread over DATA frames; LOG and PROGRESS; HELLO; revisions,
//! anchors, cursors, stores and whether an item is settled; the words of errors; bytes of streams.
//! Everything else must be the same, in the same order.

use std::collections::BTreeMap;
use std::time::Instant;

use outrigger_protocol::{Codec, Initialize, Kind, Method};
use serde_json::{Value, json};

use crate::bodies::{decode, encode};
use crate::describe::Describer;
use crate::findings::{Findings, Step, Stop};
use crate::message::Message;
use crate::plain::plain;
use crate::recording::{Entry, Recording};
use crate::rule::Rule;
use crate::settings::{Settings, Subject};
use crate::talk::Talk;
use crate::tape::{Direction, Tape};

/// Fields that may differ from one run to the next.
const VOLATILE: [&str; 8] = ["revision", "anchor", "cursor", "next", "store", "settled", "message", "bytes"];

/// Characters of a value that a difference shows.
const SHOWN: usize = 400;

/// Repeats a recording; returns what is different now, nothing if all is the same.
///
/// # Errors
/// The recording cannot be repeated, or the plugin does not say what is waited for; in words.
pub fn replay(subject: &Subject, settings: &Settings, recording: &Recording) -> Result<Vec<String>, String> {
    let told = |stop| match stop {
        Stop::Broken(_, why) | Stop::Settings(why) | Stop::Pointless(why) => why,
    };
    let mut talk = Talk::start(subject, settings, Tape::off()).map_err(told)?;
    let mut now = Vec::new();
    let played = play(&mut talk, recording, &mut now);
    talk.end(&mut Findings::default());
    let recorded: Vec<&Entry> = recording.entries.iter().collect();
    let mut differences = compare(&told_by(&recorded), &told_by(&now.iter().collect::<Vec<_>>()));
    if let Err(stop) = played {
        differences.push(told(stop));
    }
    Ok(differences)
}

/// Plays the broker's side; keeps every frame of both.
fn play(talk: &mut Talk<'_>, recording: &Recording, now: &mut Vec<Entry>) -> Step<()> {
    let waited_for =
        |entry: &&Entry| entry.direction == Direction::FromPlugin && counts(entry.message.header.kind);
    let mut due = 0;
    let mut heard = 0;
    for entry in &recording.entries {
        if entry.direction == Direction::FromPlugin {
            due += usize::from(counts(entry.message.header.kind));
            continue;
        }
        while heard < due {
            heard += usize::from(hear(talk, now)?);
        }
        let message = with_scratch(talk, recording, &entry.message);
        let sent = match message.header.kind {
            Kind::HELLO_OK => {
                talk.wire.send_greeting(&[&outrigger_protocol::PREFACE[..], &message.bytes()].concat())
            }
            _ => talk.wire.send(&message),
        };
        sent.map_err(|lost| talk.explain(lost, Rule::Answered, "sending"))?;
        now.push(Entry { message, ..entry.clone() });
    }
    let all = recording.entries.iter().filter(waited_for).count();
    while heard < all {
        heard += usize::from(hear(talk, now)?);
    }
    Ok(())
}

/// Whether the order of conversation waits for frames of this kind.
fn counts(kind: Kind) -> bool {
    !matches!(kind, Kind::DATA | Kind::LOG | Kind::PROGRESS)
}

fn hear(talk: &mut Talk<'_>, now: &mut Vec<Entry>) -> Step<bool> {
    let first = now.is_empty();
    let message = if first {
        talk.wire.hear_hello(talk.settings.handshake)?
    } else {
        let next = talk.wire.next(Instant::now() + talk.settings.answer);
        next.map_err(|lost| talk.explain(lost, Rule::Answered, "the next recorded frame"))?
    };
    let counted = counts(message.header.kind);
    now.push(Entry { direction: Direction::FromPlugin, at: Default::default(), message });
    Ok(counted)
}

/// The settings speak of the folder of then; here is the one of now.
fn with_scratch(talk: &Talk<'_>, recording: &Recording, message: &Message) -> Message {
    let is_settings = message.header.kind == Kind::CALL && message.header.method == Method::INITIALIZE.0;
    let Some(then) = recording.scratch.as_ref().filter(|_| is_settings) else { return message.clone() };
    let here = talk.scratch().display().to_string();
    let replaced = Codec::ALL.into_iter().find_map(|codec| {
        let mut settings: Initialize = decode(codec, &message.body).ok()?;
        for (_, value) in &mut settings.member.options {
            *value = value.replace(then.as_str(), &here);
        }
        Some(Message::new(message.header, encode(codec, &settings)))
    });
    replaced.unwrap_or_else(|| message.clone())
}

/// What the plugin said, frame by frame, as far as it has to be the same.
fn told_by(entries: &[&Entry]) -> Vec<(String, Value)> {
    let (mut describer, mut told) = (Describer::default(), Vec::new());
    let mut items: BTreeMap<u64, Vec<Value>> = BTreeMap::new();
    for entry in entries {
        let header = entry.message.header;
        let body = describer.body(&entry.message);
        if entry.direction == Direction::ToPlugin {
            continue;
        }
        if let (Kind::DATA, Value::Array(some)) = (header.kind, &body) {
            items.entry(header.id).or_default().extend(some.iter().cloned());
        }
        if !counts(header.kind) {
            continue;
        }
        let body = match header.kind {
            Kind::HELLO => Value::Null,
            Kind::STREAM_END => json!({"end": body, "items": items.remove(&header.id)}),
            _ => body,
        };
        told.push((format!("{} {}", header.kind, header.id), lasting(body)));
    }
    told
}

/// The value without what may differ.
fn lasting(value: Value) -> Value {
    match value {
        Value::Array(values) => values.into_iter().map(lasting).collect(),
        Value::Object(fields) => {
            let kept = fields.into_iter().filter(|(name, _)| !VOLATILE.contains(&name.as_str()));
            kept.map(|(name, value)| (name, lasting(value))).collect()
        }
        other => other,
    }
}

fn compare(then: &[(String, Value)], now: &[(String, Value)]) -> Vec<String> {
    let shown = |one: Option<&(String, Value)>| {
        one.map_or_else(|| "nothing".into(), |(what, body)| plain(&format!("{what} {body}"), SHOWN))
    };
    let all = 0..then.len().max(now.len());
    let different = all.filter(|at| then.get(*at) != now.get(*at)).take(20);
    different
        .map(|at| {
            format!(
                "frame {} of the plugin\n  then: {}\n  now:  {}",
                at + 1,
                shown(then.get(at)),
                shown(now.get(at))
            )
        })
        .collect()
}
