//! Terminals as they are: too small, resized under a dialog, without colours, keys held down, long texts pasted.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::{Terminal, backend::TestBackend, style::Color};
use vonggac_console::{
    app::{Effect, Overlay},
    screen,
    theme::Theme,
    words::Lang,
};

use crate::morning::{SCREENS, app, arrived, draw, now, press, sized};

#[test]
fn in_a_small_terminal_a_sentence_says_so_and_no_key_acts_unseen() {
    let mut small = sized(app(Lang::Vi, false), 60, 20);
    let drawn = draw(&small, 60, 20);
    assert!(drawn.contains("Cần 80×24, đang 60×20."), "{drawn}");
    assert!(drawn.contains("#3107") && drawn.contains("■N 1"), "still a watch: {drawn}");
    assert!(press(&mut small, "2a:q\n").is_empty() && small.places.len() == 1);
    let leave = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert_eq!(small.key(leave, now()), [Effect::Quit]);
}

#[test]
fn a_dialog_outlives_every_size() {
    for way in ["2A", "2.", "?", ":coquan", "c", "\nb"] {
        let mut open = sized(arrived(Lang::En, false, way), 120, 36);
        let before = draw(&open, 120, 36);
        for (width, height) in [(80, 24), (60, 20), (1, 1), (2, 40), (200, 2), (80, 24), (200, 60)]
        {
            open = sized(open, width, height);
            draw(&open, width, height);
            press(&mut open, if width < 80 || height < 24 { "x\n" } else { "" });
        }
        open = sized(open, 120, 36);
        assert_eq!(draw(&open, 120, 36), before, "{way:?}");
    }
}

#[test]
fn without_colours_nothing_is_lost() {
    for (name, keys) in SCREENS {
        let colours = |theme: Theme| {
            let mut app = arrived(Lang::Vi, false, keys);
            app.theme = theme;
            let mut terminal = Terminal::new(TestBackend::new(80, 24)).expect("a terminal");
            terminal.draw(|frame| screen::draw(&app, frame, now())).expect("drawn");
            terminal.backend().buffer().clone()
        };
        let plain = colours(Theme { ascii: false, mono: true, rich: false });
        let few = colours(Theme { ascii: false, mono: false, rich: false });
        let many = colours(Theme { ascii: false, mono: false, rich: true });
        let text = |buffer: &ratatui::buffer::Buffer| -> String {
            buffer.content.iter().map(ratatui::buffer::Cell::symbol).collect()
        };
        assert_eq!((text(&plain), text(&few)), (text(&few), text(&many)), "{name}");
        assert!(
            plain.content.iter().all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset)
        );
        let indexed =
            |cell: &ratatui::buffer::Cell| matches!(cell.fg, Color::Indexed(_) | Color::Rgb(..));
        assert!(!few.content.iter().any(indexed), "{name}: sixteen colours are enough");
    }
}

#[test]
fn ascii_means_ascii_but_for_letters() {
    for (name, keys) in SCREENS {
        let drawn = draw(&arrived(Lang::En, true, keys), 80, 24);
        let odd: String = drawn.chars().filter(|c| !c.is_ascii() && !c.is_alphabetic()).collect();
        assert!(odd.is_empty(), "{name}: {odd}\n{drawn}");
    }
}

#[test]
fn a_long_paste_fills_a_field_and_no_more_and_is_never_keys() {
    let mut app = app(Lang::En, false);
    // Outside a field it is left out: none of its letters acts.
    assert!(app.paste("2aq\n:q\n", now()).is_empty());
    assert!(app.places.len() == 1 && app.overlay.is_none() && app.message.contains("pasted"));
    press(&mut app, "2/");
    app.paste(&"number 2\n\t".repeat(100_000), now());
    let text = app.input.as_ref().map(|input| input.text.clone()).unwrap_or_default();
    assert_eq!(text.chars().count(), 500);
    assert!(!text.contains(['\n', '\t']));
    press(&mut app, "\u{1b}A");
    app.paste("Minh\r\n", now());
    let Some(Overlay::Form(form)) = &app.overlay else { panic!("the form stays open") };
    assert_eq!(form.fields[0].text, "Minh");
    press(&mut app, "\u{1b}:");
    app.paste("coquan da nang", now());
    press(&mut app, "\n");
    assert_eq!(app.place().screen, screen::Screen::Agency("tk-48".into()), "pasted, then run");
}

#[test]
fn a_key_that_is_held_down_stops_at_the_end() {
    let mut app = sized(app(Lang::En, false), 80, 24);
    press(&mut app, "2");
    press(&mut app, &"j".repeat(10_000));
    let last = draw(&app, 80, 24);
    press(&mut app, "j");
    assert_eq!(draw(&app, 80, 24), last);
    press(&mut app, &"k".repeat(10_000));
    assert_eq!(app.places.last().map(|place| place.cursor), Some(0));
    press(&mut app, &"\t".repeat(999));
    press(&mut app, &"v".repeat(1_000));
    press(&mut app, &"[".repeat(1_000));
    press(&mut app, &"\u{1b}".repeat(3));
    assert!(!draw(&app, 80, 24).is_empty());
}
