//! Instances and sinks whose handles go while calls and streams are open.

use outrigger_protocol::{
    Change, ChangeKind, Extensions, GetChanges, Group, Href, Initialize, Initialized, Member, Revision,
    StreamKind,
};
use outrigger_transport::memory::CAPACITY;

use super::*;
use crate::client::{Instance, SinkClient};

/// More than a connection may have of streams, and of calls, at one time.
const ROUNDS: usize = 100;

/// What a plugin was asked to do, and has not answered.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    Call(CallId),
    Cancel(CallId),
}

/// A plugin that makes instances, begins a listing, and leaves the rest to the test.
struct Plugin(mpsc::UnboundedSender<Asked>);

impl Handler<()> for Plugin {
    fn event(&mut self, event: Event<'_, ()>, connection: &mut Connection<()>) {
        match event {
            Event::Call(call) if call.method == Method::INITIALIZE => {
                connection.reply(call.id, &Initialized { instance: ObjectId(1), formats: Vec::new() });
            }
            Event::Call(call) => {
                if call.method == Method::GET_CHANGES {
                    let stream = connection.open_stream(call.id, StreamKind::Items).unwrap();
                    connection.push_item(stream, &change()).unwrap();
                }
                self.0.send(Asked::Call(call.id)).unwrap();
            }
            Event::Cancel(call) => self.0.send(Asked::Cancel(call)).unwrap(),
            _ => {}
        }
    }
}

fn change() -> Change {
    Change {
        href: Href::from("a"),
        kind: ChangeKind::Unknown,
        revision: Revision::from("1"),
        settled: true,
        object_type: "note".into(),
        format: "text".into(),
        ext: Extensions::default(),
    }
}

async fn proxies(host: &PluginHost) -> (Instance, SinkClient) {
    let request = Initialize::new(Member::new("m", Vec::new()), Group::new("g", vec!["m".into()]));
    let instance = host.initialize(&request).await.unwrap();
    let sink = instance.main_sink(ObjectId(2));
    assert_eq!(given(host), "Exports { members: 1 }");
    (instance, sink)
}

/// The objects that the plugin may call.
fn given(host: &PluginHost) -> String {
    format!("{:?}", host.exports())
}

/// Holds S9.
#[tokio::test]
async fn handles_that_go_end_no_call_in_silence_and_leave_no_object_call_or_stream() {
    timeout(Duration::from_secs(60), rounds()).await.expect("it hangs");
}

async fn rounds() {
    let (tell, mut asked) = mpsc::unbounded_channel();
    let (events, wiring, _) = PluginHost::wiring(&Arc::new(PluginLog::new("m".into())));
    let ((link, driver), (plugin, serving)) = greet(pair(CAPACITY), 64, events, Plugin(tell)).await;
    tokio::spawn(driver);
    tokio::spawn(serving);
    let (host, _end) = host(link, wiring);
    for round in 0..ROUNDS {
        // The last handle goes while a call is open, which goes on as if nothing had been.
        let (instance, sink) = proxies(&host).await;
        let calling = tokio::spawn(async move { sink.committed_all().await });
        let Some(Asked::Call(call)) = asked.recv().await else { panic!("no call") };
        drop(instance);
        plugin.with(|connection| connection.reply(call, &()));
        assert_eq!(calling.await.unwrap(), Ok(()), "round {round}");

        // Whoever waits for a listing goes: the plugin is told.
        let (instance, sink) = proxies(&host).await;
        let (listed, mut first) = mpsc::unbounded_channel();
        let listing = tokio::spawn(async move {
            let request = GetChanges { slow_sync: false, anchor: None };
            sink.get_changes(&request, move |change| listed.send(change).unwrap()).await
        });
        let Some(Asked::Call(call)) = asked.recv().await else { panic!("no listing") };
        assert_eq!(first.recv().await, Some(change()), "its stream is open");
        drop(instance);
        listing.abort();
        assert!(listing.await.unwrap_err().is_cancelled());
        assert_eq!(asked.recv().await, Some(Asked::Cancel(call)), "round {round}");
        plugin.with(|connection| connection.fail(call, &Error::new(Code::CANCELLED, "as you wish")));
        while host.link.with(|connection| connection.open_calls()) > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(given(&host), "Exports { members: 0 }", "round {round}");
    }
}
