//! The judge: hears every frame of a conversation, and names the first rule that one breaks.
//!
//! Pure: frames in, what they mean out. What it knows of a call or a stream it keeps to the end of
//! the conversation, since the rules speak of what comes too late.

use std::collections::{BTreeMap, BTreeSet};

use outrigger_protocol::{
    Codec, Credit, Error, Header, Href, Kind, Method, Printable, Rename, StreamEnd, StreamKind, StreamOpen,
    limits,
};

use crate::bodies::decode;
use crate::findings::{Step, Stop, hold};
use crate::message::Message;
use crate::rule::Rule;

/// Calls in which a plugin may say new names.
const HEAR_NAMES: [Method; 5] =
    [Method::GET_CHANGES, Method::READ, Method::COMMIT, Method::COMMITTED_ALL, Method::SYNC_DONE];

/// What a frame of the plugin means to the conversation.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// A call ended.
    Answer { call: u64, answer: Result<Vec<u8>, Box<Error>> },
    /// Items of a call came, on a stream.
    Items { call: u64, stream: u64, items: Vec<Vec<u8>> },
    /// A stream ended.
    StreamEnd,
    /// The plugin calls.
    Call(u64),
    /// The plugin says new names of items, where a run hears them.
    Renamed { call: u64, names: Vec<(Href, Href)> },
    /// The same, where nobody does.
    RenamedTooEarly(u64),
    /// An answer to PING.
    Pong,
    /// The answer to GOODBYE.
    GoodbyeOk,
    /// A sign of life, or something without consequence.
    Other,
}

#[derive(Debug)]
struct Call {
    method: Method,
    answered: bool,
}

#[derive(Debug)]
struct Stream {
    call: u64,
    kind: StreamKind,
    bytes: u64,
    items: u64,
    granted: u64,
    partial: Vec<u8>,
    ended: bool,
}

/// Everything that was said so far, as far as the rules need it.
#[derive(Debug)]
pub(crate) struct Judge {
    codec: Codec,
    level: u8,
    window: u64,
    calls: BTreeMap<u64, Call>,
    streams: BTreeMap<u64, Stream>,
    last_number: u64,
    total: u64,
    total_granted: u64,
    /// Rules that this conversation has tried.
    tried: BTreeSet<Rule>,
}

impl Judge {
    /// A judge of a conversation in which a stream, and all streams together, may go `window`
    /// bytes ahead.
    pub(crate) fn new(codec: Codec, level: u8, window: u64) -> Self {
        Self {
            codec,
            level,
            window,
            calls: BTreeMap::new(),
            streams: BTreeMap::new(),
            last_number: 0,
            total: 0,
            total_granted: window,
            tried: BTreeSet::new(),
        }
    }

    /// Rules that were tried and held so far.
    pub(crate) const fn tried(&self) -> &BTreeSet<Rule> {
        &self.tried
    }

    /// A call was made.
    pub(crate) fn called(&mut self, call: &Header) {
        self.calls.insert(call.id, Call { method: Method(call.method), answered: false });
    }

    /// Grants a stream as much as it has sent once more, when half of its window is used up; the
    /// offsets to be sent. More often, two ends that only write would fill both directions.
    pub(crate) fn grant(&mut self, stream: u64) -> Option<Credit> {
        let found = self.streams.get_mut(&stream).filter(|found| !found.ended)?;
        let left = (found.granted - found.bytes).min(self.total_granted - self.total);
        if left >= self.window / 2 {
            return None;
        }
        self.total_granted = self.total + self.window;
        found.granted = found.bytes + self.window;
        Some(Credit { stream: found.granted, connection: self.total_granted, durable: 0 })
    }

    /// Grants all streams together as much as they have sent once more.
    pub(crate) const fn grant_all(&mut self) -> Credit {
        self.total_granted = self.total + self.window;
        Credit { stream: 0, connection: self.total_granted, durable: 0 }
    }

