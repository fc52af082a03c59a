//! The interface between a node and its user: how lines are read and how output is formatted.
//!
//! Does not know where lines come from or go to.

use actix_mesh::{Event, Generation, Message, Node};

use super::command::{Command, Outcome};
use super::directory::Directory;
use super::seq::Seq;
use crate::lines::Line;

/// A user interface. Each returned text is printed as one or more lines; `None` prints nothing.
pub(crate) trait Interface {
    /// Returns the first line.
    fn ready(&self, node: &Node, wire: Generation) -> String;

    /// Announces the page's URL.
    fn page(&self, url: &str) -> String;

    /// Parses a line.
    fn read(&self, line: Line, directory: &Directory) -> Read;

    /// Formats the result of a command.
    fn answer(&self, seq: Seq, outcome: Outcome) -> Option<String>;

    fn message(&self, message: &Message) -> Option<String>;

    fn event(&self, event: &Event) -> Option<String>;

    /// Returns a command to run before this one. Its result is dropped.
    fn before(&self, _: &Command) -> Option<Command> {
        None
    }

    /// Returns a command to run after this event. Its result is dropped.
    fn introduce(&self, _: &Event) -> Option<Command> {
        None
    }
}

/// The meaning of a line.
#[derive(Debug, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "one lives at a time, for a moment"
)]
pub(crate) enum Read {
    /// A command to run and answer under this `seq`.
    Do {
        seq: Seq,
        command: Command,
    },
    /// An immediate answer.
    Say(String),
    Nothing,
}
