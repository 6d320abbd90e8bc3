//! `collections`: which collections of a group's members belong together.

use std::collections::HashSet;

use super::fields::{Fields, Result, Value, not_built_yet};

/// Which collections of the members belong together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Collections {
    /// Those with the same name.
    #[default]
    All,
    /// These.
    Listed(Vec<ListedCollection>),
}

/// One collection across the group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedCollection {
    /// What the user calls it: its name at the first member.
    pub name: String,
    /// What each member calls it, in the order of the group's members.
    pub at_members: Vec<String>,
}

impl ListedCollection {
    /// One that is called the same everywhere.
    pub(crate) fn everywhere(name: &str, members: usize) -> Self {
        Self { name: name.to_owned(), at_members: vec![name.to_owned(); members] }
    }
}

impl Collections {
    /// Whether what is kept under this name is still synchronised.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Listed(listed) => listed.iter().any(|one| one.name == name),
        }
    }

    pub(super) fn read(value: Value<'_>, members: &[String]) -> Result<Self> {
        if value.is_text() {
            return Self::word(value);
        }
        let mut listed = Vec::new();
        let mut seen: HashSet<(usize, String)> = HashSet::new();
        for item in value.list()? {
            let collection = collection(item, members)?;
            // No collection of a member belongs to two.
            if !collection.at_members.iter().cloned().enumerate().all(|place| seen.insert(place)) {
                return Err(item.error(format!("a collection of `{}` is named twice", collection.name)));
            }
            listed.push(collection);
        }
        if listed.is_empty() {
            return Err(value.error("`collections` is empty").hint("write \"all\", or leave it out"));
        }
        Ok(Self::Listed(listed))
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

fn collection(item: Value<'_>, members: &[String]) -> Result<ListedCollection> {
    if item.is_text() {
        return Ok(ListedCollection::everywhere(&name(item)?, members.len()));
    }
    let mut fields = item.fields()?;
    let at_members: Vec<String> =
        members.iter().map(|member| named(&item, &mut fields, member)).collect::<Result<_>>()?;
    if let Some(value) = fields.left().next() {
        let known: Vec<&str> = members.iter().map(String::as_str).collect();
        let what = format!("`{}` is not a member of this group", value.name);
        return Err(value.key_error(what).did_you_mean(value.name, &known));
    }
    let name = at_members.first().cloned().unwrap_or_default();
    Ok(ListedCollection { name, at_members })
}

fn named(item: &Value<'_>, fields: &mut Fields<'_>, member: &str) -> Result<String> {
    match fields.take_named(member) {
        Some(value) => name(value),
        None => Err(item
            .error(format!("this collection has no name at `{member}`"))
            .hint(format!("every member of the group has to be named: {member} = \"…\""))),
    }
}

fn name(value: Value<'_>) -> Result<String> {
    match value.text()? {
        "" => Err(value.error("the name of a collection is empty")),
        name => Ok(name.to_owned()),
    }
}
