//! The reference peers of generations 0.5 to 0.7: installed under `target/` on first use, each node in its own process.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use serde_json::json;

use crate::support::coprocess::Coprocess;
use crate::support::package;
use crate::support::peer::Peer;

/// A release of a reference library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reference {
    pub(crate) language: Language,
    pub(crate) wire: &'static str,
    version: &'static str,
    /// The encryption as a subnet names it.
    pub(crate) encryption: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    Python,
    JavaScript,
}

const fn py2p(wire: &'static str, version: &'static str, encryption: &'static str) -> Reference {
    Reference {
        language: Language::Python,
        wire,
        version,
        encryption,
    }
}

pub(crate) const fn js2p(encryption: &'static str) -> Reference {
    Reference {
        language: Language::JavaScript,
        wire: "0.7",
        version: "0.7.870",
        encryption,
    }
}

/// All releases that can be installed today.
pub(crate) const ALL: [Reference; 9] = [
    py2p("0.5", "0.5.607", "Plaintext"),
    py2p("0.6", "0.6.757", "Plaintext"),
    py2p("0.7", "0.7.878", "Plaintext"),
    js2p("Plaintext"),
    js2p("ws"),
    py2p("0.5", "0.5.607", "SSL"),
    py2p("0.6", "0.6.757", "SSL"),
    py2p("0.7", "0.7.878", "SSL"),
    js2p("SSL"),
];

impl Reference {
    pub(crate) fn name(self) -> String {
        match self.language {
            Language::Python => format!("py2p {}", self.version),
            Language::JavaScript => format!("js2p {}", self.version),
        }
    }

    /// The options with which our program joins it.
    pub(crate) fn how(&self) -> Vec<&'static str> {
        let mut how = vec!["--wire", self.wire];
        match self.encryption {
            "SSL" => how.push("--unauthenticated-ssl"),
            other => how.extend(["--encryption", other]),
        }
        how
    }

    /// The transport it uses.
    pub(crate) fn transport(&self) -> &'static str {
        match self.encryption {
            "ws" => "WebSocket",
            "SSL" => "SSL",
            _ => "plaintext",
        }
    }

    /// Starts a fresh node that dials no peer unasked; returns `None`, after saying so, where the library cannot be
    /// installed.
    pub(crate) fn peer(self, name: &str) -> Option<Peer> {
        self.peer_beside(name, None, None)
    }

    /// The same, trusting the authority in this file.
    pub(crate) fn peer_trusting(self, name: &str, authority: &Path) -> Option<Peer> {
        self.peer_beside(name, None, Some(authority))
    }

    /// The same with snappy, which the libraries use where it is installed.
    pub(crate) fn peer_with_snappy(self, name: &str) -> Option<Peer> {
        self.peer_beside(
            name,
            Some(match self.language {
                Language::Python => "python-snappy",
                Language::JavaScript => "snappy",
            }),
            None,
        )
    }

    /// The same with one more package installed beside the library.
    fn peer_beside(
        self,
        name: &str,
        package: Option<&str>,
        authority: Option<&Path>,
    ) -> Option<Peer> {
        let folder = match self.ready(package) {
            Ok(folder) => folder,
            Err(why) => {
                package::say_not_run(&self.name(), &why);
                return None;
            }
        };
        let mut command = match self.language {
            Language::Python => package::python("generations/later.py"),
            Language::JavaScript => {
                let mut node = Command::new("node");
                let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
                node.arg(tests.join("generations/later.js"));
                node
            }
        };
        if let Some(authority) = authority {
            command.env("NODE_EXTRA_CA_CERTS", authority);
        }
        let process = Coprocess::start(name, command.arg(folder));
        let started = process.order(match self.encryption {
            "Plaintext" => json!({"do": "start"}),
            other => json!({"do": "start", "transport": other}),
        });
        let subnet = started["subnet"].clone();
        Some(Peer::new(process, &started, &subnet))
    }

    fn ready(self, package: Option<&str>) -> Result<PathBuf, String> {
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _turn = ONE_AT_A_TIME
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join(self.name().replace(' ', "-") + "-with-" + package.unwrap_or("ssl"));
        if folder.is_dir() {
            return Ok(folder);
        }
        // Install into a temporary folder first: an interrupted run must not leave half a package.
        let fresh = folder.with_extension("fresh");
        let _ = fs::remove_dir_all(&fresh);
        fs::create_dir_all(&fresh).map_err(|why| why.to_string())?;
        let mut command = match self.language {
            Language::Python => {
                let mut pip = Command::new("python3");
                pip.args([
                    "-m",
                    "pip",
                    "install",
                    "--quiet",
                    "--disable-pip-version-check",
                ]);
                pip.arg("--target")
                    .arg(&fresh)
                    .arg(format!("py2p=={}", self.version))
                    // Its SSL needs this to create certificates.
                    .arg("cryptography")
                    .args(package);
                pip
            }
            Language::JavaScript => {
                let mut npm = Command::new("npm");
                npm.args(["install", "--silent", "--no-audit", "--no-fund", "--prefix"]);
                npm.arg(&fresh).arg(format!("js2p@{}", self.version));
                npm.args(package);
                npm
            }
        };
        let output = command
            .output()
            .map_err(|why| format!("{command:?}: {why}"))?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
        }
        fs::rename(&fresh, &folder).map_err(|why| why.to_string())?;
        Ok(folder)
    }
}
