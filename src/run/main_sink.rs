//! The main sink: the link that all collections of a member share.
//!
//! A member that has one is connected through it before its first collection, and told behind the
//! last one how the run ended. A slow sync that it asks for is one of every collection.

use outrigger_broker::SinkClient;
use outrigger_engine::MemberState;
use outrigger_protocol::{Connect, ConnectDone, Error};

use super::calls::succeeded;
use super::session::MemberSession;
use crate::report::Failure;

/// Connects both members. Returns who asks for a slow sync of everything.
pub(super) async fn connect(
    sessions: [&MemberSession; 2],
    asked: &[MemberState; 2],
    dry_run: bool,
) -> Result<[bool; 2], Failure> {
    let request = |side: usize| Connect {
        slow_sync: asked[side].is_slow_everywhere(),
        read_only: dry_run,
        anchor: None,
    };
    let (a, b) = tokio::join!(one(sessions[0], request(0)), one(sessions[1], request(1)));
    let slow = [(sessions[0], a), (sessions[1], b)]
        .map(|(session, slow)| slow.map_err(|error| session.failure("cannot connect", &error)));
    let [a, b] = slow;
    let slow = [a?, b?];
    let done = ConnectDone { slow_sync: slow.contains(&true) };
    for session in sessions {
        if let Some(main) = session.main_sink() {
            let done = main.connect_done(&done).await;
            done.map_err(|error| session.failure("cannot go on", &error))?;
        }
    }
    Ok(slow)
}

/// Connects one member whose plugin was started anew. Returns whether it asks for a slow sync of
/// everything.
pub(super) async fn connect_again(
    session: &MemberSession,
    asked: &MemberState,
    dry_run: bool,
) -> Result<bool, Error> {
    let slow_sync =
        one(session, Connect { slow_sync: asked.is_slow_everywhere(), read_only: dry_run, anchor: None })
            .await?;
    if let Some(main) = session.main_sink() {
        main.connect_done(&ConnectDone { slow_sync }).await?;
    }
    Ok(slow_sync)
}

async fn one(session: &MemberSession, request: Connect) -> Result<bool, Error> {
    match session.main_sink() {
        Some(main) => main.connect(&request).await.map(|connected| connected.slow_sync),
        None => Ok(false),
    }
}

/// Says to both that the run is over. Nothing that fails here fails the run.
pub(super) async fn finish(sessions: [&MemberSession; 2], came_through: bool) {
    for main in sessions.into_iter().filter_map(MemberSession::main_sink) {
        if let Err(error) = ended(&main, came_through).await {
            tracing::warn!(%error, "the main sink");
        }
    }
}

async fn ended(main: &SinkClient, came_through: bool) -> Result<(), Error> {
    let told = if came_through { succeeded(main).await } else { Ok(()) };
    let disconnected = main.disconnect().await; // whatever became of the others
    told.and(disconnected)
}
