//! The parts of a certificate that this crate reads: its key, its validity and its names.
//!
//! Owns the parsing. Checks no signature and no trust: the verifier does.

use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::mesh::TlsRefusal;
use crate::wire::NodeId;

/// A parsed certificate: see the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Certificate {
    /// The id derived from its key.
    pub(crate) id: NodeId,
    /// Unix seconds.
    pub(crate) not_before: u64,
    /// Unix seconds.
    pub(crate) not_after: u64,
    /// The DNS names it was issued for.
    pub(crate) names: Vec<String>,
    /// The raw serial number.
    pub(crate) serial: Vec<u8>,
}

impl Certificate {
    /// Reads one certificate; trailing bytes are an error.
    pub(crate) fn read(der: &[u8]) -> Result<Self, String> {
        let (rest, certificate) =
            X509Certificate::from_der(der).map_err(|error| error.to_string())?;
        if !rest.is_empty() {
            return Err(String::from("bytes follow the certificate"));
        }
        let names = match certificate.subject_alternative_name() {
            Ok(Some(names)) => dns_names(&names.value.general_names),
            Ok(None) => Vec::new(),
            Err(error) => return Err(error.to_string()),
        };
        let validity = certificate.validity();
        let seconds = |time: i64| u64::try_from(time).unwrap_or_default();
        Ok(Self {
            id: NodeId::of_key(certificate.public_key().raw),
            not_before: seconds(validity.not_before.timestamp()),
            not_after: seconds(validity.not_after.timestamp()),
            names,
            serial: certificate.raw_serial().to_vec(),
        })
    }

    /// Checks that the certificate is valid at this time.
    pub(crate) fn check_time(&self, now: u64) -> Result<(), TlsRefusal> {
        if now < self.not_before {
            return Err(TlsRefusal::NotValidYet);
        }
        if now > self.not_after {
            return Err(TlsRefusal::Expired);
        }
        Ok(())
    }
}

fn dns_names(names: &[GeneralName<'_>]) -> Vec<String> {
    let names = names.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        _ => None,
    });
    names.collect()
}
