//! What keeps keys, certificates and lists from being used: told to the operator, never to a peer.

use std::io;
use std::path::PathBuf;

use crate::wire::NodeId;

/// Why keys, certificates or lists cannot be used. Never names a private key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read or written.
    #[error("{}: {why}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        why: io::Error,
    },
    /// A file that would be overwritten is there already.
    #[error("{} is there already: remove it first if it is no longer needed", .0.display())]
    Exists(PathBuf),
    /// A private key may be read by others.
    #[error("{} can be read by other users: chmod 600 it", .0.display())]
    Exposed(PathBuf),
    /// There is neither an authority nor an allow-list.
    #[error("nobody is trusted: {} has neither ca.crt nor allowed", .0.display())]
    NobodyTrusted(PathBuf),
    /// No PEM section of that kind was found.
    #[error("no {0} in PEM form was found")]
    Missing(&'static str),
    /// The key cannot be used.
    #[error("the private key cannot be used: {0}")]
    BadKey(String),
    /// The certificate cannot be used.
    #[error("the certificate cannot be used: {0}")]
    BadCertificate(String),
    /// The certificate is not the key's.
    #[error("the certificate belongs to another key: copy both files of one name")]
    KeyMismatch,
    /// The revocation list cannot be used.
    #[error("the revocation list cannot be used: {0}")]
    BadRevocations(String),
    /// A line of the allow-list is no id.
    #[error("line {line} of the allow-list has no node id: {why}")]
    BadAllowed {
        /// Counted from one.
        line: usize,
        /// What is wrong with it.
        why: crate::wire::IdError,
    },
    /// The key is another than the one the node was started with, so its id would change.
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
        "{0:?} cannot be a name: use letters, digits, `-`, `_` and `.`, and not `ca` or `allowed`"
    )]
    BadName(String),
    /// Nothing was issued under that name.
    #[error("nothing was issued under the name {0:?}")]
    UnknownName(String),
    /// The key is not of a kind that signs messages.
    #[error("only an Ed25519 key signs messages: issue one with `actix-mesh ca issue`")]
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
