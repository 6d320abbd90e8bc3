//! Messages of the name system (RFC 1035): one question out, the records of its answer in.
//!
//! Only what is needed to ask for four types of records. What comes in is hostile: every length is
//! looked at, and a name leads backwards only, so that none goes in circles.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use outrigger_protocol::{SrvRecord, TxtRecord, limits::MAX_RECORDS};

/// A type of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub(crate) enum Type {
    A = 1,
    Txt = 16,
    Aaaa = 28,
    Srv = 33,
}

/// The class of all records: the Internet.
const INTERNET: u16 = 1;

/// Most bytes of a name as it travels.
const MAX_NAME: usize = 255;

/// A record that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Record {
    Address(IpAddr),
    Srv(SrvRecord),
    Txt(TxtRecord),
}

/// What an answer says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// These records, at most 64; none: there are none.
    Records(Vec<Record>),
    /// It did not fit: to be asked again over TCP.
    Truncated,
    /// The server cannot or will not say, by its code.
    Failed(u8),
}

/// A question. `name` is of letters, digits, `-`, `_` and dots (`Name` of `grants`).
pub(crate) fn question(id: u16, name: &str, kind: Type) -> Vec<u8> {
    const RECURSE: u16 = 0x0100;
    let mut message = Vec::with_capacity(name.len() + 18);
    [id, RECURSE, 1, 0, 0, 0].iter().for_each(|word| message.extend_from_slice(&word.to_be_bytes()));
    for label in name.split('.') {
        message.push(u8::try_from(label.len()).unwrap_or_default()); // 63 at most
        message.extend_from_slice(label.as_bytes());
    }
    message.push(0);
    [kind as u16, INTERNET].iter().for_each(|word| message.extend_from_slice(&word.to_be_bytes()));
    message
}

/// Reads an answer to `question`; `None`: it is no answer to it, or none at all.
pub(crate) fn answer(question: &[u8], message: &[u8]) -> Option<Answer> {
    let mut reader = Reader { message, at: 0 };
    let (id, flags, questions, answers) = (reader.word()?, reader.word()?, reader.word()?, reader.word()?);
    reader.take(4)?;
    let asked = question.get(12..)?;
    let is_answer = flags & 0x8000 != 0 && questions == 1 && question.starts_with(&id.to_be_bytes());
    if !is_answer || !reader.take(asked.len())?.eq_ignore_ascii_case(asked) {
        return None;
    }
    let code = flags.to_be_bytes()[1] & 15;
    match code {
        _ if flags & 0x0200 != 0 => return Some(Answer::Truncated),
        0 | 3 => {} // 3: there is no such name
        _ => return Some(Answer::Failed(code)),
    }
    let kind = u16::from_be_bytes(asked.get(asked.len() - 4..asked.len() - 2)?.try_into().ok()?);
    let mut records = Vec::new();
    for _ in 0..answers {
        let found = reader.record(kind)?;
        records.extend(found.filter(|_| records.len() < MAX_RECORDS));
    }
    Some(Answer::Records(records))
}

/// Where in a message reading is.
#[derive(Clone)]
struct Reader<'m> {
    message: &'m [u8],
    at: usize,
}

