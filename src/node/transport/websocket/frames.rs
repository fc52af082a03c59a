//! WebSocket frames (RFC 6455): inbound ones are parsed in place as their bytes arrive, outbound ones wrap whole mesh
//! frames.
//!
//! Pure: knows no socket. A library would do, but the available ones allocate the announced length before the data
//! arrives, and return only whole messages: both outside every budget here.

use bytes::BytesMut;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

/// The longest control frame.
const MAX_CONTROL: usize = 125;
/// The longest frame header.
const MAX_HEAD: usize = 14;

/// What is invalid, or not supported, about a peer's frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("WebSocket frame with the wrong masking: clients must mask, servers must not")]
    Masking,
    #[error("WebSocket text message: the mesh uses binary messages only")]
    Text,
    #[error("WebSocket frame with an extension that was not negotiated")]
    Extension,
    #[error("WebSocket frame with an unknown opcode")]
    Kind,
    #[error("WebSocket control frame that is fragmented or longer than 125 bytes")]
    Control,
}

/// A control frame that needs an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Pong(Vec<u8>),
    Close,
}

const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// A frame whose header was read.
#[derive(Clone, Copy, Debug)]
struct PartialFrame {
    left: u64,
    mask: Option<[u8; 4]>,
    /// The bytes of it so far, modulo 4.
    phase: usize,
    kind: u8,
}

/// Parses frames.
#[derive(Debug)]
pub(crate) struct Unframe {
    /// Whether the peer must mask its frames, as clients do.
    masked: bool,
    head: [u8; MAX_HEAD],
    have: usize,
    partial: Option<PartialFrame>,
    /// The contents of the control frame being read.
    control: Vec<u8>,
}

impl Unframe {
    pub(crate) fn new(masked: bool) -> Self {
        Self {
            masked,
            head: [0; MAX_HEAD],
            have: 0,
            partial: None,
            control: Vec::new(),
        }
    }

    /// Parses the buffer from `start` on, and leaves the payload there. The last control frame that needs an answer
    /// goes to `asked`; nothing is read after a Close.
    pub(crate) fn run(
        &mut self,
        buffer: &mut BytesMut,
        start: usize,
        asked: &mut Option<Asked>,
    ) -> Result<(), FrameError> {
        let (mut read, mut write) = (start, start);
        let end = buffer.len();
        while read < end && *asked != Some(Asked::Close) {
            let Some(mut partial) = self.partial.take() else {
                self.head[self.have] = buffer[read];
                (self.have, read) = (self.have + 1, read + 1);
                self.partial = self.head()?;
                self.end_if_empty(asked);
                continue;
            };
            let left = usize::try_from(partial.left).unwrap_or(usize::MAX);
            let count = left.min(end - read);
            if let Some(mask) = partial.mask {
                let masks = mask.iter().cycle().skip(partial.phase);
                buffer[read..read + count]
                    .iter_mut()
                    .zip(masks)
                    .for_each(|(byte, mask)| *byte ^= mask);
                partial.phase = (partial.phase + count) % 4;
            }
            match partial.kind {
                CONTINUATION | BINARY => {
                    buffer.copy_within(read..read + count, write);
                    write += count;
                }
                _ => self.control.extend_from_slice(&buffer[read..read + count]),
            }
            read += count;
            partial.left -= count as u64;
            self.partial = Some(partial);
            self.end_if_empty(asked);
        }
        buffer.truncate(write);
        Ok(())
    }

