//! A node under load: produces the figures in `docs/performance.md`.
//!
//!     load_node --id N --base PORT [--connect ID,ID..] [--idle COUNT] [--opt compression=zlib] [--opt one-by-one]
//!         [--opt wire=0.7] [--opt tls=DIR] [--opt flood]
//!
//! With `--opt tls=DIR` it joins a closed mesh with the certificate DIR/N, as issued by `actix-mesh ca issue DIR N`.
//!
//! Node N listens on port PORT + N of the loopback and dials the given nodes. It reads commands as lines:
//!
//! | line | answer |
//! |---|---|
//! | `peers` | `PEERS n`: the number of connected peers |
//! | `expect PUBLISHERS N ACK_EVERY` | `OK`; starts a new round: N messages from each publisher |
//! | `mark` | `OK`: CPU time is counted from here |
//! | `pub N SIZE WINDOW ID,ID..` | none: publishes, at most WINDOW ahead of the slowest of these receivers |
//! | `stat` | `STAT {json}` |
//! | `quit`, or EOF | the process ends |
//!
//! It prints `READY` when its peers are connected, and `DONE` when all expected messages have arrived. Receivers
//! acknowledge to publishers over UDP, on each node's own port, PORT + 100 + N. Messages are sent in batches and
//! delivered in bundles, or, with `--opt one-by-one`, each separately. With `--idle` the process runs that many nodes
//! that do nothing.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::error::Error;
use std::fs;
use std::io::{BufRead as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket as StdUdpSocket};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use actix::dev::Request;
use actix::{Actor, Addr, AsyncContext as _, Context, Handler};
use actix_mesh::tls::Tls;
use actix_mesh::{
    Bundle, Config, Connect, Generation, Message, Method, Node, Overflow, Packet, Peers, Router,
    Send, SendMany, Status, Subscribe,
};
use rustix::time::{ClockId, clock_gettime};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;

const STAMP: usize = 17;
/// Messages sent before the first is answered, and their bytes.
const UNDER_WAY: (usize, usize) = (128, 1024 * 1024);
/// Acknowledgements are repeated this often, since one may be lost.
const AGAIN: Duration = Duration::from_millis(50);
/// The most nodes of one measurement.
const NODES: usize = 64;

type Fallible<T> = Result<T, Box<dyn Error>>;

#[derive(Default)]
struct Args {
    id: u16,
    base: u16,
    connect: Vec<u16>,
    idle: u16,
    compression: Vec<Method>,
    one_by_one: bool,
    flood: bool,
    wire: Generation,
    tls: Option<PathBuf>,
}

impl Args {
    fn parse() -> Fallible<Self> {
        let mut args = Args::default();
        let mut words = std::env::args().skip(1);
        while let Some(key) = words.next() {
            let value = words.next().ok_or_else(|| format!("{key} needs a value"))?;
            match key.as_str() {
                "--id" => args.id = value.parse()?,
                "--base" => args.base = value.parse()?,
                "--connect" => args.connect = numbers(&value)?,
                "--idle" => args.idle = value.parse()?,
                "--opt" => args.option(&value)?,
                _ => return Err(format!("unknown argument {key}").into()),
            }
        }
        Ok(args)
    }

    fn option(&mut self, option: &str) -> Fallible<()> {
        if let Some(wire) = option.strip_prefix("wire=") {
            self.wire = wire.parse()?;
        }
        if let Some(folder) = option.strip_prefix("tls=") {
            self.tls = Some(folder.into());
        }
        self.one_by_one |= option == "one-by-one";
        self.flood |= option == "flood";
        if let Some(name) = option.strip_prefix("compression=") {
            let methods = Method::available().iter().copied();
            self.compression = methods
                .filter(|method| method.to_string() == name)
                .collect();
        }
        Ok(())
    }

