//! Codec 1 a second time, written from its description alone: fixed-width little-endian, lengths
//! and variants before what they count. Each field comes out with its name, so that the vectors
//! explain themselves, and so that bincode is checked against something that is not bincode.

use serde::ser::{self, Serialize, Serializer};

/// The bytes of one field, and its name.
pub(crate) type Line = (Vec<u8>, String);

/// The fields of a value, in order.
pub(crate) fn lines<T: Serialize + ?Sized>(value: &T) -> Vec<Line> {
    let mut out = Vec::new();
    value.serialize(Field { out: &mut out, path: String::new() }).unwrap();
    out
}

/// All bytes of some lines.
pub(crate) fn bytes(lines: &[Line]) -> Vec<u8> {
    lines.iter().flat_map(|(bytes, _)| bytes.clone()).collect()
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Never(String);

impl ser::Error for Never {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

/// Where a value goes, and what it is called.
struct Field<'a> {
    out: &'a mut Vec<Line>,
    path: String,
}

impl Field<'_> {
    fn put(self, bytes: &[u8], note: &str) -> Result<(), Never> {
        let name = if self.path.is_empty() { note.to_owned() } else { format!("{}: {note}", self.path) };
        self.out.push((bytes.to_vec(), name));
        Ok(())
    }

    fn length(&mut self, length: usize, what: &str) {
        let name = if self.path.is_empty() { what.to_owned() } else { format!("{}: {what}", self.path) };
        self.out.push(((length as u64).to_le_bytes().to_vec(), format!("{name} {length}")));
    }

    fn variant(&mut self, index: u32, variant: &str) {
        let path = if self.path.is_empty() { "variant" } else { &self.path };
        self.out.push((index.to_le_bytes().to_vec(), format!("{path} = {variant}")));
    }
}

macro_rules! numbers {
    ($($method:ident: $type:ty),*) => {
        $(fn $method(self, value: $type) -> Result<(), Never> {
            self.put(&value.to_le_bytes(), &value.to_string())
        })*
    };
}

impl<'a> Serializer for Field<'a> {
    type Ok = ();
    type Error = Never;
    type SerializeSeq = Many<'a>;
    type SerializeTuple = Many<'a>;
    type SerializeTupleStruct = Many<'a>;
    type SerializeTupleVariant = Many<'a>;
    type SerializeMap = ser::Impossible<(), Never>;
    type SerializeStruct = Many<'a>;
    type SerializeStructVariant = Many<'a>;

    numbers!(serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64,
        serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64,
        serialize_f32: f32, serialize_f64: f64);

    fn is_human_readable(&self) -> bool {
        false
    }

    fn serialize_bool(self, value: bool) -> Result<(), Never> {
        self.put(&[u8::from(value)], &value.to_string())
    }

    fn serialize_char(self, _: char) -> Result<(), Never> {
        Err(ser::Error::custom("no characters on the wire"))
    }

    fn serialize_str(mut self, value: &str) -> Result<(), Never> {
        self.length(value.len(), "length");
        if value.is_empty() { Ok(()) } else { self.put(value.as_bytes(), &format!("{value:?}")) }
    }

    fn serialize_bytes(mut self, value: &[u8]) -> Result<(), Never> {
        self.length(value.len(), "length");
        let text = value.escape_ascii().to_string();
        if value.is_empty() { Ok(()) } else { self.put(value, &format!("b\"{text}\"")) }
    }

    fn serialize_none(self) -> Result<(), Never> {
        self.put(&[0], "none")
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Never> {
        self.out.push((vec![1], format!("{}: some", self.path)));
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Never> {
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Never> {
        Ok(())
    }

    fn serialize_unit_variant(
        mut self,
        _: &'static str,
        index: u32,
        name: &'static str,
    ) -> Result<(), Never> {
        self.variant(index, name);
        Ok(())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Never> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        mut self,
        _: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Never> {
        self.variant(index, variant);
        value.serialize(self)
    }

    fn serialize_seq(mut self, length: Option<usize>) -> Result<Many<'a>, Never> {
        self.length(length.unwrap(), "count");
        Ok(Many { field: self, index: 0 })
    }

    fn serialize_tuple(self, _: usize) -> Result<Many<'a>, Never> {
        Ok(Many { field: self, index: 0 })
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Many<'a>, Never> {
        Ok(Many { field: self, index: 0 })
    }

    fn serialize_tuple_variant(
        mut self,
        _: &'static str,
        index: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Many<'a>, Never> {
        self.variant(index, variant);
        Ok(Many { field: self, index: 0 })
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, Never> {
        Err(ser::Error::custom("no maps in codec 1"))
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Many<'a>, Never> {
        Ok(Many { field: self, index: 0 })
    }

    fn serialize_struct_variant(
        mut self,
        _: &'static str,
        index: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Many<'a>, Never> {
        self.variant(index, variant);
        Ok(Many { field: self, index: 0 })
    }
}

/// The parts of a list, a tuple or a structure.
struct Many<'a> {
    field: Field<'a>,
    index: usize,
}

impl Many<'_> {
    fn part<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<(), Never> {
        let path = &self.field.path;
        let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        value.serialize(Field { out: self.field.out, path })
    }

    fn next<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Never> {
        self.index += 1;
        self.part(&(self.index - 1).to_string(), value)
    }
}

macro_rules! parts {
    ($($trait:ident $method:ident),*) => {
        $(impl ser::$trait for Many<'_> {
            type Ok = ();
            type Error = Never;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Never> {
                self.next(value)
            }

            fn end(self) -> Result<(), Never> {
                Ok(())
            }
        })*
    };
}

macro_rules! fields {
    ($($trait:ident),*) => {
        $(impl ser::$trait for Many<'_> {
            type Ok = ();
            type Error = Never;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                name: &'static str,
                value: &T,
            ) -> Result<(), Never> {
                self.part(name, value)
            }

            fn end(self) -> Result<(), Never> {
                Ok(())
            }
        })*
    };
}

parts!(SerializeSeq serialize_element, SerializeTuple serialize_element,
    SerializeTupleStruct serialize_field, SerializeTupleVariant serialize_field);
fields!(SerializeStruct, SerializeStructVariant);
