//! Samples a node once a second and listens to its events, for all users of the dashboard.
//!
//! Owns what is remembered: the last snapshot, the last events, the last five minutes. Decides nothing about what is
//! wrong ([`diagnosis`](super::diagnosis)) or who has access.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use actix::fut::wrap_future;
use actix::{
    Actor, ActorContext as _, ActorFutureExt as _, Addr, AsyncContext as _, Context, Handler,
};
use actix_web::web::Bytes;
use tokio::sync::broadcast;

use super::diagnosis::Diagnosis;
use super::snapshot::{
    Awaited, Health, NodeInfo, Peer, Rates, Sample, Setting, Snapshot, Told, Traffic,
};
use super::topology;
use crate::config::Config;
use crate::mesh::{self, Event, printable};
use crate::node::Router;
use crate::node::messages::subscribe::SubscribeEvents;
use crate::node::messages::{self as node, Status, StatusReport};

/// Sampling interval.
const EVERY: Duration = Duration::from_secs(1);
/// Events kept.
const EVENTS: usize = 256;
/// Samples kept, one a second.
const SAMPLES: usize = 300;
/// Queue length of a live client; beyond it the client misses messages.
const LIVE: usize = 64;
/// Maximum live clients.
const CLIENTS: usize = 64;

/// A message to live clients.
#[derive(Clone, Debug)]
pub(crate) enum Live {
    /// A snapshot, encoded for the wire.
    Snapshot(Bytes),
    /// An event, encoded for the wire.
    Told(Bytes),
}

/// What was observed of a node.
#[derive(Debug)]
pub(crate) struct View {
    router: Addr<Router>,
    seen: Mutex<Seen>,
    live: broadcast::Sender<Live>,
    clients: AtomicUsize,
    /// The number of peers `/ready` requires.
    wanted: AtomicUsize,
}

#[derive(Debug, Default)]
struct Seen {
    snapshot: Option<Arc<Snapshot>>,
    /// The snapshot as JSON.
    json: Bytes,
    events: VecDeque<Arc<Told>>,
    seq: u64,
    history: VecDeque<Sample>,
}

impl View {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        // A panic while locked leaves it whole: each change is one assignment.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn router(&self) -> &Addr<Router> {
        &self.router
    }

    /// Returns the number of peers `/ready` requires.
    pub(crate) fn wanted(&self) -> usize {
        self.wanted.load(Ordering::Relaxed)
    }

    pub(crate) fn want(&self, peers: usize) {
        self.wanted.store(peers, Ordering::Relaxed);
    }

    pub(crate) fn snapshot(&self) -> Option<Arc<Snapshot>> {
        self.seen().snapshot.clone()
    }

    /// Returns the latest snapshot as JSON; empty until the node was first sampled.
    pub(crate) fn json(&self) -> Bytes {
        self.seen().json.clone()
    }

    pub(crate) fn events(&self, since: u64) -> Vec<Arc<Told>> {
        let seen = self.seen();
        let newer = seen.events.iter().filter(|told| told.seq > since);
        newer.cloned().collect()
    }

    pub(crate) fn history(&self) -> Vec<Sample> {
        self.seen().history.iter().copied().collect()
    }

    /// Reserves a live client's place, if one is free.
    pub(crate) fn join(self: &Arc<Self>) -> Option<Seat> {
        let taken = self.clients.fetch_add(1, Ordering::Relaxed);
        let seat = Seat(Arc::clone(self));
        (taken < CLIENTS).then_some(seat)
    }

    pub(crate) fn listen(&self) -> broadcast::Receiver<Live> {
        self.live.subscribe()
    }
}

