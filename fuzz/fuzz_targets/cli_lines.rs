//! Lines on the standard input of `actix-mesh node --format json`: each is a command or gets a JSON answer, and none
//! exceeds the allowed length.

#![no_main]
#![allow(dead_code)]

#[path = "../../src/bin/actix-mesh/command_error.rs"]
mod command_error;
#[path = "../../src/bin/actix-mesh/lines.rs"]
mod lines;

#[path = "../../src/bin/actix-mesh/node"]
mod node {
    pub(crate) mod command;
    pub(crate) mod directory;
    pub(crate) mod interface;
    pub(crate) mod json;
    pub(crate) mod seq;
    pub(crate) mod text;
}

use node::interface::{Interface as _, Read};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    for line in lines::Lines::new(data, 64) {
        let line = line.expect("bytes in memory can be read");
        if let lines::Line::Whole(text) = &line {
            assert!(text.len() <= 64 && !text.contains(&b'\n'));
        }
    }
    let (text, directory) = (
        node::text::Text::new(
            actix_mesh::Generation::V0_4,
            node::text::Style::of_terminal(),
        ),
        node::directory::Directory::default(),
    );
    for line in lines::Lines::new(data, 1 << 20).flatten() {
        text.read(line, &directory);
    }
    for line in lines::Lines::new(data, 1 << 20).flatten() {
        if let Read::Say(said) = node::json::Json.read(line, &directory) {
            let said: serde_json::Value = serde_json::from_str(&said).expect("said in JSON");
            assert_eq!(said["error"]["code"], "bad_line");
        }
    }
});
