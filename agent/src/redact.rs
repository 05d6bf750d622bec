//! What is taken out of an event before it is spooled: citizens' data and secrets.
//!
//! [`scan`] finds them in one pass, [`Redactor`] puts marks in their place: in the raw line, and in every field that was cut from it.
//! Who tried to log in and from where stays readable unless the configuration says otherwise, because a watch is for nothing without;
//! only a person's own number in such a place becomes a pseudonym, so that attempts on it are still counted as one.

use std::{borrow::Cow, path::Path};

use regex::bytes::Regex;
use vonggac_wire::{
    Event,
    event::{Activity, Body},
};

mod mail;
mod marks;
mod number;
mod pseudonym;
mod scan;
mod secret;

pub use pseudonym::{KeyError, Pseudonyms};
use scan::{Finding, Kind};

/// What stands in a secret's place.
const MASK: &str = "***";

/// Characters of a name or address that are looked for in a text, at least: shorter ones would hit other words.
const PERSON_CHARACTERS_MIN: usize = 3;

/// What is done with what was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It stays.
    Keep,
    /// A mark stands in its place.
    Mask,
    /// A keyed pseudonym stands in its place.
    Pseudonym,
}

impl std::str::FromStr for Mode {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "keep" => Ok(Self::Keep),
            "mask" => Ok(Self::Mask),
            "pseudonym" => Ok(Self::Pseudonym),
            _ => Err("no such mode"),
        }
    }
}

/// What the configuration asks for.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Identity numbers.
    pub identity_numbers: Mode,
    /// Telephone numbers.
    pub telephones: Mode,
    /// Persons' addresses of mail.
    pub emails: Mode,
    /// Bank cards.
    pub cards: Mode,
    /// Passwords, tokens, keys: [`Mode::Keep`] or [`Mode::Mask`].
    pub secrets: Mode,
    /// `user.name` and `actor.user.name`.
    pub user_names: Mode,
    /// `src_endpoint.ip`.
    pub source_addresses: Mode,
    /// Names whose values are taken, in texts and among unmapped fields; dotted OCSF names mean that field.
    pub fields: Vec<String>,
    /// What else is taken.
    pub patterns: Vec<Regex>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            identity_numbers: Mode::Mask,
            telephones: Mode::Mask,
            emails: Mode::Mask,
            cards: Mode::Mask,
            secrets: Mode::Mask,
            user_names: Mode::Keep,
            source_addresses: Mode::Keep,
            fields: Vec::new(),
            patterns: Vec::new(),
        }
    }
}

/// Takes out what the rules name.
#[derive(Clone, Debug)]
pub struct Redactor {
    rules: Rules,
    /// The rules' fields, as names are compared.
    squeezed: Vec<String>,
    pseudonyms: Pseudonyms,
}

impl Redactor {
    /// By these rules, with this key.
    #[must_use]
    pub fn new(rules: Rules, pseudonyms: Pseudonyms) -> Self {
        let squeezed = rules.fields.iter().map(|field| secret::squeeze(field)).collect();
        Self { rules, squeezed, pseudonyms }
    }

    /// By these rules, with the key that is kept in a file.
    ///
    /// # Errors
    /// If the key file cannot be used.
    pub fn with_key_file(rules: Rules, path: &Path) -> Result<Self, KeyError> {
        Ok(Self::new(rules, Pseudonyms::open(path)?))
    }

