//! What to do when members disagree, and how much may be deleted: for all groups, or for one.

use outrigger_engine::{ConflictPolicy, EditVsDelete, MaxDelete, Side};

use super::error::ConfigError;
use super::fields::{Fields, Result, Value, not_built_yet};

/// The policies of `[defaults]`, or those of a group.
#[derive(Debug, Clone, Default)]
pub(super) struct Policies {
    /// The member that wins conflicts; without one they are queued.
    prefer: Option<String>,
    pub(super) edit_vs_delete: EditVsDelete,
    pub(super) max_delete: MaxDelete,
}

impl Policies {
    /// Takes the policy keys of a table; what it does not say is as in `self`.
    pub(super) fn overridden(self, fields: &mut Fields<'_>, members: &[&str]) -> Result<Self> {
        let prefer = fields.read("conflict", |value| conflict(value, members))?;
        let edit_vs_delete = fields.read("edit_vs_delete", edit_vs_delete)?;
        let max_delete = fields.read("max_delete", |value| max_delete(value, self.max_delete))?;
        Ok(Self {
            prefer: prefer.unwrap_or(self.prefer),
            edit_vs_delete: edit_vs_delete.unwrap_or(self.edit_vs_delete),
            max_delete: max_delete.unwrap_or(self.max_delete),
        })
    }

    /// What that means for a pair. A preference for somebody else means nothing there: conflicts
    /// are queued.
    pub(super) fn conflict(&self, members: &[String; 2]) -> ConflictPolicy {
        let preferred = |side: &Side| self.prefer.as_deref() == Some(&*members[side.index()]);
        Side::BOTH.into_iter().find(preferred).map_or(ConflictPolicy::Queue, ConflictPolicy::Prefer)
    }
}

const NOT_BUILT: [&str; 3] = ["keep-both", "newest", "merge"];

/// The member that wins, if one does.
fn conflict(value: Value<'_>, members: &[&str]) -> Result<Option<String>> {
    if value.is_table() {
        return prefer(value, members).map(Some);
    }
    match value.text()? {
        "queue" => Ok(None),
        other if NOT_BUILT.contains(&other) => Err(conflict_not_built(&value, other)),
        "command" => Err(conflict_not_built(&value, "command")),
        other => Err(value
            .error(format!("`conflict` cannot be \"{other}\""))
            .hint("write \"queue\" or { prefer = \"member\" }")),
    }
}

fn conflict_not_built(value: &Value<'_>, policy: &str) -> ConfigError {
    not_built_yet(value, format_args!("the conflict policy \"{policy}\""))
        .hint("today there are \"queue\" and { prefer = \"member\" }")
}

fn prefer(value: Value<'_>, members: &[&str]) -> Result<String> {
    let mut fields = value.fields()?;
    if let Some(command) = fields.take("command") {
        return Err(conflict_not_built(&command, "command"));
    }
    let Some(prefer) = fields.take("prefer") else {
        return fields.finish("in `conflict`").and(Err(value.error("`conflict` says nothing")));
    };
    fields.finish("in `conflict`")?;
    let member = prefer.text()?;
    if !members.contains(&member) {
        return Err(prefer.error(format!("no member is called `{member}`")).did_you_mean(member, members));
    }
    Ok(member.to_owned())
}

fn edit_vs_delete(value: Value<'_>) -> Result<EditVsDelete> {
    value.word(&[("edit", EditVsDelete::Edit), ("delete", EditVsDelete::Delete), ("ask", EditVsDelete::Ask)])
}

fn max_delete(value: Value<'_>, otherwise: MaxDelete) -> Result<MaxDelete> {
    let mut fields = value.fields()?;
    let count = fields.read("count", |count| count.number(u64::from(u32::MAX)))?;
    let percent = fields.read("percent", |percent| percent.number(100))?;
    fields.finish("in `max_delete`")?;
    let (count, percent) = (count.unwrap_or(otherwise.count), percent.unwrap_or(otherwise.percent));
    Ok(MaxDelete { count, percent, ..otherwise })
}

/// How long what was overwritten or deleted can be had back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalLimits {
    /// Days that an entry is kept.
    pub days: u32,
    /// Bytes that all entries may take; the oldest go first.
    pub size: u64,
}

impl Default for JournalLimits {
    fn default() -> Self {
        Self { days: 30, size: 1 << 30 }
    }
}

impl JournalLimits {
    /// How long bytes are kept.
    #[must_use]
    pub fn keep(&self) -> std::time::Duration {
        std::time::Duration::from_secs(u64::from(self.days) * 86_400)
    }

    pub(super) fn read(value: Value<'_>) -> Result<Self> {
        let mut fields = value.fields()?;
        let days = fields.read("days", |days| days.number(u64::from(u32::MAX)))?;
        let size = fields.read("size", |size| size.size())?;
        fields.finish("in `journal`")?;
        let days = days.and_then(|days| u32::try_from(days).ok());
        Ok(Self { days: days.unwrap_or(Self::default().days), size: size.unwrap_or(Self::default().size) })
    }
}
