//! The budget of this node's own messages, and those who wait for room in it.
//!
//! Owns the order: nobody is served before one who asked earlier.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

use super::budget::Pool;
use super::messages::{Send, Whisper};
use super::promise::Promise;
use crate::mesh::{SendError, Sent, WhisperError, Whispered};
use crate::wire::Packets;

/// What a message costs besides its packets: the header of its frame and the lists it stands in.
const OVERHEAD: usize = 512;
/// What a packet costs besides its bytes.
const PACKET: usize = 8;

/// Room in the budget, for as long as this lives.
pub(super) type Room = OwnedSemaphorePermit;

/// Something of ours that is to go out, and whom to tell.
#[derive(Debug)]
pub(super) enum Parcel {
    Send(Send, Promise<Result<Sent, SendError>>),
    Whisper(Whisper, Promise<Result<Whispered, WhisperError>>),
}

impl Parcel {
    fn packets(&self) -> &Packets {
        match self {
            Self::Send(send, _) => &send.packets,
            Self::Whisper(whisper, _) => &whisper.packets,
        }
    }

    /// The node is shutting down.
    pub(super) fn refuse(self) {
        // Whoever asked may have stopped waiting.
        match self {
            Self::Send(_, promise) => drop(promise.keep(Err(SendError::ShuttingDown))),
            Self::Whisper(_, promise) => drop(promise.keep(Err(SendError::ShuttingDown.into()))),
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Sending {
    /// One permit a byte.
    budget: Arc<Semaphore>,
    size: u32,
    /// While it is used up, others' messages go first: they cannot wait at their source.
    pool: Arc<Pool>,
    line: VecDeque<Parcel>,
    /// Whether somebody awaits room for the first in line.
    awaited: bool,
}

impl Sending {
    pub(super) fn new(size: u32, pool: Arc<Pool>) -> Self {
        let permits = usize::try_from(size).unwrap_or(Semaphore::MAX_PERMITS);
        Self {
            budget: Arc::new(Semaphore::new(permits)),
            size,
            pool,
            line: VecDeque::new(),
            awaited: false,
        }
    }

    /// What a message of these packets costs: a large one the whole budget.
    fn cost(&self, packets: &Packets) -> u32 {
        let bytes = packets.byte_len() + packets.len() * PACKET + OVERHEAD;
        u32::try_from(bytes).unwrap_or(u32::MAX).min(self.size)
    }

    /// Room for a message, if there is and nobody waits for it.
    pub(super) fn room(&self, packets: &Packets) -> Option<Room> {
        if !self.line.is_empty() || !self.pool.is_calm() {
            return None;
        }
        Arc::clone(&self.budget)
            .try_acquire_many_owned(self.cost(packets))
            .ok()
    }

    /// Puts it in line.
    pub(super) fn queue(&mut self, parcel: Parcel) {
        self.line.push_back(parcel);
    }

    /// Room for the first in line, to be awaited; `None` if it is awaited already, or nobody waits.
    pub(super) fn await_room(
        &mut self,
    ) -> Option<impl Future<Output = Result<Room, AcquireError>> + use<>> {
        if self.awaited {
            return None;
        }
        let cost = self.cost(self.line.front()?.packets());
        self.awaited = true;
        let (budget, pool) = (Arc::clone(&self.budget), Arc::clone(&self.pool));
        Some(async move {
            let room = budget.acquire_many_owned(cost).await;
            pool.calm().await;
            room
        })
    }

    /// The room awaited is there: for whom. The next in line come with what is left.
    pub(super) fn served(&mut self, room: Room) -> Vec<(Parcel, Room)> {
        self.awaited = false;
        let mut served: Vec<_> = self
            .line
            .pop_front()
            .map(|first| (first, room))
            .into_iter()
            .collect();
        while let Some(next) = self.line.front()
            && let Ok(room) =
                Arc::clone(&self.budget).try_acquire_many_owned(self.cost(next.packets()))
        {
            served.extend(self.line.pop_front().map(|next| (next, room)));
        }
        served
    }

    /// Refuses all in line; how many they were.
    pub(super) fn refuse_all(&mut self) -> usize {
        let refused = self.line.len();
        self.line.drain(..).for_each(Parcel::refuse);
        refused
    }

    /// How many wait in line.
    pub(super) fn waiting(&self) -> usize {
        self.line.len()
    }

    /// Bytes of the budget in use.
    pub(super) fn in_use(&self) -> usize {
        usize::try_from(self.size)
            .unwrap_or_default()
            .saturating_sub(self.budget.available_permits())
    }
}
