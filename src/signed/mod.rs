//! Signed messages: who wrote a value is proven across relays that nobody trusts.
//!
//! Owns what is signed and which signatures hold. Composed on the [`Router`](crate::Router) from outside: a signed value
//! is an ordinary one with a packet more, which whoever does not check passes over.
//!
//! The key is that of the node's certificate (Ed25519, as `actix-mesh ca` issues them), and an author's id is derived from
//! its key. So a signature proves the id by itself: no list of keys is needed, and nobody can sign for another.
//!
//! # On the wire
//!
//! Behind the kind, the value and the tag (see [`Payload`]) stands packet 3, which is text:
//!
//! ```text
//! signed:1:KEY:COUNTER:SIGNATURE
//! ```
//!
//! KEY: the 32 bytes of the public key, in base58. COUNTER: decimal; microseconds since the epoch when it was signed, and
//! more than the author's last, unless its clock was set back. SIGNATURE: the 64 bytes of Ed25519 (RFC 8032) in base58, over these bytes one after
//! another, where each text stands behind its length in bytes (4 bytes, big-endian):
//!
//! | what | bytes |
//! |---|---|
//! | the context | the text `actix-mesh signed 1` |
//! | the subnet | the text of its id |
//! | how it travels | the text `broadcast` or `whisper` |
//! | for whom | the text of the id it is whispered to; of a broadcast the empty text |
//! | the counter | 8 bytes, big-endian |
//! | how many packets | 4 bytes, big-endian: 3 |
//! | packets 0, 1 and 2 | each behind its length |
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
//! A message without a signature, or with one that does not hold; one whose author is not the owner of the key; one whose
//! counter is more than 2 s off the second it is stamped with, which is what a message becomes that is sent again later;
//! and one whose counter was there already. Each refusal is told as [`Refused`] and counted. A node relays what it does not
//! check; with [`Verifier::before_relay`] what is refused goes no further than that node.

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
    /// The key is of another kind.
    #[error(
        "only Ed25519 keys sign messages: issue the certificate anew, with `actix-mesh ca issue`"
    )]
    NotEd25519,
    /// The node goes by another id than that of the key.
    #[error(
        "the key is that of {key}, and the node is {node}: start it with this identity, or with Config::id"
    )]
    OtherId {
        /// Whose key it is.
        key: Box<NodeId>,
        /// Who was to sign.
        node: Box<NodeId>,
    },
    /// The value has no form in the format of its type.
    #[error(transparent)]
    Format(#[from] FormatError),
}

/// Signs what a node sends.
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
    /// The node's: what is signed is held against the second the message is stamped with.
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
    /// With the key of the node's own identity.
    ///
    /// # Errors
    ///
    /// If the key is not Ed25519, or the node goes by another id than the key's.
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

    /// A broadcast of a value, signed. To be sent within 2 s.
    ///
    /// # Errors
    ///
    /// If the value has no form in the format of its type.
    pub fn send<T: Payload>(&self, value: &T) -> Result<Send, SignError> {
        let mut send = Send::typed(value)?;
        let kind = send.kind.clone().unwrap_or_default();
        send.packets = self.sign(None, &kind, &send.packets)?;
        Ok(send)
    }

    /// A value for this peer alone, signed. To be sent within 2 s: a peer that has to be found first may refuse it.
    ///
    /// # Errors
    ///
    /// If the value has no form in the format of its type.
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

    /// Now, and more than the last time, unless the clock was set back since: what is further from now than a message may
    /// be from its signature would hold nowhere.
    fn next(&self) -> u64 {
        let now = self.clock.micros();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let is_near = *last < now.saturating_add(verifier::MICROS);
        *last = if is_near { now.max(*last + 1) } else { now };
        *last
    }
}
