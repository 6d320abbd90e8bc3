//! The matrix as data: for each probe, when it should be stopped, and which guarantee speaks of it.

use outrigger_sandbox::Guarantee::{
    self, CleanupOnBrokerDeath, Disk, EnvAndDescriptorsClean, Exec, FsMetadata, FsRead, FsWrite,
    IpcIsolation, Memory, Network, NoNewPrivileges, ProcessIsolation, Processes,
};

use super::Setup;
use super::rule::Rule::{
    self, Always, AsReported, ByWitness, Ever, Landlocked, Namespaced, Never, OfKernel, OfRoot,
};
use super::rule::{
    Expected, always, as_a_program, in_namespaces, with_children, with_port, with_proxy, with_refer,
    with_scope,
};

/// What must not work.
#[rustfmt::skip]
pub(super) const ATTACKS: &[(Option<Guarantee>, Rule, &[&str])] = &[
    (Some(FsRead), Always, &[
        "read_secret", "read_secret_by_openat2", "read_secret_by_dot_dot", "read_secret_by_root_link",
        "read_secret_by_symbolic_link", "read_secret_by_hard_link", "read_secret_by_rename_into_grant",
        "read_secret_by_mapping", "read_secret_by_open_path", "read_secret_by_relative_path",
        "read_password_file", "list_home", "list_outside", "read_terminal",
    ]),
    (Some(FsRead), OfRoot, &[
        "read_secret_by_handle", "read_shadow_file", "read_kernel_addresses", "read_kernel_log",
    ]),
    (Some(FsWrite), Always, &[
        "write_outside", "create_outside", "truncate_outside", "truncate_outside_by_open",
        "make_folder_outside", "make_fifo_outside", "make_symbolic_link_outside", "remove_outside",
        "remove_folder_outside", "rename_outside", "rename_out_of_grant", "link_out_of_grant",
        "exchange_with_outside", "link_read_only_into_grant", "rename_read_only_into_grant",
        "write_read_only", "create_in_read_only", "truncate_read_only", "truncate_read_only_by_open",
        "truncate_read_only_by_openat2",
        "truncate_read_only_by_the_old_open", "truncate_read_only_by_creat", "remove_read_only", "rename_read_only",
        "reopen_read_only_for_writing", "write_terminal",
    ]),
    // Mode, owner, times, attributes.
    (Some(FsWrite), Always, &[
        "chmod_outside", "chmod_outside_by_the_old_call", "chown_outside", "chown_outside_by_the_old_call",
        "chown_outside_by_the_old_call_for_links", "set_times_outside",
        "set_times_outside_by_the_oldest_call", "set_times_outside_by_the_old_call",
        "set_times_outside_by_the_other_old_call", "set_attribute_outside", "set_attribute_of_link_outside",
        "remove_attribute_outside", "chmod_read_only", "chmod_read_only_by_descriptor",
        "chmod_read_only_by_proc", "chown_read_only_by_descriptor", "set_times_of_read_only_by_descriptor",
        "set_attribute_of_read_only_by_descriptor", "set_flags_of_read_only_by_descriptor",
        "set_flags_of_read_only_by_other_request", "remove_attribute_of_link_outside",
        "remove_attribute_of_read_only_by_descriptor",
    ]),
    (Some(FsWrite), OfKernel, &[
        "chmod_outside_by_the_new_call", "set_attribute_outside_by_the_new_call",
        "set_flags_outside_by_the_new_call", "set_version_of_read_only_by_descriptor",
    ]),
    (Some(FsWrite), OfRoot, &["make_device_in_grant", "write_kernel_settings"]),
    (Some(FsWrite), OfKernel, &["trigger_system_request"]),
    (Some(FsWrite), Ever, &["write_read_only_by_own_memory"]),
    // Landlock has no right for these (ABI 1 to 7): only the mount namespace hides files.
    (Some(FsMetadata), Namespaced, &[
        "stat_outside", "stat_outside_by_the_old_call", "access_outside", "open_path_outside",
        "read_link_outside", "change_folder_outside", "file_system_of_outside",
    ]),
    (Some(FsMetadata), AsReported, &["attributes_of_outside", "handle_of_outside"]),
    (Some(FsMetadata), Always, &["watch_outside", "watch_outside_by_fanotify", "watch_outside_by_dnotify"]),
    (Some(Exec), Always, &[
        "execute_shell", "execute_outside", "execute_read_only", "execute_written",
        "execute_written_by_descriptor", "execute_written_script",
    ]),
    // A program in memory has no path that Landlock could know of, and the loader must be executable, as
    // it is the interpreter of nearly every program. What runs so has no rights that the plugin lacks,
    // and the guarantee speaks of files only.
    (None, AsReported, &[
        "execute_memory", "execute_memory_by_proc", "execute_written_by_loader", "execute_shell_by_loader",
    ]),
    // Anonymous memory can be made code as well, so this is a convenience, not a way to anything.
    (None, AsReported, &["map_written_as_code"]),
    (Some(Exec), Ever, &["load_old_library"]),
    (Some(Network), Always, &[
        "tcp_connect", "tcp_connect_v6", "tcp_connect_v4_in_v6", "tcp_connect_without_waiting",
        "tcp_send_with_syn_by_sendto", "tcp_send_with_syn_and_high_bits", "tcp_send_with_syn_by_sendto_v6",
        "tcp_send_with_syn_by_sendmsg", "tcp_send_with_syn_by_sendmmsg", "tcp_send_with_syn_by_option",
        "tcp_bind", "tcp_bind_granted_port", "tcp_bind_v6", "tcp_listen_after_bind",
        "tcp_listen_without_bind", "tcp_listen_without_bind_v6", "udp_send", "udp_send_v6",
        "udp_send_connected", "udp_send_to_granted_port", "udp_bind", "udp_lite", "netlink_route",
        "netlink_udev", "any_other_family",
    ]),
    (Some(Network), OfRoot, &["raw_socket", "raw_socket_v6", "packet_socket"]),
    (Some(Network), OfKernel, &[
        "mptcp_connect", "mptcp_connect_v6", "mptcp_connect_granted_port", "sctp", "smc", "vsock",
        "netlink_audit", "ping_socket", "crypto_socket",
    ]),
    (Some(IpcIsolation), Always, &[
        "abstract_socket", "abstract_socket_bind", "path_socket", "path_socket_bind_in_grant", "session_bus",
        "datagram_socket", "pair_of_datagrams_to_path", "pair_of_datagrams_to_path_by_sendmsg",
        "pair_of_datagrams_connects", "socket_with_high_bits", "pair_with_high_bits", "pair_of_raw_to_path",
        "pair_of_packets", "attach_shared_memory", "make_shared_memory", "see_shared_memory",
        "list_shared_memory", "use_semaphores", "use_semaphores_in_time", "read_semaphores", "take_from_message_queue",
        "see_message_queue", "remove_posix_queue", "make_semaphores", "send_to_message_queue",
        "make_message_queue", "open_posix_queue", "make_posix_queue", "read_posix_memory",
        "write_posix_memory", "add_key", "request_key", "use_session_keyring",
    ]),
    (Some(IpcIsolation), Ever, &["connection_connects_elsewhere"]),
    (Some(ProcessIsolation), Always, &[
        "see_processes", "see_broker_status", "see_broker_command", "see_broker_limits",
        "see_broker_mutexes", "read_broker_environment", "read_broker_memory_by_proc",
        "write_broker_memory_by_proc", "read_broker_maps", "list_broker_descriptors",
        "open_broker_descriptor", "read_secret_by_broker_root", "read_broker_folder",
        "read_secret_by_process_vm_readv", "write_memory_by_process_vm_writev", "trace_broker",
        "trace_another", "take_broker_descriptor", "compare_with_broker", "set_broker_limits",
        "set_broker_priority", "set_group_priority", "pin_broker", "set_broker_scheduler",
        "set_broker_io_priority", "set_broker_score", "move_broker_pages", "set_broker_attributes", "set_broker_parameters",
        "trace_parent", "open_parent_memory", "read_secret_by_parent_root", "signal_broker",
        "signal_another", "signal_group_of_broker", "signal_thread_of_broker",
        "signal_thread_by_the_old_call", "queue_signal", "queue_signal_to_thread", "signal_by_pidfd",
        "signal_by_pidfd_of_proc",
    ]),
    (Some(ProcessIsolation), Landlocked, &[
        "signal_parent_of_plugin", "list_parent_descriptors", "set_parent_limits", "set_priority_of_a_user",
        "set_io_priority_of_a_user",
    ]),
    (Some(ProcessIsolation), OfRoot, &["advise_broker_memory", "enter_namespace_of_broker"]),
    (Some(ProcessIsolation), Always, &["see_broker_by_session", "watch_broker", "see_broker_group"]),
    // That a process exists, and how it is scheduled: threads are asked about by the same calls, so no
    // filter can tell. It goes with the metadata that only namespaces hide.
    (Some(FsMetadata), Namespaced, &[
        "see_broker_processors", "see_broker_scheduler", "see_broker_priority", "see_broker_io_priority",
        "see_broker_time",
    ]),
    (None, ByWitness, &[
        "signal_first_process", "signal_everybody", "signal_everybody_without_a_sign", "signal_own_group",
        "signal_by_owner", "signal_by_owner_group", "signal_by_extended_owner", "signal_by_owner_of_socket",
        "signal_by_process_group_of_socket", "signal_by_owner_with_high_bits",
        "signal_by_owner_of_socket_with_high_bits", "daemon",
    ]),
    (Some(CleanupOnBrokerDeath), Landlocked, &[
        "leave_the_session", "leave_the_process_group", "stop_dying_with_the_parent", "adopt_orphans",
    ]),
    (Some(EnvAndDescriptorsClean), Ever, &[
        "secret_in_environment", "secret_in_arguments", "secret_in_leaked_descriptor", "more_descriptors",
        "terminal_of_its_own_session",
    ]),
    (Some(NoNewPrivileges), Ever, &["privileges_by_execution"]),
    (None, OfRoot, &["capabilities"]),
    (None, Always, &["hold_up_whoever_writes_read_only", "calls_without_a_filter"]),
    // The kernel's own surface: no guarantee speaks of it, every other one rests on it.
    (None, Always, &[
        "unshare_user", "unshare_all", "clone_user", "clone_user_and_network", "clone3_user",
        "clone_user_with_high_bits", "enter_own_namespace", "enter_namespace", "open_tree", "unmount",
        "fsconfig", "set_clock", "io_uring", "io_uring_enter", "io_uring_register", "userfaultfd", "bpf",
        "perf_event_open", "personality", "quota", "numa_policy", "push_characters_to_terminal",
        "select_on_console", "push_characters_with_high_bits", "select_on_console_with_high_bits",
        "take_terminal", "set_line_discipline", "read_system_settings",
    ]),
    (None, OfRoot, &[
        "unshare_mounts", "unshare_network", "clone3_time", "mount", "pivot_root", "change_root",
        "move_mount", "fsopen", "fspick", "fsmount", "mount_setattr", "accounting", "swap_on", "swap_off",
        "reboot", "set_host_name", "set_domain_name", "set_time", "adjust_clock", "adjust_any_clock", "set_groups", "kernel_messages",
        "hang_up", "write_own_network_settings", "higher_priority", "real_time",
    ]),
    (None, OfKernel, &[
        "io_privilege", "io_ports", "load_other_kernel", "load_module", "load_module_from_memory",
        "remove_module", "list_mounts", "leave_control_group", "spare_itself_when_memory_ends",
    ]),
    (None, OfKernel, &["modify_local_descriptors", "call_of_32_bits", "locked_memory"]),
    (None, Ever, &["unknown_call", "call_of_x32"]),
    (Some(Disk), Always, &[
        "file_longer_than_allowed", "file_truncated_to_more_than_allowed", "memory_file_longer_than_allowed",
    ]),
    (Some(Disk), Never, &["many_files"]),
    (Some(Processes), AsReported, &["too_many_processes", "too_many_threads"]),
    (Some(Memory), AsReported, &["private_memory", "shared_memory", "memory_of_memory_files"]),
    (None, Always, &["core_dump"]),
];

