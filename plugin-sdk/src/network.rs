//! What a connector can reach of the network: streams to hosts that the user has granted.
//!
//! A connector in a sandbox opens no connection itself: the broker does, and hands it over. So there
//! is one way to a server, with a sandbox and without.

use std::net::TcpStream;

use outrigger_protocol::{
    Blame, Code, ConnectHost, Effect, Error, HostConnected, Lookup, Method, SrvRecord, SrvRecords, TxtRecords,
};

use crate::context::Context;

impl Context<'_> {
    /// A TCP stream to a host that the user has granted to the member, connected by the broker: a
    /// socket like any other, in blocking mode, for TLS or plain. `host` is a name, or an address as
    /// text. Closing it is all that ends it; it outlives the call.
    ///
    /// # Errors
    /// [`Code::PERMISSION`]: not granted; the message names the entry that would do it, which the user
    /// has to add to `network` in the member's sandbox. Also where a granted name leads to an
    /// address that is not public. [`Code::IO`], [`Code::DEADLINE`]: no such host, or it does not answer; try
    /// later. [`Code::UNIMPLEMENTED`]: this connection passes no streams (Windows, for one).
    /// [`Code::INVALID`]: it is no host or no port. [`Code::OVERLOADED`]: too many at once. As well as
    /// [`Context::update_member`].
    pub fn connect(&mut self, host: &str, port: u16) -> Result<TcpStream, Error> {
        let method = Method::CONNECT_HOST;
        if !self.link.session().has_handles() {
            let text = format!("{method}: this connection to the broker passes no streams");
            return Err(Error::new(Code::UNIMPLEMENTED, text).by(Blame::Broker));
        }
        let request = ConnectHost { host: host.to_owned(), port };
        let mut answer = self.ask_for(self.member.object, method, &request)?;
        let handle = answer.handle.take();
        let _connected: HostConnected = self.read(method, &answer)?;
        let broken = |why: String| {
            let error = Error::new(Code::INVALID, format!("{method}: {why}"));
            error.by(Blame::Broker).with_effect(Effect::Unknown)
        };
        let handle = handle.ok_or_else(|| broken("the answer came without a stream".into()))?;
        handle.into_stream().map_err(|error| broken(error.to_string()))
    }

    /// Where a service of a granted name is: its SRV records, the lowest priority first; none where
    /// there are none. `name` is whole, such as `_caldavs._tcp.example.org`, and granted if
    /// `example.org` is, at any port. To connect to what is found needs a grant of its own.
    ///
    /// # Errors
    /// As [`Context::connect`].
    pub fn lookup_srv(&mut self, name: &str) -> Result<Vec<SrvRecord>, Error> {
        let request = Lookup { name: name.to_owned() };
        let found: SrvRecords = self.call(self.member.object, Method::LOOKUP_SRV, &request)?;
        Ok(found.records)
    }

    /// What a granted name says of itself: its TXT records, each with its strings put together.
    ///
    /// # Errors
    /// As [`Context::connect`].
    pub fn lookup_txt(&mut self, name: &str) -> Result<Vec<Box<[u8]>>, Error> {
        let request = Lookup { name: name.to_owned() };
        let found: TxtRecords = self.call(self.member.object, Method::LOOKUP_TXT, &request)?;
        Ok(found.records.into_iter().map(|record| record.data).collect())
    }
}