impl<'m> Reader<'m> {
    fn take(&mut self, count: usize) -> Option<&'m [u8]> {
        let bytes = self.message.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(bytes)
    }

    fn word(&mut self) -> Option<u16> {
        self.take(2).and_then(|bytes| bytes.try_into().ok()).map(u16::from_be_bytes)
    }

    /// One record: `Some(None)` if it is of another type, or says nothing that can be used. `None`:
    /// the message is broken.
    fn record(&mut self, wanted: u16) -> Option<Option<Record>> {
        self.name()?;
        let (kind, class) = (self.word()?, self.word()?);
        self.take(4)?; // how long it holds: it is used at once
        let length = usize::from(self.word()?);
        let mut data = Reader { message: self.message.get(..self.at.checked_add(length)?)?, at: self.at };
        self.take(length)?;
        if kind != wanted || class != INTERNET {
            return Some(None); // the other names on the way to it, say
        }
        Some(data.data(kind))
    }

    /// The data of a record, which is all that is left.
    fn data(&mut self, kind: u16) -> Option<Record> {
        let rest = self.message.get(self.at..)?;
        match kind {
            1 => <[u8; 4]>::try_from(rest).ok().map(|bytes| Record::Address(Ipv4Addr::from(bytes).into())),
            28 => <[u8; 16]>::try_from(rest).ok().map(|bytes| Record::Address(Ipv6Addr::from(bytes).into())),
            16 => self.texts().map(|data| Record::Txt(TxtRecord { data: data.into() })),
            33 => {
                let (priority, weight, port) = (self.word()?, self.word()?, self.word()?);
                Some(Record::Srv(SrvRecord { priority, weight, port, target: self.name()?? }))
            }
            _ => None,
        }
    }

    /// The strings of a TXT record, put together.
    fn texts(&mut self) -> Option<Vec<u8>> {
        let mut all = Vec::new();
        while self.at < self.message.len() {
            let length = self.take(1)?.first()?;
            all.extend_from_slice(self.take(usize::from(*length))?);
        }
        Some(all)
    }

    /// A name: `Some(None)` if there is something else in it than letters, digits, `-` and `_`.
    fn name(&mut self) -> Option<Option<String>> {
        let (mut name, mut is_plain) = (String::new(), true);
        let mut reader = self.clone();
        let mut behind = None; // where reading goes on: behind the first pointer
        let mut lowest = self.at;
        loop {
            match usize::from(*reader.take(1)?.first()?) {
                0 => break,
                length @ 1..64 => {
                    let label = reader.take(length)?;
                    is_plain &= label.iter().all(|c| c.is_ascii_alphanumeric() || b"-_".contains(c));
                    name.push_str(if name.is_empty() { "" } else { "." });
                    name.push_str(&String::from_utf8_lossy(label));
                }
                high @ 192.. => {
                    let to = (high - 192) << 8 | usize::from(*reader.take(1)?.first()?);
                    behind.get_or_insert(reader.at);
                    // Each leads to a place before all that were looked at: so there is an end.
                    lowest = Some(to).filter(|to| *to < lowest)?;
                    reader.at = to;
                }
                _ => return None,
            }
            if name.len() > MAX_NAME * 3 {
                return None;
            }
        }
        self.at = behind.unwrap_or(reader.at);
        Some(is_plain.then_some(name).filter(|name| name.len() < MAX_NAME))
    }
}

#[cfg(test)]
mod tests {
    use simple_dns::rdata::{A, AAAA, CNAME, RData, SRV, TXT};
    use simple_dns::{CLASS, Name, Packet, PacketFlag, QTYPE, RCODE, ResourceRecord, TYPE};

    use super::*;

    const NAME: &str = "_caldavs._tcp.example.org";

    /// What another reader makes of a question, with records as its answer.
    fn replied(question: &[u8], records: Vec<RData<'static>>) -> Vec<u8> {
        let mut reply = Packet::parse(question).unwrap().into_reply();
        reply.set_flags(PacketFlag::RESPONSE);
        for data in records {
            let name = Name::new_unchecked(NAME).into_owned();
            reply.answers.push(ResourceRecord::new(name, CLASS::IN, 60, data));
        }
        reply.build_bytes_vec_compressed().unwrap()
    }

