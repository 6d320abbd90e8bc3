//! The tables of system calls. Each says what its calls have in common.

use libc::*;

/// What programs need. Everything else does not exist for a plugin.
#[rustfmt::skip]
pub(super) const KNOWN: &[i64] = &[
    // Reading, writing, waiting.
    SYS_read, SYS_write, SYS_close, SYS_fstat, SYS_lseek, SYS_pread64, SYS_pwrite64, SYS_readv, SYS_writev,
    SYS_preadv, SYS_pwritev, SYS_preadv2, SYS_pwritev2, SYS_sendfile, SYS_copy_file_range, SYS_splice, SYS_tee,
    SYS_vmsplice, SYS_ppoll, SYS_pselect6, SYS_epoll_create1, SYS_epoll_ctl, SYS_epoll_pwait, SYS_epoll_pwait2,
    SYS_eventfd2, SYS_signalfd4, SYS_timerfd_create, SYS_timerfd_settime, SYS_timerfd_gettime, SYS_pipe2, SYS_dup,
    SYS_dup3, SYS_fcntl, SYS_ioctl, SYS_flock, SYS_fsync, SYS_fdatasync, SYS_sync_file_range, SYS_syncfs,
    SYS_fallocate, SYS_fadvise64, SYS_readahead, SYS_close_range, SYS_inotify_init1, SYS_inotify_add_watch,
    SYS_inotify_rm_watch,
    // Files by name.
    SYS_openat, SYS_newfstatat, SYS_statx, SYS_faccessat, SYS_faccessat2, SYS_readlinkat, SYS_getdents64, SYS_getcwd,
    SYS_chdir, SYS_fchdir, SYS_mkdirat, SYS_unlinkat, SYS_renameat2, SYS_linkat, SYS_symlinkat, SYS_truncate,
    SYS_ftruncate, SYS_fchmod, SYS_fchmodat, SYS_fchmodat2, SYS_fchown, SYS_fchownat, SYS_utimensat, SYS_umask,
    SYS_statfs, SYS_fstatfs, SYS_getxattr, SYS_lgetxattr, SYS_fgetxattr, SYS_listxattr, SYS_llistxattr,
    SYS_flistxattr, SYS_setxattr, SYS_lsetxattr, SYS_fsetxattr, SYS_removexattr, SYS_lremovexattr, SYS_fremovexattr,
    // Memory.
    SYS_mmap, SYS_mprotect, SYS_munmap, SYS_brk, SYS_mremap, SYS_msync, SYS_mincore, SYS_madvise, SYS_mlock,
    SYS_mlock2, SYS_munlock, SYS_mlockall, SYS_munlockall, SYS_membarrier, SYS_memfd_create, SYS_pkey_alloc,
    SYS_pkey_free, SYS_pkey_mprotect,
    // Processes and threads.
    SYS_clone, SYS_execve, SYS_execveat, SYS_exit, SYS_exit_group, SYS_wait4, SYS_waitid, SYS_set_tid_address,
    SYS_set_robust_list, SYS_get_robust_list, SYS_futex, SYS_futex_waitv, SYS_rseq, SYS_gettid, SYS_getpid,
    SYS_getppid, SYS_getpgid, SYS_getsid, SYS_getuid, SYS_geteuid, SYS_getgid, SYS_getegid, SYS_getresuid,
    SYS_getresgid, SYS_getgroups, SYS_setuid, SYS_setgid, SYS_setreuid, SYS_setregid, SYS_setresuid, SYS_setresgid,
    SYS_setfsuid, SYS_setfsgid, SYS_capget, SYS_prctl, SYS_seccomp, SYS_landlock_create_ruleset,
    SYS_landlock_add_rule, SYS_landlock_restrict_self, SYS_pidfd_open, SYS_personality, SYS_restart_syscall,
    // Signals.
    SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_rt_sigpending, SYS_rt_sigtimedwait,
    SYS_rt_sigsuspend, SYS_sigaltstack, SYS_kill, SYS_tgkill, SYS_tkill, SYS_rt_sigqueueinfo,
    SYS_rt_tgsigqueueinfo, SYS_pidfd_send_signal,
    // Time and the machine.
    SYS_nanosleep, SYS_clock_nanosleep, SYS_clock_gettime, SYS_clock_getres, SYS_gettimeofday, SYS_getitimer,
    SYS_setitimer, SYS_timer_create, SYS_timer_settime, SYS_timer_gettime, SYS_timer_getoverrun, SYS_timer_delete,
    SYS_times, SYS_getrusage, SYS_sysinfo, SYS_uname, SYS_getrandom, SYS_getcpu,
    // Scheduling and limits.
    SYS_sched_yield, SYS_sched_getaffinity, SYS_sched_setaffinity, SYS_sched_getparam, SYS_sched_setparam,
    SYS_sched_getscheduler, SYS_sched_setscheduler, SYS_sched_getattr, SYS_sched_setattr,
    SYS_sched_get_priority_max, SYS_sched_get_priority_min, SYS_sched_rr_get_interval, SYS_getpriority,
    SYS_setpriority, SYS_ioprio_get, SYS_ioprio_set, SYS_prlimit64,
    // Sockets: those that it has. What makes them is looked at more closely.
    SYS_socket, SYS_socketpair, SYS_connect, SYS_sendto, SYS_recvfrom, SYS_sendmsg, SYS_recvmsg, SYS_sendmmsg,
    SYS_recvmmsg, SYS_shutdown, SYS_getsockname, SYS_getpeername, SYS_setsockopt, SYS_getsockopt,
    // What only this architecture has.
    #[cfg(target_arch = "x86_64")] SYS_open, #[cfg(target_arch = "x86_64")] SYS_creat,
    #[cfg(target_arch = "x86_64")] SYS_stat, #[cfg(target_arch = "x86_64")] SYS_lstat,
    #[cfg(target_arch = "x86_64")] SYS_access, #[cfg(target_arch = "x86_64")] SYS_readlink,
    #[cfg(target_arch = "x86_64")] SYS_getdents, #[cfg(target_arch = "x86_64")] SYS_mkdir,
    #[cfg(target_arch = "x86_64")] SYS_rmdir, #[cfg(target_arch = "x86_64")] SYS_unlink,
    #[cfg(target_arch = "x86_64")] SYS_rename, #[cfg(target_arch = "x86_64")] SYS_link,
    #[cfg(target_arch = "x86_64")] SYS_symlink, #[cfg(target_arch = "x86_64")] SYS_chmod,
    #[cfg(target_arch = "x86_64")] SYS_chown, #[cfg(target_arch = "x86_64")] SYS_lchown,
    #[cfg(target_arch = "x86_64")] SYS_utime, #[cfg(target_arch = "x86_64")] SYS_utimes,
    #[cfg(target_arch = "x86_64")] SYS_futimesat, #[cfg(target_arch = "x86_64")] SYS_poll,
    #[cfg(target_arch = "x86_64")] SYS_select, #[cfg(target_arch = "x86_64")] SYS_epoll_create,
    #[cfg(target_arch = "x86_64")] SYS_epoll_wait, #[cfg(target_arch = "x86_64")] SYS_eventfd,
    #[cfg(target_arch = "x86_64")] SYS_signalfd, #[cfg(target_arch = "x86_64")] SYS_inotify_init,
    #[cfg(target_arch = "x86_64")] SYS_pipe, #[cfg(target_arch = "x86_64")] SYS_dup2,
    #[cfg(target_arch = "x86_64")] SYS_fork, #[cfg(target_arch = "x86_64")] SYS_vfork,
    #[cfg(target_arch = "x86_64")] SYS_getpgrp, #[cfg(target_arch = "x86_64")] SYS_alarm,
    #[cfg(target_arch = "x86_64")] SYS_pause, #[cfg(target_arch = "x86_64")] SYS_time,
    #[cfg(target_arch = "x86_64")] SYS_arch_prctl,
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))] SYS_renameat,
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))] SYS_getrlimit,
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))] SYS_setrlimit,
    #[cfg(target_arch = "riscv64")] SYS_riscv_flush_icache,
];

