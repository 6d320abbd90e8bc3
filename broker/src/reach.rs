//! Reaches hosts (decisions P5): looks whether one is granted, looks its name up, looks whether the
//! address may be reached, and connects to that address and no other.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use outrigger_sandbox::Profile;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use crate::grants::{BadGrant, Grants, Host, Name, Refusal};
use crate::resolve::{ResolveError, Resolver};
use crate::spec::PluginSpec;

/// How long looking up and connecting may take together, and trying one address, where there are
/// others.
const CONNECT_LIMIT: Duration = Duration::from_secs(30);
const ADDRESS_LIMIT: Duration = Duration::from_secs(10);

/// What is wrong with a text that is no name.
pub(crate) const NO_NAME: &str =
    "a name has labels of letters, digits, `-` and `_`, of 1 to 63, and 253 bytes at most";

/// What may be reached, and how it is found.
#[derive(Debug)]
pub(crate) struct Reach {
    pub(crate) grants: Grants,
    pub(crate) resolver: Resolver,
}

impl Default for Reach {
    /// Nothing.
    fn default() -> Self {
        Self { grants: Grants::default(), resolver: Resolver::new(None, 0) }
    }
}

/// Why a host was not reached.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreached {
    /// It is no host, or no port.
    #[error("{0}")]
    Invalid(&'static str),
    /// No grant allows it; the host in words.
    #[error("{0}: it is not granted")]
    Refused(String, Refusal),
    #[error("{0} cannot be looked up: {1}")]
    Unresolved(Name, ResolveError),
    #[error("the look-up took too long")]
    SlowLookUp,
    #[error("it has no address")]
    NoAddress,
    /// None of its addresses answered; at least one was tried.
    #[error("no connection could be made: {}", words(.0))]
    Unconnected(Vec<Tried>),
}

/// An address that was tried.
#[derive(Debug)]
pub(crate) struct Tried {
    address: SocketAddr,
    /// `None`: it did not answer.
    pub(crate) error: Option<io::Error>,
}

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.error {
            Some(error) => write!(f, "{}: {error}", self.address),
            None => write!(f, "{}: it does not answer", self.address),
        }
    }
}

fn words(tried: &[Tried]) -> String {
    tried.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl Reach {
    /// What the policy grants, with at most so many look-ups of the system at a time. Without a sandbox
    /// the plugin could go to all that is public by itself.
    ///
    /// # Errors
    /// An entry of the list cannot be read.
    pub(crate) fn of(spec: &PluginSpec, lookups: usize) -> Result<Self, BadGrant> {
        let grants = Grants::parse(&spec.policy.network, spec.policy.profile == Profile::None)?;
        Ok(Self { grants, resolver: Resolver::new(spec.name_server, lookups) })
    }

    /// Connects to the first address that answers, of those that may be reached. The host is a text of
    /// the plugin's.
    ///
    /// # Errors
    /// It is not granted, cannot be found, or does not answer within `limit`, which is not longer than
    /// [`CONNECT_LIMIT`].
    pub(crate) async fn connect(
        &self,
        host: &str,
        port: u16,
        limit: Duration,
    ) -> Result<(TcpStream, SocketAddr), Unreached> {
        let until = Instant::now() + CONNECT_LIMIT.min(limit);
        let host: Host = host.parse().map_err(|()| Unreached::Invalid(NO_NAME))?;
        if port == 0 {
            return Err(Unreached::Invalid("there is no port 0"));
        }
        let addresses = timeout_at(until, self.addresses(&host, port)).await;
        first(&addresses.map_err(|_| Unreached::SlowLookUp)??, port, until).await
    }

    /// The addresses that a host has and that may be reached. An error if it has some, and none may.
    async fn addresses(&self, host: &Host, port: u16) -> Result<Vec<IpAddr>, Unreached> {
        let (name, found) = match host {
            Host::Address(address) => (None, vec![*address]),
            Host::Name(name) => {
                let granted = self.grants.check_name(name, port);
                granted.map_err(|refusal| Unreached::Refused(name.to_string(), refusal))?;
                let found = self.resolver.addresses(name).await;
                (Some(name), found.map_err(|error| Unreached::Unresolved(name.clone(), error))?)
            }
        };
        let mut refusal = None;
        let mut allowed = Vec::new();
        for address in found {
            match self.grants.check_address(address, port, name.is_some()) {
                Ok(()) => allowed.push(address),
                Err(why) => drop(refusal.get_or_insert(why)),
            }
        }
        match refusal {
            Some(refusal) if allowed.is_empty() => {
                let host = name.map_or_else(|| "the address".to_owned(), ToString::to_string);
                Err(Unreached::Refused(host, refusal))
            }
            _ => Ok(allowed),
        }
    }
}

/// A connection to the first of them that answers.
async fn first(
    addresses: &[IpAddr],
    port: u16,
    until: Instant,
) -> Result<(TcpStream, SocketAddr), Unreached> {
    let mut tried = Vec::new();
    for (at, address) in addresses.iter().enumerate() {
        let last = at + 1 == addresses.len();
        let limit = if last { until } else { until.min(Instant::now() + ADDRESS_LIMIT) };
        let address = SocketAddr::new(*address, port);
        let error = match timeout_at(limit, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok((stream, address)),
            Ok(Err(error)) => Some(error),
            Err(_) => None,
        };
        tried.push(Tried { address, error });
        if Instant::now() >= until {
            break;
        }
    }
    Err(if tried.is_empty() { Unreached::NoAddress } else { Unreached::Unconnected(tried) })
}
