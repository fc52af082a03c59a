//! The peers a node accepts: authorities, revocations, names and an allow-list of keys.
//!
//! Owns the lists as the operator gave them. The verifier applies them.

use std::collections::BTreeSet;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};

use super::error::TlsError;
use crate::wire::NodeId;

/// The peers that a node accepts into a closed mesh. Every given condition has to hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    pub(super) authorities: Vec<CertificateDer<'static>>,
    pub(super) revocations: Vec<CertificateRevocationListDer<'static>>,
    pub(super) allowed: Option<BTreeSet<NodeId>>,
    pub(super) names: Option<BTreeSet<String>>,
}

impl Trust {
    /// Trusts peers with a certificate from one of these authorities (PEM, one or more).
    ///
    /// The certificates have to allow client authentication: a member may dial or be dialled, and shows its certificate
    /// both times.
    pub fn authority(certificates: impl AsRef<[u8]>) -> Result<Self, TlsError> {
        let all: Result<Vec<_>, _> =
            CertificateDer::pem_slice_iter(certificates.as_ref()).collect();
        let authorities = all.map_err(|error| TlsError::BadCertificate(error.to_string()))?;
        if authorities.is_empty() {
            return Err(TlsError::Missing("authority's certificate"));
        }
        Ok(Self {
            authorities,
            ..Self::default()
        })
    }

    /// Trusts peers with one of these ids, whatever the issuer of their certificates.
    ///
    /// An id is the hash of a public key, so a list of ids is a list of pinned keys.
    pub fn keys(ids: impl IntoIterator<Item = NodeId>) -> Self {
        Self {
            allowed: Some(ids.into_iter().collect()),
            ..Self::default()
        }
    }

    /// Restricts the peers with a certificate of the authority to these keys.
    #[must_use]
    pub fn only_keys(mut self, ids: impl IntoIterator<Item = NodeId>) -> Self {
        self.allowed = Some(ids.into_iter().collect());
        self
    }

    /// Restricts peers to certificates issued for one of these DNS names.
    #[must_use]
    pub fn only_names(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let names = names.into_iter().map(|name| name.into().to_lowercase());
        self.names = Some(names.collect());
        self
    }

    /// Refuses certificates on one of these revocation lists (PEM, one or more).
    pub fn without_revoked(mut self, lists: impl AsRef<[u8]>) -> Result<Self, TlsError> {
        let all: Result<Vec<_>, _> =
            CertificateRevocationListDer::pem_slice_iter(lists.as_ref()).collect();
        let lists = all.map_err(|error| TlsError::BadRevocations(error.to_string()))?;
        self.revocations.extend(lists);
        Ok(self)
    }

    /// Reads the ids of an allow-list, one at the beginning of each line; anything after a space or `#` is a comment.
    pub fn read_allowed(text: &str) -> Result<BTreeSet<NodeId>, TlsError> {
        let mut ids = BTreeSet::new();
        for (number, line) in (1..).zip(text.lines()) {
            let before_remark = line.split('#').next().unwrap_or_default();
            if let Some(word) = before_remark.split_whitespace().next() {
                let id = NodeId::parse(word);
                ids.insert(id.map_err(|why| TlsError::BadAllowed { line: number, why })?);
            }
        }
        Ok(ids)
    }
}
