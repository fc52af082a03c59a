//! Line editing on a terminal: a line with history, below the output.
//!
//! Owns the terminal's state and restores it. Not used where input or output is not a terminal.

use std::io::{self, IsTerminal as _, Write};
use std::thread;

use rustyline::error::ReadlineError;
use rustyline::{DefaultEditor, ExternalPrinter};
use tokio::sync::mpsc;

use super::AHEAD;
use super::session::Input;
use crate::lines::Line;
use crate::output::Output;

/// Lines kept in the history.
const RECALLED: usize = 1000;

/// Output and input of the terminal.
pub(super) struct Terminal {
    output: Output,
    lines: mpsc::Receiver<Input>,
    found: Found,
}

/// The terminal's original state, restored on drop: the program may end while a line is being edited.
pub(super) struct Found(#[cfg(unix)] Option<rustix::termios::Termios>);

impl Found {
    fn now() -> Self {
        Self(
            #[cfg(unix)]
            rustix::termios::tcgetattr(io::stdin()).ok(),
        )
    }
}

impl Drop for Found {
    fn drop(&mut self) {
        #[cfg(unix)]
        if let Some(found) = &self.0 {
            let now = rustix::termios::OptionalActions::Now;
            // If the terminal is gone there is nothing to restore.
            let _ = rustix::termios::tcsetattr(io::stdin(), now, found);
        }
    }
}

/// Prints lines above the one being edited.
struct Above<P>(P);

impl<P: ExternalPrinter> Write for Above<P> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes).into_owned();
        self.0.print(text).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Terminal {
    /// Returns `None` where there is no terminal to edit lines on.
    pub(super) fn open() -> Option<Self> {
        if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            return None;
        }
        let found = Found::now();
        let config = rustyline::Config::builder()
            .max_history_size(RECALLED)
            .ok()?
            .auto_add_history(true)
            .build();
        let mut editor = DefaultEditor::with_config(config).ok()?;
        let printer = editor.create_external_printer().ok()?;
        let output = Output::onto(Above(printer)).ok()?;
        let (sender, lines) = mpsc::channel(AHEAD);
        let read = move || {
            loop {
                let line = match editor.readline("") {
                    Ok(line) => Ok(Line::Whole(line.into_bytes())),
                    // Ctrl-C and Ctrl-D end the input.
                    Err(ReadlineError::Interrupted | ReadlineError::Eof) => return,
                    Err(ReadlineError::Io(error)) => Err(error),
                    Err(error) => Err(io::Error::other(error)),
                };
                let failed = line.is_err();
                if sender.blocking_send(line).is_err() || failed {
                    return;
                }
            }
        };
        let thread = thread::Builder::new().name("input".into());
        thread.spawn(read).ok()?;
        Some(Self {
            output,
            lines,
            found,
        })
    }

    pub(super) fn into_parts(self) -> (Output, Option<mpsc::Receiver<Input>>, Option<Found>) {
        (self.output, Some(self.lines), Some(self.found))
    }
}
