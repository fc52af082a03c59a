//! A node on a thread of its own, for programs that run no actix system.
//!
//! Owns the thread: its start and its end.

use std::io;
use std::ops::Deref;
use std::time::Duration;

use actix::{ArbiterHandle, System};
use tokio::sync::oneshot;

use crate::config::Config;
use crate::error::StartError;
use crate::node::ShutdownReport;
use crate::start::Node;
use crate::typed::NodeGone;

/// How long the thread may take to end once everything is written.
const END: Duration = Duration::from_secs(5);

/// A node that runs in an actix system on a thread of its own; see [`Config::start_on_thread`].
///
/// It is used as the [`Node`] it holds, from any thread and any runtime. Actors that are to be subscribed are started on
/// its thread, by [`arbiter`](Self::arbiter), or in a system of their own. Dropping it stops the node at once, without
/// waiting for what is still to be written or for the thread: [`shutdown`](Self::shutdown) waits for both.
#[derive(Debug)]
pub struct NodeThread {
    node: Node,
    system: System,
    /// Told, by its end, when the thread has ended.
    ended: oneshot::Receiver<()>,
}

impl Deref for NodeThread {
    type Target = Node;

    fn deref(&self) -> &Node {
        &self.node
    }
}

impl NodeThread {
    async fn start(config: Config) -> Result<Self, StartError> {
        let (tell, told) = oneshot::channel();
        let (until_end, ended) = oneshot::channel::<()>();
        std::thread::Builder::new()
            .name(String::from("actix-mesh"))
            .spawn(move || {
                let _until_end = until_end;
                let system = System::new();
                system.block_on(async move {
                    let started = config.start().await;
                    let failed = started.is_err();
                    let started = started.map(|node| (node, System::current()));
                    if tell.send(started).is_err() || failed {
                        System::current().stop();
                    }
                });
                system.run()
            })
            .map_err(StartError::Threads)?;
        match told.await {
            Ok(started) => started.map(|(node, system)| Self {
                node,
                system,
                ended,
            }),
            // It panicked: the system has no room for a runtime.
            Err(_) => Err(StartError::Threads(io::ErrorKind::Other.into())),
        }
    }

    /// Where its actors run: `Actor::start_in_arbiter(&node.arbiter(), |_| MyActor)`. What takes long there holds up the
    /// node.
    pub fn arbiter(&self) -> ArbiterHandle {
        self.system.arbiter().clone()
    }

    /// Stops the node: flushes for at most 5 s, closes all connections, waits for the end of the thread for as long, and reports.
    ///
    /// # Errors
    ///
    /// If the node has shut down before.
    pub async fn shutdown(mut self) -> Result<ShutdownReport, NodeGone> {
        let report = self.node.shutdown().await;
        self.system.stop();
        // An actor of the user's that never ends on that thread keeps it, and must not keep the caller.
        let _ = tokio::time::timeout(END, &mut self.ended).await;
        report
    }
}

impl Config {
    /// The same on a thread of its own with an actix system of its own, for programs that have none: under
    /// `#[tokio::main]`, or in a library.
    ///
    /// What blocks the caller's threads does not hold up the node, and the other way round.
    ///
    /// # Errors
    /// As [`start`](Self::start), or if there is no thread to be had.
    pub async fn start_on_thread(self) -> Result<NodeThread, StartError> {
        NodeThread::start(self).await
    }
}

impl Drop for NodeThread {
    fn drop(&mut self) {
        self.system.stop();
    }
}
