//! Two ends of a pipe, each with an identity and a trust: which end accepts which, and what each is told.

use std::path::Path;
use std::time::Duration;

use bytes::BytesMut;
use std::future::poll_fn;
use std::io::IoSlice;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

use super::stream::Failure;
use super::*;
use crate::mesh::TlsRefusal;

const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Closed meshes check no host name.
const CLIENT: Side<'static> = Side::Client { host: "" };

fn mesh(names: &[&str]) -> (tempfile::TempDir, Authority) {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::init(dir.path()).unwrap();
    for name in names {
        authority.issue(name, YEAR).unwrap();
    }
    (dir, authority)
}

fn load(dir: &Path, name: &str) -> Tls {
    Tls::from_files(dir.join(name)).unwrap()
}

type Ends = (
    Result<Secure<DuplexStream>, Failure>,
    Result<Secure<DuplexStream>, Failure>,
);

/// Runs both handshakes; returns the client's end and the server's.
async fn meet(client: &Tls, server: &Tls) -> Ends {
    let (near, far) = duplex(64 * 1024);
    let (client, server) = (
        Upgrade::closed(client).unwrap(),
        Upgrade::closed(server).unwrap(),
    );
    tokio::join!(
        client.secure(near, CLIENT),
        server.secure(far, Side::Server)
    )
}

/// Returns the alert that a refused client reads from the server.
async fn heard(client: Result<Secure<DuplexStream>, Failure>) -> Failure {
    let mut client = match client {
        Ok(client) => client,
        Err(failure) => return failure,
    };
    let read = poll_fn(|cx| client.poll_read(cx, &mut BytesMut::with_capacity(100))).await;
    super::stream::failure_of(&read.unwrap_err())
}

fn refused<T>(end: Result<T, Failure>) -> (TlsRefusal, bool) {
    match end {
        Err(Failure::Refused(why, by_peer)) => (why, by_peer),
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it was let in"),
    }
}

#[tokio::test]
async fn members_of_one_authority_prove_their_ids_to_each_other() {
    let (dir, _) = mesh(&["a", "b"]);
    let (a, b) = (load(dir.path(), "a"), load(dir.path(), "b"));
    let (client, server) = meet(&a, &b).await;
    assert_eq!(client.unwrap().proven(), Some(b.id()));
    assert_eq!(server.unwrap().proven(), Some(a.id()));
}

#[tokio::test]
async fn what_is_written_is_read_however_large() {
    let (dir, _) = mesh(&["a", "b"]);
    let (client, server) = meet(&load(dir.path(), "a"), &load(dir.path(), "b")).await;
    let (mut client, mut server) = (client.unwrap(), server.unwrap());
    let all: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[1]).collect();
    let writing = async {
        let mut rest = all.as_slice();
        while !rest.is_empty() {
            let (first, second) = rest.split_at(rest.len().min(70_000) / 2);
            let slices = [
                IoSlice::new(first),
                IoSlice::new(&second[..second.len().min(9)]),
            ];
            let wrote = poll_fn(|cx| client.poll_write(cx, &slices)).await.unwrap();
            rest = &rest[wrote..];
        }
        poll_fn(|cx| client.poll_flush(cx)).await.unwrap();
        poll_fn(|cx| client.poll_shutdown(cx)).await.unwrap();
    };
    let reading = async {
        let mut read = BytesMut::new();
        loop {
            read.reserve(10_000);
            match poll_fn(|cx| server.poll_read(cx, &mut read)).await.unwrap() {
                0 => return read,
                _ => assert!(!server.may_have_more() || read.len() == read.capacity()),
            }
        }
    };
    let ((), read) = tokio::join!(writing, reading);
    assert!(read == all);
}

#[tokio::test]
async fn another_authoritys_certificate_is_refused_and_both_are_told() {
    let (dir, _) = mesh(&["a"]);
    let (other, _) = mesh(&["b"]);
    let (a, b) = (load(dir.path(), "a"), load(other.path(), "b"));
    let (client, server) = meet(&b, &a).await;
    // The client is the first to see a certificate.
    assert_eq!(refused(client), (TlsRefusal::UnknownAuthority, false));
    assert_eq!(refused(server), (TlsRefusal::UnknownAuthority, true));
    // The client here trusts us, so our alert tells it the reason.
    let both = std::fs::read_to_string(dir.path().join("ca.crt")).unwrap()
        + &std::fs::read_to_string(other.path().join("ca.crt")).unwrap();
    std::fs::write(other.path().join("ca.crt"), both).unwrap();
    let (client, server) = meet(&load(other.path(), "b"), &a).await;
    assert_eq!(refused(server), (TlsRefusal::UnknownAuthority, false));
    let told = Failure::Refused(TlsRefusal::UnknownAuthority, true);
    assert_eq!(heard(client).await, told);
}

