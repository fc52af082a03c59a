//! `probe`: reports what listens at an address and, if joining fails, what to change.
//!
//! Owns the attempts and the advice. Each attempt is a regular join by a fresh node.

use std::time::{Duration, Instant};

use actix::{Actor, Context, Handler, System};
use actix_mesh::tls::Tls;
use actix_mesh::{
    CloseReason, Config, Connect, ConnectError, DialError, Event, Generation, HostPort, Node,
    Shutdown, Status, Subnet,
};
use serde::Serialize;

use crate::Failure;

const EXAMPLES: &str = "\
Examples:
  actix-mesh probe 192.0.2.7:4444
  actix-mesh probe 192.0.2.7:4444 --subnet shop --tls mesh-ca/anna

On stdout one JSON object: `joined`, and what was found; where nobody was joined, `why` and `advice`.

Exit codes:
  0  a node is there, and would have this one
  1  not so; `advice` says what to change
  2  the command line was not understood";

/// How long a node has to send its handshake.
const HANDSHAKE: Duration = Duration::from_secs(4);
/// How long to listen after joining, for its peers list and its clock.
const LISTEN: Duration = Duration::from_millis(1500);
/// The encryptions tried by name when a subnet's id is not ours.
const ENCRYPTIONS: [&str; 4] = ["Plaintext", "TLS", "SSL", "ws"];
/// The most likely generation first.
const ORDER: [Generation; 4] = [
    Generation::V0_4,
    Generation::V0_7,
    Generation::V0_6,
    Generation::V0_5,
];

/// Report what listens at an address: generation, subnet, encryption, compression, clock, round trip, known peers; or
/// why a node cannot join
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The address to probe
    #[arg(value_name = "HOST:PORT")]
    addr: HostPort,
    /// The subnet to join
    #[arg(
        long,
        value_name = "NAME",
        default_value = "mesh",
        env = "ACTIX_MESH_SUBNET"
    )]
    subnet: String,
    /// Join a closed mesh with this certificate: DIR/NAME, as `ca issue` makes it
    #[arg(long, value_name = "DIR/NAME", env = "ACTIX_MESH_TLS")]
    tls: Option<String>,
    /// Ask by WebSocket over TLS, trusting DIR/ca.crt
    #[arg(long, value_name = "DIR/NAME", env = "ACTIX_MESH_WSS", conflicts_with_all = ["tls", "unauthenticated_ssl"])]
    wss: Option<String>,
    /// Encrypt as the reference peers do, which authenticates nobody
    #[arg(long, conflicts_with = "tls")]
    unauthenticated_ssl: bool,
    /// The transport: plain TCP, or WebSocket (`ws`)
    #[arg(
        long,
        value_name = "Plaintext|ws",
        value_parser = crate::node::open_encryption,
        default_value = "Plaintext",
        conflicts_with_all = ["tls", "wss", "unauthenticated_ssl"]
    )]
    encryption: String,
    /// Ask in this generation only
    #[arg(long, value_name = "GENERATION")]
    wire: Option<Generation>,
}

