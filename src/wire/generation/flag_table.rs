//! The flag numbers of each generation, and how flags are read and written with them.

use bytes::Bytes;

use crate::wire::{
    flags::{Flag, SubFlag},
    generation::Generation,
    packet::Packet,
};

/// The flag numbers of one generation.
#[derive(Debug)]
pub(crate) struct FlagTable {
    pub(crate) main: &'static [(u8, Flag)],
    pub(crate) sub: &'static [(u8, SubFlag)],
    /// The main flag of an original broadcast.
    pub(crate) broadcast: u8,
    /// The main flag of a relayed broadcast.
    pub(crate) relay: u8,
}

impl FlagTable {
    pub(crate) fn is_broadcast(&self, flag: Option<u8>) -> bool {
        flag.is_some_and(|number| number == self.broadcast || number == self.relay)
    }

    pub(crate) fn is_relay(&self, flag: Option<u8>) -> bool {
        flag == Some(self.relay)
    }

    /// Whether a relay changes the main flag.
    pub(crate) fn marks_relays(&self) -> bool {
        self.relay != self.broadcast
    }
}

/// The flags of generations 0.5, 0.6 and 0.7: a relay stays a broadcast.
pub(crate) const FLAGS_0_5: FlagTable = FlagTable {
    main: &[
        (0x00, Flag::Broadcast),
        (0x01, Flag::Renegotiate),
        (0x02, Flag::Whisper),
        (0x03, Flag::Ping),
        (0x04, Flag::Pong),
    ],
    sub: &[
        (0x00, SubFlag::Broadcast),
        (0x01, SubFlag::Compression),
        (0x02, SubFlag::Whisper),
        (0x03, SubFlag::Ping),
        (0x04, SubFlag::Pong),
        (0x05, SubFlag::Handshake),
        (0x06, SubFlag::Notify),
        (0x07, SubFlag::Peers),
        (0x08, SubFlag::Request),
        (0x09, SubFlag::Resend),
        (0x0A, SubFlag::Response),
        (0x0B, SubFlag::Store),
        (0x0C, SubFlag::Retrieve),
    ],
    broadcast: 0x00,
    relay: 0x00,
};

pub(crate) const FLAGS_0_4: FlagTable = FlagTable {
    main: &[
        (0x00, Flag::Broadcast),
        (0x01, Flag::Waterfall),
        (0x02, Flag::Whisper),
        (0x03, Flag::Renegotiate),
        (0x04, Flag::Ping),
        (0x05, Flag::Pong),
    ],
    sub: &[
        (0x00, SubFlag::Broadcast),
        (0x01, SubFlag::Compression),
        (0x02, SubFlag::Whisper),
        (0x03, SubFlag::Handshake),
        (0x04, SubFlag::Ping),
        (0x05, SubFlag::Pong),
        (0x06, SubFlag::Notify),
        (0x07, SubFlag::Peers),
        (0x08, SubFlag::Request),
        (0x09, SubFlag::Resend),
        (0x0A, SubFlag::Response),
        (0x0B, SubFlag::Store),
        (0x0C, SubFlag::Retrieve),
    ],
    broadcast: 0x00,
    relay: 0x01,
};

impl Flag {
    /// Reads a flag with the numbers of that generation.
    pub fn read(bytes: &[u8], generation: Generation) -> Flag {
        match bytes {
            [number] => Flag::of_number(Some(*number), bytes, generation),
            _ => Flag::of_number(None, bytes, generation),
        }
    }

    /// Returns the flag with that number, or [`Flag::Other`] with these bytes if there is none.
    pub(crate) fn of_number(number: Option<u8>, bytes: &[u8], generation: Generation) -> Flag {
        let table = &generation.profile().flags;
        let flag = number.and_then(|number| named(table.main, number));
        flag.unwrap_or_else(|| Flag::Other(Bytes::copy_from_slice(bytes)))
    }

    /// Returns the packet for this flag in that generation. A flag without a number there is sent as a broadcast.
    pub fn packet(&self, generation: Generation) -> Packet {
        if let Flag::Other(bytes) = self {
            return Packet::from(bytes.clone());
        }
        let table = &generation.profile().flags;
        let number = table.main.iter().find(|(_, flag)| flag == self);
        Packet::flag(number.map_or(table.broadcast, |(number, _)| *number))
    }
}

impl SubFlag {
    /// Returns the packet for this sub-flag in that generation.
    pub fn packet(self, generation: Generation) -> Packet {
        let table = generation.profile().flags.sub;
        let number = table.iter().find(|(_, flag)| *flag == self);
        number.map_or_else(Packet::default, |(number, _)| Packet::flag(*number))
    }

    /// Reads a sub-flag with the numbers of that generation; `None` for a user's own kind.
    pub fn read(bytes: &[u8], generation: Generation) -> Option<SubFlag> {
        match bytes {
            [number] => SubFlag::of_number(*number, generation),
            _ => None,
        }
    }

    pub(crate) fn of_number(number: u8, generation: Generation) -> Option<SubFlag> {
        named(generation.profile().flags.sub, number)
    }
}

fn named<F: Clone>(table: &[(u8, F)], number: u8) -> Option<F> {
    table
        .iter()
        .find(|(n, _)| *n == number)
        .map(|(_, flag)| flag.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_one_flag() {
        for byte in 0..=255_u8 {
            let flag = Flag::read(&[byte], Generation::V0_4);
            assert_eq!(flag.packet(Generation::V0_4), Packet::from([byte]));
            if let Some(sub_flag) = SubFlag::read(&[byte], Generation::V0_4) {
                assert_eq!(sub_flag.packet(Generation::V0_4), Packet::from([byte]));
            }
        }
        assert_eq!(SubFlag::read(b"", Generation::V0_4), None);
        assert_eq!(SubFlag::read(b"\x00\x00", Generation::V0_4), None);
    }
}
