//! A plugin that does one thing wrong, at one place: `hostile_plugin PLACE DEED`.
//!
//! Places: `start` (before it connects), `hello` (instead of its first bytes), or the name of a
//! method (while it works on that call); `end` (after the goodbye). What it does elsewhere is
//! right. `plugins.rs` and `hangs.rs` say what each deed must cost.
#![forbid(unsafe_code)]

use std::process::ExitCode;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    hostile::main()
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    ExitCode::FAILURE
}

#[cfg(target_os = "linux")]
mod hostile {
    use std::io::{BufRead as _, Read as _, Write as _, stderr, stdin, stdout};
    use std::os::fd::AsFd as _;
    use std::os::unix::net::UnixStream;
    use std::process::{Command, ExitCode};
    use std::time::Duration;

    use nix::sys::signal::{SigSet, Signal, raise};
    use outrigger_plugin_sdk::protocol::{
        AuthKind, Budget, Change, ChangeKind, Code, Commit, CommitOutcome, CommitResult, Connect,
        ConnectDone, Connected, Connection, Error, Event, Extensions, Flags, GetChanges, Handshake, Header,
        Hello, Href, Initialize, Kind, ObjectId, PREFACE, RawDigest, ReadItem, ReadOutcome, ReadResult,
        Revision, Role,
    };
    use outrigger_plugin_sdk::{ChangeSink, Collection, Context, ListingEnd, Plugin, ReadSink, serve};
    use outrigger_transport::{BlockingLink, SocketCarrier, Wait};

    pub(super) fn main() -> ExitCode {
        let mut args = std::env::args().skip(1);
        let (Some(place), Some(deed)) = (args.next(), args.next()) else {
            return ExitCode::FAILURE;
        };
        let mut hostile = Hostile { place, deed, raw: None };
        if hostile.deed == "sleep" {
            // What `leave_a_daemon` started.
            loop {
                std::thread::park();
            }
        }
        if hostile.deed == "deaf" || hostile.place == "deaf" {
            SigSet::from(Signal::SIGTERM).thread_block().ok();
        }
        hostile.at("start");
        if hostile.place == "hello" {
            hostile.raw = connect();
            hostile.at("hello");
            return ExitCode::FAILURE;
        }
        if std::env::var_os("OUTRIGGER_FD").is_some() {
            hostile.raw = stdin().as_fd().try_clone_to_owned().ok().map(UnixStream::from);
        }
        // All the while, from before the handshake on.
        let babble = (hostile.place == "start" && hostile.deed == "babble")
            .then(|| std::thread::spawn(|| flood(5 << 20)));
        let (place, deed) = (hostile.place.clone(), hostile.deed.clone());
        let code = serve(hostile);
        if let Some(babble) = babble {
            babble.join().ok();
        }
        Hostile { place, deed, raw: None }.at("end");
        code
    }

    /// The bare connection, however it is to be had.
    fn connect() -> Option<UnixStream> {
        match std::env::var_os("OUTRIGGER_ENDPOINT") {
            Some(endpoint) => {
                let mut token = String::new();
                stdin().lock().read_line(&mut token).ok()?;
                UnixStream::connect(endpoint).ok()
            }
            None => stdin().as_fd().try_clone_to_owned().ok().map(UnixStream::from),
        }
    }

    struct Hostile {
        place: String,
        deed: String,
        /// Its own connection, behind the back of the SDK.
        raw: Option<UnixStream>,
    }

