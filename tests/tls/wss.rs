//! WebSocket over TLS: certificates authenticate hosts, and no node's id is proven.

use actix_mesh::Encryption;

use super::*;

fn wss(tls: &Tls) -> Config {
    Config::new().wss(tls.clone()).max_reconnect_delay(None)
}

async fn dial(from: &Node, to: impl Into<actix_mesh::HostPort>) -> Result<NodeId, ConnectError> {
    from.router.send(Connect::to(to)).await.unwrap()
}

#[actix::test]
async fn nodes_meet_by_the_name_in_the_certificate_and_tell_it_to_others() {
    let folder = Folder::new();
    let tls = folder.member("localhost");
    let (first, _) = start(wss(&tls)).await;
    assert_eq!(
        first.advertised.to_string(),
        format!("localhost:{}", first.addr.port())
    );
    assert_eq!(first.subnet.encryption, Encryption::SecureWebSocket.name());
    assert_ne!(
        first.id,
        *tls.id(),
        "many nodes may show the certificate of one host"
    );
    let (second, _) = start(Config::new().wss(tls.clone()).connect(&first.advertised)).await;
    let (third, _) = start(
        Config::new()
            .wss(tls.clone())
            .connect(&first.advertised)
            .arbiters(1),
    )
    .await;
    for node in [&first, &second, &third] {
        let peers = node.ready(2, PATIENCE).await.unwrap();
        assert!(peers.iter().all(|peer| !peer.proven), "{peers:#?}");
    }
    let large = "x".repeat(500_000);
    let sent = third.router.send(Send::new(large.as_str())).await.unwrap();
    sent.unwrap();
    for node in [&first, &second] {
        let heard = node.router.send(Recv::one().wait(PATIENCE)).await.unwrap();
        assert_eq!(heard[0].text(), large);
    }
}

#[actix::test]
async fn a_host_by_another_name_and_one_of_another_authority_are_refused() {
    let (ours, theirs) = (Folder::new(), Folder::new());
    let (host, told) = start(wss(&ours.member("localhost"))).await;
    let (member, _) = start(wss(&ours.member("member.example"))).await;
    let error = reason(dial(&member, host.addr).await.unwrap_err());
    assert_eq!(error, we_refuse(TlsRefusal::WrongName));
    assert_eq!(told.refused().await, they_refuse(TlsRefusal::WrongName));
    dial(&member, &host.advertised).await.unwrap();

    let (stranger, _) = start(wss(&theirs.member("localhost"))).await;
    let error = reason(dial(&stranger, &host.advertised).await.unwrap_err());
    assert_eq!(error, we_refuse(TlsRefusal::UnknownAuthority));
}

#[actix::test]
async fn an_address_is_a_name_as_well_and_a_revoked_certificate_is_none() {
    let folder = Folder::new();
    let (host, _) = start(wss(&folder.member("127.0.0.1"))).await;
    let (other, _) = start(wss(&folder.member("localhost"))).await;
    dial(&other, host.addr).await.unwrap();
    folder.authority.revoke("127.0.0.1").unwrap();
    let (late, _) = start(wss(&folder.member("late.example"))).await;
    let error = reason(dial(&late, host.addr).await.unwrap_err());
    assert_eq!(error, we_refuse(TlsRefusal::Revoked));
}

#[actix::test]
async fn ws_to_wss_and_wss_to_ws_say_what_to_change() {
    let folder = Folder::new();
    let (secured, told) = start(wss(&folder.member("localhost"))).await;
    let plain = Config::new().subnet("mesh", "ws").max_reconnect_delay(None);
    let (plain, told_plain) = start(plain).await;

    let error = reason(dial(&plain, secured.addr).await.unwrap_err());
    assert_eq!(error, we_refuse(TlsRefusal::Tls));
    assert_eq!(told.refused().await, we_refuse(TlsRefusal::Plaintext));

    dial(&secured, plain.addr).await.unwrap_err();
    assert_eq!(told_plain.refused().await, we_refuse(TlsRefusal::Tls));
}

#[actix::test]
async fn a_name_without_a_certificate_starts_nothing() {
    let error = Config::new()
        .subnet("mesh", "wss")
        .start()
        .await
        .unwrap_err();
    assert!(matches!(error, StartError::EncryptionNotSet(_)), "{error}");
    assert!(error.to_string().contains("Config::wss"), "{error}");
}

#[actix::test]
async fn a_host_whose_certificate_is_revoked_loses_those_that_dialled_it() {
    let folder = Folder::new();
    let (host, told) = start(wss(&folder.member("127.0.0.1"))).await;
    let (member, told_member) = start(wss(&folder.member("member.example"))).await;
    let id = dial(&member, host.addr).await.unwrap();
    assert_eq!(id, host.id);
    host.ready(1, PATIENCE).await.unwrap();
    folder.authority.revoke("127.0.0.1").unwrap();
    let why = told_member
        .next(|event| match event {
            Event::PeerLeft { reason, .. } => Some(reason.clone()),
            _ => None,
        })
        .await;
    assert_eq!(why, we_refuse(TlsRefusal::Revoked));
    let left = |event: &Event| matches!(event, Event::PeerLeft { .. }).then_some(());
    told.next(left).await;
    let error = reason(dial(&member, host.addr).await.unwrap_err());
    assert_eq!(error, we_refuse(TlsRefusal::Revoked));
}
