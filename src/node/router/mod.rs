//! The actor that is the node: it owns the core and does what the core asks for.
//!
//! Its heart is one `match` over effects. It decides nothing about the protocol: an `if` about a message,
//! a peer or a flag belongs into the core. It awaits neither a connection nor a subscriber.

pub(crate) mod addresses;
pub(crate) mod arbiters;
#[cfg(feature = "tls")]
pub(crate) mod certificates;
pub(crate) mod clock;
pub(crate) mod commands;
pub(crate) mod compress;
pub(crate) mod connections;
pub(crate) mod foreign;
pub(crate) mod inputs;
pub(crate) mod observability;
pub(crate) mod readiness;
pub(crate) mod shutdown;
pub(crate) mod validation;

use std::collections::HashMap;
use std::fmt;
use std::mem;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix::fut::wrap_future;
use actix::{Actor, ActorFutureExt as _, Addr, AsyncContext as _, Context};
use tokio::net::TcpListener;

use crate::mesh::TokenBucket;
use crate::mesh::{
    Answer, ConnId, ConnectError, Direction, Effect, Effects, Event, Input, Mesh, Now, ProposalId,
    Ticket, Traffic, WhisperError, Whispered, trace,
};
use crate::node::budget::Pool;
use crate::node::connection::Terms;
use crate::node::connection::rate_limit::Rates;
use crate::node::connection::writer::Patience;
use crate::node::delivery::inbox::Inboxes;
use crate::node::delivery::interceptors::{Interception, Question, Step};
use crate::node::delivery::subscriptions::{Burst, Subscriptions, Topic};
use crate::node::delivery::validators::Validators;
use crate::node::reply::Promise;
use crate::node::requests::envelope::Envelope;
use crate::node::requests::router::Requests;
#[cfg(feature = "mdns")]
use crate::node::router::addresses::lan;
use crate::node::router::addresses::peer_book_file::PeerBook;
use crate::node::router::addresses::seeds::Seeds;
use crate::node::router::arbiters::Threads;
#[cfg(feature = "tls")]
use crate::node::router::certificates::Certificates;
use crate::node::router::clock::Clock;
use crate::node::router::connections::Links;
use crate::node::router::inputs::Dialed;
use crate::node::router::observability::log::{self, EventLog};
use crate::node::router::observability::observed::Observed;
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
use crate::wire::{Address, Generation, Hold, Message, NodeId};

