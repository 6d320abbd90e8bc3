//! `[group.NAME]`: which members are kept the same, and which of their collections.

use outrigger_engine::{ConflictPolicy, EditVsDelete, MaxDelete};

use super::error::{ConfigError, Position};
use super::fields::{Fields, Result, Value, not_built_yet, unknown_key};
use super::nearest::nearest;
use super::policy::Policies;

/// One group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupConfig {
    /// Its name.
    pub name: String,
    /// Its members, in order. Today a group is a pair.
    pub members: [String; 2],
    /// What is synchronised.
    pub collections: Collections,
    /// Whether a collection that one member lacks is made there.
    pub create_collections: bool,
    /// Both changed an item.
    pub conflict: ConflictPolicy,
    /// One changed what the other deleted.
    pub edit_vs_delete: EditVsDelete,
    /// Where a run stops before deleting.
    pub max_delete: MaxDelete,
    /// Where it stands in the file.
    pub at: Position,
}

/// Which collections of the members belong together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Collections {
    /// Those with the same name.
    #[default]
    All,
    /// These.
    Pairs(Vec<CollectionPair>),
}

/// One collection across the group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectionPair {
    /// What the user calls it: its name at the first member.
    pub name: String,
    /// What each member calls it, in the order of the group's members.
    pub at_members: [String; 2],
}

impl GroupConfig {
    pub(super) fn read(value: Value<'_>, defaults: &Policies, known_members: &[&str]) -> Result<Self> {
        let place = format!("in group `{}`", value.name);
        let mut fields = value.fields()?;
        fields.not_built_yet(&["mode", "every", "match", "readonly", "max_create_on_slow"])?;
        let members = fields.take("members").ok_or_else(|| without_members(&value, &fields, &place))?;
        let members = members_of(members, known_members)?;
        let names: Vec<&str> = members.iter().map(String::as_str).collect();
        let policies = defaults.clone().overridden(&mut fields, &names)?;
        let collections = fields.read("collections", |value| Collections::read(value, &members))?;
        let create_collections = fields.read("create_collections", |value| value.truth())?;
        fields.finish(&place)?;
        Ok(Self {
            name: value.name.to_owned(),
            conflict: policies.conflict(&members),
            edit_vs_delete: policies.edit_vs_delete,
            max_delete: policies.max_delete,
            members,
            collections: collections.unwrap_or_default(),
            create_collections: create_collections.unwrap_or(false),
            at: value.position(),
        })
    }
}

/// Perhaps the key is there, and misspelt.
fn without_members(value: &Value<'_>, fields: &Fields<'_>, place: &str) -> ConfigError {
    let meant = |other: &&Value<'_>| nearest(other.name, ["members"]).is_some();
    match fields.left().find(meant) {
        Some(misspelt) => unknown_key(misspelt, place, &["members"]),
        None => value.key_error(format!("the key `members` is missing {place}")).hint("name two members"),
    }
}

fn members_of(value: Value<'_>, known: &[&str]) -> Result<[String; 2]> {
    let mut names = Vec::new();
    for item in value.list()? {
        let name = item.text()?;
        if !known.contains(&name) {
            let left: Vec<&str> =
                known.iter().copied().filter(|known| !names.iter().any(|other| other == known)).collect();
            return Err(item.error(format!("no member is called `{name}`")).did_you_mean(name, &left));
        }
        if names.iter().any(|other| other == name) {
            return Err(item.error(format!("`{name}` is named twice")));
        }
        names.push(name.to_owned());
    }
    <[String; 2]>::try_from(names).map_err(|names| {
        let what = format!("a group has exactly two members, and this one has {}", names.len());
        value.error(what).hint("larger groups are not built yet; two groups that share a member come close")
    })
}

impl Collections {
    fn read(value: Value<'_>, members: &[String; 2]) -> Result<Self> {
        if value.is_text() {
            return Self::word(value);
        }
        let mut pairs: Vec<CollectionPair> = Vec::new();
        for item in value.list()? {
            let pair = pair(item, members)?;
            let twice =
                |other: &CollectionPair| (0..2).any(|side| other.at_members[side] == pair.at_members[side]);
            if pairs.iter().any(twice) {
                return Err(item.error(format!("a collection of `{}` is named twice", pair.name)));
            }
            pairs.push(pair);
        }
        if pairs.is_empty() {
            return Err(value.error("`collections` is empty").hint("write \"all\", or leave it out"));
        }
        Ok(Self::Pairs(pairs))
    }

    fn word(value: Value<'_>) -> Result<Self> {
        match value.text()? {
            "all" => Ok(Self::All),
            other if other.starts_with("from:") => Err(not_built_yet(&value, "`collections = \"from:…\"`")),
            other => Err(value
                .error(format!("`collections` cannot be \"{other}\""))
                .hint(format!("write \"all\", or a list: [\"{other}\"]"))),
        }
    }
}

fn pair(item: Value<'_>, members: &[String; 2]) -> Result<CollectionPair> {
    if item.is_text() {
        let name = collection_name(item)?;
        return Ok(CollectionPair { at_members: [name.clone(), name.clone()], name });
    }
    let mut fields = item.fields()?;
    let [a, b] = members;
    let at_members = [named(&item, &mut fields, a)?, named(&item, &mut fields, b)?];
    if let Some(value) = fields.left().next() {
        let known = [a.as_str(), b.as_str()];
        let what = format!("`{}` is not a member of this group", value.name);
        return Err(value.key_error(what).did_you_mean(value.name, &known));
    }
    Ok(CollectionPair { name: at_members[0].clone(), at_members })
}

fn named(item: &Value<'_>, fields: &mut Fields<'_>, member: &str) -> Result<String> {
    match fields.take_named(member) {
        Some(value) => collection_name(value),
        None => Err(item.error(format!("this collection has no name at `{member}`"))),
    }
}

fn collection_name(value: Value<'_>) -> Result<String> {
    match value.text()? {
        "" => Err(value.error("the name of a collection is empty")),
        name => Ok(name.to_owned()),
    }
}