/// What no plugin has any business with. `EPERM` says so, where an unknown call would be `ENOSYS`.
#[rustfmt::skip]
pub(super) const DANGEROUS: &[i64] = &[
    // Other processes.
    SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev, SYS_kcmp, SYS_pidfd_getfd, SYS_setsid, SYS_setpgid,
    // Namespaces, roots and mounts.
    SYS_unshare, SYS_setns, SYS_mount, SYS_umount2, SYS_pivot_root, SYS_chroot, SYS_fsopen, SYS_fsmount,
    SYS_fsconfig, SYS_fspick, SYS_move_mount, SYS_open_tree, SYS_mount_setattr, SYS_quotactl,
    // Files past their names.
    SYS_name_to_handle_at, SYS_open_by_handle_at, SYS_fanotify_init, SYS_fanotify_mark, SYS_mknodat,
    // Parts of the kernel that are large, and seldom needed.
    SYS_bpf, SYS_perf_event_open, SYS_userfaultfd, SYS_io_uring_setup, SYS_io_uring_enter, SYS_io_uring_register,
    SYS_keyctl, SYS_add_key, SYS_request_key, SYS_lookup_dcookie,
    // Memory and queues that other programs can find.
    SYS_shmget, SYS_shmat, SYS_shmctl, SYS_shmdt, SYS_semget, SYS_semop, SYS_semctl, SYS_semtimedop, SYS_msgget,
    SYS_msgsnd, SYS_msgrcv, SYS_msgctl, SYS_mq_open, SYS_mq_unlink, SYS_mq_timedsend, SYS_mq_timedreceive,
    SYS_mq_notify, SYS_mq_getsetattr,
    // The machine.
    SYS_acct, SYS_swapon, SYS_swapoff, SYS_reboot, SYS_settimeofday, SYS_clock_settime, SYS_clock_adjtime,
    SYS_adjtimex, SYS_sethostname, SYS_setdomainname, SYS_init_module, SYS_finit_module, SYS_delete_module,
    SYS_kexec_load, SYS_syslog, SYS_vhangup, SYS_setgroups, SYS_capset, SYS_move_pages, SYS_migrate_pages,
    #[cfg(target_arch = "x86_64")] SYS_iopl, #[cfg(target_arch = "x86_64")] SYS_ioperm,
    #[cfg(target_arch = "x86_64")] SYS_modify_ldt, #[cfg(target_arch = "x86_64")] SYS_mknod,
    #[cfg(target_arch = "x86_64")] SYS_uselib, #[cfg(target_arch = "x86_64")] SYS_sysfs,
];

