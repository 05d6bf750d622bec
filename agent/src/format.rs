//! From a line to an event. Adding a format is one file and one row of [`FORMATS`].
//!
//! `auto` decides for each line: cheap looks at its first bytes name the candidates, and the first that understands it wins. A line
//! that no format knows is kept as an OCSF base event with its raw text.

use std::{borrow::Cow, path::Path, sync::Arc};

use jiff::tz::TimeZone;
use vonggac_wire::{
    Event, Time,
    event::{Activity, Body, Class, Status, TimeDoubt},
};

use declared::Declared;
use vonggac_daemon::settings::SettingsError;

pub(crate) mod clock;
mod combined;
pub(crate) mod declared;
mod generic;
mod http;
mod json;
mod names;
mod program;
mod sshd;
mod sudo;
mod syslog;
mod text;

/// What a format needs to know beside the line.
#[derive(Clone, Debug)]
pub struct Context {
    /// When the line was read: for years and times that it does not tell.
    pub observed: Time,
    /// The zone of times that name none.
    pub zone: TimeZone,
    /// Formats beside those in Rust.
    declared: Arc<Declared>,
}

impl Context {
    /// Read now, on this host.
    #[must_use]
    pub fn here(observed: Time) -> Self {
        Self::at(observed, TimeZone::system())
    }

    /// Read at this time, in this zone.
    #[must_use]
    pub fn at(observed: Time, zone: TimeZone) -> Self {
        Self { observed, zone, declared: Declared::builtin() }
    }

    /// With the formats of an administrator's folder too.
    ///
    /// # Errors
    /// All mistakes of the first file that is wrong.
    pub fn with_formats(mut self, folder: &Path) -> Result<Self, SettingsError> {
        self.declared = Declared::with_folder(folder)?;
        Ok(self)
    }
}

/// What a format made of a line.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// When it happened; `None`: the line does not say.
    pub time: Option<(Time, TimeDoubt)>,
    /// What happened.
    pub body: Body,
    /// The format, e.g. "sshd".
    pub format: Cow<'static, str>,
    /// The host that the line names.
    pub device: String,
}

impl Parsed {
    pub(crate) fn activity(format: &'static str, activity: Activity) -> Self {
        Self {
            time: None,
            body: Body::Activity(activity),
            format: format.into(),
            device: String::new(),
        }
    }
}

/// A way to read a line.
pub type Parse = fn(&str, &Context) -> Option<Parsed>;

/// Name, what it is, and how it reads.
const FORMATS: &[(&str, &str, Parse)] = &[
    ("syslog", "RFC 3164 and RFC 5424 lines; sshd, sudo, su, PAM and others within", syslog::parse),
    (
        "combined",
        "access logs of nginx and Apache: common, combined, with virtual host",
        combined::parse,
    ),
    ("json", "one JSON object a line, with the usual keys", json::parse),
];

/// Whether a configuration may name it.
#[must_use]
pub fn is_known(name: &str) -> bool {
    name == "auto"
        || FORMATS.iter().any(|(known, ..)| *known == name)
        || Declared::builtin().find(name).is_some()
}

/// The formats' names.
#[must_use]
pub fn names() -> Vec<&'static str> {
    let declared = Declared::builtin();
    let declared: Vec<&'static str> = declared.formats().iter().map(|format| format.name).collect();
    FORMATS.iter().map(|(name, ..)| *name).chain(declared).collect()
}

/// Names and what they are, with the programs that syslog lines may be of.
#[must_use]
pub fn list() -> Vec<(&'static str, &'static str)> {
    let formats = FORMATS.iter().map(|(name, about, _)| (*name, *about));
    let declared = Declared::builtin();
    let declared: Vec<_> =
        declared.formats().iter().map(|format| (format.name, format.about)).collect();
    formats.chain(program::list()).chain(declared).collect()
}

/// Makes an event of a line. `cut_bytes` were cut away by the reader; `name` is a format's or "auto".
#[must_use]
pub fn event(name: &str, line: &[u8], cut_bytes: u64, context: &Context) -> (Event, bool) {
    let text = String::from_utf8_lossy(line);
    let text = text.trim_end_matches(['\r', '\n']);
    let parsed = find(name, text, context);
    let known = parsed.is_some();
    let parsed = parsed.unwrap_or_else(|| unparsed(text));
    let (time, doubt) = parsed.time.unwrap_or((context.observed, TimeDoubt::Observed));
    let event = Event::new(time, context.observed, parsed.body)
        .with_time_doubt(doubt)
        .with_format(&parsed.format)
        .with_device(&parsed.device)
        .with_raw(line, cut_bytes);
    (event, known)
}

fn find(name: &str, text: &str, context: &Context) -> Option<Parsed> {
    if let Some((.., parse)) = FORMATS.iter().find(|(known, ..)| *known == name) {
        return parse(text, context);
    }
    if let Some(format) = context.declared.find(name) {
        return format.line(text, context);
    }
    let text = text.trim_start_matches('\u{feff}');
    let found = match text.as_bytes().first()? {
        b'{' => context.declared.line(text, context).or_else(|| json::parse(text, context)),
        b'<' => syslog::parse(text, context).or_else(|| context.declared.line(text, context)),
        _ => mixed(text, context),
    };
    found.or_else(|| generic::parse(text, context))
}

/// A line that may be of syslog or of a program's own log.
fn mixed(text: &str, context: &Context) -> Option<Parsed> {
    if text.contains("] \"") {
        if let Some(parsed) = combined::parse(text, context) {
            return Some(parsed);
        }
    }
    // A program that a format knows by its tag is surer than a line's look.
    syslog::known(text, context)
        .or_else(|| context.declared.line(text, context))
        .or_else(|| syslog::parse(text, context))
}

/// A whole line of another log inside a message: a web server's through syslog, a container's, an appliance's.
fn embedded(text: &str, context: &Context) -> Option<Parsed> {
    let text = text.trim_start();
    if text.starts_with('{') {
        return context.declared.line(text, context).or_else(|| json::parse(text, context));
    }
    if text.contains("] \"") {
        if let Some(parsed) = combined::parse(text, context) {
            return Some(parsed);
        }
    }
    context.declared.line(text, context)
}

fn unparsed(text: &str) -> Parsed {
    let mut activity = Activity::of(Class::Base, 0, Status::Unknown);
    activity.message = text.chars().take(512).collect();
    Parsed::activity("unparsed", activity)
}

#[cfg(test)]
mod tests;
