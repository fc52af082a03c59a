//! The program `actix-mesh`: a mesh node for terminals and other programs, and tools for frames.
//!
//! Owns the command line and the exit codes; each subcommand is in its own file.

#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types))]

mod bridge;
mod ca;
mod command_error;
mod completions;
mod config_file;
mod frames;
mod lines;
mod logging;
mod node;
mod output;
mod probe;
mod top;

use std::error::Error;
use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

/// A subcommand's failure: printed on standard error, with exit code 1.
type Failure = Box<dyn Error>;

const EXAMPLES: &str = "\
Examples:
  A node that prints what it hears and broadcasts what is typed:
    actix-mesh node --listen 0.0.0.0:4444
  Another that joins it:
    actix-mesh node --connect 192.0.2.7:4444
  A node as a co-process, one JSON object a line each way:
    actix-mesh node --format json
  What a captured frame says:
    echo 0000009f000000010000.. | actix-mesh decode

Exit codes:
  0  done, or ended on request
  1  failed; standard error says why
  2  the command line was not understood";

/// Join a p2p.today mesh (py2p, js2p) from a terminal or from any program, and read and write its frames.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES)]
struct Cli {
    #[command(flatten)]
    logging: logging::Logging,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Node(Box<node::Args>),
    /// Print a node's settings in force and the source of each: flag, environment, file or default
    Config(Box<node::Args>),
    Decode(frames::decode::Args),
    Encode(frames::encode::Args),
    Ca(ca::Args),
    Bridge(bridge::Args),
    Probe(probe::Args),
    Top(top::Args),
    Completions(completions::Completions),
    Man(completions::Man),
}

impl Command {
    fn run(self, line: &Line) -> Result<(), Failure> {
        match self {
            Self::Config(_) => line.print_settings(),
            Self::Node(args) => node::run(*args),
            Self::Decode(args) => frames::decode::run(&args),
            Self::Encode(args) => frames::encode::run(&args),
            Self::Ca(args) => ca::run(&args),
            Self::Bridge(args) => bridge::run(args),
            Self::Probe(args) => probe::run(&args),
            Self::Top(args) => top::run(args),
            Self::Completions(args) => completions::completions(&args, Cli::command()),
            Self::Man(args) => completions::man(&args, Cli::command()),
        }
    }
}

/// The command line, with the settings that a file adds.
struct Line(config_file::Expanded);

impl Line {
    fn read() -> Result<Self, Failure> {
        let arguments = std::env::args_os().collect();
        config_file::expand(&Cli::command(), arguments).map(Self)
    }

    fn print_settings(&self) -> Result<(), Failure> {
        let command = Cli::command();
        let matches = command.clone().get_matches_from(&self.0.arguments);
        match (
            matches.subcommand_matches("config"),
            command.find_subcommand("config"),
        ) {
            (Some(given), Some(command)) => config_file::print(command, given, &self.0.from_file),
            _ => Ok(()),
        }
    }
}

fn main() -> ExitCode {
    let line = match Line::read() {
        Ok(line) => line,
        Err(failure) => {
            warn(&story(&*failure));
            return ExitCode::FAILURE;
        }
    };
    let Cli { logging, command } = Cli::parse_from(&line.0.arguments);
    logging.start();
    match command.run(&line) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) if is_broken_pipe(&*failure) => ExitCode::SUCCESS,
        Err(failure) => {
            warn(&story(&*failure));
            ExitCode::FAILURE
        }
    }
}

/// The reader of our output has closed it, as `head` does: not a failure.
fn is_broken_pipe(failure: &(dyn Error + 'static)) -> bool {
    let error = failure.downcast_ref::<io::Error>();
    error.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Formats an error with its causes.
fn story(failure: &dyn Error) -> String {
    let mut story = failure.to_string();
    let mut cause = failure.source();
    while let Some(error) = cause {
        story += &format!(": {error}");
        cause = error.source();
    }
    story
}

/// Prints a warning on standard error. If that fails, there is nowhere to report it.
fn warn(what: &str) {
    let _ = writeln!(io::stderr(), "actix-mesh: {what}");
}
