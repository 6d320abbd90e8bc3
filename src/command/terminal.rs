//! What depends on who watches: colours, messages, progress.

use std::io::{IsTerminal as _, stderr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use outrigger::protocol::Printable;
use outrigger::run::Watcher;
use tracing_subscriber::EnvFilter;

use crate::cli::{Cli, Color, LogFormat};

/// Sets colours and messages as the command line says.
pub(crate) fn set_up(cli: &Cli) {
    match cli.color {
        Color::Auto => {}
        Color::Always => anstream::ColorChoice::Always.write_global(),
        Color::Never => anstream::ColorChoice::Never.write_global(),
    }
    let level = match cli.verbose {
        0 => "error,plugin=warn,consent=warn,broker=info",
        1 => "info",
        2 => "debug",
        _ => "trace",
    };
    let colours = match cli.color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => {
            stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        }
    };
    let log = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(level))
        .with_ansi(colours)
        .with_writer(stderr);
    let set = match cli.log_format {
        LogFormat::Text => log.try_init(),
        LogFormat::Json => log.json().try_init(),
    };
    drop(set); // nothing else in this process sets one
}

/// Columns where nobody says how many there are, and the most and fewest that are used.
const WIDTH: [usize; 3] = [80, 200, 40];

/// The columns of the terminal that standard output goes to.
pub(crate) fn width() -> usize {
    let [usual, most, fewest] = WIDTH;
    columns().map_or(usual, |columns| columns.clamp(fewest, most))
}

#[cfg(unix)]
fn columns() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

#[cfg(not(unix))]
fn columns() -> Option<usize> {
    None
}

/// A line that says what goes on, if a terminal watches.
pub(crate) struct Progress(Option<Mutex<ProgressBar>>);

impl Progress {
    pub(crate) fn new(quiet: bool) -> Self {
        if quiet || !stderr().is_terminal() {
            return Self(None);
        }
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}  {elapsed}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(100));
        Self(Some(Mutex::new(bar)))
    }

    pub(crate) fn finish(&self) {
        self.with(ProgressBar::finish_and_clear);
    }

    /// Shows what goes on.
    pub(crate) fn say(&self, text: &str) {
        self.with(|bar| bar.set_message(text.to_owned()));
    }

    /// Does something that prints, and shows the line again below.
    pub(crate) fn beside(&self, prints: impl FnOnce()) {
        match &self.0 {
            Some(bar) => bar.lock().unwrap_or_else(PoisonError::into_inner).suspend(prints),
            None => prints(),
        }
    }

    fn with(&self, act: impl FnOnce(&ProgressBar)) {
        if let Some(bar) = &self.0
            && let Ok(bar) = bar.lock()
        {
            act(&bar);
        }
    }
}

impl Watcher for Progress {
    fn phase(&self, group: &str, collection: &str, words: &str) {
        let place = if collection.is_empty() { group.to_owned() } else { format!("{group}/{collection}") };
        let text = Printable(format!("{place}: {words}")).to_string();
        tracing::info!(target: "run", "{text}");
        self.with(|bar| bar.set_message(text));
    }

    fn written(&self, done: u64, total: u64) {
        self.with(|bar| {
            if let Ok(style) =
                ProgressStyle::with_template("{spinner} {msg}  {wide_bar} {pos}/{len}  {elapsed}")
            {
                bar.set_style(style);
            }
            bar.set_length(total);
            bar.set_position(done);
        });
    }
}
