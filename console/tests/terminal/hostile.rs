//! Text from outside on every screen and in every export: escapes, turned lines, storms of marks, wide and joined pictures, formulas,
//! links, a megabyte. Nothing of it may move a cell, the frame or a file's columns.

use proptest::prelude::*;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};
use vonggac_console::{
    app::{App, Effect},
    feed::Told,
    words::Lang,
};
use vonggac_wire::limits::FIELD_BYTES_MAX;
use vonggac_wire::proto::{
    DeadLetter, DeadLettersReply, Escalation, EventRow, GapRow, IncidentDetail, Indicator,
    LegalClock, Notification, SearchReply, ServiceClock, SpreadReply, SpreadRow, SqlReply,
    Transition, UsageReply, WatchReply,
};

use crate::morning::{app, cells_of, now, picture, press, sized};

/// Pieces that hostile lines are made of.
const PIECES: [&str; 34] = [
    "root",
    " ",
    "\u{1b}[2J\u{1b}[H",
    "\u{1b}]0;title\u{7}",
    "\u{9b}31m",
    "\r\n",
    "\t",
    "\u{0}\u{8}\u{7f}",
    "\u{202e}drow\u{202c}",
    "\u{2066}x\u{2069}\u{61c}",
    "a\u{301}\u{300}\u{303}\u{309}\u{323}\u{301}\u{300}\u{303}\u{309}\u{323}",
    "\u{301}\u{301}",
    "Đa\u{300} Na\u{306}\u{303}ng",
    "\u{200b}\u{200d}\u{feff}\u{ad}",
    "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}",
    "\u{1f1fb}\u{1f1f3}",
    "\u{1f44d}\u{1f3fd}",
    "\u{2764}\u{fe0f}1\u{fe0f}\u{20e3}",
    "\u{56fd}\u{5bb6}\u{3164}",
    "\u{5e9}\u{5dc}\u{5d5}\u{5dd}\u{645}\u{631}",
    "\u{1100}\u{1161}\u{11a8}",
    "\u{fdfd}\u{e000}\u{e0041}\u{ffff}",
    "=cmd|' /C calc'!A0",
    "+1-1@SUM(A1)",
    ";=HYPERLINK(\"http://x.example\")",
    "; \"=1+1",
    "\",=1+1,\"",
    "|---|",
    "`code` *bold* _it_ ~no~",
    "<script>alert(1)</script>&lt;",
    "[here](http://x.example) ![p](https://x.example/p)",
    "www.x.example mailto:a@x.example",
    "{ $id } \\u{41} \\x41 \\",
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
];

fn hostile() -> impl Strategy<Value = String> {
    let pieces = proptest::collection::vec(proptest::sample::select(&PIECES[..]), 1..6);
    prop_oneof![
        4 => pieces.prop_map(|pieces| pieces.concat()),
        1 => "\\PC{0,40}",
        1 => any::<String>(),
    ]
}

fn event(text: &str) -> EventRow {
    let mut row =
        EventRow { time_unix_nano: now().0, class: "authentication".into(), ..EventRow::default() };
    // The line is as long as it likes, a field as long as the contract allows.
    (row.raw, row.message) = (text.to_owned(), text.to_owned());
    let text: &str = text.get(..FIELD_BYTES_MAX).unwrap_or(text);
    for field in [
        &mut row.agency,
        &mut row.host,
        &mut row.system,
        &mut row.user,
        &mut row.src_ip,
        &mut row.status,
        &mut row.source,
        &mut row.format,
        &mut row.time_doubt,
        &mut row.agent,
        &mut row.lane,
    ] {
        text.clone_into(field);
    }
    row.fields.insert(text.to_owned(), text.to_owned());
    row.fields.insert("http_request.url".into(), text.to_owned());
    row
}

