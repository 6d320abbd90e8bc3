//! The conflicts that a run raised: a line for each, with the command that goes on.

use std::io::{self, Write};

use outrigger_protocol::{Printable, Words};

use super::words::grouped;
use crate::report::called;
use crate::report::raised::{Known, Raised};
use crate::report::run::RunReport;

/// So many of a run are told one by one.
const SHOWN: usize = 10;

/// Writes the first of them, and how many there are besides.
pub(super) fn write_raised(run: &RunReport, to: &mut dyn Write) -> io::Result<()> {
    let mut raised = raised(run);
    for (place, raised) in raised.by_ref().take(SHOWN) {
        write_one(&place, raised, to)?;
    }
    let collections = run.groups.iter().flat_map(|group| &group.collections);
    let rest = raised.count() as u64 + collections.map(|collection| collection.unnamed).sum::<u64>();
    if rest > 0 {
        writeln!(to, "conflict    … and {} more: {} conflicts list", grouped(rest), called())?;
    }
    Ok(())
}

/// Each with `GROUP/COLLECTION`.
fn raised(run: &RunReport) -> impl Iterator<Item = (String, &Raised)> {
    let collections =
        run.groups.iter().flat_map(|group| group.collections.iter().map(move |one| (group, one)));
    collections.flat_map(|(group, collection)| {
        let place = format!("{}/{}", group.name, collection.name);
        collection.raised.iter().map(move |raised| (place.clone(), raised))
    })
}

fn write_one(place: &str, raised: &Raised, to: &mut dyn Write) -> io::Result<()> {
    let place = Printable(place);
    match &raised.known {
        Some(known) => {
            let Known { short, title, .. } = known;
            writeln!(to, "conflict    {short}   {place}   {}: {}", Words(title), known.command())
        }
        None => writeln!(to, "conflict    {place}   {}: {} conflicts list", Words(&raised.key.0), called()),
    }
}
