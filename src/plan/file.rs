//! File: a plan as JSON. It is read again by this version of the format only.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Write as _};
use std::path::Path;

use outrigger_engine::{Key, PlannedWrite};
use outrigger_protocol::{CommitKind, Href, RawDigest};
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use crate::report::Failure;

/// The version of the format.
const VERSION: u32 = 1;

/// The whole file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PlanFile {
    /// Says what the file is, and its version.
    outrigger_plan: u32,
    pub(super) groups: Vec<PlanFileGroup>,
}

/// Enough of any version to tell that it is another one.
#[derive(Deserialize)]
struct Versioned {
    outrigger_plan: u32,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PlanFileGroup {
    pub(super) group: String,
    pub(super) configuration: String,
    pub(super) members: Vec<String>,
    pub(super) collections: Vec<PlanFileCollection>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PlanFileCollection {
    pub(super) name: String,
    pub(super) make: Vec<String>,
    pub(super) writes: Vec<PlanFileWrite>,
}

/// One write.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PlanFileWrite {
    member: String,
    what: What,
    key: Name,
    /// What members call the item.
    names: BTreeMap<String, Name>,
    /// SHA-256 of what the member holds now.
    from: Option<Sha256>,
    /// SHA-256 of what it is to hold.
    to: Option<Sha256>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum What {
    Create,
    Update,
    Delete,
}

/// A name of a member's: text, or bytes in hexadecimal digits.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Name {
    Text(String),
    Bytes { hex: String },
}

/// In hexadecimal digits.
#[derive(Debug, Serialize, Deserialize)]
struct Sha256(String);

impl PlanFile {
    pub(super) fn new(groups: Vec<PlanFileGroup>) -> Self {
        Self { outrigger_plan: VERSION, groups }
    }

    /// Writes it beside its place, readable by its owner alone, and puts it there when it is durable.
    pub(super) fn save(&self, file: &Path) -> Result<(), Failure> {
        self.replace(file).map_err(|error| {
            Failure::usage(format!("the plan cannot be written to {}", file.display())).because(&error)
        })
    }

    fn replace(&self, file: &Path) -> io::Result<()> {
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
        let beside = NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))?;
        let mut to = BufWriter::new(beside);
        serde_json::to_writer_pretty(&mut to, self)?;
        to.write_all(b"\n")?;
        let beside = to.into_inner()?;
        beside.as_file().sync_all()?;
        beside.persist(file).map(drop).map_err(|error| error.error)
    }

    pub(super) fn load(file: &Path) -> Result<Self, Failure> {
        let unread =
            |error: io::Error| Failure::usage(format!("{} cannot be read", file.display())).because(&error);
        let open = || File::open(file).map(BufReader::new).map_err(unread);
        let read: Result<Versioned, _> = serde_json::from_reader(open()?);
        match read {
            Ok(Versioned { outrigger_plan: VERSION }) => {}
            Ok(Versioned { outrigger_plan: other }) => return Err(other_version(file, other)),
            Err(error) => return Err(no_plan(file).because(&error)),
        }
        serde_json::from_reader(open()?).map_err(|error| no_plan(file).because(&error))
    }
}

/// The failure of a file that holds something else.
pub(super) fn no_plan(file: &Path) -> Failure {
    Failure::usage(format!("{} is no plan, or a damaged one", file.display()))
        .hint("`outrigger plan -o FILE` makes one")
}

fn other_version(file: &Path, version: u32) -> Failure {
    let text = format!("{} is a plan of format {version}; this version knows {VERSION}", file.display());
    Failure::usage(text).hint("plan anew with this version: `outrigger plan -o FILE`")
}

impl PlanFileWrite {
    pub(super) fn of(write: &PlannedWrite, members: &[String]) -> Self {
        let names = members.iter().zip(&write.names);
        let names =
            names.filter_map(|(member, name)| Some((member.clone(), Name::of(name.as_ref()?.as_bytes()))));
        Self {
            member: members.get(write.member.index()).cloned().unwrap_or_default(),
            what: What::of(write.kind),
            key: Name::of(&write.key.0),
            names: names.collect(),
            from: write.expected.map(|digest| Sha256(digest.to_string())),
            to: write.content.map(|digest| Sha256(digest.to_string())),
        }
    }

