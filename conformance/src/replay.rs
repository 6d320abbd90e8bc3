//! Replay: a recorded conversation once more, against a plugin of today.
//!
//! The recorded frames of the broker are sent in order, each when the plugin has said what it had
//! said before it in the recording. Revisions in them are those that the plugin gives now. What the
//! plugin says is then compared, decoded.
//!
//! What may differ: how items are spread over DATA frames; LOG and PROGRESS; HELLO; revisions,
//! anchors, cursors, stores and whether an item is settled; the words of errors; bytes of streams.
//! Everything else must be the same, in the same order.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use outrigger_protocol::{Codec, Commit, Initialize, Kind, Method, Printable, Revision};
use serde_json::{Value, json};

use crate::bodies::{decode, encode};
use crate::describe::{Describer, shown, unshown};
use crate::findings::{Findings, Step, Stop};
use crate::message::Message;
use crate::recording::Recording;
use crate::rule::Rule;
use crate::settings::{Settings, Subject};
use crate::talk::Talk;
use crate::tape::{Direction, Tape};
use crate::watcher::{Unwatched, Watcher};

/// Fields that may differ from one run to the next.
const VOLATILE: [&str; 8] = ["revision", "anchor", "cursor", "next", "store", "settled", "message", "bytes"];

/// Repeats a recording; returns what is different now, nothing if all is the same.
///
/// # Errors
/// The plugin cannot be started; in words.
pub fn replay(subject: &Subject, settings: &Settings, recording: &Recording) -> Result<Vec<String>, String> {
    let told = |stop| match stop {
        Stop::Broken(_, why) | Stop::Settings(why) | Stop::Pointless(why) => why,
        Stop::Interrupted => "interrupted".into(),
    };
    let watcher: Arc<dyn Watcher> = Arc::new(Unwatched);
    let mut talk = Talk::start(subject, settings, Tape::off(), &watcher).map_err(told)?;
    let mut player = Player { recording, then: Side::default(), now: Side::default() };
    let played = player.play(&mut talk);
    talk.end(&mut Findings::new(watcher));
    let mut differences = compare(&player.then.told, &player.now.told);
    if let Err(stop) = played {
        differences.push(told(stop));
    }
    Ok(differences)
}

/// One conversation, as far as it was heard.
#[derive(Default)]
struct Side {
    describer: Describer,
    items: BTreeMap<u64, Vec<Value>>,
    /// What the plugin said, frame by frame, as far as it has to be the same.
    told: Vec<(String, Value)>,
    /// Each revision that it gave, with the name of the item, in order.
    revisions: Vec<(String, String)>,
}

impl Side {
    fn hear(&mut self, direction: Direction, message: &Message) {
        let (header, body) = (message.header, self.describer.body(message));
        if direction == Direction::ToPlugin {
            return;
        }
        revisions(&body, &mut self.revisions);
        if let (Kind::DATA, Value::Array(some)) = (header.kind, &body) {
            self.items.entry(header.id).or_default().extend(some.iter().cloned());
        }
        if !counts(header.kind) {
            return;
        }
        let body = match header.kind {
            Kind::HELLO => Value::Null,
            Kind::STREAM_END => json!({"end": body, "items": self.items.remove(&header.id)}),
            _ => body,
        };
        self.told.push((format!("{} {}", header.kind, header.id), lasting(body)));
    }
}

/// Both conversations, the one of then and the one of now.
struct Player<'r> {
    recording: &'r Recording,
    then: Side,
    now: Side,
}

