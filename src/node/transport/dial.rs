//! Dialling: resolves an address and tries each result, within a time limit.
//!
//! Owns the order of the attempts, that of RFC 8305 ("Happy Eyeballs"): one address of a name may drop all packets, and
//! the next must not wait for its timeout.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::net::lookup_host;
use tokio::time::{sleep, timeout};

use crate::mesh::ConnId;
use crate::mesh::DialError;
use crate::node::transport::{self, Transport};
use crate::wire::Address;

/// A dial has ended.
#[derive(Debug, actix::Message)]
#[rtype(result = "()")]
pub(crate) struct Dialed {
    pub(crate) conn: ConnId,
    pub(crate) dial: Dial,
}

/// How long an attempt runs alone before the next address is tried beside it.
const STAGGER: Duration = Duration::from_millis(250);
/// The most addresses tried of a name.
const MAX_ADDRESSES: usize = 16;

/// The stream, and the address it leads to.
pub(crate) type Dial = Result<(Transport, SocketAddr), DialError>;

/// Connects within this time.
pub(crate) async fn dial(addr: Address, within: Duration, buffers: u32) -> Dial {
    timeout(within, connect(addr, buffers))
        .await
        .unwrap_or(Err(DialError::Timeout))
}

async fn connect(addr: Address, buffers: u32) -> Dial {
    let found = lookup_host((addr.host.as_str(), addr.port))
        .await
        .map_err(|error| unreachable(&error))?;
    race(in_turn(found), |addr| try_one(addr, buffers)).await
}

/// Interleaves the two address families, beginning with that of the first address.
fn in_turn(found: impl Iterator<Item = SocketAddr>) -> VecDeque<SocketAddr> {
    let mut addresses: Vec<SocketAddr> = found.take(MAX_ADDRESSES).collect();
    let first = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (mut one, mut other): (VecDeque<_>, VecDeque<_>) = addresses
        .drain(..)
        .partition(|addr| addr.is_ipv6() == first);
    let mut turns = VecDeque::new();
    while !one.is_empty() || !other.is_empty() {
        turns.extend(one.pop_front());
        turns.extend(other.pop_front());
    }
    turns
}

/// Returns the first attempt that succeeds. The next one starts when one fails or takes too long.
async fn race<T, A>(
    mut addresses: VecDeque<SocketAddr>,
    attempt: impl Fn(SocketAddr) -> A,
) -> Result<(T, SocketAddr), DialError>
where
    A: Future<Output = io::Result<T>>,
{
    let mut why = DialError::Unreachable(String::from("the name has no address"));
    let mut attempts = FuturesUnordered::new();
    loop {
        if let Some(addr) = addresses.pop_front() {
            let attempt = attempt(addr);
            attempts.push(async move { (attempt.await, addr) });
        }
        let next = async {
            match addresses.is_empty() {
                true => std::future::pending().await,
                false => sleep(STAGGER).await,
            }
        };
        tokio::select! {
            ended = attempts.next() => match ended {
                Some((Ok(stream), addr)) => return Ok((stream, addr)),
                Some((Err(error), _)) => why = reason(&error),
                None if addresses.is_empty() => return Err(why),
                None => {}
            },
            () = next => {}
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn families_take_turns() {
        let found = ["[::1]:1", "[::2]:1", "1.1.1.1:1", "[::3]:1", "2.2.2.2:1"].map(addr);
        let turns: Vec<_> = in_turn(found.into_iter()).into();
        let expected = ["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1", "[::3]:1"].map(addr);
        assert_eq!(turns, expected);
        assert_eq!(
            in_turn((0..100).map(|_| addr("1.1.1.1:1"))).len(),
            MAX_ADDRESSES
        );
    }

    /// Port 1 never answers, port 2 refuses, any other connects.
    async fn behaves(addr: SocketAddr) -> io::Result<&'static str> {
        match addr.port() {
            1 => std::future::pending().await,
            2 => Err(io::ErrorKind::ConnectionRefused.into()),
            _ => Ok("connected"),
        }
    }

    #[actix::test]
    async fn f10_a_silent_address_does_not_hold_up_the_next() {
        tokio::time::pause();
        let began = tokio::time::Instant::now();
        let addresses = ["[::1]:1", "127.0.0.1:1", "127.0.0.1:3"].map(addr);
        let connected = race(addresses.into(), behaves).await;
        assert_eq!(connected, Ok(("connected", addr("127.0.0.1:3"))));
        assert!((2 * STAGGER..3 * STAGGER).contains(&began.elapsed()));
    }

    #[actix::test]
    async fn a_refusal_lets_the_next_begin_at_once() {
        tokio::time::pause();
        let began = tokio::time::Instant::now();
        let addresses = ["127.0.0.1:2", "127.0.0.1:2", "127.0.0.1:3"].map(addr);
        assert!(race(addresses.into(), behaves).await.is_ok());
        assert_eq!(began.elapsed(), Duration::ZERO);
        let refused = ["127.0.0.1:2"].map(addr);
        assert_eq!(race(refused.into(), behaves).await, Err(DialError::Refused));
        let nowhere = race(VecDeque::new(), behaves).await;
        assert!(matches!(nowhere, Err(DialError::Unreachable(_))));
    }
}
