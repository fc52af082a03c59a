//! The memory of an idle connection, without the kernel's.
//!
//! Every allocation of this program is counted. Its peers are bare sockets and allocate nothing while they wait, so the
//! difference they make is the node's. This test is alone in its program.

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

/// Bytes a connection may use, even in a debug build.
const LAW: usize = 3 * 1024 / 2;
/// Peers in each of two crowds: the first makes the node grow once, the second is measured.
const CROWD: usize = 500;
/// The most of that growth: a full address book and a read buffer, however many connections there are.
const FOR_GOOD: usize = 192 * 1024;

fn address(number: usize) -> Address {
    let port = u16::try_from(10_000 + number).unwrap();
    std::net::SocketAddr::from(([127, 0, 0, 1], port)).into()
}

/// Joins, and keeps nothing but the socket.
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
