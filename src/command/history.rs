//! `log`, `undo`, `reset` and `forget`.

use std::fs;
use std::io::{ErrorKind, IsTerminal as _, Write as _, stdin, stdout};
use std::path::Path;

use outrigger::config::{Config, GroupConfig};
use outrigger::exit::Exit;
use outrigger::handed::new_file;
use outrigger::history::{self, History, Reset};
use outrigger::protocol::Printable;
use outrigger::report::{Failure, FailureSummary, called};
use outrigger::run::unknown_group;
use serde::Serialize;

use super::{Ended, load, print};
use crate::cli::{Cli, ForgetArgs, LogArgs, ResetArgs, RunName, UndoArgs};

/// Shows the last runs, or one of them.
pub(crate) fn log(cli: &Cli, args: &LogArgs) -> Ended {
    let asked = load(cli).and_then(|config| wanted(&config, args).map(|wanted| (config, wanted)));
    match asked {
        Ok((config, (group, Some(number)))) => {
            let detail = group_of(&config, group).and_then(|group| history::taken(&config, group, number));
            told(args.json, detail, |detail| print(|out| detail.write(out)))?;
            Ok(Exit::Done)
        }
        Ok((config, (group, None))) => {
            let groups: Vec<&str> = group.into_iter().collect();
            let history = history::runs(&config, &groups, args.limit, args.all);
            let history = told(args.json, history, |history| print(|out| history.write(out)))?;
            Ok(Exit::of_code(history.exit).unwrap_or(Exit::Internal))
        }
        Err(failure) => told::<History>(args.json, Err(failure), |_| Ok(())).map(|_| Exit::Done),
    }
}

/// What is asked for: a group, a run of it; or a run in one word, or of the only group.
fn wanted<'a>(config: &Config, args: &'a LogArgs) -> Result<(Option<&'a str>, Option<i64>), Failure> {
    let Some(word) = args.group.as_deref() else { return Ok((None, None)) };
    if args.run.is_some() || config.group(word).is_some() {
        return Ok((Some(word), args.run));
    }
    match word.rsplit_once(':') {
        Some((group, number)) if number.parse::<i64>().is_ok() => Ok((Some(group), number.parse().ok())),
        _ if word.parse::<i64>().is_ok() => Ok((None, word.parse().ok())),
        _ => Err(unknown_group(config, word)),
    }
}

/// The group that is named, or the only one.
fn group_of<'c>(config: &'c Config, name: Option<&str>) -> Result<&'c GroupConfig, Failure> {
    match (name, &config.groups[..]) {
        (Some(name), _) => config.group(name).ok_or_else(|| unknown_group(config, name)),
        (None, [only]) => Ok(only),
        (None, _) => Err(Failure::usage("runs are counted in each group: which one is meant?")
            .hint("name it as `outrigger log` shows it, GROUP:NUMBER")),
    }
}

/// Brings back what a run overwrote or deleted.
pub(crate) fn undo(cli: &Cli, args: &UndoArgs) -> Ended {
    let RunName { group, number } = &args.run;
    if let Some(file) = &args.to {
        let config = load(cli)?;
        let data = history::content(&config, group_of(&config, group.as_deref())?, *number, &args.items)?;
        return write_to(file, &data).map(|()| Exit::Done);
    }
    let undone = load(cli).and_then(|config| {
        let group = group_of(&config, group.as_deref())?;
        history::undo(&config, group, *number, &args.items, args.dry_run)
    });
    told(args.json, undone, |undone| print(|out| undone.write(out)))?;
    Ok(Exit::Done)
}

/// Writes the content of an item into a new file that only this user can read; or to standard output.
fn write_to(file: &Path, data: &[u8]) -> Result<(), Failure> {
    if file == Path::new("-") {
        return show(data);
    }
    let unwritten = |error| Failure::usage(format!("{} cannot be written", file.display())).because(&error);
    let mut made = new_file(file).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => {
            Failure::usage(format!("{} is there already, and stays as it is", file.display()))
        }
        _ => unwritten(error),
    })?;
    made.write_all(data).map_err(|error| {
        let _half = fs::remove_file(file);
        unwritten(error)
    })
}

