//! Questions to one node, to the first to answer, and to all; and every way a question can fail.

use std::time::Duration;

use actix::{Actor, ActorFutureExt as _, Context, Handler, ResponseActFuture, WrapFuture as _};
use std::future::IntoFuture as _;

use actix_mesh::{Asked, Config, Event, RequestError, Send};

use crate::rig::{Keeper, PATIENCE, Square, Squared, line, worker};

/// Answers after a delay.
struct Slow(Duration);

impl Actor for Slow {
    type Context = Context<Self>;
}

impl Handler<Asked<Square>> for Slow {
    type Result = ResponseActFuture<Self, Option<Squared>>;

    fn handle(&mut self, asked: Asked<Square>, _: &mut Context<Self>) -> Self::Result {
        let answer =
            move |(), _: &mut Self, _: &mut Context<Self>| Some(Squared { n: asked.value.n });
        Box::pin(tokio::time::sleep(self.0).into_actor(self).map(answer))
    }
}

#[actix::test]
async fn a_neighbour_answers() {
    let [a, b] = line().await;
    a.answer::<Square>(worker()).await.unwrap();
    let squared = b
        .request(&Square { n: 12 })
        .to(a.id.clone())
        .within(PATIENCE)
        .await;
    assert_eq!(squared, Ok(Squared { n: 144 }));
}

#[actix::test]
async fn a_node_that_is_no_neighbour_is_found_and_answers() {
    let [a, _b, c] = line().await;
    a.answer::<Square>(worker()).await.unwrap();
    let squared = c
        .request(&Square { n: 5 })
        .to(a.id.clone())
        .within(PATIENCE)
        .await;
    assert_eq!(squared, Ok(Squared { n: 25 }));
}

#[actix::test]
async fn all_answer_and_each_says_who_it_is() {
    let [a, b, c] = line().await;
    for node in [&a, &c] {
        node.answer::<Square>(worker()).await.unwrap();
    }
    let within = Duration::from_millis(1500);
    let mut answers = b
        .request(&Square { n: 3 })
        .within(within)
        .all()
        .await
        .unwrap();
    answers.sort_by(|one, other| one.from.cmp(&other.from));
    let mut expected = [a.id.clone(), c.id.clone()];
    expected.sort();
    assert_eq!(
        answers
            .iter()
            .map(|answer| answer.from.clone())
            .collect::<Vec<_>>(),
        expected
    );
    assert!(
        answers
            .iter()
            .all(|answer| answer.value == Squared { n: 9 })
    );
}

#[actix::test]
async fn each_failure_has_its_own_error() {
    let [a, b] = line().await;
    let to = a.id.clone();
    let short = Duration::from_millis(300);
    let nobody = b
        .request(&Square { n: 1 })
        .to(to.clone())
        .within(PATIENCE)
        .await
        .unwrap_err();
    assert_eq!(nobody, RequestError::NoAnswerer { by: to.clone() });
    let first = b.request(&Square { n: 1 }).within(short).await.unwrap_err();
    assert!(matches!(first, RequestError::Timeout { .. }), "{first}");

    a.answer::<Square>(worker()).await.unwrap();
    let none = b
        .request(&Square { n: 0 })
        .to(to.clone())
        .within(PATIENCE)
        .await
        .unwrap_err();
    assert_eq!(none.code(), "no_answerer");

    let elsewhere = Config::new()
        .subnet("elsewhere", "Plaintext")
        .start()
        .await
        .unwrap();
    let alone = elsewhere
        .request(&Square { n: 1 })
        .within(short)
        .await
        .unwrap_err();
    assert_eq!(alone, RequestError::NoPeers);
    let lost = b
        .request(&Square { n: 1 })
        .to(elsewhere.id.clone())
        .within(short)
        .await
        .unwrap_err();
    assert!(matches!(lost, RequestError::Unreachable { .. }), "{lost}");
}

#[actix::test]
async fn a_late_reply_is_an_event_and_not_an_answer_to_the_next_question() {
    let [a, b] = line().await;
    a.answer::<Square>(Slow(Duration::from_millis(500)).start().recipient())
        .await
        .unwrap();
    let (recipient, events) = Keeper::<Event>::start();
    b.events(recipient).await.unwrap();
    let late = b
        .request(&Square { n: 7 })
        .to(a.id.clone())
        .within(Duration::from_millis(100))
        .await;
    assert!(
        matches!(late, Err(RequestError::Timeout { .. })),
        "{late:?}"
    );
    let next = b
        .request(&Square { n: 8 })
        .to(a.id.clone())
        .within(PATIENCE)
        .await;
    assert_eq!(next, Ok(Squared { n: 8 }));
    events
        .next(|event| matches!(event, Event::LateReply { .. }).then_some(()))
        .await;
}

#[actix::test]
async fn a_dropped_question_waits_no_longer() {
    let [a, b] = line().await;
    a.answer::<Square>(Slow(Duration::from_secs(60)).start().recipient())
        .await
        .unwrap();
    for _ in 0..10 {
        let asking = b
            .request(&Square { n: 1 })
            .to(a.id.clone())
            .within(Duration::from_secs(60));
        let cut = tokio::time::timeout(Duration::from_millis(50), asking.into_future()).await;
        assert!(cut.is_err());
    }
    let status = b.router.send(actix_mesh::Status).await.unwrap();
    assert_eq!(status.requests.pending, 0);
}

#[actix::test]
async fn a_reply_that_is_no_value_of_its_kind_is_told() {
    let [a, b] = line().await;
    let asking = b
        .request(&Square { n: 1 })
        .to(a.id.clone())
        .within(PATIENCE);
    // Stands for a program in another language, which builds its answer by hand.
    let (recipient, heard) = Keeper::<actix_mesh::Message>::start();
    let all = actix_mesh::Filter::new().any_kind();
    a.router
        .send(actix_mesh::Subscribe::messages(recipient).filter(all))
        .await
        .unwrap();
    let answering = async {
        let question = heard.next(|message| {
            (message.packets()[0].as_bytes() == b"square/1").then(|| message.clone())
        });
        let question = question.await;
        let tag = question.packets()[2]
            .as_str()
            .unwrap()
            .replacen("ask", "reply", 1);
        let reply = question.reply(["not json", tag.as_str()]).kind("squared/1");
        a.router.send(reply).await.unwrap().unwrap();
    };
    let (asked, ()) = tokio::join!(asking.into_future(), answering);
    assert!(
        matches!(asked, Err(RequestError::BadReply { .. })),
        "{asked:?}"
    );
}

#[actix::test]
async fn replies_that_were_not_asked_for_fill_nothing() {
    let [a, b] = line().await;
    for number in 0..200 {
        let reply =
            Send::new([format!("{{\"n\":{number}}}"), format!("reply:{number}")]).kind("squared/1");
        a.router.send(reply).await.unwrap().unwrap();
    }
    a.answer::<Square>(worker()).await.unwrap();
    let squared = b
        .request(&Square { n: 2 })
        .to(a.id.clone())
        .within(PATIENCE)
        .await;
    assert_eq!(squared, Ok(Squared { n: 4 }));
    let status = b.router.send(actix_mesh::Status).await.unwrap();
    assert_eq!(status.requests.pending, 0);
}
