//! Why one try to have a plugin came to nothing, and whether another may do better.

use outrigger_transport::LinkError;

use crate::death::Death;
use crate::start::StartError;

/// Why one try brought no plugin.
#[derive(Debug)]
pub enum TryError<E = StartError> {
    /// It crashed before it was a plugin, and may do better next time.
    Crashed(Box<Death>),
    /// Another try would end the same: a sandbox, consent, credentials, a setting, two ends that do
    /// not fit, or one that takes too long to start.
    Refused(E),
}

impl<E> TryError<E> {
    /// The same, with a refusal in other words.
    pub fn map<F>(self, words: impl FnOnce(E) -> F) -> TryError<F> {
        match self {
            Self::Crashed(death) => TryError::Crashed(death),
            Self::Refused(error) => TryError::Refused(words(error)),
        }
    }
}

impl From<StartError> for TryError {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Handshake { death, error, .. } if is_crash(&error) => Self::Crashed(death),
            // By somebody, or for want of memory: that is no refusal of its sandbox.
            StartError::Launch { name, error } => match error.killed() {
                Some(exit) => Self::Crashed(Box::new(Death {
                    plugin: name,
                    exit: Some(exit),
                    last_words: Vec::new(),
                    calls_in_flight: 0,
                    fault: None,
                    with_broker: false,
                    connection: Some(error.to_string()),
                })),
                None => Self::Refused(StartError::Launch { name, error }),
            },
            error => Self::Refused(error),
        }
    }
}

/// Whether a process that did not shake hands has crashed. Otherwise the two do not fit; or it was too
/// slow, which more tries would only add up.
const fn is_crash(error: &LinkError) -> bool {
    !matches!(error, LinkError::Handshake(_) | LinkError::HandshakeTime)
}

#[cfg(test)]
mod tests {
    use outrigger_sandbox::{Exit, Failure, Guarantee, LaunchError, Standing};

    use super::*;

    fn launch(error: LaunchError) -> TryError {
        StartError::Launch { name: "phone".into(), error: Box::new(error) }.into()
    }

    #[test]
    fn one_that_is_killed_before_its_program_runs_has_crashed() {
        let tried = launch(Failure::ended("preparing the plugin", Exit::Signal(9)).into());
        let TryError::Crashed(death) = tried else { panic!("{tried:?}") };
        assert_eq!(death.exit, Some(Exit::Signal(9)));
        assert!(death.connection.is_some_and(|why| why.contains("while preparing the plugin")));
    }

    /// The helper itself too.
    #[test]
    fn a_helper_that_is_killed_has_crashed_and_one_that_leaves_is_refused() {
        let helper = |exit| LaunchError::HelperEnded {
            step: "preparing the sandbox",
            status: "ended".into(),
            exit,
            path: "/usr/bin/outrigger".into(),
        };
        let tried = launch(helper(Some(Exit::Signal(9))));
        assert!(
            matches!(&tried, TryError::Crashed(death) if death.exit == Some(Exit::Signal(9))),
            "{tried:?}"
        );
        for exit in [Some(Exit::Code(1)), None] {
            assert!(matches!(launch(helper(exit)), TryError::Refused(StartError::Launch { .. })));
        }
    }

    #[test]
    fn what_the_sandbox_refuses_is_no_crash() {
        let not_enforced =
            LaunchError::NotEnforced { missing: vec![(Guarantee::FsRead, Standing::Enforced)] };
        for error in [
            not_enforced,
            LaunchError::Invalid { reason: "no".into() },
            Failure::new("making namespaces", "no").into(),
            Failure::ended("preparing the plugin", Exit::Code(1)).into(),
        ] {
            let tried = launch(error);
            assert!(matches!(tried, TryError::Refused(StartError::Launch { .. })), "{tried:?}");
        }
    }
}
