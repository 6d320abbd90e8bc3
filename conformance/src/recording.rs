//! Recordings: a conversation as a text file, for `replay`.
//!
//! ```text
//! outrigger-recording 1
//! # a comment
//! scratch /tmp/outrigger-check-x1Y2z3
//! < 0.001204 …hexadecimal digits of one frame, header first…
//! > 0.001377 …
//! ```
//! `>` went to the plugin, `<` came from it; then seconds since the connection was made. The prefaces
//! are not written: each side's stands before its first frame. `scratch` names the folder that the
//! settings spoke of. Bodies with the flag SECRET are blanked: the secrets of `initialize` are
//! replaced by `blanked`, any other such body by zeros.

use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use outrigger_protocol::{Codec, Flags, Initialize, Kind, Method, SecretText};

use crate::bodies::{decode, encode};
use crate::describe::{hex, unhex};
use crate::message::Message;
use crate::tape::{Direction, Heard};
use crate::wire::cut;

const FIRST_LINE: &str = "outrigger-recording 1";

/// One frame of a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Which way it went.
    pub direction: Direction,
    /// When, from the beginning of the connection.
    pub at: Duration,
    /// What it was.
    pub message: Message,
}

/// A recorded conversation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recording {
    /// The folder that the plugin's settings spoke of.
    pub scratch: Option<String>,
    /// Every frame, in the order of the recording side.
    pub entries: Vec<Entry>,
}

/// Why a file is no recording.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct RecordingError {
    /// Where, counted from 1.
    pub line: usize,
    /// What is wrong there.
    pub reason: &'static str,
}

impl Recording {
    /// Adds what was heard on a connection.
    pub fn hear(&mut self, at: Duration, direction: Direction, heard: Heard<'_>) {
        if let Heard::Frame(message) = heard {
            self.entries.push(Entry { direction, at, message: blanked(message) });
        }
    }

    /// Notes the folder that the settings speak of.
    pub fn set_scratch(&mut self, scratch: &Path) {
        self.scratch = Some(scratch.display().to_string());
    }

    /// Writes it as text.
    ///
    /// # Errors
    /// `to` takes no more.
    pub fn write(&self, to: &mut dyn Write) -> io::Result<()> {
        writeln!(to, "{FIRST_LINE}")?;
        if let Some(scratch) = &self.scratch {
            writeln!(to, "scratch {scratch}")?;
        }
        self.entries.iter().try_for_each(|entry| {
            let way = if entry.direction == Direction::ToPlugin { '>' } else { '<' };
            writeln!(to, "{way} {:.6} {}", entry.at.as_secs_f64(), hex(&entry.message.bytes()))
        })
    }

    /// Reads what [`Recording::write`] wrote, or a person changed.
    ///
    /// # Errors
    /// The first line that cannot be read.
    pub fn parse(text: &str) -> Result<Self, RecordingError> {
        let mut lines = (1..).zip(text.lines());
        if lines.next().is_none_or(|(_, line)| line != FIRST_LINE) {
            return Err(RecordingError {
                line: 1,
                reason: "a recording begins with `outrigger-recording 1`",
            });
        }
        let mut recording = Self::default();
        for (line, text) in lines {
            recording.line(text).map_err(|reason| RecordingError { line, reason })?;
        }
        Ok(recording)
    }

    fn line(&mut self, text: &str) -> Result<(), &'static str> {
        if text.is_empty() || text.starts_with('#') {
            return Ok(());
        }
        if let Some(scratch) = text.strip_prefix("scratch ") {
            self.scratch = Some(scratch.to_owned());
            return Ok(());
        }
        let mut words = text.split(' ');
        let direction = match words.next() {
            Some(">") => Direction::ToPlugin,
            Some("<") => Direction::FromPlugin,
            _ => return Err("a line begins with `>`, `<`, `#` or `scratch`"),
        };
        let seconds = words.next().and_then(|word| word.parse().ok());
        let at = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let at = at.ok_or("the second word is the time, in seconds")?;
        let bytes = words.next().and_then(unhex).ok_or("the third word is a frame, in hexadecimal digits")?;
        let message = cut(&bytes).ok_or("these bytes are not exactly one frame")?;
        self.entries.push(Entry { direction, at, message });
        Ok(())
    }
}

/// The frame without its secrets; still one that a plugin can read, where it brings settings.
fn blanked(message: &Message) -> Message {
    if !message.header.flags.has(Flags::SECRET) {
        return message.clone();
    }
    let is_settings = message.header.kind == Kind::CALL && message.header.method == Method::INITIALIZE.0;
    let body = Codec::ALL.into_iter().filter(|_| is_settings).find_map(|codec| {
        let mut settings: Initialize = decode(codec, &message.body).ok()?;
        for (_, secret) in &mut settings.secrets {
            *secret = SecretText::new("blanked".into());
        }
        Some(encode(codec, &settings))
    });
    let body = body.unwrap_or_else(|| vec![0; message.body.len()]);
    let mut header = message.header;
    header.body_len = u32::try_from(message.ext.len() + body.len()).unwrap_or(u32::MAX);
    Message { header, ext: message.ext.clone(), body }
}

#[cfg(test)]
mod tests {
    use outrigger_protocol::{Header, ObjectId};

    use super::*;

    fn heard(message: &Message) -> Recording {
        let mut recording = Recording::default();
        recording.hear(Duration::from_micros(1500), Direction::ToPlugin, Heard::Frame(message));
        recording
    }

    fn written(recording: &Recording) -> String {
        let mut text = Vec::new();
        recording.write(&mut text).unwrap();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn what_was_written_is_read() {
        let mut recording = heard(&Message::bare(Kind::GOODBYE, 0, vec![1; 8]));
        recording.set_scratch(Path::new("/tmp/x y"));
        let text = written(&recording);
        assert!(text.contains("\n> 0.001500 08000000"), "{text}");
        assert_eq!(Recording::parse(&text), Ok(recording));
    }

    #[test]
    fn a_line_that_is_none_is_named() {
        for (line, reason) in
            [("? 0 00", "begins with"), ("> x 00", "the time"), ("> 0 0g", "digits"), ("> 0 00", "one frame")]
        {
            let error = Recording::parse(&format!("{FIRST_LINE}\n# fine\n{line}")).unwrap_err();
            assert_eq!(error.line, 3);
            assert!(error.reason.contains(reason), "{error}");
        }
        assert!(Recording::parse("").is_err());
    }

    #[test]
    fn secrets_are_not_written() {
        let secret = |kind, method, body: Vec<u8>| {
            let header = Header { flags: Flags::SECRET, method, target: ObjectId(0), ..Header::new(kind, 1) };
            Message::new(header, body)
        };
        let member =
            serde_json::json!({"object": 1, "name": "m", "generation": 0, "options": [], "object_types": []});
        let group = serde_json::json!({"object": 2, "name": "g", "generation": 0, "members": [], "object_types": [], "conflict": "queue"});
        let settings =
            serde_json::json!({"member": member, "group": group, "secrets": [["password", "hunter2"]]});
        let initialize = secret(Kind::CALL, 1, settings.to_string().into_bytes());
        let entry = heard(&initialize).entries.remove(0).message;
        let read: Initialize = decode(Codec::Json, &entry.body).unwrap();
        assert_eq!(read.secrets[0].1.expose(), "blanked");
        let answer = heard(&secret(Kind::REPLY, 0, b"hunter2".to_vec())).entries.remove(0).message;
        assert_eq!(answer.body, [0; 7]);
    }
}
