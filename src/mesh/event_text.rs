//! Events in words, for logs, pages and terminals: a stable name, a severity and a sentence.
//!
//! Owns the wording. Text chosen by peers appears in a sentence only as [`printable`] text.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{CloseReason, DialError, Direction, Event};
#[cfg(all(feature = "tracing", feature = "node"))]
use crate::wire::MessageId;
use crate::wire::NodeId;

/// Maximum characters of a peer's text in a sentence.
const MAX_TEXT: usize = 320;

/// How bad something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Severity {
    /// Messages are lost, or the node is cut off.
    Error,
    /// Something is wrong, and the mesh goes on.
    Warning,
    /// Worth knowing.
    Info,
}

macro_rules! codes {
    ($($variant:ident => $code:literal,)*) => {
        impl Event {
            /// Returns the name of the event, as in its JSON form.
            pub fn code(&self) -> &'static str {
                match self {
                    $(Self::$variant { .. } => $code,)*
                }
            }

            #[cfg(test)]
            pub(in crate::mesh) const CODES: &[&str] = &[$($code,)*];
        }
    };
}

// Each needs a row in docs/operating.md.
codes! {
    PeerJoined => "peer_joined",
    PeerLeft => "peer_left",
    Unwritten => "unwritten",
    Refused => "refused",
    DialFailed => "dial_failed",
    IdConflict => "id_conflict",
    Banned => "banned",
    ClockSkew => "clock_skew",
    ClockStepped => "clock_stepped",
    Undeliverable => "undeliverable",
    Sought => "sought",
    WaterfallFull => "waterfall_full",
    Dropped => "dropped",
    RelaySkipped => "relay_skipped",
    Lagged => "lagged",
    NotSent => "not_sent",
    SubscriberGone => "subscriber_gone",
    Unreadable => "unreadable",
    Rejected => "rejected",
    Undecided => "undecided",
    LateReply => "late_reply",
    QuestionRefused => "question_refused",
    PeerBookFailed => "peer_book_failed",
    MdnsFailed => "mdns_failed",
    CertificateExpires => "certificate_expires",
    CertificatesUnreadable => "certificates_unreadable",
    ListenerFailed => "listener_failed",
}

impl Event {
    /// Returns how bad it is.
    pub fn severity(&self) -> Severity {
        match self {
            Self::PeerJoined { .. } | Self::Sought { .. } | Self::RelaySkipped { .. } => {
                Severity::Info
            }
            Self::PeerLeft { reason, .. } if is_orderly(reason) => Severity::Info,
            Self::Refused { reason, .. } if is_orderly(reason) => Severity::Info,
            Self::ClockSkew { seconds, .. } if seconds.unsigned_abs() > 60 => Severity::Error,
            Self::PeerBookFailed { .. } | Self::ListenerFailed { .. } => Severity::Error,
            Self::CertificateExpires { days } if *days <= 1 => Severity::Error,
            _ => Severity::Warning,
        }
    }
}

/// Returns whether this reason is part of normal operation.
fn is_orderly(reason: &CloseReason) -> bool {
    matches!(
        reason,
        CloseReason::ByPeer
            | CloseReason::Requested
            | CloseReason::ShuttingDown
            | CloseReason::Duplicate(_)
            | CloseReason::Full
            | CloseReason::Spare
    )
}

