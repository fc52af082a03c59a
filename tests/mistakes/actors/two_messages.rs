//! With both crates' names in scope `Message` is ambiguous: `actix_mesh::prelude` has no such clash.

use actix::prelude::*;
use actix_mesh::*;

struct Ear;

impl Actor for Ear {
    type Context = Context<Self>;
}

impl Handler<Message> for Ear {
    type Result = ();

    fn handle(&mut self, message: Message, _: &mut Context<Self>) {
        println!("{}", message.text());
    }
}

fn main() {}