#[tokio::test]
async fn an_expired_certificate_is_refused_and_both_are_told() {
    let (dir, authority) = mesh(&["a"]);
    authority.issue("late", Duration::ZERO).unwrap();
    std::thread::sleep(Duration::from_millis(1100));
    let (client, server) = meet(&load(dir.path(), "late"), &load(dir.path(), "a")).await;
    assert_eq!(refused(server), (TlsRefusal::Expired, false));
    assert_eq!(
        heard(client).await,
        Failure::Refused(TlsRefusal::Expired, true)
    );
}

#[tokio::test]
async fn a_revoked_certificate_is_refused_and_a_new_key_is_let_in() {
    let (dir, authority) = mesh(&["a", "b"]);
    let revoked = load(dir.path(), "b");
    let a = load(dir.path(), "a");
    let (client, server) = meet(&revoked, &a).await;
    let (_client, server) = (client.unwrap(), server.unwrap());
    assert_eq!(authority.revoke("b").unwrap(), 1);
    assert!(a.look_at_files().unwrap());
    assert_eq!(a.changes(), 1);
    assert!(!a.look_at_files().unwrap());
    assert_eq!(server.recheck(unix_now()), Err(TlsRefusal::Revoked));
    // Still refused after its certificate has expired.
    assert_eq!(server.recheck(unix_now() * 2), Err(TlsRefusal::Revoked));
    let (client, server) = meet(&revoked, &a).await;
    assert_eq!(refused(server), (TlsRefusal::Revoked, false));
    assert_eq!(
        heard(client).await,
        Failure::Refused(TlsRefusal::Revoked, true)
    );
    let again = authority.issue("b", YEAR).unwrap();
    assert!(!again.renewed);
    assert_ne!(again.id, *revoked.id());
    let (_, server) = meet(&load(dir.path(), "b"), &a).await;
    assert_eq!(server.unwrap().proven(), Some(&again.id));
}

/// A member whose certificate outlives the one of its issuer, which another authority issued.
#[test]
fn after_its_issuer_has_expired_a_member_stays_until_its_key_is_removed() {
    use rcgen::{CertificateParams, IsCa, Issuer, KeyPair};
    let key = || KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let params = |name: &str, is_ca: IsCa, valid: Duration| {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        let names = &mut params.distinguished_name;
        names.push(rcgen::DnType::CommonName, name);
        params.is_ca = is_ca;
        params.not_after = (std::time::SystemTime::now() + valid).into();
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
        params
    };
    let authority = || IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let (root_key, middle_key, leaf_key) = (key(), key(), key());
    let mut root = params("root", authority(), YEAR * 9);
    root.extended_key_usages.clear();
    let root_made = root.self_signed(&root_key).unwrap();
    let root = Issuer::from_params(&root, &root_key);
    let mut middle = params("middle", authority(), YEAR);
    middle.extended_key_usages.clear();
    let middle_made = middle.signed_by(&middle_key, &root).unwrap();
    let middle = Issuer::from_params(&middle, &middle_key);
    let leaf = params("leaf", IsCa::NoCa, YEAR * 5);
    let leaf = leaf.signed_by(&leaf_key, &middle).unwrap();
    let id = super::certificate::Certificate::read(leaf.der())
        .unwrap()
        .id;
    let chain = [leaf.der().clone(), middle_made.der().clone()];

    let (dir, _) = mesh(&["a"]);
    let a = load(dir.path(), "a");
    let trust = |id| Trust::authority(root_made.pem()).unwrap().only_keys([id]);
    let later = unix_now() + (YEAR * 2).as_secs();
    a.set_trust(trust(id)).unwrap();
    assert_eq!(a.recheck(&chain, None, unix_now()), Ok(()));
    assert_eq!(a.recheck(&chain, None, later), Ok(()));
    a.set_trust(trust(a.id().clone())).unwrap();
    for now in [unix_now(), later] {
        assert_eq!(a.recheck(&chain, None, now), Err(TlsRefusal::NotAllowed));
    }
}

