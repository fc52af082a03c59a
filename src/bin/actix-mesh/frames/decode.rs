//! `decode`: turns frames in hexadecimal into JSON objects.
//!
//! Owns the JSON form of a frame and of a decoding error; the crate decodes the bytes.

use std::io::{self, BufRead, Write};

use actix_mesh::wire::{Codec, Copies, Frame, hex};
use actix_mesh::{Flag, Generation, Limits, Method, NodeId, Packet};
use bytes::BytesMut;
use serde::Serialize;
use tokio_util::codec::Decoder as _;

use crate::Failure;
use crate::command_error::CommandError;
use crate::lines::{Line, Lines};

/// The most bytes of a line: enough for the largest frame in hexadecimal.
const LINE: usize = 16 << 20;

const EXAMPLES: &str = "\
Example:
  actix-mesh decode < frames.hex | jq .sender

Blank lines are passed over. What does not decode is a result, too: {\"error\":{\"code\":..,\"message\":..}}

Exit codes:
  0  all input was read
  1  input or output failed; standard error says why
  2  the command line was not understood";

/// Print frames as JSON: hexadecimal, 4-byte length included, on stdin; an object for each frame on stdout
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The protocol's generation; without it, each frame says which it is of
    #[arg(long, value_name = "GENERATION")]
    wire: Option<Generation>,
}

/// The content of a frame.
#[derive(Serialize)]
struct Decoded {
    flag: Flag,
    sender: String,
    id: String,
    time: u64,
    /// The whole payload.
    packets: Vec<Packet>,
    compression: Option<Method>,
    /// The generations it may belong to, if none was given.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    wire: Vec<Generation>,
}

/// The output for a frame.
#[derive(Serialize)]
#[serde(untagged)]
enum Printed {
    Frame(Decoded),
    None { error: CommandError },
}

impl From<CommandError> for Printed {
    fn from(error: CommandError) -> Self {
        Self::None { error }
    }
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    print(args.wire, io::stdin().lock(), io::stdout().lock())
}

fn print(
    generation: Option<Generation>,
    input: impl BufRead,
    mut out: impl Write,
) -> Result<(), Failure> {
    for line in Lines::new(input, LINE) {
        for printed in decode(generation, line?) {
            writeln!(out, "{}", serde_json::to_string(&printed)?)?;
        }
    }
    Ok(out.flush()?)
}

/// Decodes all frames of a line; the last entry is the error, if any.
fn decode(generation: Option<Generation>, line: Line) -> Vec<Printed> {
    let bytes = match bytes_of(line) {
        Ok(bytes) => bytes,
        Err(error) => return vec![error.into()],
    };
    match generation {
        Some(generation) => decode_as(generation, bytes),
        None => decode_any(&bytes),
    }
}

fn decode_as(generation: Generation, bytes: BytesMut) -> Vec<Printed> {
    let mut printed = Vec::new();
    let frames = read(generation, bytes, &mut printed);
    printed.extend(frames.err().map(Printed::from));
    printed
}

/// Decodes in the first generation in which the first frame is valid, or in the first generation of all if there is
/// none.
fn decode_any(bytes: &BytesMut) -> Vec<Printed> {
    let is_frame = |generation: &Generation| {
        let printed = decode_as(*generation, bytes.clone());
        matches!(printed.first(), Some(Printed::Frame(_)))
    };
    let fitting: Vec<Generation> = Generation::ALL.into_iter().filter(is_frame).collect();
    let generation = fitting.first().copied().unwrap_or_default();
    let mut printed = decode_as(generation, bytes.clone());
    for printed in &mut printed {
        if let Printed::Frame(decoded) = printed {
            decoded.wire.clone_from(&fitting);
        }
    }
    printed
}

