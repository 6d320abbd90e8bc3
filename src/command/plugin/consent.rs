//! `plugin info`, `trust` and `distrust`: the only place where consent is asked for.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use outrigger::config::{Config, MANIFEST, Places, PluginSource};
use outrigger::consent::{self, Examined, Standing};
use outrigger::exit::Exit;
use outrigger::protocol::Printable;
use outrigger::report::Failure;
use outrigger::run::first_party;
use outrigger::sandbox::{Brought, brought_by};

use super::info::Info;
use crate::cli::{Cli, PluginDistrustArgs, PluginInfoArgs, PluginTrustArgs};
use crate::command::{Ended, config_file, interrupted, print};

/// Shows a plugin of the configuration, or one that lies somewhere.
pub(super) fn info(cli: &Cli, args: &PluginInfoArgs) -> Ended {
    let name = &args.plugin;
    if first_party(name).is_some() {
        let what = "is part of this command: its sandbox grants the member's place, and nothing else";
        return without_manifest(args, what);
    }
    let config = config(cli);
    let examined;
    let info = match config.as_ref().ok().and_then(|config| Some((config, config.plugin(name)?))) {
        Some((config, plugin)) => {
            let file = match &plugin.source {
                PluginSource::Manifest(file) => file,
                PluginSource::Command { path, .. } => return without_manifest(args, &of_command(path)),
            };
            examined = consent::examine(&config.state, Some(name), file)?;
            Info::named(config, name, &examined)
        }
        None => {
            let file = manifest_at(name).ok_or_else(|| unknown(config, name))?;
            examined = consent::examine(Path::new(""), None, &file)?;
            Info { name: None, examined: &examined, members: Vec::new() }
        }
    };
    if args.json {
        let text = info.json().map_err(|error| Failure::internal("plugin info").because(&error))?;
        print(|out| writeln!(out, "{text}"))?;
    } else {
        print(|out| info.write(out))?;
    }
    Ok(Exit::Done)
}

/// What it brings was written by its author, and stands nowhere in the configuration.
fn of_command(program: &Path) -> String {
    let Brought { execute, read } = brought_by(program);
    let line =
        |(verb, path): (&str, PathBuf)| format!("\n    {verb} {}", Printable(path.display().to_string()));
    let execute = execute.into_iter().filter(|path| path != program).map(|path| ("execute", path));
    let lines: String = execute.chain(read.into_iter().map(|path| ("read", path))).map(line).collect();
    let brings = if lines.is_empty() { "" } else { "\n  by its first line, or by links, it may also" };
    format!("has no manifest: it is started as the configuration says{brings}{lines}")
}

/// There is little to show, and no object of it.
fn without_manifest(args: &PluginInfoArgs, what: &str) -> Ended {
    let name = &args.plugin;
    if args.json {
        return Err(Failure::usage(format!("{name} {what}")));
    }
    print(|out| writeln!(out, "{name}   {what}")).map(|()| Exit::Done)
}

/// Shows what a plugin wants, asks, and keeps the answer.
pub(super) fn trust(cli: &Cli, args: &PluginTrustArgs) -> Ended {
    let (name, config) = (&args.plugin, config(cli)?);
    let manifest = manifest_of(&config, name)?;
    let examined = consent::examine(&config.state, Some(name), &manifest)?;
    if examined.standing == (Standing::Trusted { updated: None }) {
        return print(|out| writeln!(out, "{name} is trusted already")).map(|()| Exit::Done);
    }
    print(|out| Info::named(&config, name, &examined).write(out))?;
    consent::speaks(name, &examined)?; // else there is nothing to agree to
    if !args.yes && !agrees(name, &examined)? {
        return Err(Failure::new(Exit::Plugin, format!("{name} is not trusted, and not started")));
    }
    // What was shown, not what may lie there by now.
    consent::trust(&config.state, name, &examined)?;
    print(|out| writeln!(out, "{name} is trusted"))?;
    Ok(Exit::Done)
}

/// Takes it back.
pub(super) fn distrust(cli: &Cli, args: &PluginDistrustArgs) -> Ended {
    let (name, config) = (&args.plugin, config(cli)?);
    // Also where the configuration does not name it any more.
    if consent::distrust(&config.state, name)? {
        return print(|out| writeln!(out, "{name} is not trusted any more")).map(|()| Exit::Done);
    }
    manifest_of(&config, name)?;
    print(|out| writeln!(out, "{name} was not trusted")).map(|()| Exit::Done)
}

fn config(cli: &Cli) -> Result<Config, Failure> {
    Ok(Config::load(&config_file(cli)?, &Places::from_environment())?)
}

/// A manifest by its path, or by that of its folder.
fn manifest_at(path: &str) -> Option<PathBuf> {
    let path = Path::new(path);
    let file = if path.is_dir() { path.join(MANIFEST) } else { path.to_owned() };
    file.exists().then_some(file)
}

/// The manifest of a plugin of the configuration.
fn manifest_of(config: &Config, name: &str) -> Result<PathBuf, Failure> {
    match config.plugin(name).map(|plugin| &plugin.source) {
        Some(PluginSource::Manifest(file)) => Ok(file.clone()),
        Some(PluginSource::Command { .. }) => {
            Err(Failure::usage(format!("the plugin {name} has no manifest"))
                .hint("it is started as the configuration says: that was consent enough"))
        }
        None if first_party(name).is_some() => {
            Err(Failure::usage(format!("{name} is part of this command, and needs no trust")))
        }
        None => Err(no_such(config, name)),
    }
}

/// Neither a name of the configuration nor a path.
fn unknown(config: Result<Config, Failure>, name: &str) -> Failure {
    match config {
        Ok(config) => no_such(&config, name),
        Err(failure) => failure,
    }
}

fn no_such(config: &Config, name: &str) -> Failure {
    let what = format!("no plugin is called `{}` in {}", Printable(name), config.file.display());
    let known: Vec<&str> = config.plugins.iter().map(|plugin| plugin.name.as_str()).collect();
    Failure::usage(what).hint(match &known[..] {
        [] => "add [plugin.NAME] with its `manifest`".to_owned(),
        known => format!("it names: {}", known.join(", ")),
    })
}

/// Asks on the terminal.
fn agrees(name: &str, examined: &Examined) -> Result<bool, Failure> {
    if !io::stdin().is_terminal() {
        let failure = Failure::usage("nobody is there to ask");
        return Err(failure.hint(format!("`outrigger plugin trust {name} --yes` agrees without a question")));
    }
    let more = if matches!(examined.standing, Standing::Widened { .. }) { " with more" } else { "" };
    let mut err = anstream::stderr();
    let _asked = write!(err, "Trust {name}{more}? [y/N]: ").and_then(|()| err.flush());
    let mut line = String::new();
    let read = io::stdin().lock().read_line(&mut line);
    match read.map_err(|error| Failure::internal("the terminal cannot be read").because(&error))? {
        0 => Err(interrupted()),
        _ => Ok(["y", "yes"].contains(&line.trim().to_ascii_lowercase().as_str())),
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn what_a_command_brings_is_shown() {
        assert!(of_command(Path::new("/bin/sh")).ends_with("as the configuration says"));
        let folder = tempfile::tempdir().unwrap();
        let (tool, link) = (folder.path().join("tool"), folder.path().join("link"));
        std::fs::copy("/bin/true", &tool).unwrap();
        symlink(&tool, &link).unwrap();
        assert!(of_command(&link).ends_with(&format!("it may also\n    execute {}", tool.display())));
    }
}
