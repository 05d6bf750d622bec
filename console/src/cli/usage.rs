//! Calls that are wrong: told before anything is asked of anybody, in the operator's language, with what is allowed.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use vonggac_wire::{
    Time,
    proto::{HealthState, IncidentState, Verdict},
};

use super::{
    Arguments, Command, Filter, act::Action, filter, form::Form, glass, notifications, quiet,
    report, saved, schema,
};
use crate::{app::later, client::SCHEME, words::Words};

/// Fields that a value may be looked for in, over all agencies.
pub(super) const SPREAD_FIELDS: [&str; 4] = ["src_ip", "user", "url", "host"];

/// What a time to come looks like, and a time that was.
const TIMES: (&str, &str) = ("2h, 45m, 3d, 14:30", "1h, 15m, 08:00, 2026-11-24T08:00:00+07:00");

/// What a time that lasts looks like.
const VALID: &str = "2h, 45m, 1d";

/// A value that is none of those allowed.
fn wrong(words: &Words, option: &str, value: &str, allowed: &str) -> String {
    words.with("bad-value", &[("option", option), ("value", value), ("allowed", allowed)])
}

/// Where a notification is, as the contract has it.
const NOTIFICATION_STATES: [&str; 6] =
    ["waiting", "sending", "sent", "given-up", "dropped", "withheld"];

fn states() -> Vec<&'static str> {
    (1..=9).filter_map(|state| HealthState::try_from(state).ok()).map(HealthState::name).collect()
}

fn incident_states() -> Vec<&'static str> {
    (1..=5)
        .filter_map(|state| IncidentState::try_from(state).ok())
        .map(IncidentState::name)
        .collect()
}

/// HOST:PORT: a name, an IPv4 address or an IPv6 address in brackets, and no scheme or path.
fn is_address(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let plain = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).map_or_else(
        || !host.contains([':', '/', '@']),
        |inner| inner.parse::<std::net::Ipv6Addr>().is_ok(),
    );
    !host.is_empty() && plain && port.parse::<u16>().is_ok_and(|port| port > 0)
}

/// Everything about a call that can be known to be wrong without asking the centre; all of it at once.
pub(super) fn mistakes(arguments: &Arguments, words: &Words, now: Time) -> Vec<String> {
    let filter = &arguments.common.filter;
    let mut found = Vec::new();
    for (option, text) in [("--since", &filter.since), ("--until", &filter.until)] {
        if let Some(text) = text.as_ref().filter(|text| filter::time(text, now).is_none()) {
            found.push(wrong(words, option, text, TIMES.1));
        }
    }
    if let (Some(since), Some(until)) = (time(filter, now, true), time(filter, now, false))
        && until < since
    {
        found.push(words.get("bad-window"));
    }
    if let Some(address) = arguments
        .common
        .collector
        .as_ref()
        .filter(|text| !is_address(text.strip_prefix(SCHEME).unwrap_or(text)))
    {
        found.push(wrong(words, "--collector", address, "HOST:PORT"));
    }
    let allowed = match &arguments.command {
        Some(Command::Agencies | Command::Systems | Command::Agents | Command::Checks) => states(),
        Some(Command::Incidents { action: None }) => incident_states(),
        Some(Command::Notifications { .. }) => NOTIFICATION_STATES.to_vec(),
        // An event's outcome is what its source says.
        _ => Vec::new(),
    };
    if let Some(status) = filter.status.as_ref().filter(|_| !allowed.is_empty())
        && !allowed.contains(&status.as_str())
    {
        found.push(wrong(words, "--status", status, &allowed.join(", ")));
    }
    let is_report = matches!(&arguments.command, Some(Command::Report { .. }));
    let form = arguments.common.format;
    if !form.fits(is_report) {
        found.push(wrong(words, "--format", form.name(), &Form::allowed(is_report)));
    }
    match &arguments.command {
        Some(Command::Report { action }) => found.extend(of_report(action, words)),
        Some(
            Command::Duties { incident: Some(text) }
            | Command::Notifications { options: notifications::Options { incident: Some(text), .. } },
        ) if text.parse::<vonggac_wire::IncidentId>().is_err() => {
            found.push(words.with("bad-id", &[("text", text)]));
        }
        Some(Command::Incidents { action: Some(action) }) => {
            found.extend(of_action(action, words, now));
        }
        Some(Command::Saved { action: Some(saved::Action::Delete { search, yes: false }) }) => {
            found.push(words.with("saved-not-sure", &[("name", search)]));
        }
        Some(
            Command::Receipts | Command::Verify { file: None, .. } | Command::Export | Command::Why,
        ) if filter.agency.is_none() => {
            found.push(words.get("evidence-agency"));
        }
        Some(Command::BreakGlass { action }) => found.extend(of_glass(action, filter, words)),
        Some(Command::Suppress { action } | Command::Maintenance { action }) => {
            found.extend(of_quiet(action, words, now));
        }
        Some(Command::Spread { what }) => {
            let field = what.split_once('=').map(|(field, _)| field);
            if let Some(field) = field.filter(|field| !SPREAD_FIELDS.contains(field)) {
                found.push(wrong(words, "spread", field, &SPREAD_FIELDS.join(", ")));
            }
        }
        Some(Command::Schema { screen }) if schema::of(screen).is_none() => {
            found.push(wrong(words, "schema", screen, &schema::NAMES.join(", ")));
        }
        _ => {}
    }
    found
}

