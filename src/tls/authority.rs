//! A private certificate authority in a folder, managed by `actix-mesh ca`.
//!
//! Owns the files: `ca.crt`, `ca.key`, `ca.crl`, `issued`, and for each name `NAME.crt` and `NAME.key`. All keys are
//! Ed25519, readable by their owner only, and never exposed.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rand::TryRng as _;
use rand::rngs::SysRng;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    PKCS_ED25519, RevocationReason, RevokedCertParams, SerialNumber,
};

use super::certificate::Certificate;
use super::error::TlsError;
use super::private_file::{create_private, read, read_if_there, read_private, replace};
use super::unix_now;
use crate::wire::{NodeId, hex};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How long an authority is valid.
const AUTHORITY: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
/// Certificates are valid from an hour before they are issued, because clocks differ.
const EARLIER: Duration = Duration::from_secs(60 * 60);

/// A private certificate authority: see the module.
#[derive(Debug)]
pub struct Authority {
    dir: PathBuf,
}

/// An issued certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Issued {
    /// The name it was issued for.
    pub name: String,
    /// The id of the node that has the key.
    pub id: NodeId,
    /// When it expires.
    pub expires: SystemTime,
    /// Whether the name already had a key; it was kept, so the node's id is unchanged.
    pub renewed: bool,
}

/// A line of the file `issued`.
struct Record {
    serial: Vec<u8>,
    name: String,
    revoked: bool,
}

impl Authority {
    /// Creates a new authority in this folder, and the folder if it is missing.
    pub fn init(dir: impl Into<PathBuf>) -> Result<Self, TlsError> {
        let dir = dir.into();
        fs::create_dir_all(&dir).map_err(|error| TlsError::file(&dir, error))?;
        let certificate = dir.join("ca.crt");
        if certificate.exists() {
            return Err(TlsError::Exists(certificate));
        }
        let key = KeyPair::generate_for(&PKCS_ED25519).map_err(|error| failed(&error))?;
        let mut params = CertificateParams::default();
        // Each authority gets a unique name: with equal names, the other's certificate would show as a bad signature.
        let name = format!("actix-mesh CA {}", hex::encode(&random::<8>()?));
        params.distinguished_name = named(&name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        period(&mut params, AUTHORITY)?;
        let made = params.self_signed(&key).map_err(|error| failed(&error))?;
        create_private(&dir.join("ca.key"), &key.serialize_pem())?;
        replace(&certificate, &made.pem())?;
        Ok(Self { dir })
    }

    /// Opens the authority in this folder.
    pub fn open(dir: impl Into<PathBuf>) -> Result<Self, TlsError> {
        let authority = Self { dir: dir.into() };
        authority.issuer()?;
        Ok(authority)
    }

    /// Issues a certificate for a name with the given validity: `NAME.crt`, with the key `NAME.key`.
    ///
    /// A name that has a key keeps it, and the node keeps its id. After a revocation the name gets a new key.
    pub fn issue(&self, name: &str, valid: Duration) -> Result<Issued, TlsError> {
        check_name(name)?;
        let _turn = self.turn()?;
        let issuer = self.issuer()?;
        let path = self.dir.join(format!("{name}.key"));
        let records = self.records()?;
        let revoked = records.iter().rfind(|record| record.name == name);
        if revoked.is_some_and(|record| record.revoked) && path.exists() {
            fs::remove_file(&path).map_err(|error| TlsError::file(&path, error))?;
        }
        let renewed = path.exists();
        let key = if renewed {
            KeyPair::from_pem(&read_private(&path)?)
                .map_err(|_| TlsError::BadKey(String::from("it cannot be read")))?
        } else {
            KeyPair::generate_for(&PKCS_ED25519).map_err(|error| failed(&error))?
        };
        let mut params =
            CertificateParams::new([name.to_owned()]).map_err(|error| failed(&error))?;
        params.distinguished_name = named(name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ClientAuth,
            ExtendedKeyUsagePurpose::ServerAuth,
        ];
        params.use_authority_key_identifier_extension = true;
        period(&mut params, valid)?;
        let made = params
            .signed_by(&key, &issuer)
            .map_err(|error| failed(&error))?;
        if !renewed {
            create_private(&path, &key.serialize_pem())?;
        }
        let read = Certificate::read(made.der()).map_err(TlsError::BadCertificate)?;
        self.record("issued", &read.serial, name, &read.id)?;
        replace(&self.dir.join(format!("{name}.crt")), &made.pem())?;
        Ok(Issued {
            name: name.to_owned(),
            id: read.id,
            expires: SystemTime::UNIX_EPOCH + Duration::from_secs(read.not_after),
            renewed,
        })
    }

    /// Revokes every certificate issued for a name by adding them to `ca.crl`; returns how many there were.
    ///
    /// Takes effect at each node once the file has been copied beside the node's own.
    pub fn revoke(&self, name: &str) -> Result<usize, TlsError> {
        let _turn = self.turn()?;
        let issuer = self.issuer()?;
        let mut records = self.records()?;
        let mut count = 0;
        for record in records.iter_mut().filter(|record| record.name == name) {
            if !record.revoked {
                record.revoked = true;
                count += 1;
            }
        }
        if !records.iter().any(|record| record.name == name) {
            return Err(TlsError::UnknownName(name.to_owned()));
        }
        let now = SystemTime::now();
        let revoked = records.iter().filter(|record| record.revoked);
        let list = CertificateRevocationListParams {
            this_update: now.into(),
            next_update: (now + AUTHORITY).into(),
            crl_number: SerialNumber::from(unix_now()),
            issuing_distribution_point: None,
            revoked_certs: revoked
                .map(|record| RevokedCertParams {
                    serial_number: SerialNumber::from_slice(&record.serial),
                    revocation_time: now.into(),
                    reason_code: Some(RevocationReason::Unspecified),
                    invalidity_date: None,
                })
                .collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = list.signed_by(&issuer).map_err(|error| failed(&error))?;
        let pem = list.pem().map_err(|error| failed(&error))?;
        replace(&self.dir.join("ca.crl"), &pem)?;
        let lines = records.iter().map(Record::line).collect::<String>();
        replace(&self.dir.join("issued"), &lines)?;
        Ok(count)
    }

    /// Waits until no other process issues or revokes: of two concurrent writes to the list one would be lost, and its
    /// certificates could no longer be revoked.
    fn turn(&self) -> Result<fs::File, TlsError> {
        let path = self.dir.join("ca.key");
        let file = fs::File::open(&path).map_err(|error| TlsError::file(&path, error))?;
        file.lock().map_err(|error| TlsError::file(&path, error))?;
        Ok(file)
    }

    fn issuer(&self) -> Result<Issuer<'static, KeyPair>, TlsError> {
        let key = KeyPair::from_pem(&read_private(&self.dir.join("ca.key"))?)
            .map_err(|_| TlsError::BadKey(String::from("it cannot be read")))?;
        let certificate = read(&self.dir.join("ca.crt"))?;
        Issuer::from_ca_cert_pem(&certificate, key).map_err(|error| failed(&error))
    }

    fn records(&self) -> Result<Vec<Record>, TlsError> {
        let text = read_if_there(&self.dir.join("issued"))?;
        let lines = text.as_deref().unwrap_or_default().lines();
        Ok(lines.filter_map(Record::read).collect())
    }

    fn record(&self, state: &str, serial: &[u8], name: &str, _: &NodeId) -> Result<(), TlsError> {
        let mut lines: String = self.records()?.iter().map(Record::line).collect();
        lines += &format!("{state} {} {name}\n", hex::encode(serial));
        replace(&self.dir.join("issued"), &lines)
    }
}

impl Record {
    /// Parses `issued SERIAL NAME` or `revoked SERIAL NAME`.
    fn read(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let (state, serial, name) = (words.next()?, words.next()?, words.next()?);
        Some(Self {
            serial: hex::decode(serial)?,
            name: name.to_owned(),
            revoked: state == "revoked",
        })
    }

