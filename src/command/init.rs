//! `init`: writes a configuration for two places, or more.

use std::fs::File;
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use outrigger::config::{Config, Draft, DraftMember, Places, is_valid_name};
use outrigger::exit::Exit;
use outrigger::report::{Failure, called};
use outrigger::run::unknown_plugin;

use super::{Ended, config_file, print};
use crate::cli::{Cli, InitArgs};

/// Writes a configuration; never over one that is there.
pub(crate) fn init(cli: &Cli, args: &InitArgs) -> Ended {
    let file = config_file(cli)?;
    let file = std::path::absolute(&file).unwrap_or(file);
    if file.exists() {
        return Err(is_there(&file)); // before anything is asked
    }
    let mut draft = draft(args)?;
    draft.members.iter_mut().for_each(|member| member.place = seen_from(&file, &member.place));
    let text = draft.to_string();
    let config = Config::parse(&text, &file, &Places::from_environment());
    // A line of a file that is not written would help nobody.
    let config = config.map_err(|error| {
        let failure = Failure::usage(error.what);
        error.hint.into_iter().fold(failure, Failure::hint)
    })?;
    write(&file, &text)?;
    let (command, group) = (called(), &draft.group);
    print(|out| {
        writeln!(out, "wrote {}", file.display())?;
        config.members.iter().filter_map(place_note).try_for_each(|note| writeln!(out, "note:  {note}"))?;
        writeln!(out, "next:  {command} check {group}   tries it")?;
        writeln!(out, "       {command} plan {group}    shows what a sync would do")?;
        writeln!(out, "       {command} sync {group}")
    })?;
    Ok(Exit::Done)
}

/// A place as the file has to say it: relative ones are seen from where the file is, and the user
/// meant where he stands.
fn seen_from(file: &Path, place: &str) -> String {
    let here = std::env::current_dir().ok();
    let (Some(here), true) = (here, Path::new(place).is_relative() && !place.starts_with('~')) else {
        return place.to_owned();
    };
    if file.parent() == Some(&here) {
        return place.to_owned();
    }
    let path: PathBuf = here.join(place).components().collect();
    path.to_str().map_or_else(|| place.to_owned(), str::to_owned)
}

/// What is worth knowing of a member's folder before the first run.
fn place_note(member: &outrigger::config::MemberConfig) -> Option<String> {
    let path = Path::new(member.option("path")?);
    let (name, shown) = (&member.name, path.display());
    let Ok(entries) = std::fs::read_dir(path) else {
        let why = if path.is_dir() {
            "cannot be read: check its owner and mode"
        } else if path.exists() {
            "is not a folder: correct `path`"
        } else {
            "is not there yet: make the folder, or correct `path`"
        };
        return Some(format!("the place of {name}, {shown}, {why}"));
    };
    let is_item = |name: &Path| name.extension().is_some_and(|end| end == "vcf" || end == "ics");
    let mut entries = entries.flatten().map(|entry| entry.path()).peekable();
    let lies_bare = entries.peek().is_some() && entries.all(|path| !path.is_dir()) && holds(path, is_item);
    lies_bare.then(|| {
        format!(
            "{shown} holds items and no folders; each collection is a folder in it: name the folder above"
        )
    })
}

fn holds(folder: &Path, is_item: impl Fn(&Path) -> bool) -> bool {
    std::fs::read_dir(folder).is_ok_and(|entries| entries.flatten().any(|entry| is_item(&entry.path())))
}

