//! What an agent sees in one second. Pure: the same seed, agent and second give the same events.

use std::time::Duration;

use rand::{Rng, SeedableRng, rngs::StdRng};
use vonggac_wire::{
    Event, Time,
    event::{
        Activity, Body, Check, CheckKind, CheckOutcome, Class, Document, Dossier,
        FilesystemFigures, HostFigures, HttpRequest, Outcome, Payment, Rating, Status, TimeDoubt,
    },
};

use crate::{cast::Player, scenario::Scenario};

/// Seconds between the runs of a check.
const CHECK_EVERY: u64 = 15;

/// Seconds between host figures.
const FIGURES_EVERY: u64 = 60;

/// Shared platforms that every agency's lead probes.
const PLATFORMS: [&str; 3] = ["ndxp", "shared-authentication", "national-public-service-portal"];

/// A citizen's requests to a portal in a second, on average.
const REQUESTS: f64 = 1.5;

/// Dossiers filed in a second at a portal, on average; one large city's, to see a pause soon.
const DOSSIERS: f64 = 0.25;

/// The play.
#[derive(Clone, Debug)]
pub struct Play {
    /// Its troubles.
    pub scenario: Scenario,
    /// Its chance.
    pub seed: u64,
}

impl Play {
    fn began(&self, begins: Duration, second: u64) -> bool {
        second >= begins.as_secs()
    }

    /// The agent says nothing at all.
    #[must_use]
    pub fn is_silent(&self, player: &Player, second: u64) -> bool {
        player.agency.as_str() == self.scenario.silence.1
            && self.began(self.scenario.silence.0, second)
    }

    /// Its events of this second.
    #[must_use]
    pub fn events(&self, player: &Player, second: u64, now: Time) -> Vec<Event> {
        if self.is_silent(player, second) {
            return Vec::new();
        }
        let mut chance =
            StdRng::seed_from_u64(self.seed ^ (player.number as u64).rotate_left(32) ^ second);
        let mut events = Vec::new();
        let turn = second + player.number as u64;
        if turn.is_multiple_of(FIGURES_EVERY) {
            events.push(figures(&mut chance, now));
        }
        if player.leads {
            if turn.is_multiple_of(CHECK_EVERY) {
                events.extend(self.checks(player, second, now, &mut chance));
            }
            events.extend(self.usage(player, second, now, &mut chance));
        }
        // Ordinary people mistype: far apart, from many addresses.
        if chance.random_bool(0.002) {
            let address =
                format!("100.64.{}.{}", chance.random_range(0..250), chance.random_range(1..250));
            events.push(log_in(&address, "lan", Status::Failure, now));
        }
        if chance.random_bool(0.004) {
            events.push(log_in("10.0.0.5", "quantri", Status::Success, now));
        }
        events.extend(self.wave(player, second, now));
        events
    }

    /// The wave reaches its agencies one after another, twenty seconds apart, and lasts.
    fn wave(&self, player: &Player, second: u64, now: Time) -> Vec<Event> {
        let (begins, address, agencies) = &self.scenario.wave;
        let Some(order) = agencies.iter().position(|agency| agency == player.agency.as_str())
        else {
            return Vec::new();
        };
        let begins = begins.as_secs() + order as u64 * 20;
        if !player.leads || second < begins || second > begins + 120 {
            return Vec::new();
        }
        ["root", "admin", "oracle"].map(|user| log_in(address, user, Status::Failure, now)).into()
    }

    fn checks(&self, player: &Player, second: u64, now: Time, chance: &mut StdRng) -> Vec<Event> {
        let agency = player.agency.as_str();
        let (fallen_at, platform, pulls) = &self.scenario.platform;
        let fallen = self.began(*fallen_at, second);
        let mut events = Vec::new();
        for system in PLATFORMS {
            let down = fallen && system == platform;
            events.push(check(system, CheckKind::Tcp, system, down, None, now, chance));
        }
        // A portal that needs the platform fails a little after it.
        let pulled =
            fallen && second >= fallen_at.as_secs() + 10 && pulls.iter().any(|code| code == agency);
        let ends_soon = agency == self.scenario.certificate.1
            && self.began(self.scenario.certificate.0, second);
        let days = if ends_soon { 2 } else { 90 };
        let end = now.plus(Duration::from_secs(days * 86_400 + 3_600));
        events.push(check(
            "portal",
            CheckKind::Http,
            "agency-one-stop",
            pulled,
            Some(end),
            now,
            chance,
        ));
        events
    }

