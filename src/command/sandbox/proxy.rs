//! Hosts for a foreign command: a proxy beside it, at the one place that it can connect to.

use std::ffi::OsString;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use outrigger::broker::{self, Bytes, Figures, Refused};
use outrigger::report::shell_word;
use outrigger::sandbox::{Descriptor, PROXY_PORT, Tier};
use tokio::sync::oneshot;

use super::{NO_SANDBOX, Refusal};

/// What the option says as the list of a policy. `localhost` is this machine, whoever answers for the
/// name, so its addresses are meant too, though they are not public.
pub(super) fn grants(entries: &[String]) -> Result<Vec<String>, Refusal> {
    if entries.iter().any(|entry| is_port(entry)) && is_needed(entries) {
        let what = "`tcp:PORT` and hosts exclude each other in --connect: what may connect by itself needs the \
                    network of this machine";
        return Err(Refusal::usage(what));
    }
    let addresses = entries.iter().filter_map(|entry| {
        let port = entry.strip_prefix("localhost:")?;
        Some([format!("127.0.0.1:{port}"), format!("[::1]:{port}")])
    });
    Ok(entries.iter().cloned().chain(addresses.flatten()).collect())
}

/// Whether some of them are hosts.
pub(super) fn is_needed(entries: &[String]) -> bool {
    entries.iter().any(|entry| !is_port(entry))
}

fn is_port(entry: &str) -> bool {
    entry.starts_with("tcp:")
}

/// Why it is not run where it has no network of its own.
pub(super) fn unavailable(tier: Tier) -> Refusal {
    let what = format!("hosts can be granted in the tier namespaced only, and this is {tier}");
    let refusal = Refusal::new(NO_SANDBOX, what);
    let hint =
        "`--connect tcp:PORT` grants a port of every host; `outrigger doctor` shows what this machine can do";
    Refusal { failure: refusal.failure.hint(hint), ..refusal }
}

/// What tells the command of the proxy, in the spellings that programs look for. Names are looked up by
/// the proxy (`socks5h`).
pub(super) fn environment() -> Vec<(OsString, OsString)> {
    let [http, socks] = ["http", "socks5h"].map(|scheme| format!("{scheme}://127.0.0.1:{PROXY_PORT}"));
    let variables =
        [("https_proxy", &http), ("HTTPS_PROXY", &http), ("all_proxy", &socks), ("ALL_PROXY", &socks)];
    variables.map(|(name, value)| (name.into(), value.into())).into()
}

/// The proxy of a command, on a thread of its own.
pub(super) struct Proxy {
    end: oneshot::Sender<()>,
    thread: JoinHandle<io::Result<Figures>>,
}

impl Proxy {
    pub(super) fn start(listener: Descriptor, entries: &[String]) -> io::Result<Self> {
        let proxy = broker::Proxy::new(entries, tell).map_err(io::Error::other)?;
        let listener = tcp(listener)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (end, ended) = oneshot::channel();
        let serve = move || runtime.block_on(Arc::new(proxy).serve(listener, async { drop(ended.await) }));
        Ok(Self { end, thread: thread::Builder::new().name("proxy".into()).spawn(serve)? })
    }

    /// Waits until what the command has left behind has been passed on, and says how much it was.
    pub(super) fn end(self, report: bool) {
        drop(self.end);
        match self.thread.join() {
            Ok(Ok(figures)) if report => say(&words(&figures)),
            Ok(Err(error)) => say(&format!("there was no proxy: {error}")),
            _ => {}
        }
    }
}

fn words(figures: &Figures) -> String {
    let Figures { connections, refused, bytes } = figures;
    let Bytes { sent, received } = bytes.unwrap_or_default();
    format!("{connections} connections, {sent} bytes sent, {received} received; {refused} refused")
}

fn tell(refused: &Refused) {
    let entry = shell_word(&refused.entry).unwrap_or_default();
    say(&format!("{refused}; `--connect {entry}` allows it"));
}

/// In one piece, as the command may be writing too. Where standard error is closed, nobody wanted to
/// know.
fn say(what: &str) {
    use std::io::Write as _;
    let _told = anstream::stderr().write_all(format!("sandbox  network: {what}\n").as_bytes());
}

#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "the other systems have none")]
fn tcp(listener: Descriptor) -> io::Result<TcpListener> {
    Ok(listener.into())
}

#[cfg(not(unix))]
fn tcp(_: Descriptor) -> io::Result<TcpListener> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(entries: &[&str]) -> Vec<String> {
        entries.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn localhost_is_this_machine_and_other_names_are_what_they_are() {
        let granted = grants(&list(&["localhost:80", "a.org:443"])).unwrap();
        assert_eq!(granted, ["localhost:80", "a.org:443", "127.0.0.1:80", "[::1]:80"]);
    }

    #[test]
    fn ports_and_hosts_exclude_each_other() {
        assert!(!is_needed(&grants(&list(&["tcp:1", "tcp:2"])).unwrap()));
        assert!(is_needed(&grants(&list(&["*:1"])).unwrap()));
        assert_eq!(grants(&list(&["tcp:1", "a.org:2"])).unwrap_err().code, 2);
    }
}
