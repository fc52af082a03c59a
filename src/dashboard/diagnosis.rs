//! What is wrong with a node, in words, and what to do about it.
//!
//! Owns the rules that turn events and counters into sentences. A problem disappears some minutes after it was last
//! seen, or as soon as it is known to be solved.

use std::collections::BTreeMap;

use super::snapshot::{NodeInfo, Problem};
use crate::mesh::{CloseReason, DialError, Direction, Event, Severity, printable};
use crate::node::messages::{Awaited, StatusReport};

/// Seconds after which a problem not seen again is no longer shown.
const FADES: u64 = 180;
/// Maximum problems remembered; the one seen longest ago is evicted.
const MAX_PROBLEMS: usize = 64;
/// Seconds a node may be without peers before that is a problem.
const LONELY: u64 = 5;

/// The problems of a node.
#[derive(Debug, Default)]
pub(crate) struct Diagnosis {
    /// Problems by code and by the node or address they are about.
    known: BTreeMap<(&'static str, String), Known>,
    /// Counters at the previous sample.
    counters: BTreeMap<String, u64>,
}

#[derive(Debug)]
struct Known {
    severity: Severity,
    what: String,
    advice: Advice,
    since: u64,
    last: u64,
    count: u64,
}

#[derive(Clone, Copy, Debug)]
enum Advice {
    Text(&'static str),
    /// Names our own subnet.
    SameSubnet,
}

/// Returns the problem of a node that has ended.
pub(crate) fn ended(now: u64) -> Problem {
    Problem {
        code: "ended".into(),
        severity: Severity::Error,
        what: "The node has ended.".into(),
        advice: "This is its last state. Start it again; the page reconnects when the program serves it again.".into(),
        since: now,
        last: now,
        count: 1,
    }
}

/// Counters whose growth is a problem: name, severity, what, advice.
const GROWING: &[(&str, Severity, &str, &str)] = &[
    (
        "expired",
        Severity::Error,
        "Broadcasts come in that are stamped more than a minute ago, and are dropped.",
        "A clock is wrong, here or at their author: have all machines keep their time (NTP, chrony). A node that was asleep catches up by itself.",
    ),
    (
        "premature",
        Severity::Error,
        "Broadcasts come in that are stamped more than a minute ahead, and are dropped.",
        "A clock is wrong, here or at their author: have all machines keep their time (NTP, chrony).",
    ),
    (
        "turned_away",
        Severity::Error,
        "Own messages are refused as busy: more is sent than the peers take.",
        "Await the answers of Send before sending more. The slowest peer sets the pace: see the peers' rates.",
    ),
    (
        "waterfall_evicted",
        Severity::Error,
        "The cache of seen broadcasts is full and forgets them early.",
        "Raise waterfall_capacity, or find out who sends so many.",
    ),
    (
        "over_budget",
        Severity::Warning,
        "A peer exceeds its rate limit.",
        "Find the peer whose received rate stands out. If it goes on, its host is banned for a while.",
    ),
    (
        "malformed",
        Severity::Warning,
        "Malformed control messages arrive.",
        "A peer speaks another version, or probes this node. If it goes on, its host is banned for a while.",
    ),
    (
        "misplaced",
        Severity::Warning,
        "Control messages arrive under the wrong flag.",
        "A peer speaks another version, or probes this node. If it goes on, its host is banned for a while.",
    ),
];

impl Diagnosis {
    /// Records an event.
    pub(crate) fn heard(&mut self, now: u64, event: &Event) {
        match event {
            Event::PeerJoined { addr, .. } => self.solved(&addr.to_string()),
            Event::Refused {
                addr,
                direction,
                reason,
            } => self.refused(now, &addr.to_string(), *direction, reason),
            Event::PeerLeft { peer, reason, .. } => self.left(now, peer.as_str(), reason),
            Event::DialFailed { addr, reason } => self.dial_failed(now, &addr.to_string(), reason),
            Event::IdConflict { peer, addr } => self.note(
                now,
                "id_conflict",
                peer.as_str(),
                Severity::Warning,
                format!("{} claims the id {}, which is connected already.", short(&addr.to_string()), id(peer.as_str())),
                Advice::Text("Two nodes were started with the same seed, or one came back while its old connection still looks alive, or somebody pretends."),
            ),
            Event::Banned { host, seconds } => self.note(
                now,
                "banned",
                host,
                Severity::Warning,
                format!("{} is banned for {seconds} s: it sent too much that is wrong.", short(host)),
                Advice::Text("If it is yours, look at what it runs. Health checks and port scanners of other protocols belong on another port."),
            ),
            Event::ClockSkew { peer, seconds } => self.skewed(now, peer.as_str(), *seconds),
            Event::ClockStepped { seconds } => self.note(
                now,
                "clock_stepped",
                "",
                Severity::Warning,
                format!("The clock of this machine moved by {seconds} s against the time that passed."),
                Advice::Text("It was set, or the machine slept. Have NTP slew it and not step it: beyond 60 s of difference to its peers messages are lost."),
            ),
            Event::Undeliverable { to, reason } => self.note(
                now,
                "undeliverable",
                to.as_str(),
                Severity::Warning,
                format!("A whisper to {} did not reach it: {}.", id(to.as_str()), short(reason)),
                Advice::Text("It left, or no peer knows where it is, or it cannot be dialled from here (a NAT, a wrong outward address)."),
            ),
            Event::Lagged { subscription, missed, .. } => self.note(
                now,
                "lagged",
                &subscription.to_string(),
                Severity::Error,
                format!("A subscriber of this application missed {missed} messages: its queue was full."),
                Advice::Text("Handle messages faster or on another arbiter, raise the subscription's queue, or choose Overflow::Pause."),
            ),
            Event::PeerBookFailed { path, reason } => self.note(
                now,
                "peer_book_failed",
                path,
                Severity::Error,
                format!("The peer book {} cannot be used: {}.", short(path), short(reason)),
                Advice::Text("Check the path, its rights and the disk. The node goes on, and forgets its peers at its end."),
            ),
            Event::ListenerFailed { reason } => self.note(
                now,
                "listener_failed",
                "",
                Severity::Error,
                format!("Accepting connections is paused: {}.", short(reason)),
                Advice::Text("The process is out of file descriptors or memory: raise the limit (ulimit -n), or lower max_incoming."),
            ),
            Event::RelaySkipped { .. } => {}
            other if other.severity() < Severity::Info => self.note(
                now,
                other.code(),
                "",
                other.severity(),
                format!("{}.", short(&other.to_string())),
                Advice::Text("docs/operating.md lists what to do about each event."),
            ),
            _ => {}
        }
    }

