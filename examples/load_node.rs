//! A node under load: what the numbers in `docs/performance.md` are measured with.
//!
//!     load_node --id N --base PORT [--connect ID,ID..] [--idle COUNT] [--opt compression=zlib]
//!
//! Node N listens on PORT + N of the loopback and dials the nodes it is told to. It is driven by lines:
//!
//! | line | answer |
//! |---|---|
//! | `peers` | `PEERS n`: so many are connected |
//! | `expect PUBLISHERS N ACK_EVERY` | `OK`; a new round begins: from each publisher, N messages |
//! | `mark` | `OK`: CPU time counts from here |
//! | `pub N SIZE WINDOW ID,ID..` | none: publishes, at most WINDOW beyond what the slowest of these has received |
//! | `stat` | `STAT {json}` |
//! | `quit`, or the end | the process ends |
//!
//! It says `READY` when its peers are connected, and `DONE` when all that was expected has come. Receivers
//! tell publishers how much they have on a UDP port of each node's own, PORT + 100 + N. With `--idle` it is
//! that many nodes that do nothing.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::error::Error;
use std::fs;
use std::io::{BufRead as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket as StdUdpSocket};
use std::rc::Rc;
use std::time::Duration;

use actix::{Actor, Addr, AsyncContext as _, Context, Handler};
use actix_mesh::{
    Config, Connect, Message, Method, Node, Overflow, Peers, Router, Send, Status, Subscribe,
};
use rustix::time::{ClockId, clock_gettime};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;

/// Packets are text, so that every peer of the generation could read them.
const STAMP: usize = 40;
/// Sent before the first of them is answered: messages, and their bytes.
const UNDER_WAY: (usize, usize) = (128, 512 * 1024);
/// An acknowledgement may be lost; it is said again this often.
const AGAIN: Duration = Duration::from_millis(50);
/// Nodes of one measurement.
const NODES: usize = 64;

type Fallible<T> = Result<T, Box<dyn Error>>;

#[derive(Default)]
struct Args {
    id: u16,
    base: u16,
    connect: Vec<u16>,
    idle: u16,
    compression: Vec<Method>,
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
                "--opt" => args.option(&value),
                _ => return Err(format!("unknown argument {key}").into()),
            }
        }
        Ok(args)
    }

    fn option(&mut self, option: &str) {
        if let Some(name) = option.strip_prefix("compression=") {
            let methods = Method::available().iter().copied();
            self.compression = methods
                .filter(|method| method.to_string() == name)
                .collect();
        }
    }

    fn port_of(&self, id: u16) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.base + id).into()
    }

    fn acks_of(&self, id: u16) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.base + 100 + id).into()
    }

    /// The topology stays as it is told: no peer is dialled because another names it.
    fn config(&self) -> Config {
        Config::new()
            .compression(self.compression.clone())
            .max_outgoing(0)
            .inbox(0)
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

/// The same for all processes of a machine.
fn now() -> u64 {
    nanoseconds(ClockId::Monotonic)
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    // If nobody reads it any more, the end of the input tells.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// What is written at the beginning of each payload.
struct Stamp {
    round: u32,
    publisher: u16,
    number: u64,
    sent: u64,
}

impl Stamp {
    fn write(&self, payload: &mut String) {
        use std::fmt::Write as _;
        let Self {
            round,
            publisher,
            number,
            sent,
        } = self;
        // Writing into a string cannot fail.
        let _ = write!(
            payload,
            "{round:08x}{publisher:04x}{number:012x}{sent:016x}"
        );
    }

    fn read(payload: &[u8]) -> Option<Self> {
        let stamp = payload.first_chunk::<STAMP>()?;
        Some(Self {
            round: hex(&stamp[..8])?.try_into().ok()?,
            publisher: hex(&stamp[8..12])?.try_into().ok()?,
            number: hex(&stamp[12..24])?,
            sent: hex(&stamp[24..])?,
        })
    }
}

fn hex(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |number, digit| {
        let digit = char::from(*digit).to_digit(16)?;
        Some(number << 4 | u64::from(digit))
    })
}

/// Text that does not shrink below what base64 shrinks.
fn filler(size: usize, seed: u16) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-";
    let mut state = u64::from(seed) << 32 | 0x9e37_79b9;
    let letter = |_| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        char::from(LETTERS[usize::from(state.to_le_bytes()[7]) % LETTERS.len()])
    };
    (0..size).map(letter).collect()
}

/// What came from one publisher.
#[derive(Clone, Default)]
struct Heard {
    /// A bit for each number.
    numbers: Vec<u64>,
    count: u64,
    acknowledged: u64,
}