/// In which sandbox a control works.
pub(super) type When = fn(&Setup) -> Expected;

/// What must work, and in which sandbox.
#[rustfmt::skip]
pub(super) const CONTROLS: &[(When, &[&str])] = &[
    (always, &[
        "can_read_granted", "can_list_granted", "can_write_granted", "can_truncate_granted",
        "can_rename_granted", "can_replace_granted", "can_remove_granted", "can_link_granted",
        "can_sync_and_lock_granted", "can_map_granted", "can_signal_itself", "can_use_pipes",
        "can_use_pairs_of_streams", "can_wait_for_events", "can_tell_the_time", "can_draw_random_numbers",
        "can_wait_for_a_moment", "can_map_memory", "can_make_code", "can_ask_about_itself",
    ]),
    (as_a_program, &[
        "can_use_devices", "can_read_system_libraries", "can_read_certificates", "can_see_itself",
        "can_make_memory_files",
    ]),
    (with_refer, &["can_rename_between_granted_folders"]),
    (in_namespaces, &["can_write_to_scratch"]),
    (with_children, &[
        "can_start_threads", "can_fork_and_wait", "can_execute_granted", "can_execute_from_granted",
        "can_execute_itself",
    ]),
    (with_scope, &["can_end_its_child"]),
    (with_port, &["can_reach_granted_port"]),
    (with_proxy, &["can_reach_its_proxy"]),
];
