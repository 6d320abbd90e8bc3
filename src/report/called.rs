//! How the command was called, so that what a hint names can be pasted into a shell and means the
//! same configuration.

use std::sync::OnceLock;

static COMMAND: OnceLock<String> = OnceLock::new();

/// Says it for the whole process, before anything fails: `outrigger -c FILE`. Only the first call
/// counts; without one it is `outrigger`.
pub fn call_us(command: String) {
    COMMAND.get_or_init(|| command);
}

/// How it was called.
#[must_use]
pub fn called() -> &'static str {
    COMMAND.get().map_or("outrigger", String::as_str)
}

/// A text for people with each of our commands in it, which begin with `` `outrigger `` and a blank,
/// as they are to be called. [`Failure::hint`](super::Failure::hint) does this by itself.
#[must_use]
pub fn as_called(text: &str) -> String {
    called_by(text, called())
}

fn called_by(text: &str, command: &str) -> String {
    text.replace("`outrigger ", &format!("`{command} "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_in_a_text_names_the_same_configuration() {
        let text = "`outrigger -v check` shows it; then `outrigger sync` and not outrigger";
        assert_eq!(as_called(text), text);
        assert_eq!(
            called_by(text, "outrigger -c 'my file'"),
            "`outrigger -c 'my file' -v check` shows it; then `outrigger -c 'my file' sync` and not outrigger"
        );
    }
}
