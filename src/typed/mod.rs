//! Typed values, questions and answers, and actors on other nodes: what an actix developer works with.
//!
//! Owns types, formats and the methods of [`Node`](crate::Node). Everything here is composed of messages to the
//! [`Router`](crate::Router), which knows bytes only.
//!
//! # On the wire
//!
//! | packet | what | for example |
//! |---|---|---|
//! | 0 | the kind, [`Payload::KIND`] | `invalidate/1` |
//! | 1 | the value, in the [`Format`] of its type: JSON text by default | `{"key":"user/7","version":3}` |
//! | 2 | a tag: a word, a colon, and 11 characters that differ for each message | `id:Jx0_mB2qRkA` |
//!
//! The tag keeps two equal values apart that are sent within a second. Its word says what the message is:
//!
//! | tag | sent as | what |
//! |---|---|---|
//! | `id:..` | broadcast or whisper | a value |
//! | `ask:..` | whisper to one, broadcast to all | a question; `ask:..:billing` asks the actor of that name |
//! | `reply:..` | whisper to whoever asked | the answer, with the name that stood behind `ask:` |
//! | `none:..` | the same, empty value | nobody here answers that |
//! | `busy:..` | the same, empty value | too many questions wait here |
//! | `bad:..` | the same, empty value | the question is no value of its kind |
//!
//! Behind the first colon stand 1 to 64 letters, digits, `-` or `_`; a name has at most 64 bytes. A message without
//! packet 2 is a value.
//!
//! # Programs in other languages
//!
//! A py2p or js2p program hears packets 1 and 2 behind packet 0, and answers with the same kinds: `send(["{...}"],
//! type="invalidate/1")` publishes, and a handler that looks for kind `square/1` sees `["square/1", "{\"n\":12}",
//! "ask:Jx0"]`.
//!
//! It can also use the *plain form*, in which the mesh's own sub-flag (`broadcast` or `whisper`, as its `send` and
//! `reply` set it) stands before the three packets: `message.reply(["squared/1", "{\"n\":144}", "reply:Jx0"])`. It is
//! read wherever the other is. [`Request::plain`] asks in it, so that the question comes out of `recv()`; what is
//! asked in it is answered in it.

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
