//! Calls and their answers, and most of what can be wrong with them.

use std::collections::VecDeque;
use std::io;

use outrigger_protocol::{
    Change, ChangesPage, Code, Commit, CommitResult, Committed, Connect, ConnectDone, Connected,
    CreateCollection, Cursor, Discovered, Error, Extensions, FormatInfo, GetChanges, GetChangesPage, Goodbye,
    Header, Href, Initialize, Initialized, Kind, Listing, Method, ObjectId, Read, ReadItem, ReadPage,
    ReadResult, Remarshal, Remarshalled, Rename, Sink, StreamEnd, StreamKind, StreamOpen, limits,
};
use serde::Serialize;

use crate::items::Items;
use crate::link::{Link, Message, codec, credit, encode, level, other, park};

const INSTANCE: ObjectId = ObjectId(1);
/// A collection that can only be read, and the first that is made.
const KEPT: ObjectId = ObjectId(2);
const SINK: ObjectId = ObjectId(3);

pub(crate) struct Server {
    link: Link,
    fault: String,
    items: Items,
    waiting: VecDeque<Message>,
    next: u64,
    runs: u32,
    /// Collections that were made.
    made: Vec<(ObjectId, String)>,
    /// What its sinks say of creates that come again.
    dedupe: Option<String>,
    /// A call that was cancelled while it waited for credit.
    cancelled: bool,
    /// The member that it may call.
    member: ObjectId,
    /// The run only looks.
    read_only: bool,
}

/// The answer to a call.
type Answered = Result<Vec<u8>, Box<Error>>;

fn refuse(code: Code, text: &str) -> Box<Error> {
    Box::new(Error::new(code, text))
}

fn body<'a, T: serde::Deserialize<'a>>(message: &'a Message) -> Result<T, Box<Error>> {
    codec().decode(&message.body).map_err(|error| refuse(Code::INVALID, &error.to_string()))
}

fn answer<T: Serialize>(body: &T) -> Answered {
    encode(body).map_err(|error| refuse(Code::INTERNAL, &error.to_string()))
}

impl Server {
    pub(crate) fn new(link: Link, fault: String, dedupe: Option<String>) -> Self {
        let mut items = Items::default();
        items.insert("packed", b"{a: 1}", "packed");
        items.insert("first", b"BEGIN:VCARD\r\nEND:VCARD\r\n", "vcard");
        let (waiting, made) = (VecDeque::new(), Vec::new());
        let (cancelled, read_only, member) = (false, false, ObjectId::HOST);
        Self { link, fault, items, waiting, next: 2, runs: 0, made, dedupe, cancelled, member, read_only }
    }

    fn is(&self, fault: &str) -> bool {
        self.fault == fault
    }

    /// Serves until goodbye (`Ok`) or the end of the connection.
    pub(crate) fn serve(mut self) -> io::Result<()> {
        let mut goodbye = false;
        loop {
            let message = match self.waiting.pop_front() {
                Some(message) => Some(message),
                None => self.link.next()?,
            };
            match message {
                None if goodbye => return Ok(()),
                None if self.is("ignores_close") => park(),
                None => return Err(other("closed without a goodbye")),
                Some(message) if message.header.kind == Kind::GOODBYE => goodbye = self.goodbye(&message)?,
                Some(message) => self.frame(&message)?,
            }
        }
    }

    fn goodbye(&mut self, message: &Message) -> io::Result<bool> {
        let _: Goodbye = codec().decode(&message.body).map_err(io::Error::other)?;
        if self.is("no_goodbye") {
            return Err(other("and off"));
        }
        self.link.raw(Header::new(Kind::GOODBYE_OK, 0), &[])?;
        Ok(true)
    }

    fn frame(&mut self, message: &Message) -> io::Result<()> {
        match message.header.kind {
            Kind::CALL => self.call(message),
            Kind::PING if self.is("no_pong") => Ok(()),
            Kind::PING => self.link.raw(Header::new(Kind::PONG, message.header.id), &[]),
            Kind::CREDIT => {
                let credit = credit(&message.body).ok_or_else(|| other("no credit"))?;
                self.link.connection_limit = self.link.connection_limit.max(credit.connection);
                Ok(())
            }
            Kind(200) if self.is("unknown_frame_ends") => Err(other("what is this?")),
            _ => Ok(()),
        }
    }