/// Writes a sentence without a full stop. Text chosen by peers is [`printable`] in it.
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = |text: &dyn fmt::Display| printable(&text.to_string(), MAX_TEXT);
        match self {
            Self::PeerJoined {
                peer,
                addr,
                direction,
            } => match direction {
                Direction::Incoming => write!(f, "{peer} joined from {}", short(addr)),
                Direction::Outgoing => write!(f, "{peer} joined: we dialled {}", short(addr)),
            },
            Self::PeerLeft {
                peer,
                reason,
                unwritten,
            } => {
                write!(f, "{peer} left: {}", short(reason))?;
                match unwritten.is_nothing() {
                    true => Ok(()),
                    false => write!(f, "; {} were not written", said(unwritten)),
                }
            }
            Self::Unwritten { peer, unwritten } => {
                write!(f, "{} for {peer} were not written", said(unwritten))
            }
            Self::Refused {
                addr,
                direction,
                reason,
            } => match direction {
                Direction::Incoming => {
                    write!(
                        f,
                        "a connection from {} was not accepted: {}",
                        short(addr),
                        short(reason)
                    )
                }
                Direction::Outgoing => write!(f, "no peer at {}: {}", short(addr), short(reason)),
            },
            Self::DialFailed { addr, reason } => {
                write!(f, "could not dial {}: {}", short(addr), short(reason))
            }
            Self::IdConflict { peer, addr } => {
                write!(
                    f,
                    "{} claims the id of {peer}, which is connected",
                    short(addr)
                )
            }
            Self::Banned { host, seconds } => {
                write!(f, "{} is banned for {seconds} s", short(host))
            }
            Self::ClockSkew { peer, seconds } => match seconds {
                0.. => write!(f, "the clock of {peer} is {seconds} s ahead of ours"),
                _ => write!(
                    f,
                    "the clock of {peer} is {} s behind ours",
                    seconds.unsigned_abs()
                ),
            },
            Self::ClockStepped { seconds } => write!(
                f,
                "the clock of this machine moved by {seconds} s: it was set, or the machine slept"
            ),
            Self::Undeliverable { to, reason } => {
                write!(f, "a whisper to {to} did not reach it: {}", short(reason))
            }
            Self::Dropped { counter, count } => {
                let why = match *counter {
                    "misplaced" => "control messages under the wrong flag",
                    "malformed" => "malformed control messages",
                    "unknown_verbs" => "extensions that this version does not know",
                    "over_budget" => "requests beyond what a peer may ask for",
                    "expired" => "broadcasts stamped more than a minute ago",
                    "premature" => "broadcasts stamped more than a minute ahead",
                    other => other,
                };
                write!(f, "dropped {count}: {why}")
            }
            Self::Sought { peer } => {
                write!(
                    f,
                    "another node looks for {peer}, which is not connected here"
                )
            }
            Self::WaterfallFull { dropped } => write!(
                f,
                "the cache of seen broadcasts is full, {dropped} were dropped: raise `waterfall_capacity`, or limit what a \
                 peer may send with `max_peer_message_rate`"
            ),
            Self::RelaySkipped { id, peer, reason } => {
                write!(
                    f,
                    "{id} was not relayed to {peer}, which it would harm ({reason:?})"
                )
            }
            Self::Lagged {
                subscription,
                missed,
                detached,
            } => {
                write!(
                    f,
                    "subscription {subscription} missed {missed} messages: its queue was full"
                )?;
                if *detached {
                    f.write_str(", and it was ended")?;
                }
                Ok(())
            }
            Self::NotSent { reason } => {
                write!(
                    f,
                    "a command sent with do_send was refused: {}",
                    short(reason)
                )
            }
            Self::SubscriberGone { subscription, lost } => write!(
                f,
                "the actor of subscription {subscription} has stopped, with {lost} messages not handled: it panicked, or \
                 somebody stopped it"
            ),
            Self::Unreadable {
                kind,
                sender,
                reason,
            } => write!(
                f,
                "a message of {sender} could not be decoded as kind {}: {}",
                short(kind),
                short(reason)
            ),
            Self::Rejected {
                kind, sender, from, ..
            } => {
                write!(
                    f,
                    "a message of {sender} ({}) was rejected by a validator",
                    short(kind)
                )?;
                if sender != from {
                    write!(f, "; {from} had relayed it")?;
                }
                Ok(())
            }
            Self::Undecided {
                validator,
                messages,
                accepted,
            } => write!(
                f,
                "validator {validator} did not decide about {messages} messages ({}): it is slow, or gone",
                if *accepted { "let pass" } else { "dropped" }
            ),
            Self::LateReply { from, kind } => {
                write!(f, "{from} answered too late ({})", short(kind))
            }
            Self::QuestionRefused { from, kind } => write!(
                f,
                "a question of {from} ({}) was refused: the queue is full",
                short(kind)
            ),
            Self::PeerBookFailed { path, reason } => {
                write!(f, "the peer book {} failed: {}", short(path), short(reason))
            }
            Self::MdnsFailed { reason } => write!(
                f,
                "this node is not announced on the local network: {}",
                short(reason)
            ),
            Self::CertificateExpires { days: 0 } => f.write_str(
                "this node's certificate expires within a day, or has expired: renew it",
            ),
            Self::CertificateExpires { days } => {
                write!(
                    f,
                    "this node's certificate expires in {days} days: renew it"
                )
            }
            Self::CertificatesUnreadable { reason } => {
                write!(
                    f,
                    "changed certificates could not be loaded, the previous ones stay in force: {}",
                    short(reason)
                )
            }
            Self::ListenerFailed { reason } => {
                write!(f, "accepting connections is paused: {}", short(reason))
            }
        }
    }
}

