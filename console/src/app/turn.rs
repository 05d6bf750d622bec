//! The loop around the core: terminal, keys, feed, clock. It draws on change alone, at most ten times a second, input first.

use std::time::Duration;

use crossterm::{
    event::{DisableBracketedPaste, EnableBracketedPaste, Event, EventStream, KeyEventKind},
    execute,
};
use futures::{FutureExt, StreamExt};
use ratatui::{buffer::Buffer, layout::Rect};
use tokio::{sync::mpsc, time::Instant};
use vonggac_wire::Time;

use super::{App, Effect, Options};
use crate::{
    client::Caller,
    feed::{self, Ask, MESSAGES_MAX, Told},
    keymap::Keymap,
    screen,
    terminal::{self, Memory},
    theme::Theme,
};

/// At most ten pictures a second.
const DRAW_INTERVAL: Duration = Duration::from_millis(100);

/// A write that takes longer is a slow link's: ages then tick less often.
const SLOW_WRITE: Duration = Duration::from_millis(200);

/// How often ages tick, on a fast and on a slow link.
const AGES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(5));

/// Keys of one read that are taken before drawing.
const KEYS_MAX: usize = 1_024;

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
    let mut theme = Theme::from_environment(options.ascii);
    if !theme.ascii {
        crossterm::terminal::enable_raw_mode()?;
        theme.ascii = !terminal::draws_symbols().await;
    }
    let (asks, asked) = mpsc::channel(MESSAGES_MAX);
    let (tell, mut told) = mpsc::channel(MESSAGES_MAX);
    let caller = Caller::new(&options.operator, options.observer);
    tokio::spawn(feed::run(options.way.clone(), caller, asked, tell));
    let slow = options.slow;
    let mut app = App::new(options, theme, Keymap::load(config.as_deref()));
    let memory = Memory::read();
    app.seen = memory.seen.unwrap_or_default();
    app.saved = memory.saved;
    app.looked = memory.looked;
    let mut terminal = ratatui::try_init()?;
    // What is pasted comes as a text, not as keys that act. A terminal that does not know this ignores it.
    execute!(std::io::stdout(), EnableBracketedPaste)?;
    let outcome =
        Turn { slow, ..Turn::default() }.run(&mut app, &mut terminal, &asks, &mut told).await;
    let paste = execute!(std::io::stdout(), DisableBracketedPaste);
    ratatui::try_restore()?;
    paste?;
    outcome
}

/// What the loop knows of the terminal.
#[derive(Default)]
struct Turn {
    slow: bool,
    /// What was drawn last.
    shown: Option<Buffer>,
}

impl Turn {
    async fn run(
        &mut self,
        app: &mut App,
        terminal: &mut ratatui::DefaultTerminal,
        asks: &mpsc::Sender<Ask>,
        told: &mut mpsc::Receiver<Told>,
    ) -> anyhow::Result<()> {
        let mut keys = EventStream::new();
        let mut aged = Instant::now();
        let mut drawn: Option<Instant> = None;
        let mut changed = true;
        loop {
            if changed && drawn.is_none_or(|drawn| drawn.elapsed() >= DRAW_INTERVAL) {
                self.draw(app, terminal)?;
                (drawn, changed) = (Some(Instant::now()), self.shown.is_none());
            }
            let ages = if self.slow { AGES.1 } else { AGES.0 };
            let wait = if changed { DRAW_INTERVAL } else { ages.saturating_sub(aged.elapsed()) };
            let effects = tokio::select! {
                biased;
                key = keys.next() => match key {
                    Some(Ok(event)) => {
                        // Input first: it is drawn at once, after all of the read.
                        drawn = None;
                        let mut effects = pressed(app, event);
                        for _ in 0..KEYS_MAX {
                            let Some(Some(Ok(event))) = keys.next().now_or_never() else { break };
                            effects.extend(pressed(app, event));
                        }
                        changed = true;
                        effects
                    }
                    Some(Err(error)) => return Err(error.into()),
                    None => return Ok(()),
                },
                message = told.recv() => match message {
                    Some(message) => {
                        // What a picture changes is drawn with the next age, unless somebody waits for it.
                        changed |= !matches!(message, Told::Picture(_)) || app.model.time.is_none();
                        app.told(message, Time::now())
                    }
                    None => return Ok(()),
                },
                () = tokio::time::sleep(wait) => {
                    if aged.elapsed() >= ages {
                        aged = Instant::now();
                        app.tick(app.heard.centre(Time::now()));
                        changed = true;
                    }
                    Vec::new()
                }
            };
            for effect in effects {
                if self.carry_out(app, terminal, asks, effect)? {
                    return Ok(());
                }
            }
        }
    }

    /// Draws what is not on the screen yet; the same picture sends no byte.
    fn draw(
        &mut self,
        app: &mut App,
        terminal: &mut ratatui::DefaultTerminal,
    ) -> anyhow::Result<()> {
        let size = terminal.size()?;
        let area = Rect::new(0, 0, size.width, size.height);
        app.size = (size.width, size.height);
        let mut fresh = Buffer::empty(area);
        screen::render(app, area, &mut fresh, app.heard.centre(Time::now()));
        if self.shown.as_ref() == Some(&fresh) {
            return Ok(());
        }
        let begun = Instant::now();
        let mut fits = false;
        terminal.draw(|frame| {
            fits = frame.area() == area;
            let buffer = frame.buffer_mut();
            if fits {
                buffer.content.clone_from(&fresh.content);
            }
        })?;
        self.slow = app.options.slow || begun.elapsed() > SLOW_WRITE;
        // Where the size changed meanwhile nothing was drawn: the next turn draws it.
        self.shown = fits.then_some(fresh);
        Ok(())
    }

    /// `true` when one leaves.
    fn carry_out(
        &mut self,
        app: &mut App,
        terminal: &mut ratatui::DefaultTerminal,
        asks: &mpsc::Sender<Ask>,
        effect: Effect,
    ) -> anyhow::Result<bool> {
        match effect {
            Effect::Quit => {
                // The next visit tells what changed since this one's last look.
                remember(app);
                return Ok(true);
            }
            Effect::Redraw => {
                terminal.clear()?;
                self.shown = None;
            }
            Effect::Ask(ask) => {
                if asks.try_send(ask).is_err() {
                    app.not_sent();
                }
            }
            Effect::Copy(text) => terminal::copy(&text)?,
            Effect::Write(name, text) => {
                if let Err(error) = terminal::write_new(&name, &text) {
                    let error = error.to_string();
                    app.message =
                        app.words.with("told-not-written", &[("file", &name), ("error", &error)]);
                }
            }
            Effect::Remember => remember(app),
        }
        Ok(false)
    }
}

fn remember(app: &mut App) {
    let memory = Memory {
        seen: Some(app.seen).filter(|seen| *seen != Time::default()),
        saved: app.saved.clone(),
        looked: app.looked.clone(),
    };
    if let Err(error) = memory.write() {
        let error = error.to_string();
        app.message = app.words.with("told-not-remembered", &[("error", &error)]);
    }
}

fn pressed(app: &mut App, event: Event) -> Vec<Effect> {
    match event {
        Event::Paste(text) => {
            let now = app.heard.centre(Time::now());
            app.paste(&text, now)
        }
        Event::Key(key) if key.kind != KeyEventKind::Release => {
            let now = app.heard.centre(Time::now());
            app.key(key, now)
        }
        _ => Vec::new(),
    }
}
