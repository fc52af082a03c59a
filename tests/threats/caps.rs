//! Every buffer that peers can fill has a cap: each is filled to it, and one beyond (threat T5).

use actix_mesh::wire::{Control, Flag, Packet};
use actix_mesh::{CloseReason, Connect, ConnectError, Recv, Send, Shutdown, Whisper, WhisperError};

use crate::assert_serves;
use crate::support::raw::{Raw, Trap, some_id, user};
use crate::support::victim::Victim;
use crate::support::{PATIENCE, unix, until};

#[test]
fn t5_one_stranger_more_than_may_wait_takes_the_place_of_the_oldest() {
    let victim = Victim::with(|config| config.max_pending(8));
    let mut strangers: Vec<Raw> = (0..8).map(|_| Raw::dial(&victim)).collect();
    until("they wait", || victim.status().awaiting == 8);
    strangers.push(Raw::dial(&victim));
    assert_eq!(victim.told_refused(), CloseReason::Crowded);
    assert!(strangers[0].is_closed_within(PATIENCE));
    assert_eq!(victim.status().awaiting, 8);
    assert_serves(&victim);
}

#[test]
fn t5_the_cache_remembers_as_many_as_it_may() {
    let victim = Victim::with(|config| config.waterfall_capacity(1000));
    let mut member = Raw::join(&victim);
    let time = unix();
    let said = |from: usize, to: usize, time: u64| -> Vec<u8> {
        (from..to)
            .flat_map(|n| member.frame(&Flag::Broadcast, &user(&n.to_string()), time))
            .collect()
    };
    // A second that is over is closed to make room.
    let (fill, one_more) = (said(0, 1000, time - 10), said(1000, 1001, time));
    let late = said(0, 1, time - 10);
    member.write(&fill);
    until("it is full", || victim.status().stats.delivered == 1000);
    let stats = victim.status().stats;
    assert_eq!(
        (stats.waterfall_entries, stats.waterfall_evicted),
        (1000, 0)
    );
    member.write(&one_more);
    until("one more", || victim.status().stats.delivered == 1001);
    let stats = victim.status().stats;
    assert_eq!(
        (stats.waterfall_entries, stats.waterfall_evicted),
        (1, 1000)
    );
    member.write(&late);
    until("it is refused", || {
        victim.status().stats.waterfall_closed == 1
    });
    assert_eq!(victim.status().stats.delivered, 1001);
}

#[test]
fn t5_the_peer_book_keeps_256_addresses_and_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let book = folder.path().join("peers.json");
    let victim = Victim::with(|config| config.peer_book(&book).max_reconnect_delay(None));
    for port in 1..=257 {
        let announced = |control: &mut Control| {
            if let Control::Handshake { address, .. } = control {
                *address = Some(format!("127.0.0.1:{port}").parse().unwrap());
            }
        };
        drop(Raw::join_with(&victim, announced));
    }
    until("they have left", || victim.status().peers == 0);
    victim.ask(Shutdown::new());
    let text = std::fs::read_to_string(&book).unwrap();
    let places: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(places.as_array().unwrap().len(), 256);
}

#[test]
fn t5_as_many_dials_are_under_way_as_may_be() {
    let victim =
        Victim::with(|config| config.connect_timeout(PATIENCE).handshake_timeout(PATIENCE));
    // They accept and send nothing.
    let traps: Vec<Trap> = (0..257).map(|_| Trap::set()).collect();
    let (last, others) = traps.split_last().unwrap();
    for trap in others {
        victim.node.router.do_send(Connect::to(trap.addr));
    }
    until("they are under way", || victim.status().awaiting == 256);
    let answer = victim.ask(Connect::to(last.addr));
    assert_eq!(answer, Err(ConnectError::Busy(256)));
    assert_eq!(victim.status().awaiting, 256);
}

