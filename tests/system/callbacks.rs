//! What plugins ask of the engine while they work: answered, refused, given up, overdone; with real
//! processes (decisions W2, W3, W6, W11; OpenSync D 28).

use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use outrigger::broker::{Answer, Callbacks, Instance, NoCallbacks, PluginHost, SinkClient, start};
use outrigger::protocol::{
    Ask, Blame, Code, CommitKind, CommitOutcome, Connect, ConnectDone, Effect, Error, Href, Member,
    MemberUpdate, MemberUpdated, ObjectId, OperationId, RaiseSlowSync, Rename, SecretText, Snapshot,
};
use tokio::sync::{Semaphore, mpsc};

use crate::support::host::{AT_ONCE, EVERY_RUNG, block_on, commit, finish, initialize, list, spec, write};
use crate::support::{World, no_process_is_left, over_both_connections};

over_both_connections!(
    w11_a_member_is_updated_raised_and_seen_by_the_next_call,
    a_question_is_answered_declined_or_has_nobody_to_answer_it,
    x4_new_names_reach_who_keeps_them_as_they_were_said_or_not_at_all,
    d28_a_user_who_cancels_a_listing_cancels_its_question,
    w3_a_question_that_nobody_answers_ends_in_its_time,
    w3_a_plugin_is_told_how_long_its_calls_may_stay_silent,
    a_plugin_calls_what_it_was_given_and_nothing_else,
    w2_calls_to_one_object_are_answered_in_order_and_those_to_others_overlap,
    a_callback_that_panics_fails_its_call_only,
    what_answers_ends_with_the_plugin,
    notices_are_gathered_and_none_is_lost,
    w6_a_talkative_plugin_is_heard_when_something_changes,
    w6_a_flood_of_notices_or_cancels_costs_nothing,
    w6_a_thousand_questions_at_once_end_the_plugin_that_asks_them,
    no_secret_is_shown_logged_or_left_behind,
);

/// What the engine of a test heard.
#[derive(Debug, PartialEq, Eq)]
enum Heard {
    /// A question that takes its time.
    Asked(String),
    /// Nobody works on it any more.
    Dropped(String),
    Changed(ObjectId),
    Renamed(Rename),
}

/// One that keeps a member, and answers questions as their prompt says.
struct Engine {
    member: Mutex<Member>,
    done: Mutex<HashMap<OperationId, MemberUpdated>>,
    secret: String,
    gate: Semaphore,
    /// The next change that is told panics.
    panics: AtomicBool,
    tell: mpsc::UnboundedSender<Heard>,
}

type Ear = mpsc::UnboundedReceiver<Heard>;

fn engine() -> (Arc<Engine>, Ear) {
    let (tell, ear) = mpsc::unbounded_channel();
    let engine = Engine {
        member: Mutex::new(initialize(&[("token", "old")]).member),
        done: Mutex::default(),
        secret: random(),
        gate: Semaphore::new(0),
        panics: AtomicBool::new(false),
        tell,
    };
    (Arc::new(engine), ear)
}

/// A word that stands nowhere else.
fn random() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

/// Tells that a question is at work no more.
struct AtWork<'e>(&'e Engine, String);

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        self.0.tell.send(Heard::Dropped(self.1.clone())).ok();
    }
}

