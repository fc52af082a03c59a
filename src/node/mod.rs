//! Floor 3: the actors. They read sockets and clocks, ask the core what to do, and do it.
//!
//! ```text
//!            users: Connect, Send, Whisper, Recv, ...        subscribers
//!                        |                                        ^
//!                        v                                        |
//!    Listener ------> Router: owns the Mesh, the links, the subscriptions
//!    dials    ------>    |                 ^
//!                        | Orders          | Received (one for each read), Gone
//!                        v                 |
//!                    Connection: one for each link; outbound queue down, reader up
//! ```
//!
//! # Who may wait on whom
//!
//! Requests go up and may wait: a Connection for the Router before the handshake is judged, and for permits
//! of its own account always; the Listener for the Router. Notices go down and never wait: the Router awaits
//! neither a Connection, nor a subscriber, nor whoever asked it for something. So nobody can wait in a circle.
//!
//! # What is bounded by what
//!
//! | what waits | is bounded by |
//! |---|---|
//! | batches in the Router's mailbox, frames in outbound queues, messages under `Pause` or before interceptors | the inbound budget of the connection they came from |
//! | messages that wait for validators | the core: 1,024 and 16 MiB, of one neighbour a quarter |
//! | own messages in outbound queues | the send budget |
//! | messages and events for subscribers, the inbox | their queues |
//! | a subscriber's mailbox | the burst that is sent ahead |
//! | frames larger than that, what they inflate to, what waits longer for peers that take next to nothing | the shared budget |
//! | a partial frame | a read, or the budgets above; and its time |
//! | questions of ours that wait, questions of others | the tables of [`requests`] |
//! | answers to control messages | the core's budgets, and last the outbound queue itself |

pub(crate) mod budget;
pub(crate) mod connection;
pub(crate) mod delivery;
pub(crate) mod messages;
pub(crate) mod reply;
pub(crate) mod requests;
pub(crate) mod router;
pub(crate) mod sending;
pub(crate) mod stop_on_last_addr;
pub(crate) mod transport;

pub use messages::subscribe::{
    Bundle, Filter, Intercept, KindFilter, Offer, Overflow, Queue, Recv, Subscribe,
    SubscribeEvents, SubscriptionId, Unsubscribe, Verdict,
};
pub use messages::validate::{Proposal, Validate};
pub use messages::{
    Awaited, Awaiting, Connect, Disconnect, Histogram, PassedMessages, Peer, Peers, RequestPeers,
    RouteOf, Send, SendMany, Shutdown, ShutdownReport, Status, StatusReport, Topology, Unsent,
    Whisper,
};
pub use reply::Reply;
pub use requests::pending::RequestStats;

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Addr, AsyncContext as _, Context};
use tokio::net::TcpListener;

use crate::mesh::TokenBucket;
use crate::mesh::{
    ConnectError, Effects, Event, Mesh, Now, ProposalId, Ticket, Traffic, WhisperError, Whispered,
};
use crate::node::budget::Pool;
use crate::node::connection::Terms;
use crate::node::connection::rate_limit::Rates;
use crate::node::connection::writer::slow_peer::Patience;
use crate::node::delivery::inbox::Inboxes;
use crate::node::delivery::interceptors::Interception;
use crate::node::delivery::subscriptions::Subscriptions;
use crate::node::delivery::validators::Validators;
use crate::node::reply::Promise;
use crate::node::requests::exchange::Requests;
#[cfg(feature = "mdns")]
use crate::node::router::addresses::lan;
use crate::node::router::addresses::peer_book_file::PeerBook;
use crate::node::router::addresses::seeds::Seeds;
use crate::node::router::arbiters::Threads;
#[cfg(feature = "tls")]
use crate::node::router::certificates::Certificates;
use crate::node::router::clock::Clock;
use crate::node::router::connections::Links;
use crate::node::router::observability::distributions::Observed;
use crate::node::router::observability::log::{self, EventLog};
use crate::node::router::readiness::Readiness;
use crate::node::router::shutdown::Draining;
use crate::node::sending::coalesce::Coalescer;
use crate::node::sending::queue::Sending;
use crate::node::transport::listener::Listener;
use crate::node::transport::network::Network;
#[cfg(feature = "websocket")]
use crate::node::transport::websocket;
#[cfg(feature = "tls")]
use crate::tls::{Tls, Upgrade};
use crate::wire::{Generation, Message, NodeId};

