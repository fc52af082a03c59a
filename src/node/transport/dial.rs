//! Connects to an address: resolve, try each, within a time.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::lookup_host;
use tokio::time::timeout;

use crate::mesh::DialError;
use crate::node::transport::{self, Transport};
use crate::wire::Address;

/// The stream, and where it led.
pub(crate) type Dial = Result<(Transport, SocketAddr), DialError>;

/// Connects within the time given.
pub(crate) async fn dial(addr: Address, within: Duration, buffers: u32) -> Dial {
    timeout(within, connect(addr, buffers))
        .await
        .unwrap_or(Err(DialError::Timeout))
}

async fn connect(addr: Address, buffers: u32) -> Dial {
    let found = lookup_host((addr.host.as_str(), addr.port))
        .await
        .map_err(|error| unreachable(&error))?;
    let mut why = DialError::Unreachable(String::from("the name has no address"));
    for addr in found {
        match try_one(addr, buffers).await {
            Ok(transport) => return Ok((transport, addr)),
            Err(error) => why = reason(&error),
        }
    }
    Err(why)
}

async fn try_one(addr: SocketAddr, buffers: u32) -> io::Result<Transport> {
    let socket = transport::socket(addr, buffers)?;
    Transport::plain(socket.connect(addr).await?)
}

fn reason(error: &io::Error) -> DialError {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => DialError::Refused,
        io::ErrorKind::TimedOut => DialError::Timeout,
        _ => unreachable(error),
    }
}

fn unreachable(error: &io::Error) -> DialError {
    DialError::Unreachable(error.to_string())
}
