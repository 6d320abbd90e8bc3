//! A plugin that does what the items tell it that are written to it, and answers with their new
//! names: `asking_plugin sdk` with the SDK, `asking_plugin hand` with a bare connection, which can
//! call what it was never given. `callbacks.rs` is the other side.
#![forbid(unsafe_code)]

use std::process::ExitCode;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("sdk") => outrigger_plugin_sdk::serve_many(2, sdk::Asking::default),
        Some("hand") => hand::serve().map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS),
        _ => ExitCode::FAILURE,
    }
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    ExitCode::FAILURE
}

/// What every item came to: its new name says it.
#[cfg(target_os = "linux")]
fn done(
    item: &outrigger_plugin_sdk::protocol::CommitItem<'_>,
    said: &str,
) -> outrigger_plugin_sdk::protocol::CommitResult {
    use outrigger_plugin_sdk::protocol::{CommitOutcome, CommitResult, Href, Revision};
    let (href, revision) = (Href::from(said), Revision::from("1"));
    CommitResult {
        operation: item.operation,
        outcome: CommitOutcome::Done { href, revision, settled: true, digest: Some(item.digest) },
    }
}

#[cfg(target_os = "linux")]
mod sdk {
    use std::fs::{File, read_to_string};
    use std::io::{Read as _, Seek as _, SeekFrom, Write as _, stderr};

    use outrigger_plugin_sdk::protocol::{
        Ask, AskKind, Code, Commit, CommitResult, Error, GetChanges, Href, Initialize, OperationId, ReadItem,
    };
    use outrigger_plugin_sdk::{ChangeSink, Collection, Context, ListingEnd, Plugin, ReadSink};

    #[derive(Default)]
    pub(super) struct Asking {
        /// A secret that it knows, each byte turned over, so that it is not found by itself.
        turned: Vec<u8>,
    }

    impl Asking {
        fn act(&mut self, words: &[&str], context: &mut Context<'_>) -> Result<String, Error> {
            match words {
                ["update", number, name, value] => {
                    let operation = OperationId(uuid::Uuid::from_u128(number.parse().unwrap_or(0)));
                    let set = vec![((*name).to_owned(), (*value).to_owned())];
                    let updated = context.update_member(operation, set, vec![])?;
                    Ok(format!("{} {}", updated.applied, updated.member.generation))
                }
                ["raise", number] => {
                    let operation = OperationId(uuid::Uuid::from_u128(number.parse().unwrap_or(0)));
                    Ok(context.raise_slow_sync(operation, "")?.generation.to_string())
                }
                ["rename", names @ ..] => {
                    let names = names.iter().filter_map(|pair| pair.split_once('='));
                    let names = names.map(|(old, new)| (Href::from(old), Href::from(new)));
                    context.rename(&names.collect::<Vec<_>>())?;
                    Ok("taken".into())
                }
                ["show", name] => {
                    let member = context.member();
                    Ok(format!("{} {}", member.generation, member.option(name).unwrap_or_default()))
                }
                ["ask", prompt] => {
                    let answer = context.ask_password(prompt)?;
                    writeln!(stderr(), "a careless author: {answer:?} {context:?}").ok();
                    self.remember(answer.expose());
                    Ok(format!("an answer of {} bytes", answer.expose().len()))
                }
                ["choose", choices @ ..] => {
                    let choices = choices.iter().map(|choice| (*choice).to_owned()).collect();
                    let question = Ask { kind: AskKind::Choice, prompt: "which".into(), choices };
                    Ok(context.ask(&question)?.expose().to_owned())
                }
                ["notify", count] => {
                    for _ in 0..count.parse().unwrap_or(0) {
                        context.notify()?;
                    }
                    Ok(String::new())
                }
                ["chat", count] => {
                    for _ in 0..count.parse().unwrap_or(0) {
                        context.progress(1, None)?;
                    }
                    Ok(String::new())
                }
                ["idle"] => Ok(context.idle().as_millis().to_string()),
                ["scan"] => Ok(self.copies()?.to_string()),
                ["scan", "again"] => {
                    let copy: Vec<u8> = self.turned.iter().map(|byte| !byte).collect();
                    let found = self.copies()?;
                    std::hint::black_box(copy).fill(0);
                    Ok(found.to_string())
                }
                _ => Err(Error::new(Code::INVALID, "no such words")),
            }
        }

