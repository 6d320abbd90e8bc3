//! Formats whose items are not bytes at home: a row of a table, an object of a library.
//!
//! An item crosses as bytes. Where it is something else inside, a pair of functions turns it into
//! bytes and back, and the pair must be an identity: what was marshalled and taken apart again is
//! what it was. [`marshal`] checks that each time, since a pair that loses something loses it in
//! every item. A connector names such a format in [`crate::Plugin::formats`], and answers
//! [`crate::Plugin::remarshal`] with [`remarshal`] and [`crate::Plugin::compare`] with [`compare`].

use outrigger_protocol::{Code, Error, FormatInfo, Verdict};

/// A format that is not plain.
pub trait Format {
    /// What an item is inside.
    type Item: PartialEq;

    /// The format's name.
    fn name(&self) -> &str;

    /// The item as bytes.
    ///
    /// # Errors
    /// The item cannot be said in this format.
    fn marshal(&self, item: &Self::Item) -> Result<Vec<u8>, Error>;

    /// The item that bytes stand for.
    ///
    /// # Errors
    /// The bytes are not of this format.
    fn demarshal(&self, data: &[u8]) -> Result<Self::Item, Error>;

    /// Whether two items mean the same; unless said otherwise, whether they are equal.
    fn compare(&self, left: &Self::Item, right: &Self::Item) -> Verdict {
        if left == right { Verdict::Same } else { Verdict::Different }
    }

    /// What the engine is told of it.
    fn info(&self) -> FormatInfo {
        FormatInfo { name: self.name().to_owned(), plain: false, compare: true }
    }
}

/// The item as bytes, from which the same item can be made again.
///
/// # Errors
/// The item cannot be said in this format, or the pair is no identity for it.
pub fn marshal<F: Format>(format: &F, item: &F::Item) -> Result<Vec<u8>, Error> {
    let data = format.marshal(item)?;
    if format.demarshal(&data)? == *item {
        return Ok(data);
    }
    let text = format!("the format {} does not give back what it was given", format.name());
    Err(Error::new(Code::FORMAT, text))
}

/// Bytes of the format, taken apart and made again.
///
/// # Errors
/// The bytes are not of this format.
pub fn remarshal<F: Format>(format: &F, data: &[u8]) -> Result<Vec<u8>, Error> {
    format.marshal(&format.demarshal(data)?)
}

/// Compares two items as bytes.
///
/// # Errors
/// One of them is not of this format.
pub fn compare<F: Format>(format: &F, left: &[u8], right: &[u8]) -> Result<Verdict, Error> {
    Ok(format.compare(&format.demarshal(left)?, &format.demarshal(right)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A number as decimal text; one that loses its sign when `broken`.
    struct Decimal {
        broken: bool,
    }

    impl Format for Decimal {
        type Item = i32;

        fn name(&self) -> &str {
            "decimal"
        }

        fn marshal(&self, item: &i32) -> Result<Vec<u8>, Error> {
            let number = if self.broken { item.abs() } else { *item };
            Ok(number.to_string().into_bytes())
        }

        fn demarshal(&self, data: &[u8]) -> Result<i32, Error> {
            let number = std::str::from_utf8(data).ok().and_then(|text| text.parse().ok());
            number.ok_or_else(|| Error::new(Code::FORMAT, "not a number"))
        }
    }

    #[test]
    fn a_pair_that_loses_something_is_noticed_at_the_first_item_that_it_loses() {
        let (good, bad) = (Decimal { broken: false }, Decimal { broken: true });
        assert_eq!(marshal(&good, &-7).unwrap(), b"-7");
        assert_eq!(marshal(&bad, &7).unwrap(), b"7");
        assert_eq!(marshal(&bad, &-7).unwrap_err().code, Code::FORMAT);
    }

    #[test]
    fn items_are_compared_by_what_they_mean() {
        let decimal = Decimal { broken: false };
        assert_eq!(compare(&decimal, b"+7", b"07").unwrap(), Verdict::Same);
        assert_eq!(remarshal(&decimal, b"+7").unwrap(), b"7");
        assert_eq!(compare(&decimal, b"7", b"x").unwrap_err().code, Code::FORMAT);
    }
}
