//! Whispers and replies to one node.

use std::time::Duration;

use actix_mesh::{NodeId, Recv, Send, SendError, Whisper, WhisperError};

use crate::{PATIENCE, ask, body, knows, link, loner, node, start};

#[actix::test]
async fn a_whisper_reaches_a_neighbour_and_the_reply_its_author() {
    let (alice, bob) = (node().await, node().await);
    link(&alice, &bob).await;
    let whispered = ask(&alice, Whisper::new(bob.id.clone(), ("name", "alice")))
        .await
        .unwrap();
    assert!(!whispered.discovered);
    let heard = ask(&bob, Recv::one().wait(PATIENCE)).await.remove(0);
    assert_eq!(
        (body(&heard), heard.id()),
        (vec!["name", "alice"], &whispered.id)
    );
    ask(&bob, heard.reply("hi alice")).await.unwrap();
    assert_eq!(
        ask(&alice, Recv::one().wait(PATIENCE)).await[0].text(),
        "hi alice"
    );
}

#[actix::test]
async fn a_reply_finds_an_author_who_is_not_a_neighbour() {
    let (alice, bob, carol) = (
        start(loner()).await,
        start(loner()).await,
        start(loner()).await,
    );
    link(&alice, &bob).await;
    link(&carol, &bob).await;
    ask(&alice, Send::new("who is there?")).await.unwrap();
    let heard = ask(&carol, Recv::one().wait(PATIENCE)).await.remove(0);
    assert!(!knows(&carol, &alice).await);
    let whispered = ask(&carol, heard.reply("carol")).await.unwrap();
    assert!(whispered.discovered);
    assert!(knows(&carol, &alice).await);
    assert_eq!(
        ask(&alice, Recv::one().wait(PATIENCE)).await[0].text(),
        "carol"
    );
}

#[actix::test]
async fn a_whisper_to_nobody_fails_with_a_reason() {
    let (alice, bob) = (node().await, node().await);
    let nobody = NodeId::parse("NobodyatA11").unwrap();
    let whisper = Whisper::new(nobody.clone(), "hello?").within(Duration::from_millis(100));
    assert_eq!(
        ask(&alice, whisper.clone()).await,
        Err(WhisperError::NoPeers(nobody))
    );
    link(&alice, &bob).await;
    assert!(matches!(
        ask(&alice, whisper).await,
        Err(WhisperError::NotFound { .. })
    ));
    let me = Whisper::new(alice.id.clone(), "me");
    assert_eq!(
        ask(&alice, me).await,
        Err(WhisperError::Refused(SendError::Oneself))
    );
}
