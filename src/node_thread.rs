//! A node on its own thread, for programs that run no actix system.
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

/// How long the thread may take to end after everything is written.
const END: Duration = Duration::from_secs(5);

/// A node that runs in an actix system on its own thread; see [`Config::start_on_thread`].
///
/// It dereferences to its [`Node`], which works from any thread and any runtime. Start actors that subscribe on its
/// thread, with [`arbiter`](Self::arbiter), or in another actix system. Dropping it stops the node at once, without
/// flushing its queues or waiting for the thread; [`shutdown`](Self::shutdown) does both.
#[derive(Debug)]
pub struct NodeThread {
    node: Node,
    system: System,
    /// Closed when the thread has ended.
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
            // The thread panicked: the system has no resources for a runtime.
            Err(_) => Err(StartError::Threads(io::ErrorKind::Other.into())),
        }
    }

    /// Returns the arbiter of the node's actors: `Actor::start_in_arbiter(&node.arbiter(), |_| MyActor)`.
    ///
    /// An actor that computes for long there delays the node.
    pub fn arbiter(&self) -> ArbiterHandle {
        self.system.arbiter().clone()
    }

    /// Stops the node: flushes for at most 5 s, closes all connections, waits up to 5 s for the thread to end, and
    /// reports.
    ///
    /// # Errors
    ///
    /// If the node has already shut down.
    pub async fn shutdown(mut self) -> Result<ShutdownReport, NodeGone> {
        let report = self.node.shutdown().await;
        self.system.stop();
        // A user's actor that blocks that thread keeps it alive, but must not block the caller.
        let _ = tokio::time::timeout(END, &mut self.ended).await;
        report
    }
}

impl Config {
    /// Starts the node on a new thread with its own actix system, for programs that have none: under
    /// `#[tokio::main]`, or in a library.
    ///
    /// Blocking the caller's threads does not delay the node, nor the other way round.
    ///
    /// # Errors
    /// As [`start`](Self::start), or if no thread can be started.
    pub async fn start_on_thread(self) -> Result<NodeThread, StartError> {
        NodeThread::start(self).await
    }
}

impl Drop for NodeThread {
    fn drop(&mut self) {
        self.system.stop();
    }
}
