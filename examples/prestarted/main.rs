//! A small application that runs anyway, and can be found: a keeper of contacts with commands on its
//! standard input. The README beside this file says how to try it.
//!
//! Its own life is the loop in `run`; that it can be synchronised is the thread that `run` starts.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an application at a terminal")]

#[cfg(unix)]
mod book;
#[cfg(unix)]
mod connector;

#[cfg(unix)]
fn main() -> std::process::ExitCode {
    let mut args = std::env::args().skip(1);
    let (Some(name), Some(profile)) = (args.next(), args.next()) else {
        eprintln!("usage: prestarted NAME PROFILE");
        return 2.into();
    };
    match run(&name, profile.as_ref()) {
        Ok(()) => 0.into(),
        Err(error) => {
            eprintln!("{error}");
            1.into()
        }
    }
}

#[cfg(unix)]
fn run(name: &str, profile: &std::path::Path) -> std::io::Result<()> {
    use outrigger_plugin_sdk::End;

    let book = book::Book::open(profile.join("contacts.vcf"))?;
    let mut end = End::announce(name, profile)?;
    let (code, stop) = (end.code(), end.stopper());
    let served = book.clone();
    let serving = std::thread::spawn(move || end.serve(move || connector::Connector(served.clone())));
    println!("{name} is here; its code is {code}");
    for line in std::io::stdin().lines() {
        if !command(&book, &line?)? {
            break;
        }
    }
    stop.stop(); // also in the middle of a call
    book.set(|state| state.quits = true);
    serving.join().unwrap_or_else(|_| Err(std::io::Error::other("the connector panicked")))
}

/// One command of the user. False: quit.
#[cfg(unix)]
fn command(book: &book::Book, line: &str) -> std::io::Result<bool> {
    let mut words = line.splitn(3, ' ');
    match (words.next().unwrap_or_default(), words.next(), words.next()) {
        ("add" | "edit", Some(uid), Some(name)) => {
            book.edit(|cards| cards.insert(uid.to_owned(), book::card(uid, name)))?;
            println!("ok");
        }
        ("delete", Some(uid), None) => {
            let gone = book.edit(|cards| cards.remove(uid))?;
            println!("{}", if gone.is_some() { "ok" } else { "no such contact" });
        }
        ("list", None, None) => {
            let cards = book.look().cards.clone();
            cards.values().for_each(|card| println!("{}", card.replace("\r\n", " ")));
            println!("ok");
        }
        (word @ ("hold" | "release"), None, None) => {
            book.set(|state| state.held = word == "hold");
            println!("ok");
        }
        ("quit", None, None) => return Ok(false),
        _ => println!("commands: add UID NAME, edit UID NAME, delete UID, list, hold, release, quit"),
    }
    Ok(true)
}

#[cfg(not(unix))]
fn main() {
    eprintln!("ends are found on Unix only");
}
