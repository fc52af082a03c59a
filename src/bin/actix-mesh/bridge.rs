//! `bridge`: joins two or more meshes and reports what it carried.
//!
//! Owns how a side is written on the command line; the crate's bridge does the rest.

use std::str::FromStr;
use std::time::Duration;

use actix::System;
use actix_mesh::bridge::{Bridge, BridgeReport, BridgeStatus, Side};
use actix_mesh::tls::Tls;
use actix_mesh::{Config, Generation, HostPort, Node, NodeId, Status, Traffic};
use serde::Serialize;

use crate::Failure;
use crate::node::signals::Signals;
use crate::output::Output;

const EXAMPLES: &str = "\
Examples:
  actix-mesh bridge --side name=shop,connect=192.0.2.7:4444,subnet=shop \\
                    --side name=office,connect=192.0.2.9:4444,subnet=office,kinds=order/
  actix-mesh bridge --side name=open,connect=192.0.2.7:4444 \\
                    --side name=closed,connect=192.0.2.9:4444,tls=mesh-ca/bridge
  actix-mesh bridge --side name=old,connect=192.0.2.7:4444,wire=0.4 \\
                    --side name=new,connect=192.0.2.9:4444,wire=0.7

A side has: name, subnet (default mesh), connect (HOST:PORT, may be given several times), listen (default 127.0.0.1:0),
tls (DIR/NAME), wss (DIR/NAME), encryption (Plaintext or ws), wire (the generation: 0.4, 0.5, 0.6 or 0.7), kinds (a prefix, may be given several times; default all), direction (both, out: only out of this mesh,
in: only into it), guests (the host on which nodes listen that stand for peers of the other sides; default that of
listen; `none`: whispers do not cross).

On stdout, one JSON object a line: {\"event\":\"ready\",..}, then {\"event\":\"report\",..} every --report seconds and at the end.

Exit codes:
  0  ended on request
  1  could not start; standard error says why
  2  the command line was not understood";

/// Join meshes that refuse each other: other subnets, other generations, other encryptions
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// A mesh, as key=value,key=value; give two or more
    #[arg(long = "side", value_name = "SIDE", required = true)]
    sides: Vec<Spec>,
    /// Report what was carried every N seconds; 0: only at the end
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    report: u64,
}

/// A side as written on the command line.
#[derive(Clone, Debug, Default, PartialEq)]
struct Spec {
    name: String,
    subnet: Option<String>,
    connect: Vec<HostPort>,
    listen: Option<String>,
    tls: Option<String>,
    wss: Option<String>,
    wire: Generation,
    kinds: Vec<String>,
    direction: Direction,
    guests: Option<String>,
    encryption: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Direction {
    #[default]
    Both,
    Out,
    In,
}

impl FromStr for Spec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut spec = Self::default();
        for part in text.split(',') {
            let (key, value) = part
                .split_once('=')
                .ok_or_else(|| format!("{part:?} is not key=value"))?;
            let value = value.to_owned();
            match key {
                "name" => spec.name = value,
                "subnet" => spec.subnet = Some(value),
                "connect" => spec.connect.push(HostPort::from(value)),
                "listen" => spec.listen = Some(value),
                "tls" => spec.tls = Some(value),
                "wss" => spec.wss = Some(value),
                "encryption" if value == "ws" || value == "Plaintext" => {
                    spec.encryption = Some(value)
                }
                "wire" => spec.wire = value.parse().map_err(|why| format!("{why}"))?,
                "kinds" => spec.kinds.push(value),
                "direction" => {
                    spec.direction = match &*value {
                        "both" => Direction::Both,
                        "out" => Direction::Out,
                        "in" => Direction::In,
                        _ => return Err(format!("direction is both, out or in, not {value:?}")),
                    }
                }
                "guests" => spec.guests = Some(value),
                _ => return Err(format!("a side has no {key:?}: see --help")),
            }
        }
        if spec.tls.is_some() && spec.wss.is_some() {
            return Err("a side is closed by tls or reached by wss, not both".into());
        }
        match spec.name.is_empty() {
            true => Err("a side needs a name: name=..".into()),
            false => Ok(spec),
        }
    }
}

impl Spec {
    fn listen(&self) -> &str {
        self.listen.as_deref().unwrap_or("127.0.0.1:0")
    }

    fn encryption(&self) -> &str {
        self.encryption.as_deref().unwrap_or("Plaintext")
    }

    fn config(&self) -> Result<Config, Failure> {
        let subnet = self.subnet.as_deref().unwrap_or("mesh");
        let config = Config::new().subnet(subnet, self.encryption());
        let config = match (&self.tls, &self.wss) {
            (Some(prefix), _) => config.tls(Tls::from_files(prefix)?),
            (None, Some(prefix)) => config.wss(Tls::from_files(prefix)?),
            (None, None) => config,
        };
        Ok(config.generation(self.wire).inbox_capacity(None))
    }

