//! Users: what they do to the items of one member, and to conflicts.

use outrigger_engine::{Canonical, Content, MemberIndex, Row, RowId, Supplied};
use outrigger_protocol::RawDigest;

use super::items::{card, key_of, text_in};
use super::member::Item;
use super::{Member, World};

/// What a user does at one member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Edit {
    /// Creates the item, or changes it.
    Put { uid: u8, text: u8 },
    /// Deletes it.
    Delete { uid: u8 },
    /// Gives the item another UID.
    Rename { uid: u8, to: u8 },
    /// Moves the item to another name.
    Move { uid: u8 },
    /// A second item with the same UID (S7).
    Duplicate { uid: u8, text: u8 },
    /// An item without a UID.
    PutBare { name: u8, text: u8 },
    /// Deletes it.
    DeleteBare { name: u8 },
}

/// What a user makes of a conflict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Choice {
    /// What this member holds.
    Take(MemberIndex),
    /// Something else.
    Write { text: u8 },
    /// It goes.
    Discard,
}

/// Items that random users speak of.
const UIDS: u8 = 3;

/// Above those that members give out: five, and one.
pub(crate) const LAST_UID: u8 = UIDS * 6;

impl World {
    pub(crate) fn edit(&mut self, at: MemberIndex, edit: Edit) {
        match edit {
            Edit::Rename { .. } | Edit::Move { .. } | Edit::Duplicate { .. } | Edit::Delete { .. }
                if !self.may_be_odd(edit) => {}
            // Another UID alone is not taken back.
            Edit::Rename { .. } if self.has_authority() => {}
            // Nor is it seen by a plugin that compares, or kept where items are kept twice.
            Edit::Rename { .. } if self.is_random && (self.compares() || self.makes_copies()) => {}
            Edit::Put { uid, text } => {
                let (mut uid, href) = self.find(at, uid);
                if href.is_none() && self.retired.contains(&uid) {
                    uid = self.new_uid(at, uid, uid);
                }
                let href = href.unwrap_or_else(|| self.new_name(at, uid));
                let text = self.text(text);
                self.write(at, &href, card(Some(uid), text));
            }
            Edit::Delete { uid } => {
                if let (_, Some(href)) = self.find(at, uid) {
                    self.delete(at, &href);
                }
            }
            Edit::Rename { uid, to } => self.rename(at, uid, to),
            Edit::Move { uid } => {
                if let (uid, Some(href)) = self.find(at, uid) {
                    let item = self.members[at.index()].remove(&href).unwrap();
                    self.causes.moved(&item.data);
                    let href = self.new_name(at, uid);
                    self.members[at.index()].put(&href, item.data);
                }
            }
            Edit::Duplicate { uid, text } => {
                let (uid, first) = self.find(at, uid);
                let (href, text) = (self.new_name(at, uid), self.text(text));
                self.duplicates += usize::from(first.is_some());
                self.write(at, &href, card(Some(uid), text));
            }
            // What a member makes of one of these is not known again when an answer was lost.
            Edit::PutBare { .. } if self.is_random && self.members.iter().any(|it| it.rewrites) => {}
            Edit::PutBare { name, text } => {
                let text = self.text(text);
                self.write(at, format!("bare{name}").as_bytes(), card(None, text));
            }
            Edit::DeleteBare { name } => self.delete(at, format!("bare{name}").as_bytes()),
        }
    }

    /// Random users do one kind of such things to a world, and none where rows are linked by content: a
    /// row that goes by one of two UIDs does not find an item by the other.
    fn may_be_odd(&mut self, edit: Edit) -> bool {
        if let (Edit::Delete { .. }, true) = (edit, self.is_random) {
            return !self.settings.match_content;
        }
        let kind = std::mem::discriminant(&edit);
        let is_first = *self.odd.get_or_insert(kind) == kind;
        !self.is_random || (is_first && !self.settings.match_content)
    }

    /// The item that a user means by a number, and the UID that it has or would get. Where items are
    /// linked by their content, no two members give out one UID: a row that goes by one of its two UIDs
    /// cannot be told from a new item with the other.
    fn find(&self, at: MemberIndex, uid: u8) -> (u8, Option<Vec<u8>>) {
        let member = &self.members[at.index()];
        if !self.is_random {
            return (uid, member.by_uid(uid));
        }
        let (uid, place) = (uid % UIDS, u8::try_from(at.index()).unwrap());
        let new = if self.settings.match_content { uid + UIDS * (place + 1) } else { uid };
        let mut uids = (0..=self.last_uid / UIDS).map(|nth| UIDS * nth + uid);
        let known = uids.find_map(|uid| Some((uid, Some(member.by_uid(uid)?))));
        known.unwrap_or((new, None))
    }

    fn new_name(&mut self, at: MemberIndex, uid: u8) -> Vec<u8> {
        let member = &mut self.members[at.index()];
        member.names += 1;
        let letter = char::from(b'a' + u8::try_from(at.index()).unwrap() % 26);
        format!("{letter}{uid}-{}", member.names).into_bytes()
    }

    /// A text that no other item has, where the history wants that.
    fn text(&mut self, text: u8) -> u32 {
        if !self.causes.is_exact {
            return text.into();
        }
        self.texts += 1;
        1000 + self.texts
    }