    /// `None`: it is damaged.
    pub(super) fn planned(mut self, members: &[String]) -> Option<PlannedWrite> {
        let place = members.iter().position(|member| *member == self.member)?;
        let names = members.iter().map(|member| match self.names.remove(member) {
            None => Some(None),
            Some(name) => Some(Some(Href::from(name.bytes()?))),
        });
        let names = names.collect::<Option<Vec<_>>>()?;
        let digest = |digest: Option<Sha256>| {
            digest.map(|digest| digest.raw()).map_or(Some(None), |raw| raw.map(Some))
        };
        Some(PlannedWrite {
            member: outrigger_engine::MemberIndex::at(place),
            kind: self.what.kind(),
            names,
            key: Key(self.key.bytes()?.into()),
            expected: digest(self.from)?,
            content: digest(self.to)?,
        })
    }
}

impl What {
    const fn of(kind: CommitKind) -> Self {
        match kind {
            CommitKind::Create => Self::Create,
            CommitKind::Update => Self::Update,
            CommitKind::Delete => Self::Delete,
        }
    }

    const fn kind(self) -> CommitKind {
        match self {
            Self::Create => CommitKind::Create,
            Self::Update => CommitKind::Update,
            Self::Delete => CommitKind::Delete,
        }
    }
}

impl Name {
    fn of(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::Text(text.to_owned()),
            Err(_) => Self::Bytes { hex: bytes.iter().map(|byte| format!("{byte:02x}")).collect() },
        }
    }

    fn bytes(self) -> Option<Vec<u8>> {
        match self {
            Self::Text(text) => Some(text.into_bytes()),
            Self::Bytes { hex } => from_hex(&hex),
        }
    }
}

impl Sha256 {
    fn raw(&self) -> Option<RawDigest> {
        from_hex(&self.0)?.try_into().ok().map(RawDigest)
    }
}

fn from_hex(digits: &str) -> Option<Vec<u8>> {
    let pairs =
        digits.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2));
    pairs.map(|pair| u8::from_str_radix(pair?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use outrigger_engine::MemberIndex;

    use super::*;
    use crate::exit::Exit;

    fn members() -> Vec<String> {
        vec!["a".into(), "b".into()]
    }

    fn write() -> PlannedWrite {
        PlannedWrite {
            member: MemberIndex(1),
            kind: CommitKind::Update,
            names: vec![None, Some(Href::from(&b"x\xff.vcf"[..]))],
            key: Key(b"uid \"1\"".as_slice().into()),
            expected: Some(RawDigest([1; 32])),
            content: None,
        }
    }

    fn plan() -> PlanFile {
        let writes = vec![PlanFileWrite::of(&write(), &members())];
        let collections = vec![PlanFileCollection { name: "c".into(), make: vec!["a".into()], writes }];
        let (group, configuration) = ("g".into(), "d".into());
        PlanFile::new(vec![PlanFileGroup { group, configuration, members: members(), collections }])
    }

    #[test]
    fn what_was_planned_comes_back_byte_for_byte() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("plan.json");
        for _ in 0..2 {
            plan().save(&file).unwrap();
        }
        let mut read = PlanFile::load(&file).unwrap();
        let collection = read.groups.pop().unwrap().collections.pop().unwrap();
        assert_eq!((collection.name.as_str(), &collection.make[..]), ("c", &["a".to_owned()][..]));
        let writes: Vec<_> =
            collection.writes.into_iter().map(|write| write.planned(&members()).unwrap()).collect();
        assert_eq!(writes, [write()]);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn what_is_no_plan_of_this_version_is_refused_with_the_way_on() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("plan.json");
        let refused = |text: &str| {
            fs::write(&file, text).unwrap();
            PlanFile::load(&file).unwrap_err()
        };
        let whole = serde_json::to_string(&plan()).unwrap();
        for text in
            ["", "{}", "[1]", "no plan", &whole[..whole.len() / 2], &whole.replace("\"make\"", "\"mke\"")]
        {
            let failure = refused(text);
            assert_eq!((failure.exit, failure.hint.is_some()), (Exit::Usage, true), "{text}");
        }
        let other = refused(&whole.replace("\"outrigger_plan\":1", "\"outrigger_plan\":2, \"more\": 1"));
        assert!(other.message.contains("format 2; this version knows 1"), "{other}");
        assert_eq!(PlanFile::load(&folder.path().join("none")).unwrap_err().exit, Exit::Usage);
    }

    #[test]
    fn a_damaged_write_is_found() {
        for damage in [
            |write: &mut PlanFileWrite| write.member = "c".into(),
            |write: &mut PlanFileWrite| write.from = Some(Sha256("0g".into())),
            |write: &mut PlanFileWrite| write.to = Some(Sha256("00".into())),
            |write: &mut PlanFileWrite| write.key = Name::Bytes { hex: "0".into() },
        ] {
            let mut damaged = PlanFileWrite::of(&write(), &members());
            damage(&mut damaged);
            assert_eq!(damaged.planned(&members()), None);
        }
    }
}