    fn call(&mut self, message: &Message) -> io::Result<()> {
        let (id, method) = (message.header.id, Method(message.header.method));
        let fault = std::mem::take(&mut self.fault);
        let odd = (fault.as_str(), method);
        self.fault.clone_from(&fault);
        match odd {
            ("never_answers", Method::FINALIZE) => return Ok(()),
            ("one_at_a_time", _) => self.forget_what_waits()?,
            ("unknown_call_ends", unknown) if unknown.rules().is_none() => return Err(other("unknown")),
            ("empty_body_ends", Method::INITIALIZE) if message.body.is_empty() => {
                return Err(other("no body"));
            }
            _ => {}
        }
        let answer = self.dispatch(message)?;
        let answer = match odd {
            ("garbled_body", Method::DISCOVER) => Ok(vec![0xff; 3]),
            ("large_answer", Method::CONNECT) => Ok(vec![0; 70_000]),
            _ => answer,
        };
        match &answer {
            Ok(body) => self.link.raw(Header::new(Kind::REPLY, id), body)?,
            Err(error) => self.link.send(Kind::ERROR, id, &**error)?,
        }
        match odd {
            ("answers_twice", Method::DISCOVER) => self.link.raw(Header::new(Kind::REPLY, id), &[]),
            ("answers_unasked", Method::DISCOVER) => self.link.raw(Header::new(Kind::REPLY, 0x7fff), &[]),
            ("garbage", Method::DISCOVER) => self.link.bytes(b"debug: discovered one collection\n"),
            ("change_after", Method::GET_CHANGES) if answer.is_ok() => {
                self.link.raw(Header::new(Kind::DATA, self.next - 2), &[])
            }
            _ => Ok(()),
        }
    }

    /// Throws away what came meanwhile: whoever reads with one buffer a call does that.
    fn forget_what_waits(&mut self) -> io::Result<()> {
        self.link.drop_waiting()
    }

    fn dispatch(&mut self, message: &Message) -> io::Result<Answered> {
        Ok(match Method(message.header.method) {
            Method::INITIALIZE => body::<Initialize>(message).and_then(|request| {
                self.member = request.member.object;
                answer(&initialized())
            }),
            Method::DISCOVER => answer(&self.discovered()),
            Method::CREATE_COLLECTION => self.create_collection(message),
            Method::CONNECT => self.connect(message),
            Method::CONNECT_DONE => body::<ConnectDone>(message).and_then(|_| answer(&())),
            Method::GET_CHANGES => match body::<GetChanges>(message) {
                Ok(_) => return self.get_changes(message.header.id),
                Err(error) => Err(error),
            },
            Method::READ => match body::<Read>(message) {
                Ok(read) => return self.read(message.header.id, &read),
                Err(error) => Err(error),
            },
            Method::COMMIT => body::<Commit<'_>>(message).and_then(|batch| self.commit(batch)),
            Method::GET_CHANGES_PAGE => body(message).and_then(|page| self.page(&page)),
            Method::READ_PAGE => body(message).and_then(|read| self.read_page(&read)),
            Method::REMARSHAL => body(message).and_then(|request| self.remarshal(request)),
            Method::COMMITTED_ALL => self.name_for_good(message.header.id)?,
            Method::SYNC_DONE | Method::DISCONNECT | Method::FINALIZE => answer(&()),
            _ => Err(refuse(Code::UNIMPLEMENTED, "no such method")),
        })
    }

    fn discovered(&mut self) -> Discovered {
        let name = if self.is("new_names") { format!("book {}", self.next) } else { "book".into() };
        if self.is("new_names") {
            self.next += 2;
        }
        let kept = Sink { read_only: true, ..self.sink(KEPT, name) };
        let made = self.made.iter().map(|(object, name)| self.sink(*object, name.clone()));
        Discovered { main: None, sinks: std::iter::once(kept).chain(made).collect(), can_create: true }
    }