    fn port_of(&self, id: u16) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.base + id).into()
    }

    fn acks_of(&self, id: u16) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.base + 100 + id).into()
    }

    /// Keeps the topology as given: no peer is dialled because another names it.
    fn config(&self, id: u16) -> Fallible<Config> {
        let config = Config::new()
            .generation(self.wire)
            .compression(self.compression.clone())
            .prune(!self.flood)
            .max_outgoing(0)
            .inbox_capacity(None);
        Ok(match &self.tls {
            Some(folder) => config.tls(Tls::from_files(folder.join(id.to_string()))?),
            None => config,
        })
    }
}

fn numbers<T: std::str::FromStr>(list: &str) -> Result<Vec<T>, T::Err> {
    list.split(',').map(str::parse).collect()
}

fn nanoseconds(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    seconds * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or_default()
}

/// Returns a clock shared by all processes of this machine.
fn now() -> u64 {
    nanoseconds(ClockId::Monotonic)
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    // If the reader is gone, EOF on the input ends the process.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// The beginning of each payload, written seven bits to a character because packets are text.
struct Stamp {
    round: u64,
    publisher: u64,
    number: u64,
    sent: u64,
}

impl Stamp {
    fn write(&self, stamp: &mut [u8; STAMP]) {
        let (round, rest) = stamp.split_at_mut(2);
        let (publisher, rest) = rest.split_at_mut(1);
        let (number, sent) = rest.split_at_mut(5);
        write_septets(self.round, round);
        write_septets(self.publisher, publisher);
        write_septets(self.number, number);
        write_septets(self.sent, sent);
    }

    fn read(payload: &[u8]) -> Option<Self> {
        let stamp = payload.first_chunk::<STAMP>()?;
        Some(Self {
            round: read_septets(&stamp[..2]),
            publisher: read_septets(&stamp[2..3]),
            number: read_septets(&stamp[3..8]),
            sent: read_septets(&stamp[8..]),
        })
    }
}

fn write_septets(mut number: u64, to: &mut [u8]) {
    for septet in to {
        *septet = number.to_le_bytes()[0] & 0x7f;
        number >>= 7;
    }
}

fn read_septets(from: &[u8]) -> u64 {
    let septets = from.iter().rev();
    septets.fold(0, |number, septet| number << 7 | u64::from(*septet))
}

/// Returns text that compresses no better than base64.
fn filler(size: usize, seed: u16) -> Vec<u8> {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-";
    let mut state = u64::from(seed) << 32 | 0x9e37_79b9;
    let letter = |_| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        LETTERS[usize::from(state.to_le_bytes()[7]) % LETTERS.len()]
    };
    (0..size).map(letter).collect()
}

/// The messages received from one publisher.
#[derive(Clone, Default)]
struct Heard {
    /// One bit per message number.
    numbers: Vec<u64>,
    count: u64,
    acknowledged: u64,
}

/// The messages one round expects, and those received.
#[derive(Default)]
struct Round {
    number: u64,
    publishers: u64,
    each: u64,
    ack_every: u64,
    heard: Vec<Heard>,
    count: u64,
    repeated: u64,
    first_sent: Option<u64>,
    last_heard: u64,
    latencies: Vec<u64>,
}

impl Round {
    /// Counts a message; returns its publisher's count if it has to be acknowledged.
    fn hear(&mut self, stamp: &Stamp, now: u64) -> Option<u64> {
        let publisher = usize::try_from(stamp.publisher).ok()?;
        let heard = self.heard.get_mut(publisher)?;
        if stamp.round != self.number || stamp.number >= self.each {
            return None;
        }
        let (word, bit) = (
            usize::try_from(stamp.number / 64).ok()?,
            1 << (stamp.number % 64),
        );
        if heard.numbers.len() <= word {
            heard.numbers.resize(word + 1, 0);
        }
        if heard.numbers[word] & bit != 0 {
            self.repeated += 1;
            return None;
        }
        heard.numbers[word] |= bit;
        heard.count += 1;
        self.count += 1;
        self.last_heard = now;
        self.first_sent = Some(
            self.first_sent
                .map_or(stamp.sent, |first| first.min(stamp.sent)),
        );
        if self.ack_every == 1 {
            self.latencies
                .push(self.last_heard.saturating_sub(stamp.sent) / 1000);
        }
        let due = heard.count - heard.acknowledged >= self.ack_every || heard.count == self.each;
        // A node that expects no publisher only relays.
        if self.publishers == 0 || !due {
            return None;
        }
        heard.acknowledged = heard.count;
        Some(heard.count)
    }

