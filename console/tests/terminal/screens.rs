//! Every screen at four sizes in both languages, from one simulated morning with a fixed clock.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use proptest::prelude::*;
use unicode_width::UnicodeWidthStr;
use vonggac_console::{
    app::{App, Effect, Link},
    feed::Ask,
    keymap::Keymap,
    theme::Theme,
    words::Lang,
};

use crate::morning::{SCREENS, app, arrived, draw, now, press, sized};

#[test]
fn every_screen_looks_as_it_did() {
    for (name, keys) in SCREENS {
        for lang in [Lang::Vi, Lang::En] {
            for (width, height) in [(80, 24), (120, 36), (150, 45), (200, 60)] {
                let text = draw(&sized(arrived(lang, false, keys), width, height), width, height);
                insta::assert_snapshot!(format!("{name}_{}_{width}x{height}", lang.code()), text);
            }
        }
    }
}

#[test]
fn the_board_swaps_tiles_for_tables_and_back() {
    let mut narrow = app(Lang::Vi, false);
    press(&mut narrow, "v");
    insta::assert_snapshot!("board_table_80x24", draw(&narrow, 80, 24));
    let mut wide = app(Lang::Vi, true);
    insta::assert_snapshot!("board_ascii_150x45", draw(&wide, 150, 45));
    press(&mut wide, "v");
    assert!(draw(&wide, 150, 45).contains("#3107"));
}

#[test]
fn the_board_says_how_sure_it_is() {
    let mut lost = app(Lang::Vi, false);
    lost.link = Link::Lost { error: "hết giờ".into(), wait: 8, attempt: 6 };
    insta::assert_snapshot!("board_lost", draw(&lost, 80, 24));
    let mut stale = app(Lang::Vi, false);
    stale.heard.at = Some(now().minus(std::time::Duration::from_secs(61)));
    assert!(draw(&stale, 80, 24).contains("CŨ"));
    stale.heard.at = Some(now().minus(std::time::Duration::from_secs(11)));
    assert!(draw(&stale, 80, 24).contains("chậm"));
    let mut frozen = app(Lang::En, false);
    press(&mut frozen, "f");
    assert!(draw(&frozen, 80, 24).contains("FROZEN 09:41"));
    let loading = App::new(
        app(Lang::Vi, false).options,
        Theme { ascii: false, mono: true, rich: false },
        Keymap::load(None),
    );
    assert!(draw(&loading, 80, 24).contains("Đang nối tới trung tâm"));
    assert!(draw(&app(Lang::Vi, false), 40, 10).contains("Cần 80×24, đang 40×10."));
    insta::assert_snapshot!("board_ascii", draw(&app(Lang::Vi, true), 80, 24));
}

#[test]
fn a_search_line_is_typed_in_vietnamese_and_erased_letter_by_letter() {
    let mut app = app(Lang::Vi, false);
    press(&mut app, "5/a\u{323}\u{302}b");
    app.key(KeyEvent::new(KeyCode::Backspace, KeyModifiers::NONE), now());
    assert_eq!(app.input.as_ref().map(|input| input.text.as_str()), Some("ậ"));
}

#[test]
fn actions_are_refused_while_the_link_is_lost() {
    let mut app = app(Lang::Vi, false);
    app.link = Link::Lost { error: String::new(), wait: 1, attempt: 1 };
    press(&mut app, "a");
    assert_eq!(app.message, "Chưa gửi: mất nối.");
}

/// Which incidents commands were sent for.
fn acted(effects: &[Effect]) -> Vec<u64> {
    let command = |effect: &Effect| match effect {
        Effect::Ask(Ask::Act(command)) => Some(command.incident),
        _ => None,
    };
    effects.iter().filter_map(command).collect()
}

#[test]
fn marked_incidents_are_acted_on_together_after_their_number_is_named() {
    let mut app = app(Lang::En, false);
    press(&mut app, "2  ");
    assert_eq!((app.marks.len(), app.message.as_str()), (2, "2 marked"));
    assert!(draw(&app, 80, 24).contains("◉"));
    press(&mut app, "a");
    assert!(draw(&app, 80, 24).contains("acknowledge: 2 incidents"));
    let effects = app.key(KeyEvent::new(KeyCode::Enter, KeyModifiers::NONE), now());
    assert_eq!(acted(&effects).len(), 2);
    assert!(app.marks.is_empty() && app.message.contains("2 incidents"));
    press(&mut app, "**");
    assert!(app.marks.is_empty(), "all, then none");
}

#[test]
fn a_verdict_wants_its_letter_and_trouble_is_found_by_a_key() {
    let mut app = app(Lang::En, false);
    press(&mut app, "2Vx\n");
    assert!(draw(&app, 80, 24).contains("f t b d i u"), "the form stays and says what it wants");
    press(&mut app, "\u{7f}t");
    let effects = app.key(KeyEvent::new(KeyCode::Enter, KeyModifiers::NONE), now());
    assert_eq!(acted(&effects), [3_107]);
    press(&mut app, "ge");
    assert_eq!(app.place().cursor, 1, "the next one that nobody has");
    press(&mut app, ".");
    assert!(draw(&app, 80, 24).contains("Space"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn no_line_is_wider_than_the_screen_and_no_control_character_reaches_it(
        which in 0_usize..SCREENS.len(), width in 80_u16..210, height in 24_u16..70, ascii in any::<bool>(), more in "[jkGgseEu.* \t]{0,8}"
    ) {
        let mut app = arrived(if ascii { Lang::En } else { Lang::Vi }, ascii, SCREENS[which].1);
        press(&mut app, &more);
        for line in draw(&app, width, height).lines() {
            prop_assert!(line.width() <= usize::from(width), "{line}");
            prop_assert!(!line.chars().any(char::is_control), "{line:?}");
        }
    }
}
