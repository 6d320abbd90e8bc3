//! How a plugin is ended whose keeper cannot do it: by the group of its first process.

use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process_group, pidfd_send_signal, test_kill_process};

use super::{proc, sys};

/// The first process of a plugin, which leads a group. By its pidfd: what a number means by now, or in
/// another process's eyes, is nobody's word.
#[derive(Debug)]
pub(super) struct Leader {
    /// Opened by the keeper while it could be no other.
    pidfd: OwnedFd,
    /// The number that it has here; `None`: it lives in another process namespace, or was reaped.
    number: Option<Pid>,
}

impl Leader {
    pub(super) fn new(pidfd: OwnedFd) -> Self {
        Self { number: proc::number_of(&pidfd), pidfd }
    }

    pub(super) fn into_pidfd(self) -> OwnedFd {
        self.pidfd
    }

    pub(super) fn kill_group(&self) {
        match sys::signal_group(&self.pidfd, Signal::KILL) {
            Err(error) if Errno::from_io_error(&error) == Some(Errno::INVAL) => self.kill_group_by_number(),
            _ => {} // fails only if none is left
        }
    }

    /// Before Linux 6.9. As long as somebody is in the group, no new process gets its number: so the
    /// group is the plugin's if that is the plugin's own, or nobody's.
    fn kill_group_by_number(&self) {
        pidfd_send_signal(&self.pidfd, Signal::KILL).ok();
        let is_its_own = |number| {
            proc::number_of(&self.pidfd) == Some(number) || test_kill_process(number) == Err(Errno::SRCH)
        };
        if let Some(number) = self.number.filter(|number| is_its_own(*number)) {
            kill_process_group(number, Signal::KILL).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::{CommandExt, ExitStatusExt};
    use std::process::{Child, Command};

    use rustix::process::{PidfdFlags, kill_process, pidfd_open};

    use super::*;

    /// A process that waits, in the group of this one; 0: in its own.
    fn waiting(group: u32) -> Child {
        Command::new("sleep").arg("60").process_group(group.cast_signed()).spawn().unwrap()
    }

    /// As before Linux 6.9, which knows no group of a pidfd.
    #[test]
    fn b22_a_group_is_killed_by_number_only_while_that_is_its_own() {
        let mut first = waiting(0);
        let pidfd = pidfd_open(Pid::from_child(&first), PidfdFlags::empty()).unwrap();
        let leader = Leader::new(pidfd);
        let mut member = waiting(first.id());
        first.kill().unwrap();
        first.wait().unwrap();
        leader.kill_group_by_number();
        assert_eq!(member.wait().unwrap().signal(), Some(Signal::KILL.as_raw()), "it is left in its group");
        // The number has become another's.
        let mut stranger = waiting(0);
        let number = Pid::from_child(&stranger);
        Leader { number: Some(number), ..leader }.kill_group_by_number();
        kill_process(number, Signal::TERM).unwrap();
        assert_eq!(
            stranger.wait().unwrap().signal(),
            Some(Signal::TERM.as_raw()),
            "it was not signalled before"
        );
    }
}
