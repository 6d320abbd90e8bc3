//! The life of a plugin as the kit plays it: typed calls over a talk.

use outrigger_protocol::{
    Change, ChangesPage, Commit, CommitItem, CommitOutcome, CommitResult, Committed, Connect, ConnectDone,
    Connected, CreateCollection, Discovered, Error, Extensions, GetChanges, GetChangesPage, Group, Href,
    Initialize, Initialized, Listing, Member, Method, ObjectId, OperationId, Printable, Read, ReadItem,
    ReadOutcome, ReadPage, ReadResult, Remarshal, Remarshalled, Sink,
};

use crate::findings::{Step, Stop, hold};
use crate::rule::Rule;
use crate::settings::Subject;
use crate::talk::{Talk, told};

/// A listing, and what was said of it.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) changes: Vec<Change>,
    pub(crate) complete: bool,
}

/// What reading one item found, kept.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Item(Vec<u8>),
    Nothing,
    Failed(String),
}

/// The kit's own objects: a plugin may call them, and is told that nobody is there.
const MEMBER: ObjectId = ObjectId(1);
const GROUP: ObjectId = ObjectId(2);

/// Changes wanted of one page.
const PAGE: u32 = 500;

/// What `initialize` brings.
pub(crate) fn settings_of(talk: &Talk<'_>, subject: &Subject) -> Initialize {
    let none = Extensions::default;
    Initialize::new(
        Member {
            object: MEMBER,
            name: "checked".into(),
            generation: 0,
            options: talk.options(subject),
            object_types: Vec::new(),
            ext: none(),
        },
        Group {
            object: GROUP,
            name: "conformance".into(),
            generation: 0,
            members: vec!["checked".into(), "other".into()],
            object_types: Vec::new(),
            conflict: "queue".into(),
            last_run: None,
            ext: none(),
        },
    )
}

