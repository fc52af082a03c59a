//! What an idle connection takes of memory beyond the kernel's.
//!
//! Every allocation of this program is counted. Its peers are bare sockets and allocate nothing while they
//! wait, so what is there with them and was not there without is the node's. One test alone.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::net::TcpStream;

use actix_mesh::Address;
use actix_mesh::wire::Control;
use peak_alloc::PeakAlloc;

mod support;

use support::at_rest;
use support::raw::Raw;
use support::victim::Victim;

#[global_allocator]
static COUNTED: PeakAlloc = PeakAlloc;

/// Bytes a connection may take; unoptimized, too.
const LAW: usize = 3 * 1024 / 2;
/// Peers in each of two crowds: the second finds whatever the first made the node grow for good.
const CROWD: usize = 500;
/// What that may be: a full address book and a buffer to read into, however many connections there are.
const FOR_GOOD: usize = 192 * 1024;

fn address(number: usize) -> Address {
    let port = u16::try_from(10_000 + number).unwrap();
    std::net::SocketAddr::from(([127, 0, 0, 1], port)).into()
}

/// Joins, and leaves nothing behind but the socket.
fn join(victim: &Victim, number: usize) -> TcpStream {
    let named = |control: &mut Control| {
        if let Control::Handshake { address: own, .. } = control {
            *own = Some(address(number));
        }
    };
    Raw::join_with(victim, named).stream
}

#[test]
fn an_idle_connection_is_small() {
    let victim = Victim::deaf(|config| config.max_incoming(2 * CROWD));
    let mut sockets = Vec::with_capacity(2 * CROWD);
    let mut before = at_rest(|| COUNTED.current_usage());
    for (crowd, besides) in [FOR_GOOD, 0].into_iter().enumerate() {
        for number in 0..CROWD {
            sockets.push(join(&victim, crowd * CROWD + number));
        }
        victim.until_peers((crowd + 1) * CROWD);
        let grown = at_rest(|| COUNTED.current_usage()).saturating_sub(before);
        before = at_rest(|| COUNTED.current_usage());
        let each = grown / CROWD;
        eprintln!("{each} bytes for each of {CROWD} idle connections");
        assert!(grown <= LAW * CROWD + besides, "{each} bytes");
    }
}
