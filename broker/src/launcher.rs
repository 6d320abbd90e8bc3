//! The user's own commands: one that makes an end appear, one that says where it is.
//!
//! They stand in the configuration and run as the user, in no sandbox. What they start is not our
//! child: it is never waited for, and never ended.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::PathBuf;
use std::process::Stdio;

use serde::Deserialize;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader};
use tokio::process::Command;
use tokio::time::{Instant, timeout_at};

use crate::locate_error::LocateError;

/// Most bytes of the line that says where an end is.
const LONGEST_LINE: u64 = 4096;

/// Starts `"$@"` as nobody's child. A shell forgets what it starts in the background when it ends.
const DETACH: &str = r#"command -v "$1" >/dev/null || exit 127; "$@" </dev/null >/dev/null 2>&1 &"#;

/// Runs a command that makes an end appear, and leaves it to itself. In a group of its own, so that
/// an interruption at the terminal is not for it.
///
/// # Errors
/// There is no such command.
pub(crate) async fn launch(argv: &[OsString]) -> Result<(), LocateError> {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", DETACH, "sh"]).args(argv).process_group(0);
    shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let status = shell.status().await?;
    if status.success() { Ok(()) } else { Err(failed(argv, "cannot be run: it was not found")) }
}

/// What a locator of the user's says.
#[derive(Deserialize)]
struct Where {
    socket: PathBuf,
}

/// Runs a command that says where an end is, in the first line of its standard output; then it is
/// ended, if it is still there. Its standard error is ours.
///
/// # Errors
/// It cannot be run, said nothing until then, or nothing that can be understood.
pub(crate) async fn ask(argv: &[OsString], until: Instant) -> Result<PathBuf, LocateError> {
    let (program, args) = argv.split_first().ok_or_else(|| failed(argv, "is empty"))?;
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
    let started = command.spawn();
    let mut child = started.map_err(|error| failed(argv, &format!("cannot be run: {error}")))?;
    let line = match child.stdout.take() {
        Some(output) => timeout_at(until, first_line(output)).await,
        None => Ok(Ok(String::new())),
    };
    let line = line.map_err(|_| failed(argv, "did not say in time where the end is"))??;
    let said: Where = serde_json::from_str(&line).map_err(|error| {
        let text =
            format!("did not say where the end is ({error}): {line:?}; expected {{\"socket\": \"/path\"}}");
        failed(argv, &text)
    })?;
    if said.socket.is_absolute() {
        Ok(said.socket)
    } else {
        Err(failed(argv, "named a path that is not absolute"))
    }
}

async fn first_line(output: impl AsyncRead + Unpin) -> io::Result<String> {
    let mut line = Vec::new();
    BufReader::new(output.take(LONGEST_LINE)).read_until(b'\n', &mut line).await?;
    Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
}

fn failed(argv: &[OsString], why: &str) -> LocateError {
    let program = argv.first().map_or(OsStr::new(""), OsString::as_os_str).to_owned();
    LocateError::Command { program, why: why.to_owned() }
}
