//! Faults without an attacker: a user's actor that panics, peers that vanish, a shutdown under load.

use std::collections::HashSet;
use std::net::Shutdown as Half;
use std::time::Duration;

use actix::{Actor, Context, Handler};
use actix_mesh::wire::Flag;
use actix_mesh::{
    CloseReason, Config, Connect, Event, Message, Node, Peers, Send, Shutdown, Subscribe,
    Unsubscribe, Whisper,
};

use crate::assert_serves;
use crate::support::raw::{Raw, some_text, user};
use crate::support::victim::Victim;
use crate::support::{PATIENCE, closed, unix, until};

#[test]
fn f1_a_peer_that_is_torn_away_in_the_middle_of_a_frame_is_no_offender() {
    let victim = Victim::with(|config| config.ban_loopback(true));
    for _ in 0..20 {
        let mut member = Raw::join(&victim);
        member.write(&[0, 0, 0, 99, 1, 2, 3]);
        member.stream.shutdown(Half::Both).unwrap();
        let reason = victim.told_left(member.id());
        assert!(matches!(reason, CloseReason::Failed(_)), "{reason:?}");
    }
    assert_eq!(victim.status().stats.bans, 0);
    assert_serves(&victim);
}

#[test]
fn f1_a_silent_peer_is_given_up() {
    let victim = Victim::with(|config| config.keepalive_interval(Duration::from_secs(1)));
    let mute = Raw::join(&victim);
    assert_eq!(victim.told_left(mute.id()), CloseReason::Unresponsive);
}

/// A user's actor that panics on one text.
struct Clumsy(std::sync::mpsc::Sender<String>);

impl Actor for Clumsy {
    type Context = Context<Self>;
}

impl Handler<Message> for Clumsy {
    type Result = ();

    fn handle(&mut self, message: Message, _: &mut Context<Self>) {
        let text = message.text();
        assert!(!text.contains("banana"), "slipped");
        let _ = self.0.send(text);
    }
}

async fn start() -> Node {
    let open = Config::new().max_outgoing(0);
    let config = match closed::is_on() {
        true => open.tls(closed::member()),
        false => open,
    };
    config.start().await.unwrap()
}

/// As everywhere in actix, a panic ends the actor that panicked, supervised or not. Here it runs on the node's own
/// thread.
#[test]
fn f4_a_panic_in_a_users_handler_leaves_the_node_and_its_links_alone() {
    let victim = Victim::start();
    let mut member = Raw::join(&victim);
    for n in 0..10 {
        let (heard, hearing) = std::sync::mpsc::channel();
        let (sent, clumsy) = std::sync::mpsc::channel();
        victim
            .arbiter
            .spawn_fn(move || sent.send(Clumsy(heard).start()).unwrap());
        let clumsy = clumsy.recv().unwrap();
        let id = victim.ask(Subscribe::messages(clumsy.clone()));
        let (before, slip) = (format!("apple {n}"), format!("banana {n}"));
        member.broadcast(&before);
        assert_eq!(hearing.recv_timeout(PATIENCE).unwrap(), before);
        member.broadcast(&slip);
        victim.hears(&slip);
        until("the actor is gone", || !clumsy.connected());
        until("its subscription as well", || {
            !victim.ask(Unsubscribe::from(id))
        });
    }
    assert!(victim.has_peer(member.id()));
    assert_serves(&victim);
}

#[test]
fn f7_under_load_all_that_was_accepted_arrives_or_is_reported() {
    actix::System::new().block_on(async {
        let (alice, bob) = (start().await, start().await);
        let victim = Victim::start();
        // A node on this thread, one on another, and a peer that reads nothing.
        for addr in [bob.addr, victim.addr] {
            alice.router.send(Connect::to(addr)).await.unwrap().unwrap();
        }
        let sends = (0..2000).map(|n| {
            let send = Send::new(format!("{n:05} {}", "x".repeat(2000)));
            let sending = alice.router.send(send);
            actix::spawn(async move { (n, sending.await) })
        });
        let sends: Vec<_> = sends.collect();
        tokio::time::sleep(Duration::from_millis(50)).await;
        let shutdown = Shutdown::new().drain(PATIENCE);
        let report = alice.router.send(shutdown).await.unwrap();
        let mut accepted = HashSet::new();
        for sending in sends {
            if let (n, Ok(Ok(sent))) = sending.await.unwrap() {
                assert_eq!(sent.handed_to.len(), 2);
                accepted.insert(n);
            }
        }
        assert!(report.is_clean(), "{report:?}");
        assert!(!accepted.is_empty());
        let heard = tokio::task::spawn_blocking(move || {
            let mut heard = victim.heard_within(Duration::from_secs(1));
            loop {
                let more = victim.heard_within(Duration::from_millis(300));
                if more.is_empty() {
                    return heard;
                }
                heard.extend(more);
            }
        });
        let heard = heard.await.unwrap();
        let numbers: HashSet<i32> = heard
            .iter()
            .map(|text| text[..5].parse().unwrap())
            .collect();
        assert_eq!(heard.len(), numbers.len(), "nothing twice");
        assert_eq!(numbers, accepted);
        bob.router.send(Shutdown::new()).await.unwrap();
    });
}

