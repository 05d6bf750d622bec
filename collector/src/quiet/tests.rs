use std::sync::LazyLock;

use proptest::prelude::*;
use vonggac_wire::proto::{AddQuiet, EndQuiet, Entity, QuietScope, change_quiet_request::Change};

use super::{
    decide::{Ground, Refusal, decide, is_shown},
    *,
};
use crate::{
    registry::Registry,
    rule::RuleSet,
    trust::{
        door::Guest,
        role::{Duty, Role},
        scope::Scope as Reached,
    },
};

const NOW: Time = Time::from_seconds(1_764_000_000);

const HOUR: Duration = Duration::from_secs(3_600);

static KNOWN: LazyLock<(RuleSet, Registry)> =
    LazyLock::new(|| (RuleSet::builtin().unwrap(), Registry::builtin().unwrap()));

fn guest(role: Role, scope: Reached) -> Guest {
    let duty = Duty { asks: false, confirms: false, exports_alone: false };
    Guest { name: "lan".into(), role, scope, is_proven: true, duty }
}

fn nation() -> Guest {
    guest(Role::NationalOperator, Reached::Nation)
}

fn of_h49() -> Guest {
    guest(Role::AgencyOperator, Reached::Agencies(vec!["H49".into()]))
}

fn named(pairs: &[(&str, &str)]) -> QuietScope {
    let value = |name: &str| {
        let found = pairs.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned()).unwrap_or_default()
    };
    QuietScope {
        rule: value("rule"),
        agency: value("agency"),
        host: value("host"),
        user: value("user"),
        address: value("address"),
        entity: value("entity"),
        system: value("system"),
    }
}

fn add(kind: &str, pairs: &[(&str, &str)]) -> AddQuiet {
    AddQuiet {
        kind: kind.into(),
        scope: Some(named(pairs)),
        reason: "known".into(),
        from_unix_nano: 0,
        until_unix_nano: NOW.plus(HOUR).0,
        owner: String::new(),
    }
}

fn decided(
    periods: &BTreeMap<String, Period>,
    change: Change,
    guest: &Guest,
) -> Result<Event, Refusal> {
    let (rules, registry) = &*KNOWN;
    decide(Ground { periods, registry, rules, now: NOW }, &change, guest, "fresh-1")
}

fn added(add: AddQuiet, guest: &Guest) -> Result<Period, Refusal> {
    let event = decided(&BTreeMap::new(), Change::Add(add), guest)?;
    Ok(Period::all(&[event]).remove("fresh-1").unwrap())
}

fn signal(rule: &str, agency: &str, about: (&str, &str), severity: u32) -> Signal {
    Signal {
        rule: rule.into(),
        agency: agency.into(),
        host: "web-1".into(),
        severity,
        entity: Some(Entity { kind: about.0.into(), value: about.1.into() }),
        ..Signal::default()
    }
}

#[test]
fn a_period_withholds_what_its_scope_names_and_nothing_else() {
    let brute = signal("ssh-brute-force", "000.00.15.H49", ("src_ip", "10.1.2.3"), 2);
    let sudo = signal("sudo-abuse", "H49", ("user", "minh@web-1"), 2);
    let mail = signal("login-brute-force", "H49", ("user", "minh@example.vn"), 2);
    for (pairs, cells) in [
        // brute, sudo, mail
        (&[("rule", "ssh-brute-force")][..], "y--"),
        (&[("rule", "ssh-brute-force"), ("agency", "H49")], "y--"),
        (&[("rule", "ssh-brute-force"), ("agency", "tk-48")], "---"),
        (&[("agency", "H49"), ("host", "WEB-1")], "yyy"),
        (&[("host", "web-2")], "---"),
        (&[("address", "10.1.0.0/16")], "y--"),
        (&[("address", "10.1.2.3")], "y--"),
        (&[("address", "10.2.0.0/16")], "---"),
        (&[("user", "minh")], "-y-"),
        (&[("user", "minh@web-1")], "-y-"),
        (&[("user", "minh@example.vn")], "--y"),
        (&[("entity", "10.1.2.3")], "y--"),
        (&[("entity", "minh@web-1"), ("rule", "sudo-abuse")], "-y-"),
        (&[("entity", "10.1.2")], "---"),
    ] {
        let period = added(add("suppression", pairs), &nation()).unwrap();
        for (signal, cell) in [&brute, &sudo, &mail].into_iter().zip(cells.chars()) {
            assert_eq!(period.withholds(signal, NOW), cell == 'y', "{pairs:?} {}", signal.rule);
        }
    }
}

