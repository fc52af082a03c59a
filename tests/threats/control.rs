//! Control messages that are out of place, or more of them than needed.

use std::time::Duration;

use actix_mesh::wire::{
    Address, Control, Dialect, Flag, Method, NodeId, Packet, PeerEntry, RequestId, SubFlag,
};
use actix_mesh::{Peers, Whisper, WhisperError};

use crate::assert_serves;
use crate::support::raw::{GENERATION, Raw, Trap, some_id, some_text, user};
use crate::support::victim::Victim;
use crate::support::{PATIENCE, unix, until};

/// How long to watch that something does not happen, once its cause has had its effect elsewhere.
const QUIET: Duration = Duration::from_millis(500);

fn peers_list(trap: &Trap) -> Control {
    Control::Peers {
        entries: vec![PeerEntry {
            id: some_id(),
            address: trap.address(),
        }],
        skipped: 0,
    }
}

#[test]
fn t12_the_frames_that_rename_every_link_of_the_references_change_nothing() {
    let victim = Victim::with(|config| config.max_outgoing(4));
    let (mut impostor, mut hearer) = (Raw::join(&victim), Raw::join(&victim));
    let table = |victim: &Victim| {
        let peers = victim.ask(Peers).into_iter();
        peers.map(|peer| (peer.id, peer.addr)).collect::<Vec<_>>()
    };
    let before = table(&victim);
    let trap = Trap::set();
    let fake = impostor.handshake(|control| {
        if let Control::Handshake { id, .. } = control {
            *id = some_id();
        }
    });
    for flag in [Flag::Broadcast, Flag::Ping, Flag::Pong] {
        impostor.say(&flag, &fake);
        impostor.say_control(&flag, &peers_list(&trap));
        impostor.say_control(&flag, &Control::RequestPeers);
    }
    let text = some_text("after that");
    impostor.broadcast(&text);
    // Nor were they relayed: this is the first message the other peer gets.
    assert_eq!(hearer.next_within(PATIENCE).unwrap().text(), text);
    assert_eq!(before, table(&victim));
    assert!(trap.caught_within(QUIET).is_empty());
    assert_eq!(victim.status().stats.misplaced, 9);
}

#[test]
fn t15_a_whisper_does_not_leak_to_whoever_says_it_knows_the_way() {
    let victim = Victim::start();
    let mut spoofer = Raw::join(&victim);
    let trap = Trap::set();
    let wanted = some_id();
    let whisper = Whisper::new(wanted.clone(), "a secret").within(Duration::from_secs(3));
    let asking = victim.node.router.send(whisper);
    let answer = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(asking).unwrap()
    });
    let request = spoofer.expect(|heard| heard.kind() == Some(SubFlag::Request));
    let request = RequestId::parse(&request.payload[1]).unwrap();
    let lie = Control::Response {
        request,
        id: wanted,
        address: trap.address(),
    };
    spoofer.say_control(&Flag::Broadcast, &lie);
    let mut caught = trap.catch_peer(&victim.subnet);
    caught.greet(|_| {});
    let said = caught.all_within(Duration::from_secs(1));
    assert!(
        said.iter().all(|heard| heard.text() != "a secret"),
        "{said:?}"
    );
    let answer = answer.join().unwrap();
    assert!(
        matches!(answer, Err(WhisperError::Unreachable { .. })),
        "{answer:?}"
    );
}

#[test]
fn t16_a_peers_list_of_ten_thousand_leads_to_a_handful_of_dials() {
    let victim = Victim::with(|config| config.max_outgoing(4));
    let mut liar = Raw::join(&victim);
    let trap = Trap::set();
    // Within the 128 KiB of JSON that are read, and beyond them.
    for count in [1000, 10_000] {
        let entries = (0..count).map(|_| PeerEntry {
            id: NodeId::derive("x", &victim.subnet, &[1]),
            address: trap.address(),
        });
        let list = Control::Peers {
            entries: entries.collect(),
            skipped: 0,
        };
        liar.say_control(&Flag::Whisper, &list);
    }
    for _ in 0..200 {
        liar.say_control(&Flag::Whisper, &peers_list(&trap));
    }
    let dials = trap.caught_within(Duration::from_secs(2)).len();
    assert!((1..=4).contains(&dials), "{dials}");
    assert_serves(&victim);
}

