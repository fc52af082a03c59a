//! What a message costs that was heard before: seven peers say the same, or one of them alone.

use bytes::Bytes;

use super::contest::{CAPACITY, Contender, ROUNDS, contest, count_of};
use super::harness::median;
use super::hub::{BY_HAND, Kind, NODE};
use super::stream::{self, Form};

/// Peers that feed; one more only listens.
const FEEDERS: usize = 7;

/// Nanoseconds of CPU time.
struct Costs {
    /// A message that is relayed to one peer.
    to_one: f64,
    /// A message that is relayed to seven.
    to_seven: f64,
    /// A message heard again.
    again: f64,
    heard: (u64, u64),
}

pub(crate) fn told() {
    println!("\n## Duplicates: each message heard from {FEEDERS} peers\n");
    println!(
        "| hub | payload | fresh, to 1 | fresh, to 7 | duplicate | of fresh to 1 | of fresh to 7 | delivered |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|--:|");
    for size in [100, 160, 1024] {
        for kind in [BY_HAND, NODE] {
            let costs = measured(kind, size);
            println!(
                "| {} | {size} | {:.0} | {:.0} | {:.0} | {:.2} | {:.2} | {} of {} |",
                kind.name,
                costs.to_one,
                costs.to_seven,
                costs.again,
                costs.again / costs.to_one,
                costs.again / costs.to_seven,
                costs.heard.0,
                costs.heard.1,
            );
        }
    }
}

fn measured(kind: Kind, size: usize) -> Costs {
    let count = count_of(size) / 2;
    let alone = Contender::new(kind, Form::Plain, 2, CAPACITY);
    let to_one = contest(vec![alone], size, count)[0].cost;
    let mut hub = Contender::new(kind, Form::Plain, FEEDERS + 1, CAPACITY);
    let (mut fresh, mut again) = (Vec::new(), Vec::new());
    for _ in 0..=ROUNDS {
        let once = said(&mut hub, 1, size, count);
        let by_all = said(&mut hub, FEEDERS, size, count);
        fresh.push(once / count as f64);
        again.push((by_all - once) / (count * (FEEDERS - 1)) as f64);
    }
    // The first round warmed up.
    let heard = hub.balance();
    assert_eq!(heard.0, heard.1, "each is heard exactly once");
    Costs {
        to_one,
        to_seven: median(&mut fresh[1..]),
        again: median(&mut again[1..]),
        heard,
    }
}

/// Messages said by that many peers; what the hub spent, in nanoseconds.
fn said(hub: &mut Contender, speakers: usize, size: usize, count: usize) -> f64 {
    let messages = stream::messages(Form::Plain, size, count);
    // When the last of a feed was relayed, all before it was read.
    let feed = |_| -> Bytes {
        let last = stream::messages(Form::Plain, size, 1);
        [&messages[..], &last].concat().into()
    };
    let feeds: Vec<Bytes> = (0..speakers).map(feed).collect();
    let relayed = (count + speakers) * FEEDERS;
    hub.relay(&feeds, relayed as u64).total.as_secs_f64() * 1e9
}