impl Player<'_> {
    /// Plays the broker's side.
    fn play(&mut self, talk: &mut Talk<'_>) -> Step<()> {
        for entry in &self.recording.entries {
            self.then.hear(entry.direction, &entry.message);
            if entry.direction == Direction::ToPlugin {
                self.catch_up(talk)?;
                self.send(talk, &entry.message)?;
            }
        }
        self.catch_up(talk)
    }

    /// Hears as much as was heard then.
    fn catch_up(&mut self, talk: &mut Talk<'_>) -> Step<()> {
        while self.now.told.len() < self.then.told.len() {
            let message = if self.now.told.is_empty() {
                talk.wire.hear_hello(talk.settings.handshake)?
            } else {
                let next = talk.wire.next(Instant::now() + talk.settings.answer);
                next.map_err(|lost| talk.explain(lost, Rule::Answered, "the next recorded frame"))?
            };
            self.now.hear(Direction::FromPlugin, &message);
        }
        Ok(())
    }

    fn send(&mut self, talk: &mut Talk<'_>, recorded: &Message) -> Step<()> {
        let message = self.of_now(talk, recorded);
        self.now.hear(Direction::ToPlugin, &message);
        let sent = match message.header.kind {
            Kind::HELLO_OK => {
                talk.wire.send_greeting(&[&outrigger_protocol::PREFACE[..], &message.bytes()].concat())
            }
            _ => talk.wire.send(&message),
        };
        sent.map_err(|lost| talk.explain(lost, Rule::Answered, "sending"))
    }

    /// The recorded frame, with the folder and the revisions of now.
    fn of_now(&self, talk: &Talk<'_>, recorded: &Message) -> Message {
        let method = Method(recorded.header.method);
        let body = Codec::ALL.into_iter().filter(|_| recorded.header.kind == Kind::CALL).find_map(|codec| {
            match method {
                Method::INITIALIZE => self.settings(talk, codec, &recorded.body),
                Method::COMMIT => self.commit(codec, &recorded.body),
                _ => None,
            }
        });
        body.map_or_else(|| recorded.clone(), |body| Message::new(recorded.header, body))
    }

    fn settings(&self, talk: &Talk<'_>, codec: Codec, body: &[u8]) -> Option<Vec<u8>> {
        let then = self.recording.scratch.as_ref()?;
        let here = talk.scratch().display().to_string();
        let mut settings: Initialize = decode(codec, body).ok()?;
        for (_, value) in &mut settings.member.options {
            *value = value.replace(then.as_str(), &here);
        }
        Some(encode(codec, &settings))
    }

    fn commit(&self, codec: Codec, body: &[u8]) -> Option<Vec<u8>> {
        let mut commit: Commit<'_> = decode(codec, body).ok()?;
        for item in &mut commit.items {
            let now = item.expected.as_ref().and_then(|then| self.revision(item.href.as_bytes(), then));
            item.expected = now.or(item.expected.take());
        }
        Some(encode(codec, &commit))
    }

    /// What the plugin says now where it said `then` of that item.
    fn revision(&self, href: &[u8], then: &Revision) -> Option<Revision> {
        let (href, then) = (shown(href), shown(then.as_bytes()));
        let of_item = |side: &'_ Side| -> Vec<String> {
            let those = side.revisions.iter().filter(|(name, _)| *name == href);
            those.map(|(_, revision)| revision.clone()).collect()
        };
        let at = of_item(&self.then).iter().rposition(|revision| *revision == then)?;
        of_item(&self.now).get(at).and_then(|now| unshown(now)).map(Revision::from)
    }
}

/// Every revision in a body that stands beside the name of its item.
fn revisions(body: &Value, found: &mut Vec<(String, String)>) {
    match body {
        Value::Array(values) => values.iter().for_each(|value| revisions(value, found)),
        Value::Object(fields) => {
            let text = |name: &str| fields.get(name).and_then(Value::as_str).map(str::to_owned);
            found.extend(text("href").zip(text("revision")));
            fields.values().for_each(|value| revisions(value, found));
        }
        _ => {}
    }
}

/// Whether the order of conversation waits for frames of this kind.
fn counts(kind: Kind) -> bool {
    !matches!(kind, Kind::DATA | Kind::LOG | Kind::PROGRESS)
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
        one.map_or_else(|| "nothing".into(), |(what, body)| Printable(format!("{what} {body}")).to_string())
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
