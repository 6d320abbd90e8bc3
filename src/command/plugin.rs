//! `plugin`: the verbs for those who use plugins of others, and for authors.

mod check;
mod consent;
mod info;
mod new;
mod run;
mod subject;

use crate::cli::{Cli, PluginArgs, PluginVerb};

/// Does what was asked.
pub(crate) fn plugin(cli: &Cli, args: &PluginArgs) -> super::Ended {
    match &args.verb {
        PluginVerb::Info(args) => consent::info(cli, args),
        PluginVerb::Trust(args) => consent::trust(cli, args),
        PluginVerb::Distrust(args) => consent::distrust(cli, args),
        PluginVerb::Check(args) => check::check(cli, args),
        PluginVerb::Run(args) => run::run(cli, args),
        PluginVerb::Replay(args) => run::replay(cli, args),
        PluginVerb::New(args) => new::new(args),
    }
}
