//! A plugin that shows what it sees of its member and its group: a line a call in the file `saw` in
//! its folder. It holds no items. `objects.rs` is the other side, and says with options what it is:
//! `collections` and `types` (names), `feed` (where its feeds stand), `cut` (the checkpoint behind which a feed breaks), `raise` (asks for a slow
//! sync in `discover`), `answers` (to `create_collection`: `no`, for it dies, or another name).
#![forbid(unsafe_code)]

use std::fs::{OpenOptions, read_to_string};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use outrigger_plugin_sdk::protocol::{
    Anchor, Change, ChangeKind, Code, Commit, CommitResult, Connect, Connected, CreateCollection, Error,
    Extensions, GetChanges, Group, Initialize, Member, MemberObjectType, OperationId, ReadItem, Revision,
};
use outrigger_plugin_sdk::{ChangeSink, Collection, Context, ListingEnd, Plugin, ReadSink, serve};

fn main() -> ExitCode {
    serve(Showing { member: Member::new("", vec![]) })
}

struct Showing {
    member: Member,
}

impl Showing {
    fn words(&self, option: &str) -> impl Iterator<Item = &str> {
        self.member.option(option).unwrap_or_default().split_whitespace()
    }

    fn place(&self, name: &str) -> PathBuf {
        PathBuf::from(self.member.option("path").unwrap_or_default()).join(name)
    }

    fn note(&self, file: &str, line: &str) -> Result<(), Error> {
        let mut file = OpenOptions::new().create(true).append(true).open(self.place(file))?;
        Ok(writeln!(file, "{line}")?)
    }

    fn saw(&self, call: &str, member: &Member, group: &Group) -> Result<(), Error> {
        let types: Vec<String> = member.object_types.iter().map(shown).collect();
        let runs = if group.last_run.is_some() { "ran" } else { "new" };
        let (member, group) = (
            format!("{} [{}]", member.generation, types.join(" ")),
            format!("{} [{}] {runs}", group.generation, group.object_types.join(" ")),
        );
        self.note("saw", &format!("{call}: member {member}, group {group}"))
    }

    fn collection(&self, name: &str) -> Collection {
        let object_types = self.words("types").map(str::to_owned).collect();
        Collection { name: name.into(), object_types, ..Collection::default() }
    }

    /// The name of the collection that an operation has made.
    fn made(&self, operation: OperationId) -> Option<String> {
        let made = read_to_string(self.place("made")).ok()?;
        made.lines().find_map(|line| line.strip_prefix(&format!("{} ", operation.0))).map(str::to_owned)
    }
}

fn shown(one: &MemberObjectType) -> String {
    let slow = if one.slow_sync { "!" } else { "" };
    let anchor = one.anchor.as_ref().map(|anchor| format!("@{}", String::from_utf8_lossy(&anchor.0)));
    format!("{}{slow}{}", one.object_type, anchor.unwrap_or_default())
}

impl Plugin for Showing {
    fn initialize(&mut self, request: Initialize, _: &mut Context<'_>) -> Result<(), Error> {
        self.member = request.member;
        self.saw("initialize", &self.member, &request.group)
    }

    fn discover(&mut self, context: &mut Context<'_>) -> Result<Vec<Collection>, Error> {
        self.saw("discover", context.member(), context.group())?;
        for object_type in self.words("raise") {
            context.raise_slow_sync(OperationId(uuid::Uuid::from_u128(1)), object_type)?;
        }
        Ok(self.words("collections").map(|name| self.collection(name)).collect())
    }

    fn can_create(&self) -> bool {
        true
    }

    fn create_collection(
        &mut self,
        request: CreateCollection,
        _: &mut Context<'_>,
    ) -> Result<Collection, Error> {
        self.note("asked", &request.operation.0.to_string())?;
        if self.made(request.operation).is_none() {
            self.note("made", &format!("{} {}", request.operation.0, request.name))?;
        }
        match self.words("answers").next() {
            Some("no") => std::process::exit(3),
            Some(other) => Ok(self.collection(other)),
            None => Ok(self.collection(&request.name)),
        }
    }

    fn connect(&mut self, _: &str, _: Connect, context: &mut Context<'_>) -> Result<Connected, Error> {
        self.saw("connect", context.member(), context.group())?;
        Ok(Connected { slow_sync: false })
    }

    fn get_changes(
        &mut self,
        _: &str,
        request: GetChanges,
        changes: &mut ChangeSink<'_, '_>,
    ) -> Result<ListingEnd, Error> {
        let anchor = request.anchor.map(|anchor| anchor.to_string());
        self.note("listed", &anchor.unwrap_or_default())?;
        if let Some(at) = self.words("cut").next() {
            let gone = Change {
                href: "gone".into(),
                kind: ChangeKind::Deleted,
                revision: Revision::default(),
                settled: true,
                object_type: "contact".into(),
                format: "vcard".into(),
                ext: Extensions::default(),
            };
            changes.push(&gone.with_checkpoint(&Anchor::from(at)))?;
            changes.context().progress(1, None)?; // which sends it: an error takes back what has not left
            return Err(Error::new(Code::REMOTE, "the server is tired"));
        }
        Ok(ListingEnd { complete: true, anchor: self.words("feed").next().map(Anchor::from) })
    }

    fn read(&mut self, _: &str, _: Vec<ReadItem>, _: &mut ReadSink<'_, '_>) -> Result<(), Error> {
        Ok(())
    }

    fn commit(&mut self, _: &str, _: Commit<'_>, _: &mut Context<'_>) -> Result<Vec<CommitResult>, Error> {
        Ok(Vec::new())
    }

    fn disconnect(&mut self, _: &str, context: &mut Context<'_>) -> Result<(), Error> {
        self.saw("disconnect", context.member(), context.group())
    }

    fn finalize(&mut self, context: &mut Context<'_>) -> Result<(), Error> {
        self.saw("finalize", context.member(), context.group())
    }
}
