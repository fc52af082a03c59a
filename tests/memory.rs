//! A node's memory under attack: at most 72 MiB, plus 1 MiB for each peer.
//!
//! Every allocation of this program is counted, including those of the attackers, which allocate as little as they can.
//! This test is alone in its program, so that nothing else is counted.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::io::Write as _;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::{Actor, Context, Handler};
use actix_mesh::wire::{
    Composer, Control, Deflater, Extension, Flag, Method, NodeId, Packet, PeerEntry, RequestId,
};
use actix_mesh::{Filter, Message, Stats, Subscribe};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use peak_alloc::PeakAlloc;
use siphasher::sip::SipHasher24;

mod support;

use support::raw::{GENERATION, Raw, compressing, some_id, some_text, user};
use support::unix;
use support::victim::Victim;

#[global_allocator]
static COUNTED: PeakAlloc = PeakAlloc;

const MIB: usize = 1 << 20;
const LAW: usize = 72 * MIB;
const LAW_A_PEER: usize = MIB;
/// Peers that attack at the same time.
const PEERS: usize = 16;

/// Runs an attack on a node beside `mute` peers that read nothing, and holds the allocations to the limit.
fn attack(name: &str, mute: usize, bytes: &Arc<Vec<Vec<u8>>>) {
    attack_on(Victim::deaf(|config| config), name, mute, bytes);
}

/// A peer that accepts compression and announces this crate's extensions.
fn like_ours(control: &mut Control) {
    compressing(control);
    if let Control::Handshake { extended, .. } = control {
        *extended = true;
    }
}

/// The same, on a node with a subscriber that handles nothing.
fn attack_beside_a_stalled_subscriber(name: &str, bytes: &Arc<Vec<Vec<u8>>>) {
    let victim = Victim::deaf(|config| config);
    let (started, actor) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        actix::System::new().block_on(async move {
            started.send(Stalled.start()).unwrap();
            std::future::pending::<()>().await;
        });
    });
    let subscribe = Subscribe::messages(actor.recv().unwrap());
    victim.ask(subscribe.filter(Filter::new().any_kind()));
    attack_on(victim, name, 0, bytes);
}

/// Blocks on its first message for ever.
struct Stalled;

impl Actor for Stalled {
    type Context = Context<Self>;
}

impl Handler<Message> for Stalled {
    type Result = ();

    fn handle(&mut self, _: Message, _: &mut Context<Self>) {
        // Blocks for as long as the test: nothing unparks it.
        loop {
            std::thread::park();
        }
    }
}

fn attack_on(victim: Victim, name: &str, mute: usize, bytes: &Arc<Vec<Vec<u8>>>) -> Stats {
    let (base, began) = (COUNTED.current_usage(), Instant::now());
    COUNTED.reset_peak_usage();
    // Some are of our own kind: offers to them are kept.
    let join = |n| {
        let how = if n % 4 == 0 { compressing } else { like_ours };
        Raw::join_with(&victim, how)
    };
    let mutes: Vec<Raw> = (0..mute).map(join).collect();
    let attackers: Vec<Raw> = (0..PEERS).map(join).collect();
    let writing = attackers.into_iter().enumerate().map(|(n, attacker)| {
        let bytes = Arc::clone(bytes);
        std::thread::spawn(move || write_for(attacker, &bytes[n % bytes.len()]))
    });
    let attackers: Vec<Raw> = writing
        .collect::<Vec<_>>()
        .into_iter()
        .map(|t| t.join().unwrap())
        .collect();
    settle(&victim);
    let peak = COUNTED.peak_usage() - base;
    let law = LAW + (PEERS + mute) * LAW_A_PEER;
    eprintln!(
        "{name}: {:.1} MiB at most, the law is {} MiB; {:?}",
        peak as f64 / MIB as f64,
        law / MIB,
        began.elapsed()
    );
    assert!(peak <= law, "{name}: {peak} bytes");
    let stats = victim.status().stats;
    assert!(stats.received > 0);
    drop((mutes, attackers));
    stats
}

/// Waits until no more input arrives for a while.
fn settle(victim: &Victim) {
    let mut before = u64::MAX;
    for _ in 0..6 {
        std::thread::sleep(Duration::from_millis(500));
        let received = victim.status().stats.received;
        if received == before {
            return;
        }
        before = received;
    }
}

