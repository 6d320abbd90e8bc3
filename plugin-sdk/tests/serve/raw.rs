//! A broker without a machine: it can break the rules that the machine keeps.

use outrigger_plugin_sdk::protocol::{
    Budget, Codec, Connect, ConnectDone, Decoder, Header, Kind, Method, ObjectId, limits,
};
use outrigger_plugin_sdk::serve_on;
use outrigger_transport::memory::{CAPACITY, MemoryEnd, pair};
use outrigger_transport::{Carrier, Wait};
use serde::Serialize;

use crate::client::{Served, initialize, listening};
use crate::connector::Connector;

pub(crate) struct Raw {
    end: MemoryEnd,
    decoder: Decoder,
}

pub(crate) fn encoded<T: Serialize + ?Sized>(body: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    Codec::Bincode.encode(body, &mut bytes).unwrap();
    bytes
}

impl Raw {
    /// Serves a connector, up to a first sink in its run. The next free number is 101.
    pub(crate) fn start_run(connector: Connector) -> (Self, Served, ObjectId) {
        let (end, theirs) = pair(CAPACITY);
        let served = std::thread::spawn(move || serve_on(connector, Box::new(theirs), None));
        let mut raw = Self { end, decoder: Decoder::new(limits::MAX_BODY) };
        raw.shake_hands();
        let (instance, sink) = (ObjectId(1), ObjectId(2));
        let setup = [
            (ObjectId::HOST, Method::INITIALIZE, encoded(&initialize())),
            (instance, Method::DISCOVER, vec![]),
            (sink, Method::CONNECT, encoded(&Connect { slow_sync: false, read_only: false, anchor: None })),
            (sink, Method::CONNECT_DONE, encoded(&ConnectDone { slow_sync: false })),
        ];
        for (id, (target, method, body)) in (1..).step_by(2).zip(setup) {
            raw.call(id, target, method, &body);
            assert_eq!(raw.answer().0, Kind::REPLY, "{method}");
        }
        (raw, served, sink)
    }

    fn shake_hands(&mut self) {
        let mut handshake = listening();
        while handshake.receive(&mut self.decoder).unwrap().is_none() {
            self.read();
        }
        self.write(&handshake.output());
    }

    fn read(&mut self) {
        let count = self.end.read(self.decoder.space(), Wait::Forever).unwrap();
        assert!(count > 0, "the plugin closed the connection");
        self.decoder.filled(count);
    }

    fn write(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let count = self.end.try_write(bytes).unwrap();
            bytes = &bytes[count..];
        }
    }

    pub(crate) fn call(&mut self, id: u64, target: ObjectId, method: Method, body: &[u8]) {
        let body_len = u32::try_from(body.len()).unwrap();
        let header = Header {
            body_len,
            target,
            method: method.0,
            budget: Budget::DEFAULT,
            ..Header::new(Kind::CALL, id)
        };
        self.write(&[&header.encode()[..], body].concat());
    }

    /// The next frame: its kind, number and body.
    pub(crate) fn answer(&mut self) -> (Kind, u64, Vec<u8>) {
        loop {
            if let Some(frame) = self.decoder.next_frame().unwrap() {
                return (frame.header.kind, frame.header.id, frame.body.to_vec());
            }
            self.read();
        }
    }
}