    fn refused(&mut self, now: u64, addr: &str, direction: Direction, reason: &CloseReason) {
        // A stranger's port changes each time.
        let host = addr.rsplit_once(':').map_or(addr, |(host, _)| host);
        let whom = match direction {
            Direction::Incoming => host,
            Direction::Outgoing => addr,
        };
        let (code, severity, what, advice): (_, _, _, Advice) = match reason {
            CloseReason::OtherSubnet { theirs, .. } => (
                "other_subnet",
                Severity::Error,
                format!(
                    "The node at {} belongs to another subnet ({}).",
                    short(whom),
                    short(&abbreviated(theirs))
                ),
                Advice::SameSubnet,
            ),
            CloseReason::HandshakeTimeout
            | CloseReason::SpokeTooSoon
            | CloseReason::BadFrame(_) => (
                "no_handshake",
                Severity::Warning,
                format!(
                    "{} does not speak this protocol, or hangs: {}.",
                    short(whom),
                    short(&reason.to_string())
                ),
                Advice::Text(
                    "Check the address and the port. Other generations of the protocol, health checks and port scanners look like this too.",
                ),
            ),
            CloseReason::WrongId { .. } => (
                "wrong_id",
                Severity::Warning,
                format!("At {} is another node than was expected.", short(addr)),
                Advice::Text(
                    "The node was started anew under a new id, or the address was given to another.",
                ),
            ),
            CloseReason::Full => (
                "full",
                Severity::Info,
                "The node is full and gives new peers a peers list instead.".into(),
                Advice::Text("Raise max_incoming if this host can take more."),
            ),
            CloseReason::Crowded => (
                "crowded",
                Severity::Warning,
                format!(
                    "Too many connections from {} wait for their handshake.",
                    short(whom)
                ),
                Advice::Text(
                    "Something opens connections and says nothing: a scanner or an attack. Raise max_pending only if they are yours.",
                ),
            ),
            _ => return,
        };
        let whom = if code == "full" { "" } else { whom };
        self.note(now, code, whom, severity, what, advice);
    }