/// The morning with this text wherever somebody outside can put one.
fn poisoned(text: &str) -> WatchReply {
    let mut whole = picture();
    let put =
        |fields: &mut [&mut String]| fields.iter_mut().for_each(|field| text.clone_into(field));
    for agency in &mut whole.agencies {
        put(&mut [
            &mut agency.name_vi,
            &mut agency.name_en,
            &mut agency.short_vi,
            &mut agency.short_en,
            &mut agency.excluded_reason,
        ]);
    }
    for row in &mut whole.systems {
        put(&mut [&mut row.name_vi, &mut row.name_en]);
    }
    for row in &mut whole.agents {
        put(&mut [&mut row.host, &mut row.version, &mut row.fullest_mountpoint]);
    }
    for row in &mut whole.checks {
        put(&mut [&mut row.host, &mut row.name, &mut row.kind, &mut row.target, &mut row.detail]);
    }
    for row in &mut whole.incidents {
        put(&mut [
            &mut row.title_vi,
            &mut row.title_en,
            &mut row.owner,
            &mut row.task,
            &mut row.result,
            &mut row.last_note,
            &mut row.hidden_reason,
            &mut row.hidden_by,
            &mut row.responsible_agency,
            &mut row.rule,
        ]);
        row.hosts = vec![text.to_owned(); 2];
        let clock =
            ServiceClock { kind: text.into(), doubt: text.into(), ..ServiceClock::default() };
        row.clocks = vec![clock];
        row.escalations = vec![Escalation { role: text.into(), ..Escalation::default() }];
        row.agencies.push(text.to_owned());
        if let Some(entity) = &mut row.entity {
            text.clone_into(&mut entity.value);
        }
    }
    for row in &mut whole.indicators {
        put(&mut [&mut row.name_vi, &mut row.name_en, &mut row.verdict, &mut row.unit]);
    }
    if let Some(flow) = &mut whole.flow {
        let mut gap = GapRow { first_seq: 1, last_seq: 7, ..GapRow::default() };
        put(&mut [&mut gap.agency, &mut gap.host, &mut gap.lane, &mut gap.reason]);
        flow.gaps.push(gap);
        put(&mut [&mut flow.oldest_agency]);
        flow.oldest_event_seconds = Some(900.0);
    }
    whole
}

fn letter(text: &str) -> DeadLetter {
    DeadLetter {
        time_unix_nano: now().0,
        reason: text.into(),
        topic: text.into(),
        agency: text.into(),
        detail: text.into(),
        ..DeadLetter::default()
    }
}

fn detail(app: &App, id: u64, text: &str) -> IncidentDetail {
    let step = |version, action: &str| Transition {
        incident: id,
        version,
        time_unix_nano: now().0,
        actor: text.into(),
        action: action.into(),
        text: text.into(),
        ..Transition::default()
    };
    IncidentDetail {
        incident: app.model.incidents.get(&id).cloned(),
        timeline: vec![step(1, "opened"), step(2, text), step(3, "judged")],
        evidence: vec![event(text), event(text)],
        runbook_vi: vec![text.into()],
        runbook_en: vec![text.into()],
        notifications: vec![Notification {
            channel: text.into(),
            state: text.into(),
            ..Notification::default()
        }],
        clocks: vec![LegalClock {
            name_vi: text.into(),
            name_en: text.into(),
            citation: text.into(),
            confidence: text.into(),
            law_vi: text.into(),
            law_en: text.into(),
            article: text.into(),
            kind: text.into(),
            state: text.into(),
            ..LegalClock::default()
        }],
        recipients: vec![text.into()],
    }
}

