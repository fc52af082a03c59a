//! The Router's part in requests and answers: dispatches them, and whispers the answers.

use actix::fut::wrap_future;
use actix::{ActorFutureExt as _, AsyncContext as _, Context, Handler, MessageResult};

use super::answering::{AddAnswerer, Answerers, Local, NoAnswer, Question, Taken, Value};
use super::envelope::{Decline, Envelope, Role};
use super::pending::{Arrived, Expect, Forget, PendingTable, RequestStats};
use crate::mesh::Event;
use crate::node::Router;
use crate::node::messages::Whisper;
use crate::node::messages::subscribe::SubscriptionId;
use crate::node::reply::Reply;
use crate::wire::{Flag, Message, Packet, Packets};

/// Events per tick (one second) about values from other nodes; further ones are dropped.
const NOTICES: u32 = 16;

/// The Router's state for requests and answers.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    pending: PendingTable,
    answerers: Answerers,
    stats: RequestStats,
    /// Events emitted since the last tick.
    told: u32,
}

impl Requests {
    /// Returns whether no request is pending and no answerer is registered.
    pub(crate) fn is_idle(&self) -> bool {
        self.pending.len() == 0 && self.answerers.is_empty()
    }

    pub(crate) fn remove(&mut self, id: SubscriptionId) -> bool {
        self.answerers.remove(id)
    }

    /// Called once a second.
    pub(crate) fn on_tick(&mut self) {
        self.told = 0;
        self.answerers.sweep();
    }

    /// Drops all pending requests unanswered.
    pub(crate) fn close(&mut self) {
        self.pending.clear();
    }

    pub(crate) fn stats(&self) -> RequestStats {
        RequestStats {
            pending: self.pending.len(),
            answering: self.answerers.waiting(),
            ..self.stats
        }
    }

    /// Counts an event about what others sent, and returns whether it may be emitted.
    fn may_tell(&mut self) -> bool {
        self.told += 1;
        self.told <= NOTICES
    }
}

impl Router {
    /// Dispatches requests and answers; returns whether the message is consumed.
    pub(crate) fn correspond(&mut self, message: &Message, ctx: &mut Context<Self>) -> bool {
        let Some(envelope) = Envelope::read(message) else {
            return false;
        };
        match envelope.role {
            Role::Value => false,
            Role::Ask { .. } => {
                self.on_question(message, &envelope, ctx);
                false
            }
            Role::Reply(_) | Role::Declined(..) => self.on_answer(message, &envelope),
        }
    }

    fn on_answer(&mut self, message: &Message, envelope: &Envelope<'_>) -> bool {
        let asked = match envelope.role {
            Role::Reply(id) => self.requests.pending.since(id),
            _ => None,
        };
        match self.requests.pending.on_answer(message, envelope) {
            Arrived::Taken => {
                if let Some(asked) = asked {
                    let now = self.clock.now().monotonic;
                    self.observed.answered(now.saturating_sub(asked));
                }
                true
            }
            Arrived::Unreadable(why) => {
                self.unreadable(message, why);
                true
            }
            Arrived::Late => {
                self.requests.stats.late += 1;
                if self.requests.may_tell() {
                    self.notify(Event::LateReply {
                        from: message.sender().clone(),
                        kind: shown(envelope.kind),
                    });
                }
                true
            }
            Arrived::Stray => {
                self.requests.stats.stray += 1;
                false
            }
        }
    }

    fn on_question(&mut self, message: &Message, envelope: &Envelope<'_>, ctx: &mut Context<Self>) {
        match self.requests.answerers.push(message, envelope) {
            Taken::Queued => self.pump_questions(ctx),
            Taken::Full => {
                self.requests.stats.turned_away += 1;
                self.decline(message, Decline::Busy, ctx);
                if self.requests.may_tell() {
                    self.notify(Event::QuestionRefused {
                        from: message.sender().clone(),
                        kind: shown(envelope.kind),
                    });
                }
            }
            // A subscriber that gets it as a message may still answer it.
            Taken::Nobody if self.takes(message) => {}
            Taken::Nobody => {
                self.requests.stats.declined += 1;
                self.decline(message, Decline::None, ctx);
            }
        }
    }

    fn takes(&self, message: &Message) -> bool {
        self.messages.want(message) || self.inbox.want(message)
    }

    pub(crate) fn pump_questions(&mut self, ctx: &mut Context<Self>) {
        while let Some(question) = self.requests.answerers.next() {
            self.put(question, ctx);
        }
    }

