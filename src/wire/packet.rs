//! Packets: the contents of a message, and the conversions to a list of them.

use std::{fmt, ops::Deref};

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use smallvec::{SmallVec, smallvec};

use super::{
    hex,
    value::{self, Form},
};

/// One packet of a message: a byte string. Clones share the bytes.
///
/// From generation 0.6 on a packet is a typed value ([`form`](Packet::form)); in 0.4 and 0.5 it is untyped bytes. Two
/// packets are equal if their bytes are equal.
#[derive(Clone, Default)]
pub struct Packet(Bytes, Form);

impl PartialEq for Packet {
    fn eq(&self, other: &Packet) -> bool {
        self.0 == other.0
    }
}

impl Eq for Packet {}

impl std::hash::Hash for Packet {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

pub(crate) static EMPTY: Packet = Packet(Bytes::new(), Form::Plain);

/// Every byte value, so that a packet of one byte needs no allocation.
static NUMBERS: [[u8; 1]; 256] = {
    let mut numbers = [[0; 1]; 256];
    let mut number = 0;
    while number < numbers.len() {
        #[expect(clippy::cast_possible_truncation, reason = "there are 256 bytes")]
        let byte = number as u8;
        numbers[number] = [byte];
        number += 1;
    }
    numbers
};

impl Packet {
    /// A packet of one byte.
    pub(crate) fn number(number: u8) -> Packet {
        Packet(
            Bytes::from_static(&NUMBERS[usize::from(number)]),
            Form::Plain,
        )
    }

    /// A packet of static text, without a copy.
    #[cfg(feature = "node")]
    pub(crate) fn of_static(text: &'static str) -> Packet {
        Packet(Bytes::from_static(text.as_bytes()), Form::Text)
    }

    /// The packet of a protocol flag.
    pub(crate) fn flag(number: u8) -> Packet {
        Packet(Packet::number(number).0, Form::Number)
    }

    /// A packet of these bytes in that form.
    pub(crate) fn of_form(bytes: Bytes, form: Form) -> Packet {
        Packet(bytes, form)
    }

    /// Makes a binary packet, even if the bytes are valid UTF-8. Before generation 0.6 it is sent like any other
    /// packet.
    pub fn binary(bytes: impl Into<Bytes>) -> Packet {
        Packet(bytes.into(), Form::Binary)
    }

    /// Makes a packet of any JSON type, for generations from 0.6 on: text stays text, small numbers stay numbers.
    pub fn value(value: &serde_json::Value) -> Packet {
        if let serde_json::Value::String(text) = value {
            return Packet::from(text);
        }
        let mut raw = Vec::new();
        value::write_json(value, &mut raw);
        match raw[..] {
            [number @ 0..128] => Packet::flag(number),
            _ => Packet(raw.into(), Form::Value),
        }
    }

    /// Appends the packet as a MessagePack value. An untyped packet becomes text if it is valid UTF-8, else binary.
    pub(crate) fn write_value(&self, out: &mut Vec<u8>) {
        let bytes = self.as_bytes();
        match self.form() {
            Form::Number | Form::Value => out.extend_from_slice(bytes),
            Form::Binary => value::write_binary(bytes, out),
            Form::Text => value::write_text(bytes, out),
            Form::Plain if self.as_str().is_some() => value::write_text(bytes, out),
            Form::Plain => value::write_binary(bytes, out),
        }
    }

    /// Returns the packet as a MessagePack value.
    #[cfg(any(feature = "bridge", test))]
    pub(crate) fn encoded(&self) -> Vec<u8> {
        let mut raw = Vec::new();
        self.write_value(&mut raw);
        raw
    }

    /// Reads a packet from a MessagePack value, if these bytes are exactly one value.
    #[cfg(any(feature = "bridge", test))]
    pub(crate) fn decoded(raw: &[u8]) -> Option<Packet> {
        let (contents, form) = value::whole(raw)?;
        Some(Packet(Bytes::copy_from_slice(contents), form))
    }