    impl Hostile {
        /// Comes to a place. Says so, and does the deed if it is the one.
        fn at(&mut self, place: &str) {
            if self.place != place {
                return;
            }
            writeln!(stderr(), "about to {} at {place}", self.deed).ok();
            match self.deed.as_str() {
                "exit" => std::process::exit(3),
                "leave" => std::process::exit(0),
                "abort" => std::process::abort(),
                // The first one only takes away the handler with which Rust finds stack overflows.
                "segv" => drop(raise(Signal::SIGSEGV).and_then(|()| raise(Signal::SIGSEGV))),
                "kill" => drop(raise(Signal::SIGKILL)),
                "stop" => drop(raise(Signal::SIGSTOP)),
                "draw" => {
                    writeln!(stderr(), "{DRAWING}").ok();
                    std::process::exit(3);
                }
                "dawdle" => self.narrow(Some(Duration::from_secs(1))),
                "stare" => self.narrow(None),
                "last-words" => self.answer_once(),
                "refuse" => self.send(&refusal()),
                "hang" | "deaf" => hang(),
                "unread" => {
                    self.send(&Header::new(Kind::PING, 0).encode().repeat(10_000));
                    hang();
                }
                "flood" => flood(5 << 20),
                "flood-much" => flood(50 << 20),
                "garbage" => self.send(b"HTTP/1.1 400 Bad Request\r\n\r\n".repeat(8).as_slice()),
                "drip" => self.drip(),
                "huge" => self.send(&self.huge()),
                "unissued" => self.send(&Header::new(Kind::REPLY, 0x7FFF_FFFF).encode()),
                "parity" => self.send(&Header::new(Kind::REPLY, 2).encode()),
                "close" => self.close(),
                "daemon" => leave_a_daemon(),
                _ => {}
            }
        }

        /// Refuses the user's password at a place, if that is the deed.
        fn admit(&self, place: &str) -> Result<(), Error> {
            if self.place == place && self.deed == "auth" {
                return Err(Error::new(Code::AUTH, "the password is wrong"));
            }
            Ok(())
        }

        /// Whether it breaks the contract at a place in this way.
        fn does(&self, place: &str, deed: &str) -> bool {
            self.place == place && self.deed == deed
        }

        /// Busy with a read for ever; one deed hears the cancel, the other does not.
        fn stay(&self, results: &mut ReadSink<'_, '_>) -> Result<(), Error> {
            loop {
                if self.deed == "long-deaf" {
                    std::thread::park();
                } else {
                    results.context().progress(1, None)?;
                    std::thread::park_timeout(Duration::from_millis(10));
                }
            }
        }

        fn send(&self, bytes: &[u8]) {
            if let Some(mut raw) = self.raw.as_ref() {
                raw.write_all(bytes).ok();
            }
        }

        /// A connection by hand, which takes one call at a time.
        fn link(&self) -> Option<BlockingLink<()>> {
            let raw = self.raw.as_ref()?.try_clone().ok()?;
            let mut hello = Hello::new("narrow", AuthKind::Inherited, [7; 32]);
            hello.limits.max_calls = 1;
            let carrier = Box::new(SocketCarrier::new(raw.into()));
            BlockingLink::establish(carrier, Handshake::dial(hello, None), Role::Plugin).ok()
        }

        /// Answers one call, and leaves at once.
        fn answer_once(&self) {
            let Some(mut link) = self.link() else { return };
            let mut answered = false;
            while !answered && link.take_in(Wait::Forever).is_ok() {
                let answer = |event: Event<'_, ()>, connection: &mut Connection<()>| {
                    if let Event::Call(call) = event {
                        answered = connection.fail(call.id, &Error::new(Code::NOT_FOUND, "last words"));
                    }
                };
                link.events(answer).and_then(|_| link.flush()).ok();
            }
            std::process::exit(3);
        }

