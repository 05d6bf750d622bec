//! One simulated morning with a fixed clock, and an operator's console in it.

use ratatui::{Terminal, backend::TestBackend};
use vonggac_console::{
    app::{App, Effect, Options},
    feed::Told,
    keymap::Keymap,
    screen,
    theme::Theme,
    words::Lang,
};
use vonggac_wire::{
    Time,
    proto::{
        Agency, Agent, Baseline, Cell, CheckRow, Entity, Estimate, EventRow, Flow, GapRow,
        HealthState as H, HistogramColumn, Incident, IncidentDetail, IncidentState, Indicator,
        SearchReply, SpreadReply, SpreadRow, System, Transition, UsageReply, WatchReply,
    },
};

use crate::{keyboard, owed};

/// Usage that a full spool dropped, and a log that was cut: nobody knows how many lines it had.
fn gaps() -> Vec<GapRow> {
    let ago = |seconds| now().minus(std::time::Duration::from_secs(seconds)).0;
    let gap = |host: &str, lane: &str, reason: &str| GapRow {
        agency: "H49".into(),
        host: host.into(),
        lane: lane.into(),
        reason: reason.into(),
        time_unix_nano: ago(60),
        ..GapRow::default()
    };
    let dropped = GapRow {
        first_seq: 41,
        last_seq: 1_244,
        first_observed_unix_nano: ago(7_200),
        last_observed_unix_nano: ago(3_600),
        events: 1_204,
        ..gap("web-2", "usage", "overflow")
    };
    let cut = GapRow {
        source: "/var/log/nginx/access.log".into(),
        bytes: 9_000,
        ..gap("web-3", "security", "truncation")
    };
    vec![dropped, cut]
}

pub(crate) fn now() -> Time {
    "2026-11-24T02:41:07Z".parse().expect("a time")
}

pub(crate) fn cells(values: &[f64]) -> Vec<Cell> {
    values.iter().map(|value| Cell { value: Some(*value) }).collect()
}

pub(crate) fn agency(code: &str, vi: &str, en: &str, kind: &str, state: H) -> Agency {
    let enrolled = !matches!(state, H::NotConnected | H::Excluded);
    let mut agency = Agency {
        code: code.into(),
        name_vi: vi.into(),
        name_en: en.into(),
        short_vi: vi.chars().take(11).collect(),
        short_en: en.chars().take(11).collect(),
        kind: kind.into(),
        hosts_heard: if enrolled && state != H::Silent { 11 } else { 0 },
        hosts_enrolled: if enrolled { 11 } else { 0 },
        open_incidents: u32::from(matches!(state, H::Down | H::UnderAttack | H::Silent)),
        last_heard_unix_nano: enrolled.then(|| now().minus(std::time::Duration::from_secs(2)).0),
        silent_since_unix_nano: (state == H::Silent)
            .then(|| now().minus(std::time::Duration::from_secs(5_940)).0),
        unserved: enrolled.then(|| Estimate {
            value: if state == H::Down { 18.0 } else { 0.0 },
            low: 14.0,
            high: 22.0,
        }),
        usage_cells: cells(&[5.0, 6.0, 5.0, 6.0, 0.0, 0.0]),
        excluded_reason: if state == H::Excluded {
            "Circular 31/2017".into()
        } else {
            String::new()
        },
        events_held: 1_204_331,
        events_numbered: 1_204_331,
        ..Agency::default()
    };
    agency.set_state(state);
    agency.set_service(state);
    agency.set_security(if state == H::UnderAttack { state } else { H::Fine });
    agency.set_usage(if enrolled { H::Fine } else { state });
    agency
}

pub(crate) fn incident(
    id: u64,
    severity: u32,
    state: IncidentState,
    vi: &str,
    en: &str,
    owner: &str,
) -> Incident {
    let begun = now().minus(std::time::Duration::from_secs(1_380));
    Incident {
        id,
        version: 3,
        state: state.into(),
        severity,
        rule: "ssh-brute-force".into(),
        title_vi: vi.into(),
        title_en: en.into(),
        entity: Some(Entity { kind: "src_ip".into(), value: "203.0.113.77".into() }),
        agency: "tk-48".into(),
        agencies: vec!["tk-48".into(), "tk-01".into()],
        hosts: vec!["web-1".into()],
        owner: owner.into(),
        responsible_agency: "tk-48".into(),
        count: 48_112,
        first_time_unix_nano: begun.0,
        last_time_unix_nano: now().0,
        opened_unix_nano: begun.0,
        updated_unix_nano: now().0,
        acknowledged_unix_nano: (!owner.is_empty()).then_some(now().0),
        deadline_unix_nano: Some(now().plus(std::time::Duration::from_secs(420)).0),
        unserved: match id {
            3_107 => Some(Estimate { value: 212.0, low: 170.0, high: 260.0 }),
            3_109 => Some(Estimate { value: 18.0, low: 14.0, high: 22.0 }),
            3_102 => Some(Estimate::default()),
            _ => None,
        },
        simulated: true,
        clocks: owed::clocks(id, now().plus(std::time::Duration::from_secs(420))),
        ..Incident::default()
    }
}

