//! Ways out: where a message goes, by whose leave, and how many of them.

use std::time::Duration;

use hyper::Uri;
use serde_json::Value;
use vonggac_answer::words::Lang;
use vonggac_daemon::{secret::Secret, settings::Table};

use super::name;
use crate::{
    config::named::{FILE_BYTES_MAX, authorities, read, secret},
    notify::tlp::Tlp,
};

/// Messages of an hour if nobody says: one every two minutes is what a person on duty still reads.
const MESSAGES_PER_HOUR_MAX: u64 = 30;

/// What can be set of it.
const MESSAGES_PER_HOUR_CEILING: u64 = 3_600;

/// How long what comes is gathered into one message, if nobody says: the incidents of one cause open within seconds of each other.
const GATHER: Duration = Duration::from_secs(10);

/// What can be set of it.
const GATHER_CEILING: Duration = Duration::from_secs(3_600);

/// Addresses of one channel: whoever wants to tell more people has a list at their mail server.
const ADDRESSES_MAX: usize = 50;

/// A way out.
#[derive(Clone, Debug, PartialEq)]
pub struct Channel {
    /// Its name.
    pub name: String,
    /// It carries nothing that is marked above.
    pub tlp: Tlp,
    /// In which language it is told.
    pub lang: Lang,
    /// Messages of an hour; what comes beyond waits, and goes as one.
    pub messages_per_hour_max: usize,
    /// How long what comes is gathered.
    pub gather: Duration,
    /// How it goes.
    pub way: Way,
}

/// How a message goes.
#[derive(Clone, Debug, PartialEq)]
pub enum Way {
    /// Mail.
    Smtp(Box<Smtp>),
    /// A request with a JSON body.
    Http(Box<Http>),
    /// Lines of CEF in syslog.
    Syslog(Box<Syslog>),
}

/// How a mail server is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpTls {
    /// TLS from the first byte (RFC 8314).
    Implicit,
    /// TLS after STARTTLS, and nothing without it.
    StartTls,
    /// Plain text, because somebody asked for it by name.
    None,
}

/// A mail server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Smtp {
    /// Its name.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How it is spoken to.
    pub tls: SmtpTls,
    /// Who speaks.
    pub login: Option<(String, Secret)>,
    /// In whose name.
    pub from: String,
    /// To whom always.
    pub to: Vec<String>,
    /// Who vouches for the server, in PEM; `None`: whom this machine trusts.
    pub authorities: Option<Vec<u8>>,
}

/// What stands in a request's body.
#[derive(Clone, Debug, PartialEq)]
pub enum Form {
    /// Everything that is known, as JSON.
    Webhook,
    /// This document, with the names in its texts' braces filled.
    Template(Value),
    /// A Telegram bot's `sendMessage` to this chat.
    Telegram(String),
    /// Slack's incoming webhook.
    Slack,
}

/// A place that takes requests.
#[derive(Clone, Debug, PartialEq)]
pub struct Http {
    /// Where; the address itself may be the secret.
    pub url: Secret,
    /// What stands in the body.
    pub form: Form,
    /// Signs each request.
    pub key: Option<Secret>,
    /// The `authorization` header.
    pub authorization: Option<Secret>,
    /// Who vouches for the server, in PEM; `None`: whom this machine trusts.
    pub authorities: Option<Vec<u8>>,
}

/// How syslog goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// RFC 5425.
    Tls,
    /// RFC 6587, counted octets.
    Tcp,
    /// RFC 5426: nobody learns whether it came.
    Udp,
}

/// A receiver of syslog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Syslog {
    /// Its name.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How.
    pub transport: Transport,
    /// Who vouches for the server, in PEM; `None`: whom this machine trusts.
    pub authorities: Option<Vec<u8>>,
}

