//! Each packet after its length, four bytes. `split` finds each packet together with its length, so that packets
//! are contiguous; readers of a packet skip the length.

use super::{Found, SIZE, prefix};
use crate::wire::{error::DecodeError, packet::Packet};

pub(super) fn split(body: &[u8], max: usize, ends: &mut Vec<u32>) -> Result<Found, DecodeError> {
    let before = ends.len();
    let found = walk(body, max, ends);
    if found.is_err() {
        ends.truncate(before);
    }
    found
}

fn walk(body: &[u8], max: usize, ends: &mut Vec<u32>) -> Result<Found, DecodeError> {
    let total = u32::try_from(body.len()).map_err(|_| DecodeError::SizesDisagree)?;
    let (mut end, mut count) = (0_u32, 0_u32);
    while end < total {
        if count as usize == max {
            return Err(DecodeError::TooManyPackets(max));
        }
        let size = body.get(end as usize..).and_then(|rest| rest.first_chunk());
        let size = u32::from_be_bytes(*size.ok_or(DecodeError::SizesDisagree)?);
        let packet = size.checked_add(4).ok_or(DecodeError::SizesDisagree)?;
        end = end.checked_add(packet).ok_or(DecodeError::SizesDisagree)?;
        if end > total {
            return Err(DecodeError::SizesDisagree);
        }
        ends.push(end);
        count += 1;
    }
    match count {
        0 => Err(DecodeError::TooFewPackets(0)),
        _ => Ok(Found { start: 0, count }),
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
        out.extend_from_slice(packet);
    }
}

fn packets<'a>(header: &'a [&'a [u8]; 4], payload: &'a [Packet]) -> impl Iterator<Item = &'a [u8]> {
    header
        .iter()
        .copied()
        .chain(payload.iter().map(Packet::as_bytes))
}