#[test]
fn maintenance_withholds_that_something_is_down_and_no_attack() {
    let of = |rule: &str, system: &str| Signal {
        system: system.into(),
        ..signal(rule, "H49", ("check", "H49/a/portal"), 1)
    };
    let mut silent = of("agent-silent", "");
    silent.values.insert("system".into(), "agency-one-stop".into());
    let signals = [
        of("service-down", "agency-one-stop"),
        silent,
        of("agency-silent", ""),
        of("web-attack", "agency-one-stop"),
        of("disk-full", ""),
    ];
    for (pairs, cells) in [
        (&[("agency", "H49")][..], "yyy--"),
        (&[("agency", "H49"), ("system", "agency-one-stop")], "yy---"),
        (&[("system", "agency-one-stop")], "yy---"),
        (&[("host", "web-1")], "yy---"),
        (&[("agency", "tk-48")], "-----"),
    ] {
        let period = added(add("maintenance", pairs), &nation()).unwrap();
        for (signal, cell) in signals.iter().zip(cells.chars()) {
            assert_eq!(period.withholds(signal, NOW), cell == 'y', "{pairs:?} {}", signal.rule);
        }
    }
}

#[test]
fn a_period_withholds_in_its_time_alone_and_not_behind_its_end() {
    let later = AddQuiet {
        from_unix_nano: NOW.plus(HOUR).0,
        until_unix_nano: NOW.plus(3 * HOUR).0,
        ..add("suppression", &[("rule", "ssh-brute-force")])
    };
    let period = added(later, &nation()).unwrap();
    let brute = signal("ssh-brute-force", "H49", ("src_ip", "10.1.2.3"), 2);
    let at = |period: &Period, hours: u32| {
        let time = NOW.plus(HOUR * hours);
        (period.state(time), period.withholds(&brute, time), period.ran(time))
    };
    assert_eq!(at(&period, 0), (State::Coming, false, false));
    assert_eq!(at(&period, 1), (State::Running, true, true));
    assert_eq!(at(&period, 3), (State::Over, false, false));
    let step = Step::Ended { reason: "done".into() };
    let end = Event { id: period.id.clone(), time: NOW.plus(2 * HOUR), who: "minh".into(), step };
    let ended = period.after(&end);
    assert_eq!(
        at(&ended, 1),
        (State::Ended, false, true),
        "it ran then, and withholds nothing now"
    );
    assert_eq!(at(&ended, 2), (State::Ended, false, false));
    let again = Event { who: "nobody".into(), ..end };
    assert_eq!(ended.clone().after(&again), ended, "the first end holds");
}