impl Channel {
    /// Its name, and what it is if that can be told: a route to one with a mistake is no further mistake.
    pub(super) fn take(table: &mut Table<'_>) -> (String, Option<Self>) {
        let name = name(table);
        let tlp = super::tlp(table);
        if tlp.is_none() {
            table.wrong(
                "tlp",
                "is missing; say the highest marking that this channel may carry: clear, green, amber, amber+strict or red",
            );
        }
        let word = table.text("lang");
        let lang = word.as_deref().map(Lang::from_code);
        if lang == Some(None) {
            table.wrong("lang", "is wrong; wanted vi or en");
        }
        let messages_per_hour_max = table
            .integer("messages_per_hour_max", 1, MESSAGES_PER_HOUR_CEILING)
            .unwrap_or(MESSAGES_PER_HOUR_MAX);
        let gather = table.duration("gather", Duration::ZERO, GATHER_CEILING).unwrap_or(GATHER);
        let kind = table.text_required("kind");
        let way = match kind.as_str() {
            "smtp" => smtp(table).map(|smtp| Way::Smtp(Box::new(smtp))),
            "webhook" => {
                let template = template(table);
                let form = template.map_or(Form::Webhook, Form::Template);
                http(table, form).map(|http| Way::Http(Box::new(http)))
            }
            "telegram" => telegram(table).map(|http| Way::Http(Box::new(http))),
            "slack" => http(table, Form::Slack).map(|http| Way::Http(Box::new(http))),
            "syslog-cef" => syslog(table).map(|syslog| Way::Syslog(Box::new(syslog))),
            "" => None,
            other => {
                table.wrong(
                    "kind",
                    format!("is {other:?}; wanted smtp, webhook, telegram, slack or syslog-cef"),
                );
                None
            }
        };
        let channel = way.map(|way| Self {
            name: name.clone(),
            tlp: tlp.unwrap_or(Tlp::Clear),
            lang: lang.flatten().unwrap_or_default(),
            messages_per_hour_max: usize::try_from(messages_per_hour_max).unwrap_or(1),
            gather,
            way,
        });
        (name, channel)
    }
}

fn smtp(table: &mut Table<'_>) -> Option<Smtp> {
    let tls = match table.text("tls").as_deref() {
        None | Some("starttls") => SmtpTls::StartTls,
        Some("implicit") => SmtpTls::Implicit,
        Some("none") => SmtpTls::None,
        Some(other) => {
            table.wrong("tls", format!("is {other:?}; wanted starttls, implicit or none"));
            SmtpTls::StartTls
        }
    };
    let usual = match tls {
        SmtpTls::Implicit => 465,
        SmtpTls::StartTls => 587,
        SmtpTls::None => 25,
    };
    let host = host(table);
    let port = port(table).unwrap_or(usual);
    let user = table.text("user");
    let password = secret(table, "password_file");
    if user.is_some() != password.is_some() {
        table.wrong("user", "and password_file go together; give both, or none");
    }
    if tls == SmtpTls::None && user.is_some() {
        table.wrong(
            "tls",
            "is none, and a password does not go in plain text; wanted starttls or implicit",
        );
    }
    let from = address(table, "from");
    let mut to = Vec::new();
    for text in table.texts("to").unwrap_or_default() {
        match checked(&text) {
            Some(address) => to.push(address),
            None => table.wrong(
                "to",
                format!("has {text:?}; wanted plain addresses like \"duty@example.vn\""),
            ),
        }
    }
    if to.len() > ADDRESSES_MAX {
        table.wrong("to", format!("has {} addresses; at most {ADDRESSES_MAX} are allowed, make a list of them at the mail server", to.len()));
    }
    let authorities = authorities(table);
    Some(Smtp { host, port, tls, login: user.zip(password), from: from?, to, authorities })
}

fn http(table: &mut Table<'_>, form: Form) -> Option<Http> {
    let plain = table.bool("plain_text").unwrap_or(false);
    let (said, filed) = (table.text("url"), secret(table, "url_file"));
    if said.is_some() == filed.is_some() {
        table.wrong("url", "or url_file must be there, and one of them alone; a URL with a token in it belongs in a file");
    }
    let url = filed.or_else(|| said.map(Secret::new));
    let url = url.filter(|url| is_http(table, url, plain));
    let key = secret(table, "key_file");
    let authorization = secret(table, "authorization_file");
    let authorities = authorities(table);
    Some(Http { url: url?, form, key, authorization, authorities })
}

