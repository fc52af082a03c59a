//! The budget of this node's own messages, and the queue behind it.
//!
//! Owns the order: first come, first served.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

use crate::mesh::{PassOnError, SendError, Sent, WhisperError, Whispered};
use crate::node::budget::Pool;
use crate::node::messages::pass_on::{PassOn, PassOnTo};
use crate::node::messages::{Send, Whisper};
use crate::node::reply::OwedReply;
use crate::node::reply::Promise;
use crate::wire::Packets;

/// The cost of a message besides its packets: the frame header and its list entries.
const OVERHEAD: usize = 512;
/// The cost of a packet besides its bytes.
const PACKET: usize = 8;
/// The bound of the queue, at that cost: 65,536 messages at most.
pub(crate) const MOST_WAITING: usize = 32 * 1024 * 1024;

/// The most copies a broadcast is charged for: with very many peers, messages would otherwise go one by one.
const COPIES: usize = 8;

/// Room in the budget, until dropped.
pub(crate) type Room = OwnedSemaphorePermit;

/// A queued own message, and its asker.
#[derive(Debug)]
pub(crate) enum QueuedSend {
    Send(Send, OwedReply<Result<Sent, SendError>>),
    Whisper(Whisper, Promise<Result<Whispered, WhisperError>>),
    PassOn(PassOn, Promise<Result<Sent, PassOnError>>),
    PassOnTo(PassOnTo, Promise<Result<Whispered, WhisperError>>),
}

impl QueuedSend {
    fn packets(&self) -> &Packets {
        match self {
            Self::Send(send, _) => &send.packets,
            Self::Whisper(whisper, _) => &whisper.packets,
            Self::PassOn(message, _) => &message.payload,
            Self::PassOnTo(message, _) => &message.message.payload,
        }
    }

    /// Returns its cost.
    fn cost(&self) -> usize {
        cost(self.packets())
    }

    /// Returns whether it may wait for room.
    fn is_patient(&self) -> bool {
        match self {
            Self::Send(send, _) => !send.or_busy,
            Self::Whisper(whisper, _) => !whisper.or_busy,
            Self::PassOn(..) | Self::PassOnTo(..) => true,
        }
    }

    fn refuse(self, why: SendError) {
        // The asker may have stopped waiting.
        match self {
            Self::Send(_, owed) => owed.keep(Err(why)),
            Self::Whisper(_, promise) | Self::PassOnTo(_, promise) => {
                drop(promise.keep(Err(why.into())));
            }
            Self::PassOn(_, promise) => drop(promise.keep(Err(why.into()))),
        }
    }
}

fn cost(packets: &Packets) -> usize {
    packets.byte_len() + packets.len() * PACKET + OVERHEAD
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Sending {
    /// One permit per byte.
    budget: Arc<Semaphore>,
    size: u32,
    /// While it is used up, relayed messages go first: they cannot wait at their source.
    pool: Arc<Pool>,
    line: VecDeque<QueuedSend>,
    /// The cost of the queued messages.
    in_line: usize,
    /// The number refused for lack of room.
    turned_away: u64,
    /// Whether a future awaits room for the first in the queue.
    awaited: bool,
}

impl Sending {
    pub(crate) fn new(size: u32, pool: Arc<Pool>) -> Self {
        let permits = usize::try_from(size).unwrap_or(Semaphore::MAX_PERMITS);
        Self {
            budget: Arc::new(Semaphore::new(permits)),
            size,
            pool,
            line: VecDeque::new(),
            in_line: 0,
            turned_away: 0,
            awaited: false,
        }
    }

    /// Returns the cost of this many copies of the packets, at most the whole budget.
    fn cost(&self, packets: &Packets, copies: usize) -> u32 {
        u32::try_from(cost(packets).saturating_mul(copies))
            .unwrap_or(u32::MAX)
            .min(self.size)
    }

    /// Returns how many copies a broadcast is charged for. In a full mesh each peer relays it to all others, so what
    /// all nodes send at once has to fit into all of them.
    fn copies(&self) -> usize {
        self.pool.links().clamp(1, COPIES)
    }

    /// Reserves room for a message to every peer, if there is any and the queue is empty.
    pub(crate) fn room_for_all(&self, packets: &Packets) -> Option<Room> {
        self.room(self.cost(packets, self.copies()))
    }

    /// Reserves room for a message to one peer, likewise.
    pub(crate) fn room_for_one(&self, packets: &Packets) -> Option<Room> {
        self.room(self.cost(packets, 1))
    }

    fn room(&self, cost: u32) -> Option<Room> {
        if !self.line.is_empty() || !self.pool.is_calm() {
            return None;
        }
        Arc::clone(&self.budget).try_acquire_many_owned(cost).ok()
    }

    fn cost_of(&self, queued: &QueuedSend) -> u32 {
        let copies = match queued {
            QueuedSend::Send(..) | QueuedSend::PassOn(..) => self.copies(),
            QueuedSend::Whisper(..) | QueuedSend::PassOnTo(..) => 1,
        };
        self.cost(queued.packets(), copies)
    }

    /// Queues a message; refuses it if it may not wait, or the queue is full. An empty queue takes a message of any
    /// size.
    pub(crate) fn queue(&mut self, queued: QueuedSend) {
        let in_line = self.in_line + queued.cost();
        if queued.is_patient() && (self.line.is_empty() || in_line <= MOST_WAITING) {
            self.in_line = in_line;
            self.line.push_back(queued);
        } else {
            self.turned_away += 1;
            queued.refuse(SendError::Busy(self.line.len()));
        }
    }

    /// Takes the first out of the queue.
    fn next(&mut self) -> Option<QueuedSend> {
        let next = self.line.pop_front()?;
        self.in_line -= next.cost();
        Some(next)
    }

    /// Returns a future of room for the first in the queue; `None` if one is awaited already, or the queue is empty.
    pub(crate) fn await_room(
        &mut self,
    ) -> Option<impl Future<Output = Result<Room, AcquireError>> + use<>> {
        if self.awaited {
            return None;
        }
        let cost = self.cost_of(self.line.front()?);
        self.awaited = true;
        let (budget, pool) = (Arc::clone(&self.budget), Arc::clone(&self.pool));
        Some(async move {
            let room = budget.acquire_many_owned(cost).await;
            pool.calm().await;
            room
        })
    }

    /// Takes the first out of the queue with the awaited room, and as many of the next as fit what is left.
    pub(crate) fn served(&mut self, room: Room) -> Vec<(QueuedSend, Room)> {
        self.awaited = false;
        let first = self.next().map(|first| (first, room));
        let mut served: Vec<_> = first.into_iter().collect();
        while let Some(next) = self.line.front()
            && let Ok(room) = Arc::clone(&self.budget).try_acquire_many_owned(self.cost_of(next))
        {
            served.extend(self.next().map(|next| (next, room)));
        }
        served
    }

    /// Refuses all queued messages, as the node is shutting down; returns how many.
    pub(crate) fn refuse_all(&mut self) -> usize {
        let refused = self.line.len();
        while let Some(queued) = self.next() {
            queued.refuse(SendError::ShuttingDown);
        }
        refused
    }

    /// Returns the number of queued messages.
    pub(crate) fn waiting(&self) -> usize {
        self.line.len()
    }

    /// Returns the number refused because the queue was full, or because they were not to wait.
    pub(crate) fn turned_away(&self) -> u64 {
        self.turned_away
    }

    /// Returns the bytes of the budget in use.
    pub(crate) fn in_use(&self) -> usize {
        usize::try_from(self.size)
            .unwrap_or_default()
            .saturating_sub(self.budget.available_permits())
    }
}