impl Callbacks for Engine {
    fn update_member(&self, update: MemberUpdate) -> Answer<'_, MemberUpdated> {
        Box::pin(async move {
            let mut done = self.done.lock().unwrap();
            if let Some(before) = done.get(&update.operation) {
                return Ok(before.clone());
            }
            let mut member = self.member.lock().unwrap();
            let applied = update.generation == member.generation;
            if applied {
                member.options = update.set;
                member.generation += 1;
            }
            let updated = MemberUpdated { applied, member: member.clone() };
            done.insert(update.operation, updated.clone());
            Ok(updated)
        })
    }

    fn raise_slow_sync(&self, _: RaiseSlowSync) -> Answer<'_, Member> {
        Box::pin(async move {
            let mut member = self.member.lock().unwrap();
            member.generation += 1;
            Ok(member.clone())
        })
    }

    fn ask(&self, question: Ask) -> Answer<'_, SecretText> {
        Box::pin(async move {
            match question.prompt.as_str() {
                "declined" => Err(Error::new(Code::CANCELLED, "the user declines").by(Blame::Caller)),
                "panic" => panic!("a defect in the engine"),
                "never" => {
                    self.tell.send(Heard::Asked(question.prompt.clone())).ok();
                    let _at_work = AtWork(self, question.prompt);
                    std::future::pending().await
                }
                "gate" => {
                    self.tell.send(Heard::Asked(question.prompt)).ok();
                    self.gate.acquire().await.unwrap().forget();
                    Ok(SecretText::new("opened".into()))
                }
                "which" => Ok(SecretText::new(question.choices.last().unwrap().clone())),
                "secret" => {
                    self.tell.send(Heard::Asked(question.prompt)).ok();
                    self.gate.acquire().await.unwrap().forget();
                    Ok(SecretText::new(self.secret.clone()))
                }
                prompt => {
                    self.gate.add_permits(usize::from(prompt == "open"));
                    Ok(SecretText::new("yes".into()))
                }
            }
        })
    }

    fn rename(&self, rename: Rename) -> Answer<'_, ()> {
        Box::pin(async move {
            let is_never = rename.names.iter().any(|(_, new)| *new == Href::from("never"));
            self.tell.send(Heard::Renamed(rename)).ok();
            if is_never {
                let _at_work = AtWork(self, "never".into());
                std::future::pending().await
            }
            Ok(())
        })
    }

    fn changed(&self, sink: ObjectId) {
        assert!(!self.panics.swap(false, Ordering::Relaxed), "another defect in the engine");
        self.tell.send(Heard::Changed(sink)).ok();
    }
}

/// A run of the first sink of an instance.
async fn begin(host: &PluginHost, callbacks: Arc<dyn Callbacks>) -> (Instance, SinkClient) {
    let instance = host.initialize_with(initialize(&[("token", "old")]), callbacks).await.unwrap();
    let sink = instance.sink(instance.discover().await.unwrap().sinks.remove(0));
    sink.connect(&Connect { slow_sync: false, read_only: false, anchor: None }).await.unwrap();
    sink.connect_done(&ConnectDone { slow_sync: false }).await.unwrap();
    (instance, sink)
}

/// Lets the plugin do something, and says what it came to.
async fn act(sink: &SinkClient, script: &str) -> Result<String, Error> {
    match commit(sink, write(CommitKind::Create, "", None, script)).await? {
        CommitOutcome::Done { href, .. } => Ok(href.to_string()),
        other => panic!("{other:?}"),
    }
}

async fn started(world: &World, how: &str) -> PluginHost {
    start(spec(world, "asking_plugin", &[how])).await.unwrap()
}

fn w11_a_member_is_updated_raised_and_seen_by_the_next_call(world: World) {
    block_on(async {
        let (engine, _ear) = engine();
        let host = started(&world, "sdk").await;
        let (instance, sink) = begin(&host, engine.clone()).await;
        assert_eq!(act(&sink, "show token").await.unwrap(), "0 old");
        assert_eq!(act(&sink, "update 1 token new").await.unwrap(), "true 1");
        assert_eq!(
            act(&sink, "show token").await.unwrap(),
            "1 new",
            "the number of the object came back too"
        );
        assert_eq!(
            act(&sink, "update 1 token new").await.unwrap(),
            "true 1",
            "the same operation is done once"
        );
        assert_eq!(act(&sink, "raise 2").await.unwrap(), "2");
        // Somebody else changes the member, and nobody has told the plugin yet.
        engine.member.lock().unwrap().generation = 7;
        assert_eq!(act(&sink, "update 3 token stale").await.unwrap(), "false 7");
        assert_eq!(act(&sink, "update 4 token fresh").await.unwrap(), "true 8");
        // Told: news is seen, what is old is not even sent.
        let mut news = engine.member.lock().unwrap().clone();
        (news.generation, news.options) = (9, vec![("token".into(), "told".into())]);
        instance.tell(Snapshot::Member(news.clone()));
        news.generation = 8;
        instance.tell(Snapshot::Member(news));
        assert_eq!(act(&sink, "show token").await.unwrap(), "9 told");
        finish(instance, &sink).await.unwrap();
        host.stop().await;
    });
    no_process_is_left(world.root());
}

