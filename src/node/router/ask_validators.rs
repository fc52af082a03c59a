//! The Router's part in validation: asks the validators, and passes their verdicts to the core.

use actix::fut::wrap_future;
use actix::{ActorFutureExt as _, AsyncContext as _, Context, Handler, MessageResult};

use crate::mesh::{Acceptance, Event, ProposalId, ValidationRule};
use crate::node::Router;
use crate::node::messages::subscribe::SubscriptionId;
use crate::node::messages::validate::Validate;
use crate::wire::{Hold, Message};

impl Handler<Validate> for Router {
    type Result = MessageResult<Validate>;

    fn handle(&mut self, validate: Validate, _: &mut Context<Self>) -> Self::Result {
        let id = SubscriptionId(self.next_name());
        self.mesh.validate(ValidationRule {
            validator: id.0,
            kinds: validate.kinds.clone(),
            prefixes: validate.prefixes.clone(),
            open: validate.open,
        });
        self.validators.add(id, validate.into_validator());
        MessageResult(id)
    }
}

impl Router {
    /// Removes a validator.
    pub(crate) fn end_validation(&mut self, id: SubscriptionId, ctx: &mut Context<Self>) -> bool {
        let found = self.validators.remove(id);
        if found {
            self.step(ctx, |mesh, now, out| mesh.end_validation(now, id.0, out));
        }
        found
    }

    /// Queues a message that the core holds for a validator.
    pub(super) fn propose(
        &mut self,
        proposal: ProposalId,
        validator: u64,
        message: Message,
        ctx: &mut Context<Self>,
    ) {
        let now = self.clock.now().monotonic;
        let of = SubscriptionId(validator);
        if !self.validators.push(of, proposal, message, now) {
            // Deferred: effects are being performed.
            return self.undecided.push(proposal);
        }
        self.ask_validators(ctx);
    }

    fn ask_validators(&mut self, ctx: &mut Context<Self>) {
        while let Some((of, proposal, judging)) = self.validators.next() {
            ctx.spawn(
                wrap_future::<_, Self>(judging).map(move |verdict, router, ctx| {
                    if router.validators.answered(of, proposal) {
                        router.judge(proposal, verdict, ctx);
                    }
                    router.ask_validators(ctx);
                    router.drain(ctx);
                }),
            );
        }
        self.watch_deadlines(ctx);
    }

    fn watch_deadlines(&mut self, ctx: &mut Context<Self>) {
        let Some(next) = self.validators.next_deadline() else {
            return;
        };
        if self.validators.timer.is_some_and(|timer| timer <= next) {
            return;
        }
        self.validators.timer = Some(next);
        let wait = next.saturating_sub(self.clock.now().monotonic);
        ctx.run_later(wait, |router, ctx| {
            router.validators.timer = None;
            let now = router.clock.now().monotonic;
            for proposal in router.validators.overdue(now) {
                router.judge(proposal, None, ctx);
            }
            router.watch_deadlines(ctx);
        });
    }

    /// Tells the core about proposals that no validator will decide.
    pub(super) fn judge_undecided(&mut self, ctx: &mut Context<Self>) {
        for proposal in std::mem::take(&mut self.undecided) {
            self.judge(proposal, None, ctx);
        }
    }

    fn judge(
        &mut self,
        proposal: ProposalId,
        verdict: Option<Acceptance>,
        ctx: &mut Context<Self>,
    ) {
        let (hold, effects): (Hold, _) =
            self.decide(|mesh, now, out| mesh.judge(now, proposal, verdict, out));
        self.perform_all(effects, &hold, ctx);
    }

    /// Emits events about validators whose actors have stopped.
    pub(super) fn report_gone_validators(&mut self) {
        for (id, waiting) in self.validators.gone() {
            self.notify(Event::SubscriberGone {
                subscription: id.0,
                lost: waiting as u64,
            });
        }
    }
}
