//! `encode`: turns JSON objects into frames in hexadecimal.
//!
//! Owns which fields are required; the crate encodes the frame.

use std::io::{self, BufRead, Write};

use actix_mesh::wire::{Batch, Composer, DecodeError, Deflater, hex};
use actix_mesh::{EncodeError, Flag, Generation, Limits, MessageId, Method, NodeId, Packets};
use serde::{Deserialize, Serialize};

use crate::Failure;
use crate::command_error::CommandError;
use crate::lines::{Line, Lines};

/// The most bytes of a line: enough for the largest frame, unless most of it has to be escaped.
const LINE: usize = 16 << 20;

/// The size of a frame's length prefix.
const PREFIX: usize = 4;

const EXAMPLES: &str = "\
Example:
  echo '{\"flag\":\"broadcast\",\"sender\":\"A\",\"time\":1500000000,\"packets\":[\"\\u0000\",\"hi\"]}' | actix-mesh encode

Fields:
  flag         broadcast, waterfall, whisper, renegotiate, ping, pong or {\"hex\":..}
  sender       a node's id
  time         unix seconds
  packets      the whole payload, packet 0 included: strings, or {\"hex\":..}
  compression  optional: zlib, gzip, and bz2 and lzma where built in
  id           optional: it follows from the rest, and has to fit it

For a line that is no message, {\"error\":{\"code\":..,\"message\":..}} stands in its place.

Exit codes:
  0  every line was encoded
  1  some line was not, or input or output failed; standard error says why
  2  the command line was not understood";

/// Print messages as frames: a JSON object a line on stdin, as decode prints them; hexadecimal on stdout
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The protocol's generation, for messages that do not say theirs
    #[arg(long, value_name = "GENERATION", default_value_t)]
    wire: Generation,
}

/// A message as given.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    flag: Flag,
    sender: NodeId,
    time: u64,
    packets: Packets,
    compression: Option<Method>,
    id: Option<MessageId>,
    /// The generations it may belong to, as `decode` prints them; the first is used.
    #[serde(default)]
    wire: Vec<Generation>,
}

#[derive(Serialize)]
struct NotEncoded {
    error: CommandError,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    match print(args.wire, io::stdin().lock(), io::stdout().lock())? {
        0 => Ok(()),
        1 => Err("one line was not encoded; its error stands in its place".into()),
        bad => {
            Err(format!("{bad} lines were not encoded; their errors stand in their places").into())
        }
    }
}

/// Returns the number of lines that are not messages.
fn print(
    generation: Generation,
    input: impl BufRead,
    mut out: impl Write,
) -> Result<usize, Failure> {
    let mut encoder = Encoder {
        generation,
        deflater: Deflater::new(),
    };
    let mut bad = 0;
    for line in Lines::new(input, LINE) {
        match encoder.encode(line?) {
            Ok(frame) => writeln!(out, "{}", hex::encode(&frame))?,
            Err(error) => {
                bad += 1;
                writeln!(out, "{}", serde_json::to_string(&NotEncoded { error })?)?;
            }
        }
    }
    out.flush()?;
    Ok(bad)
}

struct Encoder {
    generation: Generation,
    deflater: Deflater,
}

impl Encoder {
    fn encode(&mut self, line: Line) -> Result<Vec<u8>, CommandError> {
        let given = read(line)?;
        let plain = self.compose(&given)?;
        match given.compression {
            None => Ok(plain),
            Some(method) if !method.is_of(self.generation) => Err(CommandError::new(
                "unknown_compression",
                format!("generation {} has no {method}", self.generation),
            )),
            Some(method) => self.deflate(method, &plain[PREFIX..]),
        }
    }

    fn compose(&self, given: &Given) -> Result<Vec<u8>, CommandError> {
        let Given {
            flag,
            sender,
            time,
            packets,
            id,
            ..
        } = given;
        let generation = given.wire.first().copied().unwrap_or(self.generation);
        let composer = Composer::new(generation, Limits::default(), sender.clone());
        let Some(id) = id else {
            return Ok(composer.compose(flag, packets, *time)?.frames.plain.into());
        };
        // From 0.6 on the content determines the id.
        if !generation.is_text_only() {
            let composed = composer.compose(flag, packets, *time)?;
            return match composed.id == *id {
                true => Ok(composed.frames.plain.into()),
                false => Err(DecodeError::IdMismatch.into()),
            };
        }
        let composed = composer.compose_under(id.clone(), sender, flag, packets, *time)?;
        let plain = Vec::from(composed.frames.plain);
        let batch = Batch::from_frames(generation, Limits::default(), &plain)?;
        batch.get(0).map_err(|error| *error)?.verify()?;
        Ok(plain)
    }

    /// Compresses a body into a frame with this method, even if that is not smaller.
    fn deflate(&mut self, method: Method, body: &[u8]) -> Result<Vec<u8>, CommandError> {
        let body = self
            .deflater
            .deflate(method, body)
            .ok_or(DecodeError::UnknownCompression(method))?;
        let limit = Limits::default().frame;
        let too_large = EncodeError::TooLarge {
            size: body.len(),
            limit,
        };
        let length = u32::try_from(body.len())
            .ok()
            .filter(|_| body.len() <= limit);
        let length = length.ok_or(too_large)?;
        Ok([&length.to_be_bytes()[..], &body].concat())
    }
}

fn read(line: Line) -> Result<Given, CommandError> {
    match line {
        Line::Whole(text) => {
            serde_json::from_slice(&text).map_err(|error| CommandError::new("bad_line", error))
        }
        Line::TooLong(limit, _) => Err(CommandError::new(
            "bad_line",
            format!("a line has at most {limit} bytes"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(input: &str) -> (Vec<String>, usize) {
        let mut out = Vec::new();
        let bad = print(Generation::V0_4, input.as_bytes(), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        (text.lines().map(str::to_owned).collect(), bad)
    }

    const HI: &str =
        r#"{"flag":"broadcast","sender":"A","time":1500000000,"packets":["\u0000",{"hex":"6869"}]"#;

    #[test]
    fn every_method_is_used_even_where_it_does_not_pay() {
        let known = Method::available().iter();
        for method in known.filter(|method| method.is_of(Generation::V0_4)) {
            let (lines, bad) = encoded(&format!("{HI},\"compression\":\"{method}\"}}"));
            assert_eq!(bad, 0, "{lines:?}");
            let bytes = hex::decode(&lines[0]).unwrap();
            let batch = Batch::from_frames(Generation::V0_4, Limits::default(), &bytes).unwrap();
            let frame = batch.get(0).unwrap();
            assert_eq!(frame.compression(), Some(*method));
            assert_eq!(frame.payload().collect::<Vec<_>>(), [&b"\0"[..], b"hi"]);
        }
    }

    #[test]
    fn the_id_may_be_left_out_but_not_be_wrong() {
        let (lines, bad) = encoded(&format!(
            "{HI}}}\n{HI},\"id\":\"A\"}}\n{HI},\"compression\":null}}"
        ));
        assert_eq!(bad, 1);
        assert_eq!(lines[0], lines[2]);
        assert!(
            lines[1].contains("\"code\":\"id_mismatch\""),
            "{}",
            lines[1]
        );
    }

    #[test]
    fn a_bad_line_holds_its_place() {
        let wrong = [
            "",
            "{}",
            "nonsense",
            "[1]",
            r#"{"flag":"shout","sender":"A","time":1,"packets":[]}"#,
            r#"{"flag":"ping","sender":"0","time":1,"packets":[]}"#,
            r#"{"flag":"ping","sender":"A","time":-1,"packets":[]}"#,
            r#"{"flag":"ping","sender":"A","time":1,"packets":[{"hex":"0"}]}"#,
            r#"{"flag":"ping","sender":"A","time":1,"packets":[],"compression":"zip"}"#,
            r#"{"flag":"ping","sender":"A","time":1,"packets":[],"more":1}"#,
        ];
        let (lines, bad) = encoded(&format!("{}\n{HI}}}", wrong.join("\n")));
        assert_eq!((lines.len(), bad), (wrong.len() + 1, wrong.len()));
        for (line, given) in lines.iter().zip(wrong) {
            assert!(
                line.starts_with(r#"{"error":{"code":"bad_line","message":""#),
                "{given}: {line}"
            );
        }
        assert!(lines[wrong.len()].starts_with("000000"));
        // A value is for later generations.
        let (lines, bad) = encoded(r#"{"flag":"ping","sender":"A","time":1,"packets":[1]}"#);
        assert!(bad == 1 && lines[0].contains("needs_types"), "{lines:?}");
    }
}
