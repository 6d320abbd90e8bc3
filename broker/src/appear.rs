//! Waits for something to appear in a folder, without looking all the time.

use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

/// How often one looks all the same: not every change is an event (a socket that begins to listen),
/// and not every system tells of them.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What a look came to.
pub(crate) enum Look<T, W> {
    Found(T),
    /// Not yet, and why not.
    NotYet(W),
}

/// Looks until something is found, at each change in the folder; gives up at `until`, with the reason
/// of the last look. Looks once at least.
///
/// # Errors
/// Those of `look`, at once.
pub(crate) async fn appear<T, W, E, L>(
    folder: &Path,
    until: Instant,
    mut look: impl FnMut() -> L,
) -> Result<Look<T, W>, E>
where
    L: Future<Output = Result<Look<T, W>, E>>,
{
    // Before the first look, so that nothing appears unseen between the two.
    let changes = Changes::of(folder).ok();
    loop {
        let seen = look().await?;
        if matches!(seen, Look::Found(_)) || Instant::now() >= until {
            return Ok(seen);
        }
        let again = until.min(Instant::now() + LOOK_AGAIN);
        let _changed_or_not = timeout_at(again, changed(changes.as_ref())).await;
    }
}

async fn changed(changes: Option<&Changes>) {
    match changes {
        Some(changes) => changes.next().await,
        None => std::future::pending().await,
    }
}

/// What happens in a folder.
#[cfg(target_os = "linux")]
struct Changes(tokio::io::unix::AsyncFd<std::os::fd::OwnedFd>);

#[cfg(target_os = "linux")]
impl Changes {
    fn of(folder: &Path) -> io::Result<Self> {
        use rustix::fs::inotify::{CreateFlags, WatchFlags, add_watch, init};
        let watch = init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        add_watch(&watch, folder, WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::ATTRIB)?;
        outrigger_transport::watch_descriptor(watch, tokio::io::Interest::READABLE).map(Self)
    }

    /// Waits for the next change; takes all that have come.
    async fn next(&self) {
        let Ok(mut ready) = self.0.readable().await else { return };
        let mut events = [0; 4096];
        while rustix::io::read(self.0.get_ref(), &mut events).is_ok_and(|count| count > 0) {}
        ready.clear_ready();
    }
}

/// This system tells of no changes.
#[cfg(not(target_os = "linux"))]
struct Changes;

#[cfg(not(target_os = "linux"))]
impl Changes {
    fn of(_folder: &Path) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    async fn next(&self) {
        std::future::pending().await
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::fs;

    use super::*;

    async fn wait_for(path: &Path, until: Instant, looks: &Cell<u32>) -> Look<(), &'static str> {
        let look = || {
            looks.set(looks.get() + 1);
            let found = path.exists();
            async move { Ok::<_, io::Error>(if found { Look::Found(()) } else { Look::NotYet("not there") }) }
        };
        appear(path.parent().unwrap(), until, look).await.unwrap()
    }

    #[tokio::test]
    async fn what_appears_is_seen_at_once_and_waiting_costs_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (path, looks) = (folder.path().join("a"), Cell::new(0));
        let begun = Instant::now();
        let wait = wait_for(&path, begun + Duration::from_secs(60), &looks);
        let mut wait = std::pin::pin!(wait);
        assert!(tokio::time::timeout(Duration::from_millis(50), &mut wait).await.is_err());
        assert!(looks.get() <= 2, "it looks {} times at nothing", looks.get());
        fs::write(&path, "").unwrap();
        assert!(matches!(wait.await, Look::Found(())));
    }

    #[tokio::test]
    async fn it_looks_once_without_time_and_says_why_not() {
        let folder = tempfile::tempdir().unwrap();
        let looks = Cell::new(0);
        let seen = wait_for(&folder.path().join("a"), Instant::now(), &looks).await;
        assert!(matches!(seen, Look::NotYet("not there")));
        assert_eq!(looks.get(), 1);
    }

    /// Where no change is told of, a folder that is not there say.
    #[tokio::test(start_paused = true)]
    async fn it_looks_from_time_to_time_where_nobody_tells() {
        let folder = tempfile::tempdir().unwrap();
        let (path, looks) = (folder.path().join("not").join("there"), Cell::new(0));
        wait_for(&path, Instant::now() + Duration::from_secs(10), &looks).await;
        assert_eq!(looks.get(), 11);
    }
}