/// Answers whatever this screen asked for.
fn answer(app: &mut App, text: &str) {
    let questions = app.questions.clone();
    let search = SearchReply {
        rows: vec![event(text), event("plain"), event(text)],
        done: true,
        ..SearchReply::default()
    };
    app.told(Told::Search(questions.search.number, Box::new(search)), now());
    let json = serde_json::json!([text, 7, null]).to_string();
    let sql = SqlReply {
        columns: vec![text.into(), "n".into(), "=SUM(A1)".into()],
        rows_json: vec![json],
        ..SqlReply::default()
    };
    app.told(Told::Sql(questions.search.number, Box::new(sql)), now());
    let row = SpreadRow { agency: text.into(), count: 3, ..SpreadRow::default() };
    app.told(Told::Spread(questions.spread.number, SpreadReply { rows: vec![row] }), now());
    let figure = |agency: &str| Indicator {
        id: "online-filing-rate".into(),
        kind: "usage".into(),
        agency: agency.into(),
        name_vi: text.into(),
        name_en: text.into(),
        verdict: text.into(),
        numerator: Some(3.0),
        denominator: Some(4.0),
        ..Indicator::default()
    };
    let figures = UsageReply { indicators: vec![figure("tk-48"), figure(""), figure(text)] };
    app.told(Told::Usage(questions.usage.number, figures), now());
    let letters = DeadLettersReply { letters: vec![letter(text), letter("identity")] };
    app.told(Told::Dead(questions.dead.number, letters), now());
    for id in [3_107, 3_109] {
        let detail = detail(app, id, text);
        app.told(Told::Detail(Box::new(detail)), now());
    }
}

/// Keys that lead to every screen and everything that lies over one; `~` is where what was asked for comes.
const WAYS: [&str; 32] = [
    "",
    "v",
    "F",
    "c",
    "\t",
    "2",
    "2v",
    "2.",
    "2A",
    "2M",
    "2p",
    "\n~",
    "\n~b",
    "\n~p",
    "\n~\n",
    "\n~\tF",
    "3",
    "\t\n",
    "\t\nu~",
    "4",
    "4\n",
    "4\n\n",
    "5~",
    "5~i",
    "5~\n",
    "5/;select 1\n~",
    "6~",
    "6m~",
    "6\n~",
    "2x~",
    "8~",
    "8~\n",
];

fn arrive(lang: Lang, ascii: bool, way: &str, text: &str, size: (u16, u16)) -> App {
    let mut app = sized(app(lang, ascii), size.0, size.1);
    app.told(Told::Picture(Box::new(poisoned(text))), now());
    for part in way.split_inclusive('~') {
        press(&mut app, part.trim_end_matches('~'));
        if part.ends_with('~') {
            answer(&mut app, text);
        }
    }
    app
}

/// No cell holds more than one letter with its marks, nothing a terminal could obey or draw wider than counted.
fn check_cells(app: &App, size: (u16, u16)) -> Result<(), TestCaseError> {
    for row in cells_of(app, size.0, size.1) {
        let mut columns = 0;
        let mut skip = 0;
        for symbol in &row {
            if skip > 0 {
                skip -= 1;
                continue;
            }
            let wide = symbol.width();
            prop_assert!((1..=2).contains(&wide), "{symbol:?}");
            let each: usize = symbol.chars().filter_map(UnicodeWidthChar::width).sum();
            prop_assert_eq!(
                each,
                wide,
                "terminals that count by letters draw {:?} otherwise",
                symbol
            );
            prop_assert!(symbol.chars().count() <= 4, "{symbol:?}");
            prop_assert!(
                matches!(
                    vonggac_console::sanitise::sanitise(symbol),
                    std::borrow::Cow::Borrowed(_)
                ),
                "{symbol:?}"
            );
            columns += wide;
            skip = wide - 1;
        }
        prop_assert_eq!(columns, usize::from(size.0));
    }
    Ok(())
}

fn exported(app: &mut App, form: &str) -> Option<String> {
    press(app, &format!(":xuat\n{}{form}\n", "\u{7f}".repeat(8))).into_iter().find_map(|effect| {
        match effect {
            Effect::Write(_, text) => Some(text),
            _ => None,
        }
    })
}

/// The bars of a Markdown row that end a cell.
fn bars(line: &str) -> usize {
    line.replace("\\\\", "").replace("\\|", "").matches('|').count()
}