/// Writes as much as the node accepts, for a while.
fn write_for(attacker: Raw, bytes: &[u8]) -> Raw {
    let deadline = Instant::now() + Duration::from_secs(4);
    let mut stream: &TcpStream = &attacker.stream;
    stream
        .set_write_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    let mut rest = bytes;
    while !rest.is_empty() && Instant::now() < deadline {
        match stream.write(&rest[..rest.len().min(64 * 1024)]) {
            Ok(written) => rest = &rest[written..],
            Err(why) if why.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => break,
        }
    }
    attacker
}

fn each(bytes: impl Fn(usize) -> Vec<u8>) -> Arc<Vec<Vec<u8>>> {
    Arc::new((0..PEERS).map(bytes).collect())
}

/// A frame compressed with that method, of a message not seen before.
fn deflated(n: usize, size: usize, method: Method) -> Vec<u8> {
    let payload = [
        &user(&some_text(&format!("{n}")))[..],
        &[Packet::from(vec![b'a'; size])],
    ]
    .concat();
    let me = some_id();
    let composer = Composer::new(GENERATION, Default::default(), me);
    let frames = composer
        .compose(&Flag::Broadcast, &payload, unix())
        .unwrap()
        .frames;
    frames
        .deflate(&mut Deflater::new(), method)
        .unwrap()
        .to_vec()
}

fn plain(n: usize, size: usize) -> Vec<u8> {
    let composer = Composer::new(GENERATION, Default::default(), some_id());
    let text = some_text(&format!("{n} {}", "x".repeat(size)));
    composer
        .compose(&Flag::Broadcast, &user(&text), unix())
        .unwrap()
        .frames
        .plain
        .to_vec()
}

/// A message that consists of its main flag, which may be any byte string.
fn flagged(n: usize, size: usize) -> Vec<u8> {
    let composer = Composer::new(GENERATION, Default::default(), some_id());
    let flag = Flag::Other(vec![b'x'; size].into());
    let text = some_text(&format!("flagged {n}"));
    let composed = composer.compose(&flag, &user(&text), unix()).unwrap();
    composed.frames.plain.to_vec()
}

fn control(n: usize) -> Vec<u8> {
    let composer = Composer::new(GENERATION, Default::default(), some_id());
    let entries = (0..1000).map(|_| PeerEntry {
        id: some_id(),
        address: "192.0.2.1:9".parse().unwrap(),
    });
    let list = Control::Peers {
        entries: entries.collect(),
        skipped: 0,
    };
    let wanted = some_id();
    let request = RequestId::derive(&wanted, unix(), &n.to_be_bytes());
    let request = Control::Request { request, wanted };
    let frame = |control: &Control, flag: &Flag| {
        let payload = control.packets(GENERATION);
        composer
            .compose(flag, &payload, unix())
            .unwrap()
            .frames
            .plain
            .to_vec()
    };
    let [list, all, wanted] = [
        frame(&list, &Flag::Whisper),
        frame(&Control::RequestPeers, &Flag::Whisper),
        frame(&request, &Flag::Broadcast),
    ];
    [list, all.repeat(200), wanted].concat().repeat(30)
}

/// Messages of one author, which the sending peer has asked not to get from others.
fn spared(author: &NodeId, n: usize) -> Vec<u8> {
    let composer = Composer::new(GENERATION, Default::default(), author.clone());
    let compose = |flag: &Flag, payload: &[Packet]| composer.compose(flag, payload, unix());
    let payload = |m| user(&format!("{n} {m} {}", "x".repeat(3000)));
    let message = |m| compose(&Flag::Broadcast, &payload(m));
    let first = message(0).unwrap().head.id;
    let digest = digest(first.as_str().as_bytes(), &payload(0));
    let digest = URL_SAFE_NO_PAD.encode(digest.to_be_bytes());
    let asked = Control::Extension(Extension {
        verb: "prune".to_owned(),
        arguments: vec![format!("1.{digest}.{digest}.{author}").into()],
    });
    let asked = compose(&Flag::Whisper, &asked.packets(GENERATION)).unwrap();
    // In another read than the first, which is counted by then.
    let [before, after] =
        [0..50, 50..2000].map(|some| some.flat_map(|m| message(m).unwrap().frames.plain));
    before.chain(asked.frames.plain).chain(after).collect()
}

