//! Strangers, and peers that claim another's id, at a closed mesh.

use std::collections::VecDeque;
use std::io::Write as _;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use actix_mesh::wire::{Control, Flag, RequestId, SubFlag};
use actix_mesh::{CloseReason, Event};

use crate::assert_serves;
use crate::support::raw::{Raw, some_id};
use crate::support::victim::Victim;
use crate::support::{PATIENCE, closed};

/// A valid client hello: the node answers it with a key exchange and a signature.
fn client_hello() -> Vec<u8> {
    let mut client = closed::stranger();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    hello
}

/// Whether a member joins before it is evicted: the strangers share its address.
fn joins(victim: &Victim) -> bool {
    let mut member = Raw::dial(victim);
    member.greet_anyhow();
    let heard = member.next_within(Duration::from_secs(5));
    heard.is_some_and(|heard| heard.kind() == Some(SubFlag::Handshake))
}

#[test]
fn t8_thousands_of_strangers_that_begin_a_tls_handshake_do_not_keep_a_member_out() {
    const THREADS: u64 = 4;
    const A_SECOND: u64 = 2000;
    let victim = Victim::start();
    let old = Raw::join(&victim);
    let (hello, ended, begun) = (client_hello(), AtomicBool::new(false), AtomicU64::new(0));
    let (mut longest, mut attempts) = (Duration::ZERO, 0);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let (mut crowd, began, mut mine) = (VecDeque::new(), Instant::now(), 0);
                while !ended.load(Ordering::Relaxed) {
                    if let Ok(mut stranger) = TcpStream::connect(victim.addr) {
                        // The node may have closed it by now.
                        let _ = stranger.write_all(&hello);
                        crowd.push_back(stranger);
                    }
                    mine += 1;
                    begun.fetch_add(1, Ordering::Relaxed);
                    if crowd.len() > 150 {
                        crowd.pop_front();
                    }
                    let due = Duration::from_secs_f64((mine * THREADS) as f64 / A_SECOND as f64);
                    std::thread::sleep(due.saturating_sub(began.elapsed()));
                }
            });
        }
        std::thread::sleep(Duration::from_millis(500));
        for _ in 0..10 {
            let began = Instant::now();
            while !joins(&victim) {
                attempts += 1;
                assert!(began.elapsed() < PATIENCE, "kept out {attempts} times");
            }
            longest = longest.max(began.elapsed());
        }
        ended.store(true, Ordering::Relaxed);
    });
    let begun = begun.into_inner();
    eprintln!(
        "beside {begun} handshakes of strangers ten members joined within {longest:?} each, thrown out {attempts} times"
    );
    assert!(victim.has_peer(old.id()), "who was there stays");
    assert_serves(&victim);
}

#[test]
fn t13_a_member_cannot_take_another_members_id_nor_a_free_one() {
    let victim = Victim::start();
    let honest = Raw::join(&victim);
    for wanted in [honest.id().clone(), some_id(), victim.id.clone()] {
        let mut thief = Raw::dial(&victim);
        let claim = wanted.clone();
        thief.greet(|control| {
            if let Control::Handshake { id, .. } = control {
                *id = claim;
            }
        });
        assert!(thief.is_closed_within(PATIENCE), "{wanted}");
        let reason = victim.told_refused();
        assert!(
            matches!(
                reason,
                CloseReason::UnprovenId { .. } | CloseReason::Oneself
            ),
            "{reason:?}"
        );
    }
    assert!(
        victim.has_peer(honest.id()),
        "who is robbed notices nothing"
    );
    assert!(victim.ask(actix_mesh::Peers).iter().all(|peer| peer.proven));
    assert_serves(&victim);
}

/// A peer may claim to know where an id is, but no host there could prove its key.
#[test]
fn t15_whoever_answers_for_a_peer_would_have_to_have_its_key() {
    let victim = Victim::start();
    let mut guide = Raw::join(&victim);
    let wanted = some_id();
    let trap = crate::support::raw::Trap::set();
    let whisper = actix_mesh::Whisper::new(wanted.clone(), "for its eyes alone");
    let whisper = whisper.within(Duration::from_secs(3));
    let asking = victim.node.router.send(whisper);
    // The whisper is sent once its future is polled.
    let asking = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(asking).unwrap()
    });
    let request = guide.expect(|heard| heard.kind() == Some(SubFlag::Request));
    let lie = Control::Response {
        request: RequestId::parse(&request.payload[1]).unwrap(),
        id: wanted.clone(),
        address: trap.address(),
    };
    guide.say_control(&Flag::Broadcast, &lie);
    let mut impostor = trap.catch_peer(&victim.subnet);
    // It claims the wanted id, with its own key.
    let claim = wanted.clone();
    impostor.greet(|control| {
        if let Control::Handshake { id, .. } = control {
            *id = claim;
        }
    });
    let reason = victim.told(|event| match event {
        Event::Refused { reason, .. } => Some(reason.clone()),
        _ => None,
    });
    assert!(
        matches!(reason, CloseReason::UnprovenId { .. }),
        "{reason:?}"
    );
    assert!(
        !impostor
            .all_within(Duration::from_millis(500))
            .iter()
            .any(|heard| heard.text().contains("for its eyes"))
    );
    let answer = asking.join().unwrap();
    assert!(answer.is_err(), "{answer:?}");
    assert_serves(&victim);
}
