//! What a sandbox enforces, for people.

use std::io::{self, Write};

use outrigger_protocol::Printable;
use outrigger_sandbox::Report;

/// Writes one line for each standing, with all guarantees that stand so. Each line begins with
/// `before`.
///
/// # Errors
/// `out` takes no more.
pub fn write_standings(report: &Report, before: &str, out: &mut dyn Write) -> io::Result<()> {
    let mut lines: Vec<(String, Vec<&str>)> = Vec::new();
    for (guarantee, standing) in report.iter() {
        let standing = standing.to_string();
        match lines.iter_mut().find(|(known, _)| *known == standing) {
            Some((_, names)) => names.push(guarantee.name()),
            None => lines.push((standing, vec![guarantee.name()])),
        }
    }
    // What holds comes first, and is the shortest to say.
    lines.sort_by_key(|(standing, _)| standing.len());
    lines.iter().try_for_each(|(standing, names)| {
        writeln!(out, "{before}{}: {}", Printable(standing), names.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use outrigger_sandbox::{Guarantee, Standing};

    use super::*;

    #[test]
    fn what_is_not_enforced_takes_one_line_a_reason() {
        let mut report = Report::nothing("no Landlock", "");
        report.set(Guarantee::NoNewPrivileges, Standing::Enforced);
        let mut out = Vec::new();
        write_standings(&report, "  sandbox  ", &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(text.starts_with("  sandbox  enforced: no_new_privileges\n"), "{text}");
        assert!(text.contains("  sandbox  unavailable: no Landlock: fs_read, fs_write, "), "{text}");
    }
}
