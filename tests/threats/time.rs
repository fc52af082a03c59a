//! Stamps that are old, in the future, or replayed.

use std::time::Duration;

use actix_mesh::Event;
use actix_mesh::wire::Flag;

use crate::support::raw::{Raw, some_text, user};
use crate::support::victim::Victim;
use crate::support::{PATIENCE, unix, until};

#[test]
fn t18_neither_old_nor_far_stamps_nor_replays_are_delivered() {
    let victim = Victim::start();
    let (mut author, mut hearer) = (Raw::join(&victim), Raw::join(&victim));
    let now = unix();
    // Two seconds beside the bounds, because the clock moves on meanwhile.
    for time in [
        0,
        1,
        now - 62,
        now + 64,
        u64::MAX / 2,
        u64::MAX - 60,
        u64::MAX,
    ] {
        let frame = author.frame(&Flag::Broadcast, &user(&some_text("never")), time);
        author.write(&frame);
    }
    let text = some_text("once");
    for time in [now - 57, now + 57] {
        let frame = author.frame(&Flag::Broadcast, &user(&format!("{text} {time}")), time);
        for _ in 0..50 {
            author.write(&frame);
        }
    }
    let last = some_text("last");
    author.broadcast(&last);
    victim.hears(&format!("{text} {}", now - 57));
    victim.hears(&format!("{text} {}", now + 57));
    victim.hears(&last);
    let relayed = std::iter::from_fn(|| hearer.next_within(PATIENCE)).take(3);
    assert_eq!(relayed.last().unwrap().text(), last);
    let stats = victim.status().stats;
    assert_eq!((stats.expired + stats.premature, stats.duplicates), (7, 98));
}

#[test]
fn t20_a_clock_that_is_off_is_told_with_the_handshake() {
    let victim = Victim::start();
    for skew in [-90_i64, 90] {
        let mut raw = Raw::dial(&victim);
        let handshake = raw.handshake(|_| {});
        let time = unix().checked_add_signed(skew).unwrap();
        let frame = raw.frame(&Flag::Whisper, &handshake, time);
        raw.write(&frame);
        let told = victim.told(|event| match event {
            Event::ClockSkew { seconds, .. } => Some(*seconds),
            _ => None,
        });
        assert!((told - skew).abs() <= 2, "{told}");
    }
}

#[test]
fn t23_a_message_goes_to_nobody_twice_and_not_back() {
    let victim = Victim::start();
    let mut peers: Vec<Raw> = (0..4).map(|_| Raw::join(&victim)).collect();
    let text = some_text("once each");
    let frame = peers[0].broadcast_frame(&text);
    for peer in &mut peers {
        peer.write(&frame);
    }
    until("all have come", || victim.status().stats.duplicates == 3);
    let (author, others) = peers.split_first_mut().unwrap();
    for other in others {
        let heard = other.all_within(Duration::from_millis(200));
        let copies = heard.iter().filter(|heard| heard.text() == text).count();
        assert!(copies <= 1, "{copies}");
    }
    assert!(author.all_within(Duration::from_millis(200)).is_empty());
}
