//! Fuzz targets for what a closed mesh reads from others: certificates, revocation lists, allow-lists, and the proofs
//! of signed messages.
//!
//! Each input is a list of changes to something valid, so that not every input is refused at the first byte.

use std::sync::{LazyLock, mpsc};
use std::time::Duration;

use actix_mesh::signed::{Refusal, Signer, check};
use actix_mesh::tls::{Authority, Identity, Tls, Trust};
use actix_mesh::wire::{
    Batch, Composer, Copies, Flag, Generation, Limits, Message, NodeId, Packet, SubnetId,
};
use actix_mesh::{Config, Payload};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde::{Deserialize, Serialize};

use super::Bytes;

#[derive(Serialize, Deserialize)]
struct Order {
    pizza: u32,
}

impl Payload for Order {
    const KIND: &'static str = "order/1";
}

/// The files of an authority.
struct Files {
    certificate: Vec<u8>,
    key: Vec<u8>,
    authority: Vec<u8>,
    revoked: Vec<u8>,
}

static FILES: LazyLock<Files> = LazyLock::new(|| {
    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("ca");
    let authority = Authority::init(&ca).unwrap();
    for name in ["anna", "ben"] {
        authority.issue(name, Duration::from_secs(1 << 30)).unwrap();
    }
    authority.revoke("ben").unwrap();
    let read = |file: &str| std::fs::read(ca.join(file)).unwrap();
    Files {
        certificate: read("anna.crt"),
        key: read("anna.key"),
        authority: read("ca.crt"),
        revoked: read("ca.crl"),
    }
});

/// A signed broadcast and its author.
struct Original {
    packets: Vec<Packet>,
    time: u64,
    author: NodeId,
    subnet: SubnetId,
}

static ORIGINAL: LazyLock<Original> = LazyLock::new(|| {
    let (tell, told) = mpsc::channel();
    let sign = move || {
        actix::System::new().block_on(async {
            let identity = Identity::from_pem(&FILES.certificate, &FILES.key).unwrap();
            let config = Config::new().listen("127.0.0.1:0");
            let node = config.id(identity.id().clone()).start().await.unwrap();
            let signer = Signer::new(&node, &identity).unwrap();
            let send = signer.send(&Order { pizza: 7 }).unwrap();
            let mut packets = vec![Packet::from(Order::KIND)];
            packets.extend(send.packets.iter().cloned());
            let proof = std::str::from_utf8(packets[3].as_bytes()).unwrap();
            let counter: u64 = proof.split(':').nth(3).unwrap().parse().unwrap();
            let original = Original {
                packets,
                time: counter / 1_000_000,
                author: identity.id().clone(),
                subnet: node.subnet_id.clone(),
            };
            tell.send(original).unwrap();
        });
    };
    std::thread::spawn(sign).join().unwrap();
    told.recv().unwrap()
});

/// Inserts, removes or replaces bytes as the input says.
fn change(bytes: &mut Vec<u8>, data: &mut Bytes<'_>) {
    let at = usize::from(u16::from_be_bytes([data.next(), data.next()])) % (bytes.len() + 1);
    let end = (at + data.below(8)).min(bytes.len());
    bytes.splice(at..end, data.some().iter().copied());
}

/// Makes a message as a relay delivers it.
fn heard(sender: &NodeId, flag: &Flag, payload: &[Packet], time: u64) -> Option<Message> {
    let limits = Limits::default();
    let generation = Generation::V0_5;
    let composer = Composer::new(generation, limits, sender.clone());
    let composed = composer.compose(flag, payload, time).ok()?;
    let batch = Batch::from_frames(generation, limits, &composed.frames.plain).ok()?;
    let relay = NodeId::parse("R").unwrap();
    Some(
        batch
            .get(0)
            .unwrap()
            .message(&relay, &mut Copies::new(1000)),
    )
}

