//! Fuzz target for the core: any inputs and commands in any order, and the laws for its effects.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use actix_mesh::mesh::{
    Acceptance, ConnId, DialError, Direction, Effect, Ended, Input, Mesh, Now, Outgoing,
    OutgoingWhisper, Params, ProposalId, Ticket, ValidationRule,
};
use actix_mesh::wire::{
    Address, Batch, Composer, Control, Dialect, Flag, Generation, Hold, Limits, Method, NodeId,
    Packet, Packets, PeerEntry, RequestId, SubFlag, Subnet,
};

use std::cell::Cell;

use super::Bytes;

thread_local! {
    /// The generation of this run.
    static GENERATION: Cell<Generation> = const { Cell::new(Generation::V0_4) };
}

fn generation() -> Generation {
    GENERATION.get()
}

const NOON: u64 = 1_500_000_000;

/// A connection or dial, as known to the driver of the core.
#[derive(Debug, Default)]
struct Link {
    connected: bool,
    established: bool,
}

struct Driver<'a> {
    data: Bytes<'a>,
    mesh: Mesh,
    now: Now,
    links: BTreeMap<ConnId, Link>,
    closed: BTreeSet<ConnId>,
    asked: BTreeSet<Ticket>,
    answered: BTreeSet<Ticket>,
    closing: bool,
    /// Open proposals, and the validator asked for each.
    proposed: Vec<(ProposalId, u64)>,
}

/// Runs the core in each generation; see the module.
pub(crate) fn mesh(data: &[u8]) {
    for generation in Generation::ALL {
        GENERATION.set(generation);
        mesh_of(data);
    }
}

fn mesh_of(data: &[u8]) {
    let mut driver = Driver::new(data);
    while !driver.data.is_empty() {
        driver.step();
    }
    driver.finish();
}

fn id(which: usize) -> NodeId {
    NodeId::derive(
        "fuzzed",
        &Subnet::default().id(generation()),
        &[u8::try_from(which).unwrap()],
    )
}

impl<'a> Driver<'a> {
    fn new(data: &'a [u8]) -> Self {
        let mut params = Params::new(Subnet::default(), "127.0.0.1:1000".parse().unwrap());
        params.generation = generation();
        params.max_incoming = 4;
        params.max_pending = 3;
        params.waterfall_capacity = 64;
        params.max_waiting_whispers = 4;
        params.ban_loopback = data.first().is_some_and(|byte| byte % 2 == 1);
        Self {
            data: Bytes(data),
            mesh: Mesh::new(params, id(0), 1),
            now: Now {
                monotonic: Duration::ZERO,
                unix: NOON,
            },
            links: BTreeMap::new(),
            closed: BTreeSet::new(),
            asked: BTreeSet::new(),
            answered: BTreeSet::new(),
            closing: false,
            proposed: Vec::new(),
        }
    }

    fn step(&mut self) {
        match self.data.below(16) {
            0 | 1 => self.accept(),
            2 => self.dialed(),
            3 => self.dial_failed(),
            4..=8 => self.receive(),
            9 => self.end(),
            10 | 11 => self.pass(),
            12 => self.connect(),
            13 => self.send(),
            14 => self.whisper(),
            _ => self.rare(),
        }
        self.check();
    }

    fn address(&mut self) -> Address {
        let host = [
            "127.0.0.1",
            "10.0.0.7",
            "192.0.2.9",
            "0.0.0.0",
            "example.org",
        ][self.data.below(5)];
        Address {
            host: host.into(),
            port: 1000 + u16::from(self.data.next() % 8),
        }
    }

    fn pick(&mut self, fits: impl Fn(&Link) -> bool) -> Option<ConnId> {
        let fitting: Vec<ConnId> = self
            .links
            .iter()
            .filter(|(_, link)| fits(link))
            .map(|(conn, _)| *conn)
            .collect();
        let at = self.data.below(fitting.len());
        fitting.get(at).copied()
    }

    fn accept(&mut self) {
        let addr = self.address();
        let conn = self.mesh.next_conn();
        self.links.insert(
            conn,
            Link {
                connected: true,
                ..Link::default()
            },
        );
        self.handle(Input::Accepted { conn, addr });
    }