/// A live client's place, freed on drop.
#[derive(Debug)]
pub(crate) struct Seat(Arc<View>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.clients.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The actor that samples a node.
#[derive(Debug)]
pub(crate) struct Observer {
    view: Arc<View>,
    diagnosis: Diagnosis,
    last: Option<Last>,
    defaults: BTreeMap<String, String>,
    asking: bool,
}

/// The previous sample, for computing rates.
#[derive(Debug)]
struct Last {
    at: Instant,
    stats: BTreeMap<String, u64>,
    peers: BTreeMap<String, (mesh::Traffic, mesh::Traffic)>,
    delays: (u64, f64),
}

impl Observer {
    /// Observes this node until it ends, whether or not anybody uses the view.
    pub(crate) fn watch(router: Addr<Router>) -> Arc<View> {
        let view = Arc::new(View {
            router,
            seen: Mutex::default(),
            live: broadcast::Sender::new(LIVE),
            clients: AtomicUsize::new(0),
            wanted: AtomicUsize::new(1),
        });
        let observer = Self {
            view: Arc::clone(&view),
            diagnosis: Diagnosis::default(),
            last: None,
            defaults: settings(serde_json::to_value(Config::new()).ok()),
            asking: false,
        };
        observer.start();
        view
    }

    fn look(&mut self, ctx: &mut Context<Self>) {
        if self.asking {
            return;
        }
        self.asking = true;
        let router = self.view.router.clone();
        let asked = async move {
            let report = router.send(Status).await.ok()?;
            let peers = router.send(node::Peers).await.ok()?;
            let awaiting = router.send(node::Awaiting).await.ok()?;
            let said = router.send(node::Topology).await.ok()?;
            Some((report, peers, awaiting, said))
        };
        ctx.spawn(wrap_future::<_, Self>(asked).map(|answer, observer, ctx| {
            observer.asking = false;
            match answer {
                Some((report, peers, awaiting, said)) => {
                    observer.take_in(*report, &peers, &awaiting, &said);
                }
                None => {
                    observer.end();
                    ctx.stop();
                }
            }
        }));
    }

    fn take_in(
        &mut self,
        report: StatusReport,
        peers: &[node::Peer],
        awaiting: &[node::Awaited],
        said: &[mesh::Neighborhood],
    ) {
        let at = Instant::now();
        let stats = numbers(&report);
        let now = unix_ms();
        let before = self.last.as_ref();
        let seconds = before.map_or(1.0, |last| (at - last.at).as_secs_f64().max(0.001));
        let rate = |name: &str| {
            let value = stats.get(name).copied().unwrap_or_default();
            let old = before.and_then(|last| last.stats.get(name).copied());
            old.map_or(0.0, |old| per(value.saturating_sub(old), seconds))
        };
        let mut told: Vec<Peer> = peers.iter().map(|peer| self.peer(peer, seconds)).collect();
        for said in said {
            let of = said.of.to_string();
            if let Some(peer) = told.iter_mut().find(|peer| peer.id == of) {
                #[expect(clippy::cast_precision_loss, reason = "milliseconds of a round trip")]
                let round_trip = said.round_trip as f64;
                peer.round_trip = Some(round_trip);
            }
        }
        let delays = (report.delivery_delay.count(), report.delivery_delay.sum);
        let (count, sum) = before.map_or((0, 0.0), |last| last.delays);
        let rates = Rates {
            received: rate("received"),
            delivered: rate("delivered"),
            sent: rate("sent"),
            relayed: rate("relayed"),
            duplicates: rate("duplicates"),
            bytes_in: told.iter().map(|peer| peer.received.bytes_per_second).sum(),
            bytes_out: told.iter().map(|peer| peer.sent.bytes_per_second).sum(),
            delay: (delays.0 > count).then(|| (delays.1 - sum) / per(delays.0 - count, 1.0)),
        };
        let node = info(&report);
        let problems = self
            .diagnosis
            .problems(now / 1000, &report, &node, &stats, awaiting);
        let snapshot = Snapshot {
            time: now,
            running: true,
            health: Health {
                ready: told.len() >= self.view.wanted(),
                peers: told.len(),
                wanted: self.view.wanted(),
            },
            rates,
            topology: topology::of(&node, &told, said),
            peers: told,
            awaiting: awaiting.iter().map(awaited).collect(),
            problems,
            settings: self.settings(&report),
            node,
            stats: stats.clone(),
        };
        self.last = Some(Last {
            at,
            stats,
            peers: peers
                .iter()
                .map(|peer| (peer.id.to_string(), (peer.received, peer.sent)))
                .collect(),
            delays,
        });
        let sample = Sample {
            time: now,
            peers: snapshot.peers.len(),
            rates,
        };
        self.publish(snapshot, Some(sample));
    }

    fn publish(&mut self, snapshot: Snapshot, sample: Option<Sample>) {
        let json = json(&snapshot);
        let mut seen = self.view.seen();
        seen.snapshot = Some(Arc::new(snapshot));
        seen.json = json.clone();
        if let Some(sample) = sample {
            if seen.history.len() == SAMPLES {
                seen.history.pop_front();
            }
            seen.history.push_back(sample);
        }
        drop(seen);
        // No client may be listening.
        let _ = self.view.live.send(Live::Snapshot(json));
    }

    /// Marks the last snapshot as that of a node that has ended.
    fn end(&mut self) {
        let Some(last) = self.view.snapshot() else {
            return;
        };
        let mut snapshot = (*last).clone();
        snapshot.running = false;
        snapshot.health.ready = false;
        snapshot.health.peers = 0;
        snapshot.peers.clear();
        snapshot.awaiting.clear();
        snapshot.rates = Rates::default();
        snapshot.problems = vec![super::diagnosis::ended(unix_ms() / 1000)];
        self.publish(snapshot, None);
    }

    fn peer(&self, peer: &node::Peer, seconds: f64) -> Peer {
        let id = peer.id.to_string();
        let before = self.last.as_ref().and_then(|last| last.peers.get(&id));
        let traffic = |now: mesh::Traffic, before: Option<mesh::Traffic>| {
            // A new connection counts from zero.
            let grown = |now: u64, before: u64| if now < before { now } else { now - before };
            let before = before.unwrap_or(now);
            Traffic {
                messages: now.messages,
                bytes: now.bytes,
                messages_per_second: per(grown(now.messages, before.messages), seconds),
                bytes_per_second: per(grown(now.bytes, before.bytes), seconds),
            }
        };
        Peer {
            addr: printable(&peer.addr.to_string(), 270),
            direction: name(&peer.direction),
            compression: peer.compression.as_ref().map(name),
            since: peer.since,
            received: traffic(peer.received, before.map(|before| before.0)),
            sent: traffic(peer.sent, before.map(|before| before.1)),
            round_trip: None,
            id,
        }
    }

    fn settings(&self, report: &StatusReport) -> Vec<Setting> {
        let in_force = settings(Some(serde_json::Value::Object((*report.settings).clone())));
        let setting = |(name, value): (String, String)| {
            let default = self
                .defaults
                .get(&name)
                .filter(|default| **default != value);
            Setting {
                default: default.cloned(),
                name,
                value,
            }
        };
        in_force.into_iter().map(setting).collect()
    }
}

impl Actor for Observer {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let subscribe = SubscribeEvents::new(ctx.address()).items(EVENTS);
        let router = self.view.router.clone();
        // If the node has ended already, the first sample notices.
        ctx.spawn(wrap_future::<_, Self>(router.send(subscribe)).map(|_, _, _| ()));
        self.look(ctx);
        ctx.run_interval(EVERY, Self::look);
    }
}