fn draft(args: &InitArgs) -> Result<Draft, Failure> {
    let given = args.members.iter().map(|member| DraftMember {
        name: member.name.clone(),
        plugin: member.plugin.clone(),
        place: member.place.clone(),
    });
    let mut members: Vec<DraftMember> = given.collect();
    members.iter().try_for_each(check_member)?;
    while members.len() < 2 {
        let member = ask_member(members.len() + 1)?;
        members.push(member);
    }
    let is_known = |(place, member): &(usize, &DraftMember)| {
        members[..*place].iter().any(|other| other.name.eq_ignore_ascii_case(&member.name))
    };
    if let Some((_, member)) = members.iter().enumerate().find(is_known) {
        let how_many = if members.len() == 2 { "both" } else { "two" };
        let failure = Failure::usage(format!("{how_many} members are called `{}`", member.name));
        return Err(failure.hint("give each a name of its own, such as laptop and usb"));
    }
    let group = match &args.group {
        Some(group) => group.clone(),
        None if args.members.len() == 2 => {
            members.iter().map(|member| member.name.as_str()).collect::<Vec<_>>().join("-")
        }
        None if args.members.len() > 2 => "all".to_owned(),
        None => ask("name of the group of the two", "contacts", |name| check_name("group", name))?,
    };
    check_name("group", &group)?;
    Ok(Draft { group, members })
}

fn check_member(member: &DraftMember) -> Result<(), Failure> {
    check_name("member", &member.name)?;
    check_plugin(&member.plugin)
}

fn check_name(what: &str, name: &str) -> Result<(), Failure> {
    if is_valid_name(name) {
        return Ok(());
    }
    let failure = Failure::usage(format!("`{name}` cannot be the name of a {what}"));
    Err(failure.hint("use letters, digits, - and _, at most 64, a letter or a digit first"))
}

fn check_plugin(name: &str) -> Result<(), Failure> {
    unknown_plugin(name).map_or(Ok(()), Err)
}

fn ask_member(number: usize) -> Result<DraftMember, Failure> {
    let default = if number == 1 { "laptop" } else { "other" };
    let name = ask(&format!("name of member {number}"), default, |name| check_name("member", name))?;
    let plugin = ask("its plugin", "vdir", check_plugin)?;
    let place = ask("its place (a folder that holds one folder a collection)", "", |_| Ok(()))?;
    Ok(DraftMember { name, plugin, place })
}

/// Asks on the terminal, until the answer passes the check.
fn ask(
    question: &str,
    default: &str,
    check: impl Fn(&str) -> Result<(), Failure>,
) -> Result<String, Failure> {
    if !io::stdin().is_terminal() {
        let failure = Failure::usage("nobody is there to ask");
        return Err(failure.hint("give both members: --member NAME=vdir:PLACE --member NAME=vdir:PLACE"));
    }
    loop {
        let answer = ask_once(question, default)?;
        match check(&answer) {
            _ if answer.is_empty() => {}
            Ok(()) => return Ok(answer),
            Err(failure) => drop(failure.write(&mut anstream::stderr())),
        }
    }
}

fn ask_once(question: &str, default: &str) -> Result<String, Failure> {
    let shown = if default.is_empty() { String::new() } else { format!(" [{default}]") };
    let mut err = anstream::stderr();
    let _asked = write!(err, "{question}{shown}: ").and_then(|()| err.flush());
    let mut line = String::new();
    let read = io::stdin().lock().read_line(&mut line);
    match read.map_err(|error| Failure::internal("the terminal cannot be read").because(&error))? {
        0 => Err(super::interrupted()),
        _ if line.trim().is_empty() => Ok(default.to_owned()),
        _ => Ok(line.trim().to_owned()),
    }
}

fn is_there(file: &Path) -> Failure {
    Failure::usage(format!("{} is there already, and is never overwritten", file.display()))
        .hint("edit it, or name another place with `-c FILE`")
}

fn write(file: &Path, text: &str) -> Result<(), Failure> {
    let failed = |error: &io::Error| {
        Failure::usage(format!("{} cannot be written", file.display()))
            .because(error)
            .hint("check the folder, its owner and its mode; `-c FILE` names another place")
    };
    if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(|error| failed(&error))?;
    }
    let mut created = File::create_new(file).map_err(|error| failed(&error))?;
    created.write_all(text.as_bytes()).map_err(|error| failed(&error))
}