    /// Makes the one collection that can be written.
    fn create_collection(&mut self, message: &Message) -> Answered {
        let CreateCollection { name, .. } = body(message)?;
        let name = if self.is("renames_it") { format!("my {name}") } else { name };
        if self.made.is_empty() {
            self.made.push((SINK, name.clone()));
        } else if self.is("creates_twice") {
            self.made.push((ObjectId(SINK.0 + 1), name.clone()));
        }
        let made = self.made.last().map_or(SINK, |(made, _)| *made);
        answer(&self.sink(made, name))
    }

    fn sink(&self, object: ObjectId, name: String) -> Sink {
        let mut ext = Extensions::default();
        self.dedupe.iter().for_each(|word| ext.set(2, word.as_bytes()));
        let (object_types, formats) = (Vec::new(), vec!["vcard".into()]);
        Sink { object, name, object_types, formats, read_only: false, store: None, unavailable: None, ext }
    }

    fn connect(&mut self, message: &Message) -> Answered {
        self.read_only = body::<Connect>(message)?.read_only;
        self.runs += 1;
        if self.is("one_run") && self.runs > 1 {
            return Err(refuse(Code::INVALID_STATE, "connected before"));
        }
        answer(&Connected { slow_sync: false })
    }

    fn commit(&mut self, batch: Commit<'_>) -> Answered {
        let mut results = Vec::new();
        for item in batch.items {
            let operation = item.operation;
            results.push(CommitResult { operation, outcome: self.items.write(item, &self.fault) });
        }
        answer(&Committed { results })
    }

    /// Gives an item of this run its lasting name, and says so.
    fn name_for_good(&mut self, call: u64) -> io::Result<Answered> {
        let Some(old) = self.items.nameless().filter(|_| !self.read_only && level() > 0) else {
            return Ok(answer(&()));
        };
        let new = Href::from("lasting");
        let names = match self.fault.as_str() {
            "names_twice" => vec![(old.clone(), new.clone()), (old.clone(), Href::from("another"))],
            "names_nothing" => vec![(old.clone(), Href::default())],
            "takes_a_name" => vec![(old.clone(), Href::from("first"))],
            _ => vec![(old.clone(), new.clone())],
        };
        self.say(call, &Rename { sink: SINK, names })?;
        if !self.is("keeps_the_name") {
            self.items.rename(&old, new);
        }
        Ok(answer(&()))
    }

    /// Makes a call within a call, and waits for its answer.
    fn say(&mut self, call: u64, rename: &Rename) -> io::Result<()> {
        let id = self.next;
        self.next += 2;
        let header = Header { target: self.member, method: Method::RENAME.0, ..Header::new(Kind::CALL, id) };
        self.link.nested(header, call, &encode(rename)?)?;
        loop {
            let message = self.link.next()?.ok_or_else(|| other("closed while it waited for an answer"))?;
            match message.header.kind {
                Kind::REPLY if message.header.id == id => return Ok(()),
                Kind::ERROR if message.header.id == id => return Err(other("new names were refused")),
                Kind::CALL | Kind::GOODBYE => self.waiting.push_back(message),
                _ => self.frame(&message)?,
            }
        }
    }

    fn get_changes(&mut self, call: u64) -> io::Result<Answered> {
        let changes: Vec<Change> = self.items.changes(&self.fault);
        let encoded = changes.iter().map(encode).collect::<io::Result<Vec<_>>>()?;
        let count = self.stream(call, &encoded)?;
        if self.cancelled && !self.is("ignores_cancel") {
            return Ok(Err(refuse(Code::CANCELLED, "given up")));
        }
        Ok(answer(&Listing { complete: true, count, anchor: None }))
    }

