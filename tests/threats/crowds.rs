//! More connections than a node accepts, or can open.

use std::collections::VecDeque;
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use actix_mesh::wire::{Flag, SubFlag};
use actix_mesh::{CloseReason, Event};

use crate::assert_serves;
use crate::support::raw::{Raw, some_id, some_text};
use crate::support::victim::Victim;
use crate::support::{PATIENCE, open_files, until};

/// As many sockets as may be opened here, less those of the node and of the other tests.
fn crowd(wanted: usize) -> usize {
    let count = wanted.min(open_files().saturating_sub(4000) / 2);
    if count < wanted {
        eprintln!("only {count} of {wanted} sockets: raise the limit on open files (ulimit -n)");
    }
    count
}

#[test]
fn t8_a_good_peer_joins_among_thousands_that_only_trickle() {
    let victim = Victim::start();
    let mut crowd: Vec<TcpStream> = Vec::new();
    let count = self::crowd(7000);
    for n in 0..count {
        let mut stream = TcpStream::connect(victim.addr).unwrap();
        std::io::Write::write_all(&mut stream, &[0]).unwrap();
        crowd.push(stream);
        if n % 1000 == 999 {
            let began = Instant::now();
            let _joined = Raw::join(&victim);
            eprintln!("joined among {} after {:?}", n + 1, began.elapsed());
        }
    }
    assert!(victim.status().awaiting <= 384);
    // They go on, a byte each.
    for stream in &mut crowd {
        let _ = std::io::Write::write_all(stream, &[0]);
    }
    assert_serves(&victim);
}

#[test]
fn t8_a_frame_that_never_ends_ends_its_link() {
    let victim = Victim::with(|config| config.frame_timeout(Duration::from_millis(300)));
    for announced in [100_u32, 1 << 20] {
        let mut member = Raw::join(&victim);
        member.write(&announced.to_be_bytes());
        let mut trickling = member.stream.try_clone().unwrap();
        let trickle = std::thread::spawn(move || {
            while std::io::Write::write_all(&mut trickling, &[0; 1]).is_ok() {
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        assert_eq!(victim.told_left(member.id()), CloseReason::Unfinished);
        assert!(member.is_closed_within(PATIENCE));
        drop(member);
        trickle.join().unwrap();
    }
    assert_serves(&victim);
}

#[test]
fn t8_large_frames_that_never_end_do_not_keep_out_small_ones_or_for_long_large_ones() {
    let victim = Victim::with(|config| config.frame_timeout(Duration::from_secs(1)));
    let mut dawdlers: Vec<Raw> = (0..20).map(|_| Raw::join(&victim)).collect();
    for dawdler in &mut dawdlers {
        dawdler.write_anyhow(&(4_u32 << 20).to_be_bytes());
        dawdler.write_anyhow(&[0; 100_000]);
    }
    assert_serves(&victim);
    let large = "x".repeat(3 << 20);
    let mut member = Raw::join(&victim);
    member.broadcast(&large);
    victim.hears(&large);
}

#[test]
fn t8_a_stranger_that_says_nothing_is_let_go() {
    let victim = Victim::with(|config| config.handshake_timeout(Duration::from_millis(200)));
    let mut stranger = Raw::dial(&victim);
    assert_eq!(victim.told_refused(), CloseReason::HandshakeTimeout);
    assert!(stranger.is_closed_within(PATIENCE));
}

/// As behind one NAT: 2,000 silent connections a second, and one peer whose handshake takes 100 ms to arrive.
#[test]
fn t8_silent_strangers_do_not_keep_out_a_newcomer_of_their_own_address() {
    const EVERY: Duration = Duration::from_millis(10);
    let victim = Victim::start();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut crowd = VecDeque::new();
            let began = Instant::now();
            for round in 1.. {
                for _ in 0..20 {
                    crowd.push_back(TcpStream::connect(victim.addr));
                }
                while crowd.len() > 600 {
                    crowd.pop_front();
                }
                if over.load(Ordering::Relaxed) || began.elapsed() > PATIENCE {
                    break;
                }
                std::thread::sleep((EVERY * round).saturating_sub(began.elapsed()));
            }
        });
        until("a crowd waits", || victim.status().awaiting > 50);
        let joined = (0..20).filter(|_| {
            let mut newcomer = Raw::dial(&victim);
            std::thread::sleep(Duration::from_millis(100));
            newcomer.greet_anyhow();
            let heard = std::iter::from_fn(|| newcomer.next_within(Duration::from_secs(2)));
            heard
                .take(10)
                .any(|heard| heard.kind() == Some(SubFlag::Peers))
        });
        let joined = joined.count();
        over.store(true, Ordering::Relaxed);
        // A busy test machine may delay a few of them.
        assert!(joined >= 15, "{joined} of 20 joined");
    });
    assert_serves(&victim);
}

