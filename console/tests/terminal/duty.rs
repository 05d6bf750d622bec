//! A small console on duty: three incidents, two agencies, English.

use ratatui::{Terminal, backend::TestBackend};
use vonggac_console::{
    app::{App, Effect, Options},
    feed::{Ask, Told},
    keymap::Keymap,
    screen,
    theme::Theme,
    words::Lang,
};
use vonggac_wire::{
    Time,
    proto::{
        Agency, HealthState as H, Incident, IncidentState, WatchReply, command::Action as Wire,
    },
};

use crate::keyboard;

pub(crate) const SECOND: i64 = 1_000_000_000;

pub(crate) fn now() -> Time {
    "2026-11-24T02:41:07Z".parse().expect("a time")
}

pub(crate) fn incident(id: u64, severity: u32, state: IncidentState, owner: &str) -> Incident {
    Incident {
        id,
        version: 3,
        state: state.into(),
        severity,
        rule: format!("rule-{}", id % 6),
        title_vi: format!("Sự cố số {id}"),
        title_en: format!("Incident number {id}"),
        agencies: vec!["tk-48".into(), "tk-01".into()],
        owner: owner.into(),
        opened_unix_nano: now().0 - 3_600 * SECOND,
        updated_unix_nano: now().0 - 60 * SECOND,
        acknowledged_unix_nano: (!owner.is_empty()).then_some(now().0 - 15 * SECOND),
        first_time_unix_nano: now().0 - 3_600 * SECOND,
        ..Incident::default()
    }
}

pub(crate) fn delta(incidents: Vec<Incident>) -> WatchReply {
    WatchReply {
        time_unix_nano: now().0,
        newest_event_unix_nano: now().0,
        incidents,
        ..WatchReply::default()
    }
}

pub(crate) fn app_with(options: impl FnOnce(&mut Options)) -> App {
    let mut asked = Options {
        way: vonggac_console::client::Way::plain("127.0.0.1:7443"),
        lang: Lang::En,
        operator: "Lan".into(),
        ascii: false,
        slow: false,
        wall: false,
        observer: false,
    };
    options(&mut asked);
    let theme = Theme { ascii: false, mono: true, rich: false };
    let mut app = App::new(asked, theme, Keymap::load(None));
    let agency = |code: &str, name: &str, state: H| {
        let mut agency = Agency {
            code: code.into(),
            name_vi: name.into(),
            name_en: name.into(),
            short_vi: name.into(),
            short_en: name.into(),
            kind: "province".into(),
            hosts_enrolled: 2,
            hosts_heard: 2,
            ..Agency::default()
        };
        agency.set_state(state);
        agency
    };
    let mut whole = delta(vec![
        incident(1, 1, IncidentState::InProgress, "Lan"),
        incident(2, 2, IncidentState::New, ""),
        incident(3, 3, IncidentState::New, ""),
    ]);
    whole.snapshot = true;
    whole.agencies = vec![agency("tk-01", "Hà Nội", H::Fine), agency("tk-48", "Đà Nẵng", H::Down)];
    whole.agents = vec![vonggac_wire::proto::Agent { agent: "a".into(), ..Default::default() }];
    app.told(Told::Picture(Box::new(whole)), now());
    app
}

pub(crate) fn app() -> App {
    app_with(|_| {})
}

pub(crate) fn press(app: &mut App, keys: &str) -> Vec<Effect> {
    keyboard::press(app, keys, now())
}

pub(crate) fn draw(app: &App) -> String {
    let mut terminal = Terminal::new(TestBackend::new(80, 24)).expect("a terminal");
    terminal.draw(|frame| screen::draw(app, frame, now())).expect("drawn");
    let buffer = terminal.backend().buffer().clone();
    let row = |row| (0..80).map(|column| buffer[(column, row)].symbol()).collect::<String>();
    (0..24).map(row).collect::<Vec<_>>().join("\n")
}

/// The commands that were sent, with their incidents.
pub(crate) fn sent(effects: &[Effect]) -> Vec<(u64, Wire)> {
    let command = |effect: &Effect| match effect {
        Effect::Ask(Ask::Act(command)) => {
            Some((command.incident, command.action.clone().expect("an action")))
        }
        _ => None,
    };
    effects.iter().filter_map(command).collect()
}
