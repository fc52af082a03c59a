//! A proxy in front of a node: it records the bytes of both directions, and can hold them back.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Instant;

use super::wire::{self, Method};
use super::{GLANCE, PATIENCE};

/// The direction of the bytes.
#[derive(Clone, Copy)]
pub(crate) enum Way {
    ToTarget,
    FromTarget,
}

#[derive(Default)]
struct State {
    open: bool,
    dialled: usize,
    passed: [Vec<u8>; 2],
}

#[derive(Default)]
struct Gate {
    state: Mutex<State>,
    opened: Condvar,
}

/// Forwards connections to a target. All connections share one record, so a case that reads frames from it allows only
/// one connection.
pub(crate) struct Proxy {
    /// The address to dial instead of the target.
    pub(crate) addr: String,
    gate: Arc<Gate>,
    stopped: Arc<AtomicBool>,
}

impl Proxy {
    /// Forwards everything at once.
    pub(crate) fn to(target: &str) -> Self {
        let proxy = Self::held(target);
        proxy.release();
        proxy
    }

    /// Accepts and dials at once, but forwards no byte before `release`.
    pub(crate) fn held(target: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let addr = listener.local_addr().expect("it is bound").to_string();
        let (gate, stopped) = (Arc::new(Gate::default()), Arc::new(AtomicBool::new(false)));
        let proxy = Self {
            addr,
            gate: Arc::clone(&gate),
            stopped: Arc::clone(&stopped),
        };
        let target = target.to_owned();
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                forward(&client, &target, &gate);
            }
        });
        proxy
    }

    pub(crate) fn release(&self) {
        self.gate.state.lock().expect("no pump panics").open = true;
        self.gate.opened.notify_all();
    }

    /// Waits until a connection has reached the target.
    pub(crate) fn wait_dialled(&self) {
        let deadline = Instant::now() + PATIENCE;
        while self.gate.state.lock().expect("no pump panics").dialled == 0 {
            assert!(Instant::now() < deadline, "nobody dialled the proxy");
            thread::sleep(GLANCE);
        }
    }

    pub(crate) fn bytes(&self, way: Way) -> Vec<u8> {
        self.gate.state.lock().expect("no pump panics").passed[way as usize].clone()
    }

    /// Returns how each complete frame that passed was compressed.
    pub(crate) fn methods(&self, way: Way) -> Vec<Method> {
        wire::bodies(&self.bytes(way))
            .iter()
            .map(|body| wire::method_of(body))
            .collect()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        self.release();
        // Wakes the accepting thread, so that it sees the flag.
        let _ = TcpStream::connect(&self.addr);
    }
}

fn forward(client: &TcpStream, target: &str, gate: &Arc<Gate>) {
    // If the target is gone, the dialling side sees a closed connection.
    let Ok(server) = TcpStream::connect(target) else {
        return;
    };
    pump(client, &server, gate, Way::ToTarget);
    pump(&server, client, gate, Way::FromTarget);
    gate.state.lock().expect("no pump panics").dialled += 1;
}

fn pump(from: &TcpStream, to: &TcpStream, gate: &Arc<Gate>, way: Way) {
    let mut from = from.try_clone().expect("a socket can be cloned");
    let mut to = to.try_clone().expect("a socket can be cloned");
    let gate = Arc::clone(gate);
    thread::spawn(move || {
        let state = gate.state.lock().expect("no pump panics");
        drop(
            gate.opened
                .wait_while(state, |state| !state.open)
                .expect("no pump panics"),
        );
        let mut chunk = [0; 4096];
        while let Ok(read @ 1..) = from.read(&mut chunk) {
            gate.state.lock().expect("no pump panics").passed[way as usize]
                .extend_from_slice(&chunk[..read]);
            if to.write_all(&chunk[..read]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
        let _ = from.shutdown(Shutdown::Read);
    });
}