    fn page(&self, request: &GetChangesPage) -> Answered {
        let begin =
            request.cursor.as_ref().and_then(|cursor| std::str::from_utf8(&cursor.0).ok()?.parse().ok());
        let (begin, changes): (usize, _) = (begin.unwrap_or(0), self.items.changes(&self.fault));
        let end = changes.len().min(begin + (request.max as usize).min(100));
        let next = (end < changes.len()).then(|| Cursor::from(end.to_string().as_str()));
        let changes = changes.get(begin..end).unwrap_or_default().to_vec();
        answer(&ChangesPage { changes, next, complete: true, anchor: None })
    }

    fn read_page(&self, read: &Read) -> Answered {
        let items = (0..).zip(read.items.iter().take(7));
        let result = |(index, item): (u32, &ReadItem)| ReadResult {
            index,
            outcome: self.items.read(&item.href, &self.fault),
        };
        answer(&ReadPage { results: items.map(result).collect() })
    }

    fn remarshal(&self, request: Remarshal) -> Answered {
        let mut data = request.data.into_vec();
        if self.is("marshals_otherwise") {
            data.push(b' ');
        }
        answer(&Remarshalled { data: data.into() })
    }

    fn read(&mut self, call: u64, read: &Read) -> io::Result<Answered> {
        let results = (0..).zip(&read.items);
        let results = results.map(|(index, item)| {
            encode(&ReadResult { index, outcome: self.items.read(&item.href, &self.fault) })
        });
        let encoded = results.collect::<io::Result<Vec<_>>>()?;
        self.stream(call, &encoded)?;
        Ok(answer(&()))
    }

    /// Sends items within the credit; how many were sent. Ends the stream, unless it was cancelled.
    fn stream(&mut self, call: u64, items: &[Vec<u8>]) -> io::Result<u64> {
        self.cancelled = false;
        let id = self.next;
        self.next += 2;
        self.link.send(Kind::STREAM_OPEN, id, &StreamOpen { call, kind: StreamKind::Items, bulk: None })?;
        let (mut limit, mut bytes, mut count) = (self.link.window(), 0, 0);
        for item in items {
            let length = u32::try_from(item.len()).map_err(io::Error::other)?;
            let data = [&length.to_le_bytes()[..], item].concat();
            let size = data.len() as u64;
            while bytes + size > limit || self.link.sent + size > self.link.connection_limit {
                if !self.wait_for_credit(call, id, &mut limit)? {
                    break;
                }
            }
            if self.cancelled {
                break;
            }
            data.chunks(limits::MAX_DATA)
                .try_for_each(|part| self.link.raw(Header::new(Kind::DATA, id), part))?;
            (bytes, count) = (bytes + size, count + 1);
            self.link.sent += size;
        }
        if !self.cancelled || self.is("ignores_cancel") {
            self.end_stream(id, count, bytes)?;
        }
        Ok(count)
    }

    fn end_stream(&mut self, id: u64, items: u64, bytes: u64) -> io::Result<()> {
        let items = if self.is("counts_wrong") { items + 1 } else { items };
        let times = if self.is("ends_twice") { 2 } else { 1 };
        (0..times)
            .try_for_each(|_| self.link.send(Kind::STREAM_END, id, &StreamEnd { items, bytes, bulk: None }))
    }

    /// Takes in frames until there is more credit (true) or the call was cancelled (false).
    fn wait_for_credit(&mut self, call: u64, stream: u64, limit: &mut u64) -> io::Result<bool> {
        loop {
            let message = self.link.next()?.ok_or_else(|| other("closed while it waited for credit"))?;
            match message.header.kind {
                Kind::CREDIT => {
                    self.frame(&message)?;
                    if let Some(credit) = credit(&message.body).filter(|_| message.header.id == stream) {
                        *limit = credit.stream.max(*limit);
                        return Ok(true);
                    }
                }
                Kind::CANCEL if message.header.id == call => {
                    self.cancelled = true;
                    return Ok(false);
                }
                Kind::CALL | Kind::GOODBYE => self.waiting.push_back(message),
                _ => self.frame(&message)?,
            }
        }
    }
}

fn initialized() -> Initialized {
    let packed = FormatInfo { name: "packed".into(), plain: false, compare: false };
    Initialized { instance: INSTANCE, formats: vec![packed] }
}
