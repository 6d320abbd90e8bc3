//! A line from the terminal, shown while it is typed or not, for as long as it is wanted.

use std::io;

use outrigger::protocol::SecretText;

#[cfg(not(unix))]
pub(super) use elsewhere::{Shown, read_line};
#[cfg(unix)]
pub(super) use unix::{Shown, read_line};

#[cfg(unix)]
mod unix {
    use std::sync::{Arc, Mutex, PoisonError};

    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::io::Errno;
    use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
    use zeroize::Zeroizing;

    use super::{SecretText, io};

    /// How long to wait for a key before looking whether anybody waits.
    const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

    /// Longest line that is read.
    const MOST: usize = 8 << 10;

    /// What the terminal was before it hid what is typed. Each clone restores it when dropped.
    #[derive(Clone, Default)]
    pub(in super::super) struct Shown(Arc<Mutex<Option<Termios>>>);

    impl Shown {
        fn hide(&self) -> io::Result<()> {
            let mut hidden = tcgetattr(io::stdin())?;
            let mut saved = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            saved.get_or_insert_with(|| hidden.clone());
            hidden.local_modes.remove(LocalModes::ECHO); // Ctrl-C and line editing stay
            hidden.local_modes.insert(LocalModes::ECHONL);
            Ok(tcsetattr(io::stdin(), OptionalActions::Flush, &hidden)?)
        }

        fn restore(&self) {
            let mut saved = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(saved) = saved.take() {
                let _the_terminal_is_gone = tcsetattr(io::stdin(), OptionalActions::Now, &saved);
            }
        }
    }

    impl Drop for Shown {
        fn drop(&mut self) {
            self.restore();
        }
    }

    /// Reads a line.
    ///
    /// # Errors
    /// The input has ended, nobody waits any more, or the line is no text of at most 8 KiB.
    pub(in super::super) fn read_line(
        hidden: bool,
        shown: &Shown,
        is_given_up: &dyn Fn() -> bool,
    ) -> io::Result<SecretText> {
        if hidden {
            shown.hide()?;
        }
        let line = line(is_given_up);
        shown.restore();
        line
    }

    fn line(is_given_up: &dyn Fn() -> bool) -> io::Result<SecretText> {
        let stdin = io::stdin();
        let mut line = Zeroizing::new(Vec::with_capacity(MOST)); // never moved: no copy is left behind
        loop {
            if is_given_up() {
                return Err(io::ErrorKind::Interrupted.into());
            }
            match poll(&mut [PollFd::new(&stdin, PollFlags::IN)], Some(&LOOK)) {
                Ok(0) | Err(Errno::INTR) => continue,
                ready => ready?,
            };
            if line.len() == line.capacity() {
                return Err(io::ErrorKind::InvalidData.into());
            }
            match rustix::io::read(&stdin, rustix::buffer::spare_capacity(&mut *line)) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            if let Some(text) = line.strip_suffix(b"\n") {
                let text = std::str::from_utf8(text).map_err(|_| io::ErrorKind::InvalidData)?;
                return Ok(SecretText::new(text.to_owned()));
            }
        }
    }
}

/// Windows consoles are not asked yet.
#[cfg(not(unix))]
mod elsewhere {
    use super::{SecretText, io};

    #[derive(Clone, Default)]
    pub(in super::super) struct Shown;

    pub(in super::super) fn read_line(_: bool, _: &Shown, _: &dyn Fn() -> bool) -> io::Result<SecretText> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