    fn is_done(&self) -> bool {
        self.publishers > 0 && self.count == self.publishers * self.each
    }

    fn quantile(&mut self, part: f64) -> u64 {
        self.latencies.sort_unstable();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss
        )]
        let at = (self.latencies.len().saturating_sub(1) as f64 * part).round() as usize;
        self.latencies.get(at).copied().unwrap_or_default()
    }
}

/// Receives, acknowledges and counts.
struct Meter {
    args: Args,
    acks: StdUdpSocket,
    round: RefCell<Round>,
    cpu_from: Cell<u64>,
}

impl Meter {
    fn new(args: Args) -> Fallible<Self> {
        let acks = StdUdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        acks.set_nonblocking(true)?;
        Ok(Self {
            args,
            acks,
            round: RefCell::default(),
            cpu_from: Cell::default(),
        })
    }

    fn hear(&self, messages: &[Message]) {
        let (mut round, now) = (self.round.borrow_mut(), now());
        for message in messages {
            let packet = message.body().first().map(Packet::as_bytes);
            if let Some(stamp) = packet.and_then(Stamp::read)
                && let Some(count) = round.hear(&stamp, now)
            {
                self.acknowledge(&round, stamp.publisher, count);
                if round.is_done() {
                    say("DONE");
                }
            }
        }
    }

    fn acknowledge(&self, round: &Round, publisher: u64, count: u64) {
        let Ok(publisher) = u16::try_from(publisher) else {
            return;
        };
        let mut ack = [0; 24];
        ack[..8].copy_from_slice(&u64::from(self.args.id).to_le_bytes());
        ack[8..16].copy_from_slice(&round.number.to_le_bytes());
        ack[16..].copy_from_slice(&count.to_le_bytes());
        // A lost acknowledgement is repeated.
        let _ = self.acks.send_to(&ack, self.args.acks_of(publisher));
    }

    fn acknowledge_again(&self) {
        let round = self.round.borrow();
        let over = round.is_done() && now() - round.last_heard > 1_000_000_000;
        if round.publishers == 0 || over {
            return;
        }
        for (publisher, heard) in (0..).zip(&round.heard) {
            if heard.count > 0 {
                self.acknowledge(&round, publisher, heard.count);
            }
        }
    }

    fn expect(&self, [publishers, each, ack_every]: [u64; 3]) {
        let mut round = self.round.borrow_mut();
        *round = Round {
            number: round.number + 1,
            publishers,
            each,
            ack_every,
            heard: vec![Heard::default(); NODES],
            ..Round::default()
        };
    }

    fn mark(&self) {
        self.cpu_from.set(nanoseconds(ClockId::ProcessCPUTime));
    }

    fn stat(&self, duplicates: u64) -> String {
        let mut round = self.round.borrow_mut();
        let cpu = (nanoseconds(ClockId::ProcessCPUTime) - self.cpu_from.get()) / 1000;
        let (p50, p99) = (round.quantile(0.5), round.quantile(0.99));
        format!(
            "STAT {{\"cpu_us\":{cpu},\"rss_kb\":{},\"hwm_kb\":{},\"unique\":{},\"dup\":{},\
             \"lib_dup\":{duplicates},\"first_ns\":{},\"last_ns\":{},\"p50\":{p50},\"p99\":{p99}}}",
            memory("VmRSS:"),
            memory("VmHWM:"),
            round.count,
            round.repeated,
            round.first_sent.unwrap_or_default(),
            round.last_heard,
        )
    }
}