    fn line(&self) -> String {
        let state = if self.revoked { "revoked" } else { "issued" };
        format!("{state} {} {}\n", hex::encode(&self.serial), self.name)
    }
}

/// Sets the validity period, starting now, and a fresh serial number.
fn period(params: &mut CertificateParams, valid: Duration) -> Result<(), TlsError> {
    let now = SystemTime::now();
    params.not_before = (now - EARLIER).into();
    params.not_after = (now + valid.min(DAY * 36_500)).into();
    params.serial_number = Some(SerialNumber::from_slice(&random::<16>()?));
    Ok(())
}

fn random<const N: usize>() -> Result<[u8; N], TlsError> {
    let mut bytes = [0; N];
    SysRng
        .try_fill_bytes(&mut bytes)
        .map_err(|error| TlsError::BadKey(error.to_string()))?;
    // A serial number must be positive.
    bytes[0] = bytes[0] & 0x3f | 0x40;
    Ok(bytes)
}

fn named(name: &str) -> DistinguishedName {
    let mut named = DistinguishedName::new();
    named.push(DnType::CommonName, name);
    named
}

/// A name becomes part of file names and certificates.
fn check_name(name: &str) -> Result<(), TlsError> {
    let plain = name
        .bytes()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.'));
    let taken = ["ca", "allowed", "issued"].contains(&name);
    let fits = (1..=63).contains(&name.len()) && !name.starts_with(['.', '-']);
    match plain && fits && !taken {
        true => Ok(()),
        false => Err(TlsError::BadName(name.to_owned())),
    }
}

fn failed(error: &rcgen::Error) -> TlsError {
    TlsError::BadCertificate(error.to_string())
}

/// Returns the folder.
impl AsRef<Path> for Authority {
    fn as_ref(&self) -> &Path {
        &self.dir
    }
}