#[expect(clippy::too_many_lines, reason = "one morning")]
pub(crate) fn picture() -> WatchReply {
    let states = [
        H::Degraded,
        H::Fine,
        H::Fine,
        H::Silent,
        H::UnderAttack,
        H::Down,
        H::Unknown,
        H::Maintenance,
    ];
    let names = [
        "Hà Nội",
        "Cao Bằng",
        "Tuyên Quang",
        "Lai Châu",
        "Thanh Hóa",
        "Đà Nẵng",
        "Đồng Tháp",
        "Cà Mau",
    ];
    let mut agencies: Vec<Agency> = names
        .iter()
        .zip(states)
        .enumerate()
        .map(|(at, (name, state))| {
            agency(
                if at == 5 {
                    "tk-48"
                } else {
                    ["tk-01", "tk-04", "tk-08", "tk-12", "tk-38", "", "tk-82", "tk-96"][at]
                },
                name,
                name,
                "province",
                state,
            )
        })
        .collect();
    // The others fill the board as on a quiet day.
    const QUIET: [&str; 26] = [
        "Điện Biên",
        "Sơn La",
        "Lào Cai",
        "Thái Nguyên",
        "Lạng Sơn",
        "Quảng Ninh",
        "Bắc Ninh",
        "Phú Thọ",
        "Hải Phòng",
        "Hưng Yên",
        "Ninh Bình",
        "Nghệ An",
        "Hà Tĩnh",
        "Quảng Trị",
        "Huế",
        "Quảng Ngãi",
        "Gia Lai",
        "Khánh Hòa",
        "Đắk Lắk",
        "Lâm Đồng",
        "Đồng Nai",
        "TP.HCM",
        "Tây Ninh",
        "Vĩnh Long",
        "An Giang",
        "Cần Thơ",
    ];
    agencies.extend(
        (1..)
            .zip(QUIET)
            .map(|(n, name)| agency(&format!("tq-{n}"), name, name, "province", H::Fine)),
    );
    agencies.push(agency("G01", "Công an", "Security", "ministry", H::Excluded));
    agencies.push(agency("G21", "DT&TG", "Ethnic Aff", "ministry", H::NotConnected));
    agencies.push(agency("G22", "VPCP", "Gov Office", "ministry", H::Fine));
    let mut system = System {
        id: "agency-one-stop".into(),
        agency: "tk-48".into(),
        name_vi: "Cổng dịch vụ công, một cửa điện tử".into(),
        name_en: "Service portal and one-stop system".into(),
        grade: 2,
        hosts_heard: 9,
        hosts_enrolled: 9,
        minutes_up: Some(565),
        minutes_open: Some(581),
        usage_cells: (0..60)
            .map(|n| Cell { value: Some(if n < 44 { f64::from(17 + n % 5) } else { 0.0 }) })
            .collect(),
        baseline: Some(Baseline { median: 18.0, low: 14.0, high: 22.0, weeks: 26 }),
        ..System::default()
    };
    system.set_state(H::Down);
    let mut agent = Agent {
        agent: "web-2-1f".into(),
        agency: "tk-48".into(),
        host: "web-2".into(),
        system: "agency-one-stop".into(),
        last_heard_unix_nano: Some(now().0),
        version: "0.1.0".into(),
        clock_skew_seconds: Some(0.1),
        cpu_utilization: Some(0.14),
        memory_utilization: Some(0.63),
        disk_utilization: Some(0.51),
        ..Agent::default()
    };
    agent.set_state(H::Fine);
    let mut check = CheckRow {
        agency: "tk-48".into(),
        system: "agency-one-stop".into(),
        host: "web-2".into(),
        agent: "web-2-1f".into(),
        name: "portal".into(),
        kind: "http".into(),
        target: "https://dvc.example.vn/".into(),
        detail: "status 503, wanted 200".into(),
        dns_seconds: Some(0.004),
        connect_seconds: Some(0.019),
        total_seconds: Some(0.161),
        recent: vec![Cell { value: Some(0.1) }, Cell { value: None }],
        recent_up: 1,
        recent_all: 2,
        ..CheckRow::default()
    };
    check.set_state(H::Down);
    let mut flow = Flow {
        events_per_second: 4_812.0,
        delay_p50_seconds: Some(0.4),
        delay_p99_seconds: Some(1.8),
        lag_seconds: Some(0.0),
        incident_delay_p99_seconds: Some(2.1),
        partitions_held: 12,
        events_held: 167_120_441,
        events_numbered: 167_127_918,
        events_lost: 7,
        dead_letters_today: 3,
        agents_heard: 487,
        agents_enrolled: 502,
        rate_cells: cells(&[4.0, 5.0, 6.0]),
        gaps: gaps(),
        ..Flow::default()
    };
    flow.set_kafka(H::Fine);
    flow.set_engine(H::Fine);
    flow.set_detection(H::Fine);
    flow.set_book(H::Fine);
    WatchReply {
        snapshot: true,
        time_unix_nano: now().minus(std::time::Duration::from_secs(2)).0,
        newest_event_unix_nano: now().minus(std::time::Duration::from_secs(2)).0,
        simulated: true,
        agencies,
        systems: vec![system],
        agents: vec![agent],
        checks: vec![check],
        incidents: vec![
            incident(
                3_107,
                1,
                IncidentState::InProgress,
                "NDXP không trả lời, kéo theo các cơ quan",
                "NDXP does not answer",
                "Lan",
            ),
            incident(
                3_109,
                1,
                IncidentState::New,
                "Đà Nẵng: cổng trả lời, không ai nộp hồ sơ",
                "Đà Nẵng: nobody files",
                "",
            ),
            incident(
                3_102,
                2,
                IncidentState::OnHold,
                "Dò mật khẩu SSH từ 203.0.113.77",
                "SSH passwords tried",
                "Minh",
            ),
            incident(3_090, 3, IncidentState::Resolved, "LGSP: đĩa đầy", "LGSP: disk full", "Minh"),
        ],
        indicators: vec![
            Indicator {
                id: "online-filing-rate".into(),
                kind: "usage".into(),
                name_vi: "Tỷ lệ hồ sơ nộp trực tuyến".into(),
                name_en: "Dossiers filed online".into(),
                numerator: Some(41_208.0),
                denominator: Some(66_913.0),
                verdict: "consistent".into(),
                newest_unix_nano: Some(now().0),
                agencies_counted: 47,
                ..Indicator::default()
            },
            Indicator {
                id: "satisfaction-score".into(),
                kind: "quality".into(),
                name_vi: "Mức độ hài lòng".into(),
                name_en: "Satisfied ratings".into(),
                verdict: "not-measured".into(),
                ..Indicator::default()
            },
        ],
        flow: Some(flow),
        duties: owed::duties(),
    }
}

