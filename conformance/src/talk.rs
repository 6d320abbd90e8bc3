//! A talk: one plugin process, one connection, calls and their answers, with a deadline for each.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use outrigger_protocol::{
    AuthKind, Budget, Error, Goodbye, Header, Hello, Href, Kind, Limits, Method, ObjectId, Printable,
};
use outrigger_sandbox::{Ended, Exit};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use crate::bodies::{decode, encode};
use crate::findings::{Findings, Greeting, Step, Stop, hold};
use crate::judge::Seen;
use crate::message::Message;
use crate::process::Process;
use crate::rule::Rule;
use crate::settings::{Settings, Subject};
use crate::tape::Tape;
use crate::watcher::Watcher;
use crate::wire::{Lost, Wire};

/// How long a process whose connection ended may take to say how it ended.
const LAST_MOMENT: Duration = Duration::from_secs(1);

/// The answer to one call, encoded.
pub(crate) type Answer = Result<Vec<u8>, Box<Error>>;

/// One process and its connection.
pub(crate) struct Talk<'k> {
    process: Process,
    pub(crate) wire: Wire,
    pub(crate) settings: &'k Settings,
    scratch: TempDir,
    next: u64,
    /// The plugin's level.
    pub(crate) level: u8,
    /// The object that all its sinks share, once discovered.
    pub(crate) main: Option<ObjectId>,
    answers: BTreeMap<u64, Answer>,
    items: BTreeMap<u64, Vec<Vec<u8>>>,
    renamed: Vec<Vec<(Href, Href)>>,
}

impl<'k> Talk<'k> {
    /// Starts the plugin; nothing is said yet.
    pub(crate) fn start(
        subject: &Subject,
        settings: &'k Settings,
        tape: Tape,
        watcher: &Arc<dyn Watcher>,
    ) -> Step<Self> {
        let machine = |error: std::io::Error| Stop::Pointless(format!("this machine: {error}"));
        let scratch = tempfile::Builder::new().prefix("outrigger-check-").tempdir().map_err(machine)?;
        let mut granted = subject.clone();
        granted.policy.write.push(scratch.path().to_owned());
        let started = Process::start(&granted, settings);
        let (process, stream) = started.map_err(|error| {
            Stop::Broken(Rule::Handshake, format!("it could not be started: {}", with_causes(&error)))
        })?;
        let wire = Wire::new(stream, settings.answer, tape, Arc::clone(watcher)).map_err(machine)?;
        let (answers, items, renamed) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        Ok(Self { process, wire, settings, scratch, next: 1, level: 1, main: None, answers, items, renamed })
    }

    /// Shakes hands. `window` is how far a stream, and all together, may go ahead.
    pub(crate) fn greet(&mut self, window: u64) -> Step<Greeting> {
        let greeted = self.wire.greet(hello(window)?, self.settings.handshake);
        let greeting = greeted.map_err(|stop| match stop {
            Stop::Broken(rule, why) => Stop::Broken(rule, format!("{why}{}", self.fate())),
            other => other,
        })?;
        self.level = greeting.level;
        Ok(greeting)
    }

    /// The plugin's settings, with the scratch folder in place.
    pub(crate) fn options(&self, subject: &Subject) -> Vec<(String, String)> {
        let scratch = self.scratch.path().display().to_string();
        let filled = |(name, value): &(String, String)| (name.clone(), value.replace("{scratch}", &scratch));
        subject.options.iter().map(filled).collect()
    }

    /// The folder of this talk.
    pub(crate) fn scratch(&self) -> &std::path::Path {
        self.scratch.path()
    }

    /// The process, to see how it fares.
    pub(crate) const fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// A CALL with the next number.
    pub(crate) fn request(&mut self, method: Method, target: ObjectId, body: Vec<u8>) -> Message {
        let id = self.next;
        self.next += 2;
        Message::new(
            Header { target, method: method.0, budget: Budget::DEFAULT, ..Header::new(Kind::CALL, id) },
            body,
        )
    }

