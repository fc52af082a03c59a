//! Values that are published or whispered.

use std::time::Duration;

use actix_mesh::{Event, Filter, Received, Send, Subscribe};

use crate::rig::{Invalidate, Keeper, Squared, invalidate, line};

#[actix::test]
async fn equal_values_in_one_second_all_arrive() {
    let [a, b] = line().await;
    let (recipient, kept) = Keeper::<Received<Invalidate>>::start();
    a.subscribe(recipient).await.unwrap();
    for _ in 0..50 {
        b.publish(&invalidate("user/7", 3)).await.unwrap();
    }
    kept.next(|_| (kept.len() == 50).then_some(())).await;
    let all_alike =
        |got: &Received<Invalidate>| (got.value == invalidate("user/7", 3)).then_some(());
    kept.next(all_alike).await;
}

#[actix::test]
async fn a_whispered_value_reaches_one_node_alone() {
    let [a, b, c] = line().await;
    let (recipient, heard) = Keeper::<Received<Invalidate>>::start();
    a.subscribe(recipient).await.unwrap();
    let (recipient, elsewhere) = Keeper::<Received<Invalidate>>::start();
    c.subscribe(recipient).await.unwrap();
    b.whisper(a.id.clone(), &invalidate("x", 1)).await.unwrap();
    let sender = heard.next(|got| Some(got.message.sender().clone())).await;
    assert_eq!(sender, b.id);
    assert_eq!(elsewhere.len(), 0);
}

#[actix::test]
async fn what_is_no_value_of_its_kind_is_an_event_with_kind_and_author() {
    let [a, b] = line().await;
    let (recipient, events) = Keeper::<Event>::start();
    a.events(recipient).await.unwrap();
    let (recipient, kept) = Keeper::<Received<Invalidate>>::start();
    a.subscribe(recipient).await.unwrap();
    for text in ["{}", "not json", "[1,2]", ""] {
        b.router
            .send(Send::new(text).kind("invalidate/1"))
            .await
            .unwrap()
            .unwrap();
    }
    b.router
        .send(Send::new(Vec::<&str>::new()).kind("invalidate/1"))
        .await
        .unwrap()
        .unwrap();
    b.publish(&invalidate("good", 1)).await.unwrap();
    kept.next(|got| (got.value.key == "good").then_some(()))
        .await;
    assert_eq!(kept.len(), 1);
    let (kind, sender) = events
        .next(|event| match event {
            Event::Unreadable { kind, sender, .. } => Some((kind.clone(), sender.clone())),
            _ => None,
        })
        .await;
    assert_eq!((kind.as_str(), sender), ("invalidate/1", b.id.clone()));
}

#[actix::test]
async fn rooms_are_kinds_with_a_prefix() {
    let [a, b] = line().await;
    let (recipient, kept) = Keeper::<actix_mesh::Message>::start();
    let rooms = Filter::new().kind_prefix("room/");
    a.router
        .send(Subscribe::messages(recipient).filter(rooms))
        .await
        .unwrap();
    for kind in ["hall/1", "room/1", "roo", "room/2"] {
        b.router
            .send(Send::new(kind).kind(kind))
            .await
            .unwrap()
            .unwrap();
    }
    kept.next(|message| (message.text() == "room/2").then_some(()))
        .await;
    assert_eq!(kept.len(), 2);
}

#[actix::test]
async fn a_recipient_of_another_node_works_as_one_at_home() {
    let [a, b] = line().await;
    let (recipient, kept) = Keeper::<Received<Invalidate>>::start();
    a.subscribe(recipient).await.unwrap();
    let there = b.recipient::<Invalidate>(a.id.clone());
    there
        .send(invalidate("sent", 1).into())
        .await
        .unwrap()
        .unwrap();
    there.do_send(invalidate("done", 2).into());
    there.try_send(invalidate("tried", 3).into()).unwrap();
    for key in ["sent", "done", "tried"] {
        kept.next(|got| (got.value.key == key).then_some(())).await;
    }
}

#[actix::test]
async fn a_value_that_nobody_is_there_for_is_an_error() {
    let [alone] = line().await;
    let error = alone.publish(&Squared { n: 1 }).await.unwrap_err();
    assert!(
        error.to_string().contains("no peer is connected"),
        "{error}"
    );
    let waited = alone.ready(1, Duration::from_millis(20)).await.unwrap_err();
    assert_eq!((waited.connected, waited.wanted), (0, 1));
}

/// Stands in for a node in a user's test.
struct Mock(Vec<String>);

impl actix::Actor for Mock {
    type Context = actix::Context<Self>;
}

impl actix::Handler<Send> for Mock {
    type Result = Result<actix_mesh::Sent, actix_mesh::SendError>;

    fn handle(&mut self, send: Send, _: &mut actix::Context<Self>) -> Self::Result {
        let text = send.packets.first().and_then(|packet| packet.as_str());
        self.0.push(text.unwrap_or_default().to_owned());
        let (id, peer) = ("2oNpBWZ".parse().unwrap(), "3yQ".parse().unwrap());
        Ok(actix_mesh::Sent::new(id, 7, [peer]))
    }
}

#[actix::test]
async fn an_actor_can_stand_in_for_a_router() {
    use actix::Actor as _;
    let sent = Mock(Vec::new())
        .start()
        .send(Send::new("hello"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!((sent.time, sent.handed_to.len()), (7, 1));
}