pub(crate) fn event(raw: &str) -> EventRow {
    EventRow {
        time_unix_nano: now().0,
        agency: "tk-38".into(),
        host: "web-1".into(),
        class: "authentication".into(),
        class_uid: 3002,
        user: "root".into(),
        src_ip: "203.0.113.77".into(),
        src_port: 51_022,
        status: "failure".into(),
        raw: raw.into(),
        source: "/var/log/auth.log".into(),
        source_offset: 5_120_331,
        format: "sshd".into(),
        lane: "security".into(),
        agent: "web-1-0a".into(),
        seq: 41_207,
        time_doubt: "year".into(),
        ..EventRow::default()
    }
}

pub(crate) fn app(lang: Lang, ascii: bool) -> App {
    let options = Options {
        way: vonggac_console::client::Way::plain("127.0.0.1:7443"),
        lang,
        operator: "Lan".into(),
        ascii,
        slow: false,
        wall: false,
        observer: false,
    };
    let mut app = App::new(options, Theme { ascii, mono: true, rich: false }, Keymap::load(None));
    app.told(Told::Picture(Box::new(picture())), now());
    app
}

pub(crate) fn press(app: &mut App, keys: &str) -> Vec<Effect> {
    keyboard::press(app, keys, now())
}

/// The terminal's size is known before keys are pressed in it.
pub(crate) fn sized(mut app: App, width: u16, height: u16) -> App {
    app.size = (width, height);
    app
}

