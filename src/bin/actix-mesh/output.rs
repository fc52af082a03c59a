//! Standard output, written by one thread from a bounded queue, so that a slow reader blocks no other task.
//!
//! Knows lines, not their content.

use std::io::{self, BufWriter, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

/// Bytes that may be queued.
const WAITING: u32 = 4 << 20;

/// Standard output is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gone;

enum Entry {
    Line(String, OwnedSemaphorePermit),
    /// The last entry: notifies once everything before it has been written.
    Last(oneshot::Sender<()>),
}

/// Why writing failed, unless the reader closed the pipe.
type Fault = Arc<Mutex<Option<io::Error>>>;

/// A handle on standard output.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    fault: Fault,
    entries: mpsc::UnboundedSender<Entry>,
    /// Bounds the queue.
    room: Arc<Semaphore>,
}

impl Output {
    /// Starts the writer thread.
    pub(crate) fn open() -> io::Result<Self> {
        Self::onto(io::stdout())
    }

    pub(crate) fn onto(out: impl Write + Send + 'static) -> io::Result<Self> {
        #[expect(
            clippy::disallowed_methods,
            reason = "each entry holds a permit of `room`"
        )]
        let (entries, queue) = mpsc::unbounded_channel();
        let fault = Fault::default();
        let told = Arc::clone(&fault);
        thread::Builder::new()
            .name("output".into())
            .spawn(move || write(out, queue, &told))?;
        let room = Arc::new(Semaphore::new(WAITING as usize));
        Ok(Self {
            entries,
            room,
            fault,
        })
    }

    /// Queues a line once there is room for it.
    pub(crate) async fn say(&self, mut line: String) -> Result<(), Gone> {
        line.push('\n');
        let cost = u32::try_from(line.len()).unwrap_or(WAITING).min(WAITING);
        let room = Arc::clone(&self.room).acquire_many_owned(cost);
        let room = tokio::select! {
            room = room => room.map_err(|_| Gone)?,
            () = self.gone() => return Err(Gone),
        };
        self.entries.send(Entry::Line(line, room)).map_err(|_| Gone)
    }

    /// Waits until standard output is closed.
    pub(crate) async fn gone(&self) {
        self.entries.closed().await;
    }

    /// Takes the error that stopped the output; `None` for a broken pipe.
    pub(crate) fn fault(&self) -> Option<io::Error> {
        lock(&self.fault).take()
    }

    /// Waits until everything queued has been written, and closes the queue.
    pub(crate) async fn finish(&self) {
        let (told, done) = oneshot::channel();
        if self.entries.send(Entry::Last(told)).is_ok() {
            // Either way the output has ended.
            let _ = done.await;
        }
    }
}

/// Writes until the last entry or a failed write; the queue is closed when this returns.
fn write(out: impl Write, mut queue: mpsc::UnboundedReceiver<Entry>, fault: &Fault) {
    let mut out = BufWriter::new(out);
    while let Some(entry) = queue.blocking_recv() {
        match entry {
            Entry::Line(line, room) => {
                if let Err(error) = write_line(&mut out, &line, queue.is_empty()) {
                    note(fault, error);
                    // Close the queue before the permit is released: a waiting sender must see that it is closed.
                    queue.close();
                    return;
                }
                drop(room);
            }
            Entry::Last(told) => {
                if let Err(error) = out.flush() {
                    note(fault, error);
                }
                queue.close();
                let _ = told.send(());
                return;
            }
        }
    }
}

fn note(fault: &Fault, error: io::Error) {
    if error.kind() != io::ErrorKind::BrokenPipe {
        *lock(fault) = Some(error);
    }
}

fn lock(fault: &Fault) -> std::sync::MutexGuard<'_, Option<io::Error>> {
    fault.lock().unwrap_or_else(PoisonError::into_inner)
}

fn write_line(out: &mut impl Write, line: &str, flush: bool) -> io::Result<()> {
    out.write_all(line.as_bytes())?;
    match flush {
        true => out.flush(),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc as std_mpsc;

    use super::*;

    /// Passes on what is written to it, and fails with a broken pipe once the receiver is gone.
    struct Pipe(std_mpsc::SyncSender<Vec<u8>>);

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            match self.0.send(bytes.to_vec()) {
                Ok(()) => Ok(bytes.len()),
                Err(_) => Err(io::ErrorKind::BrokenPipe.into()),
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn pipe() -> (Output, std_mpsc::Receiver<Vec<u8>>) {
        let (sender, receiver) = std_mpsc::sync_channel(0);
        (Output::onto(Pipe(sender)).unwrap(), receiver)
    }

    #[actix::test]
    async fn lines_are_written_in_order_before_the_end() {
        let (output, written) = pipe();
        let reader = thread::spawn(move || written.iter().flatten().collect::<Vec<u8>>());
        for line in ["one", "two", "three"] {
            output.say(line.into()).await.unwrap();
        }
        output.finish().await;
        assert_eq!(reader.join().unwrap(), b"one\ntwo\nthree\n");
        assert_eq!(output.say("four".into()).await, Err(Gone));
    }

    #[actix::test]
    async fn a_reader_who_leaves_is_noticed_and_frees_those_who_wait() {
        let (output, written) = pipe();
        let half = "x".repeat(WAITING as usize / 2 + 1);
        output.say(half.clone()).await.unwrap();
        let (waits, ()) = tokio::join!(output.say(half), async {
            drop(written);
            output.gone().await;
        });
        assert_eq!(waits, Err(Gone));
    }
}
