//! A service somewhere in the mesh: questions are broadcast, and answers are whispered, through a node in between.
//!
//!     cargo run --example request_reply
//!
//! The client knows neither the service's id nor its address. It broadcasts its question under its own kind; the
//! service replies to the author, who is found through the mesh and dialled.

use std::time::Duration;

use actix::{Actor, Addr, Context, Handler};
use actix_mesh::{Config, Connect, Filter, Message, Node, Recv, Router, Send, Shutdown, Subscribe};

/// Packet 0 of the questions that the service answers.
const KIND: &str = "sum";

/// Adds numbers for any client.
struct Adder {
    router: Addr<Router>,
}

impl Actor for Adder {
    type Context = Context<Self>;
}

impl Handler<Message> for Adder {
    type Result = ();

    fn handle(&mut self, question: Message, _: &mut Context<Self>) {
        let numbers = question
            .body()
            .iter()
            .filter_map(|packet| packet.as_str()?.parse::<i64>().ok());
        let sum: i64 = numbers.sum();
        println!("service: {} is {sum}", question.text().replace(' ', " + "));
        // The first packet says which question this answers.
        self.router
            .do_send(question.reply((question.id().as_str(), sum.to_string())));
    }
}

async fn node() -> Result<Node, Box<dyn std::error::Error>> {
    Ok(Config::new()
        .subnet("request_reply", "Plaintext")
        .max_outgoing(0)
        .start()
        .await?)
}

#[actix::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (client, between, service) = (node().await?, node().await?, node().await?);
    let adder = Adder {
        router: service.router.clone(),
    }
    .start();
    let questions = Subscribe::messages(adder).filter(Filter::new().kind(KIND));
    service.router.send(questions).await?;
    service.router.send(Connect::to(between.addr)).await??;
    client.router.send(Connect::to(between.addr)).await??;

    let question = client
        .router
        .send(Send::new(["19", "23"]).kind(KIND))
        .await??;
    let answers = client
        .router
        .send(Recv::one().wait(Duration::from_secs(10)))
        .await?;
    let answer = answers.first().ok_or("nobody answered")?;
    let [id, sum] = answer.body() else {
        return Err("an answer has two packets".into());
    };
    assert_eq!(id.as_str(), Some(question.id.as_str()));
    println!(
        "client: the mesh says {}",
        sum.as_str().unwrap_or("nothing")
    );

    for node in [client, between, service] {
        node.router.send(Shutdown::new()).await?;
    }
    Ok(())
}
