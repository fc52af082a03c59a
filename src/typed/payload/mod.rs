//! The types that travel through the mesh, and which of them are questions.

use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) mod format;
mod raw;
pub(in crate::typed) mod tag;

use self::format::Format;

/// A type whose values travel through the mesh.
///
/// Programs that use the same kind must agree on the form of its values, in whatever language they are written. So put
/// a version into the kind, and use a new kind for a form that old programs cannot read.
///
/// ```
/// use actix_mesh::Payload;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Invalidate {
///     key: String,
///     version: u64,
/// }
///
/// impl Payload for Invalidate {
///     const KIND: &'static str = "invalidate/1";
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "values of `{Self}` cannot travel through the mesh: `{Self}` does not implement `Payload`",
    label = "needs `impl Payload for {Self}`",
    note = "derive serde's `Serialize` and `Deserialize` for the type, then name its kind: \
            `impl actix_mesh::Payload for {Self} {{ const KIND: &'static str = \"name/1\"; }}`"
)]
pub trait Payload: Serialize + DeserializeOwned + Send + 'static {
    /// The kind: packet 0 of the message. It must be 2 to 64 bytes of visible ASCII, or the program does not compile.
    /// Kinds that begin with `mesh.` are reserved for this crate.
    const KIND: &'static str;

    /// The format of its values. Default: JSON.
    const FORMAT: Format = Format::Json;
}

/// A payload that asks a question.
///
/// ```
/// use actix_mesh::{Payload, Query};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Square { n: u64 }
/// #[derive(Serialize, Deserialize)]
/// struct Squared { n: u64 }
///
/// impl Payload for Square { const KIND: &'static str = "square/1"; }
/// impl Payload for Squared { const KIND: &'static str = "squared/1"; }
/// impl Query for Square { type Reply = Squared; }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be asked: it does not implement `Query`",
    label = "needs `impl Query for {Self}`",
    note = "say which payload answers it: `impl actix_mesh::Query for {Self} {{ type Reply = ...; }}`"
)]
pub trait Query: Payload {
    /// The type of the answer.
    type Reply: Payload;
}

/// Whether a kind cannot be mistaken for one of the mesh's sub-flags and is readable by every peer.
pub(in crate::typed) const fn is_kind(kind: &str) -> bool {
    let bytes = kind.as_bytes();
    if bytes.len() < 2 || bytes.len() > 64 {
        return false;
    }
    let mut at = 0;
    while at < bytes.len() {
        if !bytes[at].is_ascii_graphic() {
            return false;
        }
        at += 1;
    }
    true
}

/// Returns the kind of a type, checked at compile time.
pub(in crate::typed) const fn kind<T: Payload>() -> &'static str {
    const {
        assert!(
            is_kind(T::KIND),
            "KIND must be 2 to 64 bytes of visible ASCII, as \"invalidate/1\""
        );
    }
    T::KIND
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_short_and_visible() {
        for kind in ["k1", "invalidate/1", "room/", &"k".repeat(64)] {
            assert!(is_kind(kind));
        }
        for kind in ["", "k", "\0\0", "a b", "straße", &"k".repeat(65)] {
            assert!(!is_kind(kind));
        }
    }
}