/// Namespaces that a new process could get.
pub(super) const CLONE_REFUSED: &[i32] = &[
    CLONE_NEWNS,
    CLONE_NEWUSER,
    CLONE_NEWPID,
    CLONE_NEWNET,
    CLONE_NEWIPC,
    CLONE_NEWUTS,
    CLONE_NEWCGROUP,
    CLONE_PTRACE,
];

/// `PR_SET_PDEATHSIG`, `PR_SET_CHILD_SUBREAPER`, `PR_SET_MM`, `PR_SET_SECUREBITS`, `PR_CAP_AMBIENT`,
/// `PR_SET_KEEPCAPS`: what would loosen its ties, or its capabilities if it had any.
pub(super) const PRCTL_REFUSED: &[u64] = &[1, 36, 35, 28, 47, 8];

/// What may be asked of a descriptor: whether it waits, how much there is to read, whether it is closed on
/// `exec`; whether it is a terminal, and how large; and to share the blocks of one file with another,
/// which needs the right to read the one and to write the other, and is no more than a copy.
///
/// Everything else is a driver's or a file system's own, and acts on what was opened only to be read:
/// subvolumes and snapshots, encryption, seals, flags, input into a terminal, interfaces and routes.
pub(super) const IOCTL_KNOWN: [u64; 9] = [
    0x5421,      // FIONBIO
    0x541B,      // FIONREAD
    0x5451,      // FIOCLEX
    0x5450,      // FIONCLEX
    0x5401,      // TCGETS
    0x802C_542A, // TCGETS2
    0x5413,      // TIOCGWINSZ
    0x4004_9409, // FICLONE
    0x4020_940D, // FICLONERANGE
];

/// `F_SETLEASE`, `F_NOTIFY`: who opens a file to write would wait for its reader, and a folder that may
/// be read could be watched.
pub(super) const FCNTL_REFUSED: &[u64] = &[1024, 1026];

/// `F_SETOWN` and `F_SETOWN_EX`: who gets signals about a descriptor.
pub(super) const FCNTL_OWNERS: &[u64] = &[8, 15];

/// Signals to anybody but a process or a thread by number.
pub(super) const SIGNALS: &[i64] =
    &[SYS_tkill, SYS_rt_sigqueueinfo, SYS_rt_tgsigqueueinfo, SYS_pidfd_send_signal];

/// All calls that send a signal to the process of the first argument.
pub(super) const SIGNALS_TO: &[i64] =
    &[SYS_kill, SYS_tgkill, SYS_tkill, SYS_rt_sigqueueinfo, SYS_rt_tgsigqueueinfo];

/// Changes something about the process of the first argument; 0 is the caller.
pub(super) const OF_A_PROCESS: &[i64] =
    &[SYS_prlimit64, SYS_sched_setaffinity, SYS_sched_setparam, SYS_sched_setscheduler, SYS_sched_setattr];

/// Tells something about the process of the first argument that no program needs to know.
pub(super) const ABOUT_A_PROCESS: &[i64] = &[SYS_getsid, SYS_getpgid];

/// Changes something about the process of the second argument, if the first says that it is one
/// (`PRIO_PROCESS`, `IOPRIO_WHO_PROCESS`); 0 is the caller.
pub(super) const OF_A_KIND_AND_PROCESS: &[(i64, u64)] = &[(SYS_setpriority, 0), (SYS_ioprio_set, 1)];

/// Changes what Landlock does not know of, of any file by its path; and watches it.
#[rustfmt::skip]
pub(super) const BY_PATH: &[i64] = &[
    SYS_fchmodat, SYS_fchmodat2, SYS_fchownat, SYS_utimensat, SYS_setxattr, SYS_lsetxattr, SYS_removexattr,
    SYS_lremovexattr, SYS_inotify_add_watch,
    #[cfg(target_arch = "x86_64")] SYS_chmod, #[cfg(target_arch = "x86_64")] SYS_chown,
    #[cfg(target_arch = "x86_64")] SYS_lchown, #[cfg(target_arch = "x86_64")] SYS_utime,
    #[cfg(target_arch = "x86_64")] SYS_utimes, #[cfg(target_arch = "x86_64")] SYS_futimesat,
];

/// The same of an open file, though it was opened only to be read.
pub(super) const BY_DESCRIPTOR: &[i64] = &[SYS_fchmod, SYS_fchown, SYS_fsetxattr, SYS_fremovexattr];
