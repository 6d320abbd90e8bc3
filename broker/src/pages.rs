//! Listing and reading in plain calls, for plugins without streams (level 0).

use outrigger_protocol::{
    Change, ChangesPage, Code, Effect, Error, GetChanges, GetChangesPage, Listing, Method, ObjectId, Read,
    ReadItem, ReadPage, ReadResult,
};
use tokio::time::timeout;

use crate::host::PluginHost;

/// Changes asked for at a time: with names of ordinary length, far below what an answer may hold.
const PAGE: u32 = 1000;

/// Lists page by page. All pages together have the time of one listing: each has a clock of its
/// own, and a plugin could go on for ever.
pub(crate) async fn get_changes(
    host: &PluginHost,
    sink: ObjectId,
    request: &GetChanges,
    each: impl FnMut(Change) + Send,
) -> Result<Listing, Error> {
    let method = Method::GET_CHANGES;
    let listed = timeout(host.total(method), pages(host, sink, request, each)).await;
    listed.unwrap_or_else(|_| {
        let error = Error::new(Code::DEADLINE, format!("{method}: not all pages came in time"));
        Err(error.with_effect(Effect::Unknown))
    })
}

async fn pages(
    host: &PluginHost,
    sink: ObjectId,
    request: &GetChanges,
    mut each: impl FnMut(Change) + Send,
) -> Result<Listing, Error> {
    let GetChanges { slow_sync, anchor } = request.clone();
    let mut ask = GetChangesPage { slow_sync, anchor, cursor: None, max: PAGE };
    let mut count = 0;
    loop {
        let page: ChangesPage = host.call(sink, Method::GET_CHANGES_PAGE, &ask, None).await?;
        let (got, next) = (page.changes.len(), page.next);
        if got > PAGE as usize {
            return Err(broken(Method::GET_CHANGES_PAGE, format!("{got} changes where {PAGE} were wanted")));
        }
        count += got as u64;
        page.changes.into_iter().for_each(&mut each);
        match next {
            None => return Ok(Listing { complete: page.complete, count, anchor: page.anchor }),
            Some(_) if got == 0 => {
                return Err(broken(Method::GET_CHANGES_PAGE, "a page without changes that is not the last"));
            }
            next if next == ask.cursor => {
                return Err(broken(Method::GET_CHANGES_PAGE, "the next page begins where this one began"));
            }
            next => ask.cursor = next,
        }
    }
}

/// Reads as many items at a time as fit an answer.
pub(crate) async fn read(
    host: &PluginHost,
    sink: ObjectId,
    mut items: Vec<ReadItem>,
    mut each: impl FnMut(ReadResult<'_>) + Send,
) -> Result<(), Error> {
    let method = Method::READ_PAGE;
    let mut done = 0;
    while !items.is_empty() {
        let request = Read { items };
        let answer = host.call_raw(sink, method, (&request, &[]), None, false).await?;
        items = request.items;
        let page: ReadPage<'_> = host.read(method, &answer)?;
        let got = page.results.len();
        if got == 0 || got > items.len() {
            return Err(broken(method, format!("{got} results for {} items", items.len())));
        }
        for (expected, result) in (0u32..).zip(page.results) {
            if result.index != expected {
                return Err(broken(method, format!("result {} where {expected} was next", result.index)));
            }
            each(ReadResult { index: done + expected, ..result });
        }
        done += u32::try_from(got).unwrap_or(u32::MAX);
        items.drain(..got);
    }
    Ok(())
}

fn broken(method: Method, what: impl std::fmt::Display) -> Error {
    Error::new(Code::INVALID, format!("{method}: {what}"))
}
