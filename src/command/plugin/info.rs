//! What a plugin is and wants, for people and for programs.

use std::io::{self, Write};

use outrigger::config::{Config, Manifest, Wish};
use outrigger::consent::{Examined, Standing};
use outrigger::protocol::Printable;
use outrigger::report::{Failure, FailureSummary};
use outrigger::run::would_grant;
use outrigger::sandbox::{OnUnsupported, Policy, Profile};
use serde::Serialize;

/// A plugin as the user asked for it.
pub(super) struct Info<'i> {
    /// What the configuration calls it; `None`: it does not.
    pub(super) name: Option<&'i str>,
    pub(super) examined: &'i Examined,
    /// What each member that it serves would grant.
    pub(super) members: Vec<Granted>,
}

/// What a member grants.
pub(super) struct Granted {
    member: String,
    policy: Result<Policy, Failure>,
}

/// What `--json` prints. Keys are only ever added.
#[derive(Serialize)]
struct Json<'i> {
    plugin: Option<&'i str>,
    id: &'i str,
    name: Option<&'i str>,
    description: Option<&'i str>,
    version: &'i str,
    license: &'i str,
    protocol: String,
    object_types: &'i [String],
    formats: &'i [String],
    manifest: String,
    program: String,
    digest: &'i str,
    wishes: Vec<String>,
    require: Vec<&'static str>,
    trust: &'static str,
    may_start: bool,
    more: Vec<String>,
    less: Vec<String>,
    members: Vec<MemberJson<'i>>,
}

#[derive(Serialize)]
struct MemberJson<'i> {
    member: &'i str,
    policy: Option<&'i Policy>,
    failure: Option<FailureSummary>,
}

impl<'i> Info<'i> {
    /// A plugin of the configuration.
    pub(super) fn named(config: &Config, name: &'i str, examined: &'i Examined) -> Self {
        let members = config.members.iter().filter(|member| member.plugin == name);
        let granted = members.map(|member| Granted {
            member: member.name.clone(),
            policy: would_grant(config, member, &examined.manifest).map(with_defaults),
        });
        Self { name: Some(name), examined, members: granted.collect() }
    }

    pub(super) fn json(&self) -> serde_json::Result<String> {
        let Examined { manifest, digest, standing } = self.examined;
        let (more, less) = changes(standing);
        serde_json::to_string(&Json {
            plugin: self.name,
            id: &manifest.id,
            name: manifest.name.as_deref(),
            description: manifest.description.as_deref(),
            version: &manifest.version,
            license: &manifest.license,
            protocol: manifest.protocol.to_string(),
            object_types: &manifest.object_types,
            formats: &manifest.formats,
            manifest: manifest.file.display().to_string(),
            program: manifest.program.display().to_string(),
            digest,
            wishes: texts(&manifest.asks().list()),
            require: manifest.wishes.require.iter().map(|guarantee| guarantee.name()).collect(),
            trust: word(standing),
            may_start: standing.may_start() && manifest.protocol.is_ours(),
            more: texts(more),
            less: texts(less),
            members: self.members.iter().map(Granted::json).collect(),
        })
    }

    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let manifest = &self.examined.manifest;
        let title = manifest.name.as_deref().unwrap_or(&manifest.id);
        writeln!(out, "{}   {}", self.name.unwrap_or(&manifest.id), Printable(title))?;
        manifest.description.iter().try_for_each(|text| writeln!(out, "  {}", Printable(text)))?;
        self.write_facts(out)?;
        write_wishes(manifest, out)?;
        self.members.iter().try_for_each(|granted| granted.write(out))?;
        self.write_trust(out)
    }

    fn write_facts(&self, out: &mut dyn Write) -> io::Result<()> {
        let Examined { manifest, digest, .. } = self.examined;
        let facts = [
            ("id", manifest.id.clone()),
            ("version", manifest.version.clone()),
            ("license", manifest.license.clone()),
            ("protocol", protocol(manifest)),
            ("serves", [&manifest.object_types[..], &manifest.formats].concat().join(", ")),
            ("manifest", manifest.file.display().to_string()),
            ("command", command(manifest)),
            ("digest", format!("{digest}, of the manifest and the files that its command names")),
        ];
        let told = facts.iter().filter(|(_, text)| !text.is_empty());
        let mut told = told.map(|(label, text)| (label, Printable(text)));
        told.try_for_each(|(label, text)| writeln!(out, "  {label:<9} {text}"))
    }

    fn write_trust(&self, out: &mut dyn Write) -> io::Result<()> {
        let standing = &self.examined.standing;
        let words = match (self.name, standing) {
            (None, _) => "the configuration does not name it: add [plugin.NAME] with its `manifest`",
            (_, Standing::Untrusted) => "not trusted: it is not started",
            (_, Standing::Another) => "not trusted: what you trusted under this name is another plugin",
            (_, Standing::Trusted { updated: None }) => "trusted",
            (_, Standing::Trusted { .. } | Standing::Updated { .. }) => {
                "trusted; it has changed since, and wants no more than before"
            }
            (_, Standing::Widened { .. }) => {
                "not started: it has changed since you trusted it, and wants more"
            }
        };
        writeln!(out, "  trust     {words}")?;
        let (more, less) = changes(standing);
        more.iter().try_for_each(|wish| writeln!(out, "    +       {}", Printable(wish.to_string())))?;
        less.iter().try_for_each(|wish| writeln!(out, "    -       {}", Printable(wish.to_string())))
    }
}

