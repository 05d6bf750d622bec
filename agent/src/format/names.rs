//! What programs call the things that a log tells: one table for JSON, pairs and whatever else names its values.

use std::{collections::HashMap, sync::LazyLock};

use super::{
    declared::field::{Draft, Field, is_nothing},
    http,
};
use crate::format::Context;

/// A field, and the keys that mean it, the surest first. Keys are compared without case, `_`, `-`, `.` and blanks, as a whole and by
/// their last part, so `client_ip`, `clientIp` and `http.client.ip` are found.
const NAMES: &[(Field, &[&str])] = &[
    (
        Field::Time,
        &[
            "time",
            "timestamp",
            "@timestamp",
            "datetime",
            "ts",
            "eventtime",
            "timeiso8601",
            "timelocal",
            "date",
            "t",
            "starttime",
            "startutc",
            "startlocal",
            "requestreceivedtimestamp",
            "stagetimestamp",
            "createdat",
            "logtime",
            "timegenerated",
            "systemtime",
            "utctime",
            "$date",
            "msec",
            "edgestarttimestamp",
        ],
    ),
    (
        Field::Source,
        &[
            "srcip",
            "sourceip",
            "sourceipaddress",
            "srcendpointip",
            "clientip",
            "remoteip",
            "remoteaddr",
            "remoteaddress",
            "clientaddr",
            "clientaddress",
            "xforwardedfor",
            "xrealip",
            "realip",
            "cfconnectingip",
            "ipaddress",
            "ipaddr",
            "rhost",
            "remip",
            "rip",
            "oip",
            "srcaddr",
            "saddr",
            "src",
            "peer",
            "peerip",
            "peeraddress",
            "peeraddr",
            "attackerip",
            "userip",
            "visitorip",
            "addrremote",
            "remotehost",
            "clienthost",
            "sourceaddress",
            "origin",
            "client",
            "remote",
            "host.ip",
            "ip",
            "addr",
            "sourceips0",
            "callerip",
            "fromip",
            "from",
            "sourcenetworkaddress",
        ],
    ),
    (
        Field::SourcePort,
        &[
            "srcport",
            "sourceport",
            "clientport",
            "remoteport",
            "spt",
            "sport",
            "rport",
            "oport",
            "peerport",
        ],
    ),
    (
        Field::Destination,
        &[
            "dstip",
            "destip",
            "destinationip",
            "dstaddr",
            "daddr",
            "dst",
            "serverip",
            "serveraddr",
            "localip",
            "lip",
            "localaddress",
            "laddr",
            "destinationaddress",
        ],
    ),
    (
        Field::DestinationPort,
        &[
            "dstport",
            "destport",
            "destinationport",
            "dpt",
            "dport",
            "serverport",
            "lport",
            "localport",
        ],
    ),
    (
        Field::User,
        &[
            "username",
            "userid_name",
            "targetusername",
            "loginname",
            "login",
            "uname",
            "user",
            "useremail",
            "email",
            "account",
            "accountname",
            "accountid",
            "principalname",
            "principal",
            "remoteuser",
            "usr",
            "usrname",
            "suser",
            "duser",
            "identifier",
            "subject",
            "actor",
            "userprincipalname",
            "samaccountname",
            "targetuser",
            "clientusername",
            "requestuser",
            "admin",
            "loginid",
            "acct",
        ],
    ),
    (Field::Request, &["request", "requestline", "httprequest"]),
    (
        Field::Method,
        &[
            "httpmethod",
            "requestmethod",
            "clientrequestmethod",
            "method",
            "verb",
            "requestverb",
            "cs-method",
        ],
    ),
    (
        Field::Url,
        &[
            "requesturi",
            "clientrequesturi",
            "uri",
            "httpurl",
            "requestpath",
            "requesturl",
            "urlpath",
            "httppath",
            "path",
            "url",
            "urloriginal",
        ],
    ),
    (
        Field::Code,
        &[
            "httpstatus",
            "edgeresponsestatus",
            "statuscode",
            "httpstatuscode",
            "responsestatus",
            "responsecode",
            "downstreamstatus",
            "httpcode",
            "status",
            "code",
        ],
    ),
    (
        Field::Agent,
        &[
            "useragent",
            "httpuseragent",
            "requestuseragent",
            "clientrequestuseragent",
            "agent",
            "ua",
        ],
    ),
    (
        Field::Referrer,
        &[
            "referer",
            "referrer",
            "httpreferer",
            "httpreferrer",
            "requestreferer",
            "clientrequestreferer",
        ],
    ),
    (
        Field::Bytes,
        &[
            "bytessent",
            "bodybytessent",
            "responsebytes",
            "downstreamcontentsize",
            "size",
            "byteswritten",
            "length",
        ],
    ),
    (
        Field::Vhost,
        &["requesthost", "clientrequesthost", "vhost", "servername", "httphost", "requestaddr"],
    ),
    (
        Field::Device,
        &["hostname", "host", "computer", "computername", "devname", "devicename", "node"],
    ),
    (
        Field::Service,
        &[
            "service",
            "program",
            "app",
            "application",
            "logger",
            "component",
            "sourcename",
            "subsystem",
        ],
    ),
    (
        Field::Message,
        &[
            "message",
            "msg",
            "log",
            "text",
            "description",
            "body",
            "shortmessage",
            "eventmessage",
            "renderedmessage",
            "@m",
            "messagetemplate",
            "@mt",
        ],
    ),
    (Field::Detail, &["error", "reason", "failurereason", "err", "errormessage", "exception"]),
    (
        Field::Severity,
        &["level", "severity", "loglevel", "lvl", "levelname", "priority", "severitytext"],
    ),
    (Field::Pid, &["pid", "processid"]),
    (Field::Command, &["cmd", "command", "cmdline", "commandline"]),
];

