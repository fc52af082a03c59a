//! Bytes that announce, inflate to, or split into more than a node accepts.

use actix_mesh::CloseReason;
use actix_mesh::wire::{Control, Deflater, Flag, Method, Packet};

use crate::assert_serves;
use crate::support::raw::{GENERATION, Raw, compressing, framed, some_text, user};
use crate::support::victim::Victim;
use crate::support::{PATIENCE, unix, until};

const MIB: usize = 1 << 20;

/// Joins, sends these bytes, and is closed for them; returns the reason.
fn closes_a_member(victim: &Victim, bytes: &[u8]) -> CloseReason {
    let mut member = Raw::join_with(victim, compressing);
    member.write_anyhow(bytes);
    assert!(member.is_closed_within(PATIENCE));
    victim.told_left(member.id())
}

fn is_bad_frame(reason: &CloseReason) -> bool {
    matches!(reason, CloseReason::BadFrame(_))
}

#[test]
fn t1_a_length_bomb_ends_its_link_before_and_after_the_handshake() {
    let victim = Victim::start();
    let bomb = [0xff, 0xff, 0xff, 0xff, 0];
    let mut stranger = Raw::dial(&victim);
    stranger.write(&bomb);
    assert!(stranger.is_closed_within(PATIENCE));
    assert!(is_bad_frame(&victim.told_refused()));
    assert!(is_bad_frame(&closes_a_member(&victim, &bomb)));
    assert_serves(&victim);
}

#[test]
fn t1_a_thousand_length_bombs_leave_nothing_behind() {
    let victim = Victim::start();
    for _ in 0..1000 {
        let mut stranger = Raw::dial(&victim);
        stranger.write_anyhow(&[0xff, 0xff, 0xff, 0xff, 0]);
    }
    assert_serves(&victim);
    until("the awaiting list is empty", || {
        victim.status().awaiting == 0
    });
}

#[test]
fn t2_a_bomb_of_every_method_ends_its_link() {
    let victim = Victim::start();
    for method in Method::available_in(GENERATION) {
        let body = Deflater::new().deflate(method, &vec![0; 16 * MIB]).unwrap();
        let reason = closes_a_member(&victim, &framed(&body));
        assert!(is_bad_frame(&reason), "{method}: {reason:?}");
        // Before the handshake even 8 KiB are too much.
        let body = Deflater::new().deflate(method, &vec![0; 9 * 1024]).unwrap();
        let mut stranger = Raw::dial(&victim);
        stranger.write(&framed(&body));
        assert!(stranger.is_closed_within(PATIENCE), "{method}");
    }
    assert_serves(&victim);
}

#[test]
fn t2_messages_that_unpack_to_the_limit_are_paced_and_nobody_waits_for_them() {
    let victim = Victim::start();
    let bomber = Raw::join_with(&victim, compressing);
    let mut neighbour = Raw::join(&victim);
    let bomb = |n: usize| {
        let payload = [&user("")[..1], &[Packet::from(vec![b'a'; 3 * MIB + n])]].concat();
        let composed = bomber.composer.compose(&Flag::Whisper, &payload, unix());
        let plain = composed.unwrap().frames;
        plain.deflate(&mut Deflater::new(), Method::Zlib).unwrap()
    };
    // Valid in every byte, and 64 times as large as they look: 60 MiB in all, 32 of them at once.
    let bombs: Vec<u8> = (0..20).flat_map(|n| bomb(n).to_vec()).collect();
    let mut writing = bomber.stream.try_clone().unwrap();
    let bombing = std::thread::spawn(move || std::io::Write::write_all(&mut writing, &bombs));
    let text = some_text("meanwhile");
    neighbour.broadcast(&text);
    victim.hears(&text);
    bombing.join().unwrap().unwrap();
    until("all of them came in", || {
        victim.status().stats.delivered >= 21
    });
    assert!(victim.has_peer(bomber.id()), "it did nothing wrong");
}

#[test]
fn t3_a_packet_bomb_ends_its_link() {
    let victim = Victim::start();
    assert!(is_bad_frame(&closes_a_member(
        &victim,
        &framed(&vec![0; 4 * MIB])
    )));
    let overflow: Vec<u8> = [0x8000_0000_u32, 0x8000_0000, 8, 0]
        .iter()
        .flat_map(|size| size.to_be_bytes())
        .collect();
    assert!(is_bad_frame(&closes_a_member(&victim, &framed(&overflow))));
    assert!(is_bad_frame(&closes_a_member(&victim, &[0; 4 * 4096])));
    assert_serves(&victim);
}

#[test]
fn t4_huge_times_and_ids_end_their_links() {
    let victim = Victim::start();
    let huge = vec![b'z'; MIB];
    let packed = |packets: &[&[u8]]| {
        let sizes = packets
            .iter()
            .flat_map(|packet| u32::try_from(packet.len()).unwrap().to_be_bytes());
        let body: Vec<u8> = sizes.chain(packets.concat()).collect();
        framed(&body)
    };
    let id = [b'2'; 66];
    for packets in [
        [b"\0", &b"A"[..], &id, &huge],
        [b"\0", &huge, &id, b"1"],
        [b"\0", b"A", &huge, b"1"],
    ] {
        assert!(is_bad_frame(&closes_a_member(&victim, &packed(&packets))));
    }
    assert_serves(&victim);
}

#[test]
fn t4_huge_ids_in_control_messages_are_not_obeyed() {
    let victim = Victim::start();
    let mut member = Raw::join(&victim);
    let huge = "z".repeat(100_000);
    for kind in [3, 8, 10] {
        let payload = [
            Packet::from(vec![kind]),
            huge.as_str().into(),
            huge.as_str().into(),
        ];
        member.say(&Flag::Whisper, &payload);
    }
    let list = format!(r#"[[["127.0.0.1", 9], "{huge}"]]"#);
    member.say(&Flag::Whisper, &[Packet::from(vec![7]), Packet::from(list)]);
    member.say_control(&Flag::Whisper, &Control::RequestPeers);
    member.expect(|heard| {
        heard.payload[0] == Control::RequestPeers.packets(GENERATION)[0].as_bytes()
            || heard.kind() == Some(actix_mesh::wire::SubFlag::Peers)
    });
    assert!(victim.has_peer(member.id()));
    assert_serves(&victim);
}
