//! Closed meshes: who a node is by its key, whom it lets in, and TLS between the two.
//!
//! Owns keys, certificates, trust and the TLS handshake. Knows neither the mesh nor an actor: the node's transport
//! uses it, and the program's `ca` command.
//!
//! A node's id is derived from its public key ([`Identity::id`]), and the TLS handshake proves that the other end
//! holds that key. So on a link of a closed mesh the id is a fact and not a claim. Whom a node lets in is its
//! [`Trust`]: whoever a private CA issued a certificate for, or an allow-list of ids, or both.
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

/// A node's key and certificate, and whom it trusts. Clones share what they hold.
///
/// Change either while the node runs with [`set_identity`](Self::set_identity) and [`set_trust`](Self::set_trust) on
/// a clone, or change the files that it was loaded from: they are looked at every
/// [`reload_interval`](Self::reload_interval). A link whose peer is no longer trusted is closed; the others stay.
#[derive(Clone)]
pub struct Tls {
    live: Arc<Live>,
    files: Option<Arc<files::Files>>,
    reload: Duration,
    id: NodeId,
}

/// What is in force.
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
        // Nothing panics while it holds the lock.
        let state = self.state.read();
        state.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.write().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Tls {
    /// This identity, and this trust.
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

    /// The identity in force: a renewed certificate is taken up, and has the same key.
    pub fn identity(&self) -> Arc<Identity> {
        Arc::clone(&self.live.state().identity)
    }

    /// From the files of `actix-mesh ca`: for `DIR/NAME`, the certificate `DIR/NAME.crt`, its key `DIR/NAME.key`, the
    /// authority `DIR/ca.crt`, its revocations `DIR/ca.crl` and the allow-list `DIR/allowed`.
    ///
    /// The last two may be missing, and `ca.crt` where there is an allow-list: then the keys on it are let in, whoever
    /// issued their certificates. The allow-list has an id at the beginning of each line; what follows a space or `#`
    /// is a remark.
    pub fn from_files(prefix: impl Into<PathBuf>) -> Result<Self, TlsError> {
        let (files, identity, trust) = files::Files::load(prefix.into())?;
        let mut tls = Self::new(identity, trust)?;
        tls.files = Some(Arc::new(files));
        Ok(tls)
    }

    /// How often the files are looked at for changes. Default 5 s; zero: never.
    #[must_use]
    pub fn reload_interval(mut self, every: Duration) -> Self {
        self.reload = every;
        self
    }

    /// The id that the key stands for.
    pub fn id(&self) -> &NodeId {
        &self.id
    }

    /// When the certificate in force expires.
    pub fn expires(&self) -> SystemTime {
        let seconds = self.live.state().identity.not_after();
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    /// Shows another certificate of the same key from now on, as after a renewal. Links stay.
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

    /// Trusts others from now on. Within a second the links of those no longer trusted are closed.
    pub fn set_trust(&self, trust: Trust) -> Result<(), TlsError> {
        let verifier = Arc::new(Verifier::new(trust)?);
        self.live.change(|state| {
            state.verifier = verifier;
            state.changes += 1;
        });
        Ok(())
    }

    /// How often the trust has changed so far.
    pub(crate) fn changes(&self) -> u64 {
        self.live.state().changes
    }

    /// How often to look at the files; `None` if there are none or they are not to be looked at.
    pub(crate) fn look_every(&self) -> Option<Duration> {
        (self.files.is_some() && !self.reload.is_zero()).then_some(self.reload)
    }

    /// Takes up what changed in the files; whether anything did. Reads files: not on a thread that serves others.
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

/// The wall clock, in seconds.
pub(crate) fn unix_now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}