fn bytes_of(line: Line) -> Result<BytesMut, CommandError> {
    let text = match line {
        Line::Whole(text) => text,
        Line::TooLong(limit, _) => {
            let why = format!("a line has at most {limit} bytes");
            return Err(CommandError::new("bad_line", why));
        }
    };
    let bytes = std::str::from_utf8(&text)
        .ok()
        .map(str::trim)
        .and_then(hex::decode);
    let why = "a frame is written as pairs of hexadecimal digits, its 4-byte length first";
    Ok(bytes.ok_or_else(|| CommandError::new("bad_hex", why))?[..].into())
}

fn read(
    generation: Generation,
    mut bytes: BytesMut,
    printed: &mut Vec<Printed>,
) -> Result<(), CommandError> {
    let mut codec = Codec::new(generation, Limits::default());
    codec.established();
    while let Some(batch) = codec.decode_eof(&mut bytes)? {
        printed.extend(batch.iter().map(|frame| match frame {
            Ok(frame) => proven(&frame),
            Err(error) => CommandError::from(*error).into(),
        }));
    }
    Ok(())
}

fn proven(frame: &Frame<'_>) -> Printed {
    let nobody = NodeId::parse("1").map(|from| frame.message(&from, &mut Copies::new(0)));
    match frame.verify() {
        Err(error) => CommandError::from(error).into(),
        Ok(_) => Printed::Frame(Decoded {
            flag: frame.flag(),
            sender: String::from_utf8_lossy(frame.sender()).into_owned(),
            id: frame.message_id().to_string(),
            time: frame.time(),
            packets: nobody.map_or_else(|_| Vec::new(), |message| message.packets().to_vec()),
            compression: frame.compression(),
            wire: Vec::new(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn decoded(input: &str) -> Vec<Value> {
        let mut out = Vec::new();
        print(Some(Generation::V0_4), input.as_bytes(), &mut out).unwrap();
        let lines = out.split_inclusive(|byte| *byte == b'\n');
        lines
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect()
    }

    /// A `waterfall` from A: packet 00, and one that is not text.
    fn frame() -> String {
        let composer = actix_mesh::wire::Composer::new(
            Generation::V0_4,
            Limits::default(),
            "A".parse().unwrap(),
        );
        let payload = [Packet::from("\0"), Packet::from([0xff])];
        let composed = composer
            .compose(&Flag::Waterfall, &payload, 1_500_000_000)
            .unwrap();
        hex::encode(&composed.frames.plain)
    }

    #[test]
    fn a_frame_becomes_an_object_with_its_whole_payload() {
        let [object] = &decoded(&frame())[..] else {
            panic!("one frame")
        };
        assert_eq!(object["flag"], "waterfall");
        assert_eq!(object["sender"], "A");
        assert_eq!(object["time"], 1_500_000_000);
        assert_eq!(object["packets"], json!(["\0", {"hex": "ff"}]));
        assert_eq!(object["compression"], Value::Null);
        assert_eq!(object.as_object().unwrap().len(), 6);
    }

    #[test]
    fn frames_before_a_cut_one_are_read() {
        let frame = frame();
        let objects = decoded(&format!("{frame}{}\n\n{frame}\r\n", &frame[..40]));
        assert_eq!(objects.len(), 3);
        assert_eq!(objects[0]["sender"], "A");
        assert_eq!(objects[1]["error"]["code"], "truncated");
        assert_eq!(objects[2], objects[0]);
    }

    #[test]
    fn what_is_no_frame_is_told_and_the_next_line_is_read() {
        let bad_id = frame().replace("ff", "fe");
        let objects = decoded(&format!("zz\n00000001ff\n{bad_id}\nffffffff\n{}", frame()));
        let codes = ["bad_hex", "sizes_disagree", "id_mismatch", "oversize"];
        assert_eq!(objects.len(), codes.len() + 1);
        for (object, code) in objects.iter().zip(codes) {
            assert_eq!(object["error"]["code"], code);
            assert!(object["error"]["message"].is_string());
        }
        assert_eq!(objects[codes.len()]["sender"], "A");
    }
}
