//! Interprets a TLS error: which end refused the other, and why.

use std::io;

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage};

use crate::mesh::TlsRefusal;

/// Returns the reason, and whether the peer gave it: it refused us and sent an alert.
pub(crate) fn refusal_of(error: &Error) -> (TlsRefusal, bool) {
    match error {
        Error::AlertReceived(alert) => (of_alert(*alert), true),
        Error::InvalidCertificate(why) => (of_certificate(why), false),
        Error::NoCertificatesPresented => (TlsRefusal::NoCertificate, false),
        // The bytes do not begin like a TLS record.
        Error::InvalidMessage(
            InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion,
        ) => (TlsRefusal::Plaintext, false),
        other => (TlsRefusal::Protocol(other.to_string()), false),
    }
}

/// Interprets a failed read or write; `None` if TLS is not the cause.
pub(crate) fn refusal_of_io(error: &io::Error) -> Option<(TlsRefusal, bool)> {
    let inner = error.get_ref()?.downcast_ref::<Error>()?;
    Some(refusal_of(inner))
}

fn of_certificate(why: &CertificateError) -> TlsRefusal {
    match why {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => TlsRefusal::Expired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            TlsRefusal::NotValidYet
        }
        CertificateError::Revoked => TlsRefusal::Revoked,
        // A certificate of another authority with the same name shows as a bad signature.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            TlsRefusal::UnknownAuthority
        }
        CertificateError::ApplicationVerificationFailure => TlsRefusal::NotAllowed,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            TlsRefusal::WrongName
        }
        other => TlsRefusal::BadCertificate(other.to_string()),
    }
}

/// An alert carries less detail than the error behind it.
fn of_alert(alert: AlertDescription) -> TlsRefusal {
    match alert {
        AlertDescription::UnknownCA | AlertDescription::DecryptError => {
            TlsRefusal::UnknownAuthority
        }
        AlertDescription::CertificateExpired => TlsRefusal::Expired,
        AlertDescription::CertificateRevoked => TlsRefusal::Revoked,
        AlertDescription::AccessDenied => TlsRefusal::NotAllowed,
        AlertDescription::BadCertificate => TlsRefusal::WrongName,
        AlertDescription::CertificateRequired | AlertDescription::NoCertificate => {
            TlsRefusal::NoCertificate
        }
        other => TlsRefusal::Protocol(format!("the peer sent the alert {other:?}")),
    }
}