#[test]
fn t5_as_many_whispers_wait_for_their_peer_as_may() {
    // With room for all of them at once.
    let victim = Victim::with(|config| config.send_budget(1 << 20));
    let _silent = Raw::join(&victim);
    let whisper = || Whisper::new(some_id(), "where are you").within(PATIENCE);
    for _ in 0..1024 {
        victim.node.router.do_send(whisper());
    }
    let answer = victim.ask(whisper());
    assert_eq!(answer, Err(WhisperError::Busy(1024)));
}

#[test]
fn t5_the_inbox_keeps_as_many_as_it_may_and_counts_the_rest() {
    let victim = Victim::with(|config| config.inbox_capacity(100));
    let mut member = Raw::join(&victim);
    for n in 0..101 {
        member.broadcast(&format!("item {n}"));
    }
    victim.hears("item 100");
    let kept = victim.ask(Recv::up_to(1000));
    assert_eq!(kept.len(), 100);
    assert_eq!((kept[0].text(), kept[0].missed()), ("item 1".into(), 1));
}

#[test]
fn t5_the_last_64_troubles_are_kept() {
    let victim = Victim::start();
    for n in 0..65 {
        let mut member = Raw::join(&victim);
        member.write(&[0, 0, 0, 1, 9]);
        assert!(member.is_closed_within(PATIENCE));
        until("it is counted", || {
            victim.status().stats.bad_frames == n + 1
        });
        let troubles = victim.status().troubles;
        // A connection from another test may have hit this port once.
        let (all, frames) = (troubles.len() as u64, n + 1);
        assert!(
            (frames.min(64)..=64).contains(&all),
            "{all} after {frames}: {troubles:#?}"
        );
    }
}

#[test]
fn t5_own_messages_wait_in_line_once_their_budget_is_used_up() {
    const BUDGET: usize = 64 << 10;
    let victim = Victim::with(|config| config.send_budget(BUDGET).stall_timeout(PATIENCE));
    let _mute = Raw::join(&victim);
    // Twice what the kernels on the way may buffer, plus what may be queued.
    for n in 0..400 {
        let text = format!("{n} {}", "x".repeat(16 << 10));
        victim.node.router.do_send(Send::new(text));
    }
    until("some wait", || victim.status().waiting > 0);
    let status = victim.status();
    assert!(status.sending <= BUDGET, "{}", status.sending);
}

#[test]
fn t5_a_peer_that_takes_nothing_is_closed_when_its_share_is_used_up() {
    let victim = Victim::with(|config| {
        let config = config.inbound_budget(256 << 10).shared_budget(1 << 20);
        config.stall_timeout(PATIENCE).socket_buffer(64 << 10)
    });
    let (source, mute) = (Raw::join(&victim), Raw::join(&victim));
    let frames: Vec<u8> = (0..1000)
        .flat_map(|n| source.broadcast_frame(&format!("{n} {}", "x".repeat(30_000))))
        .collect();
    let mut writing = source.stream.try_clone().unwrap();
    std::thread::spawn(move || std::io::Write::write_all(&mut writing, &frames));
    // The frames are thirty times what both budgets hold.
    assert_eq!(victim.told_left(mute.id()), CloseReason::SlowPeer);
    until("it goes on", || victim.status().stats.delivered == 1000);
}

#[test]
fn t5_of_a_peers_list_no_more_is_looked_at_than_may_be() {
    let victim = Victim::with(|config| config.max_outgoing(1000));
    let mut liar = Raw::join(&victim);
    let traps: Vec<Trap> = (0..100).map(|_| Trap::set()).collect();
    let entries = traps.iter().map(|trap| actix_mesh::wire::PeerEntry {
        id: some_id(),
        address: trap.address(),
    });
    let list = Control::Peers {
        entries: entries.collect(),
        skipped: 0,
    };
    liar.say_control(&Flag::Whisper, &list);
    liar.say(
        &Flag::Whisper,
        &[Packet::from("after"), Packet::from("that")],
    );
    until("it was read", || victim.status().stats.delivered == 1);
    assert!(
        victim.status().awaiting <= 32,
        "{}",
        victim.status().awaiting
    );
}
