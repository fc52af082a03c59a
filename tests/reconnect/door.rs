//! A door in front of a node: simulates a network that fails.
//!
//! Knows nothing of the bytes that pass.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// The interval at which the door's state is checked.
const GLANCE: Duration = Duration::from_millis(5);

/// What happens to a connection through the door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Bytes pass.
    Open,
    /// The host is down: connections are cut, new ones refused.
    Shut,
    /// Connections stay open and new ones are accepted, but bytes are dropped silently: those towards the node, those
    /// from it, or both.
    Swallows { to: bool, from: bool },
    /// The door has been removed.
    Gone,
}

/// A connection through the door.
struct Passage {
    ends: [TcpStream; 2],
    /// Some of its bytes were dropped, so it is useless from now on.
    torn: AtomicBool,
}

impl Passage {
    fn cut(&self) {
        for end in &self.ends {
            let _ = end.shutdown(Shutdown::Both);
        }
    }
}

struct Hall {
    state: State,
    target: Option<SocketAddr>,
    passages: Vec<Arc<Passage>>,
    /// How many connections were accepted.
    dialled: usize,
}

/// A door: see the module.
pub(crate) struct Door {
    /// The address to dial instead of the node.
    pub(crate) addr: SocketAddr,
    hall: Arc<Mutex<Hall>>,
}

impl Door {
    /// Opens a door without a target.
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let hall = Arc::new(Mutex::new(Hall {
            state: State::Open,
            target: None,
            passages: Vec::new(),
            dialled: 0,
        }));
        let kept = Arc::clone(&hall);
        thread::spawn(move || attend(&kept, addr, listener));
        Self { addr, hall }
    }

    pub(crate) fn lead_to(&self, target: SocketAddr) {
        self.hall.lock().unwrap().target = Some(target);
    }

    /// Sets the state, for existing connections too.
    pub(crate) fn set(&self, state: State) {
        let mut hall = self.hall.lock().unwrap();
        hall.state = state;
        hall.passages.retain(|passage| {
            let goes_on = match state {
                State::Shut | State::Gone => false,
                // A network that works again answers with a reset when bytes are missing.
                State::Open => !passage.torn.load(Ordering::Relaxed),
                State::Swallows { .. } => true,
            };
            if !goes_on {
                passage.cut();
            }
            goes_on
        });
    }

    /// Returns how many connections have been accepted so far.
    pub(crate) fn dialled(&self) -> usize {
        self.hall.lock().unwrap().dialled
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.set(State::Gone);
    }
}

/// Listens while the door is not shut.
fn attend(hall: &Arc<Mutex<Hall>>, addr: SocketAddr, first: TcpListener) {
    let mut listener = Some(first);
    loop {
        let (state, target) = {
            let hall = hall.lock().unwrap();
            (hall.state, hall.target)
        };
        match (state, target) {
            (State::Gone, _) => return,
            (State::Shut, _) => listener = None,
            (_, Some(target)) => {
                let listener = listener.get_or_insert_with(|| TcpListener::bind(addr).unwrap());
                listener.set_nonblocking(true).unwrap();
                while let Ok((client, _)) = listener.accept() {
                    client.set_nonblocking(false).unwrap();
                    admit(hall, client, target);
                }
            }
            (_, None) => {}
        }
        thread::sleep(GLANCE);
    }
}

fn admit(hall: &Arc<Mutex<Hall>>, client: TcpStream, target: SocketAddr) {
    // If the node is gone, the dialling side sees a closed connection.
    let Ok(server) = TcpStream::connect(target) else {
        return;
    };
    let passage = Arc::new(Passage {
        ends: [client, server],
        torn: AtomicBool::new(false),
    });
    {
        let mut hall = hall.lock().unwrap();
        if let State::Shut | State::Gone = hall.state {
            return;
        }
        hall.dialled += 1;
        hall.passages.push(Arc::clone(&passage));
    }
    for towards in [true, false] {
        let (hall, passage) = (Arc::clone(hall), Arc::clone(&passage));
        thread::spawn(move || pass(&hall, &passage, towards));
    }
}

/// Forwards one direction of a connection until its end.
fn pass(hall: &Mutex<Hall>, passage: &Passage, towards: bool) {
    let [client, server] = &passage.ends;
    let (mut source, mut sink) = if towards {
        (client, server)
    } else {
        (server, client)
    };
    let vanishes = || match hall.lock().unwrap().state {
        State::Swallows { to, from } => (towards && to) || (!towards && from),
        _ => false,
    };
    let mut chunk = [0; 16 << 10];
    while let Ok(read @ 1..) = source.read(&mut chunk) {
        if vanishes() {
            passage.torn.store(true, Ordering::Relaxed);
        } else if sink.write_all(&chunk[..read]).is_err() {
            break;
        }
    }
    if vanishes() {
        // The EOF is dropped too.
        passage.torn.store(true, Ordering::Relaxed);
    } else {
        let _ = sink.shutdown(Shutdown::Write);
    }
}
