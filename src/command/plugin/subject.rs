//! Which plugin is meant: a name, an executable, or a folder with a `plugin.toml`.
//!
//! Of `plugin.toml` only what a check needs is read here: `program`, and the options in `[check]`.

use std::fs;
use std::path::{Path, PathBuf};

use outrigger::report::Failure;
use outrigger::run::first_party;
use outrigger::sandbox::{Profile, Program};
use outrigger_conformance::Subject;
use toml::{Table, Value};

use crate::cli::SubjectArgs;

const MANIFEST: &str = "plugin.toml";

/// Most bytes of a manifest that are read.
const LONGEST: u64 = 64 << 10;

/// The plugin that the arguments name, with its settings.
pub(super) fn subject(args: &SubjectArgs) -> Result<Subject, Failure> {
    let mut subject = named(args)?;
    for (name, value) in &args.options {
        subject.options.retain(|(known, _)| known != name);
        subject.options.push((name.clone(), value.clone()));
    }
    if args.no_sandbox {
        subject.policy.profile = Profile::None;
    }
    Ok(subject)
}

fn named(args: &SubjectArgs) -> Result<Subject, Failure> {
    if first_party(&args.plugin).is_some() {
        let mut subject = Subject::new(&args.plugin, Program::FirstParty { name: args.plugin.clone() });
        // Every first-party plugin of today keeps its data below `path`.
        subject.options.push(("path".into(), "{scratch}".into()));
        return Ok(subject);
    }
    let path = Path::new(&args.plugin);
    let absolute = std::path::absolute(path).map_err(|error| missing(path).because(&error))?;
    let found = fs::metadata(&absolute).map_err(|error| missing(path).because(&error))?;
    let (folder, is_folder) = match found.is_dir() {
        true => (absolute.clone(), true),
        false => (absolute.parent().map(Path::to_owned).unwrap_or_default(), false),
    };
    let manifest = manifest(&folder)?;
    let program = match (&manifest, is_folder) {
        (_, false) => absolute,
        (Some(manifest), true) => program(manifest, &folder)?,
        (None, true) => {
            let text = format!("there is no {MANIFEST} in {}", path.display());
            return Err(Failure::usage(text).hint("name the executable itself"));
        }
    };
    let mut subject = Subject::executable(program, args.args.clone());
    subject.policy.read.push(folder.clone());
    subject.options = manifest.map_or(Ok(Vec::new()), |manifest| options(&manifest, &folder))?;
    Ok(subject)
}

fn missing(path: &Path) -> Failure {
    Failure::usage(format!("there is no plugin {}", path.display()))
        .hint("name an executable, a folder with a plugin.toml, or a first-party plugin: vdir")
}

fn manifest(folder: &Path) -> Result<Option<Table>, Failure> {
    let path = folder.join(MANIFEST);
    let wrong = |text: &str| Failure::usage(format!("{}: {text}", path.display()));
    match fs::metadata(&path) {
        Err(_) => return Ok(None),
        Ok(found) if found.len() > LONGEST => return Err(wrong("larger than 64 KiB")),
        Ok(_) => {}
    }
    let text = fs::read_to_string(&path).map_err(|error| wrong("cannot be read").because(&error))?;
    text.parse().map(Some).map_err(|error: toml::de::Error| wrong("is no TOML").because(&error))
}

fn program(manifest: &Table, folder: &Path) -> Result<PathBuf, Failure> {
    let named = manifest.get("program").and_then(Value::as_str);
    let named = named.ok_or_else(|| {
        let text = format!("{}: `program` is missing", folder.join(MANIFEST).display());
        Failure::usage(text).hint("`program` is the path of the executable, seen from the manifest")
    })?;
    Ok(folder.join(named))
}

/// The options of `[check]`, in the order of the manifest.
fn options(manifest: &Table, folder: &Path) -> Result<Vec<(String, String)>, Failure> {
    let found = manifest.get("check").and_then(|check| check.get("options"));
    let Some(table) = found else { return Ok(Vec::new()) };
    let wrong = || {
        let text = format!("{}: [check] options must be texts", folder.join(MANIFEST).display());
        Failure::usage(text).hint("write them as `options = { path = \"{scratch}\" }`")
    };
    let pair = |(name, value): (&String, &Value)| Some((name.clone(), value.as_str()?.to_owned()));
    table.as_table().and_then(|table| table.iter().map(pair).collect()).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(plugin: &Path, options: &[(&str, &str)]) -> SubjectArgs {
        let options = options.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        SubjectArgs { plugin: plugin.display().to_string(), options, no_sandbox: false, args: Vec::new() }
    }

    fn folder(manifest: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(MANIFEST), manifest).unwrap();
        folder
    }

    #[test]
    fn a_folder_is_known_by_its_manifest_and_the_command_line_wins() {
        let folder = folder("program = \"a.py\"\n[check]\noptions = { path = \"{scratch}/x\", n = \"1\" }");
        let found = subject(&args(folder.path(), &[("n", "2")])).unwrap();
        let path = folder.path().join("a.py");
        assert_eq!(found.program, Program::Executable { path, args: Vec::new() });
        let options = found.options.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let options: std::collections::BTreeMap<_, _> = options.collect();
        assert_eq!(options, [("n", "2"), ("path", "{scratch}/x")].into());
    }

    #[test]
    fn what_is_wrong_is_named() {
        let none = tempfile::tempdir().unwrap();
        assert!(subject(&args(none.path(), &[])).unwrap_err().message.contains("no plugin.toml"));
        let number = folder("program = \"a\"\n[check]\noptions = { n = 1 }");
        assert!(subject(&args(number.path(), &[])).unwrap_err().message.contains("must be texts"));
        let nowhere = none.path().join("x");
        assert!(subject(&args(&nowhere, &[])).unwrap_err().message.contains("there is no plugin"));
        assert!(subject(&args(folder("").path(), &[])).unwrap_err().message.contains("`program` is missing"));
    }
}
