//! From a line to an event. Adding a format is one file and one row of [`FORMATS`].
//!
//! `auto` decides for each line: cheap looks at its first bytes name the candidates, and the first that understands it wins. A line
//! that no format knows is kept as an OCSF base event with its raw text.

use std::{
    borrow::Cow,
    path::Path,
    sync::{Arc, LazyLock},
};

use jiff::tz::TimeZone;
use memchr::memmem::Finder;
use vonggac_wire::{
    Event, Time,
    event::{Activity, Body, Class, Status, TimeDoubt},
};

use declared::Declared;
use vonggac_daemon::settings::SettingsError;

mod audit;
pub(crate) mod clock;
mod combined;
pub mod connection;
pub(crate) mod declared;
mod generic;
mod http;
pub mod join;
mod json;
mod modsecurity;
mod names;
mod program;
mod sshd;
mod sudo;
mod syslog;
mod text;
mod w3c;
mod wrapped;
mod zone;

/// What a format needs to know beside the line.
#[derive(Clone, Debug)]
pub struct Context {
    /// When the line was read: for years and times that it does not tell.
    pub observed: Time,
    /// The zone of times that name none.
    pub zone: TimeZone,
    /// Formats beside those in Rust.
    declared: Arc<Declared>,
    /// The columns that the file's header names.
    columns: Option<Arc<str>>,
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
        Self { observed, zone, declared: Declared::builtin(), columns: None }
    }

    /// With the columns that a header names, as [`join::Joiner::header`] keeps it.
    #[must_use]
    pub fn with_columns(mut self, columns: Option<Arc<str>>) -> Self {
        self.columns = columns;
        self
    }

    /// The columns that it has been given.
    #[must_use]
    pub fn columns(&self) -> Option<Arc<str>> {
        self.columns.clone()
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
    /// What happened. In a box: it is handed from format to format, and is large.
    pub body: Box<Body>,
    /// The format, e.g. "sshd".
    pub format: Cow<'static, str>,
    /// The host that the line names.
    pub device: String,
}

impl Parsed {
    pub(crate) fn activity(format: &'static str, activity: Activity) -> Self {
        Self {
            time: None,
            body: Box::new(Body::Activity(activity)),
            format: format.into(),
            device: String::new(),
        }
    }
}

/// The format that was named for a line which another one read.
pub const NAMED: &str = "format_named";

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
    ("auditd", "records of the Linux audit daemon", audit::parse),
    ("w3c", "columns named by #Fields: IIS (web, FTP, SMTP), HTTP.sys, Exchange", w3c::parse),
    ("cri", "containers as the kubelet keeps them; the inner line by its own format", wrapped::cri),
    (
        "wrapped",
        "containers as Docker keeps them, the journal's JSON; the inner line by its own format",
        wrapped::json,
    ),
    (
        "modsecurity-audit",
        "ModSecurity's serial audit log, versions 2 and 3, a transaction a record",
        modsecurity::parse,
    ),
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

/// A format as it is listed.
#[derive(Clone, Copy, Debug)]
pub struct Listed {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub about: &'static str,
    /// Where its notation is written down, or was read; empty where the name says it.
    pub source: &'static str,
}

/// All formats, with the programs that syslog lines may be of.
#[must_use]
pub fn list() -> Vec<Listed> {
    let formats = FORMATS.iter().map(|(name, about, _)| (*name, *about)).chain(program::list());
    let mut all: Vec<Listed> =
        formats.map(|(name, about)| Listed { name, about, source: "" }).collect();
    all.extend(Declared::builtin().formats().iter().map(|format| Listed {
        name: format.name,
        about: format.about,
        source: format.source,
    }));
    all
}

/// Makes an event of a line. `cut_bytes` were cut away by the reader; `name` is a format's or "auto".
#[must_use]
pub fn event(name: &str, line: &[u8], cut_bytes: u64, context: &Context) -> (Event, bool) {
    event_of(name, line.to_vec(), cut_bytes, context)
}

