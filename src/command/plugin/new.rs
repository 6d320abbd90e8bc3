//! `plugin new`: a connector to begin with.

use std::fs;
use std::io;
use std::path::Path;

use outrigger::exit::Exit;
use outrigger::report::Failure;

use crate::cli::{Language, PluginNewArgs};
use crate::command::{Ended, print};

/// One file of a template: its name, its text, whether it can be executed.
type Template = (&'static str, &'static str, bool);

const RUST: &[Template] = &[
    ("Cargo.toml", include_str!("templates/rust/Cargo.toml.template"), false),
    ("src/main.rs", include_str!("templates/rust/main.rs"), false),
    ("plugin.toml", include_str!("templates/rust/plugin.toml"), false),
    ("README.md", include_str!("templates/rust/README.md"), false),
];

const PYTHON: &[Template] = &[
    ("NAME.py", include_str!("templates/python/plugin.py"), true),
    ("outrigger.py", include_str!("../../../plugin-sdk/python/outrigger.py"), false),
    ("test_plugin.py", include_str!("templates/python/test_plugin.py"), false),
    ("plugin.toml", include_str!("templates/python/plugin.toml"), false),
    ("README.md", include_str!("templates/python/README.md"), false),
];

/// Stands for the name in every template.
const NAME: &str = "NAME";

/// Writes the files of a new connector into a folder of its own.
pub(super) fn new(args: &PluginNewArgs) -> Ended {
    check_name(&args.name)?;
    let folder = Path::new(&args.name);
    let made = fs::create_dir(folder);
    made.map_err(|error| failed(folder, &error).hint("choose a name that is not taken here"))?;
    for template in files(args.lang) {
        write(folder, &args.name, template).map_err(|error| failed(folder, &error))?;
    }
    let build = match args.lang {
        Language::Rust => format!("(cd {} && cargo build) && ", args.name),
        Language::Python => String::new(),
    };
    print(|out| {
        writeln!(out, "{}/ is ready. Try it:\n  {build}outrigger plugin check {}", args.name, args.name)
    })?;
    Ok(Exit::Done)
}

const fn files(language: Language) -> &'static [Template] {
    match language {
        Language::Rust => RUST,
        Language::Python => PYTHON,
    }
}

/// What is a name for a folder, a program and a Cargo package alike.
fn check_name(name: &str) -> Result<(), Failure> {
    let right = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_')
        && name.len() <= 64;
    if right {
        return Ok(());
    }
    let text = format!("`{}` is no name for a plugin", outrigger::protocol::Printable(name));
    Err(Failure::usage(text).hint("use lower-case letters, digits, `-` and `_`, a letter first"))
}

fn write(folder: &Path, name: &str, (file, text, executable): &Template) -> io::Result<()> {
    let path = folder.join(file.replace(NAME, name));
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(&path, text.replace(NAME, name))?;
    if *executable { make_executable(&path) } else { Ok(()) }
}

#[cfg(unix)]
fn make_executable(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "the Unix twin can fail")]
fn make_executable(_path: &Path) -> io::Result<()> {
    Ok(())
}

fn failed(folder: &Path, error: &io::Error) -> Failure {
    Failure::usage(format!("{} cannot be written", folder.display())).because(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_everywhere() {
        for name in ["demo", "my-notes_2"] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in ["", "2fast", "../x", "a b", "Demo", "a/b", "é"] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }
}