    fn left(&mut self, now: u64, peer: &str, reason: &CloseReason) {
        let (code, what, advice) = match reason {
            CloseReason::SlowPeer => (
                "slow_peer",
                format!(
                    "{} was closed: it read too slowly while messages were queued for it.",
                    id(peer)
                ),
                "Its program or connection is slower than the traffic. Send less, or raise stall_timeout or lower min_peer_drain_rate.",
            ),
            CloseReason::Unfinished => (
                "unfinished",
                format!(
                    "{} was closed: it began a message and did not finish it.",
                    id(peer)
                ),
                "Its link is very slow or broken, or it holds on to connections on purpose.",
            ),
            CloseReason::Unresponsive => (
                "unresponsive",
                format!(
                    "{} was closed: it fell silent and did not answer.",
                    id(peer)
                ),
                "Its machine sleeps, its power or network is gone, or a firewall forgot the connection. It is dialled again.",
            ),
            CloseReason::BadFrame(_) => (
                "bad_frame",
                format!("{} was closed: {}.", id(peer), short(&reason.to_string())),
                "It speaks another version, sends larger messages than limits.frame, or something on the way changes bytes.",
            ),
            CloseReason::Failed(_) => (
                "failed",
                format!(
                    "The connection to {} broke: {}.",
                    id(peer),
                    short(&reason.to_string())
                ),
                "Its process or machine crashed, or the network was cut. It is dialled again.",
            ),
            _ => return,
        };
        self.note(
            now,
            code,
            peer,
            Severity::Warning,
            what,
            Advice::Text(advice),
        );
    }

    fn dial_failed(&mut self, now: u64, addr: &str, reason: &DialError) {
        let advice = match reason {
            DialError::Refused => {
                "Check the address and that the peer runs and listens there. It is dialled again."
            }
            DialError::Timeout => {
                "Nothing answers: check the address, the firewall and the route. It is dialled again."
            }
            _ => "Check the name and the network. It is dialled again.",
        };
        let what = format!(
            "{} cannot be dialled: {}.",
            short(addr),
            short(&reason.to_string())
        );
        self.note(
            now,
            "dial_failed",
            addr,
            Severity::Warning,
            what,
            Advice::Text(advice),
        );
    }

    fn skewed(&mut self, now: u64, peer: &str, seconds: i64) {
        let (direction, by) = if seconds < 0 {
            ("behind", seconds.unsigned_abs())
        } else {
            ("ahead of", seconds.unsigned_abs())
        };
        let severity = if by > 60 {
            Severity::Error
        } else {
            Severity::Warning
        };
        let dropped = if by > 60 {
            ": its broadcasts are dropped here, and ours there"
        } else {
            ""
        };
        let what = format!(
            "The clock of {} is {by} s {direction} ours{dropped}.",
            id(peer)
        );
        let advice = "Have both machines keep their time (NTP, chrony). Beyond 60 s of difference messages are lost.";
        self.note(
            now,
            "clock_skew",
            peer,
            severity,
            what,
            Advice::Text(advice),
        );
    }

    fn note(
        &mut self,
        now: u64,
        code: &'static str,
        whom: &str,
        severity: Severity,
        what: String,
        advice: Advice,
    ) {
        let key = (code, printable(whom, 300));
        if !self.known.contains_key(&key) && self.known.len() >= MAX_PROBLEMS {
            let oldest = self.known.iter().min_by_key(|(_, known)| known.last);
            if let Some(key) = oldest.map(|(key, _)| key.clone()) {
                self.known.remove(&key);
            }
        }
        let known = self.known.entry(key).or_insert(Known {
            severity,
            what: String::new(),
            advice,
            since: now,
            last: now,
            count: 0,
        });
        (known.severity, known.what, known.advice, known.last) = (severity, what, advice, now);
        known.count += 1;
    }

    /// Removes the problems of an address where a peer joined.
    fn solved(&mut self, addr: &str) {
        let solved = ["dial_failed", "other_subnet", "no_handshake", "wrong_id"];
        self.known
            .retain(|(code, whom), _| !(solved.contains(code) && whom == addr));
    }

