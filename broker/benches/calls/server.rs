//! The side that answers. Each ends with its connection.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;

use outrigger_plugin_sdk::{ChangeSink, Collection, Context, ListingEnd, Plugin, ReadSink, serve_on};
use outrigger_protocol::{
    AuthKind, Codec, Commit, CommitItem, CommitOutcome, CommitResult, Connection, Error, Event, GetChanges,
    Handshake, Hello, Initialize, ReadItem, Revision, Role,
};
use outrigger_transport::{BlockingLink, LinkError, SocketCarrier, Wait};

/// Says to the second process that it is one, and which.
pub(crate) const VARIABLE: &str = "OUTRIGGER_BENCH_SERVER";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Sends back what comes.
    Raw,
    /// Decodes the batch, and answers with it.
    Echo,
    /// The SDK.
    Sdk,
}

impl Kind {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Echo => "echo",
            Self::Sdk => "sdk",
        }
    }

    pub(crate) fn from_environment() -> Option<Self> {
        let name = std::env::var(VARIABLE).ok()?;
        [Self::Raw, Self::Echo, Self::Sdk].into_iter().find(|kind| kind.name() == name)
    }
}

pub(crate) fn run(kind: Kind) {
    let socket = std::os::fd::AsFd::as_fd(&std::io::stdin()).try_clone_to_owned().unwrap();
    let null = std::fs::File::open("/dev/null").unwrap();
    rustix::stdio::dup2_stdin(&null).unwrap(); // or the connection would not end with this handle
    match kind {
        Kind::Raw => raw(UnixStream::from(socket)),
        Kind::Echo => drop(echo(SocketCarrier::new(socket))),
        Kind::Sdk => drop(serve_on(Accepting, Box::new(SocketCarrier::new(socket)), None)),
    }
}

fn raw(mut socket: UnixStream) {
    let mut buffer = vec![0; 128 << 10];
    while let Ok(count @ 1..) = socket.read(&mut buffer) {
        socket.write_all(&buffer[..count]).unwrap();
    }
}

fn echo(carrier: SocketCarrier) -> Result<(), LinkError> {
    let handshake = Handshake::dial(Hello::new("bench", AuthKind::Inherited, [1; 32]), None);
    let mut link = BlockingLink::<()>::establish(Box::new(carrier), handshake, Role::Plugin)?;
    loop {
        link.flush()?;
        link.take_in(Wait::Forever)?;
        link.events(answer)?;
    }
}

fn answer(event: Event<'_, ()>, connection: &mut Connection<()>) {
    if let Event::Call(call) = event {
        let batch: Commit<'_> = Codec::Bincode.decode(call.body).unwrap();
        connection.reply(call.id, &batch);
    }
}

/// A connector that stores nothing and says that it is done.
struct Accepting;

fn done(item: &CommitItem<'_>) -> CommitResult {
    let (href, revision) = (item.href.clone(), Revision::from("1"));
    CommitResult {
        operation: item.operation,
        outcome: CommitOutcome::Done { href, revision, settled: true, digest: Some(item.digest) },
    }
}

impl Plugin for Accepting {
    fn initialize(&mut self, _: Initialize, _: &mut Context<'_>) -> Result<(), Error> {
        Ok(())
    }

    fn discover(&mut self, _: &mut Context<'_>) -> Result<Vec<Collection>, Error> {
        Ok(vec![Collection { name: "a".into(), ..Collection::default() }])
    }

    fn get_changes(
        &mut self,
        _: &str,
        _: GetChanges,
        _: &mut ChangeSink<'_, '_>,
    ) -> Result<ListingEnd, Error> {
        Ok(ListingEnd::default())
    }

    fn read(&mut self, _: &str, _: Vec<ReadItem>, _: &mut ReadSink<'_, '_>) -> Result<(), Error> {
        Ok(())
    }

    fn commit(
        &mut self,
        _: &str,
        batch: Commit<'_>,
        _: &mut Context<'_>,
    ) -> Result<Vec<CommitResult>, Error> {
        Ok(batch.items.iter().map(done).collect())
    }
}
