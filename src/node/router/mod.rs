//! The Router's main loop: asks the core what to do, and carries it out.
//!
//! Its centre is one `match` over effects. It decides nothing about the protocol: an `if` about a message, a peer or a
//! flag belongs in `mesh`, the core. It awaits neither a connection nor a subscriber.

pub(crate) mod adaptive_compression;
pub(crate) mod addresses;
pub(crate) mod arbiters;
pub(crate) mod ask_validators;
#[cfg(feature = "tls")]
pub(crate) mod certificates;
pub(crate) mod clock;
pub(crate) mod commands;
pub(crate) mod connections;
pub(crate) mod inputs;
pub(crate) mod observability;
pub(crate) mod pass_on;
pub(crate) mod readiness;
pub(crate) mod shutdown;

use std::mem;
use std::pin::Pin;
use std::time::Duration;

use actix::dev::RecipientRequest;
use actix::fut::wrap_future;
use actix::{ActorFutureExt as _, AsyncContext as _, Context, MailboxError};

use crate::mesh::{
    Answer, ConnId, Direction, Effect, Effects, Event, Input, Mesh, Now, Ticket, trace,
};
use crate::node::delivery::interceptors::{Question, Step};
use crate::node::delivery::subscriptions::{Burst, Subscriptions, Topic};
use crate::node::requests::envelope::Envelope;
#[cfg(feature = "mdns")]
use crate::node::router::addresses::lan;
use crate::node::router::observability::log::{self};
use crate::node::router::shutdown::Draining;
use crate::node::transport::dial::Dialed;
use crate::node::{Asker, Offer, Router, SubscriptionId, TICK, Verdict};
use crate::wire::{Address, Hold, Message};

/// The deadline for an orderly close. Reference peers close as soon as the other side does.
const CLOSING: Duration = Duration::from_secs(5);
impl Router {
    /// Sends the batch of own messages first, then runs the core and performs its effects.
    pub(crate) fn step<R>(
        &mut self,
        ctx: &mut Context<Self>,
        what: impl FnOnce(&mut Mesh, Now, &mut Effects) -> R,
    ) -> R {
        self.send_coalesced(ctx);
        self.act(ctx, what)
    }

    /// Runs the core and performs its effects.
    pub(crate) fn act<R>(
        &mut self,
        ctx: &mut Context<Self>,
        what: impl FnOnce(&mut Mesh, Now, &mut Effects) -> R,
    ) -> R {
        let (result, effects) = self.decide(what);
        self.perform_all(effects, &Hold::none(), ctx);
        result
    }

    /// Runs the core, after the tick if one is due; returns the effects, not yet performed.
    fn decide<R>(&mut self, what: impl FnOnce(&mut Mesh, Now, &mut Effects) -> R) -> (R, Effects) {
        let now = self.clock.now();
        let mut effects = mem::take(&mut self.effects);
        // The timer does not run while the mailbox is never empty.
        if now.monotonic >= self.next_tick {
            self.next_tick = now.monotonic + TICK;
            self.mesh.handle(now, Input::Tick, &mut effects);
        }
        let result = what(&mut self.mesh, now, &mut effects);
        (result, effects)
    }

    /// Performs effects in order. `hold`: the charge of the batch that the delivered messages came in.
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
            Effect::Watch { conn } => self.links.watch(conn),
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

    /// Returns [`CLOSING`], or the time left while the node shuts down.
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
        // The asker may have stopped waiting.
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

    /// Moves messages and events on to interceptors, the inbox and subscribers, as far as they accept them.
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

    /// Waits until the subscriber has handled a burst, then starts the next.
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

    /// Asks an interceptor, and waits for its decision until the deadline.
    fn ask(question: Question, ctx: &mut Context<Self>) {
        let Question {
            of,
            recipient,
            offer,
            deadline,
        } = question;
        let mut asking = Box::pin(recipient.send(offer));
        let in_time = async move {
            let verdict = tokio::time::timeout(deadline, &mut asking).await;
            verdict.map_err(|_| asking)
        };
        let in_time = wrap_future::<_, Self>(in_time);
        ctx.spawn(in_time.map(move |verdict, router, ctx| router.on_verdict(of, verdict, ctx)));
    }

    /// Takes an interceptor's verdict; `Err`: it is late; it is still awaited, but no message waits for it.
    fn on_verdict(
        &mut self,
        of: SubscriptionId,
        verdict: Result<Result<Verdict, MailboxError>, Pin<Box<RecipientRequest<Offer>>>>,
        ctx: &mut Context<Self>,
    ) {
        match verdict {
            Ok(verdict) => self.interception.decided(of, verdict.ok()),
            Err(asking) => {
                self.interception.overdue(of);
                let asking = wrap_future::<_, Self>(asking);
                ctx.spawn(asking.map(move |verdict, router, _| {
                    router.interception.caught_up(of, verdict.ok());
                }));
            }
        }
        self.pump(ctx);
        self.drain(ctx);
    }

    pub(super) fn tick(&mut self, ctx: &mut Context<Self>) {
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

    /// Tells the core whether the node has anyone to deliver to.
    pub(crate) fn apply_audience(&mut self) {
        let listening = self.inbox.is_on()
            || !self.messages.is_empty()
            || !self.interception.is_idle()
            || !self.requests.is_idle();
        self.mesh.set_audience(listening);
    }
}

#[cfg(feature = "mdns")]
impl Router {
    pub(super) fn announce(&mut self, ctx: &mut Context<Self>) {
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
