//! A connector that reaches out: `get = "HOST PORT"` in the options of its member has it read a page,
//! which it shows as the name of its one collection. `network.rs` starts it.
#![forbid(unsafe_code)]

use std::io::{Read as _, Write as _};
use std::process::ExitCode;

use outrigger_plugin_sdk::protocol::{Code, Commit, CommitResult, Error, GetChanges, Initialize, ReadItem};
use outrigger_plugin_sdk::{ChangeSink, Collection, Context, ListingEnd, Plugin, ReadSink};

fn main() -> ExitCode {
    outrigger_plugin_sdk::serve(Reaching)
}

struct Reaching;

impl Plugin for Reaching {
    fn initialize(&mut self, _: Initialize, _: &mut Context<'_>) -> Result<(), Error> {
        Ok(())
    }

    fn discover(&mut self, context: &mut Context<'_>) -> Result<Vec<Collection>, Error> {
        let get = context.member().options.iter().find(|(name, _)| name == "get").cloned();
        let (_, get) = get.ok_or_else(|| Error::new(Code::INVALID, "`get` is missing"))?;
        let (host, port) = get.split_once(' ').unwrap_or_default();
        let page = read_page(context, host, port.parse().unwrap_or_default())?;
        Ok(vec![Collection { name: page, ..Collection::default() }])
    }

    fn get_changes(
        &mut self,
        _: &str,
        _: GetChanges,
        _: &mut ChangeSink<'_, '_>,
    ) -> Result<ListingEnd, Error> {
        Ok(ListingEnd::default())
    }

    fn read(&mut self, _: &str, _: Vec<ReadItem>, _: &mut ReadSink<'_, '_>) -> Result<(), Error> {
        Ok(())
    }

    fn commit(&mut self, _: &str, _: Commit<'_>, _: &mut Context<'_>) -> Result<Vec<CommitResult>, Error> {
        Ok(Vec::new())
    }
}

/// The body of the page `/` of a server that closes behind it.
fn read_page(context: &mut Context<'_>, host: &str, port: u16) -> Result<String, Error> {
    let failed = |error: std::io::Error| Error::new(Code::IO, error.to_string());
    let mut stream = context.connect(host, port)?;
    stream.write_all(format!("GET / HTTP/1.0\r\nHost: {host}\r\n\r\n").as_bytes()).map_err(failed)?;
    let mut page = String::new();
    stream.read_to_string(&mut page).map_err(failed)?;
    Ok(page.rsplit("\r\n").next().unwrap_or_default().to_owned())
}
