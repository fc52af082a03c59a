//! `node`: runs a node for a person at a terminal, or for a program that reads and writes lines.
//!
//! Owns the process's life cycle: start, run, drain. The interfaces own what is printed, and the crate what the node
//! does.

mod command;
mod directory;
mod http;
mod interface;
mod json;
pub(crate) mod printer;
pub(crate) mod seq;
pub(crate) mod session;
mod settings;
pub(crate) mod signals;
mod terminal;
mod text;

use std::cell::RefCell;
use std::future::Future;
use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use actix::{Addr, System};
use actix_mesh::tls::Tls;
use actix_mesh::{Address, Config, Generation, Router, Shutdown, ShutdownReport};
use clap::ValueEnum;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::lines::Lines;
use crate::output::Output;
use crate::{Failure, warn};
use directory::Directory;
use interface::Interface;
use printer::{Printer, Said};
use session::{End, Input, Session};
use settings::Settings;
use signals::Signals;

/// The most bytes of an input line: the largest message, with up to six characters per byte, and the JSON around it.
const LINE: usize = 6 * (4 << 20) + (64 << 10);

/// Lines read ahead.
const AHEAD: usize = 16;

/// How long pending commands may still run after EOF: the default deadline of a whisper.
const LAST_COMMANDS: Duration = Duration::from_secs(10);

/// How long the last lines of output may take.
const LAST_LINES: Duration = Duration::from_secs(5);

const EXAMPLES: &str = "\
Examples:
  actix-mesh node --listen 0.0.0.0:4444
  actix-mesh node --connect 192.0.2.7:4444 --connect peer.example:4444
  echo hello | actix-mesh node --connect 192.0.2.7:4444
  actix-mesh node --format json --subnet chat

