//! The protocol's generations: a small closed set, each one a static [`Profile`] of properties.
//!
//! The only place with a `match` on a generation; everything else asks the profile.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::wire::{
    flags::{FLAGS_0_4, FlagTable},
    layout::Layout,
};

/// A generation of the protocol. Different generations refuse each other by design: the version is hashed into
/// the subnet's id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Generation {
    /// py2p and js2p 0.4.
    #[default]
    #[serde(rename = "0.4")]
    V0_4,
}

/// What distinguishes one generation from another on the wire.
#[derive(Debug)]
pub(crate) struct Profile {
    /// The text hashed into the subnet's id.
    pub(crate) version: &'static str,
    pub(crate) flags: FlagTable,
    pub(crate) layout: Layout,
    /// The word in the list of methods by which a node announces that it understands extensions.
    pub(crate) announcement: &'static str,
}

static V0_4: Profile = Profile {
    version: "0.4",
    flags: FLAGS_0_4,
    layout: Layout::SizesFirst,
    announcement: "mesh+1",
};

impl Generation {
    pub(crate) fn profile(self) -> &'static Profile {
        match self {
            Generation::V0_4 => &V0_4,
        }
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.profile().version)
    }
}

/// The text names no generation spoken here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown generation {0:?}; this version speaks 0.4")]
pub struct UnknownGeneration(String);

impl FromStr for Generation {
    type Err = UnknownGeneration;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Generation::V0_4]
            .into_iter()
            .find(|generation| generation.profile().version == text)
            .ok_or_else(|| UnknownGeneration(text.to_owned()))
    }
}
