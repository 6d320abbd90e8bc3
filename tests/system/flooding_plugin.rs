//! A plugin that says far too much and works all the same: `flooding_plugin HOW BYTES`.
//!
//! `print`: a thread of its own prints so many bytes on standard error, from `initialize` on. `log`: each
//! `read` sends a share of them as lines for the log, before it answers. The one item says whether the
//! flood is over. `floods.rs` is the other side.
#![forbid(unsafe_code)]

use std::io::{Write as _, stderr};
use std::process::ExitCode;
use std::thread::JoinHandle;

use outrigger_plugin_sdk::protocol::{
    Commit, CommitResult, Error, GetChanges, Initialize, Level, ReadItem, ReadOutcome, ReadResult, Revision,
};
use outrigger_plugin_sdk::{ChangeSink, Collection, Context, ListingEnd, Plugin, ReadSink, serve};

/// One line for the log: as long as such a line may be.
const LINE: usize = 8 << 10;

/// Lines before one answer.
const SHARE: usize = 4096;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let (Some(how), Some(bytes)) = (args.next(), args.next()) else { return ExitCode::FAILURE };
    let Ok(bytes) = bytes.parse() else { return ExitCode::FAILURE };
    serve(Flooding { prints: how == "print", bytes, printer: None })
}

struct Flooding {
    prints: bool,
    /// What is still to be said.
    bytes: usize,
    printer: Option<JoinHandle<()>>,
}

impl Flooding {
    fn is_over(&self) -> bool {
        self.printer.as_ref().map_or(self.bytes == 0, JoinHandle::is_finished)
    }

    fn log(&mut self, context: &mut Context<'_>) -> Result<(), Error> {
        let line = "x".repeat(LINE);
        for _ in 0..SHARE {
            self.bytes = self.bytes.saturating_sub(line.len());
            context.log(Level::Info, line.as_str())?;
        }
        Ok(())
    }
}

fn print(bytes: usize) {
    let line = [b"flood ".repeat(20).as_slice(), b"\n"].concat();
    let text = line.repeat((64 << 10) / line.len());
    for _ in 0..bytes.div_ceil(text.len()) {
        stderr().write_all(&text).ok();
    }
    writeln!(stderr(), "the flood is over").ok();
}

impl Plugin for Flooding {
    fn initialize(&mut self, _: Initialize, _: &mut Context<'_>) -> Result<(), Error> {
        let bytes = self.bytes;
        self.printer = self.prints.then(|| std::thread::spawn(move || print(bytes)));
        Ok(())
    }

    fn discover(&mut self, _: &mut Context<'_>) -> Result<Vec<Collection>, Error> {
        Ok(vec![Collection { name: "notes".into(), ..Collection::default() }])
    }

    fn get_changes(
        &mut self,
        _: &str,
        _: GetChanges,
        _: &mut ChangeSink<'_, '_>,
    ) -> Result<ListingEnd, Error> {
        Ok(ListingEnd { complete: true, anchor: None })
    }

    fn read(&mut self, _: &str, items: Vec<ReadItem>, results: &mut ReadSink<'_, '_>) -> Result<(), Error> {
        if !self.prints {
            self.log(results.context())?;
        }
        let says: &[u8] = if self.is_over() { b"over" } else { b"flooding" };
        for (index, _) in (0..).zip(items) {
            let (revision, format) = (Revision::from("1"), "text".into());
            let outcome = ReadOutcome::Item { revision, settled: true, format, data: says.into() };
            results.push(&ReadResult { index, outcome })?;
        }
        Ok(())
    }

    fn commit(&mut self, _: &str, _: Commit<'_>, _: &mut Context<'_>) -> Result<Vec<CommitResult>, Error> {
        Ok(Vec::new())
    }
}
