//! Identity: claims of ids that are taken, and of messages that others wrote.

use std::io::Read as _;
use std::time::Duration;

use actix_mesh::wire::{Batch, Control, FingerprintKey, Flag, Limits};
use actix_mesh::{CloseReason, Event, Peers, Send};

use crate::support::raw::{GENERATION, Raw, some_text, user};
use crate::support::victim::Victim;
use crate::support::{PATIENCE, unix, until};

#[test]
fn t13_no_claim_unseats_a_live_peer() {
    let victim = Victim::start();
    let mut first = Raw::join(&victim);
    let mut impostor = Raw::dial_as(&victim, first.id().clone());
    impostor.greet(|_| {});
    impostor.broadcast("in its name");
    // The node asks the first peer for a sign of life before it decides: any will do, an answer settles it at once.
    first.answer_ping(&victim.id);
    victim.told(|event| match event {
        Event::IdConflict { peer, .. } if peer == first.id() => Some(()),
        _ => None,
    });
    assert!(impostor.is_closed_within(PATIENCE));
    // Nor does a second handshake with another id.
    let mut changeling = Raw::join(&victim);
    let other = changeling.handshake(|control| {
        if let Control::Handshake { id, .. } = control {
            *id = first.id().clone();
        }
    });
    changeling.say(&Flag::Whisper, &other);
    let text = some_text("still me");
    first.broadcast(&text);
    assert_eq!(victim.hears(&text).from(), first.id());
    changeling.hears(&text);
    drop(impostor);
    let ids: Vec<_> = victim.ask(Peers).into_iter().map(|peer| peer.id).collect();
    assert!(ids.contains(first.id()) && ids.contains(changeling.id()) && ids.len() == 2);
}

#[test]
fn t13_a_peer_that_reads_slowly_is_not_unseated() {
    let victim = Victim::with(|config| config.socket_buffer(16 * 1024));
    let slow = Raw::join(&victim);
    let mut stream = slow.stream.try_clone().unwrap();
    std::thread::spawn(move || {
        let mut piece = [0; 6 * 1024];
        while stream.read(&mut piece).is_ok_and(|read| read > 0) {
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    // The liveness request waits behind this for half a minute.
    for _ in 0..60 {
        let large = format!("{}{}", some_text("large"), "x".repeat(30_000));
        victim.ask(Send::new(large).or_busy()).ok();
    }
    let mut impostor = Raw::dial_as(&victim, slow.id().clone());
    impostor.greet(|_| {});
    victim.told(|event| match event {
        Event::IdConflict { peer, .. } if peer == slow.id() => Some(()),
        Event::PeerLeft { peer, reason, .. } => panic!("{peer} left: {reason}"),
        _ => None,
    });
    assert!(impostor.is_closed_within(PATIENCE));
    assert!(victim.has_peer(slow.id()));
}

#[test]
fn f13_what_the_system_takes_for_a_dead_peer_is_no_sign_of_its_life() {
    let victim = Victim::start();
    // From outside, a dead peer and one that does not read look the same.
    let dead = Raw::join(&victim);
    let mut again = Raw::dial_as(&victim, dead.id().clone());
    again.greet(|_| {});
    let began = std::time::Instant::now();
    while began.elapsed() < Duration::from_secs(5) {
        victim.ask(Send::new(some_text("meanwhile"))).unwrap();
        std::thread::sleep(Duration::from_millis(20));
    }
    let reason = victim.told(|event| match event {
        Event::PeerLeft { peer, reason, .. } if peer == dead.id() => Some(reason.clone()),
        Event::IdConflict { peer, .. } => panic!("{peer} is thought to live"),
        _ => None,
    });
    assert_eq!(reason, CloseReason::Unresponsive);
    assert!(victim.has_peer(again.id()));
}

#[test]
fn t13_a_claim_to_be_the_node_itself_is_refused() {
    let victim = Victim::start();
    let mut impostor = Raw::dial_as(&victim, victim.id.clone());
    impostor.greet(|_| {});
    assert!(impostor.is_closed_within(PATIENCE));
    assert_eq!(victim.told_refused(), CloseReason::Oneself);
}

#[test]
fn t14_a_forged_sender_is_only_what_the_message_says() {
    let victim = Victim::start();
    let (mut forger, author) = (Raw::join(&victim), Raw::join(&victim));
    let text = some_text("in your name");
    let forged = author.frame(&Flag::Broadcast, &user(&text), unix());
    forger.write(&forged);
    let heard = victim.hears(&text);
    assert_eq!((heard.sender(), heard.from()), (author.id(), forger.id()));
}

#[test]
fn t19_neither_a_second_author_nor_a_shifted_twin_hides_a_message() {
    let victim = Victim::start();
    let (mut one, mut other) = (Raw::join(&victim), Raw::join(&victim));
    let time = unix();
    let text = some_text("twins");
    let (head, tail) = text.split_at(3);
    let kind = user("").remove(0);
    let whole = [kind.clone(), text.as_str().into()];
    let shifted = [kind, head.into(), tail.into()];
    one.write(&one.frame(&Flag::Broadcast, &shifted, time));
    one.write(&one.frame(&Flag::Broadcast, &whole, time));
    victim.hears(&format!("{head} {tail}"));
    assert_eq!(victim.hears(&text).sender(), one.id());
    other.write(&other.frame(&Flag::Broadcast, &whole, time));
    assert_eq!(victim.hears(&text).sender(), other.id());
    assert_eq!(victim.status().stats.id_twins, 2);
}

#[test]
fn t21_one_broadcast_has_one_id_on_every_link() {
    let victim = Victim::start();
    let mut hearers: Vec<Raw> = (0..5).map(|_| Raw::join(&victim)).collect();
    for n in 0..20 {
        let sent = victim
            .ask(actix_mesh::Send::new(format!("to all {n}")))
            .unwrap();
        for hearer in &mut hearers {
            assert_eq!(hearer.hears(&format!("to all {n}")).id, sent.id.to_string());
        }
    }
}

/// Returns frames whose ids share one slot of a table of 128 under an unkeyed hash.
fn colliding(member: &Raw, time: u64) -> Vec<Vec<u8>> {
    let unkeyed = FingerprintKey::new(0, 0);
    let frames = (0..20_000).map(|n| member.frame(&Flag::Broadcast, &user(&n.to_string()), time));
    let collide = |frame: &Vec<u8>| place(frame, &unkeyed) == 0;
    frames.filter(collide).collect()
}

/// Returns the slot of a frame's claim in a table of 128.
fn place(frame: &[u8], key: &FingerprintKey) -> usize {
    let batch = Batch::from_frames(GENERATION, Limits::default(), frame).unwrap();
    let fingerprint = batch.get(0).unwrap().fingerprint(key);
    usize::try_from(fingerprint.id % 128).unwrap()
}

#[test]
fn t11_ids_that_collide_under_a_known_hash_neither_collide_nor_get_lost() {
    let victim = Victim::start();
    let mut member = Raw::join(&victim);
    let frames = colliding(&member, unix());
    assert!(frames.len() > 100);
    // With a key unknown to the sender they spread like any others.
    let key = FingerprintKey::new(0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210);
    let mut places = [0; 128];
    for frame in &frames {
        places[place(frame, &key)] += 1;
    }
    let most = places.iter().max().unwrap();
    assert!(*most < frames.len() / 8, "{places:?}");
    for _ in 0..2 {
        member.write(&frames.concat());
    }
    let count = frames.len() as u64;
    until("all were heard", || {
        victim.status().stats.duplicates == count
    });
    assert_eq!(victim.status().stats.delivered, count);
}
