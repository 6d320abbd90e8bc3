//! `conflicts`: what waits for a person.

use std::io::Read as _;
use std::path::Path;

use outrigger::config::Config;
use outrigger::conflicts::{
    Choice, ConflictsSummary, Dispute, Found, find, find_one, marked, settle, write_list, write_one,
};
use outrigger::exit::Exit;
use outrigger::report::Failure;

use super::editor::Draft;
use super::{Ended, load, print, terminal};
use crate::cli::{
    Cli, ConflictsArgs, ConflictsListArgs, ConflictsResolveArgs, ConflictsShowArgs, ConflictsVerb, How,
};

/// Lists conflicts, shows one, or settles some.
pub(crate) fn conflicts(cli: &Cli, args: &ConflictsArgs) -> Ended {
    match &args.verb {
        None => list(cli, &args.list),
        Some(ConflictsVerb::List(args)) => list(cli, args),
        Some(ConflictsVerb::Show(args)) => show(cli, args),
        Some(ConflictsVerb::Resolve(args)) => resolve(cli, args),
    }
}

fn list(cli: &Cli, args: &ConflictsListArgs) -> Ended {
    let found = load(cli).and_then(|config| find(&config, &args.groups));
    let found = tell(found, args.json, |found| {
        print(|out| write_list(found, out))?;
        found.failures.iter().for_each(|failure| drop(failure.write(&mut anstream::stderr())));
        Ok(())
    })?;
    Ok(found.exit())
}

fn show(cli: &Cli, args: &ConflictsShowArgs) -> Ended {
    let found = load(cli).and_then(|config| find_one(&config, &args.id));
    let found = found.map(|dispute| Found { disputes: vec![dispute], failures: Vec::new() });
    tell(found, args.json, |found| {
        let width = terminal::width();
        print(|out| found.disputes.iter().try_for_each(|dispute| write_one(dispute, width, out)))
    })?;
    Ok(Exit::Done)
}

/// Prints what was found, or why nothing was: as one object, or as `write` does.
fn tell(
    found: Result<Found, Failure>,
    json: bool,
    write: impl FnOnce(&Found) -> Result<(), Failure>,
) -> Result<Found, Failure> {
    match &found {
        Ok(found) if json => print_json(&ConflictsSummary::of(found))?,
        Ok(found) => write(found)?,
        Err(failure) if json => print_json(&ConflictsSummary::failed(failure))?,
        Err(_) => {}
    }
    found
}

fn print_json(summary: &ConflictsSummary) -> Result<(), Failure> {
    let text =
        serde_json::to_string(summary).map_err(|error| Failure::internal("conflicts").because(&error))?;
    print(|out| writeln!(out, "{text}"))
}

/// All are looked up before the first is settled: a mistyped one leaves everything as it is.
fn resolve(cli: &Cli, args: &ConflictsResolveArgs) -> Ended {
    let config = load(cli)?;
    let disputes =
        args.ids.iter().map(|id| find_one(&config, id)).collect::<Result<Vec<Dispute>, Failure>>()?;
    for dispute in disputes {
        if args.how.edit {
            edit(&config, dispute)?;
        } else {
            let choice = choice(&args.how)?;
            go(&config, dispute, &choice)?;
        }
    }
    Ok(Exit::Done)
}

fn go(config: &Config, dispute: Dispute, choice: &Choice) -> Result<(), Failure> {
    let settled = settle(config, dispute, choice)?;
    print(|out| settled.write(out))
}

fn choice(how: &How) -> Result<Choice, Failure> {
    match how {
        How { take: Some(member), .. } => Ok(Choice::Take(member.clone())),
        How { content: Some(file), .. } => read(file).map(Choice::Content),
        How { chosen: true, .. } => Ok(Choice::Chosen),
        How { merge: true, .. } => Ok(Choice::Merge),
        How { keep_both: true, .. } => Ok(Choice::KeepBoth),
        _ => Ok(Choice::Delete),
    }
}

fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    let mut data = Vec::new();
    let read = match file.to_str() {
        Some("-") => std::io::stdin().lock().read_to_end(&mut data).map(drop),
        _ => std::fs::read(file).map(|read| data = read),
    };
    read.map_err(|error| Failure::usage(format!("{} cannot be read", file.display())).because(&error))?;
    Ok(data)
}

/// What was written stays there if it cannot be taken.
fn edit(config: &Config, dispute: Dispute) -> Result<(), Failure> {
    let Some(text) = marked(&dispute) else {
        return Err(Failure::usage(format!("what members hold of {} is not kept", dispute.id)));
    };
    let id = dispute.id.clone();
    let draft = Draft::write(&text, dispute.ending())?;
    let edited = draft.edit()?;
    if edited == text {
        return Err(Failure::usage(format!("nothing was changed: {id} waits as it was")));
    }
    go(config, dispute, &Choice::Content(edited))
        .map_err(|failure| failure.because_of(&format!("what you wrote stays in {}", draft.keep().display())))
}