#[test]
fn f7_what_a_mute_peer_did_not_take_is_in_the_report() {
    actix::System::new().block_on(async {
        let alice = start().await;
        let trap = crate::support::raw::Trap::set();
        let connecting = alice.router.send(Connect::to(trap.addr));
        let connecting = actix::spawn(connecting);
        let subnet = alice.subnet_id.clone();
        let mute = tokio::task::spawn_blocking(move || {
            let mut mute = trap.catch_peer(&subnet);
            mute.greet(|_| {});
            mute
        });
        let mut mute = mute.await.unwrap();
        connecting.await.unwrap().unwrap().unwrap();
        let mut accepted = 0;
        for n in 0..200 {
            let text = some_text(&format!("{n} {}", "x".repeat(100_000))).to_string();
            alice.router.do_send(Send::new(text));
            accepted += 1;
        }
        let shutdown = Shutdown::new().drain(Duration::from_millis(500));
        let report = alice.router.send(shutdown).await.unwrap();
        let unsent: u64 = report
            .unsent
            .iter()
            .map(|unsent| unsent.traffic.messages)
            .sum();
        let arrived = tokio::task::spawn_blocking(move || {
            mute.all_within(Duration::from_secs(2))
                .iter()
                .filter(|heard| heard.size > 100_000)
                .count() as u64
        });
        let arrived = arrived.await.unwrap();
        assert!(!report.is_clean());
        // A partly written message counts as unsent, and so do those batched with it.
        assert!(
            arrived + unsent + report.refused as u64 >= accepted,
            "{arrived} arrived: {report:?}"
        );
        assert!(unsent + report.refused as u64 <= accepted + 2, "{report:?}");
    });
}

/// Six nodes in a ring with one chord, all sending at once.
#[test]
fn f8_on_real_sockets_everybody_hears_everything_once() {
    const EACH: usize = 200;
    let mut nodes: Vec<Victim> = Vec::new();
    for n in 0..6 {
        nodes.push(Victim::with(|config| match n {
            0 => config,
            5 => config.connect(nodes[4].addr).connect(nodes[0].addr),
            3 => config.connect(nodes[2].addr).connect(nodes[0].addr),
            _ => config.connect(nodes[n - 1].addr),
        }));
    }
    for (node, links) in nodes.iter().zip([3, 2, 2, 3, 2, 2]) {
        node.until_peers(links);
    }
    let text = |author: usize, n: usize| format!("{author} {n}");
    for n in 0..EACH {
        for (author, node) in nodes.iter().enumerate() {
            node.ask(Send::new(text(author, n))).unwrap();
        }
    }
    for (me, node) in nodes.iter().enumerate() {
        let mut expected: Vec<String> = (0..nodes.len())
            .filter(|author| *author != me)
            .flat_map(|author| (0..EACH).map(move |n| text(author, n)))
            .collect();
        let mut heard = Vec::new();
        until("all were heard", || {
            heard.extend(node.heard_within(Duration::from_millis(20)));
            heard.len() >= expected.len()
        });
        heard.extend(node.heard_within(Duration::from_millis(300)));
        heard.sort();
        expected.sort();
        assert_eq!(heard, expected, "node {me}");
    }
}