/// How often the core is told that time passes.
const TICK: Duration = Duration::from_secs(1);
/// How long a link may take to close in order. Peers of the reference close as soon as they are closed.
const CLOSING: Duration = Duration::from_secs(5);
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

    /// Has the core do something, then does what it asks for; after what was asked for before.
    pub(crate) fn step<R>(
        &mut self,
        ctx: &mut Context<Self>,
        what: impl FnOnce(&mut Mesh, Now, &mut Effects) -> R,
    ) -> R {
        self.send_volley(ctx);
        self.act(ctx, what)
    }

    pub(crate) fn act<R>(
        &mut self,
        ctx: &mut Context<Self>,
        what: impl FnOnce(&mut Mesh, Now, &mut Effects) -> R,
    ) -> R {
        let (result, effects) = self.decide(what);
        self.perform_all(effects, &Hold::none(), ctx);
        result
    }

    fn decide<R>(&mut self, what: impl FnOnce(&mut Mesh, Now, &mut Effects) -> R) -> (R, Effects) {
        let now = self.clock.now();
        let mut effects = mem::take(&mut self.effects);
        // A mailbox that never runs dry would keep the timer from being heard.
        if now.monotonic >= self.next_tick {
            self.next_tick = now.monotonic + TICK;
            self.mesh.handle(now, Input::Tick, &mut effects);
        }
        let result = what(&mut self.mesh, now, &mut effects);
        (result, effects)
    }

    /// `hold`: the charge of what brought in whatever is delivered.
    fn perform_all(&mut self, mut effects: Effects, hold: &Hold, ctx: &mut Context<Self>) {
        for effect in effects.drain(..) {
            self.perform(effect, hold, ctx);
        }
        self.effects = effects;
        self.judge_undecided(ctx);
        self.links.order();
        self.pump(ctx);
    }

    fn perform(&mut self, effect: Effect, hold: &Hold, ctx: &mut Context<Self>) {
        match effect {
            Effect::Dial { conn, addr } => self.dial(conn, addr, ctx),
            Effect::Transmit { to, frames } => self.links.transmit(&to, &frames),
            Effect::Establish { conn, peer } => self.links.establish(conn, &peer),
            Effect::SetCompression { conn, method } => self.links.set_compression(conn, method),
            Effect::Close { conn, peer, .. } => {
                self.links.close(conn, peer, self.closing_time());
            }
            Effect::Deliver(messages) => self.deliver(messages.into_vec(), hold, ctx),
            Effect::Propose {
                proposal,
                validator,
                message,
                ..
            } => self.propose(proposal, validator, message, ctx),
            Effect::Notify(event) => self.notify(event),
            Effect::Answer { ticket, answer } => self.answer(ticket, answer),
        }
    }

    /// While the node shuts down, links have what is left of its time.
    fn closing_time(&self) -> Duration {
        self.draining.as_ref().map_or(CLOSING, Draining::time_left)
    }

    fn dial(&mut self, conn: ConnId, addr: Address, ctx: &mut Context<Self>) {
        let (me, direction) = (self.mesh.me(), Direction::Outgoing);
        self.links.spans.open(me, conn, &addr, direction);
        let _span = self.links.spans.enter(conn);
        log::dialing(me, &addr);
        let router = ctx.address().downgrade();
        let network = self.network.clone();
        let dialing = network.dial(self.listen, addr.clone(), self.connect_timeout);
        let task = actix_rt::spawn(async move {
            let dial = dialing.await;
            if let Some(router) = router.upgrade() {
                #[expect(
                    clippy::disallowed_methods,
                    reason = "once for each dial, whose number the core bounds"
                )]
                router.do_send(Dialed { conn, dial });
            }
        });
        self.links.dialing(conn, addr, task);
    }

    fn deliver(&mut self, messages: Vec<Message>, hold: &Hold, ctx: &mut Context<Self>) {
        if trace::is_on() {
            trace::delivered(self.mesh.me(), &messages);
        }
        self.observed.delivered(self.clock.now().unix, &messages);
        if self.interception.is_idle() {
            self.hand_out(messages, hold, ctx);
        } else {
            for message in messages {
                self.interception.push(message, hold.clone());
            }
        }
    }

    fn hand_out(&mut self, mut messages: Vec<Message>, hold: &Hold, ctx: &mut Context<Self>) {
        if messages.iter().any(Envelope::corresponds) {
            messages.retain(|message| !self.correspond(message, ctx));
        }
        messages.iter().for_each(|message| self.inbox.push(message));
        self.messages.push_all(messages, hold);
    }

    fn answer(&mut self, ticket: Ticket, answer: Answer) {
        // Whoever asked may have stopped waiting.
        match (self.askers.remove(&ticket), answer) {
            (Some(Asker::Connect(promise)), Answer::Connect(answer)) => drop(promise.keep(answer)),
            (Some(Asker::Whisper(promise, asked)), Answer::Whisper(answer)) => {
                let took = self.clock.now().monotonic.saturating_sub(asked);
                self.observed.whispered(took);
                drop(promise.keep(answer));
            }
            _ => {}
        }
    }

    /// Passes on what waits for interceptors, the inbox and subscribers, as far as they take it.
    pub(crate) fn pump(&mut self, ctx: &mut Context<Self>) {
        loop {
            match self.interception.step() {
                Step::Ask(question) => Self::ask(question, ctx),
                Step::Deliver(message, hold) => self.hand_out(vec![message], &hold, ctx),
                Step::Rest => break,
            }
        }
        self.inbox.serve();
        self.messages
            .pump(|burst| Self::finish(burst, |router| &mut router.messages, ctx));
        for (message, why) in self.messages.take_unreadable() {
            self.unreadable(&message, why);
        }
        self.events
            .pump(|burst| Self::finish(burst, |router| &mut router.events, ctx));
    }

    /// Awaits the end of a burst; then the next may begin.
    fn finish<T: Topic>(
        (id, request): Burst<T>,
        of: fn(&mut Self) -> &mut Subscriptions<T>,
        ctx: &mut Context<Self>,
    ) {
        ctx.spawn(
            wrap_future::<_, Self>(request).map(move |answer, router, ctx| {
                of(router).handled(id, answer);
                router.pump(ctx);
                router.drain(ctx);
            }),
        );
    }

    /// Asks an interceptor, and waits for it until its deadline.
    fn ask(question: Question, ctx: &mut Context<Self>) {
        let Question {
            of,
            recipient,
            offer,
            deadline,
        } = question;
        let mut asking = Box::pin(recipient.send(offer));
        let in_time = async move {
            match tokio::time::timeout(deadline, &mut asking).await {
                Ok(verdict) => Ok(verdict.ok()),
                Err(_) => Err(asking),
            }
        };
        ctx.spawn(
            wrap_future::<_, Self>(in_time).map(move |verdict, router, ctx| {
                match verdict {
                    Ok(verdict) => router.interception.decided(of, verdict),
                    Err(asking) => {
                        router.interception.overdue(of);
                        ctx.spawn(
                            wrap_future::<_, Self>(asking).map(move |verdict, router, _| {
                                router.interception.caught_up(of, verdict.ok());
                            }),
                        );
                    }
                }
                router.pump(ctx);
                router.drain(ctx);
            }),
        );
    }

    fn tick(&mut self, ctx: &mut Context<Self>) {
        for event in self
            .messages
            .lagged()
            .into_iter()
            .chain(self.interception.lagged())
        {
            self.notify(event);
        }
        for event in self.events.lagged() {
            self.notify(event);
        }
        if let Some(event) = self.early.take() {
            self.notify(event);
        }
        self.log.sum_up(self.mesh.me(), self.clock.now().monotonic);
        self.report_gone_validators();
        self.requests.on_tick();
        self.pump_questions(ctx);
        self.save_book(ctx);
        self.look_up_seeds(ctx);
        #[cfg(feature = "tls")]
        self.mind_certificates(ctx);
        self.apply_audience();
        self.next_tick = Duration::ZERO;
        self.step(ctx, |_, _, _| ());
    }

    pub(crate) fn notify(&mut self, mut event: Event) {
        if let Event::PeerLeft { unwritten, .. } = &mut event {
            *unwritten = std::mem::take(&mut self.ending);
        }
        let now = self.clock.now().monotonic;
        self.log.event(self.mesh.me(), now, &event);
        self.apply(&event);
        self.events.push_all(vec![event], &Hold::none());
    }

    /// Lets the core know whether anybody is there to deliver to.
    pub(crate) fn apply_audience(&mut self) {
        let listening = self.inbox.is_on()
            || !self.messages.is_empty()
            || !self.interception.is_idle()
            || !self.requests.is_idle();
        self.mesh.set_audience(listening);
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

#[cfg(feature = "mdns")]
impl Router {
    fn announce(&mut self, ctx: &mut Context<Self>) {
        if !self.mdns {
            return;
        }
        let (me, subnet) = (self.mesh.me(), self.mesh.subnet_id());
        match lan::Lan::join(ctx.address().downgrade(), me, subnet, self.listen) {
            Ok(lan) => self.lan = Some(lan),
            Err(why) => {
                let reason = why.to_string();
                self.early = Some(Event::MdnsFailed { reason });
            }
        }
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
