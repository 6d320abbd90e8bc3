//! Columns: texts of members side by side, for a terminal of some width. Nothing is left out without a
//! word: what does not fit is wrapped, and what is endless says how much more there is.

use std::io::{self, Write};

use outrigger_protocol::Printable;

use super::failure::{BOLD, PLAIN};

/// The narrowest column that can be read. Below it, cells stand one below the other.
const NARROWEST: usize = 16;

/// The widest first column.
const WIDEST_NAME: usize = 20;

/// Between two columns.
const GAP: usize = 2;

/// Characters of one text that are shown. A picture in a card is a text of a megabyte.
const LONGEST: usize = 600;

/// Characters that are made printable at a time: what [`Printable`] shows without cutting.
const AT_ONCE: usize = 500;

/// Texts in rows and columns. All of them may be a member's.
#[derive(Debug, Clone, Default)]
pub struct Table {
    /// What each column is.
    pub heads: Vec<String>,
    /// Below them.
    pub rows: Vec<TableRow>,
}

/// One row.
#[derive(Debug, Clone, Default)]
pub struct TableRow {
    /// What it is.
    pub name: String,
    /// The texts of each column.
    pub cells: Vec<Vec<String>>,
    /// For each column, whether it stands out.
    pub marked: Vec<bool>,
}

impl Table {
    /// Writes it for a terminal of so many columns: side by side where there is room, otherwise one cell
    /// below the other.
    ///
    /// # Errors
    /// `to` takes no more.
    pub fn write(&self, width: usize, to: &mut dyn Write) -> io::Result<()> {
        let names = self.rows.iter().map(|row| wide(&shown(&row.name))).max().unwrap_or(0);
        let name = names.min(WIDEST_NAME);
        let columns = self.heads.len().max(1);
        let each = width.saturating_sub(name + GAP * columns) / columns;
        if each < NARROWEST { self.write_below(width, to) } else { self.write_beside(name, each, to) }
    }

    fn write_beside(&self, name: usize, each: usize, to: &mut dyn Write) -> io::Result<()> {
        let heads: Vec<Vec<String>> = self.heads.iter().map(|head| vec![head.clone()]).collect();
        let bold = vec![true; heads.len()];
        write_row(&TableRow { name: String::new(), cells: heads, marked: bold }, name, each, to)?;
        self.rows.iter().try_for_each(|row| write_row(row, name, each, to))
    }

    fn write_below(&self, width: usize, to: &mut dyn Write) -> io::Result<()> {
        let widest = self.heads.iter().map(|head| wide(&shown(head))).max().unwrap_or(0);
        let name = widest.min(width / 3) + GAP;
        for row in &self.rows {
            writeln!(to, "{BOLD}{}{PLAIN}", shown(&row.name))?;
            for (at, (head, cell)) in self.heads.iter().zip(&row.cells).enumerate() {
                let marked = vec![row.marked.get(at) == Some(&true)];
                let one = TableRow { name: format!("  {head}"), cells: vec![cell.clone()], marked };
                write_row(&one, name, width.saturating_sub(name + GAP).max(NARROWEST), to)?;
            }
        }
        Ok(())
    }
}

/// Writes the lines of a row: as many as its longest cell has.
fn write_row(row: &TableRow, name: usize, each: usize, to: &mut dyn Write) -> io::Result<()> {
    let names = wrapped(&shown(&row.name), name);
    let cells: Vec<Vec<String>> = row.cells.iter().map(|cell| lines_of(cell, each)).collect();
    let height = cells.iter().map(Vec::len).chain([names.len()]).max().unwrap_or(0);
    for at in 0..height {
        let mut line = padded(names.get(at), name, false);
        for (place, cell) in cells.iter().enumerate() {
            line += "  ";
            line += &padded(cell.get(at), each, row.marked.get(place) == Some(&true));
        }
        writeln!(to, "{}", line.trim_end())?;
    }
    Ok(())
}

fn lines_of(texts: &[String], width: usize) -> Vec<String> {
    texts.iter().flat_map(|text| wrapped(&shown(text), width)).collect()
}

fn padded(text: Option<&String>, width: usize, marked: bool) -> String {
    let Some(text) = text else { return " ".repeat(width) };
    let pad = " ".repeat(width.saturating_sub(wide(text)));
    if marked && !text.is_empty() { format!("{BOLD}{text}{PLAIN}{pad}") } else { format!("{text}{pad}") }
}

