//! The py2p package: set up under `target/` on first use, and said aloud where it cannot be.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::thread;

use serde_json::{Value, json};

use super::coprocess::Coprocess;
use super::peer::Peer;

const VERSION: &str = "0.4.516";

/// Proof that py2p is there; it starts peers.
pub(crate) struct Py2p {
    package: &'static Path,
}

impl Py2p {
    /// Returns nothing where py2p cannot be set up, after saying loudly that this case did not run.
    /// Under `CI` that is a failure instead: nobody reads the log of a green run.
    pub(crate) fn ready() -> Option<Self> {
        static PACKAGE: OnceLock<Result<PathBuf, String>> = OnceLock::new();
        match PACKAGE.get_or_init(install) {
            Ok(package) => Some(Self { package }),
            Err(why) => {
                say_not_run(why);
                None
            }
        }
    }

    /// A fresh py2p node that dials nobody by itself.
    pub(crate) fn peer(&self, name: &str) -> Peer {
        self.peer_with(name, json!({}))
    }

    /// A fresh py2p node; the settings are those of `start` in peer.py.
    pub(crate) fn peer_with(&self, name: &str, mut settings: Value) -> Peer {
        let process = Coprocess::start(name, python("peer.py").arg(self.package));
        settings["do"] = "start".into();
        let started = process.order(settings);
        let subnet = started["subnet"].clone();
        Peer::new(process, &started, &subnet)
    }
}

fn python(script: &str) -> Command {
    let mut command = Command::new("python3");
    // A byte-code folder beside the scripts would be a change to the source tree.
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    command.arg(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/live")
            .join(script),
    );
    command
}

fn install() -> Result<PathBuf, String> {
    let package = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("py2p-{VERSION}"));
    let output = python("install.py").arg(&package).arg(VERSION).output();
    let output = output.map_err(|why| format!("python3 does not start: {why}"))?;
    if output.status.success() {
        Ok(package)
    } else {
        Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }
}

fn say_not_run(why: &str) {
    let case = thread::current().name().unwrap_or("a case").to_owned();
    let text = format!(
        "\n**** {case} did NOT run: it needs python3 with pip, and py2p {VERSION} from PyPI.\n{why}\n"
    );
    assert!(
        std::env::var_os("CI").is_none_or(|ci| ci.is_empty()),
        "{text}"
    );
    // Written to the stream itself: `eprintln!` would be captured, and a passing case shows nothing.
    let _ = std::io::stderr().write_all(text.as_bytes());
}
