//! The operating system's ways to ask a program to end.

use std::io;

#[cfg(unix)]
use actix_rt::signal::unix::{Signal, SignalKind, signal};

/// Interrupt and termination. Hang-up is left as it is, so that `nohup` can have it ignored.
#[cfg(unix)]
#[derive(Debug)]
pub(crate) struct Signals([Signal; 2]);

#[cfg(unix)]
impl Signals {
    pub(crate) fn heed() -> io::Result<Self> {
        let kinds = [SignalKind::interrupt(), SignalKind::terminate()];
        let [interrupt, terminate] = kinds.map(signal);
        Ok(Self([interrupt?, terminate?]))
    }

    /// Waits for the next.
    pub(crate) async fn next(&mut self) {
        let [interrupt, terminate] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    }
}

/// Ctrl-C.
#[cfg(not(unix))]
#[derive(Debug)]
pub(crate) struct Signals;

#[cfg(not(unix))]
impl Signals {
    pub(crate) fn heed() -> io::Result<Self> {
        Ok(Self)
    }

    /// Waits for the next.
    pub(crate) async fn next(&mut self) {
        if actix_rt::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