    /// What a line becomes, and how many findings of each kind were taken out of it.
    #[must_use]
    pub fn explain<'a>(&self, line: &'a [u8]) -> (Cow<'a, [u8]>, Vec<&'static str>) {
        let kinds = self.findings(line).iter().map(|finding| finding.kind.name()).collect();
        (self.bytes(line), kinds)
    }

    /// Redacts an event: its raw line, and what its fields hold.
    #[must_use]
    pub fn apply(&self, event: Event) -> Event {
        let raw = self.bytes(event.raw());
        let untouched = match &raw {
            Cow::Borrowed(line) => Some(*line),
            Cow::Owned(_) => None,
        };
        if self.is_clean(&event, untouched) {
            return event;
        }
        let mut raw = raw.into_owned();
        event.with_edits(|kept, body| {
            match body {
                Body::Activity(activity) => self.activity(activity, &mut raw),
                other => self.usage_and_checks(other),
            }
            *kept = raw;
        })
    }

    /// What a line becomes.
    #[must_use]
    pub fn bytes<'a>(&self, text: &'a [u8]) -> Cow<'a, [u8]> {
        let findings = self.findings(text);
        if findings.is_empty() {
            return Cow::Borrowed(text);
        }
        let mut out = Vec::with_capacity(text.len());
        let mut taken = 0;
        for Finding { start, end, kind } in findings {
            out.extend_from_slice(&text[taken..start]);
            out.extend_from_slice(self.stand_in(kind, &text[start..end]).as_bytes());
            taken = end;
        }
        out.extend_from_slice(&text[taken..]);
        Cow::Owned(out)
    }

    /// Fields are pieces of their line: where nothing was found in it, they hold nothing, unless they were unescaped.
    fn is_clean(&self, event: &Event, untouched: Option<&[u8]>) -> bool {
        let plain =
            untouched.is_some_and(|line| !line.is_empty() && memchr::memchr(b'\\', line).is_none());
        match event.body() {
            Body::Activity(_) => {
                plain
                    && self.rules.user_names == Mode::Keep
                    && self.rules.source_addresses == Mode::Keep
                    && self.rules.fields.is_empty()
            }
            Body::Heartbeat(_) | Body::HostFigures(_) | Body::Gap(_) => true,
            _ => false,
        }
    }

    fn mode(&self, kind: Kind) -> Mode {
        match kind {
            Kind::Identity => self.rules.identity_numbers,
            Kind::Telephone => self.rules.telephones,
            Kind::Email => self.rules.emails,
            Kind::Card => self.rules.cards,
            Kind::Secret => self.rules.secrets,
            Kind::Field | Kind::Pattern => Mode::Mask,
        }
    }

    fn findings(&self, text: &[u8]) -> Vec<Finding> {
        let mut all = scan::scan(text, &self.squeezed);
        all.retain(|finding| self.mode(finding.kind) != Mode::Keep);
        for pattern in &self.rules.patterns {
            for hit in pattern.find_iter(text).filter(|hit| !hit.is_empty()) {
                // What a pattern touches is taken with it: nothing of either may stay.
                let (mut start, mut end) = (hit.start(), hit.end());
                all.retain(|f| {
                    let apart = f.end <= start || f.start >= end;
                    if !apart {
                        (start, end) = (start.min(f.start), end.max(f.end));
                    }
                    apart
                });
                let place = all.partition_point(|f| f.start < start);
                all.insert(place, Finding::new(start, end, Kind::Pattern));
            }
        }
        all
    }

    fn stand_in(&self, kind: Kind, value: &[u8]) -> Cow<'static, str> {
        let mark = match kind {
            Kind::Identity => "[id]",
            Kind::Telephone => "[phone]",
            Kind::Email => "[email]",
            Kind::Card => "[card]",
            Kind::Field => "[field]",
            Kind::Pattern => "[redacted]",
            Kind::Secret => return MASK.into(),
        };
        if self.mode(kind) != Mode::Pseudonym {
            return mark.into();
        }
        let name = self.pseudonyms.text(&String::from_utf8_lossy(value));
        format!("{}:{name}]", mark.trim_end_matches(']')).into()
    }

    fn text(&self, text: &mut String) {
        if let Cow::Owned(redacted) = self.bytes(text.as_bytes()) {
            *text = String::from_utf8_lossy(&redacted).into_owned();
        }
    }

    fn names(&self, dotted: &str) -> bool {
        self.rules.fields.iter().any(|field| field == dotted)
    }

    fn activity(&self, activity: &mut Activity, raw: &mut Vec<u8>) {
        for (name, field) in [
            ("message", &mut activity.message),
            ("status_detail", &mut activity.status_detail),
            ("process.cmd_line", &mut activity.process_cmd_line),
            ("file.path", &mut activity.file_path),
        ] {
            self.named(name, field);
        }
        if let Some(http) = &mut activity.http {
            for (name, field) in [
                ("http_request.url", &mut http.url),
                ("http_request.referrer", &mut http.referrer),
                ("http_request.user_agent", &mut http.user_agent),
            ] {
                self.named(name, field);
            }
        }
        for (name, value) in &mut activity.unmapped {
            let last = name.rsplit('.').next().unwrap_or(name);
            let kind = secret::kind_of(secret::squeeze(last).as_bytes(), &self.squeezed, false);
            match kind.filter(|kind| self.mode(*kind) != Mode::Keep) {
                Some(_) if value.is_empty() => {}
                Some(kind) => *value = self.stand_in(kind, value.as_bytes()).into_owned(),
                None => self.named(name, value),
            }
        }
        self.persons(activity, raw);
    }

    /// A field of this name: all of it, or what is found in it.
    fn named(&self, name: &str, field: &mut String) {
        if !field.is_empty() && self.names(name) {
            *field = self.stand_in(Kind::Field, field.as_bytes()).into_owned();
        } else {
            self.text(field);
        }
    }

    /// Who, and from where.
    fn persons(&self, activity: &mut Activity, raw: &mut Vec<u8>) {
        for user in [&mut activity.user_name, &mut activity.actor_user_name] {
            let mode = self.rules.user_names;
            let fresh = match mode {
                Mode::Keep => self.own_number(user),
                Mode::Mask => (!user.is_empty()).then(|| MASK.to_owned()),
                Mode::Pseudonym => (!user.is_empty()).then(|| self.pseudonyms.field(user)),
            };
            if let Some(fresh) = fresh {
                if mode != Mode::Keep {
                    replace(raw, &mut activity.message, user, &fresh);
                }
                *user = fresh;
            }
        }
        let address = activity.source_address().map(|address| address.to_string());
        if let (Some(address), true) = (address, self.rules.source_addresses != Mode::Keep) {
            let mut fresh = MASK.to_owned();
            if self.rules.source_addresses == Mode::Pseudonym {
                fresh = self.pseudonyms.field(&address);
                activity.unmapped.insert("src_endpoint.pseudonym".into(), fresh.clone());
            }
            replace(raw, &mut activity.message, &address, &fresh);
            activity.src_ip.clear();
        }
    }

    /// The pseudonym of a user whose name is a person's own number.
    fn own_number(&self, user: &str) -> Option<String> {
        let [only] = scan::scan(user.as_bytes(), &[])[..] else { return None };
        let number = matches!(only.kind, Kind::Identity | Kind::Telephone | Kind::Card);
        (number && self.mode(only.kind) != Mode::Keep && (only.start, only.end) == (0, user.len()))
            .then(|| self.pseudonyms.field(user))
    }

    fn usage_and_checks(&self, body: &mut Body) {
        match body {
            Body::Session(session) => {
                // Whatever the portal sends: what goes on can be counted, and not read.
                session.user_pseudonym = self.pseudonyms.field(&session.user_pseudonym);
                self.text(&mut session.service);
            }
            Body::Dossier(dossier) => {
                self.text(&mut dossier.dossier);
                self.text(&mut dossier.service);
            }
            Body::Document(document) => self.text(&mut document.counterpart),
            Body::Payment(payment) => self.text(&mut payment.service),
            Body::Rating(rating) => self.text(&mut rating.service),
            Body::Exchange(exchange) => {
                self.text(&mut exchange.service_code);
                self.text(&mut exchange.fault_code);
                self.text(&mut exchange.message_id);
            }
            Body::Check(check) => {
                self.text(&mut check.target);
                self.text(&mut check.detail);
            }
            Body::Activity(_) | Body::Heartbeat(_) | Body::HostFigures(_) | Body::Gap(_) => {}
        }
    }
}

impl Default for Redactor {
    fn default() -> Self {
        Self::new(Rules::default(), Pseudonyms::fleeting())
    }
}

/// Puts `fresh` wherever `old` stands.
fn replace(raw: &mut Vec<u8>, message: &mut String, old: &str, fresh: &str) {
    if old.chars().count() < PERSON_CHARACTERS_MIN {
        return;
    }
    if message.contains(old) {
        *message = message.replace(old, fresh);
    }
    let mut out = Vec::new();
    let mut taken = 0;
    for place in memchr::memmem::find_iter(raw.as_slice(), old) {
        out.extend_from_slice(&raw[taken..place]);
        out.extend_from_slice(fresh.as_bytes());
        taken = place + old.len();
    }
    if taken > 0 {
        out.extend_from_slice(&raw[taken..]);
        *raw = out;
    }
}

#[cfg(test)]
mod tests;
