//! The display of a node: its peers, its rates, the mesh around it, its problems and its events.
//!
//! Owns the layout and the words. Knows neither the source of the data nor the terminal.

use std::collections::VecDeque;
use std::f64::consts::TAU;

use actix_mesh::Severity;
use actix_mesh::dashboard::{Origin, Snapshot, Told};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::canvas::{Canvas, Line as Stroke};
use ratatui::widgets::{Block, Paragraph, Row, Sparkline, Table};

use super::source::News;

/// Events kept.
const EVENTS: usize = 200;
/// Seconds of rates kept.
const SECONDS: usize = 240;
/// Characters of an id that are shown.
const ID: usize = 10;
/// The map is hidden on a narrower terminal.
const WIDE: u16 = 100;
/// Problems shown at once.
const PROBLEMS: usize = 3;

/// The state of a node that is displayed.
#[derive(Debug, Default)]
pub(super) struct View {
    snapshot: Option<Box<Snapshot>>,
    lost: Option<String>,
    events: VecDeque<Told>,
    delivered: VecDeque<u64>,
    received: VecDeque<u64>,
    /// Rows of peers scrolled past.
    pub(super) scrolled: usize,
    pub(super) paused: bool,
    colours: bool,
}

impl View {
    pub(super) fn new(colours: bool) -> Self {
        Self {
            colours,
            ..Self::default()
        }
    }

    pub(super) fn take(&mut self, news: News) {
        if self.paused {
            return;
        }
        match news {
            News::Lost(why) => self.lost = Some(why),
            News::Told(told) => {
                let is_it = |other: &Told| (other.seq, other.time) == (told.seq, told.time);
                if !self.events.iter().any(is_it) {
                    keep(&mut self.events, told, EVENTS);
                }
            }
            News::Snapshot(snapshot) => {
                self.lost = None;
                keep(
                    &mut self.delivered,
                    whole(snapshot.rates.delivered),
                    SECONDS,
                );
                keep(&mut self.received, whole(snapshot.rates.received), SECONDS);
                self.snapshot = Some(snapshot);
            }
        }
    }

    pub(super) fn has_news(&self) -> bool {
        self.snapshot.is_some()
    }

    /// Scrolls the list of peers, at most to its last row.
    pub(super) fn scroll(&mut self, by: isize) {
        let peers = self.snapshot.as_ref().map_or(0, |it| it.peers.len());
        self.scrolled = self
            .scrolled
            .saturating_add_signed(by)
            .min(peers.saturating_sub(1));
    }

    pub(super) fn draw(&self, frame: &mut Frame<'_>) {
        let Some(snapshot) = &self.snapshot else {
            let why = self.lost.as_deref().unwrap_or("waiting for the node ..");
            return frame.render_widget(Paragraph::new(why), frame.area());
        };
        let problems = snapshot.problems.len().min(PROBLEMS) + usize::from(self.lost.is_some());
        let problems = u16::try_from(problems).unwrap_or_default();
        let [head, wrong, middle, rates, events, foot] = Layout::vertical([
            Constraint::Length(2),
            Constraint::Length(problems),
            Constraint::Fill(3),
            Constraint::Length(5),
            Constraint::Fill(2),
            Constraint::Length(1),
        ])
        .areas(frame.area());
        self.head(snapshot, head, frame);
        self.problems(snapshot, wrong, frame);
        let map = if middle.width >= WIDE { 2 } else { 0 };
        let [peers, map] =
            Layout::horizontal([Constraint::Fill(3), Constraint::Fill(map)]).areas(middle);
        self.peers(snapshot, peers, frame);
        if map.width > 0 {
            self.map(snapshot, map, frame);
        }
        self.rates(snapshot, rates, frame);
        self.events(events, frame);
        let keys = if self.paused {
            "paused; p goes on"
        } else {
            "q ends, p pauses, up and down scroll the peers"
        };
        frame.render_widget(Paragraph::new(keys).style(self.dim()), foot);
    }

