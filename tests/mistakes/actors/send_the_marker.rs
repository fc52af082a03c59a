//! With this crate's `Send` in scope a bound needs the marker's full name: `actix_mesh::prelude` has no such clash.

use actix_mesh::Send;

fn on_another_thread<T: Send>(_: T) {}

fn main() {
    on_another_thread(Send::new("hello"));
}