/// What one round expects, and what has come of it.
#[derive(Default)]
struct Round {
    number: u32,
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
    /// Counts a message; how many have come from its publisher if that is to be acknowledged.
    fn hear(&mut self, stamp: &Stamp) -> Option<u64> {
        let heard = self.heard.get_mut(usize::from(stamp.publisher))?;
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
        self.last_heard = now();
        self.first_sent = Some(
            self.first_sent
                .map_or(stamp.sent, |first| first.min(stamp.sent)),
        );
        if self.ack_every == 1 {
            self.latencies
                .push(self.last_heard.saturating_sub(stamp.sent) / 1000);
        }
        let due = heard.count - heard.acknowledged >= self.ack_every || heard.count == self.each;
        // Who expects nobody only relays.
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

    fn hear(&self, payload: &[u8]) {
        let Some(stamp) = Stamp::read(payload) else {
            return;
        };
        let mut round = self.round.borrow_mut();
        if let Some(count) = round.hear(&stamp) {
            self.acknowledge(&round, stamp.publisher, count);
            if round.is_done() {
                say("DONE");
            }
        }
    }

    fn acknowledge(&self, round: &Round, publisher: u16, count: u64) {
        let mut ack = [0; 16];
        ack[..4].copy_from_slice(&u32::from(self.args.id).to_le_bytes());
        ack[4..8].copy_from_slice(&round.number.to_le_bytes());
        ack[8..].copy_from_slice(&count.to_le_bytes());
        // A lost one is said again.
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

/// Kilobytes, as the system counts them.
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

impl Handler<Message> for Receiver {
    type Result = ();

    fn handle(&mut self, message: Message, _: &mut Context<Self>) {
        if let Some(packet) = message.body().first() {
            self.0.hear(packet.as_bytes());
        }
    }
}

/// One order to publish.
struct Publish {
    count: u64,
    window: u64,
    round: u32,
    publisher: u16,
    receivers: Vec<u16>,
    /// What each receiver has, by its id.
    received: [u64; NODES],
    filler: String,
    under_way: usize,
    sent: u64,
}

impl Publish {
    fn new(args: &[&str], publisher: u16, round: u32) -> Fallible<Self> {
        let [count, size, window, receivers] = args else {
            return Err("pub N SIZE WINDOW ID,ID..".into());
        };
        let size: usize = size.parse()?;
        let rest = size
            .checked_sub(STAMP)
            .ok_or("the size must hold a stamp")?;
        Ok(Self {
            count: count.parse()?,
            window: window.parse()?,
            round,
            publisher,
            receivers: numbers(receivers)?,
            received: [0; NODES],
            filler: filler(rest, publisher),
            under_way: UNDER_WAY.0.min(UNDER_WAY.1 / size).max(1),
            sent: 0,
        })
    }

    async fn run(mut self, router: Addr<Router>, acks: Rc<UdpSocket>) -> Fallible<()> {
        let mut under_way = VecDeque::new();
        while self.sent < self.count || !under_way.is_empty() {
            while under_way.len() < self.under_way && self.sent < self.limit() {
                under_way.push_back(router.send(Send::new(self.next())));
            }
            match under_way.pop_front() {
                Some(answer) => drop(answer.await??),
                None => self.await_credit(&acks).await?,
            }
        }
        Ok(())
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

    fn next(&mut self) -> String {
        let mut payload = String::with_capacity(STAMP + self.filler.len());
        Stamp {
            round: self.round,
            publisher: self.publisher,
            number: self.sent,
            sent: now(),
        }
        .write(&mut payload);
        payload.push_str(&self.filler);
        self.sent += 1;
        payload
    }

    async fn await_credit(&mut self, acks: &UdpSocket) -> std::io::Result<()> {
        let mut ack = [0; 16];
        acks.recv(&mut ack).await?;
        self.credit(&ack);
        while acks.try_recv(&mut ack).is_ok() {
            self.credit(&ack);
        }
        Ok(())
    }

    fn credit(&mut self, ack: &[u8; 16]) {
        let number = |bytes: &[u8]| {
            bytes
                .iter()
                .rev()
                .fold(0, |n, byte| n << 8 | u64::from(*byte))
        };
        let (receiver, round, count) = (number(&ack[..4]), number(&ack[4..8]), number(&ack[8..]));
        let received = usize::try_from(receiver)
            .ok()
            .and_then(|id| self.received.get_mut(id));
        if let Some(received) = received.filter(|_| round == u64::from(self.round)) {
            *received = count.max(*received);
        }
    }
}

/// Does what the lines say, until there are no more.
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
                let round = meter.round.borrow().number;
                let publish = Publish::new(args, meter.args.id, round)?;
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

/// The lines of the standard input, read where they may block.
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
            connected(args.config(), &args).await?;
        }
        say("READY");
        while lines.recv().await.is_some() {}
        return Ok(());
    }
    let config = args.config().listen(args.port_of(args.id));
    let node = connected(config, &args).await?;
    let meter = Rc::new(Meter::new(args)?);
    let receiver = Receiver(Rc::clone(&meter)).start();
    let subscribe = Subscribe::messages(receiver).overflow(Overflow::Pause);
    node.router.send(subscribe).await?;
    obey(lines, node, meter).await?;
    std::process::exit(0)
}