/// Byte for byte; only on a terminal as what can do it no harm.
fn show(data: &[u8]) -> Result<(), Failure> {
    let mut out = stdout().lock();
    if out.is_terminal() {
        let text = String::from_utf8_lossy(data);
        return print(|out| text.lines().try_for_each(|line| writeln!(out, "{}", Printable(line))));
    }
    let written = out.write_all(data).and_then(|()| out.flush());
    written.map_err(|error| Failure::internal("the content cannot be written").because(&error))
}

/// Prints what came of it, or why nothing did: as one object, or as `write` does.
fn told<T: Serialize>(
    json: bool,
    ended: Result<T, Failure>,
    write: impl FnOnce(&T) -> Result<(), Failure>,
) -> Result<T, Failure> {
    match &ended {
        Ok(found) if json => object(found)?,
        Ok(found) => write(found)?,
        Err(failure) if json => object(&Failed::of(failure))?,
        Err(_) => {}
    }
    ended
}

/// What a program is told where there is nothing else to tell.
#[derive(Serialize)]
struct Failed {
    exit: u8,
    failures: Vec<FailureSummary>,
}

impl Failed {
    fn of(failure: &Failure) -> Self {
        Self { exit: failure.exit.code(), failures: vec![FailureSummary::of(failure)] }
    }
}

fn object(found: &impl Serialize) -> Result<(), Failure> {
    let text =
        serde_json::to_string(found).map_err(|error| Failure::internal("the result").because(&error))?;
    print(|out| writeln!(out, "{text}"))
}

/// Has a member compared anew.
pub(crate) fn reset(cli: &Cli, args: &ResetArgs) -> Ended {
    let config = load(cli)?;
    let what = if args.new_store { Reset::Store } else { Reset::Listing };
    let member = &args.member;
    let groups = history::reset(&config, member, args.group.as_deref(), what)?;
    if groups.is_empty() {
        return print(|out| {
            writeln!(out, "nothing was known of {member}: the next sync meets it for the first time anyway")
        })
        .map(|()| Exit::Done);
    }
    let done = match what {
        Reset::Listing => "lists everything at the next sync",
        Reset::Store => "is met for the first time at the next sync",
    };
    let is_authority = |group: &GroupConfig| {
        groups.contains(&group.name) && config.member(member).is_some_and(|member| group.is_authority(member))
    };
    let deleted = match what {
        Reset::Store if config.groups.iter().any(is_authority) => {
            "what it does not hold is deleted at the others then"
        }
        Reset::Store => "nothing is deleted on that account",
        Reset::Listing => "nothing is deleted by that one, and what is gone by the next",
    };
    print(|out| {
        writeln!(out, "{member} {done}; {deleted}")?;
        groups.iter().try_for_each(|group| writeln!(out, "  {} sync {group}", called()))
    })?;
    Ok(Exit::Done)
}

/// Forgets what is known of a group.
pub(crate) fn forget(cli: &Cli, args: &ForgetArgs) -> Ended {
    let config = load(cli)?;
    let name = &args.group;
    if !args.yes {
        ask(name)?;
    }
    if !history::forget(&config, name)? && config.group(name).is_none() {
        return Err(unknown_group(&config, name));
    }
    print(|out| {
        writeln!(out, "{name} is forgotten. No item was touched: its members hold what they held.")?;
        let has_authority = config.group(name).is_some_and(|group| !config.authorities(group).is_empty());
        let deletes = if has_authority {
            "and deletes what the member does not hold whose content is everybody's"
        } else {
            "and deletes nothing"
        };
        writeln!(out, "the next sync compares everything anew, {deletes}:   {} sync {name}", called())
    })?;
    Ok(Exit::Done)
}

fn ask(name: &str) -> Result<(), Failure> {
    let mut err = anstream::stderr();
    let _asked = writeln!(
        err,
        "forget what is known of {name}, with all that can be undone and the conflicts that wait?\n\
         Items at its members are not touched, neither now nor by the next sync, which compares everything anew."
    );
    if !stdin().is_terminal() {
        return Err(Failure::usage("nobody is there to ask")
            .hint(format!("`outrigger forget {name} --yes` does not ask")));
    }
    let _asked = write!(err, "(yes or no) ").and_then(|()| err.flush());
    let mut answer = String::new();
    let read = stdin().read_line(&mut answer);
    match (read, answer.trim()) {
        (Ok(_), "yes" | "y") => Ok(()),
        _ => Err(Failure::new(Exit::Done, format!("{name} is not forgotten"))),
    }
}