    /// Parses the header of a frame, once it is complete.
    fn head(&mut self) -> Result<Option<PartialFrame>, FrameError> {
        let head = &self.head[..self.have];
        let [first, second, rest @ ..] = head else {
            return Ok(None);
        };
        let (kind, is_last, short) = (first & 0x0f, first & 0x80 != 0, second & 0x7f);
        if first & 0x70 != 0 {
            return Err(FrameError::Extension);
        }
        match kind {
            CONTINUATION | BINARY => {}
            TEXT => return Err(FrameError::Text),
            CLOSE | PING | PONG if is_last && usize::from(short) <= MAX_CONTROL => {}
            CLOSE | PING | PONG => return Err(FrameError::Control),
            _ => return Err(FrameError::Kind),
        }
        if (second & 0x80 != 0) != self.masked {
            return Err(FrameError::Masking);
        }
        let length = match short {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let mask = if self.masked { 4 } else { 0 };
        if rest.len() < length + mask {
            return Ok(None);
        }
        let number = |bytes: &[u8]| bytes.iter().fold(0, |n, byte| n << 8 | u64::from(*byte));
        let left = match length {
            0 => u64::from(short),
            _ => number(&rest[..length]),
        };
        let mask = rest[length..].first_chunk::<4>().copied();
        self.have = 0;
        self.control.clear();
        Ok(Some(PartialFrame {
            left,
            mask,
            phase: 0,
            kind,
        }))
    }

    fn end_if_empty(&mut self, asked: &mut Option<Asked>) {
        let Some(partial) = self.partial.take_if(|partial| partial.left == 0) else {
            return;
        };
        match partial.kind {
            PING => *asked = Some(Asked::Pong(std::mem::take(&mut self.control))),
            CLOSE => *asked = Some(Asked::Close),
            _ => {}
        }
    }
}

/// Wraps each mesh frame in its own binary message.
#[derive(Debug)]
pub(crate) struct Enframe {
    /// The source of masks, for the client side: each frame has its own unpredictable mask. The mask is no secret: it
    /// keeps naive proxies from mistaking the bytes for something else.
    masks: Option<Box<StdRng>>,
    /// The mask of the current frame.
    mask: [u8; 4],
    phase: usize,
    /// The length prefix of the next frame, as far as it is known.
    prefix: [u8; 4],
    have: usize,
    /// Remaining bytes of the current frame.
    left: usize,
}

impl Enframe {
    /// `seed`: the seed of the masks, on the dialling side.
    pub(crate) fn new(seed: Option<[u8; 32]>) -> Self {
        Self {
            masks: seed.map(|seed| Box::new(StdRng::from_seed(seed))),
            mask: [0; 4],
            phase: 0,
            prefix: [0; 4],
            have: 0,
            left: 0,
        }
    }

    /// Returns whether the last message is complete.
    pub(crate) fn is_between(&self) -> bool {
        self.left == 0 && self.have == 0
    }

    /// Appends bytes of the stream of mesh frames, cut anywhere.
    pub(crate) fn run(&mut self, mut bytes: &[u8], out: &mut BytesMut) {
        while !bytes.is_empty() {
            if self.left == 0 {
                let (byte, rest) = (bytes[0], &bytes[1..]);
                self.prefix[self.have] = byte;
                (self.have, bytes) = (self.have + 1, rest);
                if self.have < self.prefix.len() {
                    continue;
                }
                self.have = 0;
                let length = u32::from_be_bytes(self.prefix) as usize;
                self.head(BINARY, self.prefix.len() + length, out);
                self.contents(&{ self.prefix }, out);
                self.left = length;
                continue;
            }
            let (now, rest) = bytes.split_at(self.left.min(bytes.len()));
            self.contents(now, out);
            self.left -= now.len();
            bytes = rest;
        }
    }

    /// Appends a control frame; only between messages.
    pub(crate) fn control(&mut self, asked: &Asked, out: &mut BytesMut) {
        let (kind, contents) = match asked {
            Asked::Pong(contents) => (PONG, &contents[..]),
            // 1000: normal closure.
            Asked::Close => (CLOSE, &[0x03, 0xe8][..]),
        };
        self.head(kind, contents.len(), out);
        self.contents(contents, out);
    }

