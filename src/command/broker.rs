//! `broker`: a broker as a process of its own.

use outrigger::broker::{Service, ServiceError};
use outrigger::exit::Exit;
use outrigger::report::Failure;
use tokio::signal::unix::{SignalKind, signal};

use super::{Ended, runtime};

/// Serves engines until it is told to end.
pub(crate) fn broker() -> Ended {
    let runtime = runtime()?;
    let ended = runtime.block_on(async {
        // Listened for before anybody can know that it is there.
        let stop = told_to_end().map_err(|error| Failure::internal("no signals").because(&error))?;
        let service = Service::take().await.map_err(|error| not_taken(&error))?;
        // Told without -v too: whoever starts it in the background waits for this line.
        let (socket, process) = (service.socket(), std::process::id());
        tracing::info!(target: "broker", "serving on {}, process {process}", socket.display());
        service.serve(stop).await;
        tracing::info!("the broker has ended");
        Ok(Exit::Done)
    });
    // A process that is being started ends with this one.
    runtime.shutdown_background();
    ended
}

fn told_to_end() -> std::io::Result<impl Future<Output = ()>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

fn not_taken(error: &ServiceError) -> Failure {
    match error {
        ServiceError::Held { .. } => Failure::new(Exit::Locked, error.to_string())
            .hint("one is enough for all runs of a user; end it before another is started"),
        ServiceError::Io(error) => Failure::new(Exit::Plugin, "the runtime directory cannot be used")
            .because(error)
            .hint("somebody else may have taken the name; remove what lies there if it is nobody's"),
    }
}