impl Talk<'_> {
    /// Makes the instance.
    pub(crate) fn initialize(&mut self, subject: &Subject) -> Step<Initialized> {
        let request = settings_of(self, subject);
        let made: Result<Initialized, Box<Error>> = self.ask(Method::INITIALIZE, ObjectId::HOST, &request)?;
        made.map_err(|error| {
            Stop::Settings(format!(
                "it refuses its settings: {}; give it others with --option or in plugin.toml",
                told(&error)
            ))
        })
    }

    /// The collection that the kit writes to: one that is there, or a new one, then with the request
    /// that made it; `None` if it can only be read.
    pub(crate) fn writable_sink(
        &mut self,
        instance: ObjectId,
    ) -> Step<Option<(Sink, Option<CreateCollection>)>> {
        let discovered: Discovered = self.must(Method::DISCOVER, instance, &())?;
        self.main = discovered.main;
        let usable = |sink: &Sink| !sink.read_only && sink.unavailable.is_none();
        if let Some(sink) = discovered.sinks.into_iter().find(usable) {
            return Ok(Some((sink, None)));
        }
        if !discovered.can_create {
            return Ok(None);
        }
        let operation = OperationId(uuid::Uuid::now_v7());
        let request = CreateCollection { operation, name: "conformance".into(), object_types: Vec::new() };
        let made = self.must(Method::CREATE_COLLECTION, instance, &request)?;
        Ok(Some((made, Some(request))))
    }

    /// Asks for a collection again, as one does whose answer was lost.
    pub(crate) fn create_again(
        &mut self,
        instance: ObjectId,
        made: &Sink,
        request: &CreateCollection,
    ) -> Step<()> {
        let name = Printable(&made.name);
        hold(made.name == request.name, Rule::CreateAgain, || {
            format!("\"{}\" was asked for, and \"{name}\" was made", request.name)
        })?;
        let again: Result<Sink, Box<Error>> = self.ask(Method::CREATE_COLLECTION, instance, request)?;
        let right = again.as_ref().is_ok_and(|again| again.object == made.object);
        hold(right, Rule::CreateAgain, || match &again {
            Ok(again) => format!("\"{name}\" was made, and then \"{}\"", Printable(&again.name)),
            Err(error) => format!("\"{name}\" was made; asked again: {}", told(error)),
        })?;
        let found: Discovered = self.must(Method::DISCOVER, instance, &())?;
        let named = found.sinks.iter().filter(|sink| sink.name == made.name).count();
        hold(named == 1, Rule::CreateAgain, || format!("\"{name}\" was made, and is named {named} times"))
    }

    /// Opens a run on a sink.
    pub(crate) fn open_run(&mut self, sink: ObjectId, read_only: bool) -> Step<()> {
        let connect = Connect { slow_sync: true, read_only, anchor: None };
        for object in self.main.into_iter().chain([sink]) {
            let _: Connected = self.must(Method::CONNECT, object, &connect)?;
        }
        self.each(Method::CONNECT_DONE, sink, &ConnectDone { slow_sync: true })
    }

    /// Makes a call on the sink, then on the main one, if there is one.
    fn each<T: serde::Serialize>(&mut self, method: Method, sink: ObjectId, body: &T) -> Step<()> {
        self.must::<_, ()>(method, sink, body)?;
        self.main.map_or(Ok(()), |main| self.must(method, main, body))
    }

    /// Ends a run on a sink as a successful one.
    pub(crate) fn close_run(&mut self, sink: ObjectId) -> Step<()> {
        self.must::<_, ()>(Method::COMMITTED_ALL, sink, &())?;
        self.each(Method::SYNC_DONE, sink, &())?;
        self.each(Method::DISCONNECT, sink, &())
    }

    /// Lists everything.
    pub(crate) fn list(&mut self, sink: ObjectId) -> Step<Listed> {
        if self.level == 0 {
            return self.list_pages(sink);
        }
        let call = self.call(Method::GET_CHANGES, sink, &GetChanges { slow_sync: true, anchor: None })?;
        let answer = self.answer(call, "get_changes", Rule::Answered)?;
        let body =
            answer.map_err(|error| Stop::Pointless(format!("get_changes failed: {}", told(&error))))?;
        let end: Listing = self.read(&body, Method::GET_CHANGES)?;
        let items = self.take_items(call);
        hold(end.count == items.len() as u64, Rule::StreamCounts, || {
            format!("the listing says that it has {} entries; {} came", end.count, items.len())
        })?;
        let changes = items.iter().map(|item| self.read(item, Method::GET_CHANGES));
        Ok(Listed { changes: changes.collect::<Step<_>>()?, complete: end.complete })
    }

    fn list_pages(&mut self, sink: ObjectId) -> Step<Listed> {
        let (mut changes, mut cursor) = (Vec::new(), None);
        loop {
            let request = GetChangesPage { slow_sync: true, anchor: None, cursor, max: PAGE };
            let page: ChangesPage = self.must(Method::GET_CHANGES_PAGE, sink, &request)?;
            let right =
                page.changes.len() <= PAGE as usize && (!page.changes.is_empty() || page.next.is_none());
            hold(right, Rule::Bodies, || {
                format!("a page of {} changes, where 1 to {PAGE} were wanted", page.changes.len())
            })?;
            changes.extend(page.changes);
            cursor = page.next;
            if cursor.is_none() {
                return Ok(Listed { changes, complete: page.complete });
            }
        }
    }

    /// Reads items, in order.
    pub(crate) fn fetch(&mut self, sink: ObjectId, hrefs: &[Href]) -> Step<Vec<Found>> {
        if self.level == 0 {
            return self.fetch_pages(sink, hrefs);
        }
        let call = self.call(Method::READ, sink, &wanted(hrefs))?;
        let answer = self.answer(call, "read", Rule::Answered)?;
        answer.map_err(|error| Stop::Pointless(format!("read failed: {}", told(&error))))?;
        let results = self.take_items(call);
        let found = (0..).zip(&results).map(|(index, item)| {
            let result = crate::bodies::decode(self.wire.codec(), item);
            let wrong = |error| Stop::Broken(Rule::Bodies, format!("a result of read: {error}"));
            found(index, result.map_err(wrong)?)
        });
        let found = found.collect::<Step<Vec<_>>>()?;
        hold(found.len() == hrefs.len(), Rule::StreamCounts, || {
            format!("read was asked for {} items and answered {}", hrefs.len(), found.len())
        })?;
        Ok(found)
    }

    fn fetch_pages(&mut self, sink: ObjectId, hrefs: &[Href]) -> Step<Vec<Found>> {
        let mut all = Vec::new();
        while let Some(left @ [_, ..]) = hrefs.get(all.len()..) {
            let call = self.call(Method::READ_PAGE, sink, &wanted(left))?;
            let answer = self.answer(call, "read_page", Rule::Answered)?;
            let body =
                answer.map_err(|error| Stop::Pointless(format!("read_page failed: {}", told(&error))))?;
            let page: ReadPage<'_> = crate::bodies::decode(self.wire.codec(), &body)
                .map_err(|error| Stop::Broken(Rule::Bodies, format!("the answer to read_page: {error}")))?;
            let right = (1..=left.len()).contains(&page.results.len());
            hold(right, Rule::Bodies, || {
                format!("read_page was asked for {} items and answered {}", left.len(), page.results.len())
            })?;
            for (index, result) in (0..).zip(page.results) {
                all.push(found(index, result)?);
            }
        }
        Ok(all)
    }

    /// Writes a batch; one outcome for each item, in order.
    pub(crate) fn write(&mut self, sink: ObjectId, items: Vec<CommitItem<'_>>) -> Step<Vec<CommitOutcome>> {
        let operations: Vec<_> = items.iter().map(|item| item.operation).collect();
        let committed: Committed = self.must(Method::COMMIT, sink, &Commit { items })?;
        let answered: Vec<_> =
            committed.results.iter().map(|result: &CommitResult| result.operation).collect();
        hold(answered == operations, Rule::Bodies, || {
            format!("commit of {} items answered {} operations, or others", operations.len(), answered.len())
        })?;
        Ok(committed.results.into_iter().map(|result| result.outcome).collect())
    }

    /// Writes one item.
    pub(crate) fn write_one(&mut self, sink: ObjectId, item: CommitItem<'_>) -> Step<CommitOutcome> {
        let mut outcomes = self.write(sink, vec![item])?;
        outcomes.pop().ok_or_else(|| Stop::Broken(Rule::Bodies, "commit answered nothing".into()))
    }

    /// Has the instance take an item apart and make it again.
    pub(crate) fn remarshal(&mut self, instance: ObjectId, format: &str, data: &[u8]) -> Step<Box<[u8]>> {
        let request = Remarshal { format: format.to_owned(), data: data.into() };
        let made: Remarshalled = self.must(Method::REMARSHAL, instance, &request)?;
        Ok(made.data)
    }

    /// Ends the instance.
    pub(crate) fn finalize(&mut self, instance: ObjectId) -> Step<()> {
        self.must(Method::FINALIZE, instance, &())
    }
}

fn wanted(hrefs: &[Href]) -> Read {
    Read { items: hrefs.iter().map(|href| ReadItem { href: href.clone(), known: None }).collect() }
}

fn found(index: u32, result: ReadResult<'_>) -> Step<Found> {
    hold(result.index == index, Rule::Bodies, || {
        format!("read answered item {} where {index} was next", result.index)
    })?;
    Ok(match result.outcome {
        ReadOutcome::Item { data, .. } => Found::Item(data.into_owned()),
        ReadOutcome::NotModified { .. } => Found::Failed("\"not modified\", of what nobody has".into()),
        ReadOutcome::NotFound => Found::Nothing,
        ReadOutcome::Failed(error) => Found::Failed(told(&error)),
    })
}
