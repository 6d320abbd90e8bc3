//! Which plugin is meant: a name, an executable, or a folder with a `plugin.toml`.
//!
//! An author checks what he has just built, so nobody is asked for consent. What the manifest wishes
//! is granted, and no more: a wish that was forgotten is found here.

use std::fs;
use std::path::Path;

use outrigger::config::{MANIFEST, Manifest};
use outrigger::exit::Exit;
use outrigger::report::Failure;
use outrigger::run::first_party;
use outrigger::sandbox::{Policy, Profile, Program, Protected, brought_by};
use outrigger_conformance::Subject;

use crate::cli::SubjectArgs;

/// Stands for a fresh folder in an option; the kit puts that in, and grants it.
const SCRATCH: &str = "{scratch}";

/// The plugin that the arguments name, with its settings. None of `secret` may be granted to it.
pub(super) fn subject(args: &SubjectArgs, secret: Vec<Protected>) -> Result<Subject, Failure> {
    let (mut subject, manifest) = named(args)?;
    subject.protected = secret;
    for (name, value) in &args.options {
        subject.options.retain(|(known, _)| known != name);
        subject.options.push((name.clone(), value.clone()));
    }
    if let Some(manifest) = manifest {
        subject.policy = policy(&manifest, &subject.options, &subject.protected)?;
    }
    if args.no_sandbox {
        subject.policy.profile = Profile::None;
    }
    Ok(subject)
}

fn named(args: &SubjectArgs) -> Result<(Subject, Option<Manifest>), Failure> {
    if first_party(&args.plugin).is_some() {
        let mut subject = Subject::new(&args.plugin, Program::FirstParty { name: args.plugin.clone() });
        // Every first-party plugin of today keeps its data below `path`.
        subject.options.push(("path".into(), SCRATCH.into()));
        return Ok((subject, None));
    }
    let path = Path::new(&args.plugin);
    let absolute = std::path::absolute(path).map_err(|error| missing(path).because(&error))?;
    let found = fs::metadata(&absolute).map_err(|error| missing(path).because(&error))?;
    if found.is_dir() {
        return of_folder(&absolute, args);
    }
    let folder = absolute.parent().unwrap_or(Path::new("/")).to_owned();
    let beside = folder.join(MANIFEST);
    let manifest = beside.exists().then(|| load(&beside)).transpose()?;
    // A manifest speaks for the executable that it names, and for no other in its folder.
    let manifest = manifest.filter(|manifest| manifest.program == absolute);
    let words = manifest.as_ref().map(|manifest| manifest.args.clone()).unwrap_or_default();
    let brought = brought_by(&absolute);
    let mut subject = Subject::executable(absolute, [words, args.args.clone()].concat());
    subject.policy.read.push(folder);
    brought.grant(&mut subject.policy);
    subject.options = manifest.as_ref().map(|manifest| manifest.check.clone()).unwrap_or_default();
    Ok((subject, manifest))
}

fn of_folder(folder: &Path, args: &SubjectArgs) -> Result<(Subject, Option<Manifest>), Failure> {
    let file = folder.join(MANIFEST);
    if !file.exists() {
        let text = format!("there is no {MANIFEST} in {}", folder.display());
        return Err(Failure::usage(text).hint("name the executable itself"));
    }
    let manifest = load(&file)?;
    let words = [manifest.args.clone(), args.args.clone()].concat();
    let mut subject = Subject::executable(manifest.program.clone(), words);
    subject.options = manifest.check.clone();
    Ok((subject, Some(manifest)))
}

/// What the manifest wishes, with these options. Where one holds the scratch folder, the kit grants it.
fn policy(
    manifest: &Manifest,
    options: &[(String, String)],
    secret: &[Protected],
) -> Result<Policy, Failure> {
    let plain = |(_, value): &&(String, String)| !value.contains(SCRATCH);
    let options: Vec<_> = options.iter().filter(plain).cloned().collect();
    let filled = manifest.fill(&manifest.wishes, &options, secret);
    filled.map_err(|unfit| {
        let failure = Failure::new(Exit::Plugin, "the plugin cannot be granted what it wants");
        failure.because(&unfit).hint(unfit.hint)
    })
}

