//! The settings of `[notify]`: channels, who is told what and when, and how far a text may go.
//!
//! ```toml
//! [notify]
//! tlp = "amber"                    # what incidents are marked, where no marking says otherwise
//! give_up_after = "24h"            # then the doctor, a figure and the incident tell that it was not sent
//! simulated = false                # incidents of a simulation are not told
//!
//! [[notify.marking]]               # the highest of those that match holds
//! rules = ["break-glass"]
//! tlp = "red"
//!
//! [[notify.channel]]
//! name = "duty-mail"
//! kind = "smtp"                    # smtp, webhook, telegram, slack, syslog-cef
//! tlp = "amber"                    # carries nothing that is marked above
//! messages_per_hour_max = 30
//! host = "mail.example"
//! user = "vonggac"
//! password_file = "/etc/vonggac/secret/mail"
//! from = "vonggac@example"
//! to = ["duty@example"]
//!
//! [[notify.route]]
//! name = "night"
//! channels = ["duty-mail"]
//! severity = "high"                # and what is worse
//! hours = "18:00-07:00"            # on the clocks of Vietnam
//! events = ["opened", "escalated"]
//!
//! [[notify.digest]]
//! name = "morning"
//! channels = ["duty-mail"]
//! at = ["07:30"]
//! ```

use std::{collections::BTreeSet, time::Duration};

use vonggac_daemon::settings::Table;
use vonggac_wire::incident::Severity;

use super::tlp::Tlp;

pub mod channel;
pub mod route;

pub use channel::{Channel, Form, Http, Smtp, SmtpTls, Syslog, Transport, Way};
pub use route::{Digest, Marking, Recipient, Route};

/// Channels: each is a label of figures and a task that may be on its way.
pub const CHANNELS_MAX: usize = 32;

/// Routes and digests: each is tried on every step.
pub const ROUTES_MAX: usize = 256;

/// People who are told by their role: a shift of every agency.
pub const RECIPIENTS_MAX: usize = 2_000;

/// How long a note is tried if nobody says: a mail server that was down for a night has what came meanwhile.
const GIVE_UP_AFTER: Duration = Duration::from_secs(24 * 3_600);

/// What can be set of it: beyond three days nobody is helped by the word that something happened.
const GIVE_UP_AFTER_RANGE: (Duration, Duration) =
    (Duration::from_secs(60), Duration::from_secs(72 * 3_600));

/// All of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// What an incident is marked, unless a marking says otherwise.
    pub tlp: Tlp,
    /// Markings of some incidents.
    pub markings: Vec<Marking>,
    /// Whether incidents of a simulation are told.
    pub simulated: bool,
    /// How long a note is tried.
    pub give_up_after: Duration,
    /// Ways out.
    pub channels: Vec<Channel>,
    /// Who is told of which steps.
    pub routes: Vec<Route>,
    /// Who is told what all of it came to.
    pub digests: Vec<Digest>,
    /// Who has which role, for channels of mail.
    pub recipients: Vec<Recipient>,
}

impl Settings {
    /// Reads `[notify]`; `None`: it is not there, and nobody is told anything.
    pub fn take(root: &mut Table<'_>) -> Option<Self> {
        root.table_if_there("notify", Self::of)
    }

    fn of(table: &mut Table<'_>) -> Self {
        let tlp = tlp(table).unwrap_or(Tlp::Amber);
        let simulated = table.bool("simulated").unwrap_or(false);
        let (least, most) = GIVE_UP_AFTER_RANGE;
        let give_up_after = table.duration("give_up_after", least, most).unwrap_or(GIVE_UP_AFTER);
        let markings = table.tables("marking", Marking::take);
        let read = table.tables("channel", Channel::take);
        let names: Vec<String> = read.iter().map(|(name, _)| name.clone()).collect();
        let channels: Vec<Channel> = read.into_iter().filter_map(|(_, channel)| channel).collect();
        let recipients: Vec<Recipient> =
            table.tables("recipient", Recipient::take).into_iter().flatten().collect();
        let routes =
            table.tables("route", |route| Route::take(route, (&names, &channels), &recipients));
        let digests = table.tables("digest", |digest| Digest::take(digest, &names));
        if names.is_empty() {
            table.wrong("channel", "is missing; wanted at least one [[notify.channel]]");
        }
        for (name, count, most) in [
            ("channel", names.len(), CHANNELS_MAX),
            ("route", routes.len() + digests.len(), ROUTES_MAX),
            ("marking", markings.len(), ROUTES_MAX),
            ("recipient", recipients.len(), RECIPIENTS_MAX),
        ] {
            if count > most {
                table.wrong(name, format!("are {count}; at most {most} are allowed"));
            }
        }
        once(table, "channel", names.iter());
        let named = routes.iter().map(|route| &route.name);
        once(table, "route", named.chain(digests.iter().map(|digest| &digest.name)));
        Self { tlp, markings, simulated, give_up_after, channels, routes, digests, recipients }
    }

    /// A channel by its name.
    #[must_use]
    pub fn channel(&self, name: &str) -> Option<&Channel> {
        self.channels.iter().find(|channel| channel.name == name)
    }
}

/// Names tell rows of the queue apart, so none is there twice.
fn once<'a>(table: &mut Table<'_>, key: &str, names: impl Iterator<Item = &'a String>) {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name) && !name.is_empty() {
            table.wrong(key, format!("names {name:?} twice; give each its own name"));
        }
    }
}

/// A marking, where one is said.
fn tlp(table: &mut Table<'_>) -> Option<Tlp> {
    table.parsed("tlp", "clear, green, amber, amber+strict or red")
}

/// What is at least so bad; unless it is said, everything.
fn severity(table: &mut Table<'_>) -> Severity {
    let word = table.text("severity");
    let all = [Severity::Critical, Severity::High, Severity::Medium, Severity::Low];
    let found = word.as_ref().and_then(|word| all.into_iter().find(|level| level.name() == word));
    if let (Some(word), None) = (&word, found) {
        table.wrong("severity", format!("is {word:?}; wanted critical, high, medium or low"));
    }
    found.unwrap_or(Severity::Low)
}

/// A name that stands in figures, ids and answers.
fn name(table: &mut Table<'_>) -> String {
    let name = table.text_required("name");
    let fits = name.len() <= 48
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if !fits {
        table.wrong(
            "name",
            format!(
                "is {name:?}; wanted up to 48 small letters, digits and `-`, like \"duty-mail\""
            ),
        );
    }
    name
}

#[cfg(test)]
pub(super) mod tests;
