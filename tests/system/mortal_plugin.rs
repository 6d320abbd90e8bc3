//! The connector for folders, which goes wrong at one place: `mortal_plugin PLACE DEED WHEN [main]`. With the last
//! word it has a main sink, and opens no folder without it.
//!
//! Places are `start`, and the names of methods; `after-commit` is behind the write, `main` and `main-done` are
//! `connect` and `connect_done` of the main sink. Deeds: `kill`, `hang`, `flood`,
//! `lie`, `lose` (its own connection to a server), `refuse` (each write), `refuse-all`. When: `always`, `once=FILE` (the file is there afterwards), or `over=TEXT`: an item whose
//! name or content has it. `healing.rs` says what each must cost.
#![forbid(unsafe_code)]

use std::process::ExitCode;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let mut next = || args.next().unwrap_or_default();
    let (place, deed, when, main) = (next(), next(), next(), next());
    let main = (main == "main").then_some(false);
    let mortal = plugin::Mortal { place, deed, when, main, folders: outrigger_plugin_vdir::Vdir::new() };
    mortal.starts();
    outrigger_plugin_sdk::serve(mortal)
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    ExitCode::FAILURE
}

#[cfg(target_os = "linux")]
mod plugin {
    use std::io::Write as _;

    use nix::sys::signal::{Signal, raise};
    use outrigger_plugin_sdk::protocol::{
        Change, ChangeKind, Code, Commit, CommitOutcome, CommitResult, Connect, ConnectDone, Connected,
        Error, Extensions, GetChanges, Href, Initialize, ReadItem, Revision,
    };
    use outrigger_plugin_sdk::{ChangeSink, Collection, Context, ListingEnd, MAIN_SINK, Plugin, ReadSink};
    use outrigger_plugin_vdir::Vdir;

    pub(super) struct Mortal {
        pub(super) place: String,
        pub(super) deed: String,
        pub(super) when: String,
        /// Whether its main sink is connected, if it has one.
        pub(super) main: Option<bool>,
        pub(super) folders: Vdir,
    }

    impl Mortal {
        /// Comes to a place with what is in its hands.
        fn at(&self, place: &str, holds: impl Fn(&str) -> bool) {
            let is_time = match self.when.split_once('=') {
                Some(("once", file)) => self.place == place && std::fs::File::create_new(file).is_ok(),
                Some(("over", text)) => holds(text),
                _ => true,
            };
            if self.place != place || !is_time {
                return;
            }
            match self.deed.as_str() {
                "kill" => drop(raise(Signal::SIGKILL)),
                "hang" => hang(),
                "flood" => loop {
                    std::io::stderr().write_all(&[b'x'; 1 << 16]).ok();
                },
                _ => {}
            }
        }

        /// Before it has said anything.
        pub(super) fn starts(&self) {
            self.comes_to("start");
        }

        fn comes_to(&self, place: &str) {
            self.at(place, |_| false);
        }
    }

    fn hang() -> ! {
        loop {
            std::thread::park();
        }
    }

    fn has(bytes: &[u8], text: &str) -> bool {
        bytes.windows(text.len().max(1)).any(|some| some == text.as_bytes())
    }

    impl Plugin for Mortal {
        fn has_main_sink(&self) -> bool {
            self.main.is_some()
        }

        fn initialize(&mut self, request: Initialize, context: &mut Context<'_>) -> Result<(), Error> {
            self.comes_to("initialize");
            self.folders.initialize(request, context)
        }

        fn discover(&mut self, context: &mut Context<'_>) -> Result<Vec<Collection>, Error> {
            self.comes_to("discover");
            self.folders.discover(context)
        }

        fn connect(
            &mut self,
            sink: &str,
            request: Connect,
            context: &mut Context<'_>,
        ) -> Result<Connected, Error> {
            if sink == MAIN_SINK {
                self.comes_to("main");
                self.main = Some(true);
                return Ok(Connected { slow_sync: false });
            }
            if self.main == Some(false) {
                return Err(Error::new(Code::INVALID_STATE, "the main sink is not connected"));
            }
            self.comes_to("connect");
            self.folders.connect(sink, request, context)
        }

        fn connect_done(
            &mut self,
            sink: &str,
            request: ConnectDone,
            context: &mut Context<'_>,
        ) -> Result<(), Error> {
            if sink == MAIN_SINK {
                self.comes_to("main-done");
                return Ok(());
            }
            self.folders.connect_done(sink, request, context)
        }

        fn get_changes(
            &mut self,
            sink: &str,
            request: GetChanges,
            changes: &mut ChangeSink<'_, '_>,
        ) -> Result<ListingEnd, Error> {
            self.comes_to("get_changes");
            for _ in 0..if self.place == "get_changes" && self.deed == "lie" { 2 } else { 0 } {
                changes.push(&Change {
                    href: Href::from("twice.vcf"),
                    kind: ChangeKind::Unknown,
                    revision: Revision::from("1"),
                    settled: true,
                    object_type: "contact".into(),
                    format: "vcard".into(),
                    ext: Extensions::default(),
                })?;
            }
            self.folders.get_changes(sink, request, changes)
        }

        fn read(
            &mut self,
            sink: &str,
            items: Vec<ReadItem>,
            results: &mut ReadSink<'_, '_>,
        ) -> Result<(), Error> {
            self.at("read", |text| items.iter().any(|item| has(item.href.as_bytes(), text)));
            self.folders.read(sink, items, results)
        }

        fn commit(
            &mut self,
            sink: &str,
            batch: Commit<'_>,
            context: &mut Context<'_>,
        ) -> Result<Vec<CommitResult>, Error> {
            self.at("commit", |text| batch.items.iter().any(|item| has(&item.data, text)));
            if self.place == "commit" && self.deed == "lose" {
                return Err(Error::new(Code::DISCONNECTED, "the server hung up"));
            }
            let full = || Error::new(Code::FULL, "no space left");
            if self.place == "commit" && self.deed == "refuse-all" {
                return Err(full());
            }
            if self.place == "commit" && self.deed == "refuse" {
                let refused = || CommitOutcome::Failed(full());
                let results = batch.items.iter();
                return Ok(results
                    .map(|item| CommitResult { operation: item.operation, outcome: refused() })
                    .collect());
            }
            let done = self.folders.commit(sink, batch, context);
            self.comes_to("after-commit");
            done
        }

        fn committed_all(&mut self, sink: &str, context: &mut Context<'_>) -> Result<(), Error> {
            if sink == MAIN_SINK {
                return Ok(());
            }
            self.comes_to("committed_all");
            self.folders.committed_all(sink, context)
        }

        fn sync_done(&mut self, sink: &str, context: &mut Context<'_>) -> Result<(), Error> {
            if sink == MAIN_SINK {
                return Ok(());
            }
            self.comes_to("sync_done");
            self.folders.sync_done(sink, context)
        }

        fn disconnect(&mut self, sink: &str, context: &mut Context<'_>) -> Result<(), Error> {
            if sink == MAIN_SINK {
                return Ok(());
            }
            self.comes_to("disconnect");
            self.folders.disconnect(sink, context)
        }
    }
}