    fn usage(&self, player: &Player, second: u64, now: Time, chance: &mut StdRng) -> Vec<Event> {
        let agency = player.agency.as_str();
        let mut events = Vec::new();
        for _ in 0..poisson(REQUESTS, chance) {
            events.push(request(now, chance));
        }
        let stuck = agency == self.scenario.portal.1 && self.began(self.scenario.portal.0, second);
        let large = if agency == self.scenario.portal.1 { 4.0 } else { 1.0 };
        if !stuck {
            for _ in 0..poisson(DOSSIERS * large, chance) {
                events.extend(dossier(agency, second, now, chance));
            }
        }
        if chance.random_bool(0.02) {
            let document = Document {
                direction: "sent".into(),
                level: 1,
                electronic: Some(chance.random_bool(0.94)),
                count: 1,
                counterpart: "G22".into(),
            };
            events.push(
                Event::new(now, now, Body::Document(document)).with_system("document-work-file"),
            );
        }
        events
    }
}

fn poisson(mean: f64, chance: &mut StdRng) -> u32 {
    let limit = (-mean).exp();
    let mut product = chance.random::<f64>();
    let mut count = 0;
    while product > limit && count < 100 {
        product *= chance.random::<f64>();
        count += 1;
    }
    count
}

fn figures(chance: &mut StdRng, now: Time) -> Event {
    let limit = 100_000_000_000_u64;
    let used = chance.random_range(40_000_000_000..60_000_000_000);
    let figures = HostFigures {
        cpu_utilization: chance.random_range(0.05..0.4),
        cpu_count: 4,
        memory_used_bytes: chance.random_range(2_000_000_000..5_000_000_000),
        memory_limit_bytes: 8_000_000_000,
        load_1m: chance.random_range(0.1..1.5),
        filesystems: vec![FilesystemFigures {
            mountpoint: "/".into(),
            used_bytes: used,
            limit_bytes: limit,
        }],
        ..HostFigures::default()
    };
    Event::new(now, now, Body::HostFigures(figures)).with_source("host", 0)
}

fn check(
    name: &str,
    kind: CheckKind,
    system: &str,
    down: bool,
    end: Option<Time>,
    now: Time,
    chance: &mut StdRng,
) -> Event {
    let total: f64 = if down { 5.0 } else { chance.random_range(0.05..0.25) };
    let made = Check {
        name: name.into(),
        kind: kind.into(),
        target: format!("{system}.simulated"),
        outcome: if down { CheckOutcome::Down } else { CheckOutcome::Up }.into(),
        detail: if down { "no answer within 5 s".into() } else { String::new() },
        #[expect(clippy::cast_precision_loss, reason = "fifteen")]
        interval_seconds: CHECK_EVERY as f64,
        dns_seconds: Some(0.003),
        connect_seconds: (!down).then_some(total / 4.0),
        first_byte_seconds: (!down).then_some(total / 2.0),
        total_seconds: total,
        http_status_code: (kind == CheckKind::Http && !down).then_some(200),
        certificate_not_after_unix_nano: end.map(|end| end.0),
        ..Check::default()
    };
    Event::new(now, now, Body::Check(made))
        .with_source(&format!("probe:{name}"), 0)
        .with_system(system)
}