/// How often the core is told that time passes.
const TICK: Duration = Duration::from_secs(1);
/// Messages of users that wait without parking their senders.
const MAILBOX: usize = 1024;

/// Who waits for the end of something that takes time.
pub(crate) enum Asker {
    Connect(Promise<Result<NodeId, ConnectError>>),
    /// And when, on the node's own clock.
    Whisper(Promise<Result<Whispered, WhisperError>>, Duration),
}

/// What a Router is made of, besides what it makes itself.
pub(crate) struct Parts {
    pub(crate) mesh: Mesh,
    /// `None`: strangers come by another way.
    pub(crate) socket: Option<TcpListener>,
    pub(crate) network: Network,
    pub(crate) clock: Clock,
    pub(crate) listen: SocketAddr,
    pub(crate) connect_timeout: Duration,
    pub(crate) frame_timeout: Duration,
    pub(crate) patience: Patience,
    pub(crate) rates: Rates,
    pub(crate) inbound_budget: usize,
    pub(crate) shared_budget: usize,
    pub(crate) send_budget: u32,
    pub(crate) inbox: Option<usize>,
    pub(crate) inbox_kinds: Vec<&'static str>,
    pub(crate) threads: Threads,
    pub(crate) peer_book: Option<PeerBook>,
    pub(crate) seeds: Seeds,
    /// What went wrong before there was anybody to tell.
    pub(crate) early: Option<Event>,
    /// How links are secured, and by which certificates; `None`: they are not.
    #[cfg(feature = "tls")]
    pub(crate) secured: Option<(Upgrade, Option<Tls>)>,
    /// How links become WebSockets; `None`: they do not.
    #[cfg(feature = "websocket")]
    pub(crate) websocket: Option<websocket::Upgrade>,
    /// Whether to announce itself on the local network.
    #[cfg(feature = "mdns")]
    pub(crate) mdns: bool,
    /// What is in force, for whoever asks how the node is.
    pub(crate) settings: Arc<serde_json::Map<String, serde_json::Value>>,
}

/// The node. Users hold its address ([`Node::router`](crate::Node)) and send it the messages of this crate.
///
/// It lives until [`Shutdown`](crate::Shutdown), or until its system ends, whoever holds its address.
pub struct Router {
    pub(crate) mesh: Mesh,
    pub(crate) clock: Clock,
    pub(crate) links: Links,
    /// Refusals of what was asked for with `do_send`, and how often they may be told.
    pub(crate) unheard: u64,
    /// What was queued for links that ended, in all; and for the one that is ending now.
    pub(crate) unwritten: Traffic,
    ending: Traffic,
    unheard_events: TokenBucket,
    #[cfg(feature = "tls")]
    certificates: Option<Certificates>,
    pub(crate) messages: Subscriptions<Message>,
    pub(crate) events: Subscriptions<Event>,
    pub(crate) interception: Interception,
    pub(crate) validators: Validators,
    /// Proposals about which nobody will decide.
    undecided: Vec<ProposalId>,
    pub(crate) inbox: Inboxes,
    pub(crate) requests: Requests,
    pub(crate) readiness: Readiness,
    pub(crate) sending: Sending,
    pub(crate) coalescer: Coalescer,
    pub(crate) askers: HashMap<Ticket, Asker>,
    pub(crate) draining: Option<Draining>,
    pub(crate) listener: Option<Addr<Listener>>,
    pub(crate) listen: SocketAddr,
    pub(crate) started: Now,
    pub(crate) peer_book: Option<PeerBook>,
    pub(crate) seeds: Seeds,
    log: EventLog,
    pub(crate) observed: Box<Observed>,
    pub(crate) settings: Arc<serde_json::Map<String, serde_json::Value>>,
    /// Told at the first tick: subscribers come after the start.
    early: Option<Event>,
    connect_timeout: Duration,
    network: Network,
    socket: Option<TcpListener>,
    #[cfg(feature = "mdns")]
    mdns: bool,
    #[cfg(feature = "mdns")]
    lan: Option<lan::Lan>,
    /// The list of effects, kept for its memory.
    effects: Effects,
    next_tick: Duration,
    names: u64,
}