#[tokio::test]
async fn pinned_keys_need_no_authority_and_are_the_only_ones() {
    let (dir, _) = mesh(&["a", "b"]);
    let (other, _) = mesh(&["c"]);
    let (b, c) = (load(dir.path(), "b"), load(other.path(), "c"));
    let a = load(dir.path(), "a");
    a.set_trust(Trust::keys([c.id().clone()])).unwrap();
    c.set_trust(Trust::keys([a.id().clone()])).unwrap();
    let (client, server) = meet(&c, &a).await;
    assert_eq!(client.unwrap().proven(), Some(a.id()));
    let server = server.unwrap();
    assert_eq!(server.proven(), Some(c.id()));
    let (client, server_b) = meet(&b, &a).await;
    assert_eq!(refused(server_b), (TlsRefusal::NotAllowed, false));
    assert_eq!(
        heard(client).await,
        Failure::Refused(TlsRefusal::NotAllowed, true)
    );
    a.set_trust(Trust::keys([b.id().clone()])).unwrap();
    assert_eq!(server.recheck(unix_now()), Err(TlsRefusal::NotAllowed));
}

#[tokio::test]
async fn a_name_that_is_not_allowed_is_refused() {
    let (dir, _) = mesh(&["a", "b"]);
    let ca = std::fs::read(dir.path().join("ca.crt")).unwrap();
    let (a, b) = (load(dir.path(), "a"), load(dir.path(), "b"));
    a.set_trust(Trust::authority(&ca).unwrap().only_names(["A", "c"]))
        .unwrap();
    let (client, server) = meet(&b, &a).await;
    assert_eq!(refused(server), (TlsRefusal::WrongName, false));
    assert_eq!(
        heard(client).await,
        Failure::Refused(TlsRefusal::WrongName, true)
    );
    a.set_trust(Trust::authority(&ca).unwrap().only_names(["B"]))
        .unwrap();
    assert!(meet(&b, &a).await.1.is_ok());
}

#[tokio::test]
async fn plaintext_is_recognised_by_both_sides() {
    let (dir, _) = mesh(&["a"]);
    let upgrade = Upgrade::closed(&load(dir.path(), "a")).unwrap();
    for side in [CLIENT, Side::Server] {
        let (near, mut far) = duplex(64 * 1024);
        far.write_all(&[0, 0, 0, 100, 0, 0, 0, 1, 0, 0, 0, 1])
            .await
            .unwrap();
        let far = tokio::spawn(async move {
            let mut read = Vec::new();
            far.read_to_end(&mut read).await.unwrap();
            read
        });
        let failure = upgrade.secure(near, side).await.map(|_| ());
        assert_eq!(refused(failure), (TlsRefusal::Plaintext, false));
        // Only TLS went out, nothing of the mesh: a hello if we dialled, and an alert.
        let read = far.await.unwrap();
        assert!(matches!(read.first(), Some(0x15 | 0x16)), "{read:02x?}");
    }
}

#[tokio::test]
async fn whoever_shows_no_certificate_is_refused() {
    let (dir, _) = mesh(&["a"]);
    let (near, far) = duplex(64 * 1024);
    let server = Upgrade::closed(&load(dir.path(), "a")).unwrap();
    let anybody = Upgrade::ssl().unwrap();
    let (client, server) = tokio::join!(
        anybody.secure(near, CLIENT),
        server.secure(far, Side::Server)
    );
    assert_eq!(refused(server), (TlsRefusal::NoCertificate, false));
    assert_eq!(
        heard(client).await,
        Failure::Refused(TlsRefusal::NoCertificate, true)
    );
}

#[tokio::test]
async fn a_renewed_certificate_keeps_the_id_and_another_key_does_not_count() {
    let (dir, authority) = mesh(&["a", "b"]);
    let a = load(dir.path(), "a");
    let before = a.expires();
    let renewed = authority.issue("a", YEAR * 2).unwrap();
    assert!(renewed.renewed);
    assert_eq!(renewed.id, *a.id());
    assert!(a.look_at_files().unwrap());
    assert!(a.expires() > before);
    // The trust is unchanged, so no link has to be checked again.
    assert_eq!(a.changes(), 0);
    for file in ["crt", "key"] {
        let copy = dir.path().join(format!("b.{file}"));
        std::fs::copy(copy, dir.path().join(format!("a.{file}"))).unwrap();
    }
    assert!(matches!(a.look_at_files(), Err(TlsError::OtherKey { .. })));
    assert_eq!(*a.identity().id(), renewed.id);
}