fn a_question_is_answered_declined_or_has_nobody_to_answer_it(world: World) {
    block_on(async {
        let (engine, _ear) = engine();
        let host = started(&world, "sdk").await;
        let (_instance, sink) = begin(&host, engine).await;
        let (_other, alone) = begin(&host, Arc::new(NoCallbacks)).await;
        assert_eq!(act(&sink, "ask hello").await.unwrap(), "an answer of 3 bytes");
        assert_eq!(act(&sink, "choose this that").await.unwrap(), "that");
        let declined = act(&sink, "ask declined").await.unwrap_err();
        assert_eq!((declined.code, declined.message.as_str()), (Code::CANCELLED, "the user declines"));
        assert_eq!(act(&sink, "choose one").await.unwrap_err().code, Code::INVALID, "no choice");
        let long = format!("ask {}", "x".repeat(10_000));
        assert_eq!(act(&sink, &long).await.unwrap_err().code, Code::INVALID, "no user reads that");
        for (script, code) in [
            ("ask hello", Code::PERMISSION),
            ("update 1 a b", Code::READ_ONLY),
            ("raise 1", Code::UNIMPLEMENTED),
        ] {
            assert_eq!(act(&alone, script).await.unwrap_err().code, code, "{script}");
        }
        host.stop().await;
    });
    no_process_is_left(world.root());
}

/// In order, one at a time, each within its time, like all calls to a member.
fn x4_new_names_reach_who_keeps_them_as_they_were_said_or_not_at_all(world: World) {
    block_on(async {
        let (engine, mut ear) = engine();
        let host = started(&world, "sdk").await;
        let (_instance, sink) = begin(&host, engine).await;
        let (_other, alone) = begin(&host, Arc::new(NoCallbacks)).await;
        assert_eq!(act(&sink, "rename a=b b=a").await.unwrap(), "taken");
        let [a, b] = ["a", "b"].map(Href::from);
        let names = vec![(a.clone(), b.clone()), (b, a)];
        assert_eq!(ear.recv().await, Some(Heard::Renamed(Rename { sink: sink.sink().object, names })));
        // What is no set of names is nobody's affair.
        for script in ["rename a=b a=c", "rename a=c b=c", "rename a=", "rename =b"] {
            assert_eq!(act(&sink, script).await.unwrap_err().code, Code::INVALID, "{script}");
        }
        assert_eq!(act(&alone, "rename a=b").await.unwrap_err().code, Code::UNIMPLEMENTED);
        // Who gives up the call that it is said in, gives it up.
        tokio::select! {
            ended = act(&sink, "rename a=never") => panic!("{ended:?}"),
            heard = ear.recv() => assert!(matches!(heard, Some(Heard::Renamed(_))), "{heard:?}"),
        }
        assert_eq!(ear.recv().await, Some(Heard::Dropped("never".into())));
        host.stop().await;
    });
    no_process_is_left(world.root());
}

/// Holds S39.
fn d28_a_user_who_cancels_a_listing_cancels_its_question(world: World) {
    block_on(async {
        let (engine, mut ear) = engine();
        let host = started(&world, "sdk").await;
        let (instance, sink) = begin(&host, engine).await;
        for listing in [true, false] {
            let waiting = async {
                if listing { list(&sink).await.map(drop) } else { act(&sink, "ask never").await.map(drop) }
            };
            tokio::select! {
                ended = waiting => panic!("{ended:?}"),
                heard = ear.recv() => assert_eq!(heard, Some(Heard::Asked("never".into()))),
            }
            let begun = Instant::now(); // the call was dropped: the user gave it up
            assert_eq!(ear.recv().await, Some(Heard::Dropped("never".into())), "nobody is asked any more");
            assert_eq!(act(&sink, "ask hello").await.unwrap(), "an answer of 3 bytes", "it is free again");
            assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
        }
        finish(instance, &sink).await.unwrap();
        host.stop().await;
    });
    no_process_is_left(world.root());
}

