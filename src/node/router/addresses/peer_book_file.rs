//! The address book between runs: a file, read at the start and written while the node runs.
//!
//! Owns the file. A missing file is a first start; a torn one is a fresh start with an event. Writing replaces the
//! whole file atomically, on a thread where it may block. The core owns what the book holds.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix::fut::wrap_future;
use actix::{ActorFutureExt as _, AsyncContext as _, Context};

use crate::mesh::{Event, Place};
use crate::node::Router;

/// The minimum time between two writes.
const PAUSE: Duration = Duration::from_secs(10);
/// A longer file is not an address book.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// See the module.
#[derive(Debug)]
pub(crate) struct PeerBook {
    path: PathBuf,
    /// What the file holds, as far as known.
    saved: Vec<Place>,
    writing: bool,
    next: Duration,
    /// The number of the last write, and of the last one that reached the file.
    writes: u64,
    written: Arc<Mutex<u64>>,
}

impl PeerBook {
    /// Reads the file: returns its addresses, or an event with the reason why it could not be read.
    pub(crate) fn open(path: PathBuf) -> (Self, Vec<Place>, Option<Event>) {
        let (places, event) = match is_file(&path).and_then(|()| read(&path)) {
            Ok(places) => (places, None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => (Vec::new(), None),
            Err(error) => (Vec::new(), Some(failed(&path, &error))),
        };
        let book = Self {
            path,
            saved: places.clone(),
            writing: false,
            next: Duration::ZERO,
            writes: 0,
            written: Arc::default(),
        };
        (book, places, event)
    }

    /// Returns a write of these addresses, to run where it may block. Writes run one at a time, and an older one that
    /// comes late changes nothing: at the end of the node one may still be under way on its thread.
    fn write(&mut self, places: &[Place]) -> impl FnOnce() -> io::Result<()> + use<> {
        self.writes += 1;
        let number = self.writes;
        let (path, places) = (self.path.clone(), places.to_vec());
        let written = Arc::clone(&self.written);
        move || {
            let mut written = written.lock().unwrap_or_else(PoisonError::into_inner);
            if *written < number {
                write(&path, &places)?;
                *written = number;
            }
            Ok(())
        }
    }
}

/// Rejects anything else: opening a pipe, for example, could block forever.
fn is_file(path: &Path) -> io::Result<()> {
    match fs::metadata(path)?.is_file() {
        true => Ok(()),
        false => Err(io::Error::other("it is not a regular file")),
    }
}

impl Router {
    /// Writes the book if it has changed and the last write is old enough.
    pub(crate) fn save_book(&mut self, ctx: &mut Context<Self>) {
        let now = self.clock.now().monotonic;
        let Some(book) = &mut self.peer_book else {
            return;
        };
        if book.writing || now < book.next {
            return;
        }
        book.next = now + PAUSE;
        let places = self.mesh.places();
        if same_addresses(&places, &book.saved) {
            return;
        }
        book.writing = true;
        let writing = actix_rt::task::spawn_blocking(book.write(&places));
        ctx.spawn(
            wrap_future::<_, Self>(writing).map(move |written, router, _| {
                let written = written.unwrap_or_else(|error| Err(io::Error::other(error)));
                router.book_written(places, written);
            }),
        );
    }

    fn book_written(&mut self, places: Vec<Place>, written: io::Result<()>) {
        let Some(book) = &mut self.peer_book else {
            return;
        };
        book.writing = false;
        match written {
            Ok(()) => book.saved = places,
            Err(error) => {
                let event = failed(&book.path, &error);
                self.notify(event);
            }
        }
    }

    /// Writes the book a last time, at the end of the node; it still holds peers that have left.
    pub(crate) fn close_book(&mut self) {
        let places = self.mesh.places();
        if let Some(mut book) = self.peer_book.take()
            && places != book.saved
            && let Err(error) = book.write(&places)()
        {
            let event = failed(&book.path, &error);
            self.notify(event);
        }
    }
}

/// Ignores when a peer was last seen: that changes all the time and is not worth a write.
fn same_addresses(left: &[Place], right: &[Place]) -> bool {
    let of = |places: &[Place]| {
        let mut addresses: Vec<_> = places.iter().map(|place| place.address.clone()).collect();
        addresses.sort();
        addresses
    };
    of(left) == of(right)
}

fn failed(path: &Path, error: &io::Error) -> Event {
    Event::PeerBookFailed {
        path: path.display().to_string(),
        reason: error.to_string(),
    }
}

fn read(path: &Path) -> io::Result<Vec<Place>> {
    let mut text = String::new();
    fs::File::open(path)?
        .take(MAX_FILE_BYTES)
        .read_to_string(&mut text)?;
    Ok(serde_json::from_str(&text)?)
}

/// Writes a file beside it first, then renames it: a reader finds the old file or the new.
fn write(path: &Path, places: &[Place]) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    let mut file = fs::File::create(&beside)?;
    file.write_all(&serde_json::to_vec_pretty(places)?)?;
    file.sync_all()?;
    drop(file);
    fs::rename(&beside, path)
}