/// Rows of cells.
pub(crate) fn cells_of(app: &App, width: u16, height: u16) -> Vec<Vec<String>> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
    terminal.draw(|frame| screen::draw(app, frame, now())).expect("drawn");
    let buffer = terminal.backend().buffer().clone();
    let row = |row| (0..width).map(|column| buffer[(column, row)].symbol().to_owned()).collect();
    (0..height).map(row).collect()
}

pub(crate) fn draw(app: &App, width: u16, height: u16) -> String {
    let lines = cells_of(app, width, height);
    lines.iter().map(|row| format!("{}\n", row.concat().trim_end())).collect()
}

/// A screen by the keys that lead to it.
pub(crate) const SCREENS: [(&str, &str); 21] = [
    ("board", ""),
    ("incidents", "2"),
    ("incident", "\n"),
    ("agencies", "3"),
    ("agency", "\t\n"),
    ("systems", "4"),
    ("system", "4\n"),
    ("events", "5"),
    ("event", "5\n"),
    ("usage", "6"),
    ("spread", "2x"),
    ("flow", "8"),
    ("shift", "9"),
    ("help", "?"),
    ("host", "4\n\n"),
    ("byagency", "6\n"),
    ("menu", "2."),
    ("form", "2A"),
    ("palette", "1:coquan da n"),
    ("news", "c"),
    ("runbook", "\nb"),
];

pub(crate) fn arrived(lang: Lang, ascii: bool, keys: &str) -> App {
    let mut app = app(lang, ascii);
    let found = SearchReply {
        rows: vec![
            event("Nov 24 09:08:44 web-1 sshd[2211]: Failed password for root"),
            event("hostile \u{1b}[2J \u{202e}line"),
        ],
        histogram: (0..40)
            .map(|n| HistogramColumn {
                time_unix_nano: now().0 - (60 - n) * 60_000_000_000,
                count: 10 + n.unsigned_abs() % 7,
            })
            .collect(),
        total: Some(48_112),
        rows_read: 2_100_000,
        elapsed_seconds: 0.41,
        done: true,
        ..SearchReply::default()
    };
    press(&mut app, &keys.chars().take(1).collect::<String>());
    app.told(Told::Search(app.questions.search.number, Box::new(found)), now());
    let (keys, last) = keys.strip_suffix('b').map_or((keys, ""), |keys| (keys, "b"));
    press(&mut app, &keys.chars().skip(1).collect::<String>());
    let opened = match app.place().screen {
        screen::Screen::Incident(id) => id,
        _ => 3_107,
    };
    let detail = IncidentDetail {
        incident: app.model.incidents.get(&opened).cloned(),
        timeline: vec![Transition {
            incident: opened,
            version: 1,
            time_unix_nano: now().0,
            actor: "system".into(),
            action: "opened".into(),
            ..Transition::default()
        }],
        evidence: vec![event(
            "Nov 24 09:08:44 web-1 sshd[2211]: Failed password for root from 203.0.113.77",
        )],
        runbook_vi: vec!["Thử nộp một hồ sơ mẫu.".into()],
        runbook_en: vec!["Try to file a test dossier.".into()],
        notifications: owed::notes(),
        clocks: owed::duties(),
        ..IncidentDetail::default()
    };
    app.told(Told::Detail(Box::new(detail)), now());
    // What needs an incident's detail is asked for once it has come.
    press(&mut app, last);
    let row = SpreadRow {
        agency: "tk-38".into(),
        count: 48_112,
        hosts: 4,
        successes: 0,
        first_unix_nano: now().0,
        last_unix_nano: now().0,
    };
    app.told(Told::Spread(app.questions.spread.number, SpreadReply { rows: vec![row] }), now());
    let figure = Indicator {
        id: "online-filing-rate".into(),
        kind: "usage".into(),
        agency: "tk-48".into(),
        numerator: Some(5_506.0),
        denominator: Some(5_367.0),
        doubt: "disputed".into(),
        verdict: "numerator-exceeds-denominator".into(),
        ..Indicator::default()
    };
    app.told(
        Told::Usage(app.questions.usage.number, UsageReply { indicators: vec![figure] }),
        now(),
    );
    app
}