#[test]
fn what_would_keep_everything_quiet_or_too_long_is_refused_by_its_own_word() {
    let rule = &[("rule", "ssh-brute-force")][..];
    let until = |days_from_now: u64, pairs: &[(&str, &str)], kind: &str| AddQuiet {
        until_unix_nano: NOW.plus(days(days_from_now)).plus(Duration::from_secs(1)).0,
        ..add(kind, pairs)
    };
    let long = "x".repeat(301);
    for (asked, refusal) in [
        (add("silence", rule), Refusal::KindUnknown("silence".into())),
        (AddQuiet { reason: " \n".into(), ..add("suppression", rule) }, Refusal::ReasonMissing),
        (AddQuiet { reason: long.clone(), ..add("suppression", rule) }, Refusal::TextTooLong(300)),
        (add("suppression", &[("host", &long)]), Refusal::TextTooLong(300)),
        (add("suppression", &[]), Refusal::ScopeTooWide),
        (add("suppression", &[("agency", "H49")]), Refusal::ScopeTooWide),
        (add("maintenance", &[]), Refusal::ScopeTooWide),
        (add("maintenance", rule), Refusal::ScopeNotMaintained),
        (
            add("maintenance", &[("agency", "H49"), ("address", "10.1.2.3")]),
            Refusal::ScopeNotMaintained,
        ),
        (
            add("suppression", &[("address", "10.0.0.0/15")]),
            Refusal::NetworkTooWide("10.0.0.0/15".into()),
        ),
        (add("suppression", &[("address", "::/0")]), Refusal::NetworkTooWide("::/0".into())),
        (
            add("suppression", &[("address", "10.0.0.0/33")]),
            Refusal::AddressUnknown("10.0.0.0/33".into()),
        ),
        (add("suppression", &[("rule", "no-such")]), Refusal::RuleUnknown("no-such".into())),
        (
            add("suppression", &[("rule", "web-sql-injection")]),
            Refusal::RuleToldBy("web-attack".into()),
        ),
        (add("suppression", &[("rule", "web-flood")]), Refusal::RuleToldBy("web-attack".into())),
        (add("suppression", &[("rule", "break-glass")]), Refusal::RuleNever("break-glass".into())),
        (
            add("suppression", &[("agency", "H999"), ("host", "a")]),
            Refusal::AgencyUnknown("H999".into()),
        ),
        (add("maintenance", &[("system", "no-such")]), Refusal::SystemUnknown("no-such".into())),
        (AddQuiet { until_unix_nano: NOW.0, ..add("suppression", rule) }, Refusal::NoTime),
        (AddQuiet { until_unix_nano: 0, ..add("suppression", rule) }, Refusal::NoTime),
        (until(90, rule, "suppression"), Refusal::TooLong(90)),
        (until(14, &[("agency", "H49")], "maintenance"), Refusal::TooLong(14)),
        (
            AddQuiet { from_unix_nano: NOW.plus(days(91)).0, ..until(92, rule, "suppression") },
            Refusal::TooFar(90),
        ),
    ] {
        assert_eq!(added(asked.clone(), &nation()).map(|_| ()), Err(refusal), "{asked:?}");
    }
    let early = AddQuiet { from_unix_nano: NOW.minus(HOUR).0, ..add("suppression", rule) };
    assert_eq!(added(early, &nation()).unwrap().terms.begins, NOW, "never before now");
}

#[test]
fn an_agencys_operator_keeps_quiet_what_is_theirs_and_below_m1() {
    let own = added(add("suppression", &[("agency", "H49"), ("host", "web-1")]), &of_h49());
    let own = own.unwrap();
    let brute = |severity| signal("ssh-brute-force", "H49", ("src_ip", "10.1.2.3"), severity);
    assert!(own.withholds(&brute(2), NOW) && !own.withholds(&brute(1), NOW));
    let mine = |kind: &str, pairs: &[(&str, &str)]| added(add(kind, pairs), &of_h49()).map(|_| ());
    let refused = [
        (mine("suppression", &[("host", "web-1")]), Refusal::AgencyMissing),
        (mine("maintenance", &[("host", "web-1")]), Refusal::AgencyMissing),
        (
            mine("suppression", &[("agency", "tk-48"), ("host", "a")]),
            Refusal::NotYourAgency("tk-48".into()),
        ),
        (
            mine("suppression", &[("agency", "H49"), ("rule", "ssh-success-after-brute-force")]),
            Refusal::NeedsNation("ssh-success-after-brute-force".into()),
        ),
    ];
    for (found, refusal) in refused {
        assert_eq!(found, Err(refusal));
    }
    let portal = added(add("maintenance", &[("agency", "H49")]), &of_h49()).unwrap();
    let unused = signal("portal-without-use", "H49", ("agency", "H49"), 1);
    assert!(portal.withholds(&unused, NOW), "what is meant to be down is no M1");
}