    /// Makes a call, without waiting for its answer.
    pub(crate) fn call<T: Serialize + ?Sized>(
        &mut self,
        method: Method,
        target: ObjectId,
        body: &T,
    ) -> Step<u64> {
        let body = encode(self.wire.codec(), body);
        let message = self.request(method, target, body);
        self.send(&message, Rule::Answered)?;
        Ok(message.header.id)
    }

    /// Sends a frame; what prevents that counts against `rule`.
    pub(crate) fn send(&mut self, message: &Message, rule: Rule) -> Step<()> {
        self.wire.send(message).map_err(|lost| self.explain(lost, rule, &message.header.kind.to_string()))
    }

    /// Writes bytes that are no whole frame.
    pub(crate) fn write_raw(&mut self, bytes: &[u8], rule: Rule, what: &str) -> Step<()> {
        self.wire.write(bytes).map_err(|lost| self.explain(lost, rule, what))
    }

    /// Makes a call and waits for what it says.
    pub(crate) fn ask<T: Serialize + ?Sized, A: for<'a> Deserialize<'a>>(
        &mut self,
        method: Method,
        target: ObjectId,
        body: &T,
    ) -> Step<Result<A, Box<Error>>> {
        let id = self.call(method, target, body)?;
        match self.answer(id, &method.to_string(), Rule::Answered)? {
            Ok(body) => self.read(&body, method).map(Ok),
            Err(error) => Ok(Err(error)),
        }
    }

    /// Makes a call that has to succeed for the rest to make sense.
    pub(crate) fn must<T: Serialize + ?Sized, A: for<'a> Deserialize<'a>>(
        &mut self,
        method: Method,
        target: ObjectId,
        body: &T,
    ) -> Step<A> {
        let answer = self.ask(method, target, body)?;
        answer.map_err(|error| Stop::Pointless(format!("{method} failed: {}", told(&error))))
    }

    /// Reads the body of an answer.
    pub(crate) fn read<A: for<'a> Deserialize<'a>>(&self, body: &[u8], method: Method) -> Step<A> {
        decode(self.wire.codec(), body)
            .map_err(|error| Stop::Broken(Rule::Bodies, format!("the answer to {method}: {error}")))
    }

    /// Waits for the answer to a call; that it does not come counts against `rule`.
    pub(crate) fn answer(&mut self, id: u64, what: &str, rule: Rule) -> Step<Answer> {
        loop {
            if let Some(answer) = self.answers.remove(&id) {
                return Ok(answer);
            }
            self.hear(rule, what)?;
        }
    }

    /// Takes in the next frame.
    pub(crate) fn hear(&mut self, rule: Rule, what: &str) -> Step<Seen> {
        let received = self.wire.receive(self.settings.answer);
        let (_, seen) = received.map_err(|lost| self.explain(lost, rule, what))?;
        self.note(&seen);
        Ok(seen)
    }

    /// Keeps what someone will ask for.
    pub(crate) fn note(&mut self, seen: &Seen) {
        match seen {
            Seen::Answer { call, answer } => drop(self.answers.insert(*call, answer.clone())),
            Seen::Items { call, items, .. } => {
                self.items.entry(*call).or_default().extend(items.iter().cloned());
            }
            Seen::Renamed { names, .. } => self.renamed.push(names.clone()),
            _ => {}
        }
    }

    /// The sets of new names that the plugin has said since this was asked last.
    pub(crate) fn take_names(&mut self) -> Vec<Vec<(Href, Href)>> {
        std::mem::take(&mut self.renamed)
    }

    /// What the streams of a call brought so far.
    pub(crate) fn take_items(&mut self, call: u64) -> Vec<Vec<u8>> {
        self.items.remove(&call).unwrap_or_default()
    }

    /// The answer to a call that came already.
    pub(crate) fn answered(&mut self, call: u64) -> Option<Answer> {
        self.answers.remove(&call)
    }

    /// Waits until the plugin has read all that was sent: what it had to say is then heard.
    pub(crate) fn settle(&mut self, rule: Rule, what: &str) -> Step<()> {
        self.send(&Message::bare(Kind::PING, 0, Vec::new()), rule)?;
        while self.hear(rule, what)? != Seen::Pong {}
        Ok(())
    }