/// Holds S39.
fn w3_a_question_that_nobody_answers_ends_in_its_time(world: World) {
    block_on(async {
        let (engine, mut ear) = engine();
        let host = started(&world, "hand").await;
        let (_instance, sink) = begin(&host, engine).await;
        let begun = Instant::now();
        let said = act(&sink, "within 50 q m0 34 never").await.unwrap();
        assert_eq!(said, "q=deadline/effect-unknown");
        assert!(begun.elapsed() >= Duration::from_millis(50));
        while ear.recv().await.unwrap() != Heard::Dropped("never".into()) {}
        assert_eq!(act(&sink, "call q m0 34 hello").await.unwrap(), "q=yes", "the line moves on");
        // One that gives up itself; what waits behind it was never begun.
        let script =
            "call a m0 34 never\ncall b m0 34 never\ncancel b\nawait 1\ncancel a\ncall c m0 34 hello";
        let said = act(&sink, script).await.unwrap();
        assert_eq!(said, "b=cancelled/not-started a=cancelled/effect-unknown c=yes");
        host.stop().await;
    });
    no_process_is_left(world.root());
}

/// Holds S52.
fn w3_a_plugin_is_told_how_long_its_calls_may_stay_silent(world: World) {
    block_on(async {
        for (limit, told) in [(None, "60000"), (Some(45), "45000"), (Some(90), "60000")] {
            let mut spec = spec(&world, "asking_plugin", &["sdk"]);
            spec.calls_timeout = limit.map(Duration::from_secs);
            let host = start(spec).await.unwrap();
            let (instance, sink) = begin(&host, Arc::new(NoCallbacks)).await;
            assert_eq!(act(&sink, "idle").await.unwrap(), told, "{limit:?}");
            finish(instance, &sink).await.unwrap();
            host.stop().await;
        }
    });
    no_process_is_left(world.root());
}

fn a_plugin_calls_what_it_was_given_and_nothing_else(world: World) {
    block_on(async {
        let (engine, _ear) = engine();
        let host = started(&world, "hand").await;
        let (_first, sink) = begin(&host, engine.clone()).await;
        let (second, other) = begin(&host, engine).await;
        let refused = |code: &str| format!("q={code}/not-started");
        assert_eq!(act(&sink, "call q m1 34 hello").await.unwrap(), "q=yes", "one process, one trust");
        for method in [32, 33, 34, 900] {
            let group = act(&sink, &format!("call q g0 {method} hello")).await.unwrap();
            assert_eq!(group, refused("permission"), "{method}");
            let stranger = act(&sink, &format!("call q 99 {method} hello")).await.unwrap();
            assert_eq!(stranger, refused("not-found"), "{method}");
        }
        assert_eq!(act(&sink, "call q m0 900 hello").await.unwrap(), refused("unimplemented"));
        assert_eq!(act(&sink, "call q m0 32 hello").await.unwrap(), refused("invalid"), "a body of nothing");
        // A sink keeps its member; the end of the instance takes it back.
        drop(other);
        second.finalize().await.unwrap();
        assert_eq!(act(&sink, "call q m1 34 hello").await.unwrap(), refused("not-found"));
        assert_eq!(act(&sink, "call q m0 34 hello").await.unwrap(), "q=yes");
        host.stop().await;
    });
    no_process_is_left(world.root());
}

/// Holds S2, S8.
fn w2_calls_to_one_object_are_answered_in_order_and_those_to_others_overlap(world: World) {
    block_on(async {
        let (engine, _ear) = engine();
        let host = started(&world, "hand").await;
        let (_first, sink) = begin(&host, engine.clone()).await;
        let (_second, _other) = begin(&host, engine.clone()).await;
        // While the first waits, `d` is answered; `e` then opens the gate.
        let script = "call a m0 34 gate\ncall b m0 34 hello\ncall c m0 34 hello\ncall d m1 34 hello\nawait 1\ncall e m1 34 open";
        let said = act(&sink, script).await.unwrap();
        assert!(said.starts_with("d=yes "), "{said}");
        assert_eq!(said.replace(" e=yes", ""), "d=yes a=opened b=yes c=yes");
        host.stop().await;
    });
    no_process_is_left(world.root());
}