/// A proof is valid for exactly what was signed.
pub(crate) fn proof(data: &[u8]) {
    let original = &*ORIGINAL;
    let mut data = Bytes(data);
    let mut packets: Vec<Vec<u8>> = original
        .packets
        .iter()
        .map(|packet| packet.as_bytes().to_vec())
        .collect();
    let (mut time, mut flag, mut sender) = (original.time, Flag::Broadcast, &original.author);
    let (mut subnet, mallory) = (&original.subnet, NodeId::parse("M").unwrap());
    let other = SubnetId::parse("S").unwrap();
    while !data.is_empty() {
        match data.below(12) {
            0 => {
                time = time
                    .saturating_add(u64::from(data.next()))
                    .saturating_sub(4)
            }
            1 => flag = Flag::Whisper,
            2 => sender = &mallory,
            3 => subnet = &other,
            4 => packets.insert(data.below(5).min(packets.len()), data.some().to_vec()),
            5 if !packets.is_empty() => drop(packets.remove(data.below(packets.len()))),
            _ => {
                let which = data.below(4);
                if let Some(packet) = packets.get_mut(which) {
                    change(packet, &mut data);
                }
            }
        }
    }
    let payload: Vec<Packet> = packets.iter().cloned().map(Packet::from).collect();
    let Some(message) = heard(sender, &flag, &payload, time) else {
        return;
    };
    let same = message.packets().iter().eq(&original.packets)
        && (flag == Flag::Broadcast && *sender == original.author && *subnet == original.subnet);
    let checked = check(&message, subnet, &mallory);
    match checked {
        Ok(counter) => {
            assert!(same, "{message:?} holds");
            assert!((counter / 1_000_000).abs_diff(time) <= 2);
        }
        Err(Refusal::Stale) => assert!(!same || time != original.time, "{message:?}"),
        Err(why) => assert!(!same, "{message:?}: {why}"),
    }
}

/// Any certificate, revocation list or allow-list is either read or refused; an accepted one has the id of the key.
pub(crate) fn certificate(data: &[u8]) {
    let files = &*FILES;
    let mut data = Bytes(data);
    let what = data.below(5);
    let file = match what {
        0 | 1 => &files.certificate,
        2 => &files.authority,
        3 => &files.revoked,
        _ => {
            if let Ok(ids) = Trust::read_allowed(&String::from_utf8_lossy(data.0)) {
                let lines: Vec<&str> = ids.iter().map(NodeId::as_str).collect();
                assert_eq!(Trust::read_allowed(&lines.join("\n")).unwrap(), ids);
            }
            return;
        }
    };
    // The PEM library reads the armour; the input changes only what is inside.
    let label = if what == 3 { "X509 CRL" } else { "CERTIFICATE" };
    let mut inner = if what == 3 {
        rustls::pki_types::CertificateRevocationListDer::from_pem_slice(file)
            .unwrap()
            .to_vec()
    } else {
        CertificateDer::from_pem_slice(file).unwrap().to_vec()
    };
    while !data.is_empty() {
        change(&mut inner, &mut data);
    }
    let changed = armoured(label, &inner);
    let own = Identity::from_pem(&files.certificate, &files.key).unwrap();
    let trust = match what {
        0 | 1 => {
            if let Ok(identity) = Identity::from_pem(&changed, &files.key) {
                assert_eq!(identity.id(), own.id());
            }
            return;
        }
        2 => Trust::authority(&changed),
        _ => Trust::authority(&files.authority).and_then(|trust| trust.without_revoked(&changed)),
    };
    let id = own.id().clone();
    if let Ok(tls) = trust.and_then(|trust| Tls::new(own, trust)) {
        assert_eq!(*tls.id(), id);
    }
}

fn armoured(label: &str, inner: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in inner.chunks(3) {
        let number = three
            .iter()
            .fold(0_u32, |sum, byte| sum << 8 | u32::from(*byte));
        let number = number << (8 * (3 - three.len()));
        for place in 0..4 {
            let digit = DIGITS[(number >> (18 - 6 * place) & 63) as usize];
            text.push(if place > three.len() {
                '='
            } else {
                char::from(digit)
            });
        }
    }
    let lines: Vec<&str> = (0..text.len())
        .step_by(64)
        .map(|at| &text[at..text.len().min(at + 64)])
        .collect();
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        lines.join("\n")
    )
}