    /// Asks the next answerer.
    fn put(&mut self, mut question: Question, ctx: &mut Context<Self>) {
        let Some((asked, within, answering)) = self.requests.answerers.ask(&question) else {
            self.requests.stats.declined += 1;
            return self.close_question(&question, Decline::None, ctx);
        };
        let in_time = tokio::time::timeout(within, answering);
        ctx.spawn(
            wrap_future::<_, Self>(in_time).map(move |answer, router, ctx| {
                match answer {
                    Ok(Ok(value)) => {
                        router.requests.stats.answered += 1;
                        router.reply(&question.message, value, ctx);
                        router.requests.answerers.done(&question.topic);
                    }
                    Ok(Err(NoAnswer::Unreadable(why))) => {
                        router.unreadable(&question.message, why);
                        router.close_question(&question, Decline::Bad, ctx);
                    }
                    Ok(Err(NoAnswer::Unwritable(reason))) => {
                        let to = question.message.sender().clone();
                        router.notify(Event::Undeliverable { to, reason });
                        router.close_question(&question, Decline::None, ctx);
                    }
                    Ok(Err(NoAnswer::NotForMe | NoAnswer::Gone)) | Err(_) => {
                        question.after = Some(asked);
                        router.put(question, ctx);
                    }
                }
                router.pump_questions(ctx);
                router.drain(ctx);
            }),
        );
    }

    fn close_question(&mut self, question: &Question, why: Decline, ctx: &mut Context<Self>) {
        self.requests.answerers.done(&question.topic);
        self.decline(&question.message, why, ctx);
    }

    /// Tells the asker that there is no answer, but only for a whisper from a connected neighbour: declining every
    /// broadcast, or looking for the asker in the mesh, would cost more than the request.
    fn decline(&mut self, message: &Message, why: Decline, ctx: &mut Context<Self>) {
        if *message.flag() != Flag::Whisper || message.sender() != message.from() {
            return;
        }
        if let Some(envelope) = Envelope::read(message)
            && let Role::Ask { id, .. } = envelope.role
        {
            let value = Packet::default();
            self.whisper_back(message, envelope, value, why.tag(id), ctx);
        }
    }

    fn reply(&mut self, message: &Message, value: Value, ctx: &mut Context<Self>) {
        if let Some(envelope) = Envelope::read(message)
            && let Role::Ask { id, .. } = envelope.role
        {
            let tag = format!("reply:{id}");
            let answered = Envelope {
                kind: &value.kind,
                ..envelope
            };
            self.whisper_back(message, answered, value.value, tag, ctx);
        }
    }

    /// Whispers a value to the asker, in the form of the request.
    fn whisper_back(
        &mut self,
        message: &Message,
        envelope: Envelope<'_>,
        value: Packet,
        tag: String,
        ctx: &mut Context<Self>,
    ) {
        let tag = Packet::from(tag);
        let whisper = if envelope.plain {
            let packets = Packets::from_iter([envelope.kind.clone(), value, tag]);
            Whisper::new(message.sender().clone(), packets)
        } else {
            let packets = Packets::from_iter([value, tag]);
            Whisper::new(message.sender().clone(), packets).kind(envelope.kind)
        };
        // An event reports it if the whisper fails.
        drop(self.post_whisper(whisper, ctx));
    }

    /// Counts a value that cannot be decoded as its kind, and emits an event.
    pub(crate) fn unreadable(&mut self, message: &Message, reason: String) {
        self.requests.stats.unreadable += 1;
        if self.requests.may_tell() {
            let kind = Envelope::read(message).map_or_else(String::new, |it| shown(it.kind));
            self.notify(Event::Unreadable {
                kind,
                sender: message.sender().clone(),
                reason,
            });
        }
    }
}

/// Formats a kind for an event, at most 64 characters.
fn shown(kind: &Packet) -> String {
    const MAX_CHARACTERS: usize = 64;
    let text = String::from_utf8_lossy(kind.as_bytes());
    text.chars().take(MAX_CHARACTERS).collect()
}

impl Handler<Expect> for Router {
    type Result = Result<(), usize>;

    fn handle(&mut self, expect: Expect, _: &mut Context<Self>) -> Self::Result {
        if self.draining.is_some() {
            return Ok(());
        }
        self.requests
            .pending
            .expect(expect, self.clock.now().monotonic)?;
        self.apply_audience();
        Ok(())
    }
}

impl Handler<Forget> for Router {
    type Result = ();

    fn handle(&mut self, forget: Forget, _: &mut Context<Self>) {
        self.requests.pending.forget(forget);
        self.apply_audience();
    }
}

impl Handler<Local> for Router {
    type Result = MessageResult<Local>;

    fn handle(&mut self, local: Local, _: &mut Context<Self>) -> Self::Result {
        let recipient = self.requests.answerers.local(local);
        MessageResult((self.mesh.me().clone(), recipient))
    }
}

impl Router {
    /// Registers an answerer.
    pub(crate) fn add_answerer(&mut self, add: AddAnswerer) -> SubscriptionId {
        let id = SubscriptionId(self.next_name());
        self.requests.answerers.add(id, add);
        self.apply_audience();
        id
    }
}

impl Router {
    /// Sends a whisper as if a user had requested it.
    fn post_whisper(
        &mut self,
        whisper: Whisper,
        ctx: &mut Context<Self>,
    ) -> Reply<Result<crate::mesh::Whispered, crate::mesh::WhisperError>> {
        Handler::<Whisper>::handle(self, whisper, ctx)
    }
}
