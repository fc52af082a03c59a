//! The py2p package: installed under `target/` on first use, with a loud notice where that fails.
//!
//! Knows nothing of the Python scripts that use it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::thread;

const VERSION: &str = "0.4.516";

/// Returns the package's folder, or `None` where it cannot be installed, after saying loudly that this case did not
/// run. Under `CI` that is a failure: the log of a passing run is not read.
pub(crate) fn ready() -> Option<&'static Path> {
    static PACKAGE: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    match PACKAGE.get_or_init(install) {
        Ok(package) => Some(package),
        Err(why) => {
            say_not_run(&format!("py2p {VERSION}"), why);
            None
        }
    }
}

/// Returns a command that runs a Python script of the tests' folder.
pub(crate) fn python(script: &str) -> Command {
    let mut command = Command::new("python3");
    // Byte code beside the scripts would change the source tree.
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    command.arg(tests.join(script));
    command
}

fn install() -> Result<PathBuf, String> {
    let package = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("py2p-{VERSION}"));
    let output = python("live/py2p/install.py")
        .arg(&package)
        .arg(VERSION)
        .output();
    let output = output.map_err(|why| format!("python3 does not start: {why}"))?;
    if output.status.success() {
        Ok(package)
    } else {
        Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }
}

/// Says loudly that a case did not run because this is missing.
pub(crate) fn say_not_run(what: &str, why: &str) {
    let case = thread::current().name().unwrap_or("a case").to_owned();
    let text = format!(
        "\n**** {case} did NOT run: it needs {what}, and python3 with pip or node with npm to install it.\n{why}\n"
    );
    assert!(
        std::env::var_os("CI").is_none_or(|ci| ci.is_empty()),
        "{text}"
    );
    // Written to the stream directly: `eprintln!` is captured, and the output of a passing case is not shown.
    let _ = std::io::stderr().write_all(text.as_bytes());
}
