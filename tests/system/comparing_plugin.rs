//! The connector for folders, with a word of its own on what means the same: `comparing_plugin DEED`.
//!
//! `case` takes two cards that differ in the case of letters for the same; `fail`, `die` and `hang`
//! are what it does instead of saying so. `comparisons.rs` says what each must cost.
#![forbid(unsafe_code)]

use std::process::ExitCode;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    let deed = std::env::args().nth(1).unwrap_or_default();
    outrigger_plugin_sdk::serve(plugin::Comparing { deed, folders: outrigger_plugin_vdir::Vdir::new() })
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    ExitCode::FAILURE
}

#[cfg(target_os = "linux")]
mod plugin {
    use outrigger_plugin_sdk::protocol::{
        Code, Commit, CommitResult, Connect, Connected, Error, FormatInfo, GetChanges, Initialize, ReadItem,
        Verdict,
    };
    use outrigger_plugin_sdk::{ChangeSink, Collection, Context, ListingEnd, Plugin, ReadSink};
    use outrigger_plugin_vdir::Vdir;

    pub(super) struct Comparing {
        pub(super) deed: String,
        pub(super) folders: Vdir,
    }

    impl Plugin for Comparing {
        fn formats(&self) -> Vec<FormatInfo> {
            vec![FormatInfo { name: "vcard".into(), plain: true, compare: true }]
        }

        fn compare(&mut self, _: &str, left: &[u8], right: &[u8]) -> Result<Verdict, Error> {
            match self.deed.as_str() {
                "case" if left.eq_ignore_ascii_case(right) => Ok(Verdict::Same),
                "case" => Ok(Verdict::Similar),
                "die" => std::process::abort(),
                "hang" => loop {
                    std::thread::park();
                },
                _ => Err(Error::new(Code::FORMAT, "what is that")),
            }
        }

        fn initialize(&mut self, request: Initialize, context: &mut Context<'_>) -> Result<(), Error> {
            self.folders.initialize(request, context)
        }

        fn discover(&mut self, context: &mut Context<'_>) -> Result<Vec<Collection>, Error> {
            self.folders.discover(context)
        }

        fn connect(
            &mut self,
            sink: &str,
            request: Connect,
            context: &mut Context<'_>,
        ) -> Result<Connected, Error> {
            self.folders.connect(sink, request, context)
        }

        fn get_changes(
            &mut self,
            sink: &str,
            request: GetChanges,
            changes: &mut ChangeSink<'_, '_>,
        ) -> Result<ListingEnd, Error> {
            self.folders.get_changes(sink, request, changes)
        }

        fn read(
            &mut self,
            sink: &str,
            items: Vec<ReadItem>,
            results: &mut ReadSink<'_, '_>,
        ) -> Result<(), Error> {
            self.folders.read(sink, items, results)
        }

        fn commit(
            &mut self,
            sink: &str,
            batch: Commit<'_>,
            context: &mut Context<'_>,
        ) -> Result<Vec<CommitResult>, Error> {
            self.folders.commit(sink, batch, context)
        }

        fn disconnect(&mut self, sink: &str, context: &mut Context<'_>) -> Result<(), Error> {
            self.folders.disconnect(sink, context)
        }
    }
}