/// The same of a line that is not needed for anything else.
#[must_use]
pub fn event_of(name: &str, line: Vec<u8>, cut_bytes: u64, context: &Context) -> (Event, bool) {
    // Almost every line is whole UTF-8, and is told so in wide steps.
    let text =
        std::str::from_utf8(&line).map_or_else(|_| String::from_utf8_lossy(&line), Cow::Borrowed);
    let text = text.trim_end_matches(['\r', '\n']);
    let found = find(name, text, context);
    // A format that was named wrongly is corrected, and the event tells both.
    let corrected = found.is_none() && name != "auto";
    let found = found.or_else(|| if corrected { find("auto", text, context) } else { None });
    let known = found.is_some();
    let mut parsed = found.unwrap_or_else(|| unparsed(text));
    if let (true, Body::Activity(activity)) = (known && corrected, &mut *parsed.body) {
        activity.unmapped.insert(NAMED.into(), name.to_owned());
    }
    let (time, doubt) = parsed.time.unwrap_or((context.observed, TimeDoubt::Observed));
    let event = Event::of(time, context.observed, parsed.body)
        .with_time_doubt(doubt)
        .with_device(&parsed.device)
        .with_raw_line(line, cut_bytes);
    let event = match parsed.format {
        Cow::Borrowed(name) => event.with_format_named(name),
        Cow::Owned(name) => event.with_format(&name),
    };
    (event, known)
}

fn find(name: &str, text: &str, context: &Context) -> Option<Parsed> {
    if name == "auto" {
        return find_auto(text, context);
    }
    if let Some((.., parse)) = FORMATS.iter().find(|(known, ..)| *known == name) {
        return parse(text, context);
    }
    if let Some(format) = context.declared.find(name) {
        return format.line(text, context);
    }
    find_auto(text, context)
}

/// By the line's looks.
fn find_auto(text: &str, context: &Context) -> Option<Parsed> {
    let text = text.trim_start_matches('\u{feff}');
    // Some programs indent their objects.
    let text = Some(text.trim_start()).filter(|text| text.starts_with('{')).unwrap_or(text);
    let wrapped = match text.as_bytes().first()? {
        b'{' => wrapped::json(text, context),
        b'0'..=b'9' => wrapped::cri(text, context),
        _ => None,
    };
    wrapped.or_else(|| bare(text, context))
}

/// A line without what a container runtime or the journal puts around it.
fn bare(text: &str, context: &Context) -> Option<Parsed> {
    if context.columns.is_some() {
        if let Some(parsed) = w3c::parse(text, context) {
            return Some(parsed);
        }
    }
    if let Some(plain) = wrapped::without_colours(text) {
        return known(&plain, context).or_else(|| generic::parse(&plain, context));
    }
    let found = known(text, context).or_else(|| {
        let inner = wrapped::without_container(text)?;
        known(inner, context).or_else(|| generic::parse(inner, context))
    });
    found.or_else(|| generic::parse(text, context))
}

/// By a format that knows the line.
fn known(text: &str, context: &Context) -> Option<Parsed> {
    let found = match text.as_bytes().first()? {
        b'{' => object(text, context),
        b't' | b'n' if text.contains(" msg=audit(") => audit::parse(text, context),
        b'<' => syslog::parse(text, context).or_else(|| context.declared.line(text, context)),
        b'-' if text.starts_with("--") => {
            modsecurity::parse(text, context).or_else(|| modsecurity::piece(text))
        }
        b'#' => w3c::parse(text, context),
        _ => None,
    };
    found.or_else(|| mixed(text, context))
}

/// What ends an access log's time and begins its request.
static REQUEST_BEGINS: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("] \""));

/// Whether a line may be one of an access log.
fn has_request(text: &str) -> bool {
    REQUEST_BEGINS.find(text.as_bytes()).is_some()
}

/// A JSON object, read once: of a format that knows its keys, else by the usual names.
fn object(text: &str, context: &Context) -> Option<Parsed> {
    let object = declared::shape::Object::new(text);
    let known = context.declared.line_of(text, &object, context);
    known.or_else(|| json::of(object.values()?, context))
}

/// A line that may be of syslog or of a program's own log.
fn mixed(text: &str, context: &Context) -> Option<Parsed> {
    if has_request(text) {
        if let Some(parsed) = combined::parse(text, context) {
            return Some(parsed);
        }
    }
    // A program that a format knows by its tag is surer than a line's look.
    syslog::known(text, context)
        .or_else(|| {
            // `Nov 24 16:00:00` begins syslog's lines: its header keeps the time for whatever stands behind it.
            clock::bsd(text, context).and_then(|_| syslog::parse(text, context))
        })
        .or_else(|| w3c::parse(text, context))
        .or_else(|| context.declared.line(text, context))
        .or_else(|| syslog::parse(text, context))
}

/// A whole line of another log inside a message: a web server's through syslog, a container's, an appliance's.
fn embedded(text: &str, context: &Context) -> Option<Parsed> {
    let text = text.trim_start();
    if text.starts_with('{') {
        return object(text, context);
    }
    if has_request(text) {
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