    /// Returns the current problems, worst first.
    pub(crate) fn problems(
        &mut self,
        now: u64,
        report: &StatusReport,
        node: &NodeInfo,
        counters: &BTreeMap<String, u64>,
        awaiting: &[Awaited],
    ) -> Vec<Problem> {
        for (name, severity, what, advice) in GROWING {
            let value = counters.get(*name).copied().unwrap_or_default();
            let before = self.counters.insert((*name).into(), value).unwrap_or(0);
            if value > before {
                self.note(
                    now,
                    name,
                    "",
                    *severity,
                    (*what).into(),
                    Advice::Text(advice),
                );
                if let Some(known) = self.known.get_mut(&(*name, String::new())) {
                    known.count = value;
                }
            }
        }
        self.known.retain(|_, known| known.last + FADES >= now);
        let mut problems: Vec<Problem> = self
            .known
            .iter()
            .map(|(key, known)| known.told(key.0, node))
            .collect();
        if report.peers == 0 && report.since + LONELY <= now {
            problems.push(lonely(now, report, node, awaiting));
        }
        problems.sort_by(|one, other| (one.severity, other.last).cmp(&(other.severity, one.last)));
        problems
    }
}

impl Known {
    fn told(&self, code: &str, node: &NodeInfo) -> Problem {
        let advice = match self.advice {
            Advice::Text(text) => text.into(),
            Advice::SameSubnet => format!(
                "Subnet name, encryption and generation must be the same on both. Ours: --subnet \"{}\", --encryption {}, --wire {} (id {}). Start the other with these, or this one with its.",
                printable(&node.subnet, 80),
                printable(&node.encryption, 40),
                node.wire,
                abbreviated(&node.subnet_id),
            ),
        };
        Problem {
            code: code.into(),
            severity: self.severity,
            what: self.what.clone(),
            advice,
            since: self.since,
            last: self.last,
            count: self.count,
        }
    }
}

fn lonely(now: u64, report: &StatusReport, node: &NodeInfo, awaiting: &[Awaited]) -> Problem {
    let advice = if awaiting.is_empty() {
        format!(
            "Start another node with --connect {}, or this one with --connect and the address of another.",
            node.address
        )
    } else {
        let addrs: Vec<String> = awaiting
            .iter()
            .take(3)
            .map(|one| short(&one.addr.to_string()))
            .collect();
        format!("It tries {}.", addrs.join(", "))
    };
    Problem {
        code: "no_peers".into(),
        severity: Severity::Error,
        what: "No peer is connected: nothing is sent or heard.".into(),
        advice,
        since: report.since,
        last: now,
        count: 1,
    }
}

fn short(text: &str) -> String {
    let text = text.trim_end_matches('.');
    printable(text, 240)
}

/// Abbreviates an id; its beginning is enough to tell nodes apart.
fn id(id: &str) -> String {
    abbreviated(id)
}

fn abbreviated(id: &str) -> String {
    let start: String = id.chars().take(10).collect();
    let more = if id.chars().count() > 12 { "…" } else { "" };
    printable(&format!("{start}{more}"), 24)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Address, Generation, Subnet};

    fn addr(text: &str) -> Address {
        text.parse().expect("an address")
    }

    fn refused(from: &str) -> Event {
        let ours = Subnet::default().id(Generation::default());
        Event::Refused {
            addr: addr(from),
            direction: Direction::Outgoing,
            reason: CloseReason::OtherSubnet {
                theirs: "3Kh2seStWsrLAuf8pi5HBngRWLQ8m15nAYbiSs5SHefK".into(),
                ours: Box::new(ours),
            },
        }
    }

    #[test]
    fn what_was_solved_is_no_problem_any_more() {
        let mut diagnosis = Diagnosis::default();
        diagnosis.heard(1, &refused("192.0.2.1:4444"));
        diagnosis.heard(2, &refused("192.0.2.1:4444"));
        assert_eq!(diagnosis.known.len(), 1);
        assert_eq!(
            diagnosis.known.values().next().map(|known| known.count),
            Some(2)
        );
        let ours = Subnet::default().id(Generation::default());
        let peer = crate::wire::NodeId::derive("192.0.2.1:4444", &ours, b"salt");
        let joined = Event::PeerJoined {
            peer,
            addr: addr("192.0.2.1:4444"),
            direction: Direction::Outgoing,
        };
        diagnosis.heard(3, &joined);
        assert!(diagnosis.known.is_empty());
    }

    #[test]
    fn strangers_cannot_fill_the_list() {
        let mut diagnosis = Diagnosis::default();
        for port in 1..2000_u16 {
            diagnosis.heard(u64::from(port), &refused(&format!("192.0.2.1:{port}")));
        }
        assert_eq!(diagnosis.known.len(), MAX_PROBLEMS);
    }
}