With --format json, one object a line on stdin (\"seq\" is optional and comes back in the answer):
  {\"do\":\"connect\",\"addr\":\"host:port\",\"expect\":ID?}
  {\"do\":\"send\",\"packets\":[..],\"flag\":\"broadcast|whisper\"?,\"type\":PACKET?}
  {\"do\":\"whisper\",\"to\":ID,\"packets\":[..],\"type\":PACKET?,\"within\":SECONDS?}
  {\"do\":\"reply\",\"to\":MESSAGE_ID,\"packets\":[..]}
  {\"do\":\"disconnect\",\"peer\":ID}  {\"do\":\"peers\"}  {\"do\":\"awaiting\"}
  {\"do\":\"request_peers\"}  {\"do\":\"status\"}  {\"do\":\"quit\"}
A packet is a string (its UTF-8 bytes) or {\"hex\":\"00ff\"}. On stdout, one object a line:
  {\"event\":\"ready\",..} first, {\"event\":\"answer\",\"seq\":..,\"ok\":{..}} or with \"error\",
  {\"event\":\"message\",..}, {\"event\":\"peer_joined\",..}, {\"event\":\"peer_left\",..}, ...

At the end of its input, on quit, and when asked by a signal the node writes what is waiting and ends.

Exit codes:
  0  ended on request, or as nobody read its output
  1  could not start, or its input failed; standard error says why
  2  the command line was not understood";

/// Run a node: print what it hears, send what is typed, or serve another program in JSON
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// A TOML file of settings with the names of these flags; flags and variables override it
    #[arg(long = "config", env = "ACTIX_MESH_CONFIG", value_name = "FILE")]
    config_file: Option<PathBuf>,
    /// Where to listen; port 0 picks a free one, 0.0.0.0 opens the node to the network
    #[arg(
        long,
        env = "ACTIX_MESH_LISTEN",
        value_name = "ADDR",
        default_value = "127.0.0.1:0"
    )]
    listen: String,
    /// The address that peers are told to dial, if it differs from --listen
    #[arg(long, env = "ACTIX_MESH_ADVERTISE", value_name = "ADDR")]
    advertise: Option<Address>,
    /// A peer to stay connected to: dialled at once and again after every disconnect; repeatable
    #[arg(
        long,
        env = "ACTIX_MESH_CONNECT",
        value_delimiter = ',',
        value_name = "ADDR"
    )]
    connect: Vec<Address>,
    /// The name of the subnet; others are refused
    #[arg(
        long,
        env = "ACTIX_MESH_SUBNET",
        value_name = "NAME",
        default_value = "mesh"
    )]
    subnet: String,
    /// The transport: plain TCP, or WebSocket (`ws`); see also --tls
    #[arg(
        long,
        env = "ACTIX_MESH_ENCRYPTION",
        value_name = "Plaintext|ws",
        value_parser = open_encryption,
        default_value = "Plaintext",
        conflicts_with_all = ["tls", "wss", "unauthenticated_ssl"]
    )]
    encryption: String,
    /// Let pages of this origin join a ws or wss mesh, for example https://example.org
    #[arg(
        long,
        env = "ACTIX_MESH_ALLOW_ORIGIN",
        value_name = "ORIGIN",
        value_delimiter = ','
    )]
    allow_origin: Vec<String>,
    /// Close the mesh: the certificate DIR/NAME.crt with its key and its authority, as `actix-mesh ca` makes them
    #[arg(
        long,
        env = "ACTIX_MESH_TLS",
        value_name = "DIR/NAME",
        conflicts_with = "unauthenticated_ssl"
    )]
    tls: Option<PathBuf>,
    /// Speak WebSocket over TLS, as browsers and js2p dial it, which proves no id: files as for --tls, the certificate
    /// for the host that is dialled
    #[arg(
        long,
        env = "ACTIX_MESH_WSS",
        value_name = "DIR/NAME",
        conflicts_with_all = ["tls", "unauthenticated_ssl"]
    )]
    wss: Option<PathBuf>,
    /// Speak the reference peers' SSL, which authenticates nobody
    #[arg(long)]
    unauthenticated_ssl: bool,
    /// The protocol's generation
    #[arg(
        long,
        env = "ACTIX_MESH_WIRE",
        value_name = "GENERATION",
        default_value_t
    )]
    wire: Generation,
    /// The most peers to dial from other nodes' peers lists
    #[arg(
        long,
        env = "ACTIX_MESH_MAX_OUTGOING",
        value_name = "N",
        default_value_t = 4
    )]
    max_outgoing: usize,
    /// Allow sending packets that are not UTF-8, which hang js2p peers of generation 0.4
    #[arg(long, env = "ACTIX_MESH_ALLOW_BINARY")]
    allow_binary: bool,
    #[command(flatten)]
    http: http::Http,
    /// Exchange lists of connected peers with nodes that do the same; the page draws the map from them
    #[arg(long, env = "ACTIX_MESH_SHARE_TOPOLOGY")]
    share_topology: bool,
    /// Announce the node on the local network, and find others of its subnet there (mDNS)
    #[arg(long, env = "ACTIX_MESH_MDNS")]
    mdns: bool,
    /// Read no commands and run until a signal; implied when standard input is /dev/null or closed
    #[arg(long, env = "ACTIX_MESH_DETACH_INPUT")]
    detach_input: bool,
    #[command(flatten)]
    settings: Settings,
    /// How to talk: text for people, json for programs
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

impl Args {
    fn config(&self) -> Result<Config, Failure> {
        let config = self
            .settings
            .apply(Config::new())?
            .listen(&self.listen)
            .subnet(&self.subnet, &self.encryption)
            .generation(self.wire)
            .max_outgoing(self.max_outgoing)
            .allow_binary(self.allow_binary)
            .share_topology(self.share_topology)
            .mdns(self.mdns)
            // The one subscriber has its own queue.
            .inbox_capacity(None);
        let config = self.connect.iter().cloned().fold(config, Config::connect);
        let origins = self.allow_origin.iter();
        let config = origins.fold(config, |config, origin| config.allow_origin(origin));
        let config = match &self.advertise {
            Some(address) => config.advertise(address.clone()),
            None => config,
        };
        Ok(match (&self.tls, &self.wss) {
            (Some(prefix), _) => config.tls(Tls::from_files(prefix)?),
            (None, Some(prefix)) => config.wss(Tls::from_files(prefix)?),
            (None, None) if self.unauthenticated_ssl => {
                warn(
                    "SSL as the reference peers have it authenticates nobody: any stranger is let in",
                );
                config.unauthenticated_ssl()
            }
            (None, None) => config,
        })
    }

