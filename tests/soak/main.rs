//! Long runs against a node in its own process, whose resident memory is measured: mixed attacks, trickling sockets,
//! idle peers. `docs/reliability.md` has the results.
//!
//!     cargo test --test soak                                                    a few seconds of each
//!     SOAK=600 SOCKETS=10000 PEERS=5000 cargo test --release --test soak        ten minutes, and crowds
//!
//! A name after `--` runs only that case. Fails if memory exceeds the limit, or an honest peer is not served.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../support/mod.rs"]
mod support;

#[cfg(target_os = "linux")]
mod attackers;
#[cfg(target_os = "linux")]
mod cases;
#[cfg(target_os = "linux")]
mod process;

#[cfg(target_os = "linux")]
fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [word, max_incoming] = &arguments[..]
        && word == process::WORD
    {
        return process::run(max_incoming.parse().unwrap());
    }
    if arguments.iter().any(|argument| argument == "--list") {
        return;
    }
    let filters: Vec<&String> = arguments
        .iter()
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    for (name, case) in cases::CASES {
        if filters.is_empty() || filters.iter().any(|filter| name.contains(filter.as_str())) {
            println!("{name}");
            case();
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("resident memory is read as Linux tells it: nothing was run");
}
