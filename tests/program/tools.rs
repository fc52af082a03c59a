//! `decode` and `encode` on frames of the reference peers.

use serde_json::{Value, json};

use super::vectors::{hex, load, text};
use super::{run, stdout};

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Runs one of the tools on these lines; returns the lines it prints.
fn lines(tool: &str, input: &[String]) -> Vec<String> {
    let output = run(&[tool, "--wire", "0.4"], input.join("\n"));
    assert_eq!(output.status.code(), Some(0));
    let lines: Vec<_> = stdout(&output).lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), input.len());
    lines
}

fn decoded(frames: &[String]) -> Vec<Value> {
    let lines = lines("decode", frames);
    let objects = lines.iter().map(|line| serde_json::from_str(line).unwrap());
    objects.collect()
}

/// Returns the reference peers' frames and their content.
fn golden() -> (Vec<Value>, Vec<String>) {
    let good = |row: &Value| row["name"] != "sender_not_base58";
    let rows: Vec<_> = load("message_0_4.json", "vectors")
        .into_iter()
        .filter(good)
        .collect();
    let frames = rows
        .iter()
        .map(|row| hexadecimal(&hex(&row["frame"])))
        .collect();
    (rows, frames)
}

fn method(row: &Value) -> Value {
    match row["compression"].as_str() {
        Some("13") => json!("zlib"),
        Some("11") => json!("gzip"),
        Some("10") => json!("bz2"),
        Some("12") => json!("lzma"),
        _ => Value::Null,
    }
}

fn packet(value: &Value) -> Value {
    let bytes = hex(value);
    match String::from_utf8(bytes) {
        Ok(text) => json!(text),
        Err(error) => json!({"hex": hexadecimal(error.as_bytes())}),
    }
}

#[test]
fn golden_frames_say_what_they_hold() {
    let (rows, frames) = golden();
    for (row, object) in rows.iter().zip(decoded(&frames)) {
        let name = &row["name"];
        assert_eq!(object["id"], text(&row["id"]), "{name}");
        assert_eq!(object["sender"], text(&row["sender"]), "{name}");
        assert_eq!(object["time"], row["time"], "{name}");
        assert_eq!(object["compression"], method(row), "{name}");
        let packets: Vec<_> = row["payload"]
            .as_array()
            .unwrap()
            .iter()
            .map(packet)
            .collect();
        assert_eq!(object["packets"], json!(packets), "{name}");
    }
}

#[test]
fn golden_frames_are_written_as_they_were_read() {
    let (rows, frames) = golden();
    let objects = decoded(&frames);
    let again = lines(
        "encode",
        &objects.iter().map(Value::to_string).collect::<Vec<_>>(),
    );
    for ((row, frame), again) in rows.iter().zip(&frames).zip(&again) {
        if row["decode_only"] == false {
            assert_eq!(again, frame, "{}", row["name"]);
        }
    }
    assert_eq!(decoded(&again), objects, "and compressed ones say the same");
}

#[test]
fn an_id_may_be_left_out_where_it_follows() {
    let (rows, frames) = golden();
    let follows = |row: &Value| row["decode_only"] == false && row["id_rule"] == "bytes";
    let kept: Vec<_> = frames
        .iter()
        .zip(&rows)
        .filter(|(_, row)| follows(row))
        .collect();
    let frames: Vec<_> = kept.iter().map(|(frame, _)| (*frame).clone()).collect();
    let mut objects = decoded(&frames);
    for object in &mut objects {
        object
            .as_object_mut()
            .unwrap()
            .retain(|name, _| name != "id" && name != "compression");
    }
    let again = lines(
        "encode",
        &objects.iter().map(Value::to_string).collect::<Vec<_>>(),
    );
    assert_eq!(again, frames);
}

#[test]
fn what_is_no_frame_is_told_in_its_place() {
    let rows = load("invalid_0_4.json", "vectors");
    let refused =
        |row: &&Value| row["py_decoder"]["ok"] == false && row["js_decoder"]["ok"] == false;
    let frames: Vec<_> = rows
        .iter()
        .filter(refused)
        .map(|row| hexadecimal(&hex(&row["frame"])))
        .collect();
    assert!(!frames.is_empty());
    let output = run(&["decode"], format!("{}\nnonsense\n", frames.join("\n")));
    assert_eq!(output.status.code(), Some(0));
    let last = stdout(&output).lines().last().unwrap();
    let last: Value = serde_json::from_str(last).unwrap();
    assert_eq!(last["error"]["code"], "bad_hex");
    assert!(last["error"]["message"].is_string());
}

#[test]
fn a_message_that_cannot_be_encoded_is_a_failure() {
    let good = json!({"flag": "broadcast", "sender": "A", "time": 1, "packets": ["\0"]});
    let output = run(&["encode"], format!("{good}\n{{}}\n{good}"));
    assert_eq!(output.status.code(), Some(1));
    let lines: Vec<_> = stdout(&output).lines().collect();
    assert_eq!(lines[0], lines[2]);
    let error: Value = serde_json::from_str(lines[1]).unwrap();
    assert_eq!(error["error"]["code"], "bad_line");
}
