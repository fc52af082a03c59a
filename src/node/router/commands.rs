//! Handlers of the users' messages: each goes to the part that carries it out.

use std::future::Future;
use std::sync::Arc;

use actix::fut::wrap_future;
use actix::{
    ActorFutureExt as _, AsyncContext as _, Context, Handler, MessageResult, ResponseFuture,
};
use futures_util::future::join_all;

use crate::mesh::{
    self, ConnectError, Mesh, OutgoingWhisper, SendError, Sent, Traffic, WhisperError, Whispered,
};
use crate::node::delivery::filter::CompiledFilter;
use crate::node::delivery::subscriptions::Taker;
use crate::node::messages::subscribe::{
    Bundle, Filter, Intercept, Queue, Recv, Subscribe, SubscribeEvents, SubscriptionId, Unsubscribe,
};
use crate::node::messages::{
    Awaited, Awaiting, Connect, Disconnect, PassedMessages, Peer, Peers, RequestPeers, RouteOf,
    Send, SendMany, Status, StatusReport, Topology, Whisper,
};
use crate::node::reply::{OwedReply, Share};
use crate::node::reply::{Promise, Reply};
use crate::node::sending::queue::{QueuedSend, Room};
use crate::node::{Asker, Router};
use crate::wire::{Hold, Message, NodeId};

impl Handler<Connect> for Router {
    type Result = Reply<Result<NodeId, ConnectError>>;

    fn handle(&mut self, connect: Connect, ctx: &mut Context<Self>) -> Self::Result {
        if self.draining.is_some() {
            return Reply::now(Err(ConnectError::ShuttingDown));
        }
        let Connect { addr, expect } = connect;
        let addr = match addr.into_address() {
            Ok(addr) => addr,
            Err(bad) => return Reply::now(Err(bad.into())),
        };
        let (promise, reply) = Reply::later();
        let ticket = self.ticket(Asker::Connect(promise));
        self.step(ctx, |mesh, now, out| {
            mesh.connect(now, ticket, addr, expect, out)
        });
        reply
    }
}

impl Handler<Send> for Router {
    type Result = Reply<Result<Sent, SendError>>;

    fn handle(&mut self, send: Send, ctx: &mut Context<Self>) -> Self::Result {
        if self.draining.is_some() {
            return Reply::now(Err(SendError::ShuttingDown));
        }
        let (promise, reply) = Reply::later();
        self.take_up(send, OwedReply::Alone(promise), ctx);
        reply
    }
}

impl Handler<SendMany> for Router {
    type Result = Reply<Vec<Result<Sent, SendError>>>;

    fn handle(&mut self, many: SendMany, ctx: &mut Context<Self>) -> Self::Result {
        let SendMany(many) = many;
        if self.draining.is_some() {
            let refuse = |_| Err(SendError::ShuttingDown);
            return Reply::now(many.into_iter().map(refuse).collect());
        }
        let (promise, reply) = Reply::later();
        let shares = Share::of(promise, many.len());
        for (send, share) in many.into_iter().zip(shares) {
            self.take_up(send, OwedReply::Share(share), ctx);
        }
        reply
    }
}

impl Handler<Whisper> for Router {
    type Result = Reply<Result<Whispered, WhisperError>>;

    fn handle(&mut self, whisper: Whisper, ctx: &mut Context<Self>) -> Self::Result {
        if self.draining.is_some() {
            return Reply::now(Err(SendError::ShuttingDown.into()));
        }
        let (promise, reply) = Reply::later();
        match self.sending.room_for_one(&whisper.packets) {
            Some(room) => self.whisper(whisper, promise, room, ctx),
            None => self.queue(QueuedSend::Whisper(whisper, promise), ctx),
        }
        reply
    }
}

impl Router {
    fn take_up(
        &mut self,
        send: Send,
        owed: OwedReply<Result<Sent, SendError>>,
        ctx: &mut Context<Self>,
    ) {
        match self.sending.room_for_all(&send.packets) {
            Some(room) => self.gather(send, room, owed, ctx),
            None => self.queue(QueuedSend::Send(send, owed), ctx),
        }
    }

    fn whisper(
        &mut self,
        whisper: Whisper,
        promise: Promise<Result<Whispered, WhisperError>>,
        room: Room,
        ctx: &mut Context<Self>,
    ) {
        let ticket = self.ticket(Asker::Whisper(promise, self.clock.now().monotonic));
        let Whisper {
            to,
            kind,
            packets,
            within,
            or_busy: _,
        } = whisper;
        let whisper = OutgoingWhisper {
            ticket,
            to,
            kind,
            packets,
            within,
            hold: Hold::new(room),
        };
        self.step(ctx, |mesh, now, out| mesh.whisper(now, whisper, out));
    }

