//! A plugin is started by one process and used by another.
//!
//! What goes over is the control socket: with it the other process sees the plugin's end, and ends it
//! by closing it. What cannot go over is being the keeper's parent: that stays, as a [`Lent`].

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::channel;
use super::child::{Child, plugin_number};
use super::layers::cgroup;
use super::leader::Leader;
use super::spawn::Process;
use crate::{Handover, HandoverNote};

/// What stays with the process that started a plugin which it has handed over: the duty to take away
/// what is left of its keeper. Readable ([`AsFd`]) once that has ended. Dropping it does no harm.
#[derive(Debug)]
pub struct Lent {
    ended: OwnedFd,
    process: Process,
}

impl Lent {
    /// Takes away what is left of the keeper, once it has ended; before that it waits.
    ///
    /// # Errors
    ///
    /// If the system does not give it away.
    pub fn reap(mut self) -> io::Result<()> {
        let keeper = self.process.id;
        if self.process.reap()?.is_some_and(|status| !status.success()) {
            // It went first; its control groups are beside ours, not beside those of who used it.
            std::thread::spawn(move || cgroup::remove_of(keeper));
        }
        Ok(())
    }
}

impl AsFd for Lent {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ended.as_fd()
    }
}

impl AsRawFd for Lent {
    fn as_raw_fd(&self) -> RawFd {
        self.ended.as_raw_fd()
    }
}

impl Child {
    /// Gives the plugin away. From here on it ends with whoever holds the control socket, and, as
    /// before, with this process: its keeper watches both.
    ///
    /// # Errors
    ///
    /// There is no descriptor left, or there was none for its pidfd, or its outputs were taken. Then it
    /// has been ended.
    pub fn hand_over(mut self) -> io::Result<(Handover, Lent)> {
        let note = HandoverNote { pid: self.pid(), keeper: self.keeper_pid(), report: self.report.clone() };
        let outputs = self.take_stdout().zip(self.take_stderr());
        let (stdout, stderr) = outputs.ok_or(io::ErrorKind::InvalidInput)?;
        let plugin = self.plugin.take().ok_or(io::ErrorKind::InvalidInput)?.into_pidfd();
        let keeper = Pid::from_raw(note.keeper.cast_signed()).ok_or(io::ErrorKind::InvalidInput)?;
        // Ours to reap, so its number is its own.
        let ended = pidfd_open(keeper, PidfdFlags::empty())?;
        let (told, control) = (ended.try_clone()?, self.process.control.try_clone()?);
        let process = self.process.without_control()?;
        Ok((
            Handover { note, descriptors: vec![control, told, plugin, stdout, stderr] },
            Lent { ended, process },
        ))
    }

    /// Takes over a plugin that another process of this user started. Its word is taken for what the
    /// note says; but nothing is signalled by a number of it: that is what the pidfds are for. At worst
    /// they are of other processes of this user, which that process could signal itself.
    ///
    /// # Errors
    ///
    /// The descriptors are not those of a plugin.
    pub fn adopt(handover: Handover) -> io::Result<Self> {
        let HandoverNote { pid, keeper, report } = handover.note;
        let [control, ended, plugin, stdout, stderr] = <[OwnedFd; 5]>::try_from(handover.descriptors)
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "five descriptors were expected"))?;
        let pid = plugin_number(pid.cast_signed()).filter(|_| channel::is_channel(&control));
        let pid = pid.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it is no plugin"))?;
        let process = Process::adopted(keeper, control, ended, [stdout, stderr]);
        Ok(Self { process, report, pid, plugin: Some(Leader::new(plugin)), ended: None, gone: false })
    }
}