    /// Looks at a frame of the plugin.
    pub(crate) fn received(&mut self, message: &Message) -> Step<Seen> {
        let id = message.header.id;
        hold(message.header.handles == 0, Rule::Frames, || {
            format!("a {} frame that says it brings descriptors: a plugin sends none", message.header.kind)
        })?;
        if matches!(message.header.kind, Kind::REPLY | Kind::ERROR) {
            self.has_room(&message.header)?;
        }
        match message.header.kind {
            Kind::REPLY => self.answered(id, Ok(message.body.clone())),
            Kind::ERROR => {
                let error = self.body(message)?;
                self.answered(id, Err(Box::new(error)))
            }
            Kind::PROGRESS => self.belongs(id, Kind::PROGRESS).map(|()| Seen::Other),
            Kind::STREAM_OPEN => self.opened(id, &message.body),
            Kind::DATA => self.data(id, &message.body),
            Kind::STREAM_END => self.stream_end(id, message),
            Kind::STREAM_RESET => self.stream_over(id, Kind::STREAM_RESET),
            Kind::CALL if message.header.method == Method::RENAME.0 => self.renamed(id, &message.body),
            Kind::CALL => self.number(id).map(|()| Seen::Call(id)),
            Kind::PONG => Ok(Seen::Pong),
            Kind::GOODBYE_OK => Ok(Seen::GoodbyeOk),
            Kind::ABORT => Err(Stop::Broken(Rule::Frames, aborted(self.codec, &message.body))),
            Kind::HELLO | Kind::HELLO_OK | Kind::PROOF | Kind::REFUSED => Err(Stop::Broken(
                Rule::Frames,
                format!("a {} frame after the handshake", message.header.kind),
            )),
            _ => Ok(Seen::Other),
        }
    }

    fn body<T: for<'a> serde::Deserialize<'a>>(&self, message: &Message) -> Step<T> {
        decode(self.codec, &message.body).map_err(|error| {
            Stop::Broken(Rule::Bodies, format!("the body of a {} frame: {error}", message.header.kind))
        })
    }

    /// Whether an answer is within what its method may bring.
    fn has_room(&self, answer: &Header) -> Step<()> {
        let Some(Call { method, .. }) = self.calls.get(&answer.id) else { return Ok(()) };
        let most = method.rules_or_default().max_reply;
        hold(answer.body_len <= most, Rule::Frames, || {
            format!("the answer to {method} has {} bytes; the limit is {most}", answer.body_len)
        })
    }

    fn answered(&mut self, id: u64, answer: Result<Vec<u8>, Box<Error>>) -> Step<Seen> {
        let Some(call) = self.calls.get_mut(&id) else {
            return Err(Stop::Broken(Rule::Issued, format!("an answer to call {id}, which was never made")));
        };
        hold(!call.answered, Rule::OneAnswer, || format!("call {id} was answered a second time"))?;
        call.answered = true;
        let open = self.streams.iter_mut().filter(|(_, stream)| stream.call == id && !stream.ended);
        let open: Vec<u64> = open
            .map(|(id, stream)| {
                stream.ended = true;
                *id
            })
            .collect();
        hold(open.is_empty() || answer.is_err(), Rule::StreamOnce, || {
            format!("call {id} was answered while its stream {} was not ended", open[0])
        })?;
        self.tried.extend([Rule::OneAnswer, Rule::Issued, Rule::AfterAnswer, Rule::Frames, Rule::Bodies]);
        Ok(Seen::Answer { call: id, answer })
    }

    /// Whether something may belong to a call now.
    fn belongs(&self, call: u64, what: Kind) -> Step<()> {
        let Some(found) = self.calls.get(&call) else {
            return Err(Stop::Broken(Rule::Issued, format!("{what} for call {call}, which was never made")));
        };
        hold(!found.answered, Rule::AfterAnswer, || format!("{what} for call {call} after its answer"))
    }

    /// A number that the plugin gives out: even, above all before it.
    fn number(&mut self, id: u64) -> Step<()> {
        let new = id.is_multiple_of(2) && id > self.last_number;
        hold(new, Rule::Issued, || format!("{id} is not a new number of the plugin's side"))?;
        self.last_number = id;
        Ok(())
    }

    fn renamed(&mut self, id: u64, body: &[u8]) -> Step<Seen> {
        self.number(id)?;
        let Rename { names, .. } = decode(self.codec, body)
            .map_err(|error| Stop::Broken(Rule::Bodies, format!("the body of rename: {error}")))?;
        let flaw = Rename::flaw(&names);
        hold(flaw.is_none(), Rule::NewNames, || {
            format!("a set of {} new names: {}", names.len(), flaw.unwrap_or_default())
        })?;
        let is_heard = self.calls.values().any(|call| !call.answered && HEAR_NAMES.contains(&call.method));
        Ok(if is_heard { Seen::Renamed { call: id, names } } else { Seen::RenamedTooEarly(id) })
    }