    fn head(&self, snapshot: &Snapshot, area: Rect, frame: &mut Frame<'_>) {
        let node = &snapshot.node;
        let (ready, style) = match snapshot.health.ready {
            true => ("ready", self.colour(Color::Green)),
            false => ("not ready", self.colour(Color::Red)),
        };
        let up = snapshot.time / 1000 - node.since.min(snapshot.time / 1000);
        let lines = vec![
            Line::from(vec![
                Span::styled(short(&node.id), Style::new().add_modifier(Modifier::BOLD)),
                Span::raw(format!(
                    "  {} ({}), generation {}, at {}",
                    node.subnet, node.encryption, node.wire, node.listen
                )),
            ]),
            Line::from(vec![
                Span::styled(ready, style),
                Span::raw(format!(
                    "  {} of {} {} wanted, {} dialling or at the door, up {}",
                    snapshot.health.peers,
                    snapshot.health.wanted,
                    plural(snapshot.health.wanted, "peer"),
                    snapshot.awaiting.len(),
                    time(up)
                )),
            ]),
        ];
        frame.render_widget(Paragraph::new(lines), area);
    }

    fn problems(&self, snapshot: &Snapshot, area: Rect, frame: &mut Frame<'_>) {
        let lost = self
            .lost
            .iter()
            .map(|why| Line::styled(format!("! {why}"), self.severity(Severity::Error)));
        let problems = snapshot.problems.iter().take(PROBLEMS).map(|problem| {
            let style = self.severity(problem.severity);
            Line::styled(format!("! {} {}", problem.what, problem.advice), style)
        });
        let lines: Vec<_> = lost.chain(problems).collect();
        frame.render_widget(Paragraph::new(lines), area);
    }

    fn peers(&self, snapshot: &Snapshot, area: Rect, frame: &mut Frame<'_>) {
        let rows = snapshot.peers.iter().skip(self.scrolled).map(|peer| {
            let way = match &*peer.direction {
                "incoming" => "<-",
                _ => "->",
            };
            let trip = peer.round_trip.map_or("-".into(), |ms| format!("{ms:.1}"));
            Row::new([
                short(&peer.id),
                way.to_owned(),
                peer.addr.clone(),
                peer.compression.clone().unwrap_or_default(),
                trip,
                rate(peer.received.messages_per_second),
                rate(peer.sent.messages_per_second),
                bytes(peer.received.bytes_per_second + peer.sent.bytes_per_second),
            ])
        });
        let head = [
            "peer", "", "address", "packed", "ms", "in/s", "out/s", "B/s",
        ];
        let widths = [
            Constraint::Length(11),
            Constraint::Length(2),
            Constraint::Fill(1),
            Constraint::Length(6),
            Constraint::Length(6),
            Constraint::Length(7),
            Constraint::Length(7),
            Constraint::Length(7),
        ];
        let table = Table::new(rows, widths)
            .header(Row::new(head).style(self.dim()))
            .block(Block::bordered().title(format!("peers ({})", snapshot.peers.len())));
        frame.render_widget(table, area);
    }

    /// Draws the nodes in a circle, beginning with the queried one, and their links.
    fn map(&self, snapshot: &Snapshot, area: Rect, frame: &mut Frame<'_>) {
        let nodes = &snapshot.topology.nodes;
        let place = |id: &str| {
            let at = nodes.iter().position(|node| node.id == id)?;
            #[expect(clippy::cast_precision_loss, reason = "there are 512 nodes at most")]
            let angle = TAU * (at as f64) / (nodes.len().max(1) as f64);
            Some((angle.sin(), angle.cos()))
        };
        let canvas = Canvas::default()
            .block(Block::bordered().title("mesh"))
            .marker(Marker::Braille)
            .x_bounds([-1.3, 1.3])
            .y_bounds([-1.2, 1.2])
            .paint(|context| {
                for link in &snapshot.topology.links {
                    let (Some(from), Some(to)) = (place(&link.from), place(&link.to)) else {
                        continue;
                    };
                    let color = match (self.colours, link.forth + link.back > 0.5, link.own) {
                        (false, ..) => Color::Reset,
                        (_, true, _) => Color::Green,
                        (_, _, true) => Color::Blue,
                        _ => Color::DarkGray,
                    };
                    context.draw(&Stroke::new(from.0, from.1, to.0, to.1, color));
                }
                context.layer();
                for node in nodes {
                    if let Some((x, y)) = place(&node.id) {
                        let style = match node.origin {
                            Origin::Own => Style::new().add_modifier(Modifier::BOLD),
                            Origin::Heard => self.dim(),
                            _ => Style::new(),
                        };
                        let name: String = node.id.chars().take(6).collect();
                        context.print(x - 0.1, y, Line::styled(name, style));
                    }
                }
            });
        frame.render_widget(canvas, area);
    }