    fn name(text: &'static str) -> Name<'static> {
        Name::new_unchecked(text)
    }

    fn srv(priority: u16, target: &'static str) -> RData<'static> {
        RData::SRV(SRV { priority, weight: 5, port: 443, target: name(target) })
    }

    #[test]
    fn a_question_is_read_by_another_reader() {
        let bytes = question(0x1234, NAME, Type::Srv);
        let packet = Packet::parse(&bytes).unwrap();
        assert!(packet.id() == 0x1234 && packet.has_flags(PacketFlag::RECURSION_DESIRED));
        assert_eq!(packet.questions[0].qname.to_string(), NAME);
        assert_eq!(packet.questions[0].qtype, QTYPE::TYPE(TYPE::SRV));
    }

    #[test]
    fn the_records_of_another_writer_are_read() {
        let asked = question(7, NAME, Type::Srv);
        let records = vec![RData::CNAME(CNAME(name("elsewhere.org"))), srv(1, "dav.example.org"), srv(0, "")];
        let record = |priority, target: &str| {
            Record::Srv(SrvRecord { priority, weight: 5, port: 443, target: target.into() })
        };
        let expected = vec![record(1, "dav.example.org"), record(0, "")];
        assert_eq!(answer(&asked, &replied(&asked, records)), Some(Answer::Records(expected)));
        let asked = question(7, NAME, Type::Txt);
        let text = TXT::new().with_string("path=/dav").unwrap().with_string("/x=y").unwrap();
        let expected = Record::Txt(TxtRecord { data: b"path=/dav/x=y"[..].into() });
        assert_eq!(
            answer(&asked, &replied(&asked, vec![RData::TXT(text)])),
            Some(Answer::Records(vec![expected]))
        );
        for (kind, data, address) in [
            (Type::A, RData::A(A { address: 0x7f00_0001 }), "127.0.0.1"),
            (Type::Aaaa, RData::AAAA(AAAA { address: 1 }), "::1"),
        ] {
            let asked = question(7, NAME, kind);
            let expected = vec![Record::Address(address.parse().unwrap())];
            assert_eq!(answer(&asked, &replied(&asked, vec![data])), Some(Answer::Records(expected)));
        }
    }

    #[test]
    fn what_answers_something_else_is_no_answer() {
        let asked = question(7, NAME, Type::Srv);
        let other_id = question(8, NAME, Type::Srv);
        let other_name = question(7, "_caldavs._tcp.example.com", Type::Srv);
        let other_type = question(7, NAME, Type::Txt);
        for other in [&other_id, &other_name, &other_type] {
            assert_eq!(answer(&asked, &replied(other, vec![])), None);
        }
        assert_eq!(answer(&asked, &asked), None, "a question");
        assert_eq!(answer(&asked, &[]), None);
        let same = question(7, "_CalDavs._TCP.example.ORG", Type::Srv);
        assert_eq!(answer(&asked, &replied(&same, vec![])), Some(Answer::Records(vec![])));
    }

    #[test]
    fn a_server_may_fail_or_have_more_to_say_and_no_such_name_has_no_records() {
        let asked = question(7, NAME, Type::Srv);
        let said = |act: &dyn Fn(&mut Packet<'_>)| {
            let mut reply = Packet::parse(&asked).unwrap().into_reply();
            reply.set_flags(PacketFlag::RESPONSE);
            act(&mut reply);
            answer(&asked, &reply.build_bytes_vec().unwrap())
        };
        assert_eq!(said(&|reply| reply.set_flags(PacketFlag::TRUNCATION)), Some(Answer::Truncated));
        assert_eq!(said(&|reply| *reply.rcode_mut() = RCODE::NameError), Some(Answer::Records(vec![])));
        assert_eq!(said(&|reply| *reply.rcode_mut() = RCODE::ServerFailure), Some(Answer::Failed(2)));
    }

    #[test]
    fn more_records_than_are_taken_are_left_out() {
        let asked = question(7, NAME, Type::Srv);
        let many = replied(&asked, (0..200).map(|priority| srv(priority, "a.org")).collect());
        let Some(Answer::Records(records)) = answer(&asked, &many) else { panic!("it is an answer") };
        assert_eq!(records.len(), MAX_RECORDS);
    }

    /// A message with one SRV record whose target is these bytes, at offset 61.
    fn with_target(target: &[u8]) -> Option<Answer> {
        let asked = question(7, NAME, Type::Srv);
        let mut message = replied(&asked, vec![]);
        message[7] = 1;
        message.extend_from_slice(&[0xc0, 12, 0, 33, 0, 1, 0, 0, 0, 60]);
        message.extend_from_slice(&u16::try_from(6 + target.len()).unwrap().to_be_bytes());
        message.extend_from_slice(&[0; 6]);
        assert_eq!(message.len(), 61);
        message.extend_from_slice(target);
        answer(&asked, &message)
    }

    /// Every one of them ends, and none is believed.
    #[test]
    fn names_that_lead_in_circles_forwards_or_out_are_broken() {
        assert!(matches!(with_target(&[0xc0, 12]), Some(Answer::Records(records)) if records.len() == 1));
        let empty = Some(Answer::Records(vec![]));
        assert_eq!(with_target(&[0xc0, 61]), empty, "to itself");
        assert_eq!(with_target(&[1, b'a', 0xc0, 61]), empty, "round and round");
        assert_eq!(with_target(&[0xc0, 63, 0]), empty, "forwards");
        assert_eq!(with_target(&[0xff, 0xff]), empty, "out");
        assert_eq!(with_target(&[64, 0]), empty, "of a kind that there is not");
        assert_eq!(with_target(&[5, b'a', 0]), empty, "too short");
        assert_eq!(with_target(&[3, b'a', 0x1b, b'b', 0]), empty, "with what draws on a terminal");
        let long: Vec<u8> = std::iter::repeat_n([&[63][..], &[b'a'; 63]].concat(), 5).flatten().collect();
        assert_eq!(with_target(&[&long[..], &[0]].concat()), empty, "too long");
    }

    /// Cut at every byte, and with every byte changed: no panic, no hang.
    #[test]
    fn a_message_that_is_broken_anywhere_is_survived() {
        let asked = question(7, NAME, Type::Srv);
        let whole = replied(&asked, vec![srv(1, "dav.example.org"), srv(2, "b.example.org")]);
        for at in 0..whole.len() {
            assert!(answer(&asked, &whole[..at]).is_none(), "{at}");
            for value in 0..=255 {
                let mut broken = whole.clone();
                broken[at] = value;
                let _survived = answer(&asked, &broken);
            }
        }
    }
}
