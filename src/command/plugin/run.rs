//! `plugin run` and `plugin replay`: one conversation, watched, kept, repeated.

use std::fs::{self, File};
use std::io::BufWriter;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use outrigger::exit::Exit;
use outrigger::report::Failure;
use outrigger_conformance::{Describer, Direction, Listener, Recording, Settings, replay as repeat, visit};

use super::subject::subject;
use crate::cli::{Cli, PluginReplayArgs, PluginRunArgs};
use crate::command::{Ended, print, secret};

/// How long a frame of a recording may be waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// Most bytes of a recording that are read.
const LONGEST: u64 = 256 << 20;

/// Plays one conversation, and prints or keeps its frames.
pub(super) fn run(cli: &Cli, args: &PluginRunArgs) -> Ended {
    let subject = subject(&args.subject, secret(cli))?;
    let recording = Arc::new(Mutex::new(Recording::default()));
    let visited = visit(&subject, &Settings::default(), args.write, listener(args.trace, &recording));
    let mut recording = std::mem::take(&mut *recording.lock().unwrap_or_else(PoisonError::into_inner));
    if let Ok(scratch) = &visited {
        recording.set_scratch(scratch);
    }
    // Also what came before a failure is worth keeping.
    if let Some(file) = &args.record {
        keep(&recording, file)?;
    }
    let sent = recording.entries.iter().filter(|entry| entry.direction == Direction::ToPlugin).count();
    let came = recording.entries.len() - sent;
    print(|out| writeln!(out, "{}: {sent} frames to the plugin, {came} from it", subject.name))?;
    visited.map(|_| Exit::Done).map_err(|error| {
        Failure::new(Exit::Plugin, "the conversation broke off").said_by(&subject.name, error)
    })
}

fn listener(trace: bool, recording: &Arc<Mutex<Recording>>) -> Box<Listener<'static>> {
    let (recording, mut describer) = (Arc::clone(recording), Describer::default());
    Box::new(move |at, direction, heard| {
        recording.lock().unwrap_or_else(PoisonError::into_inner).hear(at, direction, heard);
        if trace {
            let line = describer.line(at, direction, heard);
            // Whoever reads the trace may have seen enough.
            let _printed = print(|out| writeln!(out, "{line}"));
        }
    })
}

fn keep(recording: &Recording, path: &Path) -> Result<(), Failure> {
    let failed = |error: std::io::Error| {
        Failure::usage(format!("{} cannot be written", path.display())).because(&error)
    };
    let mut file = BufWriter::new(File::create(path).map_err(failed)?);
    recording.write(&mut file).map_err(failed)?;
    file.into_inner().map(drop).map_err(|error| failed(error.into_error()))
}

/// Repeats a recording, and prints what is different.
pub(super) fn replay(cli: &Cli, args: &PluginReplayArgs) -> Ended {
    let subject = subject(&args.subject, secret(cli))?;
    let recording = read(&args.recording)?;
    let settings = Settings { answer: PATIENCE, ..Settings::default() };
    let different = repeat(&subject, &settings, &recording).map_err(|error| {
        Failure::new(Exit::Plugin, "the conversation cannot be repeated").said_by(&subject.name, error)
    })?;
    print(|out| {
        for difference in &different {
            writeln!(out, "{difference}")?;
        }
        match different.len() {
            0 => writeln!(out, "the same, in {} frames", recording.entries.len()),
            count => writeln!(out, "{count} differences"),
        }
    })?;
    Ok(if different.is_empty() { Exit::Done } else { Exit::Plugin })
}

fn read(path: &Path) -> Result<Recording, Failure> {
    let failed = |error: &dyn std::error::Error| {
        Failure::usage(format!("{} is no recording", path.display())).because(error)
    };
    let length = fs::metadata(path).map_err(|error| failed(&error))?.len();
    if length > LONGEST {
        return Err(Failure::usage(format!("{} is larger than 256 MiB", path.display())));
    }
    let text = fs::read_to_string(path).map_err(|error| failed(&error))?;
    Recording::parse(&text).map_err(|error| failed(&error))
}
