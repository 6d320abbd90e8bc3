//! Queues, semaphores, shared memory and keys of other programs.

use std::ffi::CString;

use super::raw::{self, Attempt, at, call, into, open, reached};
use super::{Probe, read_text};

pub(super) const PROBES: &[Probe] = &[
    ("attach_shared_memory", |to| call!(libc::SYS_shmat, to.ipc.shared_memory, 0, 0).map(drop)),
    ("make_shared_memory", |_| {
        let made = call!(libc::SYS_shmget, libc::IPC_PRIVATE, 4096, libc::IPC_CREAT | 0o600)?;
        call!(libc::SYS_shmctl, made, libc::IPC_RMID, 0).ok();
        Ok(())
    }),
    ("see_shared_memory", |to| {
        let mut about = [0_u8; 256];
        call!(libc::SYS_shmctl, to.ipc.shared_memory, libc::IPC_STAT, into(&mut about)).map(drop)
    }),
    ("list_shared_memory", |to| {
        let listed = read_text("/proc/sysvipc/shm")?;
        super::check(listed.contains(&format!(" {} ", to.ipc.shared_memory)))
    }),
    ("use_semaphores", |to| {
        let release = [0_i16, 1, 0]; // sembuf: which, by how much, flags
        call!(libc::SYS_semop, to.ipc.semaphores, at(&release), 1).map(drop)
    }),
    ("use_semaphores_in_time", |to| {
        let (release, second) = ([0_i16, 1, 0], [1_i64, 0]);
        call!(libc::SYS_semtimedop, to.ipc.semaphores, at(&release), 1, at(&second)).map(drop)
    }),
    ("read_semaphores", |to| call!(libc::SYS_semctl, to.ipc.semaphores, 0, libc::GETVAL).map(drop)),
    ("make_semaphores", |_| {
        let made = call!(libc::SYS_semget, libc::IPC_PRIVATE, 1, libc::IPC_CREAT | 0o600)?;
        call!(libc::SYS_semctl, made, 0, libc::IPC_RMID, 0).ok();
        Ok(())
    }),
    ("send_to_message_queue", |to| {
        let message = [1_i64, 0];
        call!(libc::SYS_msgsnd, to.ipc.messages, at(&message), 1, libc::IPC_NOWAIT).map(drop)
    }),
    ("take_from_message_queue", |to| {
        let mut message = [0_i64; 2];
        reached(call!(libc::SYS_msgrcv, to.ipc.messages, into(&mut message), 8, 0, libc::IPC_NOWAIT))
    }),
    ("see_message_queue", |to| {
        let mut about = [0_u8; 256];
        call!(libc::SYS_msgctl, to.ipc.messages, libc::IPC_STAT, into(&mut about)).map(drop)
    }),
    ("make_message_queue", |_| {
        let made = call!(libc::SYS_msgget, libc::IPC_PRIVATE, libc::IPC_CREAT | 0o600)?;
        call!(libc::SYS_msgctl, made, libc::IPC_RMID, 0).ok();
        Ok(())
    }),
    ("open_posix_queue", |to| posix_queue(&to.ipc.queue, libc::O_RDWR).map(drop)),
    ("make_posix_queue", |_| {
        let name = format!("probe-{}", std::process::id());
        posix_queue(&name, libc::O_RDWR | libc::O_CREAT)?;
        let name = CString::new(name).unwrap();
        call!(libc::SYS_mq_unlink, name.as_ptr()).ok();
        Ok(())
    }),
    ("remove_posix_queue", |to| {
        let name = CString::new(to.ipc.queue.as_str()).unwrap();
        call!(libc::SYS_mq_unlink, name.as_ptr()).map(drop)
    }),
    ("read_posix_memory", |to| open(&to.ipc.posix_memory, libc::O_RDONLY).map(drop)),
    ("write_posix_memory", |to| open(&to.ipc.posix_memory, libc::O_RDWR).map(drop)),
    ("add_key", |_| {
        const PROCESS_KEYRING: i32 = -2;
        let (kind, name) = (c"user".as_ptr(), c"probe".as_ptr());
        call!(libc::SYS_add_key, kind, name, at("x"), 1, PROCESS_KEYRING).map(drop)
    }),
    ("request_key", |_| {
        let (kind, name) = (c"user".as_ptr(), c"outrigger-no-such-key".as_ptr());
        reached(call!(libc::SYS_request_key, kind, name, 0, 0))
    }),
    ("use_session_keyring", |_| {
        const GET_KEYRING_ID: i32 = 0;
        const SESSION_KEYRING: i32 = -3;
        reached(call!(libc::SYS_keyctl, GET_KEYRING_ID, SESSION_KEYRING, 0))
    }),
];

fn posix_queue(name: &str, flags: i32) -> Attempt<std::os::fd::OwnedFd> {
    let name = CString::new(name).unwrap();
    raw::descriptor(call!(libc::SYS_mq_open, name.as_ptr(), flags | libc::O_CLOEXEC, 0o600, 0))
}
