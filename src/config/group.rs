//! `[group.NAME]`: which members are kept the same, and how.

use std::collections::HashSet;

use outrigger_engine::{Access, ConflictPolicy, MemberIndex};

use super::collections::Collections;
use super::error::{ConfigError, Position};
use super::fields::{Fields, Result, Value, unknown_key};
use super::member::MemberConfig;
use super::nearest::nearest;
use super::policy::{Policies, ReadOnly};

/// Members of one group: so many have a number.
const MOST: usize = 65_534;

/// One group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupConfig {
    /// Its name.
    pub name: String,
    /// Its members, two or more, in order.
    pub members: Vec<String>,
    /// What is synchronised.
    pub collections: Collections,
    /// Whether a collection that one member lacks is made there.
    pub create_collections: bool,
    /// The member whose content is everybody's, whatever others change.
    pub mirror: Option<MemberIndex>,
    /// What happens when members disagree, and where a run stops.
    pub policies: Policies,
    /// Where it stands in the file.
    pub at: Position,
}

impl GroupConfig {
    pub(super) fn read(value: Value<'_>, defaults: &Policies, known_members: &[&str]) -> Result<Self> {
        let place = format!("in group `{}`", value.name);
        let mut fields = value.fields()?;
        fields.not_built_yet(&["every"])?;
        let members = fields.take("members").ok_or_else(|| without_members(&value, &fields, &place))?;
        let members = members_of(members, known_members)?;
        let names: Vec<&str> = members.iter().map(String::as_str).collect();
        let mirror = fields.read("mode", |value| mirrored(value, &names))?;
        if mirror.is_some() {
            refuse_with_mirror(&fields)?;
        }
        let policies = defaults.clone().overridden(&mut fields, &names)?.among(&members);
        let collections = fields.read("collections", |value| Collections::read(value, &members))?;
        let create_collections = fields.read("create_collections", |value| value.truth())?;
        fields.finish(&place)?;
        Ok(Self {
            name: value.name.to_owned(),
            members,
            collections: collections.unwrap_or_default(),
            create_collections: create_collections.unwrap_or(false),
            mirror,
            policies,
            at: value.position(),
        })
    }

    /// All members, by their places.
    pub(crate) fn indices(&self) -> impl Iterator<Item = MemberIndex> + use<> {
        (0..self.members.len()).map(MemberIndex::at)
    }

    /// What a member is called.
    pub(crate) fn member(&self, member: MemberIndex) -> &str {
        self.members.get(member.index()).map_or("?", String::as_str)
    }

    /// What happens when members hold different things.
    #[must_use]
    pub fn conflict_policy(&self) -> ConflictPolicy {
        self.mirror.map_or_else(|| self.policies.conflict.policy(&self.members), ConflictPolicy::Prefer)
    }

    /// Whether what a member holds is everybody's, as far as the configuration says so: what others hold
    /// besides is deleted there. A member that says of itself that it takes no writes may be one too.
    #[must_use]
    pub fn is_authority(&self, member: &MemberConfig) -> bool {
        self.access_of(member) == Some(Access::Authority)
    }

    /// Which writes a member of this group takes, as far as the configuration says so. `None`: it is none of it.
    #[must_use]
    pub fn access_of(&self, member: &MemberConfig) -> Option<Access> {
        let place = self.members.iter().position(|name| *name == member.name)?;
        Some(self.access(MemberIndex::at(place), member.read_only, member.no_delete))
    }

    /// Which writes a member takes that says so of itself.
    pub(crate) fn access(&self, member: MemberIndex, read_only: bool, no_delete: bool) -> Access {
        match (read_only, self.policies.read_only) {
            _ if self.mirror == Some(member) => Access::Authority,
            (true, ReadOnly::Revert) if self.mirror.is_none() => Access::Authority,
            (true, _) => Access::ReadOnly,
            (false, _) if no_delete => Access::NoDelete,
            (false, _) => Access::Full,
        }
    }
}

/// Perhaps the key is there, and misspelt.
fn without_members(value: &Value<'_>, fields: &Fields<'_>, place: &str) -> ConfigError {
    let meant = |other: &&Value<'_>| nearest(other.name, ["members"]).is_some();
    match fields.left().find(meant) {
        Some(misspelt) => unknown_key(misspelt, place, &["members"]),
        None => {
            value.key_error(format!("the key `members` is missing {place}")).hint("name two members, or more")
        }
    }
}

fn members_of(value: Value<'_>, known: &[&str]) -> Result<Vec<String>> {
    let mut names = Vec::new();
    let (known_set, mut seen): (HashSet<&str>, HashSet<&str>) =
        (known.iter().copied().collect(), HashSet::new());
    for item in value.list()? {
        let name = item.text()?;
        if !known_set.contains(name) {
            let left: Vec<&str> = known.iter().copied().filter(|known| !seen.contains(known)).collect();
            return Err(item.error(format!("no member is called `{name}`")).did_you_mean(name, &left));
        }
        if !seen.insert(name) {
            return Err(item.error(format!("`{name}` is named twice")));
        }
        names.push(name.to_owned());
    }
    match names.len() {
        0 => {
            Err(value.error("a group of no members keeps nothing the same").hint("name two members, or more"))
        }
        1 => Err(value
            .error(format!("a group of one member has nothing to keep `{}` the same as", names[0]))
            .hint("name two members, or more")),
        2..=MOST => Ok(names),
        many => Err(value.error(format!("a group has at most {MOST} members, and this one has {many}"))),
    }
}

/// `mirror:MEMBER`.
fn mirrored(value: Value<'_>, members: &[&str]) -> Result<MemberIndex> {
    let text = value.text()?;
    let Some(name) = text.strip_prefix("mirror:") else {
        return Err(value
            .error(format!("`mode` cannot be \"{text}\""))
            .hint("write \"mirror:MEMBER\", or leave it out: then the changes of all members count"));
    };
    let place = members.iter().position(|member| *member == name);
    place.map(MemberIndex::at).ok_or_else(|| {
        value.error(format!("`{name}` is not a member of this group")).did_you_mean(name, members)
    })
}

/// There are no conflicts with a member that is always right.
fn refuse_with_mirror(fields: &Fields<'_>) -> Result<()> {
    match fields.left().find(|value| ["conflict", "readonly"].contains(&value.name)) {
        Some(value) => Err(value
            .key_error(format!("`{}` means nothing in a group with `mode`", value.name))
            .hint("the member that is mirrored wins, whatever others change; leave one of the two out")),
        None => Ok(()),
    }
}