fn load(file: &Path) -> Result<Manifest, Failure> {
    Ok(Manifest::load(file)?)
}

fn missing(path: &Path) -> Failure {
    Failure::usage(format!("there is no plugin {}", path.display()))
        .hint("name an executable, a folder with a plugin.toml, or a first-party plugin: vdir")
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "id = \"a\"\nversion = \"1\"\nlicense = \"MIT\"\nprotocol = \"0.9\"\n";

    fn args(plugin: &Path, options: &[(&str, &str)]) -> SubjectArgs {
        let options = options.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        SubjectArgs { plugin: plugin.display().to_string(), options, no_sandbox: false, args: Vec::new() }
    }

    fn folder(rest: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(MANIFEST), format!("{HEAD}command = [\"./a.py\", \"-v\"]\n{rest}"))
            .unwrap();
        fs::write(folder.path().join("a.py"), "").unwrap();
        folder
    }

    #[test]
    fn a_folder_is_known_by_its_manifest_and_the_command_line_wins() {
        let folder = folder("[check]\noptions = { path = \"{scratch}/x\", n = \"1\" }");
        for named in [folder.path().to_owned(), folder.path().join("a.py")] {
            let found = subject(&args(&named, &[("n", "2")]), Vec::new()).unwrap();
            let path = folder.path().join("a.py");
            assert_eq!(found.program, Program::Executable { path, args: vec!["-v".into()] });
            let options = found.options.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            let options: std::collections::BTreeMap<_, _> = options.collect();
            assert_eq!(options, [("n", "2"), ("path", "{scratch}/x")].into());
        }
    }

    #[test]
    fn a_manifest_does_not_speak_for_another_executable_beside_it() {
        let folder = folder("[check]\noptions = { n = \"1\" }");
        let other = folder.path().join("b.py");
        fs::write(&other, "").unwrap();
        let found = subject(&args(&other, &[]), Vec::new()).unwrap();
        assert_eq!(
            (found.program, found.options),
            (Program::Executable { path: other, args: vec![] }, vec![])
        );
    }

    #[test]
    fn what_the_manifest_wishes_is_granted_and_no_more() {
        let folder = folder("[sandbox]\nwrite = [\"{option:out}\", \"{path}\"]\nmemory = \"8MiB\"");
        let options = [("out", "/srv/x"), ("path", "{scratch}")];
        let Policy { read, write, execute, memory, .. } =
            subject(&args(folder.path(), &options), Vec::new()).unwrap().policy;
        assert_eq!((read, write, memory), (Vec::new(), vec!["/srv/x".into()], Some(8 << 20)));
        assert_eq!(execute, [folder.path()]);
    }

    /// Nobody was asked, so nothing of ours is granted either.
    #[test]
    fn what_is_ours_is_not_granted() {
        let state = tempfile::tempdir().unwrap();
        let secret = vec![Protected::new("the state directory", state.path())];
        let folder = folder(&format!("[sandbox]\nread = [{:?}]", state.path().join("peers")));
        fs::write(state.path().join("peers"), "").unwrap();
        assert!(subject(&args(folder.path(), &[]), Vec::new()).is_ok());
        let failure = subject(&args(folder.path(), &[]), secret.clone()).unwrap_err();
        assert!(failure.causes[0].to_string().contains("the state directory"), "{failure}");
        // At each start, of each program, it is looked at again.
        let beside = folder.path().join("b.py");
        fs::write(&beside, "").unwrap();
        assert_eq!(subject(&args(&beside, &[]), secret.clone()).unwrap().protected, secret);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let none = tempfile::tempdir().unwrap();
        assert!(subject(&args(none.path(), &[]), Vec::new()).unwrap_err().message.contains("no plugin.toml"));
        let number = folder("[check]\noptions = { n = 1 }");
        let failure = subject(&args(number.path(), &[]), Vec::new()).unwrap_err();
        assert!(failure.message.contains("plugin.toml:7:17: `n` must be a text"), "{failure}");
        let nowhere = none.path().join("x");
        assert!(
            subject(&args(&nowhere, &[]), Vec::new()).unwrap_err().message.contains("there is no plugin")
        );
    }
}