/// The report that is printed.
#[derive(Debug, Serialize)]
struct Report {
    event: &'static str,
    addr: String,
    joined: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    wire: Option<Generation>,
    #[serde(flatten)]
    found: Found,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Found {
    Joined {
        id: String,
        subnet: Subnet,
        proven: bool,
        compression: Option<String>,
        /// The time to open one TCP connection.
        round_trip_ms: Option<f64>,
        /// How many seconds its clock differs from ours, if by more than a few.
        skew_seconds: i64,
        /// The number of other nodes in its peers list.
        peers_known: u64,
    },
    Refused {
        code: String,
        why: String,
        advice: String,
    },
}

/// The result of one attempt.
enum Outcome {
    Joined(Found),
    /// Another generation might work: this one, if known.
    Other(Option<Generation>, Found),
    /// No generation would work.
    Not(Found),
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let report = System::new().block_on(probe(args))?;
    println!("{}", serde_json::to_string(&report)?);
    match report.joined {
        true => Ok(()),
        false => Err("not joined: the line above says why, and what to change".into()),
    }
}

async fn probe(args: &Args) -> Result<Report, Failure> {
    let mut left: Vec<Generation> = match args.wire {
        Some(wire) => vec![wire],
        None => ORDER.to_vec(),
    };
    let report = |wire, found: Found| Report {
        event: "probed",
        addr: args.addr.to_string(),
        joined: matches!(found, Found::Joined { .. }),
        wire,
        found,
    };
    let mut best: Option<Found> = None;
    while !left.is_empty() {
        let wire = left.remove(0);
        match ask(args, wire).await? {
            Outcome::Joined(found) => return Ok(report(Some(wire), found)),
            Outcome::Not(found) => return Ok(report(None, found)),
            Outcome::Other(known, found) => {
                // A refusal that names the peer's subnet says the most.
                let names = matches!(&found, Found::Refused { code, .. } if code == "other_subnet");
                if names || best.is_none() {
                    best = Some(found);
                }
                if let Some(at) = left.iter().position(|wire| Some(*wire) == known) {
                    left.swap(0, at);
                } else if names {
                    break;
                }
            }
        }
    }
    let found = best.ok_or("no generation was asked")?;
    Ok(report(None, found))
}

async fn ask(args: &Args, wire: Generation) -> Result<Outcome, Failure> {
    let mut config = Config::new()
        .generation(wire)
        .subnet(args.subnet.as_str(), args.encryption.as_str())
        .handshake_timeout(HANDSHAKE)
        // Join the probed node, and none that it knows.
        .max_outgoing(0);
    if let Some(prefix) = &args.tls {
        config = config.tls(Tls::from_files(prefix)?);
    } else if let Some(prefix) = &args.wss {
        config = config.wss(Tls::from_files(prefix)?);
    } else if args.unauthenticated_ssl {
        config = config.unauthenticated_ssl();
    }
    let node = config.start().await?;
    let skew = Skew::default().start();
    node.events(skew.clone().recipient()).await?;
    let outcome = match node.router.send(Connect::to(args.addr.clone())).await? {
        Ok(_) => {
            let round_trip_ms = round_trip(&args.addr).await;
            let peers_known = peers_known(&node).await?;
            let seconds = skew.send(Seconds).await?;
            match node.peers().await?.into_iter().next() {
                Some(peer) => Outcome::Joined(Found::Joined {
                    id: peer.id.to_string(),
                    subnet: node.subnet.clone(),
                    proven: peer.proven,
                    compression: peer.compression.map(|method| method.to_string()),
                    round_trip_ms,
                    skew_seconds: seconds,
                    peers_known,
                }),
                None => Outcome::Not(refused(
                    "left",
                    "it joined, and closed the connection at once".into(),
                    "look at the log of the node that is there: it may be full, or have been told to stay apart".into(),
                )),
            }
        }
        Err(error) => explain(args, wire, &node, &error),
    };
    // This node has nothing to drain.
    let _ = node
        .router
        .send(Shutdown::new().drain(Duration::ZERO))
        .await;
    Ok(outcome)
}

/// Listens for a while, and counts the peers in the first peers list.
async fn peers_known(node: &Node) -> Result<u64, Failure> {
    let (until, mut known) = (Instant::now() + LISTEN, 0);
    while Instant::now() < until {
        // Some nodes send their list twice; count the first.
        if known == 0 {
            known = node.router.send(Status).await?.stats.listed;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(known)
}

/// Measures the fastest of three connections that are opened and closed.
async fn round_trip(addr: &HostPort) -> Option<f64> {
    let addr = addr.to_string();
    let mut best = None;
    for _ in 0..3 {
        let began = Instant::now();
        let opened = tokio::net::TcpStream::connect(&addr).await;
        let took = (began.elapsed().as_secs_f64() * 1e6).round() / 1000.0;
        if opened.is_ok() {
            best = Some(best.map_or(took, |best: f64| best.min(took)));
        }
    }
    best
}

fn refused(code: &str, why: String, advice: String) -> Found {
    Found::Refused {
        code: code.to_owned(),
        why,
        advice,
    }
}

fn explain(args: &Args, wire: Generation, node: &Node, error: &ConnectError) -> Outcome {
    let (code, why) = (error.code(), error.to_string());
    let say = |advice: String| refused(code, why.clone(), advice);
    let ConnectError::Closed { reason, .. } = error else {
        let advice = match error {
            ConnectError::Dial {
                why: DialError::Refused,
                ..
            } => {
                "start the node, or check the port: the machine answers, but no program listens there"
            }
            ConnectError::Dial {
                why: DialError::Timeout,
                ..
            } => "check the host and the firewalls between: nothing answers",
            _ => "check the address",
        };
        return Outcome::Not(say(advice.into()));
    };
    match reason {
        CloseReason::OtherSubnet { theirs, .. } => match named(&node.subnet.name, theirs) {
            Some((known, encryption)) if encryption != node.subnet.encryption => {
                let advice = match encryption {
                    "TLS" => "give --tls DIR/NAME: the subnet is closed".to_owned(),
                    "SSL" => "give --unauthenticated-ssl".to_owned(),
                    "ws" => "give --encryption ws".to_owned(),
                    _ => "omit --encryption: the subnet is open".to_owned(),
                };
                Outcome::Other((known != wire).then_some(known), say(advice))
            }
            Some((known, _)) => {
                Outcome::Other(Some(known), say(format!("join with --wire {known}")))
            }
            None => {
                let name = &node.subnet.name;
                let advice = format!("its subnet is not {name:?}: give its name with --subnet");
                Outcome::Other(None, say(advice))
            }
        },
        CloseReason::Insecure { .. } if args.tls.is_some() => Outcome::Not(say(
            "check that both have certificates of one authority, that neither has expired, and that the mesh is closed"
                .into(),
        )),
        CloseReason::Insecure { refusal, .. } if args.wss.is_some() => {
            Outcome::Not(say(refusal.to_string()))
        }
        CloseReason::Insecure { .. } if args.unauthenticated_ssl => Outcome::Not(say(
            "it speaks plaintext, or wants a certificate: omit --unauthenticated-ssl, or give --tls DIR/NAME".into(),
        )),
        CloseReason::Insecure { .. } => Outcome::Not(say(
            "it wants TLS: give --tls DIR/NAME for a closed subnet, --wss DIR/NAME for one of wss, or --unauthenticated-ssl for a reference peer's".into(),
        )),
        CloseReason::Banned | CloseReason::Crowded | CloseReason::Full => {
            Outcome::Not(say("ask again later, or another node".into()))
        }
        CloseReason::BadFrame(_) if args.wire.is_some() => Outcome::Not(say(
            "it may be of another generation: omit --wire, so that all are tried".into(),
        )),
        _ => Outcome::Other(
            None,
            say("the program there may not speak this protocol, or may belong to another subnet or generation and not say so".into()),
        ),
    }
}

/// Finds the generation and the encryption with which a subnet of that name has this id.
fn named(name: &str, id: &str) -> Option<(Generation, &'static str)> {
    ORDER.into_iter().find_map(|wire| {
        let is_it = |encryption: &&str| Subnet::new(name, *encryption).id(wire).as_str() == id;
        let encryption = ENCRYPTIONS.into_iter().find(is_it)?;
        Some((wire, encryption))
    })
}

/// Records the neighbour's clock skew.
#[derive(Debug, Default)]
struct Skew(i64);

impl Actor for Skew {
    type Context = Context<Self>;
}

impl Handler<Event> for Skew {
    type Result = ();

    fn handle(&mut self, event: Event, _: &mut Context<Self>) {
        if let Event::ClockSkew { seconds, .. } = event {
            self.0 = seconds;
        }
    }
}

#[derive(actix::Message)]
#[rtype(result = "i64")]
struct Seconds;

impl Handler<Seconds> for Skew {
    type Result = i64;

    fn handle(&mut self, _: Seconds, _: &mut Context<Self>) -> i64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subnet_is_known_by_its_id() {
        for wire in ORDER {
            for encryption in ENCRYPTIONS {
                let id = Subnet::new("shop", encryption).id(wire);
                assert_eq!(named("shop", id.as_str()), Some((wire, encryption)));
                assert_eq!(named("other", id.as_str()), None);
            }
        }
    }
}
