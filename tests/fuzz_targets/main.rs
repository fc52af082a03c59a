//! Runs the corpora of the fuzz targets as ordinary tests, and each target on random inputs.
//!
//! `FUZZ_INPUTS=1000000 cargo test --release --test fuzz_targets` draws that many for each target. For coverage-guided
//! fuzzing: `cargo +nightly fuzz run TARGET`, see `docs/reliability.md`.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "mod.rs"]
mod targets;

use std::fs;
use std::path::Path;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use targets::TARGETS;

fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fuzz_targets/corpus")
        .join(target);
    let mut files: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
        .into_iter()
        .map(|path| (path.display().to_string(), fs::read(path).unwrap()))
        .collect()
}

#[test]
fn every_input_of_every_corpus_keeps_the_laws() {
    for (name, target) in TARGETS {
        let inputs = corpus(name);
        assert!(!inputs.is_empty(), "{name} has no corpus");
        for (path, input) in inputs {
            eprintln!("{path}");
            target(&input);
        }
    }
}

#[test]
fn inputs_by_chance_keep_the_laws() {
    let count = std::env::var("FUZZ_INPUTS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(300);
    for (name, target) in TARGETS {
        let seeds: Vec<Vec<u8>> = corpus(name).into_iter().map(|(_, input)| input).collect();
        for seed in 0..count {
            let mut dice = StdRng::seed_from_u64(seed);
            let input = vary(&seeds[dice.random_range(0..seeds.len())], &seeds, &mut dice);
            let kept = std::panic::catch_unwind(|| target(&input));
            assert!(kept.is_ok(), "{name} breaks a law on {}", hex(&input));
        }
    }
}

/// Makes an input from others: changes, removes and inserts bytes, and appends the end of another input.
fn vary(seed: &[u8], seeds: &[Vec<u8>], dice: &mut StdRng) -> Vec<u8> {
    let mut input = seed.to_vec();
    for _ in 0..dice.random_range(0..8) {
        let at = dice.random_range(0..=input.len());
        match dice.random_range(0..4) {
            0 if at < input.len() => input[at] = dice.random(),
            1 => {
                let more: Vec<u8> = (0..dice.random_range(0..40))
                    .map(|_| dice.random())
                    .collect();
                input.splice(at..at, more);
            }
            2 => {
                let end = dice.random_range(at..=input.len());
                input.drain(at..end);
            }
            _ => {
                let other = &seeds[dice.random_range(0..seeds.len())];
                let from = dice.random_range(0..=other.len());
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
        }
    }
    input
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
