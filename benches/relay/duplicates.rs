//! The cost of a duplicate: seven peers send the same messages, or one of them alone.

use bytes::Bytes;

use super::contest::{CAPACITY, Contender, ROUNDS, count_of};
use super::harness::median;
use super::hub::{BY_HAND, Kind, NODE};
use super::stream::{self, Form};

/// Peers that feed; one more peer only listens.
const FEEDERS: usize = 7;

/// CPU time of one round, in nanoseconds.
struct Costs {
    /// A message relayed to one peer.
    to_one: f64,
    /// A message relayed to seven peers.
    to_seven: f64,
    /// A duplicate.
    again: f64,
}

pub(crate) fn told() {
    println!("\n## Duplicates: each message heard from {FEEDERS} peers\n");
    println!(
        "| payload | hub | fresh, to 1: ns | fresh, to 7: ns | duplicate: ns | of fresh to 1 | of fresh to 7 | delivered |"
    );
    println!("|--:|---|--:|--:|--:|--:|--:|--:|");
    for size in [100, 160, 1024] {
        let mut hubs = [BY_HAND, NODE].map(Hubs::start);
        // The first round warms up.
        hubs.iter_mut().for_each(|hubs| _ = hubs.round(size));
        let mut costs = [Vec::new(), Vec::new()];
        for _ in 0..ROUNDS {
            for (hubs, costs) in hubs.iter_mut().zip(&mut costs) {
                costs.push(hubs.round(size));
            }
        }
        for (hubs, costs) in hubs.into_iter().zip(costs) {
            hubs.row(size, &costs);
        }
    }
}

/// A hub with one feeder and one listener, and a hub with all feeders and one listener.
struct Hubs {
    kind: Kind,
    small: Contender,
    large: Contender,
}

impl Hubs {
    fn start(kind: Kind) -> Hubs {
        let start = |peers| Contender::new(kind, Form::Plain, peers, CAPACITY);
        Hubs {
            kind,
            small: start(2),
            large: start(FEEDERS + 1),
        }
    }

    fn round(&mut self, size: usize) -> Costs {
        let count = count_of(size) / 2;
        let messages = stream::messages(Form::Plain, size, count);
        let to_one = self.small.round(&messages, count);
        let once = said(&mut self.large, 1, size, count);
        let by_all = said(&mut self.large, FEEDERS, size, count);
        Costs {
            to_one,
            to_seven: once / count as f64,
            again: (by_all - once) / (count * (FEEDERS - 1)) as f64,
        }
    }

    fn row(mut self, size: usize, costs: &[Costs]) {
        let of = |what: fn(&Costs) -> f64| median(&mut costs.iter().map(what).collect::<Vec<_>>());
        let delivered = self.small.delivered() + self.large.delivered();
        let expected = self.small.expected + self.large.expected;
        println!(
            "| {size} | {} | {:.0} | {:.0} | {:.0} | {:.2} | {:.2} | {delivered} of {expected} |",
            self.kind.name,
            of(|costs| costs.to_one),
            of(|costs| costs.to_seven),
            of(|costs| costs.again),
            of(|costs| costs.again / costs.to_one),
            of(|costs| costs.again / costs.to_seven),
        );
    }
}

/// Sends the messages from that many peers; returns what the hub spent, in nanoseconds.
fn said(hub: &mut Contender, speakers: usize, size: usize, count: usize) -> f64 {
    let messages = stream::messages(Form::Plain, size, count);
    // Once the last message of a feed is relayed, all messages before it have been read.
    let feed = |_| -> Bytes {
        let last = stream::messages(Form::Plain, size, 1);
        [&messages[..], &last].concat().into()
    };
    let feeds: Vec<Bytes> = (0..speakers).map(feed).collect();
    let relayed = (count + speakers) * FEEDERS;
    hub.relay(&feeds, relayed as u64).total.as_secs_f64() * 1e9
}
