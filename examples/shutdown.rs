//! A service that drains on shutdown: accepted messages are sent, and unsent ones are reported.
//! `cargo run --example shutdown`, then Ctrl-C, or `kill -TERM`; with an argument it ends after so many seconds.

use std::time::Duration;

use actix_mesh::{Config, Send};

#[actix::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listener = Config::new().start().await?;
    let service = Config::new().connect(listener.addr).start().await?;
    service.ready(1, Duration::from_secs(5)).await?;

    let router = service.router.clone();
    actix::spawn(async move {
        for number in 0_u64.. {
            // The loop ends with the node.
            if !matches!(
                router.send(Send::new(format!("reading {number}"))).await,
                Ok(Ok(_))
            ) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });

    let report = match std::env::args().nth(1) {
        None => service.shutdown_on_signals().await?,
        Some(seconds) => {
            tokio::time::sleep(Duration::from_secs_f64(seconds.parse()?)).await;
            service.shutdown().await?
        }
    };
    match report.is_clean() {
        true => println!("everything was sent"),
        false => println!("not sent: {report:?}"),
    }
    Ok(())
}