#[test]
fn files_that_do_not_fit_are_refused_and_what_was_in_force_stays() {
    let (dir, _) = mesh(&["a", "b"]);
    let a = load(dir.path(), "a");
    std::fs::copy(dir.path().join("b.crt"), dir.path().join("a.crt")).unwrap();
    assert!(matches!(a.look_at_files(), Err(TlsError::KeyMismatch)));
    std::fs::write(dir.path().join("a.crt"), "half a fi").unwrap();
    assert!(matches!(a.look_at_files(), Err(TlsError::Missing(_))));
    std::fs::write(dir.path().join("allowed"), "# nobody\n0OIl\n").unwrap();
    assert!(Tls::from_files(dir.path().join("b")).is_err());
    assert!(a.identity().not_after() > unix_now());
}

#[test]
fn an_allow_list_has_an_id_a_line_and_remarks() {
    let ids = Trust::read_allowed("# of the mesh\nAbc alice\n\n  Def# bob\n").unwrap();
    let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
    assert_eq!(ids, ["Abc", "Def"]);
    assert!(matches!(
        Trust::read_allowed("Abc\n0 carol"),
        Err(TlsError::BadAllowed { line: 2, .. })
    ));
}

#[cfg(unix)]
#[test]
fn keys_are_their_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let (dir, _) = mesh(&["a"]);
    for name in ["ca.key", "a.key"] {
        let path = dir.path().join(name);
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let key = dir.path().join("a.key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(
        Tls::from_files(dir.path().join("a")),
        Err(TlsError::Exposed(_))
    ));
    let shown = format!("{:?}", Authority::open(dir.path()));
    assert!(!shown.contains("PRIVATE"));
}

#[test]
fn names_are_plain_and_an_authority_is_made_once() {
    let (dir, authority) = mesh(&["host-1.example"]);
    for name in ["", "ca", "allowed", "../x", "a b", ".a", "a/b", "ü"] {
        assert!(matches!(
            authority.issue(name, YEAR),
            Err(TlsError::BadName(_))
        ));
    }
    assert!(matches!(
        Authority::init(dir.path()),
        Err(TlsError::Exists(_))
    ));
    assert!(matches!(
        authority.revoke("nobody"),
        Err(TlsError::UnknownName(_))
    ));
}

#[test]
fn an_id_is_the_hash_of_the_public_key() {
    let (dir, authority) = mesh(&[]);
    let issued = authority.issue("a", YEAR).unwrap();
    assert_eq!(issued.id, *load(dir.path(), "a").id());
    let spki = [
        0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
    ];
    let key = [spki.as_slice(), &[7; 32]].concat();
    assert_eq!(
        NodeId::of_key(&key).as_str(),
        "5xEnVifzQXAc5MY6ozMtViY715kosntYcAsdQeDoEVaqg24MiHUZiq2mFnMHiiaZFd"
    );
}

#[tokio::test]
async fn ssl_encrypts_and_proves_nothing() {
    let (near, far) = duplex(64 * 1024);
    let (one, other) = (Upgrade::ssl().unwrap(), Upgrade::ssl().unwrap());
    let (client, server) = tokio::join!(one.secure(near, CLIENT), other.secure(far, Side::Server));
    assert_eq!(client.unwrap().proven(), None);
    assert_eq!(server.unwrap().proven(), None);
}

#[test]
fn what_is_issued_at_once_is_all_on_the_list() {
    let (dir, _) = mesh(&[]);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let dir = dir.path();
            scope.spawn(move || {
                let authority = Authority::open(dir).unwrap();
                for n in 0..8 {
                    authority.issue(&format!("n{thread}-{n}"), YEAR).unwrap();
                }
            });
        }
    });
    let authority = Authority::open(dir.path()).unwrap();
    for thread in 0..4 {
        for n in 0..8 {
            assert_eq!(authority.revoke(&format!("n{thread}-{n}")).unwrap(), 1);
        }
    }
}

/// Callers that print an error with its sources would otherwise print the reason twice.
#[test]
fn why_a_file_cannot_be_read_is_said_once() {
    let error = Tls::from_files("no/such/folder/name").unwrap_err();
    assert!(error.to_string().contains("name.crt"), "{error}");
    assert!(std::error::Error::source(&error).is_none());
}