/// A text as it can be printed, in whole or with how much of it is left out.
fn shown(text: &str) -> String {
    let mut shown = String::new();
    let mut rest = text.chars();
    for _ in 0..LONGEST / AT_ONCE + 1 {
        let left = LONGEST.saturating_sub(shown.chars().count()).min(AT_ONCE);
        let piece: String = rest.by_ref().take(left).collect();
        shown += &Printable(piece).to_string();
    }
    match rest.count() {
        0 => shown,
        more => format!("{shown}… ({more} characters more)"),
    }
}

/// A text in lines of at most so many columns, broken behind a blank where one is near.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut length = 0;
    for c in text.chars() {
        if length + columns(c) > width.max(2) {
            let rest = line.split_off(break_at(&line));
            lines.push(std::mem::replace(&mut line, rest));
            length = wide(&line);
        }
        line.push(c);
        length += columns(c);
    }
    lines.push(line);
    lines
}

/// Where a full line is broken: behind its last blank, unless that is far.
fn break_at(line: &str) -> usize {
    match line.rfind(' ') {
        Some(blank) if blank + 1 > line.len() / 2 => blank + 1,
        _ => line.len(),
    }
}

/// The columns that a text takes on a terminal.
fn wide(text: &str) -> usize {
    text.chars().map(columns).sum()
}

/// The columns that a character takes: two for those of East Asia and for pictures, none for accents that
/// stand on another. Near enough: a terminal may think otherwise of single ones.
fn columns(c: char) -> usize {
    match c {
        '\u{300}'..='\u{36f}' | '\u{1ab0}'..='\u{1aff}' | '\u{20d0}'..='\u{20ff}' => 0,
        '\u{1100}'..='\u{115f}'
        | '\u{2e80}'..='\u{a4cf}'
        | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}'
        | '\u{fe30}'..='\u{fe6f}'
        | '\u{ff00}'..='\u{ff60}'
        | '\u{ffe0}'..='\u{ffe6}'
        | '\u{1f300}'..='\u{1faff}'
        | '\u{20000}'..='\u{3fffd}' => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, cells: &[&str]) -> TableRow {
        let cells = cells.iter().map(|cell| vec![(*cell).to_owned()]).collect();
        TableRow { name: name.into(), cells, marked: vec![false, true] }
    }

    fn table(rows: Vec<TableRow>) -> Table {
        Table { heads: vec!["laptop".into(), "phone".into()], rows }
    }

    fn written(table: &Table, width: usize) -> String {
        let mut stream = anstream::StripStream::new(Vec::new());
        table.write(width, &mut stream).unwrap();
        String::from_utf8(stream.into_inner()).unwrap()
    }

    #[test]
    fn what_does_not_fit_is_wrapped_and_nothing_is_lost() {
        let long = "a note that is longer than its column, and 北京北京北京北京北京北京 wide";
        let text = written(&table(vec![row("NOTE", &[long, "short"]), row("TEL", &["1", "2"])]), 50);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[..2], ["      laptop                 phone", "NOTE  a note that is         short"]);
        assert_eq!(lines.last(), Some(&"TEL   1                      2"));
        assert!(lines.iter().all(|line| wide(line) <= 50), "{text}");
        let whole = lines[1..lines.len() - 1].join("").replace("short", "").replace(' ', "");
        assert_eq!(whole, format!("NOTE{}", long.replace(' ', "")));
    }

    #[test]
    fn where_there_is_no_room_cells_stand_one_below_the_other() {
        let heads: Vec<String> = (0..6).map(|number| format!("member{number}")).collect();
        let cells = heads.iter().map(|head| vec![format!("value of {head}"), "and more".into()]).collect();
        let rows = vec![TableRow { name: "TEL".into(), cells, marked: Vec::new() }];
        let text = written(&Table { heads, rows }, 80);
        assert!(
            text.starts_with("TEL\n  member0  value of member0\n           and more\n  member1 "),
            "{text}"
        );
        assert_eq!(text.lines().count(), 13);
    }

    #[test]
    fn b4_no_text_of_a_member_acts_on_the_terminal_or_is_endless() {
        let evil = format!("x\x1b[2J\n{}", "y".repeat(100_000));
        let text = written(&table(vec![row("N\x07", &[&evil, "\u{202e}z"])]), 60);
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
        assert!(text.contains("N\\u{7}") && text.contains("\\u{202e}z"), "{text}");
        assert!(text.replace(['\n', ' '], "").contains("charactersmore)") && text.len() < 5_000, "{text}");
    }

    #[test]
    fn only_what_is_marked_stands_out() {
        let mut bytes = Vec::new();
        table(vec![row("TEL", &["1", "2"])]).write(60, &mut bytes).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.contains("  1  ") && text.contains("\x1b[1m2\x1b[0m"), "{text:?}");
    }
}
