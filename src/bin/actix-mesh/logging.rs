//! Logging to standard error: how much, and in which format.
//!
//! Owns the flags `-v` and `--quiet` and the use of `RUST_LOG`. The crate owns the content of the lines.

use std::env;
use std::io::{self, IsTerminal as _};

use tracing_subscriber::EnvFilter;

/// How much is logged.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Logging {
    /// Log more on standard error: -v events, -vv each message that passes, -vvv everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count, conflicts_with = "quiet")]
    verbose: u8,
    /// Log nothing, not even errors
    #[arg(long, global = true)]
    quiet: bool,
}

impl Logging {
    /// Starts logging. Flags override `RUST_LOG`; without either, errors are logged.
    pub(crate) fn start(self) {
        let Some(filter) = self.filter(env::var("RUST_LOG").ok()) else {
            return;
        };
        let colours =
            io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none_or(|no| no.is_empty());
        tracing_subscriber::fmt()
            .with_env_filter(EnvFilter::builder().parse_lossy(filter))
            .with_writer(io::stderr)
            .with_ansi(colours)
            .init();
    }

    fn filter(self, environment: Option<String>) -> Option<String> {
        if self.quiet {
            return None;
        }
        match self.verbose {
            0 => Some(
                environment
                    .filter(|filter| !filter.is_empty())
                    .unwrap_or_else(|| "error".into()),
            ),
            1 => Some("warn,actix_mesh=info".into()),
            2 => Some("warn,actix_mesh=debug".into()),
            _ => Some("trace".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_win_over_the_environment() {
        let filter = |verbose, quiet, environment: Option<&str>| {
            Logging { verbose, quiet }.filter(environment.map(String::from))
        };
        assert_eq!(filter(0, false, None).as_deref(), Some("error"));
        assert_eq!(filter(0, false, Some("")).as_deref(), Some("error"));
        assert_eq!(filter(0, false, Some("trace")).as_deref(), Some("trace"));
        assert_eq!(
            filter(1, false, Some("trace")).as_deref(),
            Some("warn,actix_mesh=info")
        );
        assert_eq!(filter(0, true, Some("trace")), None);
    }
}
