//! What an operator sees when something about the picture itself is not as it should be: late, stale, quiet, lost, frozen, flooded, empty.

use std::time::Duration;

use vonggac_console::{app::App, feed::Told, keymap::Keymap, theme::Theme, words::Lang};
use vonggac_wire::{
    Time,
    proto::{DeadLetter, DeadLettersReply, Flow, Incident, IncidentState, SearchReply, WatchReply},
};

use crate::morning::{app, draw, incident, now, picture, press, sized};

/// A console whose last reply and newest record are so many seconds old.
fn aged(lang: Lang, reply: u64, record: u64) -> App {
    let mut app = app(lang, false);
    let ago = |seconds| now().minus(Duration::from_secs(seconds));
    let whole = WatchReply {
        time_unix_nano: ago(reply).0,
        newest_event_unix_nano: ago(record).0,
        ..picture()
    };
    app.heard = vonggac_console::app::Heard::default();
    app.told(Told::Picture(Box::new(whole)), ago(reply));
    app
}

fn nothing_known(lang: Lang) -> App {
    let options = app(lang, false).options;
    App::new(options, Theme { ascii: false, mono: true, rich: false }, Keymap::load(None))
}

fn lost(mut app: App) -> App {
    app.told(Told::Lost { error: "timeout".into(), wait: 8, attempt: 6 }, now());
    app
}

fn flooded(lang: Lang) -> App {
    let mut app = app(lang, false);
    let fresh = |id, severity| Incident {
        opened_unix_nano: now().0,
        rule: format!("rule-{}", id % 4),
        ..incident(id, severity, IncidentState::New, "Dò mật khẩu", "Passwords tried", "")
    };
    let incidents = (4_000..4_040).map(|id| fresh(id, 4)).chain([fresh(4_100, 2)]).collect();
    let delta = WatchReply {
        time_unix_nano: now().0,
        newest_event_unix_nano: now().0,
        simulated: true,
        incidents,
        ..WatchReply::default()
    };
    app.told(Told::Picture(Box::new(delta)), now());
    app
}

fn frozen(lang: Lang) -> App {
    let mut app = app(lang, false);
    press(&mut app, "f");
    app.message.clear();
    let new = incident(4_200, 1, IncidentState::New, "Mới", "New", "");
    let delta = WatchReply {
        time_unix_nano: now().0,
        newest_event_unix_nano: now().0,
        incidents: vec![new],
        ..WatchReply::default()
    };
    app.told(Told::Picture(Box::new(delta)), now());
    app
}

fn observer(lang: Lang) -> App {
    let mut app = app(lang, false);
    app.options.observer = true;
    press(&mut app, "2a");
    app
}

fn empty(lang: Lang) -> App {
    let mut app = app(lang, false);
    press(&mut app, "5/user:nobody\n");
    let reply = SearchReply { rows_read: 2_100_000, done: true, ..SearchReply::default() };
    app.told(Told::Search(app.questions.search.number, Box::new(reply)), now());
    app
}

fn refused(lang: Lang) -> App {
    let mut app = app(lang, false);
    press(&mut app, "5/user:nobody\n");
    let number = app.questions.search.number;
    app.told(Told::Refused(number, "the engine does not answer".into()), now());
    app
}

fn first_start(lang: Lang) -> App {
    let mut app = nothing_known(lang);
    let mut whole = picture();
    (whole.agents, whole.incidents, whole.newest_event_unix_nano) = (vec![], vec![], 0);
    app.told(Told::Picture(Box::new(whole)), now());
    app
}

fn letters(lang: Lang) -> App {
    let mut app = app(lang, false);
    press(&mut app, "8");
    let letter = |reason: &str, agency: &str, detail: &str| DeadLetter {
        time_unix_nano: now().minus(Duration::from_secs(2_000)).0,
        reason: reason.into(),
        topic: "vonggac.security.v1".into(),
        partition: 3,
        offset: 88_121,
        bytes: 61_002,
        agency: agency.into(),
        detail: detail.into(),
        state: "open".into(),
        ..DeadLetter::default()
    };
    let settled = DeadLetter {
        state: "replayed".into(),
        settled_unix_nano: now().minus(Duration::from_secs(60)).0,
        actor: "lan".into(),
        ..letter("unknown-agency", "tk-20", "the registry has no agency tk-20")
    };
    let letters = vec![
        letter("identity", "tk-66", "the key says tk-66/web-9, the batch tk-66/web-8"),
        letter("undecodable", "", "failed to decode \u{1b}[2J at byte 88"),
        letter("brand-new-reason", "tk-19", ""),
        settled,
    ];
    app.told(Told::Dead(app.questions.dead.number, DeadLettersReply { letters }), now());
    app
}

