//! Signed messages: proves the author of a value, across relays that need not be trusted.
//!
//! Owns what is signed and which signatures are valid. Built on the [`Router`](crate::Router) from outside: a signed
//! value is an ordinary one with an extra packet, which nodes that do not verify ignore.
//!
//! A node signs with the key of its certificate (Ed25519, as `actix-mesh ca` issues them), and its id is derived from
//! that key. So the signature alone proves the author's id: there is no key list to keep, and no node can sign for
//! another.
//!
//! # On the wire
//!
//! After the kind, the value and the tag (see [`Payload`]) comes packet 3, which is text:
//!
//! ```text
//! signed:1:KEY:COUNTER:SIGNATURE
//! ```
//!
//! KEY: the 32 bytes of the public key, in base58. COUNTER: decimal; microseconds since the epoch at signing time, and
//! greater than the author's last unless its clock was set back. SIGNATURE: the 64 bytes of Ed25519 (RFC 8032) in
//! base58, over these bytes in order, where each text is preceded by its length in bytes (4 bytes, big-endian):
//!
//! | what | bytes |
//! |---|---|
//! | the context | the text `actix-mesh signed 1` |
//! | the subnet | the text of its id |
//! | how it is sent | the text `broadcast` or `whisper` |
//! | recipient | the text of the id it is whispered to; for a broadcast the empty text |
//! | the counter | 8 bytes, big-endian |
//! | number of packets | 4 bytes, big-endian: 3 |
//! | packets 0, 1 and 2 | each preceded by its length |
//!
//! For example: with the first key of RFC 8032, section 7.1, the broadcast of `order/1`, `{"pizza":7}` and `id:7` in a
//! subnet whose id is `S`, signed 1,700,000,000,000,001 microseconds after the epoch, by the node
//! `3gNtV1wEMedZQrKdFXWTHTFRy8zVYzQVPB96oxP9NbFts8yH3dEjzrfLAGcm1f1Qoy`, has the proof
//!
//! ```text
//! signed:1:FVen3X669xLzsi6N2V91DoiyzHzg1uAgqiT8jZ9nS96Z:1700000000000001:4Kb9udZuoz4mxJc54fguT9NZ8trGhJ8FymkoYNaGa2iuPbPjVqDErHm4uV7ctgBgJTp4i7fiCMMa3roSNvnTdLFJ
//! ```
//!
//! # What is refused
//!
//! A message is refused if it has no signature or an invalid one, if its author does not own the key, if its counter is
//! more than 2 s off the second of its stamp, as in a replay under a new stamp, or if its counter has been seen. Each
//! refusal is counted and reported as [`Refused`]. A node relays messages it does not verify; with
//! [`Verifier::before_relay`] it does not relay refused ones.

mod statement;
mod verifier;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::SignatureScheme;
use rustls::sign::SigningKey;

use crate::node::router::clock::Clock;
use crate::node::{Send, Whisper};
use crate::start::Node;
use crate::tls::Identity;
use crate::typed::{FormatError, Payload};
use crate::wire::base58;
use crate::wire::{NodeId, Packet, Packets, SubnetId};

pub use verifier::{Refusal, Refused, Signed, Verifier, VerifierReport, VerifierStatus, check};

use statement::{SPKI, Statement};

/// Why a value was not signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// The key is not Ed25519.
    #[error(
        "only Ed25519 keys can sign messages: issue a new certificate with `actix-mesh ca issue`"
    )]
    NotEd25519,
    /// The node's id is not derived from the key.
    #[error(
        "the key belongs to {key}, but the node's id is {node}: start the node with this identity, or with Config::id"
    )]
    OtherId {
        /// The id of the key's owner.
        key: Box<NodeId>,
        /// The id of the node that was to sign.
        node: Box<NodeId>,
    },
    /// The type's format cannot represent the value.
    #[error(transparent)]
    Format(#[from] FormatError),
}

