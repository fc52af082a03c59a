//! Actors by name: finds the node that has registered a name, and finds it again after the actor has moved.
//!
//! A name is looked up with a broadcast of kind `mesh.find/1`: its tag carries the name, its value the kind of question
//! the actor has to answer. A node that has registered it answers `mesh.found/1`. Questions then go to that node alone,
//! with the name in their tag.

use std::any::Any;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix::{Actor, Addr, Context, Handler, Recipient, ResponseFuture};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::asked::{Asked, value};
use super::payload::format::{FormatError, read_message, write};
use super::payload::{Payload, Query, kind};
use super::remote::Ask;
use super::request::{Request, RequestError};
use crate::node::Router;
use crate::node::requests::answering::{Answerer, Answering, Local, NoAnswer, Registration};
use crate::wire::{Flag, Message, MessageId, NodeId, Packet};

/// Asks which node answers questions of this kind under the name in the tag.
#[derive(Debug, Serialize, Deserialize)]
struct Find {
    kind: String,
}

/// Answers `Find`: this node does.
#[derive(Debug, Serialize, Deserialize)]
struct Found {}

impl Payload for Find {
    const KIND: &'static str = "mesh.find/1";
}

impl Payload for Found {
    const KIND: &'static str = "mesh.found/1";
}

impl Query for Find {
    type Reply = Found;
}

/// Returns the registration that answers lookups of a name.
pub(super) fn finder<Q: Query>(name: &str, recipient: Recipient<Asked<Q>>) -> Registration {
    Registration {
        kind: Packet::from(Find::KIND),
        name: name.to_owned(),
        answerer: Box::new(Finder(recipient)),
    }
}

struct Finder<Q: Query>(Recipient<Asked<Q>>);

impl<Q: Query> Answerer for Finder<Q> {
    fn is_connected(&self) -> bool {
        self.0.connected()
    }

    fn ask(&self, question: &Message) -> Answering {
        let answer = match read_message::<Find>(question) {
            Ok(find) if find.kind == kind::<Q>() => value(&Found {}),
            Ok(_) => Err(NoAnswer::NotForMe),
            Err(error) => Err(NoAnswer::Unreadable(error.to_string())),
        };
        Box::pin(std::future::ready(answer))
    }

    fn recipient(&self) -> Box<dyn Any + Send> {
        Box::new(self.0.clone())
    }
}

/// Where an actor is.
enum Place<Q: Query> {
    /// On this node, whose id this is.
    Here(Recipient<Asked<Q>>, NodeId),
    There(NodeId),
}

impl<Q: Query> Clone for Place<Q> {
    fn clone(&self) -> Self {
        match self {
            Self::Here(recipient, me) => Self::Here(recipient.clone(), me.clone()),
            Self::There(node) => Self::There(node.clone()),
        }
    }
}

/// Stands for a named actor, wherever it is.
pub(super) struct Named<Q: Query> {
    router: Addr<Router>,
    name: Arc<str>,
    /// Where it was last found.
    place: Arc<Mutex<Option<Place<Q>>>>,
}

impl<Q: Query> Clone for Named<Q> {
    fn clone(&self) -> Self {
        Self {
            router: self.router.clone(),
            name: Arc::clone(&self.name),
            place: Arc::clone(&self.place),
        }
    }
}

impl<Q: Query> Named<Q> {
    /// Looks the name up.
    pub(super) async fn find(
        router: Addr<Router>,
        name: &str,
        within: Duration,
    ) -> Result<Self, RequestError> {
        let named = Self {
            router,
            name: Arc::from(name),
            place: Arc::new(Mutex::new(None)),
        };
        named.look(within).await?;
        Ok(named)
    }

    async fn look(&self, within: Duration) -> Result<Place<Q>, RequestError> {
        let local = Local {
            kind: Packet::from(kind::<Q>()),
            name: self.name.to_string(),
        };
        let (me, local) = self.router.send(local).await?;
        let here = local.and_then(|any| any.downcast::<Recipient<Asked<Q>>>().ok());
        let place = match here {
            Some(recipient) => Place::Here(*recipient, me),
            None => Place::There(self.ask_around(within).await?),
        };
        self.remember(Some(place.clone()));
        Ok(place)
    }

    async fn ask_around(&self, within: Duration) -> Result<NodeId, RequestError> {
        let find = Find {
            kind: String::from(kind::<Q>()),
        };
        let asking = Request::new(&self.router, &find).name(&*self.name);
        let (_, by) = asking
            .within(within)
            .first()
            .await
            .map_err(|error| match error {
                RequestError::Timeout { within } => RequestError::NameNotFound {
                    name: self.name.to_string(),
                    within,
                },
                error => error,
            })?;
        Ok(by)
    }

    fn remember(&self, place: Option<Place<Q>>) {
        *self.place.lock().unwrap_or_else(PoisonError::into_inner) = place;
    }

    fn known(&self) -> Option<Place<Q>> {
        let place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        place.clone().filter(|place| match place {
            Place::Here(recipient, _) => recipient.connected(),
            Place::There(_) => true,
        })
    }

    /// Asks the actor where it was last found; if it has left, looks it up again and asks there.
    async fn ask(self, query: Q, within: Duration) -> Result<Q::Reply, RequestError> {
        let until = Instant::now() + within;
        let left = || until.saturating_duration_since(Instant::now());
        let written = write(&query);
        if let Some(Place::There(node)) = self.known() {
            match self.ask_there(node, written.clone(), left()).await {
                // The question was not handled, so it may be asked again.
                Err(RequestError::NoAnswerer { .. } | RequestError::Unreachable { .. }) => {
                    self.remember(None);
                }
                answer => return answer,
            }
        }
        let place = match self.known() {
            Some(place) => place,
            None => self.look(left()).await?,
        };
        match place {
            Place::Here(recipient, me) => {
                let answer = ask_here(&recipient, &self.name, me, query, written);
                let in_time = tokio::time::timeout(left(), answer).await;
                in_time.unwrap_or(Err(RequestError::Timeout { within }))
            }
            Place::There(node) => self.ask_there(node, written, left()).await,
        }
    }

    async fn ask_there(
        &self,
        node: NodeId,
        written: Result<Packet, FormatError>,
        within: Duration,
    ) -> Result<Q::Reply, RequestError> {
        let request = Request::<Q>::of(&self.router, written);
        request.to(node).name(&*self.name).within(within).await
    }
}

/// Asks an actor on this node as if the question had come from another, with a message that never travelled.
async fn ask_here<Q: Query>(
    recipient: &Recipient<Asked<Q>>,
    name: &str,
    me: NodeId,
    query: Q,
    written: Result<Packet, FormatError>,
) -> Result<Q::Reply, RequestError> {
    let id = MessageId::parse("1").expect("one digit of base58");
    let tag = Packet::from(format!("ask:here:{name}"));
    let packets = vec![Packet::from(kind::<Q>()), written?, tag];
    let message = Message::new(id, me.clone(), me.clone(), Flag::Whisper, 0, packets);
    let answer = recipient.send(Asked::new(query, message)).await;
    answer
        .ok()
        .flatten()
        .ok_or(RequestError::NoAnswerer { by: me })
}

impl<Q: Query> Actor for Named<Q> {
    type Context = Context<Self>;
}

impl<Q: Query> Handler<Ask<Q>> for Named<Q> {
    type Result = ResponseFuture<Result<Q::Reply, RequestError>>;

    fn handle(&mut self, ask: Ask<Q>, _: &mut Context<Self>) -> Self::Result {
        Box::pin(self.clone().ask(ask.query, ask.within))
    }
}