    pub(super) fn queue(&mut self, queued: QueuedSend, ctx: &mut Context<Self>) {
        self.sending.queue(queued);
        self.await_room(ctx);
    }

    /// Serves the send queue as soon as there is room.
    fn await_room(&mut self, ctx: &mut Context<Self>) {
        let Some(room) = self.sending.await_room() else {
            return;
        };
        ctx.spawn(wrap_future::<_, Self>(room).map(|room, router, ctx| {
            // The budget is never closed.
            for (queued, room) in room
                .map(|room| router.sending.served(room))
                .unwrap_or_default()
            {
                router.post(queued, room, ctx);
            }
            router.await_room(ctx);
            router.drain(ctx);
        }));
    }

    fn post(&mut self, queued: QueuedSend, room: Room, ctx: &mut Context<Self>) {
        match queued {
            QueuedSend::Send(send, owed) => self.gather(send, room, owed, ctx),
            QueuedSend::Whisper(whisper, promise) => self.whisper(whisper, promise, room, ctx),
            QueuedSend::PassOn(message, promise) => self.pass_on(message, promise, room, ctx),
            QueuedSend::PassOnTo(message, promise) => self.pass_on_to(message, promise, room, ctx),
        }
    }
}

impl Handler<Disconnect> for Router {
    type Result = bool;

    fn handle(&mut self, disconnect: Disconnect, ctx: &mut Context<Self>) -> bool {
        self.step(ctx, |mesh, now, out| {
            mesh.disconnect(now, &disconnect.peer, out)
        })
    }
}

impl Handler<RequestPeers> for Router {
    type Result = usize;

    fn handle(&mut self, _: RequestPeers, ctx: &mut Context<Self>) -> usize {
        self.step(ctx, Mesh::request_peers)
    }
}

impl Handler<Topology> for Router {
    type Result = MessageResult<Topology>;

    fn handle(&mut self, _: Topology, ctx: &mut Context<Self>) -> Self::Result {
        self.step(ctx, Mesh::ask_topology);
        MessageResult(self.mesh.neighborhoods())
    }
}

impl Handler<PassedMessages> for Router {
    type Result = MessageResult<PassedMessages>;

    fn handle(&mut self, most: PassedMessages, ctx: &mut Context<Self>) -> Self::Result {
        MessageResult(self.step(ctx, |mesh, now, _| mesh.passed_messages(now, most.0)))
    }
}

impl Handler<RouteOf> for Router {
    type Result = MessageResult<RouteOf>;

    fn handle(&mut self, wanted: RouteOf, ctx: &mut Context<Self>) -> Self::Result {
        MessageResult(self.step(ctx, |mesh, now, out| {
            mesh.ask_route(now, &wanted.0, out);
            mesh.route(now, &wanted.0)
        }))
    }
}

impl Handler<Peers> for Router {
    type Result = ResponseFuture<Vec<Peer>>;

    fn handle(&mut self, _: Peers, _: &mut Context<Self>) -> Self::Result {
        Box::pin(self.all_peers())
    }
}

impl Router {
    /// Returns all connected peers. Each connection is asked what it has not written yet; one that has ended meanwhile
    /// is left out.
    pub(crate) fn all_peers(&self) -> impl Future<Output = Vec<Peer>> + use<> {
        let mut peers: Vec<_> = self
            .mesh
            .peers()
            .into_iter()
            .filter_map(|peer| Some((self.links.unwritten(peer.conn)?, self.peer(peer))))
            .collect();
        peers.sort_unstable_by(|(_, one), (_, other)| one.id.cmp(&other.id));
        async move {
            let (unwritten, peers): (Vec<_>, Vec<_>) = peers.into_iter().unzip();
            let unwritten = join_all(unwritten).await;
            let written = |(mut peer, unwritten): (Peer, Option<Traffic>)| {
                peer.sent = peer.sent.less(unwritten?);
                Some(peer)
            };
            peers
                .into_iter()
                .zip(unwritten)
                .filter_map(written)
                .collect()
        }
    }

    fn peer(&self, peer: mesh::Peer) -> Peer {
        Peer {
            id: peer.id,
            addr: peer.address,
            direction: peer.direction,
            compression: peer.compression,
            since: peer.since,
            received: peer.received,
            sent: self.links.handed(peer.conn),
            proven: peer.proven,
        }
    }
}

impl Handler<Awaiting> for Router {
    type Result = Vec<Awaited>;

    fn handle(&mut self, _: Awaiting, _: &mut Context<Self>) -> Vec<Awaited> {
        let awaited = |awaiting: mesh::Awaiting| Awaited {
            addr: awaiting.address,
            direction: awaiting.direction,
            expect: awaiting.expect,
            connected: awaiting.connected,
        };
        self.mesh.awaiting().into_iter().map(awaited).collect()
    }
}

