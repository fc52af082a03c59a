//! Typed values, questions and answers, and actors on other nodes: the API for actix developers.
//!
//! Owns types, formats and the methods of [`Node`](crate::Node). Everything here is built from messages to the
//! [`Router`](crate::Router), which only knows bytes.
//!
//! # On the wire
//!
//! | packet | what | for example |
//! |---|---|---|
//! | 0 | the kind, [`Payload::KIND`] | `invalidate/1` |
//! | 1 | the value, in the [`Format`] of its type: JSON text by default | `{"key":"user/7","version":3}` |
//! | 2 | a tag: a word, a colon, and 11 characters that differ for each message | `id:Jx0_mB2qRkA` |
//!
//! The tag tells apart two equal values sent within one second. Its word says what the message is:
//!
//! | tag | sent as | what |
//! |---|---|---|
//! | `id:..` | broadcast or whisper | a value |
//! | `ask:..` | whisper to one, broadcast to all | a question; `ask:..:billing` asks the actor of that name |
//! | `reply:..` | whisper to the asking node | the answer; the characters after the colon are the question's |
//! | `none:..` | whisper to the asking node, empty value | no actor here answers that |
//! | `busy:..` | whisper to the asking node, empty value | the queue of questions is full here |
//! | `bad:..` | whisper to the asking node, empty value | the question cannot be read as its kind |
//!
//! 1 to 64 letters, digits, `-` or `_` follow the first colon; a name has at most 64 bytes. A message without packet 2
//! is a value.
//!
//! # Programs in other languages
//!
//! A py2p or js2p program receives packets 1 and 2 after packet 0 and answers with the same kinds: `send(["{...}"],
//! type="invalidate/1")` publishes, and a handler for kind `square/1` gets `["square/1", "{\"n\":12}", "ask:Jx0"]`.
//!
//! It can also use the *plain form*: its `send` and `reply` set the mesh's sub-flag (`broadcast` or `whisper`) as
//! packet 0, and the three packets follow: `message.reply(["squared/1", "{\"n\":144}", "reply:Jx0"])`. Nodes read both
//! forms. [`Request::plain`] asks in the plain form, so that `recv()` returns the question; a plain question gets a
//! plain answer.

pub(crate) mod answer;
pub(crate) mod asked;
pub(crate) mod names;
pub(crate) mod node;
pub(crate) mod payload;
pub(crate) mod proposed;
pub(crate) mod received;
pub(crate) mod remote;
pub(crate) mod request;
pub(crate) mod send;

pub use answer::Answer;
pub use asked::Asked;
pub use node::{NodeGone, NotReady};
#[cfg(feature = "tls")]
pub(crate) use payload::format::read_message as read_value;
pub use payload::format::{Format, FormatError};
pub use payload::{Payload, Query};
pub use proposed::Proposed;
pub use received::Received;
pub use remote::{Ask, Tell};
pub use request::{Answered, Request, RequestAll, RequestError};
pub use send::{PublishError, TellError};
