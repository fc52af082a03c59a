//! Values and questions between our node and a py2p, which knows no types.

use actix_mesh::Config;

use crate::py2p::Py2p;
use crate::support::plain::{Can, questions_each_way};

#[test]
fn questions_are_asked_and_answered_each_way() {
    if let Some(py2p) = Py2p::ready() {
        let peer = py2p.peer("them");
        let config = Config::new().max_outgoing(0);
        questions_each_way(&peer, Can::WhisperAndSetKinds, config);
    }
}
