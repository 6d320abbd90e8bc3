//! What to do when members disagree, and how much may be done at once: for all groups, or for one.

use outrigger_engine::{EditVsDelete, MaxDelete, Settings};

use super::conflict::Conflict;
use super::fields::{Fields, Result, Value};

/// The policies of `[defaults]`, or those of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policies {
    /// Members hold different things.
    pub conflict: Conflict,
    /// One changed what another deleted.
    pub edit_vs_delete: EditVsDelete,
    /// Something is owed to a member that takes no writes.
    pub read_only: ReadOnly,
    /// Where a run stops before deleting.
    pub max_delete: MaxDelete,
    /// Where it stops before updating: more than this per cent of a member's items, and more than 20.
    pub max_update: u64,
    /// Where it stops before creating after a listing of everything: more than this per cent of what
    /// the member has, and more than 20.
    pub max_create_on_slow: u64,
    /// Whether two new items that differ in nothing but their key are taken for one.
    pub match_content: bool,
}

/// What happens to what is owed to a member that takes no writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReadOnly {
    /// It is kept and counted.
    #[default]
    Keep,
    /// What others changed is taken back: the member's content is everybody's.
    Revert,
    /// As [`Self::Keep`], and the run says that it could not be done.
    Error,
}

impl Default for Policies {
    fn default() -> Self {
        let Settings { max_delete, max_update, max_create_on_slow, match_content, .. } = Settings::default();
        Self {
            conflict: Conflict::default(),
            edit_vs_delete: EditVsDelete::default(),
            read_only: ReadOnly::default(),
            max_delete,
            max_update,
            max_create_on_slow,
            match_content,
        }
    }
}

impl Policies {
    /// Takes the policy keys of a table; what it does not say is as in `self`.
    pub(super) fn overridden(self, fields: &mut Fields<'_>, members: &[&str]) -> Result<Self> {
        let conflict = fields.read("conflict", |value| Conflict::read(value, members))?;
        let edit_vs_delete = fields.read("edit_vs_delete", edit_vs_delete)?;
        let read_only = fields.read("readonly", read_only)?;
        let max_delete = fields.read("max_delete", |value| max_delete(value, self.max_delete))?;
        let max_update = fields.read("max_update", |value| value.number(100))?;
        let most = u64::from(u32::MAX);
        let max_create_on_slow = fields.read("max_create_on_slow", |value| value.number(most))?;
        let match_content = fields.read("match", match_content)?;
        Ok(Self {
            conflict: conflict.unwrap_or(self.conflict),
            edit_vs_delete: edit_vs_delete.unwrap_or(self.edit_vs_delete),
            read_only: read_only.unwrap_or(self.read_only),
            max_delete: max_delete.unwrap_or(self.max_delete),
            max_update: max_update.unwrap_or(self.max_update),
            max_create_on_slow: max_create_on_slow.unwrap_or(self.max_create_on_slow),
            match_content: match_content.unwrap_or(self.match_content),
        })
    }

    /// What they mean among the members of a group.
    pub(super) fn among(self, members: &[String]) -> Self {
        Self { conflict: self.conflict.among(members), ..self }
    }
}

fn read_only(value: Value<'_>) -> Result<ReadOnly> {
    value.word(&[("keep", ReadOnly::Keep), ("revert", ReadOnly::Revert), ("error", ReadOnly::Error)])
}

fn match_content(value: Value<'_>) -> Result<bool> {
    value.word(&[("content", true), ("key", false)])
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
