//! `completions` and `man`: shell completions and manual pages, generated from the command line's definition.

use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;

use clap::Command;
use clap_complete::Shell;

use crate::Failure;

/// Print a completion script for a shell
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  actix-mesh completions bash > /etc/bash_completion.d/actix-mesh
  actix-mesh completions fish > ~/.config/fish/completions/actix-mesh.fish")]
pub(crate) struct Completions {
    /// Which shell
    shell: Shell,
}

/// Write manual pages, one for the program and one for each subcommand
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  actix-mesh man /usr/local/share/man/man1")]
pub(crate) struct Man {
    /// The folder to write them to; created if missing
    folder: PathBuf,
}

pub(crate) fn completions(args: &Completions, mut command: Command) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "actix-mesh", &mut script);
    Ok(io::stdout().lock().write_all(&script)?)
}

pub(crate) fn man(args: &Man, command: Command) -> Result<(), Failure> {
    fs::create_dir_all(&args.folder)?;
    Ok(clap_mangen::generate_to(command, &args.folder)?)
}
