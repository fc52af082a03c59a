//! A chat in the browser and on the nodes of a mesh: the page is itself a node, over WebSocket.
//!
//! `cargo run --example browser` prints which page to open, and how the program joins the same mesh. A page needs only
//! `mesh.js` beside this file.
//!
//! `cargo run --example browser -- 0 DIR/NAME` does the same over TLS, with the certificate `DIR/NAME.crt`, its key
//! `DIR/NAME.key` and its authority `DIR/ca.crt`. The browser must trust the authority, and does not accept Ed25519
//! keys: use the web server's certificate, not one from `actix-mesh ca`.

use actix::{Actor, Context, Handler};
use actix_mesh::tls::Tls;
use actix_mesh::{Config, Encryption, Generation, Message, Subscribe};
use actix_web::{App, HttpResponse, HttpServer, web};

/// Prints the messages it receives.
struct Ear;

impl Actor for Ear {
    type Context = Context<Self>;
}

impl Handler<Message> for Ear {
    type Result = ();

    fn handle(&mut self, message: Message, _: &mut Context<Self>) {
        println!("<{}> {}", message.sender().short(), message.text());
    }
}

#[actix::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let port = std::env::args().nth(1).unwrap_or("0".into()).parse()?;
    let listener = std::net::TcpListener::bind(("127.0.0.1", port))?;
    let origin = format!("http://{}", listener.local_addr()?);
    // js2p and browsers speak generation 0.7; only this page's origin may join.
    let config = Config::new()
        .generation(Generation::V0_7)
        .subnet("mesh", Encryption::WebSocket)
        .allow_origin(&origin);
    let (scheme, config) = match std::env::args().nth(2) {
        Some(files) => ("wss", config.wss(Tls::from_files(files)?)),
        None => ("ws", config),
    };
    let node = config.start().await?;
    node.router.send(Subscribe::messages(Ear.start())).await?;
    println!("open {origin}/");
    let how = match scheme {
        "ws" => "--encryption ws",
        _ => "--wss DIR/NAME",
    };
    println!(
        "or: actix-mesh node --wire 0.7 {how} --connect {}",
        node.advertised
    );

    let page = include_str!("page.html");
    let page = page.replace("NODE", &format!("{scheme}://{}/", node.advertised));
    let page = web::Data::new(page);
    let show = async |page: web::Data<String>| web::Html::new(page.to_string());
    let script = async || {
        let mut answer = HttpResponse::Ok();
        answer
            .content_type("text/javascript")
            .body(include_str!("mesh.js"))
    };
    let app = move || {
        let app = App::new().app_data(page.clone());
        app.route("/", web::get().to(show))
            .route("/mesh.js", web::get().to(script))
    };
    HttpServer::new(app)
        .workers(1)
        .listen(listener)?
        .run()
        .await?;
    node.shutdown().await?;
    Ok(())
}
