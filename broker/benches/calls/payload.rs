//! What the calls carry.

use outrigger_protocol::{
    Budget, Codec, Commit, CommitItem, CommitKind, Header, Href, Kind, Method, ObjectId, OperationId,
    RawDigest,
};

/// A batch of one new item of 1 KiB.
pub(crate) fn commit() -> Commit<'static> {
    const DATA: [u8; 1024] = [b'x'; 1024];
    let item = CommitItem {
        operation: OperationId(uuid::Uuid::from_u128(7)),
        kind: CommitKind::Create,
        href: Href::from("0123456789abcdef0123456789abcdef"),
        expected: None,
        expected_digest: None,
        key: (&b"uid-0123456789abcdef-0123456789a"[..]).into(),
        object_type: "contact".into(),
        format: "vcard".into(),
        digest: RawDigest([7; 32]),
        data: (&DATA[..]).into(),
    };
    Commit { items: vec![item] }
}

/// The same as a whole frame, for the floor.
pub(crate) fn frame() -> Vec<u8> {
    let mut body = Vec::new();
    Codec::Bincode.encode(&commit(), &mut body).unwrap();
    let header = Header {
        body_len: u32::try_from(body.len()).unwrap(),
        target: ObjectId(2),
        method: Method::COMMIT.0,
        budget: Budget::DEFAULT,
        ..Header::new(Kind::CALL, 1)
    };
    [&header.encode()[..], &body].concat()
}
