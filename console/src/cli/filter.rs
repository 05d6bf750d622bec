//! Filters that every command takes where they mean something.

use std::time::Duration;

use jiff::civil;
use vonggac_daemon::settings::parse_duration;
use vonggac_wire::{
    Time,
    proto::{SearchRequest, Term},
};

use crate::wording::{local, moment};

/// Filters.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct Filter {
    /// Rows from then on: 1h, 15m, 08:00, RFC 3339.
    #[arg(long, global = true)]
    pub(super) since: Option<String>,
    /// Rows until then.
    #[arg(long, global = true)]
    pub(super) until: Option<String>,
    /// An agency's code.
    #[arg(long, global = true)]
    pub(super) agency: Option<String>,
    /// A host's name.
    #[arg(long, global = true)]
    pub(super) host: Option<String>,
    /// authentication, http_activity, check, dossier, ...
    #[arg(long, global = true)]
    pub(super) class: Option<String>,
    /// A user's name.
    #[arg(long, global = true)]
    pub(super) user: Option<String>,
    /// A source address.
    #[arg(long, global = true)]
    pub(super) src_ip: Option<String>,
    /// A system's id.
    #[arg(long, global = true)]
    pub(super) system: Option<String>,
    /// success, failure, up, down, ... or an incident's state.
    #[arg(long, global = true)]
    pub(super) status: Option<String>,
    /// A rule's name.
    #[arg(long, global = true)]
    pub(super) rule: Option<String>,
    /// Text in the raw line.
    #[arg(long, global = true)]
    pub(super) text: Option<String>,
    /// Rows at most; 0: all.
    #[arg(long, global = true)]
    pub(super) limit: Option<u32>,
}

/// Hours of a search that names no time.
const WINDOW: Duration = Duration::from_secs(24 * 3600);

impl Filter {
    /// The window; `Err`: the text that is no time.
    pub(super) fn window(&self, now: Time) -> Result<(Time, Time), String> {
        let since = match &self.since {
            Some(text) => time(text, now).ok_or_else(|| text.clone())?,
            None => now.minus(WINDOW),
        };
        let until = match &self.until {
            Some(text) => time(text, now).ok_or_else(|| text.clone())?,
            None => now.plus(Duration::from_secs(600)),
        };
        Ok((since, until))
    }

    /// As a search.
    pub(super) fn search(&self, now: Time) -> Result<SearchRequest, String> {
        let (since, until) = self.window(now)?;
        let fields = [
            ("agency", &self.agency),
            ("host", &self.host),
            ("class", &self.class),
            ("user", &self.user),
            ("src_ip", &self.src_ip),
            ("system", &self.system),
            ("status", &self.status),
            ("rule", &self.rule),
            ("text", &self.text),
        ];
        let terms = fields
            .into_iter()
            .filter_map(|(field, value)| {
                Some(Term { field: field.into(), value: value.clone()?, negated: false })
            })
            .collect();
        Ok(SearchRequest {
            since_unix_nano: since.0,
            until_unix_nano: until.0,
            terms,
            ..SearchRequest::default()
        })
    }

    /// A value passes a filter that is not given.
    pub(super) fn passes(wanted: Option<&String>, value: &str) -> bool {
        wanted.is_none_or(|wanted| wanted == value)
    }
}

/// `1h` ago, `08:00` today (of the nation's clock), or RFC 3339.
pub(super) fn time(text: &str, now: Time) -> Option<Time> {
    if let Some(back) = parse_duration(text.trim_start_matches('-')) {
        return Some(now.minus(back));
    }
    if let Ok(time) = text.parse::<Time>() {
        return Some(time);
    }
    let (hour, minute) = text.split_once(':')?;
    let clock = civil::Time::new(hour.parse().ok()?, minute.parse().ok()?, 0, 0).ok()?;
    moment(local(now).date().to_datetime(clock))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_all_three_forms() {
        let now: Time = "2026-11-24T03:00:00Z".parse().unwrap();
        assert_eq!(time("1h", now), Some("2026-11-24T02:00:00Z".parse().unwrap()));
        assert_eq!(time("-15m", now), Some("2026-11-24T02:45:00Z".parse().unwrap()));
        assert_eq!(time("08:00", now), Some("2026-11-24T01:00:00Z".parse().unwrap()));
        assert_eq!(
            time("2026-11-24T08:00:00+07:00", now),
            Some("2026-11-24T01:00:00Z".parse().unwrap())
        );
        assert_eq!(time("gestern", now), None);
    }
}
