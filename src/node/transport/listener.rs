//! The listener: accepts connections, and keeps trying when the operating system refuses.
//!
//! Owns the listening socket. Hands each connection to the Router and waits until it is taken, so that a crowd of new
//! connections waits in the system's backlog and not in a mailbox.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use actix::{
    Actor, ActorContext as _, ActorFutureExt as _, AsyncContext as _, Context, WeakAddr,
    WrapFuture as _,
};
use tokio::net::{TcpListener, lookup_host};

use crate::error::StartError;
use crate::node::Router;
use crate::node::stop_on_last_addr::StopOnLastAddr;
use crate::node::transport::{self, Transport};

/// A stranger has connected.
#[derive(Debug, actix::Message)]
#[rtype(result = "()")]
pub(crate) struct Accepted {
    pub(crate) transport: Transport,
    pub(crate) from: SocketAddr,
}

/// Accepting is paused.
#[derive(Debug, actix::Message)]
#[rtype(result = "()")]
pub(crate) struct ListenerFailed {
    pub(crate) why: String,
}

/// The pause after a failed accept: the first, and the longest.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// Resolves, binds and listens.
pub(crate) async fn listen(
    listen: &str,
    backlog: u32,
    buffers: u32,
) -> Result<TcpListener, StartError> {
    let bad = |source| StartError::BadListen {
        listen: listen.to_owned(),
        source,
    };
    let addr = lookup_host(listen).await.map_err(bad)?.next();
    let addr = addr.ok_or_else(|| {
        bad(io::Error::new(
            io::ErrorKind::NotFound,
            "the name has no address",
        ))
    })?;
    bind(addr, backlog, buffers).map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => StartError::AddressInUse { addr },
        _ => StartError::Listen { addr, source },
    })
}

fn bind(addr: SocketAddr, backlog: u32, buffers: u32) -> io::Result<TcpListener> {
    // Accepted sockets inherit the buffers.
    let socket = transport::socket(addr, buffers)?;
    // On Windows this would let two programs listen on one port.
    #[cfg(not(windows))]
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    socket.listen(backlog)
}

/// See the module. Lives until the Router drops its address.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: Option<TcpListener>,
    router: WeakAddr<Router>,
}

impl Listener {
    pub(crate) fn new(socket: TcpListener, router: WeakAddr<Router>) -> Self {
        Self {
            socket: Some(socket),
            router,
        }
    }
}

impl Actor for Listener {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let Some(socket) = self.socket.take() else {
            return ctx.stop();
        };
        let accepting = accept_all(socket, self.router.clone());
        ctx.spawn(accepting.into_actor(self).map(|(), _, ctx| ctx.stop()));
        ctx.spawn(StopOnLastAddr);
    }
}

/// Accepts connections until the Router is gone.
async fn accept_all(socket: TcpListener, router: WeakAddr<Router>) {
    let mut pause = PAUSE.0;
    loop {
        let accepted = socket.accept().await;
        let Some(router) = router.upgrade() else {
            return;
        };
        match accepted.and_then(|(stream, from)| Ok((Transport::plain(stream)?, from))) {
            Ok((transport, from)) => {
                pause = PAUSE.0;
                if router.send(Accepted { transport, from }).await.is_err() {
                    return;
                }
            }
            Err(error) if is_newcomers_fault(&error) => {}
            Err(error) => {
                if pause == PAUSE.0 {
                    #[expect(clippy::disallowed_methods, reason = "once for each time of trouble")]
                    router.do_send(ListenerFailed {
                        why: error.to_string(),
                    });
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSE.1);
            }
        }
    }
}

/// Returns whether only the connection being accepted is lost.
fn is_newcomers_fault(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::NotConnected
            | io::ErrorKind::InvalidInput
            | io::ErrorKind::Interrupted
    )
}