impl Handler<Event> for Observer {
    type Result = ();

    fn handle(&mut self, event: Event, _: &mut Context<Self>) {
        let time = unix_ms();
        self.diagnosis.heard(time / 1000, &event);
        let mut seen = self.view.seen();
        seen.seq += 1;
        let told = Arc::new(Told {
            seq: seen.seq,
            time,
            event: event.code().into(),
            severity: event.severity(),
            what: event.to_string(),
            detail: serde_json::to_value(&event).unwrap_or_default(),
        });
        if seen.events.len() == EVENTS {
            seen.events.pop_front();
        }
        seen.events.push_back(Arc::clone(&told));
        drop(seen);
        // No client may be listening.
        let _ = self.view.live.send(Live::Told(json(&told)));
    }
}

fn info(report: &StatusReport) -> NodeInfo {
    NodeInfo {
        id: report.id.to_string(),
        listen: report.listen.to_string(),
        address: report.address.to_string(),
        subnet: report.subnet.name.clone(),
        encryption: report.subnet.encryption.clone(),
        subnet_id: report.subnet_id.to_string(),
        wire: report.wire.to_string(),
        since: report.since,
        version: env!("CARGO_PKG_VERSION").into(),
    }
}

fn awaited(awaited: &node::Awaited) -> Awaited {
    Awaited {
        addr: printable(&awaited.addr.to_string(), 270),
        direction: name(&awaited.direction),
        connected: awaited.connected,
    }
}

