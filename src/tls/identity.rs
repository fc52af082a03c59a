//! A node's private key and certificate, and the id derived from the key.
//!
//! Owns the private key and never exposes it.

use std::fmt;
use std::sync::Arc;

use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};

use super::certificate::Certificate;
use super::error::TlsError;
use crate::wire::NodeId;

/// A private key and the certificate issued for it.
pub struct Identity {
    key: Arc<CertifiedKey>,
    certificate: Certificate,
}

impl Identity {
    /// Reads PEM: the certificate, followed by any intermediate certificates up to the authority, and the private key
    /// (PKCS #8, SEC 1 or PKCS #1; Ed25519, ECDSA P-256 or P-384, or RSA from 2,048 bits).
    pub fn from_pem(
        certificates: impl AsRef<[u8]>,
        key: impl AsRef<[u8]>,
    ) -> Result<Self, TlsError> {
        let chain: Result<Vec<_>, _> =
            CertificateDer::pem_slice_iter(certificates.as_ref()).collect();
        let chain = chain.map_err(|error| TlsError::BadCertificate(error.to_string()))?;
        let key = PrivateKeyDer::from_pem_slice(key.as_ref())
            .map_err(|_| TlsError::Missing("private key"))?;
        Self::from_der(chain, key)
    }

    fn from_der(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, TlsError> {
        let first = chain.first().ok_or(TlsError::Missing("certificate"))?;
        let certificate = Certificate::read(first).map_err(TlsError::BadCertificate)?;
        // The library's error is dropped, because it could quote the key.
        let signing = any_supported_type(&key)
            .map_err(|_| TlsError::BadKey(String::from("its type is not supported")))?;
        let certified = CertifiedKey::new(chain, signing);
        match certified.keys_match() {
            Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
            Err(_) => return Err(TlsError::KeyMismatch),
        }
        Ok(Self {
            key: Arc::new(certified),
            certificate,
        })
    }

    /// Returns the id of the node with this key: base58 of SHA-384 over the public key (its `SubjectPublicKeyInfo` in
    /// DER).
    pub fn id(&self) -> &NodeId {
        &self.certificate.id
    }

    /// Returns the names the certificate was issued for.
    pub fn names(&self) -> &[String] {
        &self.certificate.names
    }

    /// Returns the time it expires, in unix seconds.
    pub fn not_after(&self) -> u64 {
        self.certificate.not_after
    }

    pub(crate) fn key(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.key)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("id", self.id())
            .field("names", &self.names())
            .finish_non_exhaustive()
    }
}
