//! Several messages at once, on processors with wide vectors.
//!
//! Only this module knows processors. Nothing here changes a result: each function returns what its counterpart for one
//! message returns, or `None` if one by one is faster or there are no wide vectors.

#[cfg(target_arch = "x86_64")]
mod base58;
#[cfg(target_arch = "x86_64")]
mod lanes;
#[cfg(target_arch = "x86_64")]
mod sha384;
#[cfg(target_arch = "x86_64")]
mod sha512_rounds;

#[cfg(target_arch = "x86_64")]
pub(super) use self::{base58::encode_digests, sha384::digests};
#[cfg(all(test, target_arch = "x86_64"))]
pub(super) use self::{
    base58::tests::in_every_width as encode_in_every_width,
    sha384::tests::in_every_width as hash_in_every_width,
};
#[cfg(not(target_arch = "x86_64"))]
pub(super) use elsewhere::{digests, encode_digests};

#[cfg(not(target_arch = "x86_64"))]
mod elsewhere {
    use crate::wire::{
        base58::digits::Digits,
        sha384::stamped::{Digest, Packets, Stamped},
    };

    pub(in crate::wire) fn digests<'a, P: Packets<'a>>(_: &[Stamped<P>]) -> Option<Vec<Digest>> {
        None
    }

    pub(in crate::wire) fn encode_digests(_: &[[u8; 48]]) -> Option<Vec<Digits>> {
        None
    }
}
