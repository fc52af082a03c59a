//! `ca`: a private certificate authority in a folder, for a closed mesh.
//!
//! Owns the commands and their output; the crate makes keys and certificates. Private keys are written to files, never
//! printed.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use actix_mesh::tls::{Authority, Tls};
use clap::Subcommand;

use crate::Failure;

const EXAMPLES: &str = "\
Examples:
  actix-mesh ca init mesh-ca
  actix-mesh ca issue mesh-ca alice
  actix-mesh node --tls mesh-ca/alice --listen 0.0.0.0:4444

A node needs DIR/NAME.crt, DIR/NAME.key and DIR/ca.crt: copy these three to its host, and DIR/ca.crl after a
revocation. DIR/ca.key stays where it is: whoever has it decides who is a member. A file DIR/allowed with an id a line,
if there is one, lets in those ids only.";

/// Make the keys and certificates of a closed mesh
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a new authority in a folder
    Init {
        /// The folder; created if missing
        dir: PathBuf,
    },
    /// Issue a certificate for a node, or renew it with the same key and id
    Issue {
        /// The authority's folder
        dir: PathBuf,
        /// The node's name: letters, digits, `-`, `_` and `.`
        name: String,
        /// How many days it is valid
        #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=36500))]
        days: u32,
    },
    /// Revoke every certificate of a name: writes DIR/ca.crl
    Revoke {
        /// The authority's folder
        dir: PathBuf,
        /// The node's name
        name: String,
    },
    /// Show a node's id and when its certificate expires
    Show {
        /// DIR/NAME, as for `node --tls`
        prefix: PathBuf,
    },
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    match &args.action {
        Action::Init { dir } => {
            Authority::init(dir)?;
            println!(
                "made {0}/ca.crt and {0}/ca.key; keep ca.key here",
                dir.display()
            );
        }
        Action::Issue { dir, name, days } => {
            let valid = Duration::from_secs(u64::from(*days) * 24 * 60 * 60);
            let issued = Authority::open(dir)?.issue(name, valid)?;
            let done = if issued.renewed { "renewed" } else { "issued" };
            let until = date(issued.expires);
            println!("{done} {}/{name}.crt, valid until {until}", dir.display());
            println!("id {}", issued.id);
        }
        Action::Revoke { dir, name } => {
            let count = Authority::open(dir)?.revoke(name)?;
            let what = if count == 1 {
                "certificate"
            } else {
                "certificates"
            };
            println!("revoked {count} {what} of {name}");
            println!("copy {}/ca.crl beside ca.crt on every host", dir.display());
        }
        Action::Show { prefix } => {
            let tls = Tls::from_files(prefix)?;
            println!("id {}", tls.id());
            println!("valid until {}", date(tls.expires()));
        }
    }
    Ok(())
}

fn date(time: SystemTime) -> time::Date {
    time::OffsetDateTime::from(time).date()
}
