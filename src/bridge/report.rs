//! Counters of a bridge: messages carried, already known, refused.
//!
//! Owns the counters. Every message that was not carried is counted.

use serde::Serialize;

use super::side::Side;
use crate::mesh::{PassOnError, WhisperError};

/// Asks a [`Bridge`](super::Bridge) for its report. Answered at once.
///
/// ```
/// use actix_mesh::Config;
/// use actix_mesh::bridge::{Bridge, BridgeStatus, Side};
///
/// # #[actix::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let shop = Config::new().subnet("shop", "Plaintext").start().await?;
/// let office = Config::new().subnet("office", "Plaintext").start().await?;
/// let sides = [Side::new("shop", &shop), Side::new("office", &office)];
/// let bridge = sides.into_iter().fold(Bridge::new(), Bridge::join).start().await?;
/// assert_eq!(bridge.send(BridgeStatus).await?.sides.len(), 2);
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, Default, actix::Message)]
#[rtype(result = "BridgeReport")]
pub struct BridgeStatus;

/// What a bridge has done since it started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct BridgeReport {
    /// The sides, in the order of joining.
    pub sides: Vec<SideReport>,
    /// Guests running now.
    pub guests: usize,
}

/// What was carried to one side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SideReport {
    /// Its name.
    pub name: String,
    /// Broadcasts from the other sides.
    pub broadcasts: Carried,
    /// Whispers from the other sides.
    pub whispers: Carried,
    /// Messages of this side not carried anywhere, because of a filter or a direction.
    pub kept: u64,
    /// Messages of this side that the bridge missed because it fell behind.
    pub missed: u64,
    /// Guests not started because there was no configuration, no room, or no port.
    pub guests_refused: u64,
}

/// What happened to messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Carried {
    /// Passed on.
    pub carried: u64,
    /// Already known there: another bridge carried them, or they came from there.
    pub known: u64,
    /// Not carried, for any other reason.
    pub failed: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    broadcasts: Carried,
    whispers: Carried,
    kept: u64,
    missed: u64,
    guests_refused: u64,
}

#[derive(Debug, Default)]
pub(super) struct Ledger(Vec<Tally>);

impl Ledger {
    fn of(&mut self, side: usize) -> &mut Tally {
        if self.0.len() <= side {
            self.0.resize(side + 1, Tally::default());
        }
        &mut self.0[side]
    }

    pub(super) fn broadcast<T>(&mut self, side: usize, answer: Result<&T, &PassOnError>) {
        let carried = &mut self.of(side).broadcasts;
        match answer {
            Ok(_) => carried.carried += 1,
            Err(PassOnError::Known | PassOnError::OwnAuthor) => carried.known += 1,
            Err(_) => carried.failed += 1,
        }
    }

    pub(super) fn whisper<T>(&mut self, side: usize, answer: Result<&T, &WhisperError>) {
        let carried = &mut self.of(side).whispers;
        match answer {
            Ok(_) => carried.carried += 1,
            Err(_) => carried.failed += 1,
        }
    }

    pub(super) fn unheard(&mut self, side: usize) {
        self.of(side).broadcasts.failed += 1;
    }

    /// Counts a whisper that the other generation cannot represent.
    pub(super) fn untold(&mut self, side: usize) {
        self.of(side).whispers.failed += 1;
    }

    pub(super) fn kept(&mut self, side: usize) {
        self.of(side).kept += 1;
    }

    pub(super) fn missed(&mut self, side: usize, count: u64) {
        self.of(side).missed += count;
    }

    pub(super) fn guest_refused(&mut self, side: usize) {
        self.of(side).guests_refused += 1;
    }

    pub(super) fn report(&self, sides: &[Side], guests: usize) -> BridgeReport {
        let report = |(index, side): (usize, &Side)| {
            let tally = self.0.get(index).copied().unwrap_or_default();
            SideReport {
                name: side.name.clone(),
                broadcasts: tally.broadcasts,
                whispers: tally.whispers,
                kept: tally.kept,
                missed: tally.missed,
                guests_refused: tally.guests_refused,
            }
        };
        BridgeReport {
            sides: sides.iter().enumerate().map(report).collect(),
            guests,
        }
    }
}
