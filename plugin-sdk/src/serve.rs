//! `serve`: from the start of the process to its end.

use std::io::{self, BufRead as _, Write as _};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use outrigger_protocol::{AuthKind, HANDLES, Handshake, Hello, Role, Secret};
use outrigger_transport::{BlockingLink, Carrier, Endpoint, LinkError, Wait, dial, nonce};

use crate::inbox::Inbox;
use crate::plugin::Plugin;
use crate::server::{Plugins, Server};

/// While calls wait, answers are gathered for this long, so that many leave with one write.
const GATHER: Duration = Duration::from_micros(500);

/// The soonest that a connector can look around again.
const SOONEST: Duration = Duration::from_millis(1);

/// Serves `plugin` to the broker that started this process, until that says goodbye. Return its
/// result from `main`: 0 after a goodbye, 1 when the connection broke, 2 when no broker started
/// the process (somebody ran it by hand).
pub fn serve(plugin: impl Plugin) -> ExitCode {
    ExitCode::from(serve_to_code(plugin))
}

/// As [`serve`], for a host of up to `most` instances: one process for several members. `make`
/// makes a connector for each.
pub fn serve_many<P: Plugin>(most: u32, make: impl FnMut() -> P + 'static) -> ExitCode {
    ExitCode::from(serve_plugins(Plugins::Made(Box::new(make)), most))
}

/// As [`serve`], with the exit code as a number: for a plugin inside a larger program.
pub fn serve_to_code(plugin: impl Plugin) -> u8 {
    serve_plugins(Plugins::One(Some(plugin)), 1)
}

fn serve_plugins<P: Plugin>(plugins: Plugins<P>, most: u32) -> u8 {
    let (carrier, secret) = match connect() {
        Ok(Some(found)) => found,
        Ok(None) => {
            say("this is an Outrigger plugin: a broker starts it, it does nothing by hand");
            return 2;
        }
        Err(error) => {
            say(&format!("cannot connect to the broker: {error}"));
            return 1;
        }
    };
    match dial_over(plugins, most, carrier, secret) {
        Ok(()) => 0,
        Err(error) => {
            say(&format!("the connection to the broker ended: {error}"));
            1
        }
    }
}

/// Serves `plugin` over a connection that was made elsewhere (a test, a pre-started program).
///
/// # Errors
/// The connection could not be established, or ended without a goodbye.
pub fn serve_on(
    plugin: impl Plugin,
    carrier: Box<dyn Carrier>,
    secret: Option<Secret>,
) -> Result<(), LinkError> {
    dial_over(Plugins::One(Some(plugin)), 1, carrier, secret)
}

/// As [`serve_on`], for a host of up to `most` instances.
///
/// # Errors
/// As [`serve_on`].
pub fn serve_many_on<P: Plugin>(
    most: u32,
    make: impl FnMut() -> P + 'static,
    carrier: Box<dyn Carrier>,
    secret: Option<Secret>,
) -> Result<(), LinkError> {
    dial_over(Plugins::Made(Box::new(make)), most, carrier, secret)
}

fn dial_over<P: Plugin>(
    plugins: Plugins<P>,
    most: u32,
    carrier: Box<dyn Carrier>,
    secret: Option<Secret>,
) -> Result<(), LinkError> {
    attend(plugins, most, meet(most, carrier, |hello| Handshake::dial(hello, secret))?)
}

/// Shakes hands, as a host of up to `most` instances.
pub(crate) fn meet(
    most: u32,
    carrier: Box<dyn Carrier>,
    handshake: impl FnOnce(Hello) -> Handshake,
) -> Result<BlockingLink<()>, LinkError> {
    let software = concat!("outrigger-plugin-sdk ", env!("CARGO_PKG_VERSION"));
    let mut hello = Hello::new(software, AuthKind::Inherited, nonce()?);
    hello.features.extend(carrier.passes_handles().then(|| HANDLES.to_owned()));
    hello.limits.max_instances = most;
    hello.limits.dispatch_window = 1; // one thread: the clock of what waits stands still
    BlockingLink::establish(carrier, handshake(hello), Role::Plugin)
}

/// Answers the broker's calls until it says goodbye.
pub(crate) fn attend<P: Plugin>(
    plugins: Plugins<P>,
    most: u32,
    mut link: BlockingLink<()>,
) -> Result<(), LinkError> {
    let (mut inbox, mut server) = (Inbox::default(), Server::new(plugins, most));
    let mut flushed = Instant::now();
    loop {
        // The first calls may have come together with the end of the handshake.
        link.events_with_handles(|event, handle, connection| inbox.event(event, handle, connection))?;
        if let Some(call) = inbox.start() {
            server.handle(&call, &mut link, &mut inbox)?;
            if flushed.elapsed() < GATHER && !inbox.is_empty() {
                continue;
            }
        }
        link.flush()?; // before a connector looks around: that may take its time
        flushed = Instant::now();
        let wait = if inbox.is_empty() { idle(&mut server, &mut link) } else { Wait::No };
        link.flush()?;
        match link.take_in(wait) {
            Err(LinkError::Closed { mid_frame: false }) if inbox.heard_goodbye() => return Ok(()),
            taken => taken?,
        };
    }
}

/// Lets the connectors look around; then how long to wait for a call.
fn idle<P: Plugin>(server: &mut Server<P>, link: &mut BlockingLink<()>) -> Wait {
    server.idle(link).map_or(Wait::Forever, |again| Wait::For(again.max(SOONEST)))
}

type Found = Option<(Box<dyn Carrier>, Option<Secret>)>;

/// Finds the connection that the broker left for this process.
fn connect() -> Result<Found, LinkError> {
    if let Ok(endpoint) = std::env::var("OUTRIGGER_ENDPOINT") {
        let secret = token()?;
        return Ok(Some((dial(&Endpoint::from_text(&endpoint))?, Some(secret))));
    }
    if std::env::var("OUTRIGGER_FD").as_deref() == Ok("0") {
        return inherited().map(|carrier| Some((carrier, None)));
    }
    Ok(None)
}

#[cfg(unix)]
fn inherited() -> Result<Box<dyn Carrier>, LinkError> {
    Ok(Box::new(outrigger_transport::inherited()?))
}

#[cfg(not(unix))]
fn inherited() -> Result<Box<dyn Carrier>, LinkError> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "connections are inherited on Unix only").into())
}

/// The one-time token: 64 hexadecimal digits, the first line of standard input.
fn token() -> Result<Secret, LinkError> {
    let mut line = String::new();
    io::Read::take(io::stdin().lock(), 128).read_line(&mut line)?;
    let parsed = Secret::from_hex(line.trim_end());
    parsed.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no token on standard input").into())
}

/// A line for the person who looks at standard error.
pub(crate) fn say(text: &str) {
    let _nobody_listens = writeln!(io::stderr(), "{text}");
}