    /// Returns the packet's type, where the generation has types.
    pub fn form(&self) -> Form {
        self.1
    }

    /// Returns the bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the text, if the bytes are valid UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// Returns the bytes without a copy.
    pub fn into_bytes(self) -> Bytes {
        self.0
    }
}

impl AsRef<[u8]> for Packet {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// Shows text as text and other bytes as hexadecimal, both cut after 32 bytes.
impl fmt::Debug for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 32;
        let start = &self.0[..self.0.len().min(SHOWN)];
        match self.as_str() {
            Some(text) if text.len() <= SHOWN => write!(f, "{text:?}"),
            Some(_) => write!(
                f,
                "{:?}.. ({} bytes)",
                String::from_utf8_lossy(start),
                self.0.len()
            ),
            None if self.0.len() <= SHOWN => write!(f, "0x{}", hex::encode(start)),
            None => write!(f, "0x{}.. ({} bytes)", hex::encode(start), self.0.len()),
        }
    }
}

/// Serializes as a string if the bytes are valid UTF-8, else as `{"hex": "00ff"}`. Binary is always hexadecimal;
/// numbers and other values become their JSON equivalents.
impl Serialize for Packet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let value = match self.1 {
            Form::Number | Form::Value => value::to_json(&self.0),
            _ => None,
        };
        match self.as_str() {
            _ if value.is_some() => value.serialize(serializer),
            Some(text) if matches!(self.1, Form::Plain | Form::Text) => {
                serializer.serialize_str(text)
            }
            _ => hex::Hex::from(&self.0[..]).serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Packet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        if !value.is_string() && value.get("hex").is_none() {
            let Packet(bytes, _) = Packet::value(&value);
            return Ok(Packet(bytes, Form::Value));
        }
        let given = hex::TextOrHex::deserialize(value).map_err(serde::de::Error::custom)?;
        Ok(match given {
            hex::TextOrHex::Text(text) => Packet::from(text),
            hex::TextOrHex::Hex(bytes) => Packet::binary(bytes),
        })
    }
}

/// A list of packets.
///
/// Converts from a packet or anything that becomes one (one packet), and from tuples of up to six, arrays, slices and
/// `Vec`s of them (as many packets). Note that `Vec<u8>` and `[u8; N]` are one packet each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Packets(SmallVec<[Packet; IN_PLACE]>);

/// Packets stored without an allocation: a user's message is mostly one packet after its sub-flag.
pub(super) const IN_PLACE: usize = 2;

impl Packets {
    /// Whether every packet is valid UTF-8.
    pub fn is_text(&self) -> bool {
        self.iter().all(|packet| packet.as_str().is_some())
    }

    /// Returns the total length of all packets, in bytes.
    pub fn byte_len(&self) -> usize {
        self.iter().map(|packet| packet.as_bytes().len()).sum()
    }

    /// Inserts a packet before all others.
    #[must_use]
    pub fn led_by(mut self, first: impl Into<Packet>) -> Packets {
        self.0.insert(0, first.into());
        self
    }

    #[inline]
    pub(super) fn push(&mut self, packet: Packet) {
        self.0.push(packet);
    }

    /// Converts into a `Vec`.
    pub fn into_vec(self) -> Vec<Packet> {
        self.0.into_vec()
    }
}

impl Deref for Packets {
    type Target = [Packet];

    fn deref(&self) -> &[Packet] {
        &self.0
    }
}

/// An iterator over the packets of a list.
#[derive(Debug)]
pub struct IntoIter(smallvec::IntoIter<[Packet; IN_PLACE]>);

impl Iterator for IntoIter {
    type Item = Packet;

