//! A door on the way to a node: the network, as far as it can break.
//!
//! Knows nothing of what passes.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// Between two looks at what the door is to do.
const GLANCE: Duration = Duration::from_millis(5);

/// What becomes of who comes to the door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// They pass.
    Open,
    /// Nobody is there: connections are torn, new ones refused.
    Shut,
    /// Connections stand, new ones are taken, and bytes vanish without a word: those towards the node, those
    /// from it, or both.
    Swallows { to: bool, from: bool },
    /// It is no more.
    Gone,
}

/// A connection through the door.
struct Passage {
    ends: [TcpStream; 2],
    /// Something of it has vanished, so it is of no use any more.
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
    /// How often somebody was let in.
    dialled: usize,
}

/// See the module.
pub(crate) struct Door {
    /// Where to dial instead of the node.
    pub(crate) addr: SocketAddr,
    hall: Arc<Mutex<Hall>>,
}

impl Door {
    /// Open, but leading nowhere yet.
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

    /// Does so from now on, with those that are under way as well.
    pub(crate) fn set(&self, state: State) {
        let mut hall = self.hall.lock().unwrap();
        hall.state = state;
        hall.passages.retain(|passage| {
            let goes_on = match state {
                State::Shut | State::Gone => false,
                // A network that is whole again answers what lacks bytes with a reset.
                State::Open => !passage.torn.load(Ordering::Relaxed),
                State::Swallows { .. } => true,
            };
            if !goes_on {
                passage.cut();
            }
            goes_on
        });
    }

    /// How often somebody came through since the beginning.
    pub(crate) fn dialled(&self) -> usize {
        self.hall.lock().unwrap().dialled
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.set(State::Gone);
    }
}

/// Listens while it is not shut.
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
    // Who is gone shows to the dialler as a closed connection.
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

/// One way of a passage, until its end.
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
        // So does the end.
        passage.torn.store(true, Ordering::Relaxed);
    } else {
        let _ = sink.shutdown(Shutdown::Write);
    }
}
