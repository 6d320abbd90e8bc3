//! `peers`: who is trusted among ends that are found.

use std::io::{self, BufRead as _, IsTerminal as _, Write};

use outrigger::config::{Config, Places};
use outrigger::exit::Exit;
use outrigger::peers::{PeerStatus, Peers, Standing};
use outrigger::protocol::{EndName, Words};
use outrigger::report::{Failure, as_called};

use super::{Ended, config_file, print};
use crate::cli::{Cli, PeersApproveArgs, PeersArgs, PeersListArgs, PeersRevokeArgs, PeersVerb};

/// Does what was asked.
pub(crate) fn peers(cli: &Cli, args: &PeersArgs) -> Ended {
    // A configuration without groups will do: the state is all that is needed of it.
    let config = Config::load(&config_file(cli)?, &Places::from_environment())?;
    match &args.verb {
        PeersVerb::List(args) => list(&config, args),
        PeersVerb::Approve(args) => approve(&config, args),
        PeersVerb::Revoke(args) => revoke(&config, args),
    }
}

fn list(config: &Config, args: &PeersListArgs) -> Ended {
    let peers = Peers::load(&config.state)?.list()?;
    if args.json {
        let text = serde_json::json!({ "peers": peers }).to_string();
        print(|out| writeln!(out, "{text}"))?;
        return Ok(Exit::Done);
    }
    print(|out| {
        if peers.is_empty() {
            writeln!(out, "no end is known, and none has announced itself")?;
        }
        peers.iter().try_for_each(|peer| write(peer, out))
    })?;
    Ok(Exit::Done)
}

fn write(peer: &PeerStatus, out: &mut dyn Write) -> io::Result<()> {
    let PeerStatus { name, standing, code, pid, software } = peer;
    let standing_words = match standing {
        Standing::Approved => "approved",
        Standing::Waiting => "waits to be approved",
        Standing::AnotherKey => "has another key than the approved one",
        Standing::Revoked => "revoked",
    };
    write!(out, "{name}   {standing_words}   {code}   ")?;
    match (pid, software) {
        (Some(pid), Some(software)) => writeln!(out, "process {pid}, says it is {}", Words(software))?,
        _ => writeln!(out, "not there")?,
    }
    if *standing == Standing::Waiting {
        let next = format!("then `outrigger peers approve {name} CODE`");
        writeln!(out, "  next: compare the code with the one that the program shows, {}", as_called(&next))?;
    }
    Ok(())
}

fn approve(config: &Config, args: &PeersApproveArgs) -> Ended {
    let PeersApproveArgs { name, code, key } = args;
    let code = match (code, key) {
        (_, Some(key)) => Peers::approve_key(&config.state, name, key)?,
        (Some(code), None) => Peers::approve(&config.state, name, code)?,
        (None, None) => Peers::approve(&config.state, name, &ask(name)?)?,
    };
    print(|out| writeln!(out, "approved {name}, whose code is {code}"))?;
    Ok(Exit::Done)
}

/// Asks for the code, which is to come from the program's own window.
fn ask(name: &EndName) -> Result<String, Failure> {
    if !io::stdin().is_terminal() {
        let failure = Failure::usage(format!("the code of {name} is missing"));
        return Err(failure.hint(format!(
            "look at the code that the program shows, then: `outrigger peers approve {name} CODE`"
        )));
    }
    let (mut line, mut terminal) = (String::new(), anstream::stderr());
    let asked = write!(terminal, "The code that {name} shows: ").and_then(|()| terminal.flush());
    let read = asked.and_then(|()| io::stdin().lock().read_line(&mut line));
    read.map_err(|error| Failure::internal("the terminal").because(&error))?;
    Ok(line.trim().to_owned())
}

fn revoke(config: &Config, args: &PeersRevokeArgs) -> Ended {
    let name = &args.name;
    if !Peers::revoke(&config.state, name)? {
        let failure = Failure::usage(format!("{name} was not approved"));
        return Err(failure.hint("`outrigger peers list` shows who is"));
    }
    print(|out| writeln!(out, "revoked {name}: it is not met until it is approved again"))?;
    Ok(Exit::Done)
}
