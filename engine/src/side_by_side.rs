//! Side by side: what differs between the copies of an item, property by property, for a person.

use std::collections::{BTreeMap, BTreeSet};

use crate::delta::{Changes, Delta, Unit, agree, units};
use crate::document::{Component, Part, Property};
use crate::family::{fate, names};
use crate::lines::{Line, split_unquoted};

/// A property that not all copies have alike.
///
/// All text is the members': unfolded and as it stands in the item, so it may hold control characters.
/// A value may be as long as an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PropertyRow {
    /// Where it is: empty for the object itself, or a component, with the occurrence that it is for
    /// (`VEVENT 20240101T090000`).
    pub component: String,
    /// `TEL`, or `ITEM1.TEL` where it has a group; `VALARM` for the alarms.
    pub name: String,
    /// Its types: `home,voice`.
    pub types: String,
    /// The values in what was agreed on: none, one, or several. Other parameters stand before a value,
    /// as `TZID=Europe/Berlin:20240101T090000`.
    pub base: Vec<String>,
    /// The same for each copy.
    pub copies: Vec<Vec<String>>,
    /// Whether a merge could take it: only one copy changed it, or they agree on it. A merge of all
    /// may still be refused, see [`crate::merge`].
    pub is_mergeable: bool,
}

/// What differs between `copies` and `base`, by component and name. Properties that programs stamp on
/// their own, and time zones, are no differences. At most one row for each line of all copies.
///
/// `None`: one of them is not plainly understood (as for [`crate::merge`]), or they are not of one kind.
#[must_use]
pub fn properties(base: Option<&[u8]>, copies: &[&[u8]]) -> Option<Vec<PropertyRow>> {
    let trees: Option<Vec<Component<'_>>> =
        base.iter().chain(copies).map(|data| Component::read(data)).collect();
    let trees = trees?;
    if trees.windows(2).any(|pair| matches!(pair, [a, b] if a.name != b.name)) {
        return None;
    }
    let mut all: Vec<Option<&Component<'_>>> = trees.iter().map(Some).collect();
    if base.is_none() {
        all.insert(0, None);
    }
    let mut table = Table { has_base: base.is_some(), rows: Vec::new() };
    table.component("", &all, base.is_some())?;
    Some(table.rows)
}

struct Table {
    has_base: bool,
    rows: Vec<PropertyRow>,
}

/// The lines of one row: for each copy, the base first.
type Cells<'a> = Vec<Vec<&'a Part<'a>>>;

impl Table {
    /// `all`: the base first. `None`: two components have one identity.
    fn component<'a>(
        &mut self,
        path: &str,
        all: &[Option<&'a Component<'a>>],
        is_mergeable: bool,
    ) -> Option<()> {
        let contested = contested(all);
        for ((name, types), cells) in cells(all) {
            if self.differ(&cells) {
                let parts = || cells.iter().flatten();
                let is_mergeable =
                    is_mergeable && !parts().any(|part| units(part).any(|unit| contested.contains(&unit)));
                self.rows.push(row(path, name, types, &cells, is_mergeable));
            }
        }
        self.families(path, all, is_mergeable)
    }

    fn differ(&self, cells: &Cells<'_>) -> bool {
        let normal = |parts: &Vec<&Part<'_>>| {
            let mut lines: Vec<Vec<u8>> = parts.iter().map(|part| part.normal().to_vec()).collect();
            lines.sort_unstable();
            lines
        };
        let from = usize::from(!self.has_base);
        let lines: BTreeSet<Vec<Vec<u8>>> = cells.iter().skip(from).map(normal).collect();
        lines.len() > 1
    }

    /// The components that have a name of their own.
    fn families<'a>(
        &mut self,
        path: &str,
        all: &[Option<&'a Component<'a>>],
        is_mergeable: bool,
    ) -> Option<()> {
        let found: Option<Vec<_>> =
            all.iter().map(|copy| copy.map_or(Some(BTreeMap::new()), names)).collect();
        let found = found?;
        let keys: BTreeSet<&Vec<u8>> = found.iter().flat_map(BTreeMap::keys).collect();
        for key in keys {
            let copies: Vec<Option<&Component<'_>>> =
                found.iter().map(|names| names.get(key).copied()).collect();
            let Some(any) = copies.iter().flatten().find(|component| !component.is_time_zone()) else {
                continue;
            };
            let is_mergeable = is_mergeable && have_a_fate(&copies);
            self.component(&title(path, any), &copies, is_mergeable)?;
        }
        Some(())
    }
}