    fn dialed(&mut self) {
        let addr = self.address();
        if let Some(conn) = self.pick(|link| !link.connected) {
            self.links.entry(conn).or_default().connected = true;
            self.handle(Input::Dialed { conn, addr });
        }
    }

    fn dial_failed(&mut self) {
        if let Some(conn) = self.pick(|link| !link.connected) {
            self.links.remove(&conn);
            self.closed.insert(conn);
            let why = DialError::Timeout;
            self.handle(Input::DialFailed { conn, why });
        }
    }

    fn end(&mut self) {
        let why = match self.data.below(5) {
            0 => Ended::ByPeer,
            1 => Ended::Broken("x".into()),
            2 => Ended::Failed("x".into()),
            3 => Ended::Stalled,
            _ => Ended::Unfinished,
        };
        if let Some(conn) = self.pick(|link| link.connected) {
            self.links.remove(&conn);
            self.closed.insert(conn);
            self.handle(Input::Closed { conn, why });
        }
    }

    fn receive(&mut self) {
        let Some(conn) = self.pick(|link| link.connected) else {
            return;
        };
        let frames: Vec<u8> = (0..=self.data.below(3))
            .flat_map(|_| self.frame())
            .collect();
        let Ok(batch) = Batch::from_frames(generation(), Limits::default(), &frames) else {
            return;
        };
        let heard = broadcasts(&frames);
        let effects = self.handle(Input::Received { conn, batch });
        for effect in effects {
            if let Effect::Transmit { to, frames } = effect
                && to.contains(&conn)
            {
                let said = broadcasts(&frames.plain);
                assert!(
                    said.is_disjoint(&heard),
                    "a broadcast went back where it came from"
                );
            }
        }
    }

    /// Makes a frame that a peer might send, now and then with a flipped bit.
    fn frame(&mut self) -> Vec<u8> {
        let composer = Composer::new(generation(), Limits::default(), id(self.data.below(6)));
        let (flag, payload) = self.content();
        let time = match self.data.below(8) {
            0 => NOON - 100,
            1 => u64::MAX,
            2 => self.now.unix.saturating_add(60),
            _ => self.now.unix,
        };
        let mut frame = composer
            .compose(&flag, &payload, time)
            .unwrap()
            .frames
            .plain
            .to_vec();
        if self.data.below(16) == 0 {
            let at = 4 + self.data.below(frame.len() - 4);
            frame[at] ^= 1;
        }
        frame
    }

    fn content(&mut self) -> (Flag, Vec<Packet>) {
        let control = match self.data.below(10) {
            0..=2 => self.handshake(),
            3 => Control::Peers {
                entries: (0..self.data.below(5)).map(|_| self.entry()).collect(),
                skipped: 0,
            },
            4 => Control::RequestPeers,
            5 => Control::Request {
                request: self.request(),
                wanted: id(self.data.below(8)),
            },
            6 => Control::Response {
                request: self.request(),
                id: id(self.data.below(8)),
                address: self.address(),
            },
            7 => [
                Control::Compression(vec![Method::Zlib]),
                Control::Compression(vec![]),
                Control::Resend,
            ][self.data.below(3)]
            .clone(),
            _ => return self.words(),
        };
        let flag = match self.data.below(4) {
            0 => [
                Flag::Broadcast,
                Flag::Whisper,
                Flag::Renegotiate,
                Flag::Ping,
            ][self.data.below(4)]
            .clone(),
            _ => control.flag(),
        };
        (flag, control.packets(generation()))
    }

    fn words(&mut self) -> (Flag, Vec<Packet>) {
        let flag = [Flag::Broadcast, Flag::Waterfall, Flag::Whisper, Flag::Pong]
            [self.data.below(4)]
        .clone();
        let kind = SubFlag::Broadcast.packet(generation());
        let word = self.data.some().to_vec();
        (flag, vec![kind, Packet::from(word)])
    }

    fn handshake(&mut self) -> Control {
        let other = self.data.below(8) == 0;
        let subnet = if other {
            Subnet::new("other", "Plaintext")
        } else {
            Subnet::default()
        };
        Control::Handshake {
            id: id(self.data.below(6)),
            subnet: subnet.id(generation()),
            address: Some(self.address()),
            methods: vec![Method::Zlib, Method::Gzip],
            dialect: [Dialect::Spaced, Dialect::Tight][self.data.below(2)],
            extended: self.data.below(2) == 1,
        }
    }