        /// Answers the first call late, or never.
        fn narrow(&self, late: Option<Duration>) {
            let Some(mut link) = self.link() else { return };
            let mut first = true;
            let mut wait = || match late {
                Some(late) if std::mem::take(&mut first) => std::thread::park_timeout(late),
                Some(_) => {}
                None => std::thread::park(),
            };
            while link.take_in(Wait::Forever).is_ok() {
                let answer = |event: Event<'_, ()>, connection: &mut Connection<()>| {
                    if let Event::Call(call) = event {
                        wait();
                        connection.fail(call.id, &Error::new(Code::NOT_FOUND, "so late"));
                    }
                };
                if link.events(answer).and_then(|_| link.flush()).is_err() {
                    return;
                }
            }
        }

        /// A frame of 4 GiB, as its header says.
        fn huge(&self) -> Vec<u8> {
            let header = Header {
                body_len: u32::MAX,
                flags: Flags::NONE,
                target: ObjectId::HOST,
                budget: Budget(0),
                ..Header::new(if self.place == "hello" { Kind::HELLO } else { Kind::LOG }, 0)
            };
            let preface: &[u8] = if self.place == "hello" { &PREFACE } else { &[] };
            [preface, &header.encode(), b"only this much"].concat()
        }

        /// What is right, one byte a second, for ever.
        fn drip(&self) {
            let bytes = if self.place == "hello" {
                PREFACE.to_vec()
            } else {
                Header::new(Kind::LOG, 0).encode().to_vec()
            };
            for byte in bytes.into_iter().chain(std::iter::repeat(b' ')) {
                self.send(&[byte]);
                std::thread::park_timeout(Duration::from_secs(1));
            }
        }

        fn close(&self) {
            if let Some(raw) = &self.raw {
                raw.shutdown(std::net::Shutdown::Both).ok();
            }
            hang();
        }
    }

    fn hang() -> ! {
        loop {
            std::thread::park();
        }
    }

    /// What acts on a terminal, turns the text around, and ends a quotation.
    const DRAWING: &str = "gone\u{1b}[2J\u{9b}1m\u{202e}\" hint: run \"this";

    /// A refusal in such words.
    fn refusal() -> Vec<u8> {
        let escaped: String = DRAWING.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
        let body = format!("{{\"reason\":\"{escaped}\",\"hint\":\"{escaped}\"}}");
        let body_len = u32::try_from(body.len()).unwrap_or(0);
        let header = Header { body_len, ..Header::new(Kind::REFUSED, 0) };
        [&PREFACE[..], &header.encode(), body.as_bytes()].concat()
    }

    /// Text on both outputs, so many bytes each.
    fn flood(bytes: usize) {
        let line = [b"flood ".repeat(20).as_slice(), b"\n"].concat();
        let text = line.repeat((64 << 10) / line.len());
        for _ in 0..bytes / text.len() {
            stdout().write_all(&text).ok();
            stderr().write_all(&text).ok();
        }
        stdout().flush().ok();
        writeln!(stderr(), "the flood is over").ok();
    }

    /// Two grandchildren that hold on to the log, each in a session of its own if it can have one.
    fn leave_a_daemon() {
        let own = std::env::args_os().next().unwrap_or_default();
        let script = "for i in 1 2; do { setsid \"$0\" x sleep || \"$0\" x sleep; } & done";
        drop(Command::new("/bin/sh").arg("-c").arg(script).arg(own).env("PATH", "/usr/bin:/bin").status());
    }

    /// What it was started with, in words.
    fn inheritance() -> String {
        let environment: Vec<String> = std::env::vars_os()
            .map(|(name, value)| format!("{}={}", name.display(), value.display()))
            .collect();
        let folder = std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
        let mut open: Vec<String> = folder
            .filter_map(|entry| {
                let target = std::fs::read_link(entry.path()).ok()?;
                let name = entry.file_name();
                (!target.starts_with("/proc")).then(|| format!("{}:{}", name.display(), target.display()))
            })
            .collect();
        open.sort();
        let mut rest = String::new();
        if std::env::var_os("OUTRIGGER_FD").is_none() {
            stdin().read_to_string(&mut rest).ok();
        }
        format!("environment {environment:?} open {open:?} more input {rest:?}")
    }

    fn change(name: &str) -> Change {
        Change {
            href: Href::from(name),
            kind: ChangeKind::Unknown,
            revision: Revision::from("1"),
            settled: true,
            object_type: "note".into(),
            format: "text".into(),
            ext: Extensions::default(),
        }
    }

    fn note(revision: usize, size: usize) -> ReadOutcome<'static> {
        ReadOutcome::Item {
            revision: Revision::from("1".repeat(revision).as_str()),
            settled: true,
            format: "text".into(),
            data: vec![b'n'; size].into(),
        }
    }

    impl Plugin for Hostile {
        fn initialize(&mut self, _: Initialize, _: &mut Context<'_>) -> Result<(), Error> {
            self.at("initialize");
            self.admit("initialize")?;
            if self.deed == "tell" {
                return Err(Error::new(Code::INVALID, inheritance()));
            }
            if self.deed == "hang up" {
                return Err(Error::new(Code::DISCONNECTED, "the server hung up"));
            }
            Ok(())
        }

        fn discover(&mut self, _: &mut Context<'_>) -> Result<Vec<Collection>, Error> {
            self.at("discover");
            Ok(vec![Collection { name: "notes".into(), ..Collection::default() }])
        }

        fn connect(&mut self, _: &str, _: Connect, _: &mut Context<'_>) -> Result<Connected, Error> {
            self.at("connect");
            Ok(Connected { slow_sync: false })
        }

        fn connect_done(&mut self, _: &str, _: ConnectDone, _: &mut Context<'_>) -> Result<(), Error> {
            self.at("connect_done");
            Ok(())
        }

        fn get_changes(
            &mut self,
            _: &str,
            _: GetChanges,
            changes: &mut ChangeSink<'_, '_>,
        ) -> Result<ListingEnd, Error> {
            for number in 0..10 {
                changes.push(&change(&format!("note-{number}")))?;
            }
            self.at("get_changes");
            self.admit("get_changes")?;
            if self.does("get_changes", "twice") {
                changes.push(&change("note-1"))?;
            }
            if self.does("get_changes", "endless") {
                let long = "x".repeat(4000);
                for number in 0.. {
                    changes.push(&change(&format!("{number}-{long}")))?;
                }
            }
            Ok(ListingEnd { complete: true, anchor: None })
        }

        fn read(
            &mut self,
            _: &str,
            items: Vec<ReadItem>,
            results: &mut ReadSink<'_, '_>,
        ) -> Result<(), Error> {
            self.at("read");
            self.admit("read")?;
            let is_long = self.place == "read" && self.deed.starts_with("long");
            for (index, _) in (0..).zip(items) {
                let (revision, size) = if is_long { (5_000, 100 << 10) } else { (1, 4) };
                results.push(&ReadResult { index, outcome: note(revision, size) })?;
                if is_long {
                    self.stay(results)?;
                }
            }
            Ok(())
        }

        fn commit(
            &mut self,
            _: &str,
            batch: Commit<'_>,
            _: &mut Context<'_>,
        ) -> Result<Vec<CommitResult>, Error> {
            self.at("commit");
            self.admit("commit")?;
            let done = |digest: RawDigest, href: Href| CommitOutcome::Done {
                href,
                revision: Revision::from("2"),
                settled: true,
                digest: Some(digest),
            };
            let answers = batch.items.into_iter();
            Ok(answers
                .map(|item| CommitResult { operation: item.operation, outcome: done(item.digest, item.href) })
                .collect())
        }

        fn committed_all(&mut self, _: &str, _: &mut Context<'_>) -> Result<(), Error> {
            self.at("committed_all");
            Ok(())
        }

        fn sync_done(&mut self, _: &str, _: &mut Context<'_>) -> Result<(), Error> {
            self.at("sync_done");
            Ok(())
        }

        fn disconnect(&mut self, _: &str, _: &mut Context<'_>) -> Result<(), Error> {
            self.at("disconnect");
            Ok(())
        }

        fn finalize(&mut self, _: &mut Context<'_>) -> Result<(), Error> {
            self.at("finalize");
            Ok(())
        }
    }
}