fn check_exports(app: &mut App) -> Result<(), TestCaseError> {
    let harmless = |text: &str| {
        text.lines().all(|line| {
            matches!(vonggac_console::sanitise::sanitise(line), std::borrow::Cow::Borrowed(_))
        })
    };
    if let Some(text) = exported(app, "csv") {
        prop_assert!(harmless(&text), "{text:?}");
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
        let mut columns = None;
        for record in reader.records() {
            let record = record.expect("as many cells as columns");
            prop_assert_eq!(*columns.get_or_insert(record.len()), record.len());
            // As a spreadsheet reads it whose separator is a comma, and one whose is a semicolon.
            for part in record.iter().flat_map(|cell| cell.split(';')) {
                let bare = part.trim_start_matches(|c: char| c.is_whitespace() || c == '"');
                let formula = bare.starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠']);
                prop_assert!(!formula || bare.parse::<f64>().is_ok(), "{part:?}");
            }
        }
    }
    if let Some(text) = exported(app, "json") {
        prop_assert!(harmless(&text), "{text:?}");
        let parsed: Result<Vec<serde_json::Value>, _> = serde_json::from_str(&text);
        prop_assert!(parsed.is_ok_and(|rows| !rows.is_empty()));
    }
    if let Some(text) = exported(app, "md") {
        prop_assert!(harmless(&text), "{text:?}");
        let head = text.lines().next().map_or(0, bars);
        for line in text.lines() {
            prop_assert_eq!(bars(line), head, "{}", line);
            prop_assert!(!line.contains('<') && !line.contains("://"), "{line}");
            let marks =
                line.replace("\\\\", "").replace("\\`", "").replace("\\[", "").replace("\\]", "");
            prop_assert!(!marks.contains(['`', '[', ']']), "{line}");
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn hostile_text_moves_no_cell_on_any_screen(
        text in hostile(), way in 0..WAYS.len(), ascii in any::<bool>(), vi in any::<bool>(),
        size in prop_oneof![Just((80_u16, 24_u16)), Just((120, 36)), Just((150, 45)), Just((200, 60)), (1_u16..90, 1_u16..30)],
    ) {
        let lang = if vi { Lang::Vi } else { Lang::En };
        let app = arrive(lang, ascii, WAYS[way], &text, size);
        check_cells(&app, size)?;
    }

    #[test]
    fn hostile_text_moves_no_column_of_any_export(text in hostile(), way in 0..WAYS.len()) {
        let mut app = arrive(Lang::Vi, false, WAYS[way], &text, (80, 24));
        app.overlay = None;
        check_exports(&mut app)?;
    }

    #[test]
    fn hostile_text_that_is_typed_or_pasted_moves_no_cell(text in hostile(), way in prop_oneof![Just("2/"), Just("5/"), Just("2A"), Just(":"), Just(":suco ")]) {
        let mut app = arrive(Lang::En, false, way, "plain", (80, 24));
        app.paste(&text, now());
        check_cells(&app, (80, 24))?;
    }
}

#[test]
fn every_piece_is_harmless_on_every_screen() {
    for way in WAYS {
        for pieces in PIECES.chunks(5) {
            let text = pieces.concat();
            let app = arrive(Lang::Vi, false, way, &text, (80, 24));
            check_cells(&app, (80, 24)).unwrap_or_else(|error| panic!("{way:?} {text:?}: {error}"));
        }
    }
}

#[test]
fn a_megabyte_in_every_field_neither_stops_a_screen_nor_fills_one() {
    for piece in ["x", "\u{1b}a\u{301}", "\u{56fd} "] {
        let text = piece.repeat(1_000_000 / piece.len());
        for way in WAYS.iter().filter(|way| way.contains('~')) {
            // The picture has a title of that length, the answers have it everywhere.
            let mut app = arrive(Lang::En, false, "", "plain", (80, 24));
            if let Some(first) = app.model.incidents.get_mut(&3_107) {
                first.title_en.clone_from(&text);
            }
            for part in way.split_inclusive('~') {
                press(&mut app, part.trim_end_matches('~'));
                if part.ends_with('~') {
                    answer(&mut app, &text);
                }
            }
            check_cells(&app, (80, 24)).unwrap_or_else(|error| panic!("{way:?}: {error}"));
        }
    }
}