impl Granted {
    fn json(&self) -> MemberJson<'_> {
        let failure = self.policy.as_ref().err().map(FailureSummary::of);
        MemberJson { member: &self.member, policy: self.policy.as_ref().ok(), failure }
    }

    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let policy = match &self.policy {
            Err(failure) => {
                let why = failure.causes.first().map_or_else(|| failure.to_string(), ToString::to_string);
                return writeln!(out, "  {} cannot grant that: {}", self.member, Printable(why));
            }
            Ok(policy) if policy.profile == Profile::None => {
                return writeln!(out, "  in {} it has no sandbox, and can do what you can", self.member);
            }
            Ok(policy) => policy,
        };
        let paths = [("read", &policy.read), ("change", &policy.write), ("execute", &policy.execute)];
        let paths = paths.into_iter().flat_map(|(verb, paths)| paths.iter().map(move |path| (verb, path)));
        let hosts = if policy.profile == Profile::Network { &policy.network[..] } else { &[] };
        writeln!(out, "  in {} it may", self.member)?;
        paths
            .map(|(verb, path)| (verb, path.display().to_string()))
            .chain(hosts.iter().map(|host| ("reach", host.clone())))
            .try_for_each(|(verb, what)| writeln!(out, "    {verb} {}", Printable(what)))
    }
}

/// With the limits that are enforced where nobody says one. Without a sandbox there are none.
fn with_defaults(policy: Policy) -> Policy {
    if policy.profile == Profile::None {
        return policy;
    }
    Policy {
        memory: policy.memory.or(Some(Policy::MEMORY)),
        processes: policy.processes.or(Some(Policy::PROCESSES)),
        file_size: policy.file_size.or(Some(Policy::FILE_SIZE)),
        ..policy
    }
}

fn write_wishes(manifest: &Manifest, out: &mut dyn Write) -> io::Result<()> {
    let folder = manifest.folder().display().to_string();
    writeln!(out, "  it wants to\n    read and execute its own folder, {}", Printable(folder))?;
    let wishes = texts(&manifest.asks().list());
    wishes.iter().try_for_each(|wish| writeln!(out, "    {}", Printable(wish)))?;
    let require: Vec<&str> = manifest.wishes.require.iter().map(|guarantee| guarantee.name()).collect();
    match (&require[..], manifest.wishes.on_unsupported) {
        ([], _) => Ok(()),
        (_, OnUnsupported::Refuse) => {
            writeln!(out, "  it starts only where these are enforced: {}", require.join(", "))
        }
        (_, OnUnsupported::Weaken) => writeln!(out, "  it would like these enforced: {}", require.join(", ")),
    }
}

fn protocol(manifest: &Manifest) -> String {
    let (range, ours) = (manifest.protocol, outrigger::protocol::VERSION);
    if range.is_ours() {
        range.to_string()
    } else {
        format!("{range}: it cannot be started, for this is {ours}")
    }
}

fn command(manifest: &Manifest) -> String {
    let words = manifest.args.iter().map(|word| word.to_string_lossy().into_owned());
    [manifest.program.display().to_string()].into_iter().chain(words).collect::<Vec<_>>().join(" ")
}

fn texts(wishes: &[Wish]) -> Vec<String> {
    wishes.iter().map(ToString::to_string).collect()
}

/// What it wants more and less than was agreed to.
fn changes(standing: &Standing) -> (&[Wish], &[Wish]) {
    match standing {
        Standing::Widened { more, less } => (more, less),
        Standing::Updated { less } => (&[], less),
        Standing::Untrusted | Standing::Another | Standing::Trusted { .. } => (&[], &[]),
    }
}

fn word(standing: &Standing) -> &'static str {
    match standing {
        Standing::Untrusted => "untrusted",
        Standing::Another => "another",
        Standing::Trusted { .. } => "trusted",
        Standing::Updated { .. } => "updated",
        Standing::Widened { .. } => "widened",
    }
}
