//! Why a command failed, as reported to programs: a stable code and a sentence.
//!
//! Owns no reasons: each belongs to the code that refuses.

use actix::MailboxError;
use actix_mesh::wire::{DecodeError, StreamError};
use actix_mesh::{ConnectError, EncodeError, SendError, WhisperError};
use serde::Serialize;

/// `{"code", "message"}`
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct CommandError {
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

impl CommandError {
    pub(crate) fn new(code: &'static str, message: impl ToString) -> Self {
        let message = message.to_string();
        Self { code, message }
    }
}

macro_rules! refused_by {
    ($($error:ty),*) => {$(
        impl From<$error> for CommandError {
            fn from(error: $error) -> Self {
                Self::new(error.code(), error)
            }
        }
    )*};
}

refused_by!(
    ConnectError,
    SendError,
    WhisperError,
    EncodeError,
    DecodeError,
    StreamError
);

/// The Router answers every message while it runs, so a mailbox error means that it has shut down.
impl From<MailboxError> for CommandError {
    fn from(_: MailboxError) -> Self {
        Self::new("shutting_down", "the node is shutting down")
    }
}
