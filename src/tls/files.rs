//! Identity and trust loaded from files, and change detection for those files.
//!
//! Owns the names of the files. Reads whole files and blocks.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use super::error::TlsError;
use super::identity::Identity;
use super::private_file::{read, read_if_there, read_private};
use super::trust::Trust;

/// Modification time and length of each file, `None` for a missing one; a change means that the files changed.
type Fingerprint = [Option<(SystemTime, u64)>; 5];

/// The files of one identity: see the module.
#[derive(Debug)]
pub(super) struct Files {
    certificate: PathBuf,
    key: PathBuf,
    authority: PathBuf,
    revocations: PathBuf,
    allowed: PathBuf,
    /// The fingerprint in force, and the one seen last.
    seen: Mutex<(Fingerprint, Fingerprint)>,
}

impl Files {
    /// Reads the files of `DIR/NAME`.
    pub(super) fn load(prefix: PathBuf) -> Result<(Self, Identity, Trust), TlsError> {
        let dir = prefix.parent().map(Path::to_owned).unwrap_or_default();
        let with = |extension: &str| {
            // A name may contain dots, so `with_extension` would cut it.
            let mut path = prefix.clone().into_os_string();
            path.push(extension);
            PathBuf::from(path)
        };
        let files = Self {
            certificate: with(".crt"),
            key: with(".key"),
            authority: dir.join("ca.crt"),
            revocations: dir.join("ca.crl"),
            allowed: dir.join("allowed"),
            seen: Mutex::default(),
        };
        let now = files.fingerprint();
        let (identity, trust) = files.read(&dir)?;
        *files.seen() = (now, now);
        Ok((files, identity, trust))
    }

    /// Returns what the files contain now, if they have changed since the last [`taken_up`](Self::taken_up).
    pub(super) fn changed(&self) -> Result<Option<(Identity, Trust)>, TlsError> {
        let now = self.fingerprint();
        if self.seen().0 == now {
            return Ok(None);
        }
        let dir = self.authority.parent().map(Path::to_owned);
        let read = self.read(&dir.unwrap_or_default())?;
        self.seen().1 = now;
        Ok(Some(read))
    }

    /// Marks what [`changed`](Self::changed) last read as in force.
    pub(super) fn taken_up(&self) {
        let mut seen = self.seen();
        seen.0 = seen.1;
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, (Fingerprint, Fingerprint)> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fingerprint(&self) -> Fingerprint {
        let all = [
            &self.certificate,
            &self.key,
            &self.authority,
            &self.revocations,
            &self.allowed,
        ];
        all.map(|path| {
            let about = fs::metadata(path).ok()?;
            Some((about.modified().ok()?, about.len()))
        })
    }

    fn read(&self, dir: &Path) -> Result<(Identity, Trust), TlsError> {
        let identity = Identity::from_pem(read(&self.certificate)?, read_private(&self.key)?)?;
        let allowed = read_if_there(&self.allowed)?;
        let allowed = allowed.map(|text| Trust::read_allowed(&text)).transpose()?;
        let trust = match (read_if_there(&self.authority)?, allowed) {
            (Some(authority), allowed) => {
                let trust = Trust::authority(authority)?;
                match allowed {
                    Some(ids) => trust.only_keys(ids),
                    None => trust,
                }
            }
            (None, Some(ids)) => Trust::keys(ids),
            (None, None) => return Err(TlsError::NobodyTrusted(dir.to_owned())),
        };
        let trust = match read_if_there(&self.revocations)? {
            Some(lists) => trust.without_revoked(lists)?,
            None => trust,
        };
        Ok((identity, trust))
    }
}