#[test]
fn t16_nowhere_and_private_addresses_are_not_dialled_for_public_peers() {
    // Which peer may name which hosts is tested with the rule, in `reach.rs` and `request.rs`; this test shows that the
    // node survives invalid hosts.
    let victim = Victim::with(|config| config.max_outgoing(4));
    let mut liar = Raw::join(&victim);
    for host in ["0.0.0.0", "::", "224.0.0.1", "255.255.255.255", ""] {
        let address = Address {
            host: host.into(),
            port: 9,
        };
        let entries = vec![PeerEntry {
            id: some_id(),
            address,
        }];
        liar.say_control(
            &Flag::Whisper,
            &Control::Peers {
                entries,
                skipped: 0,
            },
        );
    }
    assert_serves(&victim);
    assert_eq!(victim.status().stats.dials_failed, 0);
}

#[test]
fn t22_asking_again_and_again_fetches_less_than_it_sends() {
    let victim = Victim::start();
    let mut asker = Raw::join(&victim);
    victim
        .ask(actix_mesh::Send::new("x".repeat(10_000)).flag(Flag::Whisper))
        .unwrap();
    asker.expect(|heard| heard.size > 10_000);
    let methods = |flip: bool| if flip { vec![Method::Zlib] } else { vec![] };
    let mut sent = 0;
    for n in 0..500 {
        for control in [Control::Compression(methods(n % 2 == 0)), Control::Resend] {
            let frame = asker.frame(&Flag::Renegotiate, &control.packets(GENERATION), unix());
            sent += frame.len();
            asker.write(&frame);
        }
    }
    let got: usize = asker
        .all_within(Duration::from_secs(2))
        .iter()
        .map(|heard| heard.size)
        .sum();
    assert!(got < sent, "{got} bytes for {sent}");
    assert!(victim.status().stats.over_budget > 0);
    assert!(victim.has_peer(asker.id()));
}

#[test]
fn t24_what_hangs_a_js2p_is_not_relayed_to_one() {
    let victim = Victim::start();
    let mut author = Raw::join(&victim);
    let mut js2p = Raw::join_with(&victim, |control| {
        if let Control::Handshake {
            dialect, methods, ..
        } = control
        {
            (*dialect, *methods) = (Dialect::Tight, vec![Method::Zlib, Method::Gzip]);
        }
    });
    let mut py2p = Raw::join(&victim);
    let mut poison = user("poison");
    poison.push(Packet::from(vec![0xff, 0xfe, 0x80]));
    author.say(&Flag::Broadcast, &poison);
    py2p.expect(|heard| heard.payload.last().unwrap() == &[0xff, 0xfe, 0x80]);
    let text = some_text("wholesome");
    author.broadcast(&text);
    assert_eq!(js2p.next_within(PATIENCE).unwrap().text(), text);
    until("it is told", || victim.status().stats.relay_skipped == 1);
}

#[test]
fn t5_requests_by_the_thousand_are_answered_at_a_bounded_rate_and_kept_nowhere() {
    let victim = Victim::start();
    let (mut asker, known) = (Raw::join(&victim), Raw::join(&victim));
    for n in 0..2000_u32 {
        let wanted = if n % 2 == 0 {
            known.id().clone()
        } else {
            some_id()
        };
        let request = RequestId::derive(&wanted, unix(), &n.to_be_bytes());
        let request = Control::Request { request, wanted };
        asker.say_control(&Flag::Broadcast, &request);
        asker.say_control(&Flag::Whisper, &Control::RequestPeers);
    }
    let answers = asker.all_within(Duration::from_secs(2));
    let of = |kind| {
        answers
            .iter()
            .filter(|heard| heard.kind() == Some(kind))
            .count()
    };
    assert!(
        (1..100).contains(&of(SubFlag::Response)),
        "{}",
        of(SubFlag::Response)
    );
    assert!(
        (1..20).contains(&of(SubFlag::Peers)),
        "{}",
        of(SubFlag::Peers)
    );
    assert_serves(&victim);
}
