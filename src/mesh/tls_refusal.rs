//! Why a connection could not be secured, as plain data.
//!
//! Owns the reasons and what to change about each. Knows no TLS library: `tls` translates its errors into these.

use serde::Serialize;

/// Why one end of a connection refused the other before any message of the mesh.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "why", content = "detail", rename_all = "snake_case")]
#[non_exhaustive]
pub enum TlsRefusal {
    /// The other end spoke plaintext where TLS was expected.
    #[error("one end speaks plaintext and the other TLS: give both the same encryption")]
    Plaintext,
    /// The other end spoke TLS where plaintext was expected.
    #[error("one end speaks TLS and the other plaintext: give both the same encryption")]
    Tls,
    /// The certificate was issued by an unknown authority.
    #[error(
        "the certificate is from an unknown authority: issue it with the mesh's CA, or add its CA to `ca.crt`"
    )]
    UnknownAuthority,
    /// The certificate has expired.
    #[error("the certificate has expired: issue it again, or set the clock")]
    Expired,
    /// The certificate is not valid yet.
    #[error("the certificate is not valid yet: set the clock")]
    NotValidYet,
    /// The certificate has been revoked.
    #[error("the certificate is revoked: issue a new key")]
    Revoked,
    /// The key is not on the allow-list.
    #[error("the key is not on the allow-list: add the node's id to it")]
    NotAllowed,
    /// The certificate has none of the allowed names, or not the one dialled.
    #[error(
        "the certificate lacks the expected name: issue it for that name, or dial (and advertise) a name it has"
    )]
    WrongName,
    /// No certificate was presented.
    #[error("no certificate was shown: every member of a closed mesh needs one")]
    NoCertificate,
    /// The certificate is malformed, is not meant for this use, or has an invalid signature.
    #[error("the certificate cannot be used: {0}")]
    BadCertificate(String),
    /// The two ends share no TLS version or cipher, or one broke the protocol.
    #[error("no common TLS: {0}")]
    Protocol(String),
}

impl TlsRefusal {
    /// Returns a short stable name.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Plaintext => "plaintext",
            Self::Tls => "tls",
            Self::UnknownAuthority => "unknown_authority",
            Self::Expired => "expired",
            Self::NotValidYet => "not_valid_yet",
            Self::Revoked => "revoked",
            Self::NotAllowed => "not_allowed",
            Self::WrongName => "wrong_name",
            Self::NoCertificate => "no_certificate",
            Self::BadCertificate(_) => "bad_certificate",
            Self::Protocol(_) => "protocol",
        }
    }
}
