//! Events as they are stored, how far a search is, and searches that are saved at the centre.

use vonggac_console::{
    app::{App, Effect},
    feed::{Ask, Progress, Told},
};
use vonggac_wire::proto::{
    ChangeSavedSearchReply, EventRow, SavedSearch, SearchReply, TailReply,
    change_saved_search_request::Change,
};

use crate::duty::{app, draw, now, press};

fn event(seq: u64) -> EventRow {
    EventRow {
        time_unix_nano: now().0,
        agency: "tk-48".into(),
        host: "web-1".into(),
        agent: "a".into(),
        lane: "security".into(),
        class: "authentication".into(),
        user: format!("u{seq}"),
        src_ip: "203.0.113.77".into(),
        status: "failure".into(),
        raw: format!("line {seq}"),
        seq,
        ..EventRow::default()
    }
}

fn found(app: &mut App, events: &[u64]) {
    let reply = SearchReply {
        rows: events.iter().copied().map(event).collect(),
        total: Some(events.len() as u64),
        done: true,
        next_cursor: "more".into(),
        ..SearchReply::default()
    };
    app.told(Told::Search(app.questions.search.number, Box::new(reply)), now());
}

fn told(app: &mut App, events: &[u64], seen: u64, missed: u64) {
    let reply = TailReply {
        rows: events.iter().copied().map(event).collect(),
        events_seen: seen,
        events_missed: missed,
        time_unix_nano: now().0,
    };
    app.told(Told::Tail(app.questions.live.number, Box::new(reply)), now());
}

fn numbers(app: &App) -> Vec<u64> {
    app.model.search.iter().flat_map(|reply| &reply.rows).map(|row| row.seq).collect()
}

#[test]
fn events_are_followed_from_the_search_line_and_new_ones_stand_above() {
    let mut app = app();
    press(&mut app, "5/class:authentication\n");
    found(&mut app, &[3, 2, 1]);
    let effects = press(&mut app, "f");
    let [Effect::Ask(Ask::Tail(_, request))] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!(request.terms.len(), 1);
    assert_eq!(
        (request.terms[0].field.as_str(), request.terms[0].value.as_str()),
        ("class", "authentication")
    );
    // The third was found by the search already.
    told(&mut app, &[3, 4, 5], 120, 0);
    assert_eq!(numbers(&app), [5, 4, 3, 2, 1]);
    assert_eq!(app.place().cursor, 0, "on the first row one stays with what is newest");
    press(&mut app, "jj");
    told(&mut app, &[6, 7], 2, 1_234);
    let picture = draw(&app);
    assert!(picture.contains("line 3"), "the cursor stays on its event: {picture}");
    assert_eq!(app.place().cursor, 4);
    insta::assert_snapshot!("live_80x24", picture);
    assert_eq!(press(&mut app, "f"), [Effect::Ask(Ask::Cancel)]);
    assert!(app.live.is_none());
    told(&mut app, &[8], 1, 0);
    assert_eq!(numbers(&app)[0], 7, "what comes after the end is not shown");
}

#[test]
fn the_open_event_stays_open_while_others_come() {
    let mut app = app();
    press(&mut app, "5");
    found(&mut app, &[3, 2, 1]);
    press(&mut app, "fj\n");
    assert!(draw(&app).contains("line 2"));
    told(&mut app, &[4, 5], 2, 0);
    assert!(draw(&app).contains("line 2"));
    // Out of the event, and out of live.
    press(&mut app, "\u{1b}");
    assert!(app.live.is_some());
    assert_eq!(press(&mut app, "\u{1b}"), [Effect::Ask(Ask::Cancel)]);
}

#[test]
fn live_keeps_a_bounded_list_and_says_when_it_is_broken() {
    let mut app = app();
    press(&mut app, "5");
    found(&mut app, &[]);
    press(&mut app, "f");
    for part in 0..10 {
        let events: Vec<u64> = (part * 100..part * 100 + 100).collect();
        told(&mut app, &events, 100, 0);
    }
    assert_eq!((numbers(&app).len(), numbers(&app)[0]), (600, 999));
    app.told(Told::TailEnded(app.questions.live.number, "8 operators follow".into()), now());
    assert!(app.live.is_none() && app.message.contains("8 operators follow"));
    press(&mut app, "/;SELECT 1\n");
    press(&mut app, "f");
    assert!(app.live.is_none() && app.message.contains("SQL"), "{}", app.message);
}

