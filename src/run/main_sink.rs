//! The main sink: the link that all collections of a member share.
//!
//! A member that has one is connected through it before its first collection, and told behind the
//! last one how the run ended. A slow sync that it asks for is one of every collection.

use outrigger_broker::SinkClient;
use outrigger_engine::{MemberIndex, MemberState};
use outrigger_protocol::{Connect, ConnectDone, Error};

use super::crew::Crew;
use super::part::succeeded;
use super::retry::patiently;
use super::session::MemberSession;
use super::together;
use crate::report::Failure;

/// Connects all members. Returns who asks for a slow sync of everything, one for each place; or who
/// could not be connected.
pub(super) async fn connect(
    crew: &Crew<'_>,
    asked: &[MemberState],
    dry_run: bool,
) -> Result<Vec<bool>, Vec<(MemberIndex, Failure)>> {
    let present = crew.present();
    let one = async |(member, session): &(MemberIndex, &MemberSession)| {
        let connected = one(session, first(asked.get(member.index()), dry_run)).await;
        (*member, connected.map_err(|error| session.failure("cannot connect", &error)))
    };
    let mut slow = vec![false; asked.len()];
    let mut failed = Vec::new();
    for (member, connected) in together::all(present.iter().map(one)).await {
        match connected {
            Ok(is_slow) => slow[member.index()] = is_slow,
            Err(failure) => failed.push((member, failure)),
        }
    }
    if failed.is_empty() {
        failed = connect_done(&present, &ConnectDone { slow_sync: slow.contains(&true) }).await;
    }
    if failed.is_empty() { Ok(slow) } else { Err(failed) }
}

async fn connect_done(
    present: &[(MemberIndex, &MemberSession)],
    done: &ConnectDone,
) -> Vec<(MemberIndex, Failure)> {
    let one = async |(member, session): &(MemberIndex, &MemberSession)| {
        let told = session.main_sink()?.connect_done(done).await;
        Some((*member, session.failure("cannot go on", &told.err()?)))
    };
    together::all(present.iter().map(one)).await.into_iter().flatten().collect()
}

fn first(asked: Option<&MemberState>, dry_run: bool) -> Connect {
    let slow_sync = asked.is_some_and(MemberState::is_slow_everywhere);
    Connect { slow_sync, read_only: dry_run, anchor: None }
}

/// Connects one member whose plugin was started anew. Returns whether it asks for a slow sync of
/// everything.
pub(super) async fn connect_again(
    session: &MemberSession,
    asked: Option<&MemberState>,
    dry_run: bool,
) -> Result<bool, Error> {
    let slow_sync = one(session, first(asked, dry_run)).await?;
    if let Some(main) = session.main_sink() {
        main.connect_done(&ConnectDone { slow_sync }).await?;
    }
    Ok(slow_sync)
}

async fn one(session: &MemberSession, request: Connect) -> Result<bool, Error> {
    match session.main_sink() {
        Some(main) => {
            let connected = patiently(async || main.connect(&request).await).await;
            connected.map(|connected| connected.slow_sync)
        }
        None => Ok(false),
    }
}

/// Says to all that the run is over. Nothing that fails here fails the run.
pub(super) async fn finish(crew: &Crew<'_>, came_through: bool) {
    let present = crew.present();
    let mains = present.iter().filter_map(|(_, session)| session.main_sink());
    let one = async |main: SinkClient| {
        if let Err(error) = ended(&main, came_through).await {
            tracing::warn!(%error, "the main sink");
        }
    };
    together::all(mains.map(one)).await;
}

async fn ended(main: &SinkClient, came_through: bool) -> Result<(), Error> {
    let told = if came_through { succeeded(main).await } else { Ok(()) };
    let disconnected = main.disconnect().await; // whatever became of the others
    told.and(disconnected)
}
