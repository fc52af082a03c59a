//! The network a node dials through: the machine's own, or a simulated one.
//!
//! Owns only the choice.

use std::net::SocketAddr;
use std::time::Duration;

use crate::node::transport::dial::{self, Dial};
#[cfg(feature = "sim")]
use crate::sim_net::host::Host;
use crate::wire::Address;

/// See the module.
#[derive(Clone, Debug)]
pub(crate) enum Network {
    /// With socket buffers of this many bytes.
    Tcp { buffers: u32 },
    #[cfg(feature = "sim")]
    Sim(Host),
}

impl Network {
    /// Connects within this time. `from`: where the node listens.
    pub(crate) async fn dial(self, from: SocketAddr, to: Address, within: Duration) -> Dial {
        #[cfg(not(feature = "sim"))]
        let _ = from;
        match self {
            Self::Tcp { buffers } => dial::dial(to, within, buffers).await,
            #[cfg(feature = "sim")]
            Self::Sim(host) => host.dial(from, to, within).await,
        }
    }
}
