//! Private files, and atomic replacement of files that others read.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

use super::error::TlsError;

/// Writes a new file that only its owner can read. Fails if the file exists.
pub(super) fn create_private(path: &Path, contents: &str) -> Result<(), TlsError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(path).and_then(|mut file| {
        file.write_all(contents.as_bytes())?;
        file.sync_all()
    });
    written.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => TlsError::Exists(path.to_owned()),
        _ => TlsError::file(path, error),
    })
}

/// Replaces a file atomically: a reader sees the old file or the new one.
pub(super) fn replace(path: &Path, contents: &str) -> Result<(), TlsError> {
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(".new");
    let written = fs::write(&fresh, contents).and_then(|()| fs::rename(&fresh, path));
    written.map_err(|error| TlsError::file(path, error))
}

/// Reads a text file.
pub(super) fn read(path: &Path) -> Result<String, TlsError> {
    fs::read_to_string(path).map_err(|error| TlsError::file(path, error))
}

/// Reads a text file that may be missing.
pub(super) fn read_if_there(path: &Path) -> Result<Option<String>, TlsError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(TlsError::file(path, error)),
    }
}

/// Reads a private key, and refuses one that every user of this machine can access.
pub(super) fn read_private(path: &Path) -> Result<String, TlsError> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs::metadata(path).map_err(|error| TlsError::file(path, error))?;
        // Group access is allowed: secrets mounted into a container rely on it.
        if mode.permissions().mode() & 0o007 != 0 {
            return Err(TlsError::Exposed(path.to_owned()));
        }
    }
    read(path)
}