    fn rates(&self, snapshot: &Snapshot, area: Rect, frame: &mut Frame<'_>) {
        let rates = &snapshot.rates;
        let delay = rates
            .delay
            .map_or(String::new(), |delay| format!(", {delay:.1} s old"));
        let [left, right] =
            Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).areas(area);
        let delivered = format!("delivered {}/s{delay}", rate(rates.delivered));
        let received = format!(
            "received {}/s, heard again {}, relayed {}, sent {}",
            rate(rates.received),
            rate(rates.duplicates),
            rate(rates.relayed),
            rate(rates.sent)
        );
        for (area, title, history) in [
            (left, delivered, &self.delivered),
            (right, received, &self.received),
        ] {
            let room = usize::from(area.width.saturating_sub(2));
            let shown = history.iter().skip(history.len().saturating_sub(room));
            let shown: Vec<u64> = shown.copied().collect();
            let line = Sparkline::default()
                .data(&shown)
                .style(self.colour(Color::Cyan))
                .block(Block::bordered().title(title));
            frame.render_widget(line, area);
        }
    }

    fn events(&self, area: Rect, frame: &mut Frame<'_>) {
        let room = usize::from(area.height.saturating_sub(2));
        let last = self.events.iter().rev().take(room).map(|told| {
            let style = self.severity(told.severity);
            Line::from(vec![
                Span::styled(clock(told.time / 1000), self.dim()),
                Span::styled(format!(" {}", told.what), style),
            ])
        });
        let lines: Vec<_> = last.collect();
        let block = Block::bordered().title("events, the last one first");
        frame.render_widget(Paragraph::new(lines).block(block), area);
    }

    fn colour(&self, color: Color) -> Style {
        match self.colours {
            true => Style::new().fg(color),
            false => Style::new(),
        }
    }

    fn dim(&self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    fn severity(&self, severity: Severity) -> Style {
        match severity {
            Severity::Error => self.colour(Color::Red),
            Severity::Warning => self.colour(Color::Yellow),
            _ => Style::new(),
        }
    }
}

fn keep<T>(list: &mut VecDeque<T>, item: T, most: usize) {
    if list.len() == most {
        list.pop_front();
    }
    list.push_back(item);
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate is rough, and no less than nothing"
)]
fn whole(rate: f64) -> u64 {
    rate.round() as u64
}

fn short(id: &str) -> String {
    id.chars().take(ID).collect()
}

fn plural(count: usize, word: &str) -> String {
    match count {
        1 => word.to_owned(),
        _ => format!("{word}s"),
    }
}

/// Formats a number with three digits and a unit prefix.
fn scaled(mut number: f64, step: f64) -> String {
    for unit in ["", "k", "M"] {
        if number < step {
            return match number < 10.0 && number > 0.0 && !unit.is_empty() {
                true => format!("{number:.1}{unit}"),
                false => format!("{number:.0}{unit}"),
            };
        }
        number /= step;
    }
    format!("{number:.0}G")
}

fn rate(messages: f64) -> String {
    scaled(messages, 1000.0)
}

fn bytes(bytes: f64) -> String {
    scaled(bytes, 1024.0)
}

fn time(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// Formats the time of day in UTC.
fn clock(unix: u64) -> String {
    let second = unix % 86_400;
    format!(
        "{:02}:{:02}:{:02}",
        second / 3600,
        second % 3600 / 60,
        second % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short() {
        let rates = [0.0, 7.4, 999.0, 1000.0, 15_300.0, 2.5e6, 3e9].map(rate);
        assert_eq!(rates, ["0", "7", "999", "1.0k", "15k", "2.5M", "3G"]);
        assert_eq!(
            [59, 61, 3700, 90_000].map(time),
            ["59 s", "1 min", "1 h 1 min", "1 d 1 h"]
        );
        assert_eq!(clock(86_400 + 3661), "01:01:01");
    }
}