#[test]
fn t9_a_full_node_sends_newcomers_on_and_keeps_those_it_has() {
    let victim = Victim::with(|config| config.max_incoming(3));
    let mut old: Vec<Raw> = (0..3).map(|_| Raw::join(&victim)).collect();
    for _ in 0..50 {
        let mut newcomer = Raw::dial(&victim);
        newcomer.greet(|_| {});
        newcomer.expect(|heard| heard.kind() == Some(SubFlag::Handshake));
        let list = newcomer.expect(|heard| heard.kind() == Some(SubFlag::Peers));
        assert!(
            list.text().contains(old[0].id().as_str()),
            "where else to go"
        );
        assert!(newcomer.is_closed_within(PATIENCE));
        assert_eq!(victim.told_refused(), CloseReason::Full);
    }
    let text = some_text("still here");
    old[0].broadcast(&text);
    old[1].hears(&text);
    old[2].hears(&text);
}

#[test]
fn t10_bad_conduct_adds_up_to_a_ban_that_keeps_the_host_out() {
    let victim = Victim::with(|config| config.ban_loopback(true));
    for _ in 0..5 {
        let mut member = Raw::join(&victim);
        member.write(&[0, 0, 0, 1, 9]);
        assert!(member.is_closed_within(PATIENCE));
    }
    let seconds = victim.told(|event| match event {
        Event::Banned { seconds, .. } => Some(*seconds),
        _ => None,
    });
    assert_eq!(seconds, 60);
    let mut again = Raw::dial(&victim);
    again.greet(|_| {});
    assert!(again.is_closed_within(PATIENCE));
    until("it is told", || victim.status().stats.bans == 1);
    victim.told(|event| match event {
        Event::Refused { reason, .. } => (*reason == CloseReason::Banned).then_some(()),
        _ => None,
    });
}

/// The program, with a limit of open files.
struct Cramped {
    child: std::process::Child,
    addr: String,
}

impl Cramped {
    fn start(files: usize) -> Self {
        let program = env!("CARGO_BIN_EXE_actix-mesh");
        let script = format!(
            "ulimit -n {files}; exec '{program}' node --listen 127.0.0.1:0 --max-outgoing 0 --format json"
        );
        let mut child = Command::new("sh")
            .args(["-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = std::io::BufReader::new(child.stdout.take().unwrap());
        let mut ready = String::new();
        std::io::BufRead::read_line(&mut lines, &mut ready).unwrap();
        let ready: serde_json::Value = serde_json::from_str(&ready).unwrap();
        // Its further output is read, or it would block.
        std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
        Self {
            child,
            addr: ready["listen"].as_str().unwrap().to_owned(),
        }
    }

    fn join(&self) -> Raw {
        let subnet = actix_mesh::Subnet::default().id(crate::support::raw::GENERATION);
        let stream = TcpStream::connect(&self.addr).unwrap();
        let mut raw = Raw::over(stream, &subnet, some_id());
        raw.greet(|_| {});
        raw.expect(|heard| heard.kind() == Some(SubFlag::Peers));
        raw
    }
}

impl Drop for Cramped {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// They do not close their side, so each close takes its full time.
#[cfg(target_os = "linux")]
#[test]
fn t8_strangers_that_are_thrown_out_do_not_pile_up() {
    let node = Cramped::start(3000);
    let folder = format!("/proc/{}/fd", node.child.id());
    let mut crowd = Vec::new();
    for n in 0..2000 {
        crowd.push(TcpStream::connect(&node.addr).unwrap());
        if n % 50 == 0 {
            let open = std::fs::read_dir(&folder).unwrap().count();
            // 384 pending, 256 closing, and some just told to close.
            assert!(open < 1000, "{open} descriptors for {n} strangers");
        }
    }
    node.join();
}

#[test]
fn f6_out_of_descriptors_it_keeps_its_links_and_accepts_again_later() {
    let node = Cramped::start(40);
    let (mut one, mut other) = (node.join(), node.join());
    let crowd: Vec<TcpStream> = (0..100)
        .map(|_| TcpStream::connect(&node.addr).unwrap())
        .collect();
    std::thread::sleep(Duration::from_millis(300));
    let text = some_text("links are kept");
    one.say(&Flag::Broadcast, &crate::support::raw::user(&text));
    other.hears(&text);
    drop(crowd);
    let mut newcomer = node.join();
    let text = some_text("and accepted again");
    newcomer.broadcast(&text);
    other.hears(&text);
}