fn time(filter: &Filter, now: Time, since: bool) -> Option<Time> {
    let text = if since { filter.since.as_ref() } else { filter.until.as_ref() };
    filter::time(text?, now)
}

fn of_report(action: &report::Action, words: &Words) -> Option<String> {
    match action {
        report::Action::Draft { id, .. } => {
            let is_wrong = id.parse::<vonggac_wire::IncidentId>().is_err();
            is_wrong.then(|| words.with("bad-id", &[("text", id)]))
        }
        report::Action::Summary { half, .. } => {
            let is_wrong = half.parse::<crate::report::Half>().is_err();
            is_wrong.then(|| wrong(words, "--half", half, "2026-H1, 2026-H2"))
        }
    }
}

fn of_glass(action: &glass::Action, filter: &Filter, words: &Words) -> Vec<String> {
    let glass::Action::Request { what, valid, .. } = action else { return Vec::new() };
    let mut found = Vec::new();
    if filter.agency.is_none() {
        found.push(words.get("evidence-agency"));
    }
    if !glass::WHAT.contains(&what.as_str()) {
        found.push(wrong(words, "--what", what, &glass::WHAT.join(", ")));
    }
    if let Some(text) = valid.as_ref().filter(|text| glass::duration(text).is_none()) {
        found.push(wrong(words, "--valid", text, VALID));
    }
    found
}

fn of_quiet(action: &quiet::Action, words: &Words, now: Time) -> Option<String> {
    let quiet::Action::Add { how_long, from, .. } = action else { return None };
    let from = from.as_deref();
    if let Some(text) = from.filter(|text| quiet::moment(text, now).is_none()) {
        return Some(wrong(words, "--from", text, TIMES.0));
    }
    let is_wrong = quiet::times(from, how_long, now).is_none();
    is_wrong.then(|| wrong(words, "--for", how_long, TIMES.0))
}