        fn remember(&mut self, secret: &str) {
            self.turned = secret.bytes().map(|byte| !byte).collect();
        }

        /// How often the secret stands in this process's memory.
        fn copies(&self) -> Result<usize, Error> {
            let mut memory = File::open("/proc/self/mem")?;
            let mut found = 0;
            for line in read_to_string("/proc/self/maps")?.lines().filter(|line| line.contains(" rw")) {
                let range = line.split(' ').next().and_then(|range| range.split_once('-'));
                let Some((from, to)) = range else { continue };
                let at = |text| u64::from_str_radix(text, 16).unwrap_or(0);
                let mut region = vec![0; usize::try_from(at(to) - at(from)).unwrap_or(0)];
                memory.seek(SeekFrom::Start(at(from)))?;
                if memory.read_exact(&mut region).is_ok() {
                    found += self.count(&region);
                }
                region.fill(0);
            }
            Ok(found)
        }

        fn count(&self, region: &[u8]) -> usize {
            let is_it =
                |window: &[u8]| window.iter().zip(&self.turned).all(|(byte, turned)| *byte == !turned);
            region.windows(self.turned.len().max(1)).filter(|window| is_it(window)).count()
        }
    }

    impl Plugin for Asking {
        fn initialize(&mut self, request: Initialize, context: &mut Context<'_>) -> Result<(), Error> {
            writeln!(stderr(), "a careless author: {request:?} {context:?}").ok();
            if let Some((_, secret)) = request.secrets.first() {
                self.remember(secret.expose());
            }
            Ok(())
        }

        fn discover(&mut self, _: &mut Context<'_>) -> Result<Vec<Collection>, Error> {
            Ok(vec![Collection { name: "notes".into(), ..Collection::default() }])
        }

        /// A listing that cannot go on without the user.
        fn get_changes(
            &mut self,
            _: &str,
            _: GetChanges,
            changes: &mut ChangeSink<'_, '_>,
        ) -> Result<ListingEnd, Error> {
            changes.context().ask_password("never")?;
            Ok(ListingEnd::default())
        }

        fn read(&mut self, _: &str, _: Vec<ReadItem>, _: &mut ReadSink<'_, '_>) -> Result<(), Error> {
            Ok(())
        }

        fn commit(
            &mut self,
            _: &str,
            batch: Commit<'_>,
            context: &mut Context<'_>,
        ) -> Result<Vec<CommitResult>, Error> {
            let mut results = Vec::new();
            for item in &batch.items {
                let text = String::from_utf8_lossy(&item.data);
                let words: Vec<&str> = text.split(' ').collect();
                let said = self.act(&words, context)?;
                results.push(super::done(item, &said));
            }
            Ok(results)
        }
    }
}

#[cfg(target_os = "linux")]
mod hand {
    use std::collections::VecDeque;
    use std::io::{BufRead as _, Write as _, stdin};
    use std::os::fd::{AsFd as _, OwnedFd};
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    use outrigger_plugin_sdk::protocol::{
        Answered, Ask, AskKind, AuthKind, Budget, CallId, CallOptions, Codec, Commit, Committed, Connected,
        Discovered, Event, Extensions, Handshake, Header, Hello, Initialize, Initialized, Kind, Method,
        ObjectId, Role, Secret, Sink,
    };
    use outrigger_transport::{BlockingLink, LinkError, SocketCarrier, Wait};

    /// The connection, however it is to be had, and the token.
    fn connect() -> Result<(UnixStream, Option<Secret>), LinkError> {
        let Some(endpoint) = std::env::var_os("OUTRIGGER_ENDPOINT") else {
            return Ok((UnixStream::from(stdin().as_fd().try_clone_to_owned()?), None));
        };
        let mut token = String::new();
        stdin().lock().read_line(&mut token)?;
        let mut secret = [0; 32];
        for (byte, at) in secret.iter_mut().zip((0..).step_by(2)) {
            *byte = token.get(at..at + 2).and_then(|hex| u8::from_str_radix(hex, 16).ok()).unwrap_or(0);
        }
        Ok((UnixStream::connect(endpoint)?, Some(Secret(secret))))
    }

