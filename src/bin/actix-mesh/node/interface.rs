//! What stands between a node and whoever uses it: how lines are read, and how things are said.
//!
//! Knows nothing of where lines come from and go to.

use actix_mesh::{Event, Generation, Message, Node};

use super::command::{Command, Outcome};
use super::directory::Directory;
use super::seq::Seq;
use crate::lines::Line;

/// A way to talk with the user. What it gives is said as a line of its own, or more; `None` is not worth saying.
pub(crate) trait Interface {
    /// Said first.
    fn ready(&self, node: &Node, wire: Generation) -> String;

    /// Says where the page is.
    fn page(&self, url: &str) -> String;

    /// Understands a line.
    fn read(&self, line: Line, directory: &Directory) -> Read;

    /// Says what came of a command.
    fn answer(&self, seq: Seq, outcome: Outcome) -> Option<String>;

    fn message(&self, message: &Message) -> Option<String>;

    fn event(&self, event: &Event) -> Option<String>;

    /// What is to be done before a command. Nobody is told what comes of it.
    fn before(&self, _: &Command) -> Option<Command> {
        None
    }

    /// What is to be done when something has happened. As above.
    fn introduce(&self, _: &Event) -> Option<Command> {
        None
    }
}

/// What a line meant.
#[derive(Debug, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "one lives at a time, for a moment"
)]
pub(crate) enum Read {
    /// To be done, and answered under this name.
    Do {
        seq: Seq,
        command: Command,
    },
    /// To be answered with this at once.
    Say(String),
    Nothing,
}