fn of_action(action: &Action, words: &Words, now: Time) -> Vec<String> {
    let mut found = Vec::new();
    for number in action.id().split(',') {
        if number.trim().parse::<vonggac_wire::IncidentId>().is_err() {
            found.push(words.with("bad-id", &[("text", number.trim())]));
        }
    }
    let verdict = match action {
        Action::Close { verdict, .. } => verdict.as_ref(),
        Action::Judge { verdict, .. } => Some(verdict),
        _ => None,
    };
    if let Some(name) = verdict.filter(|name| Verdict::from_name(name).is_none()) {
        let allowed = Verdict::ALL.map(Verdict::name).join(", ");
        found.push(wrong(words, "verdict", name, &allowed));
    }
    let (option, end) = match action {
        Action::Assign { deadline, .. } => ("--deadline", deadline.as_ref()),
        Action::Hide { how_long, .. } => ("--for", Some(how_long)),
        _ => ("", None),
    };
    if let Some(text) = end.filter(|text| later(text, now).is_none()) {
        found.push(wrong(words, option, text, TIMES.0));
    }
    if let Action::Reported { at: Some(at), .. } = action
        && filter::time(at, now).is_none()
    {
        found.push(wrong(words, "--at", at, TIMES.1));
    }
    if let Action::Merge { into, .. } = action
        && into.trim_start_matches('#').parse::<vonggac_wire::IncidentId>().is_err()
    {
        found.push(words.with("bad-id", &[("text", into)]));
    }
    found
}

