//! Floods, and peers that do not read.

use std::collections::HashSet;
use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

use actix_mesh::CloseReason;
use actix_mesh::wire::{Control, Flag, RequestId, SubFlag};

use crate::assert_serves;
use crate::support::raw::{Raw, some_text, user};
use crate::support::victim::Victim;
use crate::support::{PATIENCE, unix, until};

/// Returns frames of new broadcasts, about that many bytes of them.
fn fresh(author: &Raw, about: &str, size: usize, bytes: usize) -> Vec<u8> {
    let (mut frames, mut n) = (Vec::new(), 0);
    let filler = "x".repeat(size);
    while frames.len() < bytes {
        n += 1;
        frames.extend(author.frame(
            &Flag::Broadcast,
            &user(&format!("{about} {n} {filler}")),
            unix(),
        ));
    }
    frames
}

#[test]
fn t5_a_flood_of_fresh_messages_is_refused_while_its_second_fills_the_cache() {
    let victim = Victim::with(|config| config.waterfall_capacity(100));
    let mut flooder = Raw::join(&victim);
    let frames = fresh(&flooder, &some_text("flood"), 0, 1 << 20);
    flooder.write(&frames);
    until("it is refused", || {
        victim.status().stats.waterfall_closed > 0
    });
    flooder.write(&frames);
    let mut heard = Vec::new();
    until("later seconds have room again", || {
        let last = some_text("last");
        flooder.broadcast(&last);
        heard.extend(victim.heard_within(Duration::from_millis(100)));
        heard.contains(&last)
    });
    let texts: HashSet<_> = heard.iter().collect();
    assert_eq!(texts.len(), heard.len(), "some were delivered twice");
    let stats = victim.status().stats;
    // A batch is checked as a whole.
    assert!(stats.waterfall_entries <= 400 + 1000 && stats.waterfall_evicted > 0);
}

#[test]
fn t7_a_peer_that_reads_nothing_holds_back_nobody() {
    let victim = Victim::with(|config| config.stall_timeout(Duration::from_secs(20)));
    let (mut source, mut hearer) = (Raw::join(&victim), Raw::join(&victim));
    let mut mute = Raw::join(&victim);
    let frames = fresh(&source, &some_text("stream"), 1000, 24 << 20);
    let total = frames.len();
    let mut writing = source.stream.try_clone().unwrap();
    let writer = std::thread::spawn(move || writing.write_all(&frames));
    // Well before the stall timeout: the mute peer is closed when slow peers have used up their shared budget.
    let began = Instant::now();
    let mut got = 0;
    let mut chunk = vec![0; 1 << 16];
    while got < total {
        hearer.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        got += hearer.stream.read(&mut chunk).unwrap();
    }
    eprintln!("24 MiB past a mute peer took {:?}", began.elapsed());
    assert!(began.elapsed() < Duration::from_secs(15));
    writer.join().unwrap().unwrap();
    assert_eq!(victim.told_left(mute.id()), CloseReason::SlowPeer);
    assert!(mute.is_closed_within(PATIENCE));
    source.broadcast("done");
    victim.hears("done");
}

#[test]
fn t7_a_peer_that_reads_a_byte_now_and_then_is_let_go() {
    let victim = Victim::with(|config| config.stall_timeout(Duration::from_secs(1)));
    let (mut source, slow) = (Raw::join(&victim), Raw::join(&victim));
    let mut reading = slow.stream.try_clone().unwrap();
    // The peer may go on reading what the kernel has buffered, even after the close: the thread is not joined.
    std::thread::spawn(move || {
        while reading.read_exact(&mut [0]).is_ok() {
            std::thread::sleep(Duration::from_millis(10));
        }
    });
    let frames = fresh(&source, &some_text("stream"), 60_000, 12 << 20);
    source.write(&frames);
    assert_eq!(victim.told_left(slow.id()), CloseReason::SlowPeer);
    assert_serves(&victim);
}

#[test]
fn t7_a_peer_that_only_pauses_loses_nothing() {
    let victim = Victim::start();
    let (source, mut pausing) = (Raw::join(&victim), Raw::join(&victim));
    let frames = fresh(&source, &some_text("stream"), 1000, 12 << 20);
    let total = frames.len();
    let mut writing = source.stream.try_clone().unwrap();
    let writer = std::thread::spawn(move || writing.write_all(&frames));
    let mut got = 0;
    let mut chunk = vec![0; 1 << 20];
    while got < total {
        // It reads nothing for a tenth of a second, then as much as there is.
        std::thread::sleep(Duration::from_millis(100));
        pausing.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        got += pausing.stream.read(&mut chunk).unwrap();
    }
    writer.join().unwrap().unwrap();
    assert!(victim.has_peer(pausing.id()));
}

#[test]
fn t7_nodes_that_wait_on_each_other_go_on() {
    // Two raw peers that write everything before they read: each waits for the node to read, and the node waits for the
    // other peer to read.
    let victim = Victim::start();
    let peers = [Raw::join(&victim), Raw::join(&victim)];
    let running = peers.map(|mut peer| {
        std::thread::spawn(move || {
            let about = some_text("circle");
            let frames = fresh(&peer, &about, 1000, 4 << 20);
            let total = frames.len();
            peer.write_anyhow(&frames);
            let mut got = 0;
            let mut chunk = vec![0; 1 << 16];
            peer.stream.set_read_timeout(Some(PATIENCE)).unwrap();
            while got < total / 2 {
                match peer.stream.read(&mut chunk) {
                    Ok(read @ 1..) => got += read,
                    _ => break,
                }
            }
            // Closing it would discard what the node has yet to read.
            (peer, got >= total / 2)
        })
    });
    let went_on = running.map(|thread| thread.join().unwrap());
    assert_eq!(went_on.each_ref().map(|(_, went_on)| *went_on), [true; 2]);
    assert_serves(&victim);
}