/// Returns every counter and gauge by its name.
fn numbers(report: &StatusReport) -> BTreeMap<String, u64> {
    let mut numbers = BTreeMap::new();
    if let Ok(serde_json::Value::Object(stats)) = serde_json::to_value(&report.stats) {
        let stats = stats.into_iter();
        numbers.extend(stats.filter_map(|(name, value)| Some((name, value.as_u64()?))));
    }
    numbers.insert("sending".into(), report.sending as u64);
    numbers.insert("waiting".into(), report.waiting as u64);
    numbers.insert("turned_away".into(), report.turned_away);
    numbers
}

/// Returns the settings in words, by name. Leaves out what could be a secret.
fn settings(all: Option<serde_json::Value>) -> BTreeMap<String, String> {
    let Some(serde_json::Value::Object(all)) = all else {
        return BTreeMap::new();
    };
    let secret = |name: &str| {
        ["key", "secret", "token", "password", "seed"]
            .iter()
            .any(|word| name.contains(word))
    };
    let public = all.into_iter().filter(|(name, _)| !secret(name));
    public.map(|(name, value)| (name, words(&value))).collect()
}

fn words(value: &serde_json::Value) -> String {
    use serde_json::Value;
    match value {
        Value::Null => "off".into(),
        Value::Bool(on) => if *on { "yes" } else { "no" }.into(),
        Value::String(text) => printable(text, 200),
        Value::Number(number) => number.to_string(),
        Value::Array(list) if list.is_empty() => "none".into(),
        Value::Array(list) => list.iter().map(words).collect::<Vec<_>>().join(", "),
        Value::Object(map) => match (map.get("secs"), map.get("nanos")) {
            (Some(secs), Some(nanos)) if map.len() == 2 => {
                let time = Duration::new(
                    secs.as_u64().unwrap_or_default(),
                    u32::try_from(nanos.as_u64().unwrap_or_default()).unwrap_or_default(),
                );
                format!("{time:?}")
            }
            _ => {
                let pairs = map
                    .iter()
                    .map(|(name, value)| format!("{name} {}", words(value)));
                pairs.collect::<Vec<_>>().join(", ")
            }
        },
    }
}

/// Returns the name of a value in JSON.
fn name(of: &impl serde::Serialize) -> String {
    match serde_json::to_value(of) {
        Ok(serde_json::Value::String(name)) => name,
        _ => String::new(),
    }
}

fn json(of: &impl serde::Serialize) -> Bytes {
    serde_json::to_vec(of).map(Bytes::from).unwrap_or_default()
}

#[expect(clippy::cast_precision_loss, reason = "a rate is rough")]
fn per(count: u64, seconds: f64) -> f64 {
    count as f64 / seconds
}

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |time| {
        u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
    })
}