    fn interface(&self) -> Rc<dyn Interface> {
        match self.format {
            Format::Text => Rc::new(text::Text::new(self.wire, text::Style::of_terminal())),
            Format::Json => Rc::new(json::Json),
        }
    }
}

/// Accepts an encryption that needs nothing but its name.
pub(crate) fn open_encryption(name: &str) -> Result<String, String> {
    match name {
        "Plaintext" | "ws" => Ok(name.to_owned()),
        _ if name.eq_ignore_ascii_case("tls") => {
            Err("a closed mesh needs a certificate: give --tls DIR/NAME instead".into())
        }
        _ if name.eq_ignore_ascii_case("wss") => {
            Err("wss needs a certificate: give --wss DIR/NAME instead".into())
        }
        _ if name.eq_ignore_ascii_case("ssl") => {
            Err("what the reference peers call SSL authenticates nobody: give --unauthenticated-ssl instead".into())
        }
        _ => Err("it is Plaintext or ws".into()),
    }
}

pub(crate) fn run(args: Args) -> Result<(), Failure> {
    System::new().block_on(live(args))
}

async fn live(args: Args) -> Result<(), Failure> {
    let mut signals = Signals::listen()?;
    let node = args.config()?.start().await?;
    let (interface, directory) = (
        args.interface(),
        Rc::new(RefCell::new(Directory::default())),
    );
    // With `--detach-input` a service manager is in control, even on a terminal.
    let edited = args.format == Format::Text && !args.detach_input;
    let terminal = edited.then(terminal::Terminal::open).flatten();
    let (output, lines, _found) = match terminal {
        Some(terminal) => terminal.into_parts(),
        None => (Output::open()?, None, None),
    };
    // The queue is empty; a closed output is noticed below.
    let _ = output.say(interface.ready(&node, args.wire)).await;
    tell_manager(Stage::Ready);
    let page = args.http.serve(&node.router)?;
    if let Some(page) = &page {
        // As above.
        let _ = output.say(interface.page(page.url())).await;
    }
    let printer = Printer {
        router: node.router.clone(),
        interface: Rc::clone(&interface),
        directory: Rc::clone(&directory),
        output: output.clone(),
    };
    let printer = printer.subscribe(&node.router).await?;
    let mut session = Session::new(node.router.clone(), interface, directory, output.clone());
    let piped = args.format == Format::Text && !io::stdin().is_terminal();
    let end = tokio::select! {
        end = converse(&mut session, args, lines) => end?,
        () = output.gone() => End::OfOutput,
        () = signals.next() => End::Signal,
    };
    let unsent = session.unsent();
    let ended = leave(session, &end, node.router, printer, output.clone());
    tell_manager(Stage::Stopping);
    tokio::select! {
        () = ended => {}
        () = signals.next() => warn("ended at once, on a second signal"),
    }
    if let Some(fault) = output.fault() {
        return Err(format!("standard output could not be written: {fault}").into());
    }
    match end {
        End::Failed(error) => Err(error.into()),
        End::OfInput if piped && unsent.get() > 0 => Err(match unsent.get() {
            1 => "1 line of standard input was not sent".into(),
            count => format!("{count} lines of standard input were not sent").into(),
        }),
        _ => Ok(()),
    }
}

/// What a service manager is told.
#[derive(Clone, Copy)]
enum Stage {
    Ready,
    Stopping,
}

