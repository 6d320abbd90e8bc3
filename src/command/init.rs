//! `init`: writes a configuration for two places.

use std::fs::File;
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::path::Path;

use outrigger::config::{Config, Draft, DraftMember, Places};
use outrigger::exit::Exit;
use outrigger::report::Failure;

use super::{Ended, config_file, print};
use crate::cli::{Cli, InitArgs};

/// Writes a configuration; never over one that is there.
pub(crate) fn init(cli: &Cli, args: &InitArgs) -> Ended {
    let file = config_file(cli)?;
    let draft = draft(args)?;
    let text = draft.to_string();
    Config::parse(
        &text,
        &std::path::absolute(&file).unwrap_or_else(|_| file.clone()),
        &Places::from_environment(),
    )?;
    write(&file, &text)?;
    let (file, group) = (file.display(), &draft.group);
    print(|out| {
        writeln!(out, "wrote {file}")?;
        writeln!(out, "next:  outrigger -c {file} check {group}   tries it")?;
        writeln!(out, "       outrigger -c {file} plan {group}    shows what a sync would do")?;
        writeln!(out, "       outrigger -c {file} sync {group}")
    })?;
    Ok(Exit::Done)
}

fn draft(args: &InitArgs) -> Result<Draft, Failure> {
    let given = args.members.iter().map(|member| DraftMember {
        name: member.name.clone(),
        plugin: member.plugin.clone(),
        place: member.place.clone(),
    });
    let mut members: Vec<DraftMember> = given.collect();
    if members.len() > 2 {
        return Err(Failure::usage(format!("a group has two members, and {} were given", members.len())));
    }
    while members.len() < 2 {
        let member = ask_member(members.len() + 1)?;
        members.push(member);
    }
    let group = match &args.group {
        Some(group) => group.clone(),
        None if args.members.len() == 2 => {
            members.iter().map(|member| member.name.as_str()).collect::<Vec<_>>().join("-")
        }
        None => ask("name of the group of the two", "contacts")?,
    };
    Ok(Draft { group, members })
}

fn ask_member(number: usize) -> Result<DraftMember, Failure> {
    let default = if number == 1 { "laptop" } else { "other" };
    let name = ask(&format!("name of member {number}"), default)?;
    let plugin = ask("its plugin", "vdir")?;
    let place = ask("its place (a folder that holds one folder a collection)", "")?;
    Ok(DraftMember { name, plugin, place })
}

/// Asks on the terminal.
fn ask(question: &str, default: &str) -> Result<String, Failure> {
    if !io::stdin().is_terminal() {
        let failure = Failure::usage("nobody is there to ask");
        return Err(failure.hint("give both members: --member NAME=vdir:PLACE --member NAME=vdir:PLACE"));
    }
    loop {
        let shown = if default.is_empty() { String::new() } else { format!(" [{default}]") };
        let mut err = anstream::stderr();
        let _asked = write!(err, "{question}{shown}: ").and_then(|()| err.flush());
        let mut line = String::new();
        let read = io::stdin().lock().read_line(&mut line);
        let read = read.map_err(|error| Failure::internal("the terminal cannot be read").because(&error))?;
        let answer = if line.trim().is_empty() { default } else { line.trim() };
        match (read, answer) {
            (0, _) => return Err(super::interrupted()),
            (_, "") => {}
            (_, answer) => return Ok(answer.to_owned()),
        }
    }
}

fn write(file: &Path, text: &str) -> Result<(), Failure> {
    let failed = |error: &io::Error| {
        let failure = Failure::usage(format!("{} cannot be written", file.display())).because(error);
        if error.kind() == io::ErrorKind::AlreadyExists {
            return failure.hint("a configuration is there already; `-c FILE` names another place");
        }
        failure
    };
    if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(|error| failed(&error))?;
    }
    let mut created = File::create_new(file).map_err(|error| failed(&error))?;
    created.write_all(text.as_bytes()).map_err(|error| failed(&error))
}