fn a_callback_that_panics_fails_its_call_only(world: World) {
    block_on(async {
        let (engine, mut ear) = engine();
        let host = started(&world, "hand").await;
        let (_instance, sink) = begin(&host, engine.clone()).await;
        let said = act(&sink, "call a m0 34 panic\ncall b m0 34 hello").await.unwrap();
        assert_eq!(said, "a=internal/effect-unknown b=yes");
        engine.panics.store(true, Ordering::Relaxed);
        act(&sink, "notices 1").await.unwrap();
        while engine.panics.load(Ordering::Relaxed) {
            tokio::task::yield_now().await;
        }
        while ear.try_recv().is_ok() {}
        act(&sink, "notices 1").await.unwrap();
        assert!(matches!(ear.recv().await, Some(Heard::Changed(_))), "the next notice is heard");
        assert_eq!(act(&sink, "call b m0 34 hello").await.unwrap(), "b=yes");
        host.stop().await;
    });
    no_process_is_left(world.root());
}

/// Holds S9.
fn what_answers_ends_with_the_plugin(world: World) {
    block_on(async {
        let (engine, mut ear) = engine();
        let host = started(&world, "sdk").await;
        let (_instance, sink) = begin(&host, engine).await;
        let asking = tokio::spawn(async move { act(&sink, "ask never").await });
        assert_eq!(ear.recv().await, Some(Heard::Asked("never".into())));
        let plugin = nix::unistd::Pid::from_raw(host.facts().pid.cast_signed());
        nix::sys::signal::kill(plugin, nix::sys::signal::Signal::SIGKILL).unwrap();
        assert_eq!(ear.recv().await, Some(Heard::Dropped("never".into())), "nobody is asked any more");
        let error = asking.await.unwrap().unwrap_err();
        assert_eq!((error.code, error.effect), (Code::DISCONNECTED, Effect::Unknown));
        host.wait().await;
    });
    no_process_is_left(world.root());
}

fn notices_are_gathered_and_none_is_lost(world: World) {
    block_on(async {
        let (engine, mut ear) = engine();
        let host = started(&world, "hand").await;
        let (instance, sink) = begin(&host, engine).await;
        let object = sink.sink().object;
        // It was said before this side knew the sink, and is told once it does.
        assert_eq!(ear.recv().await, Some(Heard::Changed(object)));
        act(&sink, "notices 1000").await.unwrap();
        assert_eq!(ear.recv().await, Some(Heard::Changed(object)));
        let mut told = 1;
        for _ in 0..50 {
            while ear.try_recv().is_ok() {
                told += 1;
            }
            act(&sink, "notices 1").await.unwrap();
            assert_eq!(ear.recv().await, Some(Heard::Changed(object)), "none is lost");
        }
        assert!(told <= 50, "{told} calls for 1000 notices in a row");
        finish(instance, &sink).await.unwrap();
        host.stop().await;
    });
    no_process_is_left(world.root());
}

fn w6_a_talkative_plugin_is_heard_when_something_changes(world: World) {
    block_on(async {
        let (engine, mut ear) = engine();
        let host = started(&world, "sdk").await;
        let (instance, sink) = begin(&host, engine).await;
        act(&sink, "chat 5000").await.unwrap(); // more than anybody listens to
        act(&sink, "notify 1").await.unwrap();
        assert_eq!(ear.recv().await, Some(Heard::Changed(sink.sink().object)));
        finish(instance, &sink).await.unwrap();
        host.stop().await;
    });
    no_process_is_left(world.root());
}

fn w6_a_flood_of_notices_or_cancels_costs_nothing(world: World) {
    block_on(async {
        let (engine, mut ear) = engine();
        let host = started(&world, "hand").await;
        let (instance, sink) = begin(&host, engine.clone()).await;
        while ear.try_recv().is_ok() {}
        let begun = Instant::now();
        for _ in 0..3 {
            act(&sink, "notices 10000").await.unwrap();
        }
        assert_eq!(ear.recv().await, Some(Heard::Changed(sink.sink().object)));
        let script = "call a m0 34 gate\nraw-cancels 10000\ncall b m0 34 hello";
        assert_eq!(act(&sink, script).await.unwrap(), "a=cancelled/effect-unknown b=yes");
        let mut told = 1;
        while let Ok(heard) = ear.try_recv() {
            told += usize::from(matches!(heard, Heard::Changed(_)));
        }
        let most = 2000 + usize::try_from(begun.elapsed().as_millis()).unwrap();
        assert!(told <= most, "{told} calls, at most {most} notices are listened to");
        assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
        finish(instance, &sink).await.unwrap();
        host.stop().await;
    });
    no_process_is_left(world.root());
}