    /// A user puts bytes under a name, and sees what the member has of the same item.
    pub(crate) fn write(&mut self, at: MemberIndex, href: &[u8], data: Vec<u8>) {
        let member = &self.members[at.index()];
        let key = key_of(&data);
        // An edit of what may never be known to have been made there.
        let doubtful = key.clone().filter(|key| self.is_in_doubt(at, key));
        self.doubtful.extend(doubtful.map(|key| (at, key)));
        let is_it = |item: &Item| key.is_some() && key_of(&item.data) == key;
        match member.items.get(href) {
            Some(old) => self.causes.wrote(&data, std::iter::once(old.data.as_slice())),
            None => {
                let same = member.items.values().filter(|item| is_it(item));
                self.causes.wrote_beside(&data, same.map(|item| item.data.as_slice()));
            }
        }
        self.authored.insert(data.clone());
        self.members[at.index()].put(href, data);
    }

    fn delete(&mut self, at: MemberIndex, href: &[u8]) {
        let member: &mut Member = &mut self.members[at.index()];
        let Some(item) = member.remove(href) else { return };
        let key = key_of(&item.data).unwrap_or_else(|| href.to_vec());
        // What nobody knows to be there, nobody knows to be deleted.
        if self.is_in_doubt(at, &key) || self.doubtful.contains(&(at, key)) {
            self.causes.unknown(&item.data);
        }
        self.causes.deleted(at, &item.data);
    }

    fn is_in_doubt(&self, at: MemberIndex, key: &[u8]) -> bool {
        self.store.intents.iter().any(|it| it.member == at && *it.key.0 == *key)
    }

    fn rename(&mut self, at: MemberIndex, uid: u8, to: u8) {
        let (uid, Some(href)) = self.find(at, uid) else { return };
        if self.is_random && !self.is_one_row(uid) {
            return;
        }
        self.retired.insert(uid);
        let to = self.new_uid(at, uid, to);
        let text = String::from_utf8(self.members[at.index()].items[&href].data.clone()).unwrap();
        let data = text.replace(&format!("UID:uid{uid}\r"), &format!("UID:uid{to}\r"));
        self.causes.renamed(data.as_bytes());
        self.write(at, &href, data.into_bytes());
    }

    /// Whether all items with a UID are known to be one.
    fn is_one_row(&self, uid: u8) -> bool {
        let rows = self.store.rows.values().filter(|row| row.base.is_some());
        let names = |row: &Row, at: MemberIndex, href: &[u8]| {
            row.entry(at).is_some_and(|entry| entry.href.as_bytes() == href)
        };
        let has_all = |row: &Row| {
            let mut items = self.all().filter_map(|at| Some((at, self.members[at.index()].by_uid(uid)?)));
            items.all(|(at, href)| names(row, at, &href))
        };
        rows.filter(|row| has_all(row)).count() == 1
    }

    /// In a random history nobody else ever uses it: what becomes of two items that are given one UID
    /// at two members has stories of its own.
    fn new_uid(&mut self, at: MemberIndex, uid: u8, to: u8) -> u8 {
        if !self.is_random {
            assert_eq!(self.find(at, to).1, None, "it has one with that UID");
            return to;
        }
        self.last_uid += UIDS;
        self.last_uid / UIDS * UIDS + uid % UIDS
    }

    /// A random user has given an item another UID.
    pub(crate) fn has_renamed(&self) -> bool {
        self.last_uid > LAST_UID
    }

    /// A user settles the `nth` conflict that is open.
    pub(crate) fn choose(&mut self, nth: u8, choice: Choice) {
        let open: Vec<RowId> =
            self.store.rows.values().filter(|row| row.conflict.is_some()).map(|row| row.id).collect();
        let Some(id) = open.get(usize::from(nth) % open.len().max(1)) else { return };
        let judged = self.judged(*id);
        let mut row = self.store.rows[id].clone();
        match choice {
            Choice::Take(member) => {
                let taken = row.held(member).and_then(|content| self.bytes_of(content));
                if row.choose(member)
                    && let Some(taken) = taken
                {
                    judged.iter().for_each(|old| self.causes.outvoted(old, &taken));
                    self.causes.chosen(&taken);
                }
            }
            Choice::Write { text } => {
                let text = self.text(text);
                let uid =
                    row.key.0.strip_prefix(b"uid").and_then(|uid| str::from_utf8(uid).ok()?.parse().ok());
                let data = card(uid, text);
                self.authored.insert(data.clone());
                self.causes.wrote(&data, judged.iter().map(Vec::as_slice));
                let content = Canonical::of("vcard", &data).content;
                row.supply(Supplied { content, format: "vcard".into(), data });
            }
            Choice::Discard => {
                judged.iter().for_each(|old| self.causes.deleted(MemberIndex(0), old));
                row.choose_deletion();
            }
        }
        self.store.keep_chosen(row);
    }

    /// The contents that a conflict is about.
    fn judged(&self, id: RowId) -> Vec<Vec<u8>> {
        let known = self.store.rows[&id].conflict.as_ref().map(|conflict| conflict.contents.clone());
        let chosen = self.store.rows[&id].supplied.as_ref().map(|supplied| supplied.content);
        let known = known.unwrap_or_default().into_iter().flatten().chain(chosen);
        known.filter_map(|content| self.bytes_of(content)).collect()
    }

    /// What was written once, by what the engine keeps of it.
    fn bytes_of(&self, content: Content) -> Option<Vec<u8>> {
        self.authored.iter().find(|data| RawDigest::of(data) == content.raw).cloned()
    }

    /// The item that a row names at a member.
    pub(crate) fn item_of(&self, id: RowId, at: MemberIndex) -> Option<Vec<u8>> {
        let entry = self.store.rows[&id].entries[at.index()].as_ref()?;
        Some(self.members[at.index()].items.get(entry.href.as_bytes())?.data.clone())
    }

    /// Whether a user, or a merge of what users wrote, is where these bytes come from.
    pub(crate) fn is_authored(&self, data: &[u8]) -> bool {
        self.authored.contains(data) || (self.makes_copies() && text_in(data).is_some())
    }
}