fn telegram(table: &mut Table<'_>) -> Option<Http> {
    let plain = table.bool("plain_text").unwrap_or(false);
    let base = table.text("url").unwrap_or_else(|| "https://api.telegram.org".into());
    let chat = table.text_required("chat");
    let token = secret(table, "token_file");
    if token.is_none() {
        table.wrong("token_file", "is missing; wanted a file with the bot's token");
    }
    let authorities = authorities(table);
    let url =
        Secret::new(format!("{}/bot{}/sendMessage", base.trim_end_matches('/'), token?.reveal()));
    let url = Some(url).filter(|url| is_http(table, url, plain))?;
    Some(Http { url, form: Form::Telegram(chat), key: None, authorization: None, authorities })
}

fn syslog(table: &mut Table<'_>) -> Option<Syslog> {
    let transport = match table.text("transport").as_deref() {
        None | Some("tls") => Transport::Tls,
        Some("tcp") => Transport::Tcp,
        Some("udp") => Transport::Udp,
        Some(other) => {
            table.wrong("transport", format!("is {other:?}; wanted tls, tcp or udp"));
            Transport::Tls
        }
    };
    if transport != Transport::Tls && table.bool("plain_text") != Some(true) {
        table.wrong("plain_text", "must be true for tcp and udp: everything travels in plain text there, which has to be asked for by name");
    }
    let host = host(table);
    let port = port(table).unwrap_or(if transport == Transport::Tls { 6_514 } else { 514 });
    let authorities = authorities(table);
    Some(Syslog { host, port, transport, authorities })
}

/// Whether it is an address that is posted to, in plain text only if that was asked for. What it is is not told: it may be a secret.
fn is_http(table: &mut Table<'_>, url: &Secret, plain: bool) -> bool {
    let uri: Option<Uri> = url.reveal().parse().ok();
    let host = uri.as_ref().and_then(Uri::host).is_some_and(|host| !host.is_empty());
    match uri.as_ref().and_then(Uri::scheme_str) {
        Some("https") if host => return true,
        Some("http") if host && plain => return true,
        Some("http") if host => table.wrong(
            "plain_text",
            "must be true for an http address: everything travels in plain text there, which has to be asked for by name",
        ),
        _ => table.wrong("url", "is no address; wanted one like \"https://hook.example/alerts\""),
    }
    false
}

fn host(table: &mut Table<'_>) -> String {
    let host = table.text_required("host");
    let fits = host.len() <= 253
        && host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '_'));
    if !fits {
        table.wrong("host", format!("is {host:?}; wanted a name or an address without its port"));
    }
    host
}

fn port(table: &mut Table<'_>) -> Option<u16> {
    table.integer("port", 1, 65_535).and_then(|port| u16::try_from(port).ok())
}

/// A plain address of mail: what a header could be broken with is in none.
fn checked(text: &str) -> Option<String> {
    text.parse::<lettre::Address>().ok().map(|address| address.to_string())
}

/// An address of mail that must be there.
pub(super) fn address(table: &mut Table<'_>, name: &'static str) -> Option<String> {
    let text = table.text_required(name);
    let address = checked(&text);
    if address.is_none() && !text.is_empty() {
        table.wrong(name, format!("is {text:?}; wanted a plain address like \"duty@example.vn\""));
    }
    address
}

fn template(table: &mut Table<'_>) -> Option<Value> {
    let path = table.path("template")?;
    let read = read(&path, FILE_BYTES_MAX).map_err(|error| error.to_string());
    let parsed = read.and_then(|(bytes, _)| {
        serde_json::from_slice(&bytes).map_err(|error| format!("it is no JSON: {error}"))
    });
    match parsed {
        Ok(value) => Some(value),
        Err(why) => {
            table.wrong("template", format!("is {}, which cannot be used: {why}", path.display()));
            None
        }
    }
}