/// Holds S3.
fn w6_a_thousand_questions_at_once_end_the_plugin_that_asks_them(world: World) {
    block_on(async {
        let (engine, mut ear) = engine();
        let (bad, good) = (started(&world, "hand").await, started(&world, "sdk").await);
        let (_first, sink) = begin(&bad, engine.clone()).await;
        let (_second, other) = begin(&good, engine.clone()).await;
        let begun = Instant::now();
        let error = act(&sink, "raw-asks 1000").await.unwrap_err();
        assert_eq!((error.code, error.blame), (Code::DISCONNECTED, Blame::Plugin), "{error}");
        let death = bad.wait().await;
        assert!(begun.elapsed() < EVERY_RUNG, "{:?}", begun.elapsed());
        assert!(death.connection.is_some_and(|why| why.contains("calls")), "it is told why");
        let mut heard = Vec::new();
        while let Ok(one) = ear.try_recv() {
            heard.push(one);
        }
        let asked = heard.iter().filter(|heard| matches!(heard, Heard::Asked(_))).count();
        assert!(asked <= 1, "{asked} questions to one member at a time");
        assert_eq!(act(&other, "ask hello").await.unwrap(), "an answer of 3 bytes");
        good.stop().await;
    });
    no_process_is_left(world.root());
}

/// Keeps what is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Fails if a process of anybody has the secret in its arguments or its environment.
fn assert_in_no_process(secret: &str) {
    let mut looked = 0;
    for process in fs::read_dir("/proc").unwrap().flatten() {
        for file in ["cmdline", "environ"] {
            let Ok(text) = fs::read(process.path().join(file)) else { continue };
            let found = text.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{}/{file}", process.path().display());
            looked += 1;
        }
    }
    assert!(looked > 4, "its own, the keeper's and the plugin's at least");
}

fn no_secret_is_shown_logged_or_left_behind(world: World) {
    // While there is one subscriber only, an event that another test is the first to say is thought to
    // interest nobody, for ever: `tracing` asks that test's thread alone.
    let _not_the_only_one = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::default());
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let given = random();
    let _logging = tracing::subscriber::set_default(subscriber);
    let asked = block_on(async {
        let (engine, mut ear) = engine();
        let host = started(&world, "sdk").await;
        let mut request = initialize(&[]);
        request.secrets = vec![("password".into(), SecretText::new(given.clone()))];
        assert!(!format!("{request:?}").contains(&given));
        let instance = host.initialize_with(request, engine.clone()).await.unwrap();
        let sink = instance.sink(instance.discover().await.unwrap().sinks.remove(0));
        sink.connect(&Connect { slow_sync: false, read_only: false, anchor: None }).await.unwrap();
        sink.connect_done(&ConnectDone { slow_sync: false }).await.unwrap();
        assert_eq!(act(&sink, "scan").await.unwrap(), "0", "copies in the plugin's memory");
        assert_ne!(act(&sink, "scan again").await.unwrap(), "0", "else the scan finds nothing at all");
        let asking = act(&sink, "ask secret");
        let answering = async {
            assert_eq!(ear.recv().await, Some(Heard::Asked("secret".into())));
            assert_in_no_process(&given);
            assert_in_no_process(&engine.secret);
            engine.gate.add_permits(1);
        };
        assert_eq!(tokio::join!(asking, answering).0.unwrap(), "an answer of 32 bytes");
        assert_eq!(act(&sink, "scan").await.unwrap(), "0", "copies in the plugin's memory");
        finish(instance, &sink).await.unwrap();
        host.stop().await;
        engine.secret.clone()
    });
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.matches("a careless author").count() >= 2, "{log}");
    assert!(!log.contains(&given) && !log.contains(&asked), "{log}");
    no_process_is_left(world.root());
}