    fn opened(&mut self, id: u64, body: &[u8]) -> Step<Seen> {
        hold(self.level > 0, Rule::Frames, || "a stream, at level 0".into())?;
        let open: StreamOpen = decode(self.codec, body)
            .map_err(|error| Stop::Broken(Rule::Bodies, format!("the body of STREAM_OPEN: {error}")))?;
        self.number(id)?;
        self.belongs(open.call, Kind::STREAM_OPEN)?;
        let stream = Stream {
            call: open.call,
            kind: open.kind,
            bytes: 0,
            items: 0,
            granted: self.window,
            partial: Vec::new(),
            ended: false,
        };
        self.streams.insert(id, stream);
        Ok(Seen::Other)
    }

    /// The stream that a frame is about, while it is open.
    fn stream(&mut self, id: u64, what: Kind) -> Step<&mut Stream> {
        let Some(stream) = self.streams.get_mut(&id) else {
            return Err(Stop::Broken(Rule::Issued, format!("{what} on stream {id}, which was never opened")));
        };
        if stream.ended {
            let call = stream.call;
            let answered = self.calls.get(&call).is_some_and(|call| call.answered);
            let rule = if answered { Rule::AfterAnswer } else { Rule::StreamOnce };
            return Err(Stop::Broken(rule, format!("{what} on stream {id} of call {call} after its end")));
        }
        Ok(stream)
    }

    fn data(&mut self, id: u64, body: &[u8]) -> Step<Seen> {
        let (total, total_granted) = (self.total + body.len() as u64, self.total_granted);
        self.total = total;
        let stream = self.stream(id, Kind::DATA)?;
        stream.bytes += body.len() as u64;
        hold(stream.bytes <= stream.granted && total <= total_granted, Rule::Credit, || {
            format!("stream {id} sent {} bytes where {} were granted", stream.bytes, stream.granted)
        })?;
        let items = stream.take_items(id, body)?;
        Ok(Seen::Items { call: stream.call, stream: id, items })
    }

    fn stream_end(&mut self, id: u64, message: &Message) -> Step<Seen> {
        self.stream(id, Kind::STREAM_END)?;
        let end: StreamEnd = self.body(message)?;
        let stream = self.stream(id, Kind::STREAM_END)?;
        let right = end.items == stream.items && end.bytes == stream.bytes && stream.partial.is_empty();
        let (items, bytes) = (stream.items, stream.bytes);
        hold(right, Rule::StreamCounts, || {
            format!(
                "STREAM_END says {} items in {} bytes; {items} whole ones in {bytes} bytes came",
                end.items, end.bytes
            )
        })?;
        self.tried.extend([Rule::StreamCounts, Rule::StreamOnce]);
        self.stream_over(id, Kind::STREAM_END).map(|_| Seen::StreamEnd)
    }

    fn stream_over(&mut self, id: u64, what: Kind) -> Step<Seen> {
        self.stream(id, what)?.ended = true;
        Ok(Seen::Other)
    }
}

impl Stream {
    /// The items that are whole now.
    fn take_items(&mut self, id: u64, body: &[u8]) -> Step<Vec<Vec<u8>>> {
        let mut items = Vec::new();
        if self.kind != StreamKind::Items {
            return Ok(items);
        }
        self.partial.extend_from_slice(body);
        let mut taken = 0;
        while let Some(head) = self.partial.get(taken..).and_then(|rest| rest.first_chunk::<4>()) {
            let length = u32::from_le_bytes(*head) as usize;
            hold(length <= limits::MAX_ITEM, Rule::Frames, || {
                format!("stream {id} holds an item of {length} bytes; the limit is {}", limits::MAX_ITEM)
            })?;
            let Some(item) = self.partial.get(taken + 4..taken + 4 + length) else { break };
            items.push(item.to_vec());
            taken += 4 + length;
            self.items += 1;
        }
        self.partial.drain(..taken);
        Ok(items)
    }
}

fn aborted(codec: Codec, body: &[u8]) -> String {
    let abort = decode::<outrigger_protocol::Abort>(codec, body);
    let reason = abort.map_or_else(|error| error, |abort| Printable(&abort.reason).to_string());
    format!("the plugin aborted the connection: \"{reason}\"")
}

#[cfg(test)]
mod tests;