impl Event {
    /// Returns the address it is about, if there is one.
    pub fn about(&self) -> Option<String> {
        match self {
            Self::PeerJoined { addr, .. }
            | Self::Refused { addr, .. }
            | Self::DialFailed { addr, .. }
            | Self::IdConflict { addr, .. } => Some(addr.to_string()),
            Self::Banned { host, .. } => Some(host.clone()),
            _ => None,
        }
    }

    /// Returns the peer it is about, if there is one.
    pub fn peer(&self) -> Option<&NodeId> {
        match self {
            Self::PeerJoined { peer, .. }
            | Self::PeerLeft { peer, .. }
            | Self::Unwritten { peer, .. }
            | Self::IdConflict { peer, .. }
            | Self::ClockSkew { peer, .. }
            | Self::Sought { peer }
            | Self::RelaySkipped { peer, .. }
            | Self::Rejected { sender: peer, .. }
            | Self::Undeliverable { to: peer, .. } => Some(peer),
            _ => None,
        }
    }

    /// Returns the message it is about, if there is one.
    #[cfg(all(feature = "tracing", feature = "node"))]
    pub(crate) fn message(&self) -> Option<&MessageId> {
        match self {
            Self::RelaySkipped { id, .. } | Self::Rejected { id, .. } => Some(id),
            _ => None,
        }
    }

    /// Returns the stable name of its reason, if it has one.
    pub fn why(&self) -> Option<&'static str> {
        match self {
            Self::PeerLeft { reason, .. } | Self::Refused { reason, .. } => Some(reason.code()),
            Self::DialFailed { reason, .. } => Some(match reason {
                DialError::Refused => "refused",
                DialError::Timeout => "timeout",
                _ => "unreachable",
            }),
            _ => None,
        }
    }
}

fn said(traffic: &crate::mesh::Traffic) -> String {
    let crate::mesh::Traffic { messages, bytes } = traffic;
    format!("{messages} messages ({bytes} bytes)")
}

/// Makes text safe to display: escapes control characters, line separators, and characters that change the text
/// direction or have no width. Cuts it after `max` characters.
pub fn printable(text: &str, max: usize) -> String {
    let mut shown = String::with_capacity(text.len().min(4 * max));
    for (at, c) in text.chars().enumerate() {
        if at == max {
            shown.push('…');
            break;
        }
        if is_harmless(c) {
            shown.push(c);
        } else {
            shown.extend(c.escape_unicode());
        }
    }
    shown
}

fn is_harmless(c: char) -> bool {
    !c.is_control()
        && !matches!(
            c,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_peer_wrote_cannot_reach_beyond_its_line() {
        let reason = CloseReason::OtherSubnet {
            theirs: String::from("\u{1b}[2J\r\n\u{202e}<b>\u{7f}\u{9b}"),
            ours: Box::new(crate::wire::Subnet::default().id(crate::wire::Generation::default())),
        };
        let addr = crate::wire::Address::new("host", 1).expect("an address");
        let text = Event::Refused {
            addr,
            direction: Direction::Incoming,
            reason,
        }
        .to_string();
        assert!(text.chars().all(is_harmless), "{text:?}");
        assert!(text.contains("<b>"));
    }

    #[test]
    fn long_text_is_cut() {
        assert_eq!(printable(&"x".repeat(400), 3), "xxx…");
        assert_eq!(printable("abc", 3), "abc");
    }

    #[test]
    fn the_operators_page_has_a_row_for_each_event() {
        let page = include_str!("../../docs/operating.md");
        let section = page.split("## Events").nth(1).expect("a section of events");
        let section = section.split("\n## ").next().expect("its text");
        let rows = section.lines().filter(|line| line.starts_with("| `"));
        let rows: Vec<&str> = rows.filter_map(|row| row.split('`').nth(1)).collect();
        assert_eq!(rows, Event::CODES);
    }
}
