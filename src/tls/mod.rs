//! Closed meshes: identities from keys, trust, and TLS between nodes.
//!
//! Owns keys, certificates, trust and the TLS handshake. Knows neither the mesh nor actors: the node's transport and
//! the program's `ca` command use it.
//!
//! A node's id is derived from its public key ([`Identity::id`]), and the TLS handshake proves that the peer holds the
//! private key. So in a closed mesh the id is proven, not claimed. A node's [`Trust`] says which peers it accepts:
//! those with a certificate from a private CA, those on an allow-list of ids, or those with both.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use actix_mesh::tls::Tls;
//! let tls = Tls::from_files("mesh-ca/alice")?; // alice.crt, alice.key, ca.crt and, if there, ca.crl and allowed
//! println!("this node's id will be {}", tls.id());
//! # Ok(()) }
//! ```

mod authority;
mod certificate;
mod error;
mod expiry;
mod files;
mod identity;
mod private_file;
mod stream;
mod trust;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::wire::NodeId;

pub use authority::{Authority, Issued};
pub use error::TlsError;
pub use identity::Identity;
pub use trust::Trust;

pub(crate) use expiry::Expiry;
use stream::verify::Verifier;
pub(crate) use stream::{Failure, Secure, Side, Upgrade, failure_of};

/// A node's key and certificate, and the peers it trusts. Clones share their state.
///
/// To change either while the node runs, call [`set_identity`](Self::set_identity) or [`set_trust`](Self::set_trust) on
/// a clone, or change the files it was loaded from: they are checked every [`reload_interval`](Self::reload_interval).
/// A link is closed when its peer is no longer trusted; the others stay open.
#[derive(Clone)]
pub struct Tls {
    live: Arc<Live>,
    files: Option<Arc<files::Files>>,
    reload: Duration,
    id: NodeId,
}

/// The identity and trust in force.
struct Live {
    state: RwLock<State>,
}

#[derive(Clone)]
struct State {
    identity: Arc<Identity>,
    verifier: Arc<Verifier>,
    /// Counts changes of trust.
    changes: u64,
}

impl Live {
    fn state(&self) -> State {
        // No code panics while it holds the lock.
        let state = self.state.read();
        state.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.write().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Tls {
    /// Combines an identity and a trust.
    pub fn new(identity: Identity, trust: Trust) -> Result<Self, TlsError> {
        let verifier = Arc::new(Verifier::new(trust)?);
        let id = identity.id().clone();
        let state = State {
            identity: Arc::new(identity),
            verifier,
            changes: 0,
        };
        Ok(Self {
            live: Arc::new(Live {
                state: RwLock::new(state),
            }),
            files: None,
            reload: Duration::from_secs(5),
            id,
        })
    }

    /// Returns the identity in force. A renewed certificate replaces it, with the same key.
    pub fn identity(&self) -> Arc<Identity> {
        Arc::clone(&self.live.state().identity)
    }

    /// Loads the files of `actix-mesh ca`: for `DIR/NAME`, the certificate `DIR/NAME.crt`, its key `DIR/NAME.key`, the
    /// authority `DIR/ca.crt`, its revocations `DIR/ca.crl` and the allow-list `DIR/allowed`.
    ///
    /// The last two are optional. With an allow-list `ca.crt` is optional too: without it, the listed keys are accepted
    /// whatever the issuer of their certificates. Each line of the allow-list begins with an id; anything after a space
    /// or `#` is a comment.
    pub fn from_files(prefix: impl Into<PathBuf>) -> Result<Self, TlsError> {
        let (files, identity, trust) = files::Files::load(prefix.into())?;
        let mut tls = Self::new(identity, trust)?;
        tls.files = Some(Arc::new(files));
        Ok(tls)
    }

    /// Sets how often the files are checked for changes. Default 5 s; zero: never.
    #[must_use]
    pub fn reload_interval(mut self, every: Duration) -> Self {
        self.reload = every;
        self
    }

    /// Returns the id derived from the key.
    pub fn id(&self) -> &NodeId {
        &self.id
    }

    /// Returns the time the certificate in force expires.
    pub fn expires(&self) -> SystemTime {
        let seconds = self.live.state().identity.not_after();
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    /// Presents another certificate for the same key from now on, for example after a renewal. Links stay open.
    pub fn set_identity(&self, identity: Identity) -> Result<(), TlsError> {
        if *identity.id() != self.id {
            return Err(TlsError::OtherKey {
                ours: Box::new(self.id.clone()),
                found: Box::new(identity.id().clone()),
            });
        }
        self.live
            .change(|state| state.identity = Arc::new(identity));
        Ok(())
    }

    /// Replaces the trust. Links to peers no longer trusted are closed within a second.
    pub fn set_trust(&self, trust: Trust) -> Result<(), TlsError> {
        let verifier = Arc::new(Verifier::new(trust)?);
        self.live.change(|state| {
            state.verifier = verifier;
            state.changes += 1;
        });
        Ok(())
    }

    /// Returns how many times the trust has changed.
    pub(crate) fn changes(&self) -> u64 {
        self.live.state().changes
    }

    /// Returns how often to check the files; `None` if there are none or checking is off.
    pub(crate) fn look_every(&self) -> Option<Duration> {
        (self.files.is_some() && !self.reload.is_zero()).then_some(self.reload)
    }

    /// Loads the files if they changed; returns whether they did. Blocks on file I/O, so call it on a thread that
    /// serves nothing else.
    pub(crate) fn look_at_files(&self) -> Result<bool, TlsError> {
        let Some(files) = &self.files else {
            return Ok(false);
        };
        let Some((identity, trust)) = files.changed()? else {
            return Ok(false);
        };
        let verifier = Verifier::new(trust.clone())?;
        self.set_identity(identity)?;
        if !self.live.state().verifier.trusts_as(&verifier) {
            self.set_trust(trust)?;
        }
        files.taken_up();
        Ok(true)
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// Returns the wall-clock time in unix seconds.
pub(crate) fn unix_now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}