impl Router {
    /// Starts the node's actors.
    pub(crate) fn run(parts: Parts) -> Addr<Self> {
        Self::create(|ctx| {
            ctx.set_mailbox_capacity(MAILBOX);
            Self::new(parts, ctx)
        })
    }

    fn new(parts: Parts, ctx: &mut Context<Self>) -> Self {
        let params = parts.mesh.params();
        let pool = Pool::new(parts.shared_budget);
        let terms = Terms {
            router: ctx.address().downgrade(),
            generation: params.generation,
            limits: params.limits,
            inbound_budget: parts.inbound_budget,
            pool: Arc::clone(&pool),
            rates: parts.rates,
            frame_timeout: parts.frame_timeout,
            patience: parts.patience,
            #[cfg(feature = "tls")]
            upgrade: parts.secured.as_ref().map(|(upgrade, _)| upgrade.clone()),
            #[cfg(feature = "websocket")]
            websocket: parts.websocket,
        };
        let clock = parts.clock;
        #[cfg(feature = "tls")]
        let tls = parts.secured.and_then(|(_, tls)| tls);
        Self {
            #[cfg(feature = "tls")]
            certificates: tls.map(|tls| Certificates::new(tls, clock.now())),
            started: clock.now(),
            clock,
            links: Links::new(terms, parts.threads),
            unheard: 0,
            unwritten: Traffic::default(),
            ending: Traffic::default(),
            unheard_events: TokenBucket::new(16.0, 16.0),
            messages: Subscriptions::default(),
            events: Subscriptions::default(),
            interception: Interception::default(),
            validators: Validators::default(),
            undecided: Vec::new(),
            inbox: Inboxes::new(parts.inbox, &parts.inbox_kinds, params.generation),
            requests: Requests::default(),
            readiness: Readiness::default(),
            sending: Sending::new(parts.send_budget, pool),
            coalescer: Coalescer::default(),
            askers: HashMap::new(),
            draining: None,
            listener: None,
            listen: parts.listen,
            connect_timeout: parts.connect_timeout,
            network: parts.network,
            peer_book: parts.peer_book,
            seeds: parts.seeds,
            early: parts.early,
            log: EventLog::default(),
            observed: Box::default(),
            settings: parts.settings,
            socket: parts.socket,
            #[cfg(feature = "mdns")]
            mdns: parts.mdns,
            #[cfg(feature = "mdns")]
            lan: None,
            effects: Effects::new(),
            next_tick: Duration::ZERO,
            names: 0,
            mesh: parts.mesh,
        }
    }

    pub(crate) fn generation(&self) -> Generation {
        self.mesh.params().generation
    }

    /// A number for a ticket or a subscription.
    pub(crate) fn next_name(&mut self) -> u64 {
        self.names += 1;
        self.names
    }

    /// Notes who is to be told the end of something.
    pub(crate) fn ticket(&mut self, asker: Asker) -> Ticket {
        let ticket = Ticket(self.next_name());
        self.askers.insert(ticket, asker);
        ticket
    }
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Router")
            .field("id", self.mesh.me())
            .field("listen", &self.listen)
            .finish_non_exhaustive()
    }
}

impl Actor for Router {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        // A system that ends before our first turn starts us as it drops us, when there are no timers any more.
        if tokio::runtime::Handle::try_current().is_err() {
            return;
        }
        let router = ctx.address().downgrade();
        self.listener = self
            .socket
            .take()
            .map(|socket| Listener::new(socket, router).start());
        self.apply_audience();
        log::started(self.mesh.me(), self.listen, &self.mesh.params().address);
        #[cfg(feature = "mdns")]
        self.announce(ctx);
        ctx.run_interval(TICK, Self::tick);
    }
}
