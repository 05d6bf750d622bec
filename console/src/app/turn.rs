//! The loop around the core: terminal, keys, feed, clock.

use std::time::Duration;

use crossterm::event::{Event, EventStream, KeyEventKind};
use futures::StreamExt;
use tokio::sync::mpsc;
use vonggac_wire::Time;

use super::{App, Effect, Options};
use crate::{
    feed::{self, Ask, MESSAGES_MAX, Told},
    keymap::Keymap,
    screen,
    theme::Theme,
};

/// At most ten pictures a second.
const DRAW_INTERVAL: Duration = Duration::from_millis(100);

/// Runs the console until the operator leaves.
///
/// # Errors
/// If the terminal cannot be used.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let config = std::env::var_os("XDG_CONFIG_HOME")
        .map(std::path::PathBuf::from)
        .or_else(|| {
            std::env::var_os("HOME").map(|home| std::path::PathBuf::from(home).join(".config"))
        })
        .map(|folder| folder.join("vonggac/keymap.toml"));
    let theme = Theme::from_environment(options.ascii);
    let (asks, asked) = mpsc::channel(MESSAGES_MAX);
    let (tell, mut told) = mpsc::channel(MESSAGES_MAX);
    tokio::spawn(feed::run(options.address.clone(), asked, tell));
    let slow = options.slow;
    let mut app = App::new(options, theme, Keymap::load(config.as_deref()));
    let mut terminal = ratatui::try_init()?;
    let outcome = turn(&mut app, &mut terminal, &asks, &mut told, slow).await;
    ratatui::try_restore()?;
    outcome
}

async fn turn(
    app: &mut App,
    terminal: &mut ratatui::DefaultTerminal,
    asks: &mpsc::Sender<Ask>,
    told: &mut mpsc::Receiver<Told>,
    slow: bool,
) -> anyhow::Result<()> {
    let mut keys = EventStream::new();
    let mut ages = tokio::time::interval(Duration::from_secs(if slow { 5 } else { 1 }));
    let mut drawn = tokio::time::Instant::now() - DRAW_INTERVAL;
    let mut changed = true;
    loop {
        if changed && drawn.elapsed() >= DRAW_INTERVAL {
            terminal.draw(|frame| screen::draw(app, frame, Time::now()))?;
            (drawn, changed) = (tokio::time::Instant::now(), false);
        }
        let effects = tokio::select! {
            biased;
            key = keys.next() => match key {
                Some(Ok(Event::Key(key))) if key.kind != KeyEventKind::Release => {
                    // Input first: it is drawn at once.
                    drawn -= DRAW_INTERVAL;
                    app.key(key, Time::now())
                }
                Some(Ok(_)) => Vec::new(),
                Some(Err(error)) => return Err(error.into()),
                None => return Ok(()),
            },
            message = told.recv() => match message {
                Some(message) => app.told(message),
                None => return Ok(()),
            },
            _ = ages.tick() => Vec::new(),
            () = tokio::time::sleep(DRAW_INTERVAL), if changed => Vec::new(),
        };
        changed = true;
        for effect in effects {
            match effect {
                Effect::Quit => return Ok(()),
                Effect::Redraw => terminal.clear()?,
                Effect::Ask(ask) => {
                    if asks.try_send(ask).is_err() {
                        app.message = app.words.get("told-not-sent");
                    }
                }
            }
        }
    }
}