/// What clap refuses, in the operator's language.
pub(super) fn refused(error: &clap::Error, words: &Words) -> String {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        Some(ContextValue::Strings(all)) => all.join(", "),
        Some(ContextValue::Number(number)) => number.to_string(),
        _ => String::new(),
    };
    let option = text(ContextKind::InvalidArg);
    let told = match error.kind() {
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
            let (value, allowed) = (text(ContextKind::InvalidValue), text(ContextKind::ValidValue));
            if allowed.is_empty() && value.is_empty() {
                words.with("usage-no-value", &[("option", &option)])
            } else {
                let number = words.get("usage-number");
                let allowed = if allowed.is_empty() { &number } else { &allowed };
                wrong(words, &option, &value, allowed)
            }
        }
        ErrorKind::UnknownArgument => words.with("usage-unknown", &[("option", &option)]),
        ErrorKind::InvalidSubcommand => {
            words.with("usage-unknown", &[("option", &text(ContextKind::InvalidSubcommand))])
        }
        ErrorKind::MissingRequiredArgument => words.with("usage-missing", &[("option", &option)]),
        _ => error.kind().to_string(),
    };
    let near =
        [ContextKind::SuggestedArg, ContextKind::SuggestedSubcommand, ContextKind::SuggestedValue];
    let near = near.map(text).concat();
    let near = if near.is_empty() { near } else { words.with("usage-near", &[("text", &near)]) };
    format!("{told}{near} {}", words.get("usage-help"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::words::Lang;

    fn found(line: &str) -> Vec<String> {
        let arguments = Arguments::try_parse_from(line.split_whitespace()).expect("clap takes it");
        let now = "2026-11-24T02:41:07Z".parse().expect("a time");
        mistakes(&arguments, &crate::words::of(Lang::En), now)
    }

    #[test]
    fn every_bad_value_is_named_with_what_is_allowed() {
        let cases = [
            ("vonggac incidents assign 7 Minh --deadline nonsense", "2h, 45m, 3d, 14:30"),
            ("vonggac incidents hide 7 work --for yesterday", "2h, 45m, 3d, 14:30"),
            ("vonggac incidents close 7 --verdict maybe", "false_positive, true_positive"),
            ("vonggac incidents judge 7 maybe", "false_positive, true_positive"),
            ("vonggac incidents merge 7 seven", "seven"),
            ("vonggac incidents ack 7,x", "x"),
            ("vonggac events --since gestern", "08:00"),
            ("vonggac events --until 25:99", "25:99"),
            ("vonggac agencies --status broken", "under_attack"),
            ("vonggac incidents --status broken", "in_progress"),
            ("vonggac report draft x --kind final", "x"),
            ("vonggac report draft 7 --kind final --format csv", "odt, pdf"),
            ("vonggac report summary --half 2026", "2026-H1, 2026-H2"),
            ("vonggac duties --incident x", "x"),
            ("vonggac duties --format pdf", "table, json"),
            (
                "vonggac incidents reported 7 --duty incident-notice --reference 1/BC --at gestern",
                "08:00",
            ),
            ("vonggac spread mac=00:00", "src_ip, user, url, host"),
            ("vonggac schema nothing", "agencies, systems"),
            ("vonggac saved delete ssh", "--yes"),
            ("vonggac export", "--agency"),
            ("vonggac why --since 2h", "--agency"),
            (
                "vonggac break-glass request --agency H49 --what all --reason r",
                "export, pseudonyms",
            ),
            ("vonggac break-glass request --what export --reason r", "--agency"),
            (
                "vonggac break-glass request --agency H49 --what export --reason r --valid soon",
                "2h, 45m",
            ),
            (
                "vonggac suppress add --rule web-attack --reason r --for gestern",
                "2h, 45m, 3d, 14:30",
            ),
            ("vonggac maintenance add --agency H49 --reason r --for 2h --from x", "2h, 45m, 3d"),
            ("vonggac --collector http://10.0.0.5:7443 agencies", "HOST:PORT"),
            ("vonggac --collector 10.0.0.5 agencies", "HOST:PORT"),
            ("vonggac --collector 10.0.0.5:99999 agencies", "HOST:PORT"),
            ("vonggac --collector ::1:7443 agencies", "HOST:PORT"),
        ];
        for (line, allowed) in cases {
            let found = found(line);
            assert!(found.len() == 1 && found[0].contains(allowed), "{line}: {found:?}");
        }
        assert_eq!(found("vonggac events --since x --until y").len(), 2, "all at once");
        assert_eq!(found("vonggac events --since 1h --until 2h").len(), 1, "ends before it begins");
    }

    #[test]
    fn good_calls_have_no_mistake() {
        for line in [
            "vonggac",
            "vonggac incidents assign 7 Minh --deadline 14:30",
            "vonggac incidents hide #7,#8 work --for 3d",
            "vonggac incidents close 7 --verdict true-positive",
            "vonggac incidents merge 7 #8",
            "vonggac events --status whatever --since 2h --until 1h",
            "vonggac agencies --status ok",
            "vonggac spread 203.0.113.7",
            "vonggac schema health",
            "vonggac saved",
            "vonggac saved save ssh user:root --agency tk-48",
            "vonggac saved delete ssh --yes",
            "vonggac audit --who lan --call sql --outcome ok --agency H49 --since 2h",
            "vonggac audit --verify --format md",
            "vonggac export --agency H49 --since 2h --format csv",
            "vonggac break-glass request --agency H49 --what export --reason r --valid 2h",
            "vonggac break-glass list",
            "vonggac suppress add --rule web-attack --src-ip 10.1.0.0/16 --reason r --for 30d",
            "vonggac suppress list --all --agency H49",
            "vonggac why --agency H49 --since 2h --rule web-attack --format csv",
            "vonggac maintenance add --agency H49 --reason r --from 22:00 --for 4h --owner lan",
            "vonggac maintenance end 1a2b3c4d --reason r",
            "vonggac duties --incident #7 --format csv",
            "vonggac report draft 7 --kind initial --format pdf --output a.pdf",
            "vonggac report summary --half 2026-H2 --format odt --in en --since 2h",
            "vonggac incidents reported 7 --duty incident-notice --reference 12/BC --at 08:00",
            "vonggac break-glass confirm 1a2b3c4d",
            "vonggac events --follow --class authentication",
            "vonggac enrol --token vgt1.x --centre https://centre.example:7444 --out /o",
            "vonggac --collector 10.0.0.5:7443 agencies",
            "vonggac --collector centre.example.vn:7443 agencies",
            "vonggac --collector https://centre.example.vn:7443 agencies",
            "vonggac --collector [::1]:7443 agencies",
        ] {
            assert_eq!(found(line), Vec::<String>::new(), "{line}");
        }
    }
}