/// Computes the digest as in docs/extensions.md.
fn digest(id: &[u8], payload: &[Packet]) -> u64 {
    let word = |from: usize| {
        let bytes = &id[id.len() - from..][..8];
        u64::from_be_bytes(bytes.try_into().unwrap())
    };
    let lengths = payload.iter().map(|it| it.as_bytes().len() as u64);
    let lengths: Vec<u8> = lengths.flat_map(u64::to_be_bytes).collect();
    SipHasher24::new_with_keys(word(16), word(8)).hash(&lengths)
}

#[test]
fn t5_the_memory_law_holds_under_every_attack() {
    let length_bomb = each(|_| vec![0xff, 0xff, 0xff, 0xff, 0]);
    attack("t1 length bombs", 0, &length_bomb);

    let unfinished = each(|_| [&(4_u32 << 20).to_be_bytes()[..], &vec![0; 4 * MIB - 1]].concat());
    attack("t1 large frames but for their last byte", 0, &unfinished);
    drop(unfinished);

    let bombs = each(|n| {
        let methods = Method::available_in(GENERATION);
        let method = methods[n % methods.len()];
        Deflater::new()
            .deflate(method, &vec![0; 64 * MIB])
            .map(|body| support::raw::framed(&body))
            .unwrap()
    });
    attack("t2 bombs beyond the limit", 0, &bombs);

    for method in Method::available_in(GENERATION) {
        let bombs = each(|n| {
            (0..2)
                .flat_map(|m| deflated(100 * n + m, 4 * MIB - 1000, method))
                .collect()
        });
        attack(
            &format!("t2 {method} bombs within the limit, beside mute peers"),
            4,
            &bombs,
        );
    }
    let small = each(|n| {
        (0..50)
            .flat_map(|m| deflated(1000 * n + m, 250_000, Method::Zlib))
            .collect()
    });
    attack("t2 bombs that unpack to what needs no asking", 4, &small);

    let packets = each(|n| {
        let composer = Composer::new(GENERATION, Default::default(), some_id());
        let frames = (0..500).flat_map(|m: usize| {
            let mut payload = user(&format!("{n} {m}"));
            payload.resize(1020, Packet::default());
            composer
                .compose(&Flag::Broadcast, &payload, unix())
                .unwrap()
                .frames
                .plain
                .to_vec()
        });
        frames.collect()
    });
    attack("t3 as many packets as there may be", 4, &packets);

    attack("t5 control messages", 4, &each(control));

    let flood = each(|n| (0..10_000).flat_map(|m| plain(10_000 * n + m, 1)).collect());
    attack("t5 t10 fresh small messages", 0, &flood);
    attack("t7 the same beside mute peers", 8, &flood);
    attack_beside_a_stalled_subscriber("t6 the same beside a stalled subscriber", &flood);
    drop(flood);

    let flags = each(|n| {
        (0..40)
            .flat_map(|m| flagged(100 * n + m, 200_000))
            .collect()
    });
    attack_beside_a_stalled_subscriber("t6 long flags beside a stalled subscriber", &flags);
    drop(flags);

    let large = each(|n| (0..4).flat_map(|m| plain(10 * n + m, 3 * MIB)).collect());
    attack("t7 large messages beside mute peers", 8, &large);
    attack_beside_a_stalled_subscriber("t6 large messages beside a stalled subscriber", &large);
    drop(large);

    let offered = each(|n| (0..200).flat_map(|m| plain(1000 * n + m, 60_000)).collect());
    attack(
        "t38 messages that are offered, and nobody asks for",
        8,
        &offered,
    );
    drop(offered);

    let author = some_id();
    let spared = each(|n| spared(&author, n));
    let victim = Victim::deaf(|config| config.prune(true));
    let stats = attack_on(
        victim,
        "t39 messages that nobody wants sent or confirms",
        8,
        &spared,
    );
    assert!(stats.spared > 1000, "{stats:?}");
}