impl Handler<Status> for Router {
    type Result = MessageResult<Status>;

    fn handle(&mut self, _: Status, _: &mut Context<Self>) -> Self::Result {
        let params = self.mesh.params();
        MessageResult(Box::new(StatusReport {
            id: self.mesh.me().clone(),
            listen: self.listen,
            address: params.address.clone(),
            subnet: params.subnet.clone(),
            subnet_id: self.mesh.subnet_id().clone(),
            wire: params.generation,
            since: self.started.unix,
            peers: self.mesh.peers().len(),
            awaiting: self.mesh.awaiting().len(),
            sending: self.sending.in_use(),
            waiting: self.sending.waiting(),
            turned_away: self.sending.turned_away(),
            missed: self.messages.missed(),
            unheard: self.unheard,
            unwritten: self.unwritten,
            subscribers_gone: self.messages.stopped() + self.events.stopped(),
            requests: self.requests.stats(),
            stats: self.mesh.stats(),
            delivery_delay: self.observed.delivery_delay.clone(),
            whisper_time: self.observed.whisper_time.clone(),
            request_time: self.observed.request_time.clone(),
            fan_out: self.observed.fan_out.clone(),
            settings: Arc::clone(&self.settings),
            troubles: self.mesh.troubles().cloned().collect(),
        }))
    }
}

impl Handler<Subscribe<Message>> for Router {
    type Result = MessageResult<Subscribe<Message>>;

    fn handle(&mut self, subscribe: Subscribe<Message>, _: &mut Context<Self>) -> Self::Result {
        let taker = Taker::OneByOne(subscribe.recipient);
        MessageResult(self.subscribe(taker, subscribe.filter, subscribe.queue))
    }
}

impl Handler<Subscribe<Bundle<Message>>> for Router {
    type Result = MessageResult<Subscribe<Bundle<Message>>>;

    fn handle(
        &mut self,
        subscribe: Subscribe<Bundle<Message>>,
        _: &mut Context<Self>,
    ) -> Self::Result {
        let taker = Taker::Bundled(subscribe.recipient);
        MessageResult(self.subscribe(taker, subscribe.filter, subscribe.queue))
    }
}

impl Router {
    pub(crate) fn subscribe(
        &mut self,
        taker: Taker<Message>,
        filter: Filter,
        queue: Queue,
    ) -> SubscriptionId {
        let id = SubscriptionId(self.next_name());
        let compiled = CompiledFilter::new(filter, self.generation());
        self.messages.add(id, taker, compiled, queue);
        self.apply_audience();
        id
    }
}

impl Handler<SubscribeEvents> for Router {
    type Result = MessageResult<SubscribeEvents>;

    fn handle(&mut self, subscribe: SubscribeEvents, _: &mut Context<Self>) -> Self::Result {
        let id = SubscriptionId(self.next_name());
        self.events.add(
            id,
            Taker::OneByOne(subscribe.recipient),
            (),
            subscribe.queue.without_pause(),
        );
        MessageResult(id)
    }
}

impl Handler<Intercept> for Router {
    type Result = MessageResult<Intercept>;

    fn handle(&mut self, intercept: Intercept, _: &mut Context<Self>) -> Self::Result {
        let id = SubscriptionId(self.next_name());
        let compiled = CompiledFilter::new(intercept.filter, self.generation());
        self.interception
            .add(id, intercept.recipient, compiled, intercept.deadline);
        self.apply_audience();
        MessageResult(id)
    }
}

impl Handler<Unsubscribe> for Router {
    type Result = bool;

    fn handle(&mut self, unsubscribe: Unsubscribe, ctx: &mut Context<Self>) -> bool {
        let id = unsubscribe.id;
        let found = self.messages.remove(id)
            || self.events.remove(id)
            || self.interception.remove(id)
            || self.requests.remove(id)
            || self.end_validation(id, ctx);
        self.apply_audience();
        self.pump(ctx);
        found
    }
}

impl Handler<Recv> for Router {
    type Result = Reply<Vec<Message>>;

    fn handle(&mut self, recv: Recv, ctx: &mut Context<Self>) -> Self::Result {
        let inbox = self.inbox.of(recv.kind);
        let (reply, waits) = inbox.take(recv.max, recv.wait.is_some());
        if let (Some(number), Some(wait)) = (waits, recv.wait) {
            ctx.run_later(wait, move |router, _| {
                router.inbox.of(recv.kind).give_up(number);
            });
        }
        self.apply_audience();
        reply
    }
}