    /// A call that the broker makes.
    struct Call {
        id: CallId,
        target: ObjectId,
        method: Method,
        body: Vec<u8>,
    }

    #[derive(Default)]
    struct Heard {
        calls: VecDeque<Call>,
        goodbye: bool,
        /// Calls of this side that are open, by the names that the script gave them.
        open: Vec<(CallId, String)>,
        /// How the others ended, in that order.
        ended: Vec<String>,
    }

    impl Heard {
        fn event(&mut self, event: Event<'_, ()>, codec: Codec) {
            match event {
                Event::Call(call) => self.calls.push_back(Call {
                    id: call.id,
                    target: call.target,
                    method: call.method,
                    body: call.body.to_vec(),
                }),
                Event::Reply { call, body, .. } => {
                    let text = codec.decode::<Answered>(body);
                    self.ended(call, text.as_ref().map_or("done", |answered| answered.text.expose()));
                }
                Event::Failed { call, error, .. } => {
                    self.ended(call, &format!("{}/{}", error.code, error.effect).replace(' ', "-"));
                }
                Event::Goodbye => self.goodbye = true,
                _ => {}
            }
        }

        fn ended(&mut self, call: CallId, how: &str) {
            if let Some(at) = self.open.iter().position(|(id, _)| *id == call) {
                self.ended.push(format!("{}={how}", self.open.remove(at).1));
            }
        }
    }

    struct Hand {
        link: BlockingLink<()>,
        raw: UnixStream,
        codec: Codec,
        heard: Heard,
        /// The member and the group of each instance, in order.
        given: Vec<(ObjectId, ObjectId)>,
    }

    pub(super) fn serve() -> Result<(), LinkError> {
        let (raw, secret) = connect()?;
        let mut hello = Hello::new("by hand", AuthKind::Inherited, [7; 32]);
        hello.limits.max_instances = 2;
        let carrier = Box::new(SocketCarrier::new(OwnedFd::from(raw.try_clone()?)));
        let link = BlockingLink::establish(carrier, Handshake::dial(hello, secret), Role::Plugin)?;
        let codec = link.session().codec;
        let mut hand = Hand { link, raw, codec, heard: Heard::default(), given: Vec::new() };
        loop {
            match hand.heard.calls.pop_front() {
                Some(call) => hand.answer(&call)?,
                None => match hand.turn() {
                    Err(LinkError::Closed { mid_frame: false }) if hand.heard.goodbye => return Ok(()),
                    turned => turned?,
                },
            }
        }
    }

    impl Hand {
        /// Writes what is ready, and takes in what comes.
        fn turn(&mut self) -> Result<(), LinkError> {
            self.link.flush()?;
            self.link.take_in(Wait::Forever)?;
            let (heard, codec) = (&mut self.heard, self.codec);
            self.link.events(|event, _| heard.event(event, codec))
        }

        fn answer(&mut self, call: &Call) -> Result<(), LinkError> {
            match call.method {
                Method::INITIALIZE => {
                    if let Ok(request) = self.codec.decode::<Initialize>(&call.body) {
                        self.given.push((request.member.object, request.group.object));
                    }
                    let number = u32::try_from(self.given.len()).unwrap_or(0);
                    let (instance, formats) = (ObjectId(10 * number), Vec::new());
                    // The sink has changed before anybody can know it.
                    self.link.connection().notify(ObjectId(10 * number + 1));
                    self.link.connection().reply(call.id, &Initialized { instance, formats });
                }
                Method::DISCOVER => {
                    let sinks = vec![sink(ObjectId(call.target.0 + 1))];
                    let found = Discovered { main: None, sinks, can_create: false };
                    self.link.connection().reply(call.id, &found);
                }
                Method::CONNECT => {
                    self.link.connection().reply(call.id, &Connected { slow_sync: false });
                }
                Method::COMMIT => {
                    let batch: Commit<'_> = self.codec.decode(&call.body).unwrap_or(Commit { items: vec![] });
                    let mut results = Vec::new();
                    for item in &batch.items {
                        let said = self.act(&String::from_utf8_lossy(&item.data), call.target)?;
                        results.push(super::done(item, &said));
                    }
                    self.link.connection().reply(call.id, &Committed { results });
                }
                _ => {
                    self.link.connection().reply(call.id, &());
                }
            }
            self.link.flush()
        }

