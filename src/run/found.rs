//! A member whose end is found: it is looked for, must be approved, and proves its secret.

use outrigger_broker::PluginHost;

use crate::config::{Config, LocateConfig, MemberConfig};
use crate::exit::Exit;
use crate::report::Failure;

/// What to do when the broker of its own does not do what it should.
pub(super) const BROKER_HINT: &str =
    "start `outrigger broker`, or take `broker = true` out of the configuration";

/// Finds the end of a member and shakes hands with it. In a dry run, how its proof came out is not
/// noted.
///
/// # Errors
/// It is not there, is not ours, is not approved, or does not know its secret.
#[cfg(unix)]
pub(super) async fn find(
    config: &Config,
    member: &MemberConfig,
    locate: &LocateConfig,
    dry_run: bool,
) -> Result<PluginHost, Failure> {
    use outrigger_broker::{FoundSpec, meet};
    use outrigger_protocol::HandshakeError;
    use outrigger_transport::LinkError;

    use crate::peers::Peers;

    let located = if config.broker { by_broker(member, locate).await? } else { here(locate).await };
    let located = located.map_err(|error| not_found(member, locate, &error))?;
    let peers = Peers::load(&config.state)?;
    let secret = peers.admit(&locate.name, located.announced.as_ref())?;
    let spec = FoundSpec { calls_timeout: member.calls_timeout, ..FoundSpec::new(&member.name, secret) };
    let met = meet(located, spec).await;
    let proof = match &met {
        Ok(_) if peers.has_failed(&locate.name) => Some(true),
        Err(LinkError::Handshake(HandshakeError::Proof)) => Some(false),
        _ => None,
    };
    if let Some(right) = proof.filter(|_| !dry_run) {
        Peers::proved(&config.state, &locate.name, right)?;
    }
    met.map_err(|error| not_met(member, locate, &error))
}

#[cfg(unix)]
type Found = Result<outrigger_broker::Located, outrigger_broker::LocateError>;

#[cfg(unix)]
async fn here(locate: &LocateConfig) -> Found {
    locator(locate).locate(locate.wait).await
}

/// The outer error: there is no broker that could find it.
#[cfg(target_os = "linux")]
async fn by_broker(member: &MemberConfig, locate: &LocateConfig) -> Result<Found, Failure> {
    let found = outrigger_broker::locate_by_broker(&locator(locate), locate.wait).await;
    found.map_err(|error| {
        let failure = Failure::new(Exit::Partial, format!("the end of {} was not looked for", member.name));
        failure.because(&error).hint(BROKER_HINT)
    })
}

/// There is no broker of its own on this system.
#[cfg(all(unix, not(target_os = "linux")))]
async fn by_broker(_member: &MemberConfig, locate: &LocateConfig) -> Result<Found, Failure> {
    Ok(here(locate).await)
}

/// There is no way on this system to say who is at the other end of a connection.
#[cfg(not(unix))]
pub(super) async fn find(
    _config: &Config,
    member: &MemberConfig,
    _locate: &LocateConfig,
    _dry_run: bool,
) -> Result<PluginHost, Failure> {
    Err(Failure::new(Exit::Plugin, format!("{}: ends are found on Unix only", member.name)))
}

#[cfg(unix)]
fn locator(locate: &LocateConfig) -> outrigger_broker::Locator {
    use outrigger_broker::Locator;

    use crate::config::PlaceOfEnd;

    let name = locate.name.clone();
    match &locate.place {
        PlaceOfEnd::Rendezvous => Locator::Rendezvous { name },
        PlaceOfEnd::Socket(path) => Locator::Socket { path: path.clone() },
        PlaceOfEnd::Activate(argv) => Locator::Activate { argv: argv.clone(), name },
        PlaceOfEnd::Command(argv) => Locator::Command { argv: argv.clone() },
    }
}

#[cfg(unix)]
fn not_found(member: &MemberConfig, locate: &LocateConfig, error: &outrigger_broker::LocateError) -> Failure {
    use outrigger_broker::LocateError;
    let (exit, hint) = match error {
        LocateError::NotThere { .. } => (
            Exit::Partial,
            format!(
                "start the program that is {}; `wait = \"30s\"` in its `locate` waits for it, and `required = \
                 false` lets runs go without it",
                locate.name
            ),
        ),
        LocateError::NotOurs(_) => (
            Exit::Plugin,
            "nothing was sent to it: another user, or another program, may have taken the name; look who it \
             belongs to"
                .to_owned(),
        ),
        LocateError::Command { .. } => {
            (Exit::Usage, format!("mend `locate` in [member.{}], or the command that it names", member.name))
        }
        LocateError::Io(_) => (Exit::Plugin, "the next run tries again".to_owned()),
    };
    Failure::new(exit, format!("the end of {} was not found", member.name)).because(error).hint(hint)
}

#[cfg(unix)]
fn not_met(member: &MemberConfig, locate: &LocateConfig, error: &outrigger_transport::LinkError) -> Failure {
    use outrigger_protocol::HandshakeError;
    use outrigger_transport::LinkError;
    let name = &locate.name;
    let (exit, hint) = match error {
        LinkError::Handshake(HandshakeError::Proof | HandshakeError::Refused(_)) => (
            Exit::Credentials,
            format!(
                "another program may have taken the name. If {name} was set up anew: `outrigger peers revoke {name}`, \
                 then approve it again"
            ),
        ),
        LinkError::HandshakeTime | LinkError::Closed { .. } => {
            (Exit::Partial, format!("{name} may be busy with another broker, or about to quit; try again"))
        }
        _ => (Exit::Plugin, format!("see whether {name} and this command are of versions that fit")),
    };
    let failure = Failure::new(exit, format!("the end of {} was found, and cannot be used", member.name));
    failure.because(error).hint(hint)
}
