//! Exit codes: what a run came to, in one number.

use std::process::ExitCode;

use outrigger_engine::FailureClass;
use outrigger_protocol::Code;

/// How the command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Exit {
    /// All done.
    #[default]
    Done,
    /// Partial: some items or members failed; trying again may help.
    Partial,
    /// Done, but conflicts wait for a decision.
    Conflicts,
    /// Another run holds the lock of the group.
    Locked,
    /// Stopped by the guard against mass deletion.
    Guard,
    /// Credentials are missing or refused.
    Credentials,
    /// A plugin is broken, or was denied something.
    Plugin,
    /// The command line or the configuration is wrong.
    Usage,
    /// Interrupted; what is written down is consistent.
    Interrupted,
    /// A defect in Outrigger, or a machine that it cannot work on.
    Internal,
}

impl Exit {
    /// Which one a run with several ends with: the first of these. What needs a person comes before
    /// what only needs another try, and what makes the others unreliable comes before all.
    const PRECEDENCE: [Self; 10] = [
        Self::Internal,
        Self::Interrupted,
        Self::Usage,
        Self::Plugin,
        Self::Credentials,
        Self::Guard,
        Self::Locked,
        Self::Partial,
        Self::Conflicts,
        Self::Done,
    ];

    /// The number that the shell sees.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Internal => 1,
            Self::Usage => 2,
            Self::Conflicts => 3,
            Self::Partial => 4,
            Self::Guard => 5,
            Self::Credentials => 6,
            Self::Plugin => 7,
            Self::Locked => 75,
            Self::Interrupted => 130,
        }
    }

    /// The one that the shell sees as `code`.
    #[must_use]
    pub fn of_code(code: u8) -> Option<Self> {
        Self::PRECEDENCE.into_iter().find(|exit| exit.code() == code)
    }

    /// What a failed call means for the end of the command: a plugin that died, hung or panicked is
    /// broken; a password that is refused needs a person; the rest is the engine's to count.
    pub(crate) fn of_call(code: Code) -> Self {
        match code {
            Code::AUTH => Self::Credentials,
            Code::DISCONNECTED | Code::DEADLINE | Code::IDLE_TIMEOUT | Code::PANIC | Code::INTERNAL => {
                Self::Plugin
            }
            _ => Self::Done,
        }
    }

    /// What a member that is left alone means for the end of the command: a contract that is broken
    /// is the plugin's defect, which no other try mends.
    pub(crate) fn of_failure(class: FailureClass) -> Self {
        match class {
            FailureClass::Contract => Self::Plugin,
            FailureClass::Call(code) => Self::of_call(code),
            FailureClass::OtherStore => Self::Guard,
        }
    }

    /// The one of two that a run with both ends with.
    #[must_use]
    pub fn or_worse(self, other: Self) -> Self {
        Self::PRECEDENCE.into_iter().find(|exit| [self, other].contains(exit)).unwrap_or(self)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_the_gravest_wins_in_any_order() {
        let order = [1, 130, 2, 7, 6, 5, 75, 4, 3, 0];
        assert_eq!(Exit::PRECEDENCE.map(Exit::code), order);
        assert_eq!(order.map(Exit::of_code), Exit::PRECEDENCE.map(Some));
        for (index, graver) in Exit::PRECEDENCE.into_iter().enumerate() {
            for lighter in &Exit::PRECEDENCE[index..] {
                assert_eq!(graver.or_worse(*lighter), graver);
                assert_eq!(lighter.or_worse(graver), graver);
            }
        }
    }

    #[test]
    fn nothing_wrong_is_zero() {
        assert_eq!(Exit::default().code(), 0);
    }
}