        /// Does what each line says, waits for all answers, and tells how each call ended.
        fn act(&mut self, script: &str, sink: ObjectId) -> Result<String, LinkError> {
            for line in script.lines() {
                let words: Vec<&str> = line.split(' ').collect();
                match words.as_slice() {
                    ["call", name, object, method, prompt] => self.call(name, object, method, prompt, None),
                    ["within", millis, name, object, method, prompt] => {
                        let total = Duration::from_millis(millis.parse().unwrap_or(0));
                        self.call(name, object, method, prompt, Some(total));
                    }
                    ["cancel", name] => self.cancel(name),
                    ["await", count] => {
                        while self.heard.ended.len() < count.parse().unwrap_or(0) {
                            self.turn()?;
                        }
                    }
                    ["notices", count] => {
                        for _ in 0..count.parse().unwrap_or(0) {
                            self.link.connection().notify(sink);
                        }
                    }
                    ["raw-asks", count] => self.flood(Kind::CALL, count.parse().unwrap_or(0))?,
                    ["raw-cancels", count] => self.flood(Kind::CANCEL, count.parse().unwrap_or(0))?,
                    _ => self.heard.ended.push(format!("what is {line}?")),
                }
                self.link.flush()?;
            }
            while !self.heard.open.is_empty() {
                self.turn()?;
            }
            Ok(std::mem::take(&mut self.heard.ended).join(" "))
        }

        /// `m0` and `g0` are the first member and its group; other objects are numbers.
        fn object(&self, name: &str) -> ObjectId {
            let given = |at: &str| at.parse().ok().and_then(|at: usize| self.given.get(at));
            if let Some((member, _)) = name.strip_prefix('m').and_then(given) {
                return *member;
            }
            if let Some((_, group)) = name.strip_prefix('g').and_then(given) {
                return *group;
            }
            ObjectId(name.parse().unwrap_or(0))
        }

        fn call(&mut self, name: &str, object: &str, method: &str, prompt: &str, total: Option<Duration>) {
            let (object, now) = (self.object(object), self.link.now());
            let method = Method(method.parse().unwrap_or(0));
            let options = CallOptions { total, ..CallOptions::default() };
            let connection = self.link.connection();
            let made = if method == Method::ASK {
                connection.call(object, method, &question(prompt), options, (), now)
            } else {
                connection.call(object, method, &(), options, (), now)
            };
            match made {
                Ok(id) => self.heard.open.push((id, name.to_owned())),
                Err(refusal) => self.heard.ended.push(format!("{name}:{}", refusal.error.code)),
            }
        }

        fn cancel(&mut self, name: &str) {
            let found = self.heard.open.iter().find(|(_, known)| known == name);
            if let Some((id, _)) = found {
                let (id, now) = (*id, self.link.now());
                drop(self.link.connection().cancel(id, now));
            }
        }

        /// What the machine does not let out: calls beyond the limit, or cancels of the first call.
        fn flood(&mut self, kind: Kind, count: u64) -> Result<(), LinkError> {
            self.link.flush()?;
            let mut body = Vec::new();
            if kind == Kind::CALL {
                self.codec.encode(&question("never"), &mut body).ok();
            }
            let body_len = u32::try_from(body.len()).unwrap_or(0);
            let first = self.heard.open.first().map_or(0, |(id, _)| id.0);
            for number in 0..count {
                let id = if kind == Kind::CALL { 1_000_000 + 2 * number } else { first };
                let header = Header {
                    body_len,
                    target: self.object("m0"),
                    method: Method::ASK.0,
                    budget: Budget::DEFAULT,
                    ..Header::new(kind, id)
                };
                self.raw.write_all(&[&header.encode()[..], &body].concat())?;
            }
            Ok(())
        }
    }

    fn question(prompt: &str) -> Ask {
        Ask { kind: AskKind::Text, prompt: prompt.to_owned(), choices: Vec::new() }
    }

    fn sink(object: ObjectId) -> Sink {
        Sink {
            object,
            name: "notes".into(),
            object_types: Vec::new(),
            formats: Vec::new(),
            read_only: false,
            store: None,
            unavailable: None,
            ext: Extensions::default(),
        }
    }
}