fn log_in(address: &str, user: &str, status: Status, now: Time) -> Event {
    let mut activity = Activity::of(Class::Authentication, 1, status);
    activity.user_name = user.into();
    activity.service_name = "sshd".into();
    activity.auth_protocol = "password".into();
    if let Ok(address) = address.parse() {
        activity.set_source_address(address);
    }
    let verb = if status == Status::Success { "Accepted" } else { "Failed" };
    let line = format!("sshd[1]: {verb} password for {user} from {address} port 50000 ssh2");
    Event::new(now, now, Body::Activity(activity))
        .with_source("/var/log/auth.log", 0)
        .with_format("sshd")
        .with_time_doubt(TimeDoubt::None)
        .with_raw(line.as_bytes(), 0)
}

fn request(now: Time, chance: &mut StdRng) -> Event {
    let pages = ["/", "/thu-tuc", "/ho-so/tra-cuu?trang=2", "/dang-nhap", "/tin-tuc/thong-bao"];
    let url = pages[chance.random_range(0..pages.len())];
    let mut activity = Activity::of(Class::Http, 3, Status::Success);
    activity.src_ip = vec![198, 51, 100, chance.random_range(1..250)];
    activity.http = Some(HttpRequest {
        http_method: "GET".into(),
        url: url.into(),
        status_code: 200,
        response_bytes: 5_000,
        ..HttpRequest::default()
    });
    let line = format!("198.51.100.7 - - \"GET {url} HTTP/1.1\" 200 5000");
    Event::new(now, now, Body::Activity(activity))
        .with_source("/var/log/nginx/access.log", 0)
        .with_format("combined")
        .with_system("agency-one-stop")
        .with_raw(line.as_bytes(), 0)
}

/// A dossier is received; others are closed, paid for and rated at their own rates.
fn dossier(agency: &str, second: u64, now: Time, chance: &mut StdRng) -> Vec<Event> {
    let service = "dang-ky-khai-sinh".to_owned();
    let put =
        |body| Event::new(now, now, body).with_source("socket", 0).with_system("agency-one-stop");
    let online = chance.random_bool(0.9);
    let mut events = vec![put(Body::Dossier(Dossier {
        service: service.clone(),
        dossier: format!("{agency}-{second}-{}", chance.random::<u32>()),
        step: "received".into(),
        online: Some(online),
        full_process: Some(online && chance.random_bool(0.45)),
        digitised: Some(chance.random_bool(0.6)),
        ..Dossier::default()
    }))];
    if chance.random_bool(0.8) {
        let closed = Dossier {
            service: service.clone(),
            step: "closed".into(),
            on_time: Some(chance.random_bool(0.98)),
            ..Dossier::default()
        };
        events.push(put(Body::Dossier(closed)));
    }
    if chance.random_bool(0.4) {
        let paid = Payment {
            service: service.clone(),
            online: Some(chance.random_bool(0.8)),
            outcome: Outcome::Success.into(),
            amount_vnd: 50_000,
        };
        events.push(put(Body::Payment(paid)));
    }
    if chance.random_bool(0.1) {
        events.push(put(Body::Rating(Rating {
            service,
            score: if chance.random_bool(0.9) { 4 } else { 2 },
        })));
    }
    events
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{cast, scenario::MORNING};

    #[test]
    fn the_same_seed_plays_the_same_second() {
        let scenario = Scenario::parse(Path::new("m"), MORNING, Duration::ZERO).unwrap();
        let play = Play { scenario, seed: 7 };
        let players = cast::players().unwrap();
        let now = Time::from_seconds(1_764_000_000);
        for player in players.iter().take(40) {
            assert_eq!(play.events(player, 200, now), play.events(player, 200, now));
        }
        let total: usize = (0..60)
            .map(|second| {
                players.iter().map(|player| play.events(player, second, now).len()).sum::<usize>()
            })
            .sum();
        assert!((1_000..60_000).contains(&total), "{total} events in a minute");
    }

    #[test]
    fn troubles_begin_when_they_should() {
        let scenario = Scenario::parse(Path::new("m"), MORNING, Duration::ZERO).unwrap();
        let play = Play { scenario, seed: 7 };
        let players = cast::players().unwrap();
        let lai_chau = players.iter().find(|player| player.agency.as_str() == "tk-12").unwrap();
        assert!(!play.is_silent(lai_chau, 329) && play.is_silent(lai_chau, 330));
    }
}