    fn head(&mut self, kind: u8, length: usize, out: &mut BytesMut) {
        let masked = u8::from(self.masks.is_some()) << 7;
        out.extend_from_slice(&[0x80 | kind]);
        match (u8::try_from(length), u16::try_from(length)) {
            (Ok(length @ ..126), _) => out.extend_from_slice(&[masked | length]),
            (_, Ok(length)) => {
                out.extend_from_slice(&[masked | 126]);
                out.extend_from_slice(&length.to_be_bytes());
            }
            _ => {
                out.extend_from_slice(&[masked | 127]);
                out.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        if let Some(masks) = &mut self.masks {
            self.mask = masks.random();
            out.extend_from_slice(&self.mask);
        }
        self.phase = 0;
    }

    fn contents(&mut self, bytes: &[u8], out: &mut BytesMut) {
        let at = out.len();
        out.extend_from_slice(bytes);
        if self.masks.is_some() {
            let masks = self.mask.iter().cycle().skip(self.phase);
            out[at..]
                .iter_mut()
                .zip(masks)
                .for_each(|(byte, mask)| *byte ^= mask);
            self.phase = (self.phase + bytes.len()) % 4;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: [u8; 32] = [7; 32];

    /// Returns mesh frames of these lengths.
    fn stream(lengths: &[usize]) -> Vec<u8> {
        let frame = |length: &usize| {
            let prefix = u32::try_from(*length).unwrap().to_be_bytes();
            let body = (0..*length).map(|at| u8::try_from(at % 251).unwrap());
            prefix.into_iter().chain(body).collect::<Vec<u8>>()
        };
        lengths.iter().flat_map(frame).collect()
    }

    #[test]
    fn each_frame_has_a_mask_of_its_own() {
        let mut enframe = Enframe::new(Some(SEED));
        let mut framed = BytesMut::new();
        for _ in 0..20 {
            enframe.run(&stream(&[10]), &mut framed);
        }
        let (frames, rest) = framed.as_chunks::<{ 2 + 4 + 14 }>();
        let masks: std::collections::BTreeSet<_> = frames.iter().map(|it| &it[2..6]).collect();
        assert_eq!((masks.len(), rest.len()), (20, 0));
    }

    #[test]
    fn what_is_put_into_messages_comes_out_however_it_is_cut() {
        let stream = stream(&[0, 1, 121, 122, 300, 65_531, 65_532, 70_000]);
        for seed in [None, Some(SEED)] {
            for step in [1, 7, 1000, usize::MAX] {
                let mut framed = BytesMut::new();
                let mut enframe = Enframe::new(seed);
                for part in stream.chunks(step.min(stream.len())) {
                    enframe.run(part, &mut framed);
                }
                assert!(enframe.is_between());
                let (mut out, mut asked) = (BytesMut::new(), None);
                let mut unframe = Unframe::new(seed.is_some());
                for part in framed.chunks(step.min(framed.len())) {
                    let start = out.len();
                    out.extend_from_slice(part);
                    unframe.run(&mut out, start, &mut asked).unwrap();
                }
                assert!(out[..] == stream[..], "{seed:?} {step}");
                assert_eq!(asked, None);
            }
        }
    }

    #[test]
    fn a_ping_between_parts_of_a_message_is_to_be_answered_and_a_farewell_is_the_end() {
        let bytes = [
            &[0x02, 2, b'a', b'b'][..], // a message begins,
            &[0x89, 1, b'p'],           // a ping,
            &[0x80, 1, b'c'],           // and it goes on.
            &[0x8a, 0],                 // A pong that nobody asked for.
        ];
        let mut buffer = BytesMut::from(&bytes.concat()[..]);
        let (mut unframe, mut asked) = (Unframe::new(false), None);
        unframe.run(&mut buffer, 0, &mut asked).unwrap();
        assert_eq!(&buffer[..], b"abc");
        assert_eq!(asked, Some(Asked::Pong(b"p".to_vec())));
        let mut buffer = BytesMut::from(&[0x88, 0, 0x82, 1, b'x'][..]);
        unframe.run(&mut buffer, 0, &mut asked).unwrap();
        assert_eq!((buffer.len(), asked), (0, Some(Asked::Close)));
    }

    #[test]
    fn what_is_not_spoken_here_is_refused() {
        let refused = |masked, bytes: &[u8]| {
            let mut buffer = BytesMut::from(bytes);
            Unframe::new(masked).run(&mut buffer, 0, &mut None)
        };
        assert_eq!(refused(false, &[0x81, 1, b'x']), Err(FrameError::Text));
        assert_eq!(refused(false, &[0xc2, 1]), Err(FrameError::Extension));
        assert_eq!(refused(false, &[0x83, 0]), Err(FrameError::Kind));
        assert_eq!(refused(false, &[0x09, 0]), Err(FrameError::Control));
        assert_eq!(refused(false, &[0x89, 126]), Err(FrameError::Control));
        assert_eq!(refused(true, &[0x82, 1, b'x']), Err(FrameError::Masking));
        assert_eq!(refused(false, &[0x82, 0x81]), Err(FrameError::Masking));
        assert_eq!(refused(false, &[0x82]), Ok(()));
    }

    #[test]
    fn what_is_announced_is_not_allocated() {
        let mut head = vec![0x82, 127];
        head.extend_from_slice(&u64::MAX.to_be_bytes());
        let mut buffer = BytesMut::from(&head[..]);
        let mut unframe = Unframe::new(false);
        unframe.run(&mut buffer, 0, &mut None).unwrap();
        assert!(buffer.is_empty() && buffer.capacity() < 64);
    }
}
