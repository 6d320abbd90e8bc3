//! What the processes of a helper are called, and what they end with.

use std::ffi::CString;

/// The exit code of a helper that failed before there was a plugin.
pub(super) const FAILED: i32 = 125;

/// The name in `ps` and `top`; the kernel cuts it to 15 bytes. Only a convenience, so a failure
/// does not matter.
pub(super) fn name_process(role: &str, label: &str) {
    if let Ok(name) = CString::new(format!("{role}:{label}")) {
        rustix::thread::set_name(&name).ok();
    }
}
