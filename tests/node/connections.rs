//! Connecting, disconnecting, and why a connection fails.

use std::time::Duration;

use actix_mesh::{
    Address, CloseReason, Config, Connect, ConnectError, DialError, Disconnect, Event, Peers, Recv,
    Send, Shutdown, StartError,
};
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};

use crate::{ask, event, events, flood, left, link, messages, node, soon, start};

#[actix::test]
async fn disconnect_is_told_on_both_sides() {
    let (alice, bob) = (node().await, node().await);
    link(&alice, &bob).await;
    let (mut at_alice, mut at_bob) = (events(&alice).await, events(&bob).await);
    ask(&alice, Send::new("last words")).await.unwrap();
    assert!(ask(&alice, Disconnect::from(bob.id.clone())).await);
    assert!(!ask(&alice, Disconnect::from(bob.id.clone())).await);
    assert_eq!(
        left(&mut at_alice).await,
        (bob.id.clone(), CloseReason::Requested)
    );
    assert_eq!(
        left(&mut at_bob).await,
        (alice.id.clone(), CloseReason::ByPeer)
    );
    assert_eq!(ask(&bob, Recv::one()).await[0].text(), "last words");
    assert!(ask(&bob, Peers).await.is_empty());
    link(&alice, &bob).await;
}

#[actix::test]
async fn connect_says_why_not() {
    let alice = node().await;
    let other = start(Config::new().subnet("other", "Plaintext")).await;
    let refused = ask(&alice, Connect::to(other.addr)).await.unwrap_err();
    let ConnectError::Closed {
        reason: CloseReason::OtherSubnet { theirs, ours },
        ..
    } = &refused
    else {
        panic!("{refused}");
    };
    assert_eq!(
        (theirs.as_str(), &**ours),
        (other.subnet_id.as_str(), &alice.subnet_id)
    );

    assert_eq!(
        ask(&alice, Connect::to(alice.addr)).await,
        Err(ConnectError::Oneself)
    );
    let free = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let refused = ask(&alice, Connect::to(free)).await;
    assert_eq!(
        refused,
        Err(ConnectError::Dial {
            addr: free.into(),
            why: DialError::Refused
        })
    );

    let bob = node().await;
    let wrong = Connect::to(bob.addr).expect(other.id.clone());
    let ConnectError::Closed {
        reason: CloseReason::WrongId { expected, found },
        ..
    } = ask(&alice, wrong).await.unwrap_err()
    else {
        panic!("connected to the wrong one");
    };
    assert_eq!((*expected, *found), (other.id, bob.id.clone()));
    assert_eq!(
        ask(&alice, Connect::to(bob.addr).expect(bob.id.clone())).await,
        Ok(bob.id.clone())
    );
    assert_eq!(
        ask(&alice, Connect::to(bob.addr)).await,
        Ok(bob.id.clone()),
        "whoever wanted a connection has one"
    );
}

#[actix::test]
async fn a_node_finds_itself_under_another_name() {
    let alice = node().await;
    let other_name: Address = format!("localhost:{}", alice.addr.port()).parse().unwrap();
    assert_eq!(
        ask(&alice, Connect::to(other_name)).await,
        Err(ConnectError::Oneself)
    );
    assert!(ask(&alice, Peers).await.is_empty());
}

#[actix::test]
async fn a_silent_stranger_is_closed() {
    let alice = start(Config::new().handshake_timeout(Duration::from_millis(10))).await;
    let mut told = events(&alice).await;
    let mut stranger = TcpStream::connect(alice.addr).await.unwrap();
    let reason = event(&mut told, |event| match event {
        Event::Refused { reason, .. } => Some(reason),
        _ => None,
    })
    .await;
    assert_eq!(reason, CloseReason::HandshakeTimeout);
    // It receives only our handshake.
    let mut got = Vec::new();
    soon(stranger.read_to_end(&mut got)).await.unwrap();
    let length = u32::from_be_bytes(got[..4].try_into().unwrap()) as usize;
    assert_eq!(got.len(), 4 + length);
}

#[actix::test]
async fn bad_addresses_are_named() {
    let taken = node().await.addr;
    let error = Config::new().listen(taken).start().await.unwrap_err();
    assert!(
        matches!(error, StartError::AddressInUse { addr } if addr == taken),
        "{error}"
    );
    assert!(error.to_string().contains(&taken.to_string()));
    let error = Config::new().listen("nonsense").start().await.unwrap_err();
    assert!(error.to_string().contains("nonsense"), "{error}");
    let error = Config::new()
        .listen("192.0.2.1:1")
        .start()
        .await
        .unwrap_err();
    assert!(error.to_string().contains("192.0.2.1:1"), "{error}");
    assert!(matches!(
        Config::new().send_budget(0).start().await,
        Err(StartError::BadSetting { .. })
    ));
}

#[actix::test]
async fn connections_can_live_on_other_arbiters() {
    let alice = start(Config::new().arbiters(2)).await;
    let (bob, carol) = (node().await, node().await);
    let mut at_carol = messages(&carol, |s| s).await;
    link(&alice, &bob).await;
    link(&alice, &carol).await;
    flood(&bob, 500, &mut at_carol).await;
    assert!(ask(&alice, Shutdown::new()).await.is_clean());
}