#[test]
fn an_end_is_a_step_of_whoever_may_and_of_what_stands() {
    let of = |agency: &str, id: &str| {
        let add = add("suppression", &[("agency", agency), ("host", "web-1")]);
        let event = decided(&BTreeMap::new(), Change::Add(add), &nation()).unwrap();
        Event { id: id.into(), ..event }
    };
    let everywhere = decided(
        &BTreeMap::new(),
        Change::Add(add("suppression", &[("rule", "ssh-brute-force")])),
        &nation(),
    );
    let events = [
        of("H49", "aaaa-1"),
        of("H49", "aaaa-2"),
        of("tk-48", "bbbb-1"),
        Event { id: "cccc-1".into(), ..everywhere.unwrap() },
    ];
    let all = Period::all(&events);
    let end = |id: &str, reason: &str, guest: &Guest| {
        let end = EndQuiet { id: id.into(), reason: reason.into() };
        decided(&all, Change::End(end), guest).map(|event| (event.id, event.who))
    };
    let done = |id: &str| Ok((id.to_owned(), "lan".to_owned()));
    assert_eq!(end("aaaa-1", "r", &of_h49()), done("aaaa-1"));
    assert_eq!(end("bbbb", "r", &nation()), done("bbbb-1"));
    assert_eq!(end("aaaa", "r", &of_h49()), Err(Refusal::Ambiguous("aaaa".into())));
    assert_eq!(end("bbbb-1", "r", &of_h49()), Err(Refusal::NotFound("bbbb-1".into())));
    assert_eq!(end("cccc", "r", &of_h49()), Err(Refusal::NotYourAgency(String::new())));
    assert_eq!(end("aaa", "r", &nation()), Err(Refusal::NotFound("aaa".into())));
    assert_eq!(end("aaaa-1", "", &nation()), Err(Refusal::ReasonMissing));
    let event =
        decided(&all, Change::End(EndQuiet { id: "aaaa-1".into(), reason: "r".into() }), &nation());
    let over = Period::all(&[&events[..], &[event.unwrap()]].concat());
    let again = Change::End(EndQuiet { id: "aaaa-1".into(), reason: "r".into() });
    assert_eq!(decided(&over, again, &nation()), Err(Refusal::WrongState("ended")));
    let shown = |id: &str, guest: &Guest| is_shown(&all[id].terms.scope, guest);
    assert!(shown("aaaa-1", &of_h49()) && !shown("bbbb-1", &of_h49()));
    assert!(shown("cccc-1", &of_h49()), "what holds for all holds for them, too");
    let responder = guest(Role::Responder, Reached::Cases("lan".into()));
    assert!(!shown("cccc-1", &responder));
}

#[test]
fn nobody_takes_all_places() {
    let terms = added(add("suppression", &[("host", "a")]), &nation()).unwrap();
    let of = |count: usize, who: &str| -> BTreeMap<String, Period> {
        let one = |n: usize| {
            let id = format!("{who}-{n}");
            (id.clone(), Period { id, added: (who.into(), NOW), ..terms.clone() })
        };
        (0..count).map(one).collect()
    };
    let asked = || Change::Add(add("suppression", &[("host", "a")]));
    let refused = |periods: &BTreeMap<String, Period>| decided(periods, asked(), &nation());
    assert_eq!(refused(&of(OF_PERSON_MAX, "lan")), Err(Refusal::TooMany(OF_PERSON_MAX)));
    assert_eq!(refused(&of(STANDING_MAX, "minh")), Err(Refusal::TooMany(STANDING_MAX)));
    assert!(refused(&of(OF_PERSON_MAX, "minh")).is_ok());
}

proptest! {
    #[test]
    fn nothing_withholds_what_is_for_the_agency_to_know(host in "[a-z]{1,3}", hours in 0_u32..4) {
        let period = added(add("suppression", &[("host", &host)]), &nation()).unwrap();
        let mut told = signal("break-glass", "H49", ("break-glass", "id"), 3);
        told.host = host;
        prop_assert!(!period.withholds(&told, NOW.plus(HOUR * hours)));
    }

    #[test]
    fn a_network_is_read_back_as_it_is_told_and_has_its_own_address(
        bytes in any::<[u8; 4]>(),
        prefix in 0_u8..=32,
    ) {
        let address = std::net::IpAddr::from(bytes);
        let network: scope::Network = format!("{address}/{prefix}").parse().unwrap();
        prop_assert_eq!(network.to_string().parse::<scope::Network>(), Ok(network));
        prop_assert!(network.contains(address));
        prop_assert_eq!(network.is_narrow(), prefix >= 16);
    }
}