fn one_letter(lang: Lang) -> App {
    let mut app = letters(lang);
    press(&mut app, "\n");
    app
}

/// A state's name, and how it comes.
type State = (&'static str, fn(Lang) -> App);

const STATES: [State; 15] = [
    ("late", |lang| aged(lang, 14, 14)),
    ("stale", |lang| aged(lang, 132, 134)),
    ("quiet", |lang| aged(lang, 1, 41)),
    ("quiet_stale", |lang| aged(lang, 1, 190)),
    ("lost", |lang| lost(aged(lang, 132, 134))),
    ("lost_never", |lang| lost(nothing_known(lang))),
    ("loading", nothing_known),
    ("first_start", first_start),
    ("frozen", frozen),
    ("flood", flooded),
    ("observer", observer),
    ("empty", empty),
    ("refused", refused),
    ("dead_letters", letters),
    ("dead_letter", one_letter),
];

#[test]
fn every_state_of_the_picture_looks_as_it_did() {
    for (name, state) in STATES {
        for lang in [Lang::Vi, Lang::En] {
            for (width, height) in [(80, 24), (120, 36)] {
                let text = draw(&sized(state(lang), width, height), width, height);
                insta::assert_snapshot!(format!("{name}_{}_{width}x{height}", lang.code()), text);
            }
        }
    }
}

#[test]
fn what_is_said_about_the_picture_has_room_in_eighty_columns() {
    for (name, state) in STATES.iter().filter(|(name, _)| !name.starts_with("dead")) {
        for lang in [Lang::Vi, Lang::En] {
            let mut app = state(lang);
            if let vonggac_console::app::Link::Lost { error, .. } = &mut app.link {
                *error = "tcp connect error: Connection refused (os error 111)".into();
            }
            let drawn = draw(&app, 80, 24);
            let said: Vec<&str> = drawn.lines().skip(1).take(2).collect();
            let cut = |line: &&str| line.ends_with('…') && line.chars().count() == 80;
            assert!(!said.iter().any(cut), "{name}: {said:?}");
        }
    }
}

#[test]
fn nothing_looks_fine_without_data() {
    // The centre ticks every second, and nothing has come to it for three minutes.
    let quiet = draw(&aged(Lang::En, 1, 190), 80, 24);
    assert!(quiet.contains("data STALE 3 min") && quiet.contains("no data has come to it"));
    // Nobody is said to be served by a picture of the past.
    let served = |app: &mut App| {
        for agency in &mut app.model.agencies {
            agency.unserved = None;
            agency.set_state(vonggac_wire::proto::HealthState::Fine);
            agency.set_service(vonggac_wire::proto::HealthState::Fine);
        }
        draw(app, 80, 24)
    };
    assert!(served(&mut aged(Lang::En, 2, 2)).contains("No agency has stopped serving"));
    for mut past in [aged(Lang::En, 132, 134), aged(Lang::En, 1, 190), lost(aged(Lang::En, 9, 9))] {
        let drawn = served(&mut past);
        assert!(!drawn.contains("No agency has stopped serving"), "{drawn}");
        assert!(drawn.contains("now not known"), "{drawn}");
    }
    // The collector is not fine because the program says so.
    let mut stale = aged(Lang::En, 132, 134);
    press(&mut stale, "8");
    let drawn = draw(&stale, 80, 24);
    let row = drawn.lines().find(|line| line.contains("collector")).unwrap_or_default();
    assert!(row.contains("?R"), "{drawn}");
    // A centre that no record ever came to says nothing of anybody.
    let mut never = nothing_known(Lang::En);
    let whole = WatchReply { newest_event_unix_nano: 0, ..picture() };
    never.told(Told::Picture(Box::new(whole)), now());
    assert!(draw(&never, 80, 24).contains("has come since it started"), "{}", draw(&never, 80, 24));
}

#[test]
fn a_wrong_clock_of_this_machine_makes_nothing_old_fresh() {
    let mut app = app(Lang::En, false);
    app.heard = vonggac_console::app::Heard::default();
    // This machine is an hour behind the centre, and nothing comes for two minutes.
    let local = now().minus(Duration::from_secs(3_600));
    let tick = WatchReply {
        time_unix_nano: now().0,
        newest_event_unix_nano: now().0,
        ..WatchReply::default()
    };
    app.told(Told::Picture(Box::new(tick)), local);
    let later = Time(local.0 + 120_000_000_000);
    let centre = app.heard.centre(later);
    assert!(matches!(app.fresh(centre), vonggac_console::app::Fresh::Stale(_)));
}

#[test]
fn a_retry_makes_a_link_anew_that_brings_nothing() {
    use vonggac_console::{app::Effect, feed::Ask};
    let mut stale = aged(Lang::En, 132, 134);
    assert_eq!(press(&mut stale, "r"), [Effect::Ask(Ask::Retry)]);
}

#[test]
fn a_count_of_dead_letters_without_their_list_is_not_none() {
    let mut app = app(Lang::En, false);
    press(&mut app, "8");
    let drawn = draw(&app, 80, 24);
    assert!(drawn.contains("Searching") && !drawn.contains("No dead letters"), "{drawn}");
    let number = app.questions.dead.number;
    app.told(Told::Dead(number, DeadLettersReply::default()), now());
    assert!(draw(&app, 80, 24).contains("The list has not come"), "three are counted today");
}

#[test]
fn what_ails_the_store_is_said_on_the_flow_in_eighty_columns() {
    for lang in [Lang::Vi, Lang::En] {
        for cause in [
            "away",
            "hangs",
            "slow",
            "read-only",
            "disk-full",
            "parts-many",
            "rows",
            "memory",
            "denied",
            "schema",
            "busy",
            "damaged",
            "other",
            "of-tomorrow",
        ] {
            let mut app = app(lang, false);
            let mut whole = picture();
            let flow = whole.flow.get_or_insert_default();
            flow.engine_trouble = cause.into();
            flow.engine_since_unix_nano = now().minus(Duration::from_secs(125)).0;
            app.told(Told::Picture(Box::new(whole)), now());
            press(&mut app, "8");
            let said = match cause {
                "of-tomorrow" => cause.to_owned(),
                known => app.words.get(&format!("engine-{known}")),
            };
            assert!(!said.starts_with("engine-"), "{cause} has no words");
            let drawn = draw(&app, 80, 24);
            let line = drawn.lines().find(|line| line.contains("ClickHouse")).unwrap_or_default();
            assert!(line.contains(&format!("{said}, ")) && line.contains('2'), "{cause}: {drawn}");
        }
    }
}

#[test]
fn how_far_the_store_is_behind_and_whose_event_waits_is_said_in_eighty_columns() {
    for lang in [Lang::Vi, Lang::En] {
        let drawn = |change: &dyn Fn(&mut Flow)| {
            let mut app = app(lang, false);
            let mut whole = picture();
            change(whole.flow.get_or_insert_default());
            app.told(Told::Picture(Box::new(whole)), now());
            press(&mut app, "8");
            let line = |text: &str, of: &str| {
                text.lines().find(|line| line.contains(of)).unwrap_or_default().to_owned()
            };
            let text = draw(&app, 80, 24);
            let unknown = app.words.get("flow-lag-unknown");
            (line(&text, "Kafka"), line(&text, "H49, "), unknown, text)
        };
        let (kafka, oldest, unknown, text) = drawn(&|flow| {
            flow.kafka_lag = 1_234_567;
            flow.lag_seconds = Some(7_380.0);
            flow.lag_bytes = Some(12_400_000_000);
            flow.oldest_event_seconds = Some(754.0);
            flow.oldest_agency = "H49".into();
        });
        assert!(kafka.contains("567 (2") && kafka.contains("GB)"), "{text}");
        assert!(oldest.contains("12 "), "{text}");
        assert!(!text.contains(&unknown), "{text}");
        let (kafka, ..) = drawn(&|flow| flow.lag_seconds = None);
        assert!(kafka.contains(&unknown), "silence is no health: {kafka}");
        // What came just now is on its way, and a young event is nobody's trouble.
        let (kafka, oldest, ..) = drawn(&|flow| {
            (flow.kafka_lag, flow.lag_seconds) = (7, Some(0.0));
            (flow.oldest_event_seconds, flow.oldest_agency) = (Some(2.0), "H49".into());
        });
        assert!(kafka.contains(" 7  ") && !kafka.contains('('), "{kafka}");
        assert_eq!(oldest, "");
        for odd in [f64::NAN, f64::INFINITY, -1.0, 1e300] {
            drawn(&|flow| {
                (flow.lag_seconds, flow.oldest_event_seconds) = (Some(odd), Some(odd));
            });
        }
    }
}