#[test]
fn a_search_says_how_far_it_is_until_it_is_there() {
    let mut app = app();
    press(&mut app, "5");
    let number = app.questions.search.number;
    let progress = Progress { rows: 2_100_000, bytes: 88_000_000, rows_in_all: 4_200_000 };
    app.told(Told::Progress(number, progress), now());
    let picture = draw(&app);
    assert!(picture.contains("2,100,000") && picture.contains("50.0%"), "{picture}");
    app.told(Told::Progress(number - 1, Progress::default()), now());
    assert_eq!(app.progress, Some(progress), "another question's is left out");
    found(&mut app, &[1]);
    assert!(!draw(&app).contains("2,100,000"));
    app.told(Told::Progress(number, progress), now());
    assert_eq!(app.progress, None, "it has ended");
}

fn saved(name: &str, owner: &str, agency: &str, line: &str) -> SavedSearch {
    SavedSearch {
        id: name.into(),
        name: name.into(),
        owner: owner.into(),
        agency: agency.into(),
        line: line.into(),
        created_unix_nano: now().0,
        changed_unix_nano: now().0,
    }
}

fn change(effects: &[Effect]) -> Option<Change> {
    effects.iter().find_map(|effect| match effect {
        Effect::Ask(Ask::ChangeSaved(request)) => request.change.clone(),
        _ => None,
    })
}

#[test]
fn searches_are_listed_filtered_and_run() {
    let mut app = app();
    let effects = press(&mut app, ":dsluu\n");
    assert!(matches!(effects.as_slice(), [Effect::Ask(Ask::Saved(_))]), "{effects:?}");
    let all = vec![
        saved("dò mật khẩu", "Lan", "", "class:authentication status:failure -1h"),
        saved("hồ sơ lỗi", "Minh", "tk-48", "class:dossier status:failure -24h"),
    ];
    app.told(Told::Saved(app.questions.saved.number, all), now());
    insta::assert_snapshot!("saved_80x24", draw(&app));
    press(&mut app, "/ho so\n");
    let effects = press(&mut app, "\n");
    assert_eq!(app.place().filter, "agency:tk-48 class:dossier status:failure -24h");
    assert!(matches!(effects.as_slice(), [Effect::Ask(Ask::Search(..))]), "{effects:?}");
}

#[test]
fn searches_are_saved_renamed_and_deleted_by_commands() {
    let mut app = app();
    press(&mut app, "5/user:root -2h\n");
    let effects = press(&mut app, ":luu truy cập root @tk-48\n");
    let Some(Change::Save(save)) = change(&effects) else { panic!("{effects:?}") };
    assert_eq!(
        (save.name.as_str(), save.agency.as_str(), save.line.as_str()),
        ("truy cập root", "tk-48", "user:root -2h")
    );
    let asked = effects.iter().find_map(|effect| match effect {
        Effect::Ask(Ask::ChangeSaved(request)) => Some(request.clone()),
        _ => None,
    });
    let refused = ChangeSavedSearchReply { refused: "agency-unknown tk-48".into(), search: None };
    let effects = app.told(Told::SavedChanged(asked.expect("asked"), Box::new(refused)), now());
    assert!(app.message.contains("tk-48"), "{}", app.message);
    assert!(
        matches!(effects.as_slice(), [Effect::Ask(Ask::Saved(_))]),
        "the list is asked for anew"
    );
    let effects = press(&mut app, ":doiten truy cập root => root\n");
    let Some(Change::Rename(rename)) = change(&effects) else { panic!("{effects:?}") };
    assert_eq!((rename.search.as_str(), rename.name.as_str()), ("truy cập root", "root"));
    assert_eq!(change(&press(&mut app, ":xoaluu root\n")), None);
    assert!(app.message.contains("--yes"), "{}", app.message);
    let effects = press(&mut app, ":xoaluu root --yes\n");
    let Some(Change::Delete(delete)) = change(&effects) else { panic!("{effects:?}") };
    assert_eq!(delete.search, "root");
    app.options.observer = true;
    assert_eq!(change(&press(&mut app, ":xoaluu root --yes\n")), None);
}
