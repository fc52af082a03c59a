//! A user's session with a running node: reads lines, starts commands, prints answers.
//!
//! Owns the pending commands and their bound. Each command is its own task, so a slow one does not block the others.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use actix::Addr;
use actix_mesh::{Address, Router};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use super::command::Command;
use super::directory::Directory;
use super::interface::{Interface, Read};
use super::seq::Seq;
use crate::lines::Line;
use crate::output::{Gone, Output};
use crate::warn;

/// The byte budget of pending command lines; when it is used up, no more lines are read until some commands end. It is
/// less than a node's send queue, so a line is never refused because of the lines before it.
const UNDER_WAY: u32 = 28 << 20;

/// The cost of a command in addition to the bytes of its line.
const OVERHEAD: usize = 4096;

/// An input line, or a read error.
pub(crate) type Input = io::Result<Line>;

/// Why the session reads no more lines.
#[derive(Debug)]
pub(crate) enum End {
    /// EOF on the input.
    OfInput,
    /// The user quit.
    Quit,
    /// The input failed.
    Failed(io::Error),
    /// The reader of the output is gone.
    OfOutput,
    /// A signal arrived.
    Signal,
}

/// A session: see the module.
pub(crate) struct Session {
    router: Addr<Router>,
    interface: Rc<dyn Interface>,
    directory: Rc<RefCell<Directory>>,
    output: Output,
    room: Arc<Semaphore>,
    tasks: JoinSet<()>,
    /// Messages given and not sent.
    unsent: Rc<Cell<usize>>,
}

impl Session {
    pub(crate) fn new(
        router: Addr<Router>,
        interface: Rc<dyn Interface>,
        directory: Rc<RefCell<Directory>>,
        output: Output,
    ) -> Self {
        let room = Arc::new(Semaphore::new(UNDER_WAY as usize));
        Self {
            router,
            interface,
            directory,
            output,
            room,
            tasks: JoinSet::new(),
            unsent: Rc::default(),
        }
    }

    /// Dials in the background; a failure is reported on standard error.
    pub(crate) fn dial(&mut self, addr: Address) {
        let command = Command::Connect { addr, expect: None };
        let outcome = command.begin(&self.router, &self.directory.borrow());
        self.tasks.spawn_local(async move {
            if let Err(refusal) = outcome.await {
                warn(&format!("--connect: {}", refusal.message));
            }
        });
    }

    /// Returns the live count of messages that were given and not sent.
    pub(crate) fn unsent(&self) -> Rc<Cell<usize>> {
        Rc::clone(&self.unsent)
    }

    /// Reads lines until the session ends.
    pub(crate) async fn listen(&mut self, mut lines: mpsc::Receiver<Input>) -> End {
        loop {
            let line = match lines.recv().await {
                None => return End::OfInput,
                Some(Err(error)) => return End::Failed(error),
                Some(Ok(line)) => line,
            };
            match self.on_line(line).await {
                Ok(None) => {}
                Ok(Some(end)) => return end,
                Err(Gone) => return End::OfOutput,
            }
        }
    }

    async fn on_line(&mut self, line: Line) -> Result<Option<End>, Gone> {
        let cost = cost(&line);
        let read = self.interface.read(line, &self.directory.borrow());
        match read {
            Read::Nothing => {}
            Read::Say(said) => self.output.say(said).await?,
            Read::Do { seq, command } => {
                if let Some(first) = self.interface.before(&command) {
                    let outcome = first.begin(&self.router, &self.directory.borrow());
                    self.tasks.spawn_local(async { drop(outcome.await) });
                }
                let quits = command == Command::Quit {};
                self.begin(seq, command, cost).await;
                return Ok(quits.then_some(End::Quit));
            }
        }
        Ok(None)
    }

    async fn begin(&mut self, seq: Seq, command: Command, cost: u32) {
        let room = Arc::clone(&self.room).acquire_many_owned(cost);
        let room = room.await.expect("this semaphore is never closed");
        // Discards the tasks that have ended.
        while self.tasks.try_join_next().is_some() {}
        let is_message = matches!(
            command,
            Command::Send { .. } | Command::Whisper { .. } | Command::Reply { .. }
        );
        let mut outcome = command.begin(&self.router, &self.directory.borrow());
        // Started here and not in the task, so that commands start in the order of their lines.
        let begun = poll_fn(|cx| Poll::Ready(outcome.as_mut().poll(cx))).await;
        let (interface, output) = (Rc::clone(&self.interface), self.output.clone());
        let unsent = Rc::clone(&self.unsent);
        self.tasks.spawn_local(async move {
            let outcome = match begun {
                Poll::Ready(outcome) => outcome,
                Poll::Pending => outcome.await,
            };
            if is_message && outcome.is_err() {
                unsent.set(unsent.get() + 1);
            }
            if let Some(answer) = interface.answer(seq, outcome) {
                // The caller watches for the end of the output.
                let _ = output.say(answer).await;
            }
            drop(room);
        });
    }

    /// Waits until all pending commands have ended.
    pub(crate) async fn settle(&mut self) {
        while self.tasks.join_next().await.is_some() {}
    }
}

fn cost(line: &Line) -> u32 {
    let bytes = match line {
        Line::Whole(text) => text.len() + OVERHEAD,
        Line::TooLong(..) => OVERHEAD,
    };
    u32::try_from(bytes).unwrap_or(UNDER_WAY).min(UNDER_WAY)
}
