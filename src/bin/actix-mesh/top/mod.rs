//! `actix-mesh top`: a live view of a node and its mesh in the terminal.
//!
//! Owns the terminal and the keys.

mod demo;
mod source;
mod view;

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};

use crate::Failure;
use source::{Api, News};
use view::View;

/// How often keys and updates are polled.
const TURN: Duration = Duration::from_millis(100);
/// Updates that may be queued.
const NEWS: usize = 1024;
/// How long `--once` waits for its first picture.
const FIRST: Duration = Duration::from_secs(20);
/// The width and height of a picture that does not go to a terminal.
const SIZE: (u16, u16) = (120, 40);

const EXAMPLES: &str = "\
Examples:
  Eight nodes in this process, with traffic, a split and a slow peer, to see what this is:
    actix-mesh top --demo
  A node that was started with --http 127.0.0.1:8080:
    actix-mesh top
  One picture, as text:
    actix-mesh top --once > picture.txt

Exit codes:
  0  ended on request
  1  failed; standard error says why";

/// Show a node and its mesh in the terminal, as they change
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Where the node serves its page and API (`actix-mesh node --http`)
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    http: String,
    /// The token, if the API requires one
    #[arg(
        long = "http-token",
        value_name = "TOKEN",
        env = "ACTIX_MESH_HTTP_TOKEN",
        hide_env_values = true
    )]
    http_token: Option<String>,
    /// Start a demo mesh of eight nodes in this process and show it
    #[arg(long, conflicts_with = "http")]
    demo: bool,
    /// Print one picture as text, without a terminal, and exit
    #[arg(long)]
    once: bool,
}

pub(crate) fn run(args: Args) -> Result<(), Failure> {
    let api = match args.demo {
        true => Api::at(&demo::start()?, None),
        false => Api::at(&args.http, args.http_token),
    };
    let (tell, news) = sync_channel(NEWS);
    std::thread::spawn(move || api.follow(&tell));
    if args.once {
        return draw_once(&news, args.demo);
    }
    if !io::stdout().is_terminal() {
        return Err("standard output is no terminal: --once draws one picture as text".into());
    }
    // https://no-color.org
    let colours = std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
    let mut terminal = ratatui::try_init()?;
    let ended = follow(&mut terminal, &news, View::new(colours));
    ratatui::try_restore()?;
    ended
}

/// Draws until a key ends it.
fn follow(
    terminal: &mut ratatui::DefaultTerminal,
    news: &Receiver<News>,
    mut view: View,
) -> Result<(), Failure> {
    loop {
        news.try_iter().for_each(|news| view.take(news));
        terminal.draw(|frame| view.draw(frame))?;
        if !event::poll(TURN)? {
            continue;
        }
        if let Event::Key(key) = event::read()?
            && key.kind != KeyEventKind::Release
        {
            match key.code {
                KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => {
                    return Ok(());
                }
                KeyCode::Char('q') | KeyCode::Esc => return Ok(()),
                KeyCode::Char('p') => view.paused = !view.paused,
                KeyCode::Down => view.scroll(1),
                KeyCode::Up => view.scroll(-1),
                KeyCode::PageDown => view.scroll(10),
                KeyCode::PageUp => view.scroll(-10),
                _ => {}
            }
        }
    }
}

/// `settled`: whether to wait until there is something to show.
fn draw_once(news: &Receiver<News>, settled: bool) -> Result<(), Failure> {
    let mut view = View::new(false);
    let began = Instant::now();
    let until = if settled { FIRST / 2 } else { Duration::ZERO };
    while !view.has_news() || began.elapsed() < until {
        match news.recv_timeout(FIRST.saturating_sub(began.elapsed())) {
            Ok(News::Lost(why)) if !settled => return Err(why.into()),
            Ok(news) => view.take(news),
            Err(RecvTimeoutError::Timeout) => return Err("the node told nothing".into()),
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    let mut terminal = Terminal::new(TestBackend::new(SIZE.0, SIZE.1))?;
    terminal.draw(|frame| view.draw(frame))?;
    let buffer = terminal.backend().buffer();
    let mut out = io::stdout().lock();
    for row in buffer.content().chunks(usize::from(SIZE.0)) {
        let line: String = row.iter().map(|cell| cell.symbol()).collect();
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}