#[test]
fn t10_beside_a_flood_others_are_heard() {
    let victim = Victim::start();
    let (flooder, mut calm) = (Raw::join(&victim), Raw::join(&victim));
    let mut hearer = Raw::join(&victim);
    let frames = fresh(&flooder, &some_text("flood"), 50, 4 << 20);
    let mut writing = flooder.stream.try_clone().unwrap();
    let flood = std::thread::spawn(move || writing.write_all(&frames));
    let mut longest = Duration::ZERO;
    for _ in 0..20 {
        let (text, said) = (some_text("calm"), Instant::now());
        calm.broadcast(&text);
        hearer.hears(&text);
        longest = longest.max(said.elapsed());
        calm.all_within(Duration::from_millis(5));
    }
    eprintln!("beside a flood a message took at most {longest:?}");
    drop((hearer, calm));
    flood.join().unwrap().unwrap();
    assert_serves(&victim);
}

#[test]
fn t10_a_peer_is_read_no_faster_than_it_may_send() {
    let victim = Victim::with(|config| config.max_peer_message_rate(100));
    let mut flooder = Raw::join(&victim);
    let frames: Vec<u8> = (0..300)
        .flat_map(|n| flooder.broadcast_frame(&format!("flood {n}")))
        .collect();
    let began = Instant::now();
    flooder.write(&frames);
    until("all were heard", || victim.status().stats.delivered == 300);
    // That is a burst of one second, and two seconds of debt.
    let text = some_text("later");
    flooder.broadcast(&text);
    victim.hears(&text);
    assert!(began.elapsed() > Duration::from_millis(1900));
    assert!(
        victim.has_peer(flooder.id()),
        "nothing is lost, nobody is blamed"
    );
    assert_serves(&victim);
}

#[test]
fn t10_the_same_message_ten_thousand_times_is_work_for_once() {
    let victim = Victim::start();
    let (mut flooder, mut hearer) = (Raw::join(&victim), Raw::join(&victim));
    let text = some_text("again");
    let frames = flooder.broadcast_frame(&text).repeat(10_000);
    flooder.write(&frames);
    until("all have come", || {
        victim.status().stats.duplicates == 9_999
    });
    let stats = victim.status().stats;
    assert_eq!((stats.delivered, stats.relayed), (1, 1));
    flooder.broadcast("behind them");
    let copies = |hearer: &mut Raw| {
        std::iter::from_fn(|| hearer.next_within(PATIENCE))
            .take_while(|heard| heard.text() != "behind them")
            .filter(|heard| heard.text() == text)
            .count()
    };
    assert_eq!(copies(&mut hearer), 1);
}

#[test]
fn t10_behind_a_bad_frame_nothing_is_read() {
    let victim = Victim::start();
    let mut flooder = Raw::join(&victim);
    let good: Vec<u8> = (0..1000)
        .flat_map(|n| flooder.broadcast_frame(&format!("after it {n}")))
        .collect();
    flooder.write_anyhow(&[&[0, 0, 0, 1, 9], &good[..], &[0, 0, 0, 1, 9].repeat(10_000)].concat());
    assert!(flooder.is_closed_within(PATIENCE));
    victim.told_left(flooder.id());
    let stats = victim.status().stats;
    assert_eq!((stats.bad_frames, stats.delivered), (1, 0));
    assert_serves(&victim);
}

/// A peer that keeps asking is answered with a burst and then at a rate; the rest is counted.
#[test]
fn t10_a_peer_that_asks_for_everything_all_the_time_is_answered_seldom() {
    const ASKED: u32 = 2000;
    let victim = Victim::start();
    let (mut asker, known) = (Raw::join(&victim), Raw::join(&victim));
    let began = Instant::now();
    for n in 0..ASKED {
        let wanted = known.id().clone();
        let request = RequestId::derive(&wanted, unix(), &n.to_be_bytes());
        asker.say_control(&Flag::Broadcast, &Control::Request { request, wanted });
        asker.say_control(&Flag::Whisper, &Control::RequestPeers);
        asker.say_control(&Flag::Renegotiate, &Control::Resend);
    }
    let last = some_text("that was all");
    asker.broadcast(&last);
    victim.hears(&last);
    let seconds = usize::try_from(began.elapsed().as_secs()).unwrap() + 1;
    let answers = asker.all_within(Duration::from_millis(500));
    let of = |kind| {
        let fits = |heard: &&crate::support::raw::Heard| heard.kind() == Some(kind);
        answers.iter().filter(fits).count()
    };
    // The budgets of docs/limits.md. One list came with the handshake, and one may answer a resend.
    let (lists, found) = (of(SubFlag::Peers), of(SubFlag::Response));
    assert!(lists <= 3 + seconds + 2, "{lists} lists in {seconds} s");
    assert!(found <= 32 + 8 * seconds, "{found} answers in {seconds} s");
    assert!(answers.len() <= lists + found + 1 + seconds, "{answers:?}");
    let refused = victim.status().stats.over_budget;
    let granted = (lists + found + 1 + seconds) as u64;
    assert!(refused + granted >= u64::from(ASKED) * 3, "{refused}");
}
