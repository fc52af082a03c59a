//! The commonest mistakes of users, and what the compiler says to them: it has to name the way out.
//!
//! `TRYBUILD=overwrite cargo test --test mistakes` writes anew what it says.

/// Other compilers say it in other words.
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
