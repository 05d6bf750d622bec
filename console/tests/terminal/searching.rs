//! Searching: windows of time, pages, answers that come late or that nobody waits for.

use vonggac_console::{
    app::Effect,
    feed::{Ask, Told},
};
use vonggac_wire::{
    Time,
    proto::{EventRow, HistogramColumn, SearchReply},
};

use crate::duty::{SECOND, app, draw, now, press};

fn found(rows: usize, cursor: &str) -> SearchReply {
    SearchReply {
        rows: (0..rows)
            .map(|at| EventRow {
                raw: format!("line {at}"),
                time_unix_nano: now().0,
                ..EventRow::default()
            })
            .collect(),
        histogram: vec![HistogramColumn { time_unix_nano: 0, count: 1 }],
        total: Some(1_000_000),
        done: true,
        next_cursor: cursor.into(),
        ..SearchReply::default()
    }
}

fn window(effects: &[Effect]) -> Option<(i64, i64)> {
    effects.iter().rev().find_map(|effect| match effect {
        Effect::Ask(Ask::Search(request)) => {
            Some((request.since_unix_nano / SECOND, request.until_unix_nano / SECOND))
        }
        _ => None,
    })
}

#[test]
fn time_keys_move_and_halve_the_window_of_a_search() {
    let mut app = app();
    let (since, until) = window(&press(&mut app, "5")).expect("a search");
    assert_eq!(until - since, 3_600);
    app.told(Told::Search(Box::new(found(2, ""))));
    assert_eq!(window(&press(&mut app, "O")), Some((since - 3_600, until - 3_600)));
    assert_eq!(window(&press(&mut app, "D")), Some((since - 90_000, until - 90_000)));
    assert_eq!(window(&press(&mut app, "d")), Some((since - 3_600, until - 3_600)));
    assert_eq!(window(&press(&mut app, "o")), Some((since, until)));
    let (from, to) = window(&press(&mut app, "z")).expect("a search");
    assert_eq!(to - from, 1_800);
    let (from, to) = window(&press(&mut app, "Z")).expect("a search");
    assert_eq!(to - from, 3_600);
    let (from, _) = window(&press(&mut app, "0")).expect("a search");
    assert_eq!(Time(from * SECOND).to_string(), "2026-11-23T17:00:00Z", "midnight of the nation");
    press(&mut app, "\u{1b}\u{1b}1O");
    assert!(app.message.contains("events screen"), "elsewhere they say so: {}", app.message);
}

#[test]
fn a_million_events_cost_one_window() {
    let mut app = app();
    press(&mut app, "5");
    app.told(Told::Search(Box::new(found(200, "1"))));
    for page in 0..20 {
        let effects = press(&mut app, "G");
        assert!(window(&effects).is_some(), "page {page} is asked for at the end of what is there");
        let more = SearchReply { histogram: Vec::new(), total: None, ..found(200, "next") };
        app.told(Told::Search(Box::new(more)));
        let rows = app.model.search.as_ref().map_or(0, |reply| reply.rows.len());
        assert!(rows <= 600, "{rows}");
    }
    assert_eq!(app.model.rows_before, 3_600);
    press(&mut app, "G");
    assert!(draw(&app).contains("4,200 / 1,000,000"), "{}", draw(&app));
}

#[test]
fn a_search_is_cancelled_and_an_answer_that_nobody_waits_for_is_left_out() {
    let mut app = app();
    press(&mut app, "5");
    let effects = press(&mut app, "\u{1b}");
    assert_eq!(effects, [Effect::Ask(Ask::Cancel)]);
    app.told(Told::Search(Box::new(found(3, ""))));
    assert!(app.model.search.is_none());
}