/// Reads a figure in kilobytes, as the system reports it.
fn memory(what: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(what));
    let number = line.and_then(|rest| rest.split_whitespace().next());
    number
        .and_then(|number| number.parse().ok())
        .unwrap_or_default()
}

/// The subscriber.
struct Receiver(Rc<Meter>);

impl Actor for Receiver {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.run_interval(AGAIN, |receiver, _| receiver.0.acknowledge_again());
    }
}

impl Handler<Bundle<Message>> for Receiver {
    type Result = ();

    fn handle(&mut self, messages: Bundle<Message>, _: &mut Context<Self>) {
        self.0.hear(&messages.0);
    }
}

/// Used when the actor takes its messages one by one.
impl Handler<Message> for Receiver {
    type Result = ();

    fn handle(&mut self, message: Message, _: &mut Context<Self>) {
        self.0.hear(&[message]);
    }
}

/// A publish command.
struct Publish {
    count: u64,
    window: u64,
    round: u64,
    publisher: u16,
    receivers: Vec<u16>,
    /// The count of each receiver, by its id.
    received: [u64; NODES],
    /// The payload, without the stamp.
    payload: Vec<u8>,
    /// Messages per batch, and how many batches may be in flight.
    together: u64,
    orders: usize,
    sent: u64,
}

impl Publish {
    fn new(args: &[&str], meter: &Meter) -> Fallible<Self> {
        let [count, size, window, receivers] = args else {
            return Err("pub N SIZE WINDOW ID,ID..".into());
        };
        let size: usize = size.parse()?;
        if size < STAMP {
            return Err("the size must hold a stamp".into());
        }
        let publisher = meter.args.id;
        let under_way = UNDER_WAY.0.min(UNDER_WAY.1 / size).max(2);
        let orders = if meter.args.one_by_one { under_way } else { 2 };
        Ok(Self {
            count: count.parse()?,
            window: window.parse()?,
            round: meter.round.borrow().number,
            publisher,
            receivers: numbers(receivers)?,
            received: [0; NODES],
            payload: filler(size, publisher),
            together: u64::try_from(under_way / orders)?,
            orders,
            sent: 0,
        })
    }

    async fn run(mut self, router: Addr<Router>, acks: Rc<UdpSocket>) -> Fallible<()> {
        let mut under_way = VecDeque::new();
        while self.sent < self.count || !under_way.is_empty() {
            let (limit, now) = (self.limit(), now());
            while under_way.len() < self.orders && self.sent < limit {
                under_way.push_back(self.order(&router, limit, now));
            }
            match under_way.pop_front() {
                Some(order) => order.end().await?,
                None => self.await_credit(&acks).await?,
            }
        }
        Ok(())
    }

    fn order(&mut self, router: &Addr<Router>, limit: u64, now: u64) -> Order {
        if self.together == 1 {
            return Order::One(router.send(Send::new(self.next(now))));
        }
        let many = self.sent..limit.min(self.sent + self.together);
        let many: SendMany = many.map(|_| Send::new(self.next(now))).collect();
        Order::Many(router.send(many))
    }

    fn limit(&self) -> u64 {
        let slowest = self
            .receivers
            .iter()
            .map(|id| self.received[usize::from(*id)])
            .min();
        slowest
            .unwrap_or_default()
            .saturating_add(self.window)
            .min(self.count)
    }

    fn next(&mut self, now: u64) -> Vec<u8> {
        let mut payload = self.payload.clone();
        if let Some(stamp) = payload.first_chunk_mut() {
            Stamp {
                round: self.round,
                publisher: self.publisher.into(),
                number: self.sent,
                sent: now,
            }
            .write(stamp);
        }
        self.sent += 1;
        payload
    }

