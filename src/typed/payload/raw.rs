//! The raw format: a type that is one string or one byte string is written as that string.

use std::fmt;

use serde::de::{self, DeserializeOwned, Visitor};
use serde::ser::{self, Impossible, Serialize};

/// Why a value is not a single string, or cannot be built from one.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct RawError(String);

impl ser::Error for RawError {
    fn custom<T: fmt::Display>(why: T) -> Self {
        Self(why.to_string())
    }
}

impl de::Error for RawError {
    fn custom<T: fmt::Display>(why: T) -> Self {
        Self(why.to_string())
    }
}

fn unfit<T>() -> Result<T, RawError> {
    Err(RawError(String::from(
        "only a type that consists of one string or one list of bytes can be raw",
    )))
}

pub(super) fn to_bytes<T: Serialize>(value: &T) -> Result<Vec<u8>, RawError> {
    value.serialize(Writer)
}

pub(super) fn from_bytes<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, RawError> {
    T::deserialize(Reader(bytes))
}

struct Writer;

/// Collects the bytes of a list of numbers.
struct List(Vec<u8>);

impl List {
    fn push<T: Serialize + ?Sized>(&mut self, element: &T) -> Result<(), RawError> {
        self.0.push(element.serialize(Byte)?);
        Ok(())
    }
}

macro_rules! unfit {
    ($($method:ident($($of:ty),*);)*) => {$(
        fn $method(self $(, _: $of)*) -> Result<Self::Ok, RawError> {
            unfit()
        }
    )*};
}

/// The serde types that are neither a string nor a byte.
macro_rules! unfit_compounds {
    () => {
        type SerializeTupleStruct = Impossible<Self::Ok, RawError>;
        type SerializeTupleVariant = Impossible<Self::Ok, RawError>;
        type SerializeMap = Impossible<Self::Ok, RawError>;
        type SerializeStruct = Impossible<Self::Ok, RawError>;
        type SerializeStructVariant = Impossible<Self::Ok, RawError>;

        unfit! {
            serialize_bool(bool); serialize_i8(i8); serialize_i16(i16); serialize_i32(i32); serialize_i64(i64);
            serialize_u16(u16); serialize_u32(u32); serialize_u64(u64); serialize_f32(f32); serialize_f64(f64);
            serialize_none(); serialize_unit(); serialize_unit_struct(&'static str);
            serialize_unit_variant(&'static str, u32, &'static str);
        }

        fn serialize_some<T: Serialize + ?Sized>(self, _: &T) -> Result<Self::Ok, RawError> {
            unfit()
        }
        fn serialize_newtype_struct<T: Serialize + ?Sized>(
            self,
            _: &'static str,
            value: &T,
        ) -> Result<Self::Ok, RawError> {
            value.serialize(self)
        }
        fn serialize_newtype_variant<T: Serialize + ?Sized>(
            self,
            _: &'static str,
            _: u32,
            _: &'static str,
            _: &T,
        ) -> Result<Self::Ok, RawError> {
            unfit()
        }
        fn serialize_tuple_struct(
            self,
            _: &'static str,
            _: usize,
        ) -> Result<Self::SerializeTupleStruct, RawError> {
            unfit()
        }
        fn serialize_tuple_variant(
            self,
            _: &'static str,
            _: u32,
            _: &'static str,
            _: usize,
        ) -> Result<Self::SerializeTupleVariant, RawError> {
            unfit()
        }
        fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, RawError> {
            unfit()
        }
        fn serialize_struct(
            self,
            _: &'static str,
            _: usize,
        ) -> Result<Self::SerializeStruct, RawError> {
            unfit()
        }
        fn serialize_struct_variant(
            self,
            _: &'static str,
            _: u32,
            _: &'static str,
            _: usize,
        ) -> Result<Self::SerializeStructVariant, RawError> {
            unfit()
        }
    };
}

impl ser::Serializer for Writer {
    type Ok = Vec<u8>;
    type Error = RawError;
    type SerializeSeq = List;
    type SerializeTuple = List;

    unfit_compounds!();
    unfit! { serialize_u8(u8); serialize_char(char); }

    fn serialize_str(self, text: &str) -> Result<Vec<u8>, RawError> {
        Ok(text.as_bytes().to_vec())
    }
    fn serialize_bytes(self, bytes: &[u8]) -> Result<Vec<u8>, RawError> {
        Ok(bytes.to_vec())
    }
    fn serialize_seq(self, len: Option<usize>) -> Result<List, RawError> {
        Ok(List(Vec::with_capacity(len.unwrap_or_default())))
    }
    fn serialize_tuple(self, len: usize) -> Result<List, RawError> {
        self.serialize_seq(Some(len))
    }
}

impl ser::SerializeSeq for List {
    type Ok = Vec<u8>;
    type Error = RawError;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, element: &T) -> Result<(), RawError> {
        self.push(element)
    }
    fn end(self) -> Result<Vec<u8>, RawError> {
        Ok(self.0)
    }
}

