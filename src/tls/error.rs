//! Errors of keys, certificates and lists, shown to the operator and never to a peer.

use std::io;
use std::path::PathBuf;

use crate::wire::NodeId;

/// Why keys, certificates or lists cannot be used. Never contains a private key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read or written.
    #[error("{}: {why}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        why: io::Error,
    },
    /// A file exists already and would be overwritten.
    #[error("{} already exists: remove it first if it is no longer needed", .0.display())]
    Exists(PathBuf),
    /// Other users can access a private key.
    #[error("{} can be read by other users: chmod 600 it", .0.display())]
    Exposed(PathBuf),
    /// There is neither an authority nor an allow-list.
    #[error("no peer is trusted: {} contains neither ca.crt nor allowed", .0.display())]
    NobodyTrusted(PathBuf),
    /// The input has no PEM section of that kind.
    #[error("no {0} in PEM form was found")]
    Missing(&'static str),
    /// The key cannot be used.
    #[error("the private key cannot be used: {0}")]
    BadKey(String),
    /// The certificate cannot be used.
    #[error("the certificate cannot be used: {0}")]
    BadCertificate(String),
    /// The certificate belongs to another key.
    #[error("the certificate belongs to another key: copy NAME.crt and NAME.key of the same name")]
    KeyMismatch,
    /// The revocation list cannot be used.
    #[error("the revocation list cannot be used: {0}")]
    BadRevocations(String),
    /// A line of the allow-list is not an id.
    #[error("line {line} of the allow-list has no node id: {why}")]
    BadAllowed {
        /// The line number, from 1.
        line: usize,
        /// What is wrong with the id.
        why: crate::wire::IdError,
    },
    /// The key differs from the one the node was started with, so its id would change.
    #[error(
        "the key changed, and with it the node's id from {ours} to {found}: restart the node to use it"
    )]
    OtherKey {
        /// The id in force.
        ours: Box<NodeId>,
        /// The id of the new key.
        found: Box<NodeId>,
    },
    /// A name for which no certificate can be issued.
    #[error(
        "{0:?} is not a valid name: use letters, digits, `-`, `_` and `.`, and not `ca` or `allowed`"
    )]
    BadName(String),
    /// No certificate was issued under that name.
    #[error("nothing was issued under the name {0:?}")]
    UnknownName(String),
    /// The key's type cannot sign messages.
    #[error("only Ed25519 keys can sign messages: issue one with `actix-mesh ca issue`")]
    NotEd25519,
}

impl TlsError {
    pub(crate) fn file(path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::File {
            path: path.into(),
            why: source,
        }
    }
}
