//! Actors by name.

use std::time::Duration;

use actix::{Actor as _, Context, Handler, ResponseFuture};
use actix_mesh::{Ask, Asked, RequestError};

use crate::rig::{PATIENCE, Square, Squared, line, worker};

#[actix::test]
async fn a_named_actor_is_found_and_found_anew_when_it_moved() {
    let [a, b, c] = line().await;
    let registration = a.register::<Square>("billing", worker()).await.unwrap();
    let billing = b.find::<Square>("billing", PATIENCE).await.unwrap();
    let ask = |n| Ask::new(Square { n }).within(PATIENCE);
    assert_eq!(billing.send(ask(2)).await.unwrap(), Ok(Squared { n: 4 }));

    assert!(a.unsubscribe(registration).await.unwrap());
    c.register::<Square>("billing", worker()).await.unwrap();
    assert_eq!(billing.send(ask(3)).await.unwrap(), Ok(Squared { n: 9 }));
}

#[actix::test]
async fn a_name_on_the_own_node_is_found() {
    let [a] = line().await;
    a.register::<Square>("billing", worker()).await.unwrap();
    let billing = a.find::<Square>("billing", PATIENCE).await.unwrap();
    assert_eq!(
        billing.send(Ask::new(Square { n: 4 })).await.unwrap(),
        Ok(Squared { n: 16 })
    );
}

/// Never answers.
struct Silent;

impl actix::Actor for Silent {
    type Context = Context<Self>;
}

impl Handler<Asked<Square>> for Silent {
    type Result = ResponseFuture<Option<Squared>>;

    fn handle(&mut self, _: Asked<Square>, _: &mut Context<Self>) -> Self::Result {
        Box::pin(std::future::pending())
    }
}

#[actix::test]
async fn a_named_actor_on_the_own_node_has_a_deadline_too() {
    let [a] = line().await;
    a.register::<Square>("billing", Silent.start().recipient())
        .await
        .unwrap();
    let billing = a.find::<Square>("billing", PATIENCE).await.unwrap();
    let within = Duration::from_millis(50);
    let ask = Ask::new(Square { n: 4 }).within(within);
    assert_eq!(
        billing.send(ask).await.unwrap(),
        Err(RequestError::Timeout { within })
    );
}

#[actix::test]
async fn a_name_nobody_has_is_an_error_that_says_so() {
    let [a, b] = line().await;
    a.answer::<Square>(worker()).await.unwrap();
    let error = b
        .find::<Square>("billing", Duration::from_millis(200))
        .await
        .unwrap_err();
    assert!(
        matches!(&error, RequestError::NameNotFound { name, .. } if name == "billing"),
        "{error}"
    );
}