impl ser::SerializeTuple for List {
    type Ok = Vec<u8>;
    type Error = RawError;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, element: &T) -> Result<(), RawError> {
        self.push(element)
    }
    fn end(self) -> Result<Vec<u8>, RawError> {
        Ok(self.0)
    }
}

/// One element of a list of bytes.
struct Byte;

impl ser::Serializer for Byte {
    type Ok = u8;
    type Error = RawError;
    type SerializeSeq = Impossible<u8, RawError>;
    type SerializeTuple = Impossible<u8, RawError>;

    unfit_compounds!();
    unfit! { serialize_char(char); serialize_str(&str); serialize_bytes(&[u8]); }

    fn serialize_u8(self, byte: u8) -> Result<u8, RawError> {
        Ok(byte)
    }
    fn serialize_seq(self, _: Option<usize>) -> Result<Self::SerializeSeq, RawError> {
        unfit()
    }
    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, RawError> {
        unfit()
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn text(&self) -> Result<&'a str, RawError> {
        std::str::from_utf8(self.0).map_err(|error| RawError(error.to_string()))
    }
}

impl<'de> de::Deserializer<'de> for Reader<'_> {
    type Error = RawError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, RawError> {
        match std::str::from_utf8(self.0) {
            Ok(text) => visitor.visit_str(text),
            Err(_) => visitor.visit_bytes(self.0),
        }
    }
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, RawError> {
        visitor.visit_str(self.text()?)
    }
    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, RawError> {
        visitor.visit_str(self.text()?)
    }
    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, RawError> {
        visitor.visit_bytes(self.0)
    }
    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, RawError> {
        visitor.visit_bytes(self.0)
    }
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, RawError> {
        visitor.visit_newtype_struct(self)
    }
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, RawError> {
        visitor.visit_seq(Bytes(self.0.iter()))
    }
    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, RawError> {
        visitor.visit_seq(Bytes(self.0.iter()))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char option unit unit_struct tuple_struct map struct enum
        identifier ignored_any
    }
}

/// A byte string as a list of numbers.
struct Bytes<'a>(std::slice::Iter<'a, u8>);

impl<'de> de::SeqAccess<'de> for Bytes<'_> {
    type Error = RawError;

    fn next_element_seed<T: de::DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, RawError> {
        let byte = |byte: &u8| seed.deserialize(de::value::U8Deserializer::new(*byte));
        self.0.next().map(byte).transpose()
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(serde::Serialize, serde::Deserialize, Debug, PartialEq)]
    struct Line(String);
    #[derive(serde::Serialize, serde::Deserialize, Debug, PartialEq)]
    struct Picture(Vec<u8>);
    #[derive(serde::Serialize, serde::Deserialize, Debug)]
    struct Pair(u64, u64);

    #[test]
    fn strings_and_bytes_are_themselves() {
        let line = Line(String::from("größer"));
        assert_eq!(to_bytes(&line).unwrap(), "größer".as_bytes());
        assert_eq!(from_bytes::<Line>("größer".as_bytes()).unwrap(), line);
        let picture = Picture(vec![0, 255, 7]);
        assert_eq!(to_bytes(&picture).unwrap(), [0, 255, 7]);
        assert_eq!(from_bytes::<Picture>(&[0, 255, 7]).unwrap(), picture);
    }

    #[test]
    fn nothing_else_is_raw() {
        assert!(to_bytes(&Pair(1, 2)).is_err());
        assert!(to_bytes(&7_u64).is_err());
        assert!(to_bytes(&vec!["a"]).is_err());
        assert!(to_bytes(&BTreeMap::from([("a", 1)])).is_err());
        assert!(from_bytes::<Pair>(b"12").is_err());
        assert!(from_bytes::<u64>(b"12").is_err());
        assert!(from_bytes::<Line>(&[0xff]).is_err());
    }
}
