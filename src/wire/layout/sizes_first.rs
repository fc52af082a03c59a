//! All packet lengths, four bytes each, then all packets. There is no count: lengths are read until they add up.

use super::{Found, SIZE, prefix};
use crate::wire::{error::DecodeError, packet::Packet};

pub(super) fn split(body: &[u8], max: usize, ends: &mut Vec<u32>) -> Result<Found, DecodeError> {
    let before = ends.len();
    let found = add_up(body, max, ends);
    if found.is_err() {
        ends.truncate(before);
    }
    found
}

#[inline]
fn add_up(body: &[u8], max: usize, ends: &mut Vec<u32>) -> Result<Found, DecodeError> {
    let (sizes, _) = body.as_chunks::<SIZE>();
    let total = u32::try_from(body.len()).map_err(|_| DecodeError::SizesDisagree)?;
    let mut start: u32 = 0;
    let mut end: u32 = 0;
    for (index, size) in sizes.iter().enumerate() {
        if index == max {
            return Err(DecodeError::TooManyPackets(max));
        }
        start += 4;
        end = end
            .checked_add(u32::from_be_bytes(*size))
            .ok_or(DecodeError::SizesDisagree)?;
        ends.push(end);
        match total.checked_sub(start).map(|room| room.cmp(&end)) {
            Some(std::cmp::Ordering::Equal) => {
                return Ok(Found {
                    start,
                    count: start / 4,
                });
            }
            Some(std::cmp::Ordering::Greater) => {}
            Some(std::cmp::Ordering::Less) | None => return Err(DecodeError::SizesDisagree),
        }
    }
    match total {
        0 => Err(DecodeError::TooFewPackets(0)),
        _ => Err(DecodeError::SizesDisagree),
    }
}

pub(super) fn body_len(header: &[&[u8]; 4], payload: &[Packet]) -> usize {
    packets(header, payload)
        .map(|packet| SIZE + packet.len())
        .sum()
}

pub(super) fn write(header: &[&[u8]; 4], payload: &[Packet], out: &mut Vec<u8>) {
    for packet in packets(header, payload) {
        out.extend_from_slice(&prefix(packet.len()));
    }
    for packet in packets(header, payload) {
        out.extend_from_slice(packet);
    }
}

fn packets<'a>(header: &'a [&'a [u8]; 4], payload: &'a [Packet]) -> impl Iterator<Item = &'a [u8]> {
    header
        .iter()
        .copied()
        .chain(payload.iter().map(Packet::as_bytes))
}
