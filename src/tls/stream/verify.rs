//! Verifies the peer's certificate, the same way on both ends.
//!
//! Owns the verdict: chain, validity, revocation, names, allow-list. The TLS handshake proves that the peer holds the
//! certificate's key; its signatures are checked here too.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, PeerIncompatible,
    RootCertStore, SignatureScheme,
};

use super::refusal::refusal_of;
use crate::mesh::TlsRefusal;
use crate::tls::Live;
use crate::tls::certificate::Certificate;
use crate::tls::error::TlsError;
use crate::tls::trust::Trust;

/// A trust, prepared for verification.
#[derive(Debug)]
pub(in crate::tls) struct Verifier {
    trust: Trust,
    /// `None`: the keys are pinned, so any issuer will do.
    chain: Option<Arc<dyn ClientCertVerifier>>,
    /// The same, for the certificates of hosts.
    host: Option<Arc<WebPkiServerVerifier>>,
}

impl Verifier {
    pub(in crate::tls) fn new(trust: Trust) -> Result<Self, TlsError> {
        let (chain, host) = match trust.authorities.is_empty() {
            true => (None, None),
            false => {
                let roots = Arc::new(roots(&trust)?);
                let chain = chain_verifier(&trust, Arc::clone(&roots))?;
                (Some(chain), Some(host_verifier(&trust, roots)?))
            }
        };
        Ok(Self { trust, chain, host })
    }

    /// Whether the other verifier applies the same trust.
    pub(in crate::tls) fn trusts_as(&self, other: &Self) -> bool {
        self.trust == other.trust
    }

    /// Checks that this certificate is accepted at this time. The handshake has to prove its key separately.
    pub(in crate::tls) fn judge(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        let read = Certificate::read(certificate)
            .map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
        match &self.chain {
            Some(chain) => {
                chain.verify_client_cert(certificate, others, now)?;
            }
            None => check_time(&read, now)?,
        }
        self.admit(&read)
    }

    /// Checks that this certificate belongs to the host dialled by this name. A pinned key is accepted under any name.
    fn judge_host(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), Error> {
        let read = Certificate::read(certificate)
            .map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
        match &self.host {
            Some(host) => {
                host.verify_server_cert(certificate, others, name, &[], now)?;
            }
            None => check_time(&read, now)?,
        }
        self.admit(&read)
    }

    /// Checks the key against the allow-list and the names against the allowed ones.
    fn admit(&self, read: &Certificate) -> Result<(), Error> {
        let not_allowed = || {
            Err(Error::InvalidCertificate(
                CertificateError::ApplicationVerificationFailure,
            ))
        };
        match &self.trust.allowed {
            Some(allowed) if !allowed.contains(&read.id) => return not_allowed(),
            // With neither an authority nor a list of keys, no peer is accepted.
            None if self.chain.is_none() => return not_allowed(),
            _ => {}
        }
        let is_named = |name: &String| {
            let names = self.trust.names.as_ref();
            names.is_none_or(|names| names.contains(&name.to_lowercase()))
        };
        if self.trust.names.is_some() && !read.names.iter().any(is_named) {
            return Err(Error::InvalidCertificate(CertificateError::NotValidForName));
        }
        Ok(())
    }
}

fn check_time(read: &Certificate, now: UnixTime) -> Result<(), Error> {
    let expired = |refusal| match refusal {
        TlsRefusal::NotValidYet => Error::InvalidCertificate(CertificateError::NotValidYet),
        _ => Error::InvalidCertificate(CertificateError::Expired),
    };
    read.check_time(now.as_secs()).map_err(expired)
}

fn roots(trust: &Trust) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for authority in &trust.authorities {
        let added = roots.add(authority.clone());
        added.map_err(|error| TlsError::BadCertificate(error.to_string()))?;
    }
    Ok(roots)
}

fn host_verifier(
    trust: &Trust,
    roots: Arc<RootCertStore>,
) -> Result<Arc<WebPkiServerVerifier>, TlsError> {
    let builder = WebPkiServerVerifier::builder_with_provider(roots, provider());
    let builder = match trust.revocations.is_empty() {
        true => builder,
        false => builder
            .with_crls(trust.revocations.iter().cloned())
            .only_check_end_entity_revocation()
            .allow_unknown_revocation_status(),
    };
    builder
        .build()
        .map_err(|error| TlsError::BadRevocations(error.to_string()))
}

fn chain_verifier(
    trust: &Trust,
    roots: Arc<RootCertStore>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let builder = WebPkiClientVerifier::builder_with_provider(roots, provider())
        // An unauthenticated peer does not learn which authorities we trust.
        .clear_root_hint_subjects();
    let builder = match trust.revocations.is_empty() {
        true => builder,
        // With several authorities, one may have no list.
        false => builder
            .with_crls(trust.revocations.iter().cloned())
            .only_check_end_entity_revocation()
            .allow_unknown_revocation_status(),
    };
    builder
        .build()
        .map_err(|error| TlsError::BadRevocations(error.to_string()))
}

/// `ring`: it builds with only Rust and a C compiler.
pub(in crate::tls) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Verifies against the trust in force at that moment.
pub(in crate::tls) struct Current {
    /// Whether a server's certificate must bear the dialled name. In a closed mesh it need not: an id is a key,
    /// whatever its address.
    pub(in crate::tls) names: bool,
    pub(in crate::tls) live: Arc<Live>,
    pub(in crate::tls) provider: Arc<CryptoProvider>,
}

impl std::fmt::Debug for Current {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Current").finish_non_exhaustive()
    }
}

impl Current {
    fn signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

/// Refuses TLS 1.2.
fn too_old() -> Result<HandshakeSignatureValid, Error> {
    Err(Error::PeerIncompatible(PeerIncompatible::Tls12NotOffered))
}

impl ClientCertVerifier for Current {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verifier = self.live.state().verifier;
        verifier.judge(certificate, others, now)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        too_old()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes()
    }
}

impl ServerCertVerifier for Current {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verifier = self.live.state().verifier;
        match self.names {
            true => verifier.judge_host(certificate, others, name, now)?,
            false => verifier.judge(certificate, others, now)?,
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes()
    }
}

impl crate::tls::Tls {
    /// Checks that the peer that presented this chain is still accepted, as a member or as the host of that name.
    pub(crate) fn recheck(
        &self,
        chain: &[CertificateDer<'_>],
        host: Option<&ServerName<'_>>,
        now: u64,
    ) -> Result<(), TlsRefusal> {
        let Some((first, others)) = chain.split_first() else {
            return Err(TlsRefusal::NoCertificate);
        };
        let read = Certificate::read(first).map_err(TlsRefusal::BadCertificate)?;
        let verifier = self.live.state().verifier;
        let judge = |now: u64| {
            let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(now));
            let verdict = match host {
                Some(name) => verifier.judge_host(first, others, name, now),
                None => verifier.judge(first, others, now),
            };
            verdict.map_err(|error| refusal_of(&error).0)
        };
        match judge(now) {
            // A peer accepted while its chain was valid may stay, unless revoked or removed. So an expired chain is
            // judged as on the last day of its shortest certificate.
            Err(TlsRefusal::Expired) => {
                let others = others.iter().filter_map(|der| Certificate::read(der).ok());
                let ends = others.map(|certificate| certificate.not_after);
                judge(ends.fold(read.not_after, u64::min))
            }
            verdict => verdict,
        }
    }
}
