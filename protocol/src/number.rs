//! Counts inside bodies: at most 2^53, so that every JSON reader keeps them exact (decisions W7).
//!
//! Used through `#[serde(with = "crate::number")]`; binary codecs carry all 64 bits.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

/// The largest integer that JSON carries exactly everywhere.
pub(crate) const MAX: u64 = 1 << 53;

const TOO_LARGE: &str = "a number above 2^53";

pub(crate) fn serialize<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    option::serialize_number(*number, serializer)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let is_text = deserializer.is_human_readable();
    option::exact(is_text, u64::deserialize(deserializer)?)
}

/// The same where there may be none.
pub(crate) mod option {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(number: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
        struct Number(u64);
        impl Serialize for Number {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serialize_number(self.0, serializer)
            }
        }
        number.map(Number).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
        let is_text = deserializer.is_human_readable();
        let number = Option::<u64>::deserialize(deserializer)?;
        number.map(|number| exact(is_text, number)).transpose()
    }

    pub(super) fn serialize_number<S: Serializer>(number: u64, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() && number > MAX {
            return Err(ser::Error::custom(TOO_LARGE));
        }
        serializer.serialize_u64(number)
    }

    pub(super) fn exact<E: de::Error>(is_text: bool, number: u64) -> Result<u64, E> {
        if is_text && number > MAX { Err(E::custom(TOO_LARGE)) } else { Ok(number) }
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    use crate::codec::Codec;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Counts {
        #[serde(with = "crate::number")]
        sure: u64,
        #[serde(default, with = "crate::number::option")]
        maybe: Option<u64>,
    }

    #[test]
    fn w7_json_numbers_stay_within_two_to_the_53rd() {
        let large = Counts { sure: (1 << 53) + 1, maybe: None };
        assert!(Codec::Json.encode(&large, &mut Vec::new()).is_err());
        assert!(Codec::Json.decode::<Counts>(br#"{"sure": 9007199254740993}"#).is_err());
        assert!(Codec::Json.decode::<Counts>(br#"{"sure": 1, "maybe": 9007199254740993}"#).is_err());
        assert!(Codec::Json.decode::<Counts>(br#"{"sure": 9007199254740992}"#).is_ok());
        let mut bytes = Vec::new();
        Codec::Bincode.encode(&large, &mut bytes).unwrap();
        assert_eq!(Codec::Bincode.decode(&bytes), Ok(large));
    }
}
