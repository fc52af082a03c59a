//! The protocol's generations: a small closed set, each described by a static [`Profile`].
//!
//! Only this module has a `match` on a generation; all other code asks the profile.

mod flag_table;

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use self::flag_table::{FLAGS_0_4, FLAGS_0_5, FlagTable};
use crate::wire::{compression::Method, layout::Layout};

/// A generation of the protocol. Different generations refuse each other by design: the version is hashed into the
/// subnet's id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Generation {
    /// py2p and js2p 0.4.
    #[default]
    #[serde(rename = "0.4")]
    V0_4,
    /// py2p and js2p 0.5.
    #[serde(rename = "0.5")]
    V0_5,
    /// py2p and js2p 0.6.
    #[serde(rename = "0.6")]
    V0_6,
    /// py2p and js2p 0.7: what `pip` and `npm` install.
    #[serde(rename = "0.7")]
    V0_7,
}

/// The properties that distinguish one generation from another on the wire.
#[derive(Debug)]
pub(crate) struct Profile {
    /// The text hashed into the subnet's id.
    pub(crate) version: &'static str,
    pub(crate) flags: FlagTable,
    pub(crate) layout: Layout,
    /// The word in the list of compression methods that announces support for extensions.
    pub(crate) announcement: &'static str,
    /// Whether a payload that is not valid UTF-8 has two ids and hangs js2p.
    pub(crate) text_only: bool,
    /// How a handshake encodes the subnet's id.
    pub(crate) subnet_form: SubnetForm,
    /// The maximum number of payload packets in a handshake.
    pub(crate) handshake: usize,
    /// Whether the reference peers can read a renegotiation.
    pub(crate) renegotiates: bool,
    /// Whether snappy is one of the methods.
    pub(crate) snappy: bool,
}

/// How a handshake encodes the subnet's id. Reference peers treat another type as another subnet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SubnetForm {
    /// As text.
    Text,
    /// As the peer encodes it; as binary until the peer has sent its own.
    Mirrored,
}

static V0_4: Profile = Profile {
    version: "0.4",
    flags: FLAGS_0_4,
    layout: Layout::SizesFirst,
    announcement: "mesh+1",
    text_only: true,
    subnet_form: SubnetForm::Text,
    handshake: usize::MAX,
    renegotiates: true,
    snappy: false,
};

static V0_5: Profile = Profile {
    version: "0.5",
    flags: FLAGS_0_5,
    layout: Layout::Interleaved,
    announcement: "mesh+1",
    text_only: true,
    subnet_form: SubnetForm::Text,
    handshake: 5,
    renegotiates: true,
    snappy: true,
};

static V0_6: Profile = Profile {
    version: "0.6",
    flags: FLAGS_0_5,
    layout: Layout::MessagePack,
    announcement: "mesh+1",
    text_only: false,
    subnet_form: SubnetForm::Text,
    handshake: usize::MAX,
    renegotiates: false,
    snappy: true,
};

static V0_7: Profile = Profile {
    version: "0.7",
    flags: FLAGS_0_5,
    layout: Layout::MessagePack,
    announcement: "mesh+1",
    text_only: false,
    subnet_form: SubnetForm::Mirrored,
    handshake: usize::MAX,
    renegotiates: true,
    snappy: true,
};

impl Generation {
    /// All supported generations, oldest first.
    pub const ALL: [Generation; 4] = [
        Generation::V0_4,
        Generation::V0_5,
        Generation::V0_6,
        Generation::V0_7,
    ];

    pub(crate) fn profile(self) -> &'static Profile {
        match self {
            Generation::V0_4 => &V0_4,
            Generation::V0_5 => &V0_5,
            Generation::V0_6 => &V0_6,
            Generation::V0_7 => &V0_7,
        }
    }

    /// Whether a handshake encodes the subnet's id the way the peer does.
    pub(crate) fn mirrors_subnet(self) -> bool {
        self.profile().subnet_form == SubnetForm::Mirrored
    }

    /// Whether the reference peers can read a renegotiation.
    pub(crate) fn renegotiates(self) -> bool {
        self.profile().renegotiates
    }

    /// Whether a payload that is not valid UTF-8 hangs js2p.
    pub fn is_text_only(self) -> bool {
        self.profile().text_only
    }
}

impl Method {
    /// Returns the methods of this build that peers of that generation know, in the order of [`Method::available`].
    pub fn available_in(generation: Generation) -> Vec<Method> {
        let all = Method::available().iter().copied();
        all.filter(|method| method.is_of(generation)).collect()
    }

    /// Whether peers of that generation know the method.
    pub fn is_of(self, generation: Generation) -> bool {
        self != Method::Snappy || generation.profile().snappy
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.profile().version)
    }
}

/// The text names no supported generation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown generation {0:?}; supported are 0.4, 0.5, 0.6 and 0.7")]
pub struct UnknownGeneration(String);

impl FromStr for Generation {
    type Err = UnknownGeneration;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Generation::ALL
            .into_iter()
            .find(|generation| generation.profile().version == text)
            .ok_or_else(|| UnknownGeneration(text.to_owned()))
    }
}
