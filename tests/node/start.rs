//! Starting a node, and where that fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix_mesh::{Config, StartError};

use crate::start;

#[test]
fn without_a_system_starting_is_an_error() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let error = runtime.block_on(Config::new().start()).unwrap_err();
    assert!(matches!(error, StartError::NoSystem));
}

/// The runtime catches a panic in a destructor, so only the panic hook sees it.
#[test]
fn a_system_that_ends_right_after_a_start_ends_quietly() {
    let (here, panicked) = (
        std::thread::current().id(),
        Arc::new(AtomicBool::new(false)),
    );
    let (heard, before) = (Arc::clone(&panicked), std::panic::take_hook());
    std::panic::set_hook(Box::new(move |info| {
        if std::thread::current().id() == here {
            heard.store(true, Ordering::Relaxed);
        }
        before(info);
    }));
    actix::System::new().block_on(async { Config::new().start().await.map(drop).unwrap() });
    assert!(!panicked.load(Ordering::Relaxed));
}

#[actix::test]
async fn the_outward_address_is_never_that_of_no_host() {
    let node = start(Config::new().listen("0.0.0.0:0")).await;
    assert_eq!(node.advertised.port, node.addr.port());
    assert_ne!(node.advertised.host, "0.0.0.0");
}