    fn next(&mut self) -> Option<Packet> {
        self.0.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl ExactSizeIterator for IntoIter {}

impl IntoIterator for Packets {
    type Item = Packet;
    type IntoIter = IntoIter;

    fn into_iter(self) -> IntoIter {
        IntoIter(self.0.into_iter())
    }
}

impl<'a> IntoIterator for &'a Packets {
    type Item = &'a Packet;
    type IntoIter = std::slice::Iter<'a, Packet>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<P: Into<Packet>> FromIterator<P> for Packets {
    fn from_iter<I: IntoIterator<Item = P>>(packets: I) -> Self {
        Packets(packets.into_iter().map(Into::into).collect())
    }
}

macro_rules! one_packet {
    ($($from:ty, $value:ident => $bytes:expr, $form:expr;)*) => {$(
        impl From<$from> for Packet {
            fn from($value: $from) -> Self {
                Packet($bytes, $form)
            }
        }

        impl From<$from> for Packets {
            fn from(value: $from) -> Self {
                Packets(smallvec![Packet::from(value)])
            }
        }
    )*};
}

one_packet! {
    &str, text => Bytes::copy_from_slice(text.as_bytes()), Form::Text;
    String, text => Bytes::from(text), Form::Text;
    &String, text => Bytes::copy_from_slice(text.as_bytes()), Form::Text;
    Vec<u8>, bytes => Bytes::from(bytes), Form::Plain;
    Bytes, bytes => bytes, Form::Plain;
    &[u8], bytes => Bytes::copy_from_slice(bytes), Form::Plain;
}

impl<const N: usize> From<[u8; N]> for Packet {
    fn from(bytes: [u8; N]) -> Self {
        Packet(Bytes::copy_from_slice(&bytes), Form::Plain)
    }
}

impl<const N: usize> From<&[u8; N]> for Packet {
    fn from(bytes: &[u8; N]) -> Self {
        Packet(Bytes::copy_from_slice(bytes), Form::Plain)
    }
}

impl From<&Packet> for Packet {
    fn from(packet: &Packet) -> Self {
        packet.clone()
    }
}

impl From<Packet> for Packets {
    fn from(packet: Packet) -> Self {
        Packets(smallvec![packet])
    }
}

impl<const N: usize> From<&[u8; N]> for Packets {
    fn from(bytes: &[u8; N]) -> Self {
        Packets(smallvec![Packet::from(bytes)])
    }
}

macro_rules! many_packets {
    ($($item:ty),* $(,)?) => {$(
        impl From<Vec<$item>> for Packets {
            fn from(packets: Vec<$item>) -> Self {
                packets.into_iter().collect()
            }
        }

        impl From<&[$item]> for Packets {
            fn from(packets: &[$item]) -> Self {
                packets.iter().cloned().collect()
            }
        }

        impl<const N: usize> From<[$item; N]> for Packets {
            fn from(packets: [$item; N]) -> Self {
                packets.into_iter().collect()
            }
        }

        impl<const N: usize> From<&[$item; N]> for Packets {
            fn from(packets: &[$item; N]) -> Self {
                packets.iter().cloned().collect()
            }
        }
    )*};
}

many_packets!(Packet, &str, String, Vec<u8>, Bytes, &[u8]);

impl<const N: usize> From<[u8; N]> for Packets {
    fn from(bytes: [u8; N]) -> Self {
        Packets(smallvec![Packet::from(bytes)])
    }
}

macro_rules! tuple {
    ($($part:ident)*) => {
        impl<$($part: Into<Packet>),*> From<($($part,)*)> for Packets {
            #[allow(non_snake_case)]
            fn from(($($part,)*): ($($part,)*)) -> Self {
                Packets(smallvec![$($part.into()),*])
            }
        }
    };
}

tuple!(A);
tuple!(A B);
tuple!(A B C);
tuple!(A B C D);
tuple!(A B C D E);
tuple!(A B C D E F);

#[cfg(test)]
mod tests {
    use super::*;

    fn list(packets: impl Into<Packets>) -> Vec<Vec<u8>> {
        let packets: Packets = packets.into();
        packets
            .iter()
            .map(|packet| packet.as_bytes().to_vec())
            .collect()
    }

    #[test]
    fn one_value_is_one_packet() {
        let one = [b"ab".to_vec()];
        assert_eq!(list("ab"), one);
        assert_eq!(list(String::from("ab")), one);
        let text = String::from("ab");
        assert_eq!(list(&text), one);
        assert_eq!(list(b"ab".to_vec()), one);
        assert_eq!(list(*b"ab"), one);
        assert_eq!(list(b"ab"), one);
        assert_eq!(list(&b"ab"[..]), one);
        assert_eq!(list(Bytes::from("ab")), one);
        assert_eq!(list(Packet::from("ab")), one);
    }

    #[test]
    fn many_values_are_many_packets() {
        let two = [b"a".to_vec(), b"b".to_vec()];
        assert_eq!(list(["a", "b"]), two);
        let array = ["a", "b"];
        assert_eq!(list(Packets::from(&array)), two);
        assert_eq!(list(&["a", "b"][..]), two);
        assert_eq!(list(vec!["a", "b"]), two);
        assert_eq!(list(vec![String::from("a"), String::from("b")]), two);
        assert_eq!(list([b"a".to_vec(), b"b".to_vec()]), two);
        assert_eq!(list(vec![Packet::from("a"), Packet::from("b")]), two);
        assert_eq!(list(("a", b"b".to_vec())), two);
        assert_eq!(
            list((
                "a",
                "b",
                String::from("c"),
                *b"d",
                Bytes::from("e"),
                Packet::from("f")
            ))
            .len(),
            6
        );
        assert!(list(Packets::default()).is_empty());
    }

    #[test]
    fn json_is_text_where_that_is_true() {
        let packets = Packets::from(("a\0é", [0xff_u8, 0x00]));
        let json = r#"["a\u0000é",{"hex":"ff00"}]"#;
        assert_eq!(serde_json::to_string(&packets).unwrap(), json);
        assert_eq!(serde_json::from_str::<Packets>(json).unwrap(), packets);
        assert_eq!(
            serde_json::from_str::<Packet>(r#"{"hex":"FF"}"#).unwrap(),
            Packet::from([0xff])
        );
        for bad in [r#"{"hex":"f"}"#, r#"{"hex":"zz"}"#, r#"{"hex":"00","x":1}"#] {
            assert!(serde_json::from_str::<Packet>(bad).is_err(), "{bad}");
        }
        // What has a type is for later generations.
        for value in ["1", "null", r#"{"text":""}"#, "[true]", "300"] {
            let packet = serde_json::from_str::<Packet>(value).unwrap();
            assert_eq!(serde_json::to_string(&packet).unwrap(), value);
            let me = crate::wire::NodeId::parse("A").unwrap();
            let flag = crate::wire::Flag::Broadcast;
            let packets = [Packet::from("kind"), packet];
            for generation in crate::wire::Generation::ALL {
                let limits = crate::wire::Limits::default();
                let composer = crate::wire::Composer::new(generation, limits, me.clone());
                let refused = composer.compose(&flag, &packets, 1).err();
                let code = refused.map(|error| error.code());
                assert_eq!(code, generation.is_text_only().then_some("needs_types"));
            }
        }
    }

    #[test]
    fn logs_stay_short() {
        assert_eq!(format!("{:?}", Packet::from("a\0")), r#""a\0""#);
        assert_eq!(format!("{:?}", Packet::from([0xff, 0])), "0xff00");
        assert!(format!("{:?}", Packet::from("é".repeat(1000))).len() < 100);
        assert!(format!("{:?}", Packet::from(vec![0xff; 1000])).len() < 100);
    }

    #[test]
    fn text_is_judged_packet_by_packet() {
        assert!(Packets::from(("a", "é")).is_text());
        assert!(!Packets::from(([0xc3_u8], [0xa9_u8])).is_text());
        assert_eq!(Packets::from(("a", "é")).led_by("\0").byte_len(), 4);
    }
}
