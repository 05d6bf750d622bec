//! Searching: windows of time, pages, answers that come late or that nobody waits for.

use std::sync::atomic::{AtomicUsize, Ordering};

use vonggac_console::{
    app::{App, Effect},
    feed::{Ask, Told},
};
use vonggac_wire::{
    Time,
    proto::{
        EventRow, HistogramColumn, Indicator, SearchReply, SpreadReply, SpreadRow, UsageReply,
        WatchReply,
    },
};

use crate::duty::{self, SECOND, app, draw, now, press};

/// A page; no line of one is a line of another.
fn found(rows: usize, cursor: &str) -> SearchReply {
    static PAGES: AtomicUsize = AtomicUsize::new(0);
    let page = PAGES.fetch_add(1, Ordering::Relaxed);
    SearchReply {
        rows: (0..rows)
            .map(|at| EventRow {
                raw: format!("page {page} line {at}"),
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

/// The answer to the question that was asked last.
fn answer(app: &mut App, reply: SearchReply) {
    let number = app.questions.search.number;
    app.told(Told::Search(number, Box::new(reply)), now());
}

fn window(effects: &[Effect]) -> Option<(i64, i64)> {
    effects.iter().rev().find_map(|effect| match effect {
        Effect::Ask(Ask::Search(_, request)) => {
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
    answer(&mut app, found(2, ""));
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
    answer(&mut app, found(200, "1"));
    for page in 0..20 {
        let effects = press(&mut app, "G");
        assert!(window(&effects).is_some(), "page {page} is asked for at the end of what is there");
        let more = SearchReply { histogram: Vec::new(), total: None, ..found(200, "next") };
        answer(&mut app, more);
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
    answer(&mut app, found(3, ""));
    assert!(app.model.search.is_none());
}

#[test]
fn a_late_answer_never_takes_the_place_of_a_newer_ones() {
    let mut app = app();
    press(&mut app, "5");
    let first = app.questions.search.number;
    press(&mut app, "/root\n");
    let second = app.questions.search.number;
    assert_ne!(first, second);
    app.told(Told::Search(first, Box::new(found(3, ""))), now());
    assert!(app.model.search.is_none() && app.searching.is_some(), "still waiting for its own");
    app.told(Told::Search(second, Box::new(found(2, ""))), now());
    assert_eq!(app.model.search.as_ref().map(|reply| reply.rows.len()), Some(2));
    app.told(Told::Search(first, Box::new(found(3, ""))), now());
    assert_eq!(app.model.search.as_ref().map(|reply| reply.rows.len()), Some(2));
    // A refusal of the older one ends nothing either.
    press(&mut app, "/admin\n");
    app.told(Told::Refused(second, "too slow".into()), now());
    assert!(app.searching.is_some());
}

#[test]
fn a_first_page_without_a_count_is_no_second_page() {
    let mut app = app();
    press(&mut app, "5");
    answer(&mut app, found(200, "1"));
    press(&mut app, "/nothing like it\n");
    let bare = SearchReply { histogram: Vec::new(), total: None, ..found(0, "") };
    answer(&mut app, bare);
    assert_eq!(app.model.search.as_ref().map(|reply| reply.rows.len()), Some(0));
}

#[test]
fn an_open_event_stays_while_pages_come_and_go() {
    let mut app = app();
    press(&mut app, "5");
    answer(&mut app, found(200, "1"));
    for _ in 0..2 {
        press(&mut app, "G");
        answer(&mut app, SearchReply { histogram: Vec::new(), total: None, ..found(200, "n") });
    }
    press(&mut app, "G");
    let number = app.questions.search.number;
    press(&mut app, "\n");
    let before = draw(&app);
    assert!(before.contains("line 199"), "{before}");
    let more = SearchReply { histogram: Vec::new(), total: None, ..found(200, "n") };
    app.told(Told::Search(number, Box::new(more)), now());
    assert_eq!(draw(&app), before, "the page pushed out rows above it");
    press(&mut app, "\u{1b}");
    assert!(draw(&app).contains("600 / 1,000,000"), "{}", draw(&app));
}

fn spread_row(agency: &str) -> SpreadReply {
    let row = SpreadRow { agency: agency.into(), count: 7, ..SpreadRow::default() };
    SpreadReply { rows: vec![row] }
}

#[test]
fn rows_of_another_place_are_never_shown_after_going_back() {
    let mut app = app();
    press(&mut app, ":lan 203.0.113.7\n");
    assert!(draw(&app).contains("Searching"), "no answer yet is not 'nothing': {}", draw(&app));
    let first = app.questions.spread.number;
    app.told(Told::Spread(first, spread_row("tk-01")), now());
    assert!(draw(&app).contains("Hà Nội"));
    press(&mut app, ":lan 198.51.100.9\n");
    assert!(!draw(&app).contains("Hà Nội"));
    // A late answer to the first is not the second's.
    app.told(Told::Spread(first, spread_row("tk-01")), now());
    assert!(!draw(&app).contains("Hà Nội"), "{}", draw(&app));
    app.told(Told::Spread(app.questions.spread.number, spread_row("tk-48")), now());
    assert!(draw(&app).contains("Đà Nẵng"));
    for (back, value) in [("[", "203.0.113.7"), ("]", "198.51.100.9")] {
        let effects = press(&mut app, back);
        assert!(
            matches!(effects.as_slice(), [Effect::Ask(Ask::Spread(_, asked))] if asked.value == value)
        );
        let drawn = draw(&app);
        assert!(drawn.contains(value) && !drawn.contains("Đà Nẵng"), "{back}: {drawn}");
    }
    // Esc leads to what is below, with its own rows.
    press(&mut app, "1:lan 203.0.113.7\n:lan 198.51.100.9\n");
    app.told(Told::Spread(app.questions.spread.number, spread_row("tk-48")), now());
    let effects = press(&mut app, "\u{1b}");
    assert!(
        matches!(effects.as_slice(), [Effect::Ask(Ask::Spread(_, asked))] if asked.value == "203.0.113.7")
    );
    assert!(!draw(&app).contains("Đà Nẵng"));
}

#[test]
fn figures_of_a_month_are_never_shown_as_those_of_a_day() {
    let figure = |agency: &str, numerator| Indicator {
        id: "on-time-rate".into(),
        kind: "usage".into(),
        name_en: "On time".into(),
        agency: agency.into(),
        numerator: Some(numerator),
        denominator: Some(1_000.0),
        ..Indicator::default()
    };
    let mut app = app();
    let reply = WatchReply { indicators: vec![figure("", 111.0)], ..duty::delta(Vec::new()) };
    app.told(Told::Picture(Box::new(reply)), now());
    press(&mut app, "6");
    assert!(draw(&app).contains("111/1,000"));
    let effects = press(&mut app, "m");
    assert!(matches!(effects.as_slice(), [Effect::Ask(Ask::Usage(_, asked))] if !asked.by_agency));
    assert!(!draw(&app).contains("111/1,000"), "the month is on its way: {}", draw(&app));
    let number = app.questions.usage.number;
    app.told(Told::Usage(number, UsageReply { indicators: vec![figure("", 333.0)] }), now());
    assert!(draw(&app).contains("333/1,000"));
    // Into the agencies and back: the nation's month again, not the agencies' rows.
    press(&mut app, "\n");
    let number = app.questions.usage.number;
    app.told(Told::Usage(number, UsageReply { indicators: vec![figure("tk-48", 44.0)] }), now());
    assert!(draw(&app).contains("44/1,000"), "{}", draw(&app));
    let effects = press(&mut app, "\u{1b}");
    assert!(matches!(effects.as_slice(), [Effect::Ask(Ask::Usage(_, asked))] if !asked.by_agency));
    assert!(!draw(&app).contains("44/1,000"), "{}", draw(&app));
    press(&mut app, "m");
    assert!(draw(&app).contains("111/1,000"), "the day is in the picture");
}

#[test]
fn what_is_asked_without_a_link_is_told_and_asked_once_there_is_one() {
    let mut app = app();
    press(&mut app, ":lan 203.0.113.7\n");
    app.told(Told::Lost { error: "timeout".into(), wait: 8, attempt: 1 }, now());
    let drawn = draw(&app);
    assert!(!drawn.contains("Searching") && !drawn.contains("No event matches"), "{drawn}");
    assert!(press(&mut app, "5").is_empty(), "nothing is queued");
    assert!(app.message.contains("Not sent") && app.searching.is_none(), "{}", app.message);
    let effects = app.told(Told::Picture(Box::new(duty::delta(Vec::new()))), now());
    assert!(matches!(effects.as_slice(), [Effect::Ask(Ask::Search(..))]), "{effects:?}");
}

fn attempt(second: i64, user: &str) -> EventRow {
    EventRow {
        time_unix_nano: now().0 - second * SECOND,
        agency: "tk-48".into(),
        host: "web-1".into(),
        class: "authentication".into(),
        status: "failure".into(),
        user: user.into(),
        src_ip: "203.0.113.7".into(),
        raw: format!("sshd[{second}]: Failed password for {user} port {second}"),
        fields: [("status_detail".to_owned(), "wrong-password".to_owned())].into(),
        ..EventRow::default()
    }
}

#[test]
fn repeats_are_one_row_with_their_number_and_come_apart_by_a_key() {
    let mut app = app();
    press(&mut app, "5");
    let rows = (0..7).map(|at| attempt(at, if at == 3 { "admin" } else { "root" })).collect();
    answer(&mut app, SearchReply { rows, ..found(0, "") });
    let drawn = draw(&app);
    assert!(drawn.contains("×6") && drawn.contains("the first of 6 alike"), "{drawn}");
    assert_eq!(drawn.matches("wrong password").count(), 2, "{drawn}");
    // Enter opens the first of them; what is exported are all.
    press(&mut app, "j\n");
    assert!(draw(&app).contains("Failed password for admin"), "{}", draw(&app));
    press(&mut app, "\u{1b}:xuat\n");
    let exported = press(&mut app, "\n").into_iter().find_map(|effect| match effect {
        Effect::Write(_, text) => Some(text),
        _ => None,
    });
    assert_eq!(exported.map(|text| text.lines().count()), Some(8), "a head and seven rows");
    press(&mut app, "v");
    assert_eq!(draw(&app).matches("wrong password").count(), 7, "{}", draw(&app));
}

#[test]
fn a_long_event_and_a_long_sheet_are_read_to_their_end() {
    let mut app = app();
    press(&mut app, "5");
    let raw = format!("{}THE-END", "x".repeat(60_000));
    let row = EventRow { raw, raw_cut_bytes: 1_234, ..attempt(0, "root") };
    answer(&mut app, SearchReply { rows: vec![row], ..found(0, "") });
    press(&mut app, "\n");
    let drawn = draw(&app);
    assert!(!drawn.contains("THE-END") && drawn.contains("1–20/"), "{drawn}");
    press(&mut app, "G");
    assert!(
        draw(&app).contains("THE-END") && draw(&app).contains("status_detail"),
        "{}",
        draw(&app)
    );
    press(&mut app, "g/the-end\n");
    press(&mut app, "\u{1b}");
    // A sheet longer than its frame says how much there is.
    for host in 0..40 {
        let mut agent = vonggac_wire::proto::Agent {
            agency: "tk-48".into(),
            agent: format!("a-{host:02}"),
            host: format!("host-{host:02}"),
            ..Default::default()
        };
        agent.set_state(vonggac_wire::proto::HealthState::Silent);
        app.model.agents.insert((agent.agency.clone(), agent.agent.clone()), agent);
    }
    press(&mut app, ":visao tk-48\n");
    let drawn = draw(&app);
    assert!(drawn.contains("host-00") && !drawn.contains("host-39"), "{drawn}");
    press(&mut app, "G");
    let drawn = draw(&app);
    assert!(drawn.contains("Open incidents") && !drawn.contains("host-00"), "{drawn}");
    press(&mut app, &"j".repeat(100));
    press(&mut app, "k");
    assert_ne!(draw(&app), drawn, "one back from the end is another row");
}
