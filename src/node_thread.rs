//! A node on a thread of its own, for programs that run no actix system.
//!
//! Owns the thread: its start and its end.

use std::io;
use std::ops::Deref;
use std::thread::JoinHandle;

use actix::{ArbiterHandle, System};
use tokio::sync::oneshot;

use crate::config::Config;
use crate::error::StartError;
use crate::node::ShutdownReport;
use crate::start::Node;
use crate::typed::NodeGone;

/// A node that runs in an actix system on a thread of its own; see [`Config::start_on_thread`].
///
/// It is used as the [`Node`] it holds, from any thread and any runtime. Actors that are to be subscribed are started on
/// its thread, by [`arbiter`](Self::arbiter), or in a system of their own. Dropping it stops the node at once, without
/// waiting for what is still to be written: [`shutdown`](Self::shutdown) waits.
#[derive(Debug)]
pub struct NodeThread {
    node: Node,
    system: System,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Deref for NodeThread {
    type Target = Node;

    fn deref(&self) -> &Node {
        &self.node
    }
}

impl NodeThread {
    pub(crate) async fn start(config: Config) -> Result<Self, StartError> {
        let (tell, told) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name(String::from("actix-mesh"))
            .spawn(move || {
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
                thread: Some(thread),
            }),
            Err(_) => Err(StartError::NoSystem),
        }
    }

    /// Where its actors run: `Actor::start_in_arbiter(&node.arbiter(), |_| MyActor)`. What takes long there holds up the
    /// node.
    pub fn arbiter(&self) -> ArbiterHandle {
        self.system.arbiter().clone()
    }

    /// Stops the node: flushes for at most 5 s, closes all connections, ends the thread, and reports.
    ///
    /// # Errors
    ///
    /// If the node has shut down before.
    pub async fn shutdown(self) -> Result<ShutdownReport, NodeGone> {
        self.node.shutdown().await
    }
}

impl Drop for NodeThread {
    fn drop(&mut self) {
        self.system.stop();
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != std::thread::current().id()
        {
            // It has nothing more to wait for.
            let _ = thread.join();
        }
    }
}
