//! The end without a goodbye: the connection is closed, and the plugin must not live on.

use super::Scene;
use crate::findings::{Findings, Step, hold};
use crate::rule::Rule;

/// Rule: clean-exit.
pub(super) fn ending(scene: &Scene<'_>, findings: &mut Findings) -> Step<()> {
    scene.play(findings, |talk, findings| {
        talk.greet(super::WINDOW)?;
        talk.initialize(scene.subject)?;
        talk.settle(Rule::Ping, "the answer to PING")?;
        talk.wire.close();
        let exit = talk.settings.exit;
        let ended = talk.process().wait(exit);
        hold(ended.is_some(), Rule::CleanExit, || {
            format!("it still runs {exit:?} after its connection was closed")
        })?;
        let by_itself = ended.is_some_and(|ended| matches!(ended.exit, outrigger_sandbox::Exit::Code(_)));
        hold(by_itself, Rule::CleanExit, || {
            ended
                .map_or_else(String::new, |ended| format!("when its connection was closed it {}", ended.exit))
        })?;
        findings.held(Rule::CleanExit);
        Ok(())
    })
}
