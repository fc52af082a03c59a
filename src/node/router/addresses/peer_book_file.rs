//! The address book between runs: a file that is read at the start and written while the node runs.
//!
//! Owns the file. A missing one is a first start, a torn one a fresh start that is told as an event;
//! writing replaces the whole file at once, on a thread where it may block. What the book holds is
//! the core's business.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use actix::fut::wrap_future;
use actix::{ActorFutureExt as _, AsyncContext as _, Context};

use crate::mesh::{Event, Place};
use crate::node::Router;

/// The file is written no more often than this.
const PAUSE: Duration = Duration::from_secs(10);
/// A file larger than this is none of ours.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// See the module.
#[derive(Debug)]
pub(crate) struct PeerBook {
    path: PathBuf,
    /// What the file holds, as far as we know.
    saved: Vec<Place>,
    writing: bool,
    next: Duration,
}

impl PeerBook {
    /// With what the file holds, or why it could not be read.
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
        };
        (book, places, event)
    }
}

/// Opening anything else, a pipe say, could wait for ever.
fn is_file(path: &Path) -> io::Result<()> {
    match fs::metadata(path)?.is_file() {
        true => Ok(()),
        false => Err(io::Error::other("it is not a regular file")),
    }
}

impl Router {
    /// Writes the book if it has changed and the last writing is some time ago.
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
        let (path, to_write) = (book.path.clone(), places.clone());
        let writing = actix_rt::task::spawn_blocking(move || write(&path, &to_write));
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

    /// Writes the book a last time, at the end of the node; peers that have left are still in it.
    pub(crate) fn close_book(&mut self) {
        let places = self.mesh.places();
        if let Some(book) = self.peer_book.take()
            && places != book.saved
            && let Err(error) = write(&book.path, &places)
        {
            let event = failed(&book.path, &error);
            self.notify(event);
        }
    }
}

/// When a peer was last there changes all the time and is not worth a writing.
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

/// Into a file beside it first, which then takes its place: a reader finds the old one or the new.
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
