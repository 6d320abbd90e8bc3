//! A little name server on this machine, made with another crate than the code that asks it.

use std::net::{IpAddr, SocketAddr};

use simple_dns::rdata::{A, AAAA, RData, SRV, TXT};
use simple_dns::{CLASS, Name, Packet, PacketFlag, QTYPE, RCODE, ResourceRecord};
use tokio::net::UdpSocket;

/// What it knows.
#[derive(Default)]
pub(super) struct Zone(Vec<(String, RData<'static>)>);

impl Zone {
    pub(super) fn address(self, name: &str, address: &str) -> Self {
        self.with(
            name,
            match address.parse().unwrap() {
                IpAddr::V4(address) => RData::A(A { address: address.to_bits() }),
                IpAddr::V6(address) => RData::AAAA(AAAA { address: address.to_bits() }),
            },
        )
    }

    pub(super) fn srv(self, name: &str, priority: u16, target: &'static str) -> Self {
        let target = Name::new_unchecked(target);
        self.with(name, RData::SRV(SRV { priority, weight: 5, port: 443, target }))
    }

    pub(super) fn txt(self, name: &str, text: &'static str) -> Self {
        self.with(name, RData::TXT(TXT::new().with_string(text).unwrap()))
    }

    fn with(mut self, name: &str, data: RData<'static>) -> Self {
        self.0.push((name.to_owned(), data));
        self
    }

    fn answer(&self, question: &[u8]) -> Vec<u8> {
        let query = Packet::parse(question).unwrap();
        let asked = query.questions[0].clone();
        let name = asked.qname.to_string();
        let mut reply = query.into_reply();
        reply.set_flags(PacketFlag::RESPONSE | PacketFlag::RECURSION_AVAILABLE);
        let known = || self.0.iter().filter(|(known, _)| known.eq_ignore_ascii_case(&name));
        for (known, data) in known().filter(|(_, data)| asked.qtype == QTYPE::TYPE(data.type_code())) {
            let name = Name::new_unchecked(known);
            reply.answers.push(ResourceRecord::new(name, CLASS::IN, 60, data.clone()));
        }
        if known().next().is_none() {
            *reply.rcode_mut() = RCODE::NameError;
        }
        reply.build_bytes_vec_compressed().unwrap()
    }
}

/// Answers until the test is over; returns where.
pub(super) async fn serve_names(zone: Zone) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let server = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 512];
        while let Ok((count, from)) = socket.recv_from(&mut buffer).await {
            socket.send_to(&zone.answer(&buffer[..count]), from).await.unwrap();
        }
    });
    server
}
