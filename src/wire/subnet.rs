//! Subnets: what two nodes must share to talk to each other.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{base58, generation::Generation, id::SubnetId};

/// The name of a network and its encryption. Nodes of different subnets refuse each other.
///
/// The default is `mesh`, `Plaintext`, as in the reference peers.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Subnet {
    /// Any text.
    pub name: String,
    /// The name of the encryption: `Plaintext`, `TLS`, `SSL`, `ws` or `wss`.
    pub encryption: String,
}

impl Subnet {
    /// Makes a subnet from its name and encryption.
    pub fn new(name: impl Into<String>, encryption: impl Into<String>) -> Subnet {
        Subnet {
            name: name.into(),
            encryption: encryption.into(),
        }
    }

    /// Returns the id: base58 of SHA-256 over name, encryption and the generation's version, without separators.
    pub fn id(&self, generation: Generation) -> SubnetId {
        let digest = Sha256::new()
            .chain_update(&self.name)
            .chain_update(&self.encryption)
            .chain_update(generation.profile().version)
            .finalize();
        SubnetId::parse(base58::encode(&digest)).expect("base58 of a digest is an id")
    }
}

impl Default for Subnet {
    fn default() -> Self {
        Subnet::new("mesh", "Plaintext")
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.encryption)
    }
}
