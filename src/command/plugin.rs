//! `plugin`: the verbs for authors of plugins.

mod check;
mod new;
mod run;
mod subject;

use crate::cli::{PluginArgs, PluginVerb};

/// Does what was asked.
pub(crate) fn plugin(args: &PluginArgs) -> super::Ended {
    match &args.verb {
        PluginVerb::Check(args) => check::check(args),
        PluginVerb::Run(args) => run::run(args),
        PluginVerb::Replay(args) => run::replay(args),
        PluginVerb::New(args) => new::new(args),
    }
}