    /// Says goodbye, and watches the process leave.
    pub(crate) fn goodbye(&mut self) -> Step<()> {
        let goodbye = encode(self.wire.codec(), &Goodbye { last_accepted: 0 });
        self.send(&Message::bare(Kind::GOODBYE, 0, goodbye), Rule::Goodbye)?;
        while self.hear(Rule::Goodbye, "GOODBYE_OK")? != Seen::GoodbyeOk {}
        self.wire.close();
        let ended = self.process.wait(self.settings.exit);
        let right = matches!(ended, Some(Ended { exit: Exit::Code(0), .. }));
        hold(right, Rule::Goodbye, || match ended {
            Some(ended) => format!("after GOODBYE_OK it {}{}", ended.exit, self.words(true)),
            None => format!(
                "it still runs {:?} after GOODBYE_OK and the end of the connection",
                self.settings.exit
            ),
        })
    }

    /// Ends the process, and notes what the whole talk has shown.
    pub(crate) fn end(self, findings: &mut Findings) {
        self.wire.judge.tried().iter().for_each(|rule| findings.held(*rule));
        drop(self.wire);
        let stdout = self.process.end(self.settings.exit);
        match binary(&stdout) {
            None => findings.held(Rule::StdoutQuiet),
            Some(why) => findings.stop(Stop::Broken(Rule::StdoutQuiet, why)),
        }
    }

    /// A lost connection, as a broken rule.
    pub(crate) fn explain(&mut self, lost: Lost, rule: Rule, what: &str) -> Stop {
        match lost {
            Lost::Stop(stop) => stop,
            Lost::Late => Stop::Broken(rule, format!("{what}: nothing came for {:?}", self.settings.answer)),
            Lost::Closed => {
                let fate = self.fate();
                Stop::Broken(rule, format!("{what}: the connection was closed{fate}"))
            }
        }
    }

    /// How the process ended, if it has, and its last words.
    fn fate(&mut self) -> String {
        let ended = self.process.wait(LAST_MOMENT);
        let words = self.words(ended.is_some());
        let ended = ended.map_or_else(String::new, |ended| format!("; it {}", ended.exit));
        format!("{ended}{words}")
    }

    fn words(&self, ended: bool) -> String {
        self.process
            .last_words(ended)
            .map_or_else(String::new, |words| format!("; it said last: \"{words}\""))
    }
}

/// The kit's HELLO.
pub(crate) fn hello(window: u64) -> Step<Hello> {
    let nonce = outrigger_transport::nonce().map_err(|error| Stop::Pointless(error.to_string()))?;
    let software = concat!("outrigger-conformance ", env!("CARGO_PKG_VERSION"));
    let hello = Hello::new(software, AuthKind::Inherited, nonce);
    let limits = Limits { stream_window: window, connection_window: window, ..hello.limits };
    Ok(Hello { limits, ..hello })
}

/// An error of the plugin, in its words.
pub(crate) fn told(error: &Error) -> String {
    format!("\"{}\" (code {})", Printable(&error.message), error.code)
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

/// What is wrong with an output that should be a log: every frame header has a byte 0, and no text
/// has one.
fn binary(stdout: &[u8]) -> Option<String> {
    let at = stdout.iter().position(|byte| *byte == 0);
    let at = at.or_else(|| stdout.windows(8).position(|window| window == outrigger_protocol::PREFACE))?;
    let around = stdout.get(at.saturating_sub(8)..stdout.len().min(at + 24)).unwrap_or_default();
    Some(format!("at byte {at} of standard output: {}", around.escape_ascii()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_text_and_frames_are_not() {
        assert_eq!(binary("ready ✓\n".as_bytes()), None);
        assert!(binary(&Message::bare(Kind::REPLY, 1, Vec::new()).bytes()).is_some());
        assert!(binary(b"OUTRGR\r\n").is_some());
    }
}
