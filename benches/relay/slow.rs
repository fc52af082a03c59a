//! What slow peers cost the others: the latency to a good peer, beside peers that read nothing.

use std::time::Duration;

use bytes::Bytes;

use super::contest::CAPACITY;
use super::crowd::Crowd;
use super::harness::median;
use super::hub::{Hub, NODE};
use super::stream::{self, Form};

/// Besides the feeder and the peer whose messages are timed.
const OTHERS: usize = 4;
const SIZE: usize = 2048;
/// One per millisecond: three times what the system buffers for a peer that reads nothing.
const COUNT: usize = 3000;
const EVERY: Duration = Duration::from_millis(1);
const ROUNDS: usize = 9;

pub(crate) fn told() {
    println!("\n## Beside slow peers: {SIZE} B each {EVERY:?}, one listener and {OTHERS} others\n");
    println!("| the others | median | 99 of 100 within | against those who listen | heard |");
    println!("|---|--:|--:|--:|--:|");
    let mut rounds = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        for (listening, rounds) in [OTHERS, 0].into_iter().zip(&mut rounds) {
            rounds.push(round(listening));
        }
    }
    let [good, slow] = &rounds;
    let ratios: Vec<f64> = good
        .iter()
        .zip(slow)
        .map(|(good, slow)| slow.1 / good.1)
        .collect();
    for (name, rounds, ratio) in [
        ("listen", good, 1.0),
        ("take nothing", slow, median(&mut ratios.clone())),
    ] {
        let middle = |of: fn(&(f64, f64)) -> f64| {
            let mut all: Vec<f64> = rounds.iter().map(of).collect();
            median(&mut all)
        };
        let (half, nearly_all) = (middle(|round| round.0), middle(|round| round.1));
        let heard = ROUNDS * COUNT;
        println!(
            "| {name} | {half:.0} us | {nearly_all:.0} us | {ratio:.2} | {heard} of {heard} |"
        );
    }
}

/// Returns the median and the 99th percentile of the latency, in microseconds.
fn round(listening: usize) -> (f64, f64) {
    let hub = Hub::start(NODE, CAPACITY);
    let mut crowd = Crowd::join(hub.addr, 2 + OTHERS, &[]);
    let whole = stream::messages(Form::Plain, SIZE, COUNT);
    let mut took = crowd.pace(&cut(whole), EVERY, listening);
    took.sort_unstable();
    let at = |share: usize| took[(took.len() - 1) * share / 100].as_secs_f64() * 1e6;
    (at(50), at(99))
}

fn cut(mut whole: Bytes) -> Vec<Bytes> {
    let mut frames = Vec::new();
    while let Some(length) = whole.first_chunk() {
        frames.push(whole.split_to(4 + u32::from_be_bytes(*length) as usize));
    }
    frames
}
