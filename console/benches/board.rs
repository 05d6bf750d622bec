//! The national board at 10,000 agents: taking a snapshot, and drawing it in three sizes.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::{Terminal, backend::TestBackend};
use vonggac_console::{
    app::{App, Options},
    feed::Told,
    keymap::Keymap,
    screen,
    theme::Theme,
    words::Lang,
};
use vonggac_wire::{
    Time,
    proto::{
        Agency, Agent, Cell, CheckRow, Flow, HealthState, Incident, IncidentState, System,
        WatchReply,
    },
};

const NOW: Time = Time::from_seconds(1_764_000_000);
const AGENTS: usize = 10_000;
const AGENCIES: usize = 51;

fn code(n: usize) -> String {
    format!("tk-{:02}", n % AGENCIES)
}

fn state(n: usize) -> HealthState {
    [HealthState::Fine, HealthState::Degraded, HealthState::Down, HealthState::Silent][n % 4]
}

fn agency(n: usize) -> Agency {
    let mut agency = Agency {
        code: code(n),
        name_vi: format!("Tỉnh thứ {n}"),
        short_vi: format!("Tỉnh {n}"),
        kind: if n < 34 { "province" } else { "ministry" }.into(),
        hosts_heard: 196,
        hosts_enrolled: 196,
        usage_cells: vec![Cell { value: Some(5.0) }; 60],
        last_heard_unix_nano: Some(NOW.0),
        ..Agency::default()
    };
    agency.set_state(state(n));
    agency
}

fn agent(n: usize) -> Agent {
    let mut agent = Agent {
        agent: format!("web-{n}"),
        agency: code(n),
        host: format!("web-{n}"),
        last_heard_unix_nano: Some(NOW.0),
        ..Agent::default()
    };
    agent.set_state(state(n));
    agent
}

fn picture() -> WatchReply {
    WatchReply {
        snapshot: true,
        time_unix_nano: NOW.0,
        agencies: (0..AGENCIES).map(agency).collect(),
        systems: (0..1_000)
            .map(|n| System { id: format!("s{n}"), agency: code(n), ..System::default() })
            .collect(),
        agents: (0..AGENTS).map(agent).collect(),
        checks: (0..AGENTS)
            .map(|n| CheckRow {
                agency: code(n),
                agent: format!("web-{n}"),
                name: "portal".into(),
                ..CheckRow::default()
            })
            .collect(),
        incidents: (0..500)
            .map(|n| Incident {
                id: n,
                state: IncidentState::New.into(),
                severity: 1 + u32::try_from(n % 4).unwrap_or(0),
                title_vi: format!("Sự cố số {n}"),
                agencies: vec![code(usize::try_from(n).unwrap_or(0))],
                ..Incident::default()
            })
            .collect(),
        flow: Some(Flow { agents_heard: 10_000, ..Flow::default() }),
        duties: Vec::new(),
        ..WatchReply::default()
    }
}

fn app() -> App {
    let options = Options {
        way: vonggac_console::client::Way::plain("127.0.0.1:7443"),
        lang: Lang::Vi,
        operator: "Lan".into(),
        ascii: false,
        slow: false,
        wall: false,
        observer: false,
    };
    App::new(options, Theme { ascii: false, mono: false, rich: true }, Keymap::load(None))
}

fn board(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("board at 10,000 agents");
    let picture = picture();
    group.sample_size(20);
    group.bench_function("snapshot", |bencher| {
        bencher.iter_batched(
            || (app(), picture.clone()),
            |(mut app, picture)| {
                app.told(Told::Picture(Box::new(picture)), NOW);
                app
            },
            BatchSize::LargeInput,
        );
    });
    let mut app = app();
    app.told(Told::Picture(Box::new(picture)), NOW);
    for (width, height) in [(80, 24), (150, 45), (200, 60)] {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
        group.bench_function(format!("draw {width}x{height}"), |bencher| {
            bencher.iter(|| {
                terminal.draw(|frame| screen::draw(black_box(&app), frame, NOW)).expect("drawn");
            });
        });
    }
    group.finish();
}

/// 10,000 systems, hosts of one system, incidents and one page after another of events: from a key to the picture of it.
fn keys(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("key to picture at 10,000 rows");
    group.sample_size(20);
    let mut whole = picture();
    whole.systems = (0..AGENTS)
        .map(|n| System { id: format!("s{n}"), agency: code(n), ..System::default() })
        .collect();
    for agent in &mut whole.agents {
        (agent.agency, agent.system) = (code(0), "s0".into());
    }
    whole.incidents = (0..10_000)
        .map(|n| Incident {
            id: n,
            state: IncidentState::New.into(),
            severity: 1 + u32::try_from(n % 4).unwrap_or(0),
            title_vi: format!("Sự cố số {n}"),
            agencies: vec![code(usize::try_from(n).unwrap_or(0))],
            ..Incident::default()
        })
        .collect();
    let ways = [
        ("board", ""),
        ("incidents", "2"),
        ("agency", "\t\n"),
        ("systems", "4"),
        ("system", "4\n"),
        ("shift", "9"),
    ];
    for (name, way) in ways {
        let mut app = app();
        app.told(Told::Picture(Box::new(whole.clone())), NOW);
        press(&mut app, way);
        let mut terminal = Terminal::new(TestBackend::new(120, 36)).expect("a terminal");
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                press(&mut app, "j");
                terminal.draw(|frame| screen::draw(black_box(&app), frame, NOW)).expect("drawn");
            });
        });
    }
    group.finish();
}

fn press(app: &mut App, keys: &str) {
    for character in keys.chars() {
        let code = match character {
            '\n' => KeyCode::Enter,
            '\t' => KeyCode::Tab,
            other => KeyCode::Char(other),
        };
        app.key(KeyEvent::new(code, KeyModifiers::NONE), NOW);
    }
}

criterion_group!(benches, board, keys);
criterion_main!(benches);
