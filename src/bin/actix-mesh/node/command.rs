//! The commands of a node's user, and their results.
//!
//! Owns the commands and their JSON form. The interfaces own how commands are typed and how results are shown.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use actix::dev::ToEnvelope;
use actix::{Addr, Handler, Message};
use actix_mesh::{
    Address, Awaited, Awaiting, Connect, Disconnect, Flag, MessageId, NodeId, Packet, Packets,
    Peer, Peers, RequestPeers, Router, Send, Sent, Status, StatusReport, Whisper, Whispered,
};
use serde::{Deserialize, Deserializer, Serialize, de};

use super::directory::Directory;
use crate::command_error::CommandError;

/// A command. In JSON `{"do": NAME, ...}`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Command {
    Connect {
        addr: Address,
        expect: Option<NodeId>,
    },
    Send {
        packets: Packets,
        flag: Option<Flag>,
        #[serde(rename = "type")]
        kind: Option<Packet>,
    },
    Whisper {
        to: NodeId,
        packets: Packets,
        #[serde(rename = "type")]
        kind: Option<Packet>,
        #[serde(default, deserialize_with = "seconds")]
        within: Option<Duration>,
    },
    Reply {
        to: MessageId,
        packets: Packets,
    },
    Disconnect {
        peer: NodeId,
    },
    Peers {},
    Awaiting {},
    RequestPeers {},
    Status {},
    Quit {},
}

/// The result of a command. In JSON the object under `"ok"`.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Done {
    /// The peer that was connected or disconnected.
    Peer {
        peer: NodeId,
    },
    Sent(Sent),
    Whispered(Whispered),
    Peers {
        peers: Vec<Peer>,
    },
    Awaiting {
        awaiting: Vec<Awaited>,
    },
    Asked {
        asked: usize,
    },
    Status(Box<StatusReport>),
    Quitting {},
}

/// How a command ended.
pub(crate) type Outcome = Result<Done, CommandError>;

/// A command in progress.
pub(crate) type UnderWay = Pin<Box<dyn Future<Output = Outcome>>>;

impl Command {
    /// Starts the command. The first poll puts it into the Router's mailbox.
    pub(crate) fn begin(self, router: &Addr<Router>, directory: &Directory) -> UnderWay {
        match self {
            Self::Connect { addr, expect } => connect(router, addr, expect),
            Self::Send {
                packets,
                flag,
                kind,
            } => send(router, packets, flag, kind),
            Self::Whisper {
                to,
                packets,
                kind,
                within,
            } => whisper(router, to, packets, kind, within),
            Self::Reply { to, packets } => match directory.author(&to) {
                Ok(author) => whisper(router, author, packets, None, None),
                Err(refusal) => Box::pin(async { Err(refusal) }),
            },
            Self::Disconnect { peer } => disconnect(router, peer),
            Self::Peers {} => ask(router, Peers, |peers| Ok(Done::Peers { peers })),
            Self::Awaiting {} => ask(router, Awaiting, |awaiting| Ok(Done::Awaiting { awaiting })),
            Self::RequestPeers {} => ask(router, RequestPeers, |asked| Ok(Done::Asked { asked })),
            Self::Status {} => ask(router, Status, |status| Ok(Done::Status(status))),
            Self::Quit {} => Box::pin(async { Ok(Done::Quitting {}) }),
        }
    }
}

fn connect(router: &Addr<Router>, addr: Address, expect: Option<NodeId>) -> UnderWay {
    let mut connect = Connect::to(addr);
    connect.expect = expect;
    ask(router, connect, |peer| Ok(Done::Peer { peer: peer? }))
}

fn send(
    router: &Addr<Router>,
    packets: Packets,
    flag: Option<Flag>,
    kind: Option<Packet>,
) -> UnderWay {
    let mut send = Send::new(packets).flag(flag.unwrap_or(Flag::Broadcast));
    send.kind = kind;
    ask(router, send, |sent| Ok(Done::Sent(sent?)))
}

fn whisper(
    router: &Addr<Router>,
    to: NodeId,
    packets: Packets,
    kind: Option<Packet>,
    within: Option<Duration>,
) -> UnderWay {
    let mut whisper = Whisper::new(to, packets);
    whisper.kind = kind;
    whisper.within = within.unwrap_or(whisper.within);
    ask(router, whisper, |whispered| Ok(Done::Whispered(whispered?)))
}

fn disconnect(router: &Addr<Router>, peer: NodeId) -> UnderWay {
    ask(
        router,
        Disconnect::from(peer.clone()),
        |found| match found {
            true => Ok(Done::Peer { peer }),
            false => Err(CommandError::new(
                "unknown_peer",
                format!("{peer} is not connected"),
            )),
        },
    )
}

fn ask<M>(
    router: &Addr<Router>,
    message: M,
    done: impl FnOnce(M::Result) -> Outcome + 'static,
) -> UnderWay
where
    M: Message + std::marker::Send + 'static,
    M::Result: std::marker::Send,
    Router: Handler<M>,
    actix::Context<Router>: ToEnvelope<Router, M>,
{
    let router = router.clone();
    Box::pin(async move { done(router.send(message).await?) })
}

/// The longest time a whisper may be given, in seconds.
const MAX_WITHIN_SECONDS: f64 = 3600.0;

fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let seconds = Option::<f64>::deserialize(deserializer)?;
    let time = |seconds: f64| match (0.0..=MAX_WITHIN_SECONDS).contains(&seconds) {
        true => Ok(Duration::from_secs_f64(seconds)),
        false => Err(de::Error::custom(format_args!(
            "within is in seconds, 0 to {MAX_WITHIN_SECONDS}"
        ))),
    };
    seconds.map(time).transpose()
}
