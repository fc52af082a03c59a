//! What live cases are made of, and the cases themselves.

use std::time::Duration;

mod coprocess;
mod neighbour;
mod package;
mod peer;
mod proxy;
mod py2p;
mod wire;

mod broadcast;
mod compression;
mod crossing;
mod discovery;
mod extensions;
mod flood;
mod handshake;
mod hostile;
mod leaving;
mod relay;
mod renegotiate;
mod subnet;
mod whisper;

/// How long anything that must happen is waited for: far more than it takes, so that a busy machine
/// makes a case slower and not red.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long something that must not happen is watched for once its cause has had its effect elsewhere.
const QUIET: Duration = Duration::from_millis(700);

/// Between two looks at something that is polled.
const GLANCE: Duration = Duration::from_millis(20);
