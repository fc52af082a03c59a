//! Who is whom: claims of names that are taken, and of messages that others wrote.

use actix_mesh::wire::{Control, Flag};
use actix_mesh::{CloseReason, Event, Peers};

use crate::attack::raw::{Raw, some_id, some_text, user};
use crate::attack::victim::Victim;
use crate::attack::{PATIENCE, unix, until};

#[test]
fn t13_no_claim_unseats_a_live_peer() {
    let victim = Victim::start();
    let mut first = Raw::join(&victim);
    // Two connections in one direction within 5 s may be a crossing; the second is then kept, unheard, until
    // it is known to be none.
    let mut impostor = Raw::dial_as(&victim, first.id().clone());
    impostor.greet(|_| {});
    victim.told(|event| match event {
        Event::IdConflict { peer, .. } if peer == first.id() => Some(()),
        _ => None,
    });
    assert!(impostor.is_closed_within(PATIENCE));
    // Nor does a second handshake of another name.
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

#[test]
fn t11_names_that_collide_elsewhere_do_not_here() {
    // The tables whose keys peers choose are keyed anew in every node, or sorted: the same names cost the
    // same whoever chose them. Here: that a thousand names of one prefix are looked up as any.
    let victim = Victim::start();
    let mut member = Raw::join(&victim);
    let time = unix();
    let frames: Vec<u8> = (0..5000)
        .flat_map(|n| member.frame(&Flag::Broadcast, &user(&format!("{n} {}", some_id())), time))
        .collect();
    member.write(&frames);
    until("all were heard", || victim.status().stats.delivered == 5000);
}