/// Signs the values that a node sends.
///
/// ```no_run
/// # use actix_mesh::{Config, Payload, tls::Identity, signed::Signer};
/// # #[derive(serde::Serialize, serde::Deserialize)] struct Order { pizza: u32 }
/// # impl Payload for Order { const KIND: &'static str = "order/1"; }
/// # async fn order() -> Result<(), Box<dyn std::error::Error>> {
/// let identity = Identity::from_pem(std::fs::read("anna.crt")?, std::fs::read("anna.key")?)?;
/// let node = Config::new().id(identity.id().clone()).start().await?;
/// let signer = Signer::new(&node, &identity)?;
/// node.router.send(signer.send(&Order { pizza: 7 })?).await??;
/// # Ok(()) }
/// ```
pub struct Signer {
    me: NodeId,
    subnet: SubnetId,
    key: Arc<dyn SigningKey>,
    public: [u8; 32],
    /// The node's clock, because a counter is compared with the second the message is stamped with.
    clock: Clock,
    last: Mutex<u64>,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer")
            .field("me", &self.me)
            .finish_non_exhaustive()
    }
}

impl Signer {
    /// Signs with the key of the node's own identity.
    ///
    /// # Errors
    ///
    /// If the key is not Ed25519, or the node's id is not derived from it.
    pub fn new(node: &Node, identity: &Identity) -> Result<Self, SignError> {
        let key = Arc::clone(&identity.key().key);
        let public = key.public_key().and_then(|spki| {
            let raw = spki.as_ref().strip_prefix(&SPKI)?;
            <[u8; 32]>::try_from(raw).ok()
        });
        let public = public.ok_or(SignError::NotEd25519)?;
        if *identity.id() != node.id {
            return Err(SignError::OtherId {
                key: Box::new(identity.id().clone()),
                node: Box::new(node.id.clone()),
            });
        }
        Ok(Self {
            me: node.id.clone(),
            subnet: node.subnet_id.clone(),
            key,
            public,
            clock: node.clock.clone(),
            last: Mutex::new(0),
        })
    }

    /// Signs a value for broadcast. Send it within 2 s.
    ///
    /// # Errors
    ///
    /// If the type's format cannot represent the value.
    pub fn send<T: Payload>(&self, value: &T) -> Result<Send, SignError> {
        let mut send = Send::typed(value)?;
        let kind = send.kind.clone().unwrap_or_default();
        send.packets = self.sign(None, &kind, &send.packets)?;
        Ok(send)
    }

    /// Signs a value for one node. Send it within 2 s: a peer that has to be found first may refuse it.
    ///
    /// # Errors
    ///
    /// If the type's format cannot represent the value.
    pub fn whisper<T: Payload>(&self, to: NodeId, value: &T) -> Result<Whisper, SignError> {
        let mut whisper = Whisper::typed(to, value)?;
        let kind = whisper.kind.clone().unwrap_or_default();
        whisper.packets = self.sign(Some(&whisper.to), &kind, &whisper.packets)?;
        Ok(whisper)
    }

    fn sign(
        &self,
        to: Option<&NodeId>,
        kind: &Packet,
        packets: &Packets,
    ) -> Result<Packets, SignError> {
        let counter = self.next();
        let all: Vec<&[u8]> = std::iter::once(kind)
            .chain(packets.iter())
            .map(Packet::as_bytes)
            .collect();
        let statement = Statement {
            subnet: self.subnet.as_str(),
            to: to.map(NodeId::as_str),
            counter,
            packets: &all,
        };
        let signer = self.key.choose_scheme(&[SignatureScheme::ED25519]);
        let signature = signer
            .ok_or(SignError::NotEd25519)?
            .sign(&statement.bytes())
            .map_err(|_| SignError::NotEd25519)?;
        let proof = format!(
            "signed:1:{}:{counter}:{}",
            base58::encode(&self.public),
            base58::encode(&signature),
        );
        let packets = packets.iter().cloned();
        Ok(packets.chain([Packet::from(proof)]).collect())
    }

    /// Returns the time in microseconds, and more than the last counter unless the clock was set back: a counter
    /// further from now than messages allow would be refused everywhere.
    fn next(&self) -> u64 {
        let now = self.clock.micros();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let is_near = *last < now.saturating_add(verifier::MICROS);
        *last = if is_near { now.max(*last + 1) } else { now };
        *last
    }
}
