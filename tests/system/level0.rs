//! Plugins without streams (level 0), through the broker: served whole, and what each misdeed in a
//! page costs. The plugin takes an inherited connection only: it knows no HMAC.

use std::time::Instant;

use outrigger::broker::{Instance, PluginHost, SinkClient, start};
use outrigger::protocol::{Anchor, Code, CommitKind, CommitOutcome, Error, Revision};
use outrigger::sandbox::Exit;

use crate::support::host::{AT_ONCE, block_on, commit, connected, finish, list, read, spec, write};
use crate::support::{Link, World, no_process_is_left};

async fn begin(world: &World, deed: &str) -> (PluginHost, Instance, SinkClient) {
    let host = start(spec(world, "level0_plugin", &[deed])).await.unwrap();
    let (instance, sink) = connected(&host).await.unwrap();
    (host, instance, sink)
}

#[test]
fn a_plugin_without_streams_is_served_whole() {
    let world = World::empty(Link::Inherited);
    block_on(async {
        let (host, instance, sink) = begin(&world, "good").await;
        assert_eq!(host.session().peer_level, 0);
        let (changes, end) = list(&sink).await.unwrap();
        assert_eq!((changes.len(), end.count, end.complete), (2500, 2500, true), "in three pages");
        assert_eq!(end.anchor, Some(Anchor::from(&b"here"[..])));
        assert!((0..).zip(&changes).all(|(at, change)| change.href.to_string() == format!("note-{at}")));
        let hrefs: Vec<String> = (0..10).map(|at| format!("note-{at}")).collect();
        let hrefs: Vec<&str> = hrefs.iter().map(String::as_str).collect();
        let found = read(&sink, &hrefs).await.unwrap(); // in four pages
        assert_eq!(found.len(), 10);
        for (asked, found) in hrefs.iter().zip(&found) {
            let text = String::from_utf8(found.clone().unwrap()).unwrap();
            let href = serde_json::to_value(outrigger::protocol::Href::from(*asked)).unwrap();
            assert_eq!(text, format!("note {href}"), "results come in the order of the items");
        }
        let written = commit(&sink, write(CommitKind::Create, "x", None, "text")).await.unwrap();
        let CommitOutcome::Done { revision, .. } = written else { panic!("{written:?}") };
        assert_eq!(revision, Revision::from("2"));
        finish(instance, &sink).await.unwrap();
        let (death, _) = host.stop().await;
        assert_eq!(death.exit, Some(Exit::Code(0)), "a goodbye: {death}");
    });
    no_process_is_left(world.root());
}

#[test]
fn a_cancel_may_go_unheard() {
    let world = World::empty(Link::Inherited);
    block_on(async {
        let (host, instance, sink) = begin(&world, "good").await;
        let listing = list(&sink);
        // One turn: the first page is asked for, then nobody wants it any more.
        drop(tokio::time::timeout(std::time::Duration::ZERO, listing).await);
        assert!(read(&sink, &["a"]).await.is_ok(), "it waits its turn behind the late answer");
        assert_eq!(list(&sink).await.unwrap().1.count, 2500, "which is in nobody's way");
        finish(instance, &sink).await.unwrap();
        assert_eq!(host.stop().await.0.exit, Some(Exit::Code(0)));
    });
    no_process_is_left(world.root());
}

/// What a page that breaks a rule costs: the call, at once, in the plugin's name. The plugin lives.
async fn refused(world: &World, deed: &str) -> Error {
    let (host, instance, sink) = begin(world, deed).await;
    let begun = Instant::now();
    let listed = list(&sink).await.map(drop);
    let done = read(&sink, &["a", "b", "c"]).await.map(drop);
    let error = listed.and(done).unwrap_err();
    assert!(begun.elapsed() < AT_ONCE, "{deed}: {:?}", begun.elapsed());
    finish(instance, &sink).await.unwrap();
    host.stop().await;
    error
}

#[test]
fn a_page_that_breaks_a_rule_fails_its_call_and_nothing_else() {
    let world = World::empty(Link::Inherited);
    for (deed, words) in [
        ("empty-page", "a page without changes that is not the last"),
        ("too-many", "1001 changes where 1000 were wanted"),
        ("same-cursor", "the next page begins where this one began"),
        ("no-results", "0 results for 3 items"),
        ("more-results", "4 results for 3 items"),
        ("disorder", "result 1 where 0 was next"),
        ("twice", "result 0 where 1 was next"),
    ] {
        let error = block_on(refused(&world, deed));
        assert_eq!(error.code, Code::INVALID, "{deed}: {error}");
        assert!(error.message.contains(words), "{deed}: {error}");
    }
    no_process_is_left(world.root());
}

/// Each page is in time; only all of them together are not.
#[test]
fn w3_pages_without_an_end_have_the_time_of_one_listing() {
    let world = World::empty(Link::Inherited);
    block_on(async {
        let mut spec = spec(&world, "level0_plugin", &["for-ever"]);
        spec.calls_timeout = Some(std::time::Duration::from_millis(500));
        let host = start(spec).await.unwrap();
        let (_instance, sink) = connected(&host).await.unwrap();
        let begun = Instant::now();
        let error = list(&sink).await.unwrap_err();
        assert_eq!(error.code, Code::DEADLINE, "{error}");
        assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
        assert!(read(&sink, &["a"]).await.is_ok(), "it answers, so it lives");
        host.stop().await;
    });
    no_process_is_left(world.root());
}