/// Notifies systemd if it asked for that (`Type=notify`).
#[cfg(unix)]
fn tell_manager(stage: Stage) {
    let state = match stage {
        Stage::Ready => sd_notify::NotifyState::Ready,
        Stage::Stopping => sd_notify::NotifyState::Stopping,
    };
    if let Err(why) = sd_notify::notify(false, &[state]) {
        warn(&format!("the service manager was not told: {why}"));
    }
}

#[cfg(not(unix))]
fn tell_manager(_: Stage) {}

/// Dials, then serves the user until input or output ends.
async fn converse(
    session: &mut Session,
    args: Args,
    lines: Option<mpsc::Receiver<Input>>,
) -> io::Result<End> {
    args.connect.into_iter().for_each(|addr| session.dial(addr));
    if args.format == Format::Text {
        // Connect first, so that `echo hello | actix-mesh node --connect ..` reaches a peer.
        session.settle().await;
    }
    if args.detach_input || is_nothing() {
        std::future::pending::<()>().await;
    }
    let lines = match lines {
        Some(lines) => lines,
        None => input()?,
    };
    Ok(session.listen(lines).await)
}

/// Whether standard input is the null device, as for a service: no line will come, and its EOF means nothing.
#[cfg(unix)]
fn is_nothing() -> bool {
    use std::os::fd::AsFd as _;
    use std::os::unix::fs::MetadataExt as _;
    let input = io::stdin().as_fd().try_clone_to_owned();
    let input = input.and_then(|input| std::fs::File::from(input).metadata());
    let nothing = std::fs::metadata("/dev/null");
    matches!((input, nothing), (Ok(input), Ok(nothing)) if input.rdev() == nothing.rdev() && input.dev() == nothing.dev() && input.ino() == nothing.ino())
}

#[cfg(not(unix))]
fn is_nothing() -> bool {
    false
}

/// Reads lines of standard input on a detached thread, because a blocking read cannot be cancelled.
fn input() -> io::Result<mpsc::Receiver<Input>> {
    let (sender, lines) = mpsc::channel(AHEAD);
    thread::Builder::new().name("input".into()).spawn(move || {
        let mut input = Lines::new(io::stdin().lock(), LINE);
        while let Some(line) = input.next()
            && sender.blocking_send(line).is_ok()
        {}
    })?;
    Ok(lines)
}

/// Ends the pending commands, then the node, then the output, each with a deadline.
async fn leave(
    mut session: Session,
    end: &End,
    router: Addr<Router>,
    printer: Addr<Printer>,
    output: Output,
) {
    if let End::OfInput | End::Quit | End::Failed(_) = end {
        at_most(LAST_COMMANDS, session.settle()).await;
    }
    if let Ok(report) = router.send(Shutdown::new()).await {
        tell(&report);
    }
    if !matches!(end, End::OfOutput) {
        at_most(LAST_LINES, async {
            // The shutdown has answered the remaining commands.
            session.settle().await;
            // The printer lives as long as this address.
            let _ = printer.send(Said).await;
            output.finish().await;
        })
        .await;
    }
}

async fn at_most(time: Duration, what: impl Future<Output = ()>) {
    // What is not done by then is abandoned.
    let _ = timeout(time, what).await;
}

/// Reports what was lost at the end.
fn tell(report: &ShutdownReport) {
    let ShutdownReport {
        unsent,
        refused,
        undelivered,
        ..
    } = report;
    if !unsent.is_empty() {
        let peers: Vec<_> = unsent
            .iter()
            .map(|unsent| format!("{} ({} not written)", unsent.peer, unsent.traffic.messages))
            .collect();
        warn(&format!(
            "ended before these peers had taken everything: {}",
            peers.join(", ")
        ));
    }
    if *refused > 0 {
        warn(&format!("ended before {refused} messages could be sent"));
    }
    if *undelivered > 0 {
        warn(&format!(
            "ended before {undelivered} received messages were printed"
        ));
    }
}