fn have_a_fate(all: &[Option<&Component<'_>>]) -> bool {
    let Some((base, copies)) = all.split_first() else { return true };
    pairs(copies).all(|(left, right)| fate(*base, *left, *right).is_some())
}

fn pairs<T>(all: &[T]) -> impl Iterator<Item = (&T, &T)> {
    all.iter().enumerate().flat_map(|(at, left)| all.iter().skip(at + 1).map(move |right| (left, right)))
}

fn title(path: &str, component: &Component<'_>) -> String {
    let name = text(&component.name);
    let occurrence = component.property(b"RECURRENCE-ID").map(|line| text(line.line().value));
    let parts = [Some(path.to_owned()).filter(|path| !path.is_empty()), Some(name), occurrence];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// What several copies changed, and not alike.
fn contested<'a>(all: &[Option<&'a Component<'a>>]) -> BTreeSet<Unit<'a>> {
    let Some((Some(base), copies)) = all.split_first() else { return BTreeSet::new() };
    let changes: Vec<Changes<'a>> =
        copies.iter().flatten().map(|copy| Delta::between(base, copy).by_unit()).collect();
    let mut contested = BTreeSet::new();
    for (left, right) in pairs(&changes) {
        let both = left.iter().filter_map(|(unit, left)| Some((unit, left, right.get(unit)?)));
        contested.extend(both.filter(|(_, left, right)| !agree(left, right)).map(|(unit, ..)| *unit));
    }
    contested
}

/// The lines of all copies, by name and types.
fn cells<'a>(all: &[Option<&'a Component<'a>>]) -> BTreeMap<(String, String), Cells<'a>> {
    let mut cells: BTreeMap<(String, String), Cells<'a>> = BTreeMap::new();
    for (place, component) in all.iter().enumerate() {
        let parts = component.iter().flat_map(|component| &component.parts);
        for part in parts.filter(|part| part.is_line()) {
            let row = cells.entry(label(part)).or_insert_with(|| vec![Vec::new(); all.len()]);
            row.iter_mut().skip(place).take(1).for_each(|cell| cell.push(part));
        }
    }
    cells
}

fn label(part: &Part<'_>) -> (String, String) {
    match part {
        Part::Property(property) => (text(property.name()), types(property).collect::<Vec<_>>().join(",")),
        Part::Component(component) => (text(&component.name), String::new()),
    }
}

fn parameters<'p>(property: &'p Property<'_>) -> impl Iterator<Item = &'p [u8]> {
    let parameters = Line::split(property.normal()).map_or(&b""[..], |line| line.parameters);
    split_unquoted(parameters, b';')
}

/// The type that a parameter names; vCard 2.1 names it without more.
fn type_of(parameter: &[u8]) -> Option<String> {
    let bare = || (!parameter.contains(&b'=')).then(|| text(parameter).to_lowercase());
    parameter.strip_prefix(b"TYPE=").map(text).or_else(bare)
}

fn types<'p>(property: &'p Property<'_>) -> impl Iterator<Item = String> + use<'p> {
    parameters(property).filter_map(type_of)
}

fn row(path: &str, name: String, types: String, cells: &Cells<'_>, is_mergeable: bool) -> PropertyRow {
    let mut values = cells.iter().map(|parts| parts.iter().map(|part| value(part)).collect());
    let (component, base) = (path.to_owned(), values.next().unwrap_or_default());
    PropertyRow { component, name, types, base, copies: values.collect(), is_mergeable }
}

fn value(part: &Part<'_>) -> String {
    match part {
        Part::Property(property) => {
            let others = parameters(property).filter(|parameter| type_of(parameter).is_none()).map(text);
            let others = others.collect::<Vec<_>>().join(";");
            let value = text(property.line().value);
            if others.is_empty() { value } else { format!("{others}:{value}") }
        }
        Part::Component(component) => {
            let lines = component.properties().filter(|property| !property.is_stamp());
            lines.map(|line| text(line.normal())).collect::<Vec<_>>().join(", ")
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card(lines: &str) -> Vec<u8> {
        format!("BEGIN:VCARD\nREV:{}\n{lines}\nEND:VCARD\n", lines.len()).into_bytes()
    }

    /// `name types: base | copy | copy`, and `+` where it can be merged.
    fn table(base: Option<&[u8]>, copies: &[&[u8]]) -> Vec<String> {
        let line = |row: PropertyRow| {
            let copies: Vec<String> = row.copies.iter().map(|values| values.join(" & ")).collect();
            let name = [row.component.as_str(), &row.name, &row.types].join(" ");
            let sign = if row.is_mergeable { "+" } else { "-" };
            format!("{} {}: {} | {}", sign, name.trim(), row.base.join(" & "), copies.join(" | "))
        };
        properties(base, copies).unwrap().into_iter().map(line).collect()
    }

    #[test]
    fn what_differs_is_shown_and_whether_it_can_be_merged() {
        let base = card("FN:Anna\nTEL;TYPE=cell:1\nEMAIL:a@x");
        let left = card("FN:Anna\nTEL;type=CELL:2\nEMAIL:a@x");
        let right = card("FN:Anna\nTEL;TYPE=cell:1\nEMAIL:\n anna@y");
        assert_eq!(
            table(Some(&base), &[&left, &right]),
            ["+ EMAIL: a@x | a@x | anna@y", "+ TEL cell: 1 | 2 | 1"]
        );
        let other = card("FN:Anna\nTEL;TYPE=cell:3\nEMAIL:a@x");
        assert_eq!(table(Some(&base), &[&left, &other]), ["- TEL cell: 1 | 2 | 3"]);
        assert_eq!(table(Some(&base), &[&left, &other, &right])[0], "+ EMAIL: a@x | a@x | a@x | anna@y");
        assert_eq!(table(None, &[&left, &right]), ["- EMAIL:  | a@x | anna@y", "- TEL cell:  | 2 | 1"]);
        assert_eq!(table(Some(&base), &[&base, &base]), [""; 0]);
    }

    #[test]
    fn parameters_stand_before_values() {
        let event = |start: &str| {
            format!("BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:e\nDTSTART{start}\nEND:VEVENT\nEND:VCALENDAR\n")
        };
        let [base, left] = [":20240101T080000Z", ";TZID=B/C:20240101T090000"].map(event);
        assert_eq!(
            table(Some(base.as_bytes()), &[left.as_bytes()]),
            ["+ VEVENT DTSTART: 20240101T080000Z | TZID=B/C:20240101T090000"]
        );
    }

    #[test]
    fn occurrences_and_alarms_are_named() {
        let event = |occurrence: &str| {
            format!(
                "BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:e\nBEGIN:VALARM\nTRIGGER:-PT5M\nEND:VALARM\nEND:VEVENT\n\
                 {occurrence}END:VCALENDAR\n"
            )
        };
        let moved =
            |to: &str| event(&format!("BEGIN:VEVENT\nUID:e\nRECURRENCE-ID:2\nSUMMARY:{to}\nEND:VEVENT\n"));
        let (base, left, right) = (moved("a"), event("").replace("5M", "9M"), moved("b"));
        assert_eq!(
            table(Some(base.as_bytes()), &[left.as_bytes(), right.as_bytes()]),
            [
                "+ VEVENT VALARM: TRIGGER:-PT5M | TRIGGER:-PT9M | TRIGGER:-PT5M",
                "- VEVENT 2 RECURRENCE-ID: 2 |  | 2",
                "- VEVENT 2 SUMMARY: a |  | b",
                "- VEVENT 2 UID: e |  | e",
            ]
        );
    }

    #[test]
    fn what_is_not_understood_or_of_another_kind_has_no_table() {
        assert_eq!(properties(None, &[b"no card"]), None);
        assert_eq!(properties(None, &[b"BEGIN:VCARD\nEND:VCARD", b"BEGIN:VCALENDAR\nEND:VCALENDAR"]), None);
        assert_eq!(properties(None, &[]), Some(Vec::new()));
    }
}