    fn entry(&mut self) -> PeerEntry {
        PeerEntry {
            id: id(self.data.below(8)),
            address: self.address(),
        }
    }

    fn request(&mut self) -> RequestId {
        RequestId::derive(&id(1), NOON, &[self.data.next() % 4])
    }

    fn pass(&mut self) {
        let seconds = u64::from(self.data.next());
        self.now.monotonic += Duration::from_secs(seconds % 40);
        self.now.unix = self.now.unix.saturating_add(seconds % 40);
        self.handle(Input::Tick);
    }

    fn ticket(&mut self) -> Ticket {
        let ticket = Ticket(self.asked.len() as u64);
        self.asked.insert(ticket);
        ticket
    }

    fn connect(&mut self) {
        let (addr, ticket) = (self.address(), self.ticket());
        let expect = (self.data.below(2) == 0).then(|| id(self.data.below(6)));
        self.command(|mesh, now, out| mesh.connect(now, ticket, addr, expect, out));
    }

    fn send(&mut self) {
        let what = Outgoing {
            packets: Packets::from(self.data.some().to_vec()),
            flag: [Flag::Broadcast, Flag::Whisper, Flag::Renegotiate][self.data.below(3)].clone(),
            kind: None,
            allow_empty: self.data.below(2) == 0,
        };
        self.command(|mesh, now, out| {
            let _ = mesh.send(now, what, Hold::none(), out);
        });
    }

    fn whisper(&mut self) {
        let (to, ticket) = (id(self.data.below(8)), self.ticket());
        let within = Duration::from_secs(u64::from(self.data.next() % 20));
        let text = Packets::from("psst");
        self.command(|mesh, now, out| {
            mesh.whisper(now, OutgoingWhisper::new(ticket, to, text, within), out)
        });
    }

    fn rare(&mut self) {
        match self.data.below(8) {
            0 => {
                self.closing = true;
                self.command(|mesh, now, out| mesh.shut_down(now, out));
            }
            1 => {
                let peer = id(self.data.below(6));
                self.command(|mesh, now, out| {
                    mesh.disconnect(now, &peer, out);
                });
            }
            2 => self.command(|mesh, now, out| {
                mesh.request_peers(now, out);
            }),
            3 => {
                let address = self.address();
                self.mesh.keep(&address);
            }
            // The system clock is set.
            4 => self.now.unix = [0, NOON, NOON + 1_000_000, u64::MAX][self.data.below(4)],
            5 => self.validate(),
            6 => self.judge(),
            _ => self.mesh.set_audience(self.data.below(2) == 0),
        }
    }

    fn validate(&mut self) {
        let validator = u64::try_from(self.data.below(3)).unwrap();
        if self.data.below(3) == 0 {
            self.command(|mesh, now, out| {
                mesh.end_validation(now, validator, out);
            });
            // The messages queued for it are proposed to the next validator, or have passed.
            self.proposed.retain(|(_, asked)| *asked != validator);
            return;
        }
        self.mesh.validate(ValidationRule {
            validator,
            kinds: vec![SubFlag::Broadcast.packet(generation())],
            prefixes: Vec::new(),
            open: validator == 0,
        });
    }

    fn judge(&mut self) {
        if self.proposed.is_empty() {
            return;
        }
        let (proposal, _) = self.proposed.remove(self.data.below(self.proposed.len()));
        let verdicts = [
            None,
            Some(Acceptance::Accept),
            Some(Acceptance::Ignore),
            Some(Acceptance::Reject),
        ];
        let verdict = verdicts[self.data.below(4)];
        self.command(|mesh, now, out| {
            mesh.judge(now, proposal, verdict, out);
        });
    }

    fn handle(&mut self, input: Input) -> Vec<Effect> {
        let mut out = Vec::new();
        self.mesh.handle(self.now, input, &mut out);
        self.perform(&out);
        out
    }

    fn command(&mut self, command: impl FnOnce(&mut Mesh, Now, &mut Vec<Effect>)) {
        let mut out = Vec::new();
        command(&mut self.mesh, self.now, &mut out);
        self.perform(&out);
    }

