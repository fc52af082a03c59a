//! `examples/browser` in a real browser: a page that is a node of a 0.7 mesh, beside the example's node and the
//! program, over plain WebSocket and over TLS.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use base64::Engine as _;
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    PublicKeyData as _,
};
use support::browser::{Browser, Process};
use support::peer::Peer;

/// The running example: its page, and its node's address.
struct Example {
    _process: Process,
    page: String,
    node: String,
}

fn example(more: &[&str]) -> Example {
    // `cargo test` builds the example; running a single test does not.
    let cargo = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--example", "browser"])
        .status();
    assert!(cargo.unwrap().success());
    let built = Path::new(env!("CARGO_BIN_EXE_actix-mesh")).with_file_name("examples/browser");
    let mut child = Command::new(built)
        .arg("0")
        .args(more)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut last = || {
        let line = lines.next().unwrap().unwrap();
        line.rsplit(' ').next().unwrap().to_owned()
    };
    let (page, node) = (last(), last());
    // Its output must be read, or the pipe fills.
    std::thread::spawn(move || lines.for_each(drop));
    Example {
        _process: Process(child),
        page,
        node,
    }
}

fn say(browser: &mut Browser, text: &str) {
    let text = Value::from(text);
    browser.run(&format!(
        "document.querySelector('#text').value = {text}; document.querySelector('form').requestSubmit()"
    ));
}

fn joins(browser: &mut Browser) {
    browser.wait(
        "joined",
        "document.querySelector('#state')?.textContent.includes('beside')",
    );
}

fn shows(browser: &mut Browser, text: &str) {
    let text = Value::from(text);
    browser.wait(
        "the message",
        &format!(
            "[...document.querySelectorAll('#said li')].some(it => it.innerText.includes({text}))"
        ),
    );
}

#[test]
fn a_page_takes_part_in_the_mesh() {
    let example = example(&[]);
    let Some(mut browser) = Browser::open(&example.page) else {
        return;
    };
    joins(&mut browser);
    let far = Peer::ours_with(
        "far",
        &["--max-outgoing", "0", "--wire", "0.7", "--encryption", "ws"],
    );
    far.order(json!({"do": "connect", "addr": example.node}));
    // A neighbour relays the page's messages, and the page receives those of others.
    for text in ["hello from a page", "é \u{1f600} ß"] {
        say(&mut browser, text);
        let heard = far.hears_once(text);
        assert_eq!(heard["packets"], json!([text]));
    }
    // Payloads that need every length encoding.
    for length in [1, 40, 300, 70_000] {
        let text = "x".repeat(length);
        say(&mut browser, &text);
        far.hears(&*text);
        far.say(&format!("heard {length}"));
        shows(&mut browser, &format!("heard {length}"));
    }
    // An equal message within the same second.
    say(&mut browser, "again");
    say(&mut browser, "again");
    let until = std::time::Instant::now() + support::PATIENCE;
    while far.times_heard("again") < 2 {
        assert!(std::time::Instant::now() < until, "heard once");
        std::thread::sleep(support::GLANCE);
    }
    // The page has sent no bad frame.
    let status = far.order(json!({"do": "status"}));
    assert_eq!(status["stats"]["bad_frames"], 0, "{status}");
    // A page of another origin is refused.
    let refused = browser.run(&format!(
        "new Promise(done => {{ \
           const other = document.createElement('iframe'); other.sandbox = 'allow-scripts'; \
           other.srcdoc = `<script>const s = new WebSocket('ws://{}/'); \
             s.onopen = () => parent.postMessage('open', '*'); \
             s.onerror = () => parent.postMessage('refused', '*');</script>`; \
           onmessage = event => done(event.data); document.body.append(other); }})",
        example.node
    ));
    assert_eq!(refused, "refused");
}

/// Creates a host's files as a web server has them: P-256, which browsers accept. Returns the key hash for Chromium.
fn host(dir: &Path) -> String {
    let authority_key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = authority.self_signed(&authority_key).unwrap();
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new([String::from("localhost")]).unwrap();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let issued = params.signed_by(&key, &issuer).unwrap();
    let write = |name: &str, text: String| {
        use std::os::unix::fs::PermissionsExt as _;
        let path = dir.join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    };
    write("ca.crt", certificate.pem());
    write("host.crt", issued.pem());
    write("host.key", key.serialize_pem());
    let digest = Sha256::digest(key.subject_public_key_info());
    base64::engine::general_purpose::STANDARD.encode(digest)
}

#[test]
fn a_page_takes_part_over_tls() {
    let dir = tempfile::tempdir().unwrap();
    let key = host(dir.path());
    let files = dir.path().join("host");
    let files = files.to_str().unwrap();
    let example = example(&[files]);
    assert!(example.node.starts_with("localhost:"), "{}", example.node);
    // Stands for the operator's installing the authority: tells Chromium to trust this key.
    let known = format!("--ignore-certificate-errors-spki-list={key}");
    let Some(mut browser) = Browser::open_with(&example.page, &[&known]) else {
        return;
    };
    joins(&mut browser);
    let far = Peer::ours_with(
        "far",
        &["--max-outgoing", "0", "--wire", "0.7", "--wss", files],
    );
    far.order(json!({"do": "connect", "addr": example.node}));
    say(&mut browser, "under lock and key");
    assert_eq!(
        far.hears_once("under lock and key")["packets"],
        json!(["under lock and key"])
    );
    let long = format!("{} heard", "y".repeat(100_000));
    far.say(&long);
    shows(&mut browser, &long);
    let refused = browser.run(&format!(
        "new Promise(done => {{ const s = new WebSocket('ws://{}/'); \
           s.onopen = () => done('open'); s.onerror = () => done('refused'); }})",
        example.node
    ));
    assert_eq!(refused, "refused");
}