/// One author's messages arrive over two relays, in a different order from each.
#[test]
fn f9_whatever_the_order_each_message_is_heard_once() {
    let victim = Victim::start();
    let author = Raw::join(&victim);
    let (mut backwards, mut forwards) = (Raw::join(&victim), Raw::join(&victim));
    let time = unix();
    let frames: Vec<Vec<u8>> = (0..100)
        .map(|n| author.frame(&Flag::Broadcast, &user(&n.to_string()), time))
        .collect();
    // The newer half comes first, and in reverse order.
    for frame in frames[50..].iter().rev() {
        backwards.write(frame);
    }
    victim.hears("50");
    frames.iter().for_each(|frame| forwards.write(frame));
    until("all have come", || victim.status().stats.duplicates == 50);
    let heard = victim.heard_within(Duration::from_millis(300));
    let older: Vec<String> = (0..50).map(|n| n.to_string()).collect();
    assert_eq!(
        heard, older,
        "what is older is heard later, and nothing again"
    );
    // The documents say that order is not promised.
    for document in [
        include_str!("../../README.md"),
        include_str!("../../SECURITY.md"),
    ] {
        assert!(document.contains("Two messages of one author may arrive in either order."));
    }
}

#[test]
fn f19_what_was_not_written_to_a_peer_that_left_is_told() {
    let victim = Victim::with(|config| config.stall_timeout(Duration::from_secs(1)));
    let mute = Raw::join(&victim);
    let mut accepted = 0;
    for _ in 0..64 {
        let large = format!("{}{}", some_text("large"), "x".repeat(60_000));
        match victim.ask(Send::new(large).or_busy()) {
            Ok(sent) if !sent.handed_to.is_empty() => accepted += 1,
            _ => break,
        }
    }
    let unwritten = victim.told(|event| match event {
        Event::PeerLeft {
            peer, unwritten, ..
        } if peer == mute.id() => Some(*unwritten),
        _ => None,
    });
    assert!(
        (1..=accepted).contains(&unwritten.messages),
        "{unwritten:?} of {accepted}"
    );
    assert_eq!(victim.status().unwritten, unwritten);
}

#[test]
fn f19_what_waits_for_a_peer_is_not_counted_as_sent_to_it() {
    let victim = Victim::with(|config| config.stall_timeout(Duration::from_secs(2)));
    let mute = Raw::join(&victim);
    let accepted = (0..64)
        .map(|_| format!("{}{}", some_text("large"), "x".repeat(60_000)))
        .take_while(|large| victim.ask(Send::new(large.clone()).or_busy()).is_ok())
        .count() as u64;
    let peers = victim.ask(Peers);
    let sent = peers.iter().find(|peer| peer.id == *mute.id());
    let sent = sent.expect("it is given two seconds").sent;
    assert!(sent.messages < accepted, "{sent:?} of {accepted}");
    let unwritten = victim.told(|event| match event {
        Event::PeerLeft {
            peer, unwritten, ..
        } if peer == mute.id() => Some(*unwritten),
        _ => None,
    });
    assert!(
        sent.messages + unwritten.messages >= accepted,
        "{sent:?} and {unwritten:?} of {accepted}"
    );
}

#[test]
fn f19_what_a_shutdown_did_not_write_is_told() {
    let victim = Victim::start();
    let mute = Raw::join(&victim);
    for _ in 0..64 {
        let large = format!("{}{}", some_text("large"), "x".repeat(60_000));
        victim.ask(Send::new(large).or_busy()).ok();
    }
    let report = victim.ask(Shutdown::new().drain(Duration::from_secs(1)));
    let unwritten = victim.told(|event| match event {
        Event::Unwritten { peer, unwritten } if peer == mute.id() => Some(*unwritten),
        _ => None,
    });
    assert_eq!(report.unsent[0].traffic, unwritten);
}

#[test]
fn f19_whispers_that_were_accepted_and_never_written_are_named() {
    let victim = Victim::with(|config| config.stall_timeout(Duration::from_secs(1)));
    let mute = Raw::join(&victim);
    let mut accepted = Vec::new();
    for _ in 0..64 {
        let large = format!("{}{}", some_text("large"), "x".repeat(60_000));
        match victim.ask(Whisper::new(mute.id().clone(), large)) {
            Ok(whispered) => accepted.push(whispered.id.to_string()),
            Err(_) => break,
        }
    }
    let named = victim.told(|event| match event {
        Event::Undeliverable { to, reason } if to == mute.id() => Some(reason.clone()),
        _ => None,
    });
    assert!(
        accepted.iter().any(|id| named.contains(id)),
        "{named} is none of {accepted:?}"
    );
    let stats = victim.status().stats;
    assert_eq!(stats.undeliverable, victim.status().unwritten.messages);
}
