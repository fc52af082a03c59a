//! Keeps `docs/coming-from-js2p.md` complete: every name of the seed has a row, and every Rust name that the document
//! links to exists and is used here as the document describes it.

use std::collections::BTreeSet;

use actix_mesh::wire::{self, base58};
use actix_mesh::*;

const DOCUMENT: &str = include_str!("../../docs/coming-from-js2p.md");
const SEED: &str = include_str!("seed_names.txt");

/// A line of [`SEED`].
struct Seed<'a> {
    name: &'a str,
    parameters: Vec<&'a str>,
}

fn seeds() -> Vec<Seed<'static>> {
    let lines = SEED.lines().filter(|line| !line.is_empty());
    let seed = |line: &'static str| match line.split_once(": ") {
        None => Seed {
            name: line,
            parameters: Vec::new(),
        },
        Some((name, parameters)) => Seed {
            name,
            parameters: parameters.split(", ").collect(),
        },
    };
    lines
        .filter(|line| !line.starts_with('#'))
        .map(seed)
        .collect()
}

/// Returns the cells of every table row about a name in code.
fn rows() -> Vec<Vec<&'static str>> {
    let rows = DOCUMENT.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| row.trim_matches('|').split(" | ").map(str::trim).collect())
        .collect()
}

/// Returns the texts in backticks.
fn code(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// Strips the parameters from a name.
fn bare(name: &str) -> &str {
    name.split('(').next().unwrap()
}

#[test]
fn every_name_of_the_seed_has_a_row_that_says_what_it_became() {
    for seed in seeds() {
        let of_it: Vec<_> = rows()
            .into_iter()
            .filter(|row| code(row[0]).iter().any(|name| bare(name) == seed.name))
            .collect();
        let [row] = &of_it[..] else {
            panic!("{} has {} rows", seed.name, of_it.len());
        };
        let [_, here, changed] = &row[..] else {
            panic!("the row of {} has {} cells", seed.name, row.len());
        };
        assert!(!here.is_empty() && !changed.is_empty(), "{}", seed.name);
        let told = code(changed);
        for parameter in &seed.parameters {
            assert!(told.contains(parameter), "{}: {parameter}", seed.name);
        }
    }
}

#[test]
fn every_row_is_about_a_name_of_the_seed() {
    let seeds: BTreeSet<_> = seeds().into_iter().map(|seed| seed.name).collect();
    let told: Vec<_> = rows().into_iter().flat_map(|row| code(row[0])).collect();
    for name in told {
        assert!(
            seeds.contains(bare(name)),
            "{name} is not in seed_names.txt"
        );
    }
}

/// Pairs each name in the document with code that compiles only if it exists. The code must contain the name's last
/// part, so that one name cannot be proven by another's code.
macro_rules! exist {
    ($($name:literal => $proof:expr,)*) => {{
        $(
            let _ = $proof;
            let last = $name.rsplit("::").next().unwrap();
            assert!(stringify!($proof).contains(last), "{}", $name);
        )*
        BTreeSet::from([$($name),*])
    }};
}

/// Accepts any type.
fn is<T: ?Sized>() {}

#[test]
fn every_rust_name_the_document_links_to_exists() {
    let exist = exist! {
        "Address" => is::<Address>,
        "Awaited" => is::<Awaited>,
        "Awaited::expect" => |awaited: Awaited| awaited.expect,
        "Awaiting" => is::<Awaiting>,
        "CloseReason" => is::<CloseReason>,
        "CloseReason::BadFrame" => CloseReason::BadFrame,
        "CloseReason::ByPeer" => CloseReason::ByPeer,
        "CloseReason::OtherSubnet" => |why| matches!(why, CloseReason::OtherSubnet { .. }),
        "CloseReason::Unresponsive" => CloseReason::Unresponsive,
        "Codec" => is::<wire::Codec>,
        "Composer" => is::<wire::Composer>,
        "Config::advertise" => |config: Config, addr: Address| config.advertise(addr),
        "Config::allow_binary" => Config::allow_binary,
        "Config::compression" => |config: Config| config.compression([]),
        "Config::handshake_timeout" => Config::handshake_timeout,
        "Config::connect" => |config: Config, addr: Address| config.connect(addr),
        "Config::listen" => |config: Config| config.listen(""),
        "Config::max_outgoing" => Config::max_outgoing,
        "Config::start" => Config::start,
        "Config::subnet" => |config: Config| config.subnet("", ""),
        "Config::waterfall_capacity" => Config::waterfall_capacity,
        "Connect" => is::<Connect>,
        "Connect::expect" => Connect::expect,
        "Connect::to" => |addr: Address| Connect::to(addr),
        "ConnectError" => is::<ConnectError>,
        "Direction::Outgoing" => Direction::Outgoing,
        "Disconnect" => is::<Disconnect>,
        "Event" => is::<Event>,
        "Event::IdConflict" => |event| matches!(event, Event::IdConflict { .. }),
        "Event::PeerJoined" => |event| matches!(event, Event::PeerJoined { .. }),
        "Event::PeerLeft" => |event| matches!(event, Event::PeerLeft { .. }),
        "Event::Refused" => |event| matches!(event, Event::Refused { .. }),
        "Filter::kind" => |filter: Filter| filter.kind(""),
        "Flag" => is::<Flag>,
        "Flag::Broadcast" => Flag::Broadcast,
        "Flag::Renegotiate" => Flag::Renegotiate,
        "Flag::Waterfall" => Flag::Waterfall,
        "Flag::Whisper" => Flag::Whisper,
        "Generation" => is::<Generation>,
        "Intercept" => is::<Intercept>,
        "Limits" => is::<Limits>,
        "Message" => is::<Message>,
        "Message::body" => Message::body,
        "Message::byte_len" => Message::byte_len,
        "Message::from" => Message::from,
        "Message::id" => Message::id,
        "Message::kind" => Message::kind,
        "Message::packets" => Message::packets,
        "Message::reply" => |message: Message| message.reply(""),
        "Message::sender" => Message::sender,
        "Message::text" => Message::text,
        "Message::time" => Message::time,
        "MessageId" => is::<MessageId>,
        "Node" => is::<Node>,
        "NodeId" => is::<NodeId>,
        "Offer" => is::<Offer>,
        "Peer" => is::<Peer>,
        "Peer::addr" => |peer: Peer| peer.addr,
        "Peer::compression" => |peer: Peer| peer.compression,
        "Peer::direction" => |peer: Peer| peer.direction,
        "Peer::id" => |peer: Peer| peer.id,
        "Peer::since" => |peer: Peer| peer.since,
        "Peers" => is::<Peers>,
        "Recv" => is::<Recv>,
        "Recv::one" => Recv::one,
        "Recv::up_to" => Recv::up_to,
        "Recv::wait" => Recv::wait,
        "RequestPeers" => is::<RequestPeers>,
        "Router" => is::<Router>,
        "Send" => is::<Send>,
        "Send::allow_empty" => Send::allow_empty,
        "Send::flag" => Send::flag,
        "Send::kind" => |send: Send| send.kind(""),
        "Send::new" => Send::new(""),
        "SendError::NoPeers" => SendError::NoPeers,
        "Sent" => is::<Sent>,
        "StartError" => is::<StartError>,
        "Stats" => is::<Stats>,
        "Stats::duplicates" => |stats: Stats| stats.duplicates,
        "Stats::expired" => |stats: Stats| stats.expired,
        "Stats::id_twins" => |stats: Stats| stats.id_twins,
        "Stats::relayed" => |stats: Stats| stats.relayed,
        "Status" => is::<Status>,
        "StatusReport" => is::<StatusReport>,
        "StatusReport::subnet" => |report: StatusReport| report.subnet,
        "StatusReport::troubles" => |report: StatusReport| report.troubles,
        "SubFlag" => is::<wire::SubFlag>,
        "Subnet" => is::<Subnet>,
        "Subnet::default" => Subnet::default,
        "Subnet::id" => Subnet::id,
        "Subscribe" => is::<Subscribe<Message>>,
        "Verdict::Consume" => Verdict::Consume,
        "Verdict::Pass" => Verdict::Pass,
        "Whisper" => is::<Whisper>,
        "Whisper::new" => |to: NodeId| Whisper::new(to, ""),
        "WhisperError" => is::<WhisperError>,
        "Whispered::discovered" => |whispered: Whispered| whispered.discovered,
        "base58::encode_u64" => base58::encode_u64,
    };
    let links = DOCUMENT.lines().filter_map(|line| {
        let (name, path) = line.strip_prefix("[`")?.split_once("`]: ")?;
        assert!(path.ends_with(name), "{name} leads to {path}");
        Some(name)
    });
    assert_eq!(links.collect::<BTreeSet<_>>(), exist);
}