    async fn start(&self) -> Result<(Node, Side), Failure> {
        let config = self.config()?.listen(self.listen());
        let config = self.connect.iter().cloned().fold(config, Config::connect);
        let node = config.start().await?;
        let mut side = Side::new(&*self.name, &node);
        if !self.kinds.is_empty() {
            side = side.kinds(self.kinds.iter().map(String::as_str));
        }
        side = match self.direction {
            Direction::Both => side,
            Direction::Out => side.source_only(),
            Direction::In => side.sink_only(),
        };
        // Where keys prove ids, a guest cannot stand in for a peer.
        let host = self.guests.as_deref();
        if self.tls.is_none() && host != Some("none") {
            let own = self.listen().rsplit_once(':').map(|(host, _)| host);
            let host = host.or(own).unwrap_or("127.0.0.1");
            side = side.guests(self.config()?.listen(format!("{host}:0")));
        }
        Ok((node, side))
    }
}

/// A line of output.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Said {
    Ready {
        sides: Vec<Here>,
    },
    Report {
        #[serde(flatten)]
        carried: BridgeReport,
        nodes: Vec<NodeReport>,
    },
}

/// What the bridge's report cannot know: what the node of a side did with the messages.
#[derive(Serialize)]
struct NodeReport {
    name: String,
    /// Peers connected.
    peers: usize,
    /// Carried, and not written to a peer because its connection ended.
    unwritten: Traffic,
    /// Heard, and not carried because the bridge ended.
    undelivered: usize,
}

/// The node of a side.
#[derive(Serialize)]
struct Here {
    name: String,
    id: NodeId,
    listen: String,
    subnet: String,
}

fn line(said: &Said) -> Result<String, Failure> {
    Ok(serde_json::to_string(said)?)
}

async fn of_nodes(sides: &[Spec], nodes: &[Node]) -> Result<Vec<NodeReport>, Failure> {
    let mut reports = Vec::with_capacity(nodes.len());
    for (spec, node) in sides.iter().zip(nodes) {
        let status = node.router.send(Status).await?;
        reports.push(NodeReport {
            name: spec.name.clone(),
            peers: status.peers,
            unwritten: status.unwritten,
            undelivered: 0,
        });
    }
    Ok(reports)
}

pub(crate) fn run(args: Args) -> Result<(), Failure> {
    System::new().block_on(live(args))
}

async fn live(args: Args) -> Result<(), Failure> {
    let mut signals = Signals::listen()?;
    let (mut bridge, mut sides, mut nodes) = (Bridge::new(), Vec::new(), Vec::new());
    for spec in &args.sides {
        let (node, side) = spec.start().await?;
        sides.push(Here {
            name: spec.name.clone(),
            id: node.id.clone(),
            listen: node.addr.to_string(),
            subnet: node.subnet.name.clone(),
        });
        bridge = bridge.join(side);
        nodes.push(node);
    }
    let bridge = bridge.start().await?;
    let output = Output::open()?;
    let told = output.say(line(&Said::Ready { sides })?).await;
    let every = Duration::from_secs(args.report);
    let mut goes_on = told.is_ok();
    while goes_on {
        let pause = async {
            match every.is_zero() {
                true => std::future::pending().await,
                false => tokio::time::sleep(every).await,
            }
        };
        goes_on = tokio::select! {
            () = pause => {
                let carried = bridge.send(BridgeStatus).await?;
                let nodes = of_nodes(&args.sides, &nodes).await?;
                output.say(line(&Said::Report { carried, nodes })?).await.is_ok()
            }
            () = signals.next() => false,
            () = output.gone() => false,
        };
    }
    let mut reports = of_nodes(&args.sides, &nodes).await?;
    for (node, report) in nodes.into_iter().zip(&mut reports) {
        let left = node.shutdown().await?;
        report.undelivered = left.undelivered;
        for unsent in left.unsent {
            report.unwritten.messages += unsent.traffic.messages;
            report.unwritten.bytes += unsent.traffic.bytes;
        }
    }
    let carried = bridge.send(BridgeStatus).await?;
    let nodes = reports;
    // The reader may be gone.
    let _ = output.say(line(&Said::Report { carried, nodes })?).await;
    output.finish().await;
    match output.fault() {
        Some(fault) => Err(format!("standard output could not be written: {fault}").into()),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_are_read() {
        let spec: Spec = "name=a,subnet=s,connect=h:1,connect=h:2,kinds=x/,direction=out"
            .parse()
            .unwrap();
        assert_eq!(
            (&*spec.name, spec.connect.len(), spec.direction),
            ("a", 2, Direction::Out)
        );
        assert_eq!(
            (spec.subnet.as_deref(), spec.kinds),
            (Some("s"), vec!["x/".to_owned()])
        );
        for bad in [
            "",
            "a",
            "name=",
            "subnet=x",
            "name=a,colour=red",
            "name=a,direction=up",
        ] {
            assert!(bad.parse::<Spec>().is_err(), "{bad}");
        }
    }
}
