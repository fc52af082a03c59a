//! The budget of this node's own messages, and those who wait for room in it.
//!
//! Owns the order: nobody is served before one who asked earlier.

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

/// What a message costs besides its packets: the header of its frame and the lists it stands in.
const OVERHEAD: usize = 512;
/// What a packet costs besides its bytes.
const PACKET: usize = 8;
/// What may wait in line, at that cost: 65,536 messages at most.
pub(crate) const MOST_WAITING: usize = 32 * 1024 * 1024;

/// A broadcast is charged for each copy, but for no more: with very many peers, messages would go one by one.
const COPIES: usize = 8;

/// Room in the budget, for as long as this lives.
pub(crate) type Room = OwnedSemaphorePermit;

/// Something of ours that is to go out, and whom to tell.
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

    /// What it costs.
    fn cost(&self) -> usize {
        cost(self.packets())
    }

    /// Whether it is to wait where there is no room.
    fn is_patient(&self) -> bool {
        match self {
            Self::Send(send, _) => !send.or_busy,
            Self::Whisper(whisper, _) => !whisper.or_busy,
            Self::PassOn(..) | Self::PassOnTo(..) => true,
        }
    }

    fn refuse(self, why: SendError) {
        // Whoever asked may have stopped waiting.
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
    /// One permit a byte.
    budget: Arc<Semaphore>,
    size: u32,
    /// While it is used up, others' messages go first: they cannot wait at their source.
    pool: Arc<Pool>,
    line: VecDeque<QueuedSend>,
    /// What those in line cost.
    in_line: usize,
    /// How many were refused for want of room.
    turned_away: u64,
    /// Whether somebody awaits room for the first in line.
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

    /// What copies of these packets cost: large ones the whole budget.
    fn cost(&self, packets: &Packets, copies: usize) -> u32 {
        u32::try_from(cost(packets).saturating_mul(copies))
            .unwrap_or(u32::MAX)
            .min(self.size)
    }

    /// Copies that a broadcast is charged for: in a full mesh, where each peer passes it on as often again, what all
    /// send at once has to fit into all of them.
    fn copies(&self) -> usize {
        self.pool.links().clamp(1, COPIES)
    }

    /// Room for a message to every peer, if there is and nobody waits for it.
    pub(crate) fn room_for_all(&self, packets: &Packets) -> Option<Room> {
        self.room(self.cost(packets, self.copies()))
    }

    /// The same for a message to one.
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

    /// Puts it in line; refuses it if it is not to wait, or too much waits already. One of any size may wait.
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

    /// Takes the first out of the line.
    fn next(&mut self) -> Option<QueuedSend> {
        let next = self.line.pop_front()?;
        self.in_line -= next.cost();
        Some(next)
    }

    /// Room for the first in line, to be awaited; `None` if it is awaited already, or nobody waits.
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

    /// The room awaited is there: for whom. The next in line come with what is left.
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

    /// Refuses all in line, as the node is shutting down; how many they were.
    pub(crate) fn refuse_all(&mut self) -> usize {
        let refused = self.line.len();
        while let Some(queued) = self.next() {
            queued.refuse(SendError::ShuttingDown);
        }
        refused
    }

    /// How many wait in line.
    pub(crate) fn waiting(&self) -> usize {
        self.line.len()
    }

    /// How many were refused because too much waited, or because they were not to wait.
    pub(crate) fn turned_away(&self) -> u64 {
        self.turned_away
    }

    /// Bytes of the budget in use.
    pub(crate) fn in_use(&self) -> usize {
        usize::try_from(self.size)
            .unwrap_or_default()
            .saturating_sub(self.budget.available_permits())
    }
}