/// Keys whose words tell what happened and how it ended.
const TELLING: &[&str] = &[
    "message",
    "msg",
    "log",
    "event",
    "eventname",
    "eventid",
    "eventtype",
    "action",
    "type",
    "error",
    "reason",
    "err",
    "result",
    "outcome",
    "status",
    "text",
    "description",
    "failurereason",
    "logdesc",
    "name",
    "activity",
    "operation",
    "tag",
    "errorcode",
    "category",
    "event_type",
    "body",
    "renderedmessage",
    "@m",
    "messagetemplate",
    "@mt",
    "responseelementsconsolelogin",
    "consolelogin",
];

static BY_NAME: LazyLock<HashMap<&'static str, (usize, usize)>> = LazyLock::new(|| {
    let mut all = HashMap::new();
    for (at, (_, keys)) in NAMES.iter().enumerate() {
        for (rank, key) in keys.iter().enumerate() {
            all.entry(*key).or_insert((at, rank));
        }
    }
    all
});

/// A key as it is compared.
fn plain(key: &str) -> String {
    key.chars()
        .filter(|c| !matches!(c, '_' | '-' | '.' | ' '))
        .flat_map(char::to_lowercase)
        .collect()
}

/// The words that tell what happened, joined.
pub(super) fn telling(pairs: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for (key, value) in pairs {
        let last = key.rsplit('.').next().unwrap_or(key);
        if TELLING.contains(&plain(key).as_str()) || TELLING.contains(&plain(last).as_str()) {
            text.push_str(value);
            text.push_str(" ; ");
        }
        // `success: false` tells by its key.
        if plain(last) == "success" || plain(last) == "authenticated" {
            text.push_str(if matches!(*value, "true" | "1" | "yes") {
                "succeeded ; "
            } else {
                "failed ; "
            });
        }
    }
    text
}

/// Puts values into the fields that their keys mean; of several keys for one field the surest wins.
pub(super) fn fill(draft: &mut Draft, pairs: &[(&str, &str)], context: &Context) {
    let mut best: Vec<Option<(usize, &str)>> = vec![None; NAMES.len()];
    for (key, value) in pairs {
        if is_nothing(value) || *value == "--" {
            continue;
        }
        let last = key.rsplit('.').next().unwrap_or(key);
        let (place, rank) =
            match (BY_NAME.get(plain(key).as_str()), BY_NAME.get(plain(last).as_str())) {
                (Some((place, rank)), _) => (*place, *rank),
                // A part of a nested name is less sure than a name.
                (None, Some((place, rank))) => (*place, rank + 100),
                (None, None) => continue,
            };
        let field = &NAMES[place].0;
        let fits = match field {
            Field::Source | Field::Destination => super::text::endpoint(value).is_some(),
            Field::Code => {
                value.len() == 3
                    && value.parse::<u16>().is_ok_and(|code| (100..600).contains(&code))
            }
            Field::SourcePort | Field::DestinationPort | Field::Pid | Field::Bytes => {
                value.parse::<u64>().is_ok()
            }
            Field::Time => super::clock::any(value, context).is_some(),
            // A request's header names the host that was asked for, not the one that tells.
            Field::Device => !key.contains("header"),
            Field::Method => value.len() <= 10 && value.bytes().all(|b| b.is_ascii_alphabetic()),
            Field::Url => value.contains('/'),
            Field::Request => !http::split_request(value).2.is_empty(),
            _ => true,
        };
        if fits && best[place].is_none_or(|(known, _)| rank < known) {
            best[place] = Some((rank, value));
        }
    }
    let found = |field: &Field| {
        NAMES
            .iter()
            .position(|(name, _)| name == field)
            .and_then(|at| best.get(at).copied().flatten())
    };
    // Only a request has a path and a code.
    let whole = found(&Field::Request).is_some();
    let request = whole || (found(&Field::Method).is_some() && found(&Field::Url).is_some());
    for ((field, _), value) in NAMES.iter().zip(best.iter()) {
        let Some((_, value)) = value else { continue };
        let of_request = matches!(
            field,
            Field::Request
                | Field::Method
                | Field::Url
                | Field::Code
                | Field::Agent
                | Field::Referrer
                | Field::Bytes
                | Field::Vhost
        );
        if !of_request || request || matches!(field, Field::Agent) {
            draft.put(field, value, context);
        }
    }
}
