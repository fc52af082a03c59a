//! A chat with rooms in the browser, over any number of processes. A room is a kind, such as `room/tea`.
//!
//! `cargo run --example rooms -- 8080` prints its node's address, `cargo run --example rooms -- 8081 ADDRESS` joins
//! that node; then open <http://127.0.0.1:8080/tea> and <http://127.0.0.1:8081/tea>.

use std::convert::Infallible;

use actix::{Actor, Context, Handler};
use actix_mesh::{Config, Filter, Node, Payload, Received, Send, Subscribe};
use actix_web::{App, HttpResponse, HttpServer, Responder, web};
use futures_util::stream;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast::{self, error::RecvError};

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Said {
    who: String,
    text: String,
}

impl Payload for Said {
    const KIND: &'static str = "room/";
}

/// Everything said in all rooms, locally or on other nodes: the room and the text.
type Hall = broadcast::Sender<(String, Said)>;
/// Receives what is said on other nodes.
struct Ear(Hall);

impl Actor for Ear {
    type Context = Context<Self>;
}

impl Handler<Received<Said>> for Ear {
    type Result = ();

    fn handle(&mut self, got: Received<Said>, _: &mut Context<Self>) {
        let room = got.message.kind().as_str().unwrap_or_default().to_owned();
        // There may be no listener.
        let _ = self.0.send((room, got.value));
    }
}

/// Streams what is said in a room as server-sent events.
async fn hear(hall: web::Data<Hall>, room: web::Path<String>) -> impl Responder {
    let (hall, room) = (hall.subscribe(), format!("room/{room}"));
    let events = stream::unfold((hall, room), |(mut hall, room)| async move {
        loop {
            match hall.recv().await {
                Ok((at, said)) if at == room => {
                    let line = format!("data: {}\n\n", serde_json::to_string(&said).ok()?);
                    return Some((Ok::<_, Infallible>(web::Bytes::from(line)), (hall, room)));
                }
                Err(RecvError::Closed) => return None,
                _ => {}
            }
        }
    });
    let mut response = HttpResponse::Ok();
    response.content_type("text/event-stream").streaming(events)
}

/// Says something in a room, locally and to all nodes.
async fn say(
    (hall, node): (web::Data<Hall>, web::Data<Node>),
    room: web::Path<String>,
    said: web::Json<Said>,
) -> Result<&'static str, Box<dyn std::error::Error>> {
    let kind = format!("room/{room}");
    let send = Send::typed(&*said)?.kind(kind.as_str()).allow_empty();
    let _ = hall.send((kind, said.into_inner()));
    node.router.send(send).await??;
    Ok("said")
}

#[actix::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let port: u16 = args.next().unwrap_or("8080".into()).parse()?;
    let config = args.fold(Config::new(), |config, peer| config.connect(peer));
    let node = web::Data::new(config.start().await?);
    let hall: Hall = broadcast::channel(64).0;
    let rooms = Subscribe::<Received<Said>>::typed(Ear(hall.clone()).start())
        .kinds(Filter::new().kind_prefix("room/"));
    node.router.send(rooms).await?;
    let (at_node, hall) = (node.clone(), web::Data::new(hall));
    let page = async || web::Html::new(include_str!("rooms.html"));
    let app = move || {
        let app = App::new().app_data(hall.clone()).app_data(at_node.clone());
        app.route("/{room}", web::get().to(page))
            .route("/{room}/heard", web::get().to(hear))
            .route("/{room}/say", web::post().to(say))
    };
    let server = HttpServer::new(app).workers(1).bind(("127.0.0.1", port))?;
    for page in server.addrs() {
        println!("the page is at http://{page}");
    }
    println!("the node listens on {}", node.addr);
    server.run().await?;
    node.shutdown().await?;
    Ok(())
}