    async fn await_credit(&mut self, acks: &UdpSocket) -> std::io::Result<()> {
        let mut ack = [0; 24];
        acks.recv(&mut ack).await?;
        self.credit(&ack);
        while acks.try_recv(&mut ack).is_ok() {
            self.credit(&ack);
        }
        Ok(())
    }

    fn credit(&mut self, ack: &[u8; 24]) {
        let (numbers, _) = ack.as_chunks();
        let [receiver, round, count] = [0, 1, 2].map(|n: usize| u64::from_le_bytes(numbers[n]));
        let received = usize::try_from(receiver)
            .ok()
            .and_then(|id| self.received.get_mut(id));
        if let Some(received) = received.filter(|_| round == self.round) {
            *received = count.max(*received);
        }
    }
}

/// A batch sent to the node.
enum Order {
    One(Request<Router, Send>),
    Many(Request<Router, SendMany>),
}

impl Order {
    async fn end(self) -> Fallible<()> {
        match self {
            Self::One(order) => drop(order.await??),
            Self::Many(order) => {
                for sent in order.await? {
                    sent?;
                }
            }
        }
        Ok(())
    }
}

/// Executes commands until EOF.
async fn obey(
    mut lines: mpsc::UnboundedReceiver<String>,
    node: Node,
    meter: Rc<Meter>,
) -> Fallible<()> {
    let acks = Rc::new(UdpSocket::bind(meter.args.acks_of(meter.args.id)).await?);
    say("READY");
    while let Some(line) = lines.recv().await {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["peers"] => say(&format!("PEERS {}", node.router.send(Peers).await?.len())),
            ["expect", numbers @ ..] => {
                let numbers: Vec<u64> = numbers
                    .iter()
                    .map(|word| word.parse())
                    .collect::<Result<_, _>>()?;
                meter.expect(
                    numbers
                        .try_into()
                        .map_err(|_| "expect PUBLISHERS N ACK_EVERY")?,
                );
                say("OK");
            }
            ["mark"] => {
                meter.mark();
                say("OK");
            }
            ["pub", args @ ..] => {
                let publish = Publish::new(args, &meter)?;
                let published = publish.run(node.router.clone(), Rc::clone(&acks));
                actix::spawn(async move {
                    if let Err(error) = published.await {
                        eprintln!("not published: {error}");
                    }
                });
            }
            ["stat"] => {
                let report = node.router.send(Status).await?;
                say(&meter.stat(report.stats.duplicates));
            }
            _ => break,
        }
    }
    Ok(())
}

/// Reads lines of standard input on a thread that may block.
fn lines() -> mpsc::UnboundedReceiver<String> {
    let (sender, receiver) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        let lines = std::io::stdin().lock().lines();
        lines
            .map_while(Result::ok)
            .try_for_each(|line| sender.send(line))
    });
    receiver
}

async fn connected(config: Config, args: &Args) -> Fallible<Node> {
    let node = config.start().await?;
    for id in &args.connect {
        node.router.send(Connect::to(args.port_of(*id))).await??;
    }
    Ok(node)
}

#[actix::main]
async fn main() -> Fallible<()> {
    let args = Args::parse()?;
    let mut lines = lines();
    if args.idle > 0 {
        for _ in 0..args.idle {
            connected(args.config(args.id)?, &args).await?;
        }
        say("READY");
        while lines.recv().await.is_some() {}
        return Ok(());
    }
    let config = args.config(args.id)?.listen(args.port_of(args.id));
    let node = connected(config, &args).await?;
    let one_by_one = args.one_by_one;
    let meter = Rc::new(Meter::new(args)?);
    let receiver = Receiver(Rc::clone(&meter)).start();
    if one_by_one {
        let subscribe = Subscribe::messages(receiver).overflow(Overflow::Pause);
        node.router.send(subscribe).await?;
    } else {
        let subscribe = Subscribe::bundles(receiver).overflow(Overflow::Pause);
        node.router.send(subscribe).await?;
    }
    obey(lines, node, meter).await?;
    std::process::exit(0)
}
