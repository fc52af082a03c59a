//! Common mistakes of users, and the compiler's messages for them, which have to name the fix.
//!
//! `TRYBUILD=overwrite cargo test --test mistakes` regenerates the expected messages.

/// The compiler whose messages are expected; others word them differently.
const COMPILER: &str = "rustc 1.95.";

#[test]
fn a_mistake_is_told_with_its_way_out() {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| String::from("rustc"));
    let version = std::process::Command::new(rustc)
        .arg("--version")
        .output()
        .expect("rustc says its version");
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    if !version.starts_with(COMPILER) {
        println!("SKIPPED: what {COMPILER}x says is on record, and this is {version}");
        return;
    }
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/mistakes/*/*.rs");
}