    fn perform(&mut self, effects: &[Effect]) {
        for effect in effects {
            match effect {
                Effect::Dial { conn, .. } => {
                    assert!(!self.closing, "a dial after the end");
                    assert!(self.links.insert(*conn, Link::default()).is_none());
                    assert!(!self.closed.contains(conn), "a name used twice");
                }
                Effect::Transmit { to, frames } => {
                    to.iter()
                        .for_each(|conn| self.check_transmission(*conn, &frames.plain));
                }
                Effect::Establish { conn, .. } => {
                    let link = self.links.get_mut(conn).expect("only what is there");
                    assert!(link.connected && !link.established);
                    link.established = true;
                }
                Effect::SetCompression { conn, .. } | Effect::Watch { conn } => {
                    assert!(self.links[conn].established);
                }
                Effect::Close { conn, .. } => {
                    assert!(
                        self.links.remove(conn).is_some(),
                        "closed what is not there"
                    );
                    self.closed.insert(*conn);
                }
                Effect::Deliver(messages) => {
                    let messages = messages.clone().into_vec();
                    let mut senders = messages.iter().map(|message| message.from());
                    assert!(senders.all(|from| from != self.mesh.me()));
                }
                Effect::Answer { ticket, .. } => {
                    assert!(self.asked.contains(ticket));
                    assert!(self.answered.insert(*ticket), "answered twice");
                }
                Effect::Propose {
                    proposal,
                    validator,
                    ..
                } => self.proposed.push((*proposal, *validator)),
                Effect::Notify(_) => {}
            }
        }
    }

    fn check_transmission(&self, conn: ConnId, frames: &[u8]) {
        let link = self
            .links
            .get(&conn)
            .expect("nobody writes to what is closed");
        assert!(link.connected);
        let batch = Batch::from_frames(generation(), Limits::default(), frames).unwrap();
        for frame in batch.iter() {
            let frame = frame.expect("we say nothing that does not decode");
            frame.verify().expect("nor under a false id");
            let is_handshake = frame
                .kind()
                .and_then(|kind| SubFlag::read(kind, generation()))
                == Some(SubFlag::Handshake);
            assert!(
                link.established || is_handshake,
                "said before the handshake"
            );
        }
    }

    fn check(&self) {
        let mesh = &self.mesh;
        let incoming = mesh
            .peers()
            .iter()
            .filter(|peer| peer.direction == Direction::Incoming)
            .count();
        let strangers = mesh
            .awaiting()
            .iter()
            .filter(|it| it.direction == Direction::Incoming)
            .count();
        assert!(
            incoming <= mesh.params().max_incoming,
            "{incoming} came to us"
        );
        assert!(strangers <= mesh.params().max_pending, "{strangers} wait");
        assert!(mesh.waiting_whispers() <= mesh.params().max_waiting_whispers);
        let stats = mesh.stats();
        let entries = usize::try_from(stats.waterfall_entries.saturating_sub(stats.sent)).unwrap();
        // Our own messages always find room. A batch is checked as a whole, and has 256 frames at most.
        assert!(entries <= 4 * mesh.params().waterfall_capacity + 256);
        assert_eq!(mesh.proposals(), self.proposed.len());
        assert!(mesh.troubles().count() <= 64);
        let ids: BTreeSet<_> = mesh.peers().into_iter().map(|peer| peer.id).collect();
        assert_eq!(
            ids.len(),
            mesh.peers().len(),
            "one connection for each peer"
        );
    }

    fn finish(mut self) {
        self.closing = true;
        self.command(|mesh, now, out| mesh.shut_down(now, out));
        self.check();
        assert!(self.mesh.peers().is_empty() && self.mesh.awaiting().is_empty());
        assert!(self.links.is_empty(), "left open: {:?}", self.links);
        assert_eq!(self.asked, self.answered, "some were never answered");
    }
}

/// Returns the ids of the broadcasts among these frames.
fn broadcasts(frames: &[u8]) -> BTreeSet<Vec<u8>> {
    let batch = Batch::from_frames(generation(), Limits::default(), frames).unwrap();
    let broadcasts = batch.iter().flatten().filter(|frame| frame.is_broadcast());
    broadcasts.map(|frame| frame.id().to_vec()).collect()
}
