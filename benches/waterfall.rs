//! The cost of the waterfall cache with a million live ids: a look-up, an insertion, and the longest pause.
//!
//! `cargo bench --bench waterfall`. The cache is not part of the public API: its source file is compiled in.

#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark may panic")]

mod harness;

/// The items that the cache's file imports from the wire layer.
mod wire {
    pub(crate) use actix_mesh::wire::{Fingerprint, NodeId};
}

#[allow(dead_code, unreachable_pub, reason = "the cache is used here in part")]
#[path = "../src/mesh/messaging/waterfall.rs"]
mod waterfall;

use std::time::Duration;

use actix_mesh::wire::{
    Composer, Fingerprint, FingerprintKey, Flag, Generation, Limits, NodeId, Packet, base58,
};
use harness::{Way, side_by_side, timed};
use waterfall::{Seen, Waterfall};

const NOW: u64 = 1_700_000_000;
const WINDOW: u64 = 60;
const MILLION: usize = 1_000_000;

/// Makes a random fingerprint: to the cache, digests under a key are random numbers.
fn fingerprint(n: u64) -> Fingerprint {
    let mix = |mut x: u64| {
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    };
    Fingerprint {
        id: mix(n.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
        strict: mix(n ^ 0x5555_5555_5555_5555),
    }
}

/// Returns the stamp of message number `n` of a steady stream, of which `live` fit in the window.
fn stamp(n: usize, live: usize) -> u64 {
    NOW + (n as u64) * WINDOW / (live as u64)
}

fn filled(live: usize) -> Waterfall {
    let mut cache = Waterfall::new(WINDOW, 2 * MILLION);
    for n in 0..live {
        let time = stamp(n, live);
        let seen = remember(&mut cache, time, fingerprint(n as u64));
        assert_eq!(seen, Seen::Fresh);
    }
    cache
}

/// Remembers a message of this second, as a node does that hears or sends a single one.
fn remember(cache: &mut Waterfall, time: u64, fingerprint: Fingerprint) -> Seen {
    cache.make_room(time);
    cache.remember(time, fingerprint)
}

fn main() {
    looking_up();
    streaming();
}

/// Looks up a different place each time, as peers repeat messages of any age.
fn looking_up() {
    const ASKED: usize = 4096;
    let mut ways = Vec::new();
    for live in [1000, 10_000, 100_000, MILLION] {
        let cache = filled(live);
        let mut n = 0;
        ways.push(Way::new(
            format!("known, of {live} live"),
            ASKED,
            move || {
                let mut known = 0;
                for _ in 0..ASKED {
                    n = (n + 7919) % live;
                    known += usize::from(
                        cache.look(stamp(n, live), fingerprint(n as u64)) == Seen::Same,
                    );
                }
                assert_eq!(known, ASKED);
            },
        ));
    }
    ways.push(digesting());
    let cache = filled(MILLION);
    let mut n = 0;
    ways.push(Way::new(
        format!("fresh, of {MILLION} live"),
        ASKED,
        move || {
            let mut known = 0;
            for _ in 0..ASKED {
                n = (n + 7919) % MILLION;
                let unknown = fingerprint((MILLION + n) as u64);
                known += usize::from(cache.look(stamp(n, MILLION), unknown) != Seen::Fresh);
            }
            assert_eq!(known, 0);
        },
    ));
    let mut n = 0;
    ways.push(Way::new("making up the claims alone", ASKED, move || {
        (0..ASKED).fold(0, |all, _| {
            n = (n + 7919) % MILLION;
            all ^ fingerprint(n as u64).id ^ stamp(n, MILLION)
        })
    }));
    side_by_side("waterfall: a look-up", ways);
}

/// Measures the step before a look-up: digesting a frame's claims under a key.
fn digesting() -> Way<'static> {
    let key = FingerprintKey::new(1, 2);
    let me = NodeId::parse(base58::encode(&[0xa5; 48])).unwrap();
    let composer = Composer::new(Generation::V0_4, Limits::default(), me);
    let compose = |n: usize| {
        let payload = [Packet::from("\0"), Packet::from(n.to_string())];
        composer.compose(&Flag::Broadcast, &payload, NOW).unwrap()
    };
    let messages: Vec<_> = (0..256).map(compose).collect();
    Way::new(
        "digesting a claim, before the look-up",
        messages.len(),
        move || {
            let fingerprints = messages.iter().map(|message| message.fingerprint(&key));
            fingerprints.fold(0, |all, fingerprint| all ^ fingerprint.strict)
        },
    )
}

/// Feeds the cache that many messages with those stamps; the clock advances with them.
fn stream(
    count: usize,
    stamp: impl Fn(usize) -> u64,
    mut each: impl FnMut(&mut Waterfall, u64, Fingerprint),
) {
    let mut cache = Waterfall::new(WINDOW, 2 * MILLION);
    for n in 0..count {
        each(&mut cache, stamp(n), fingerprint(n as u64));
    }
}

/// Measures the cost of a message in a stream, and the slowest one.
fn streaming() {
    const COUNT: usize = 5 * MILLION / 2;
    told("a million a minute, for two and a half", COUNT, |n| {
        stamp(n, MILLION)
    });
    told(
        "a million in one second, and a few a minute later",
        MILLION + 10,
        |n| NOW + if n < MILLION { 0 } else { 2 * WINDOW },
    );
}

fn told(title: &str, count: usize, stamp: impl Fn(usize) -> u64) {
    let title = format!("waterfall: a stream of {title}");
    if !harness::wanted(&title) {
        return;
    }
    let (took, ()) = timed(|| {
        stream(count, &stamp, |cache, time, fingerprint| {
            remember(cache, time, fingerprint);
        });
    });
    let mut longest = [Duration::ZERO; 4];
    stream(count, &stamp, |cache, time, fingerprint| {
        let (took, _) = timed(|| remember(cache, time, fingerprint));
        if took > longest[0] {
            longest[0] = took;
            longest.sort();
        }
    });
    println!("\n{title}");
    println!(
        "  each     {:.1} ns",
        took.as_secs_f64() * 1e9 / count as f64
    );
    println!("  longest  {longest:.2?}");
}
