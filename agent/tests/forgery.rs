//! What a client can choose (its name, its URL, its agent) never becomes the address that a line is said to come from.

use jiff::tz::TimeZone;
use vonggac_agent::format::{self, Context};
use vonggac_wire::event::Activity;

/// Where all these lines come from.
const TRUE: &str = "203.0.113.7";

/// What clients write to seem to come from elsewhere.
const LIES: [&str; 12] = [
    "198.51.100.9",
    "x from 198.51.100.9",
    "x from 198.51.100.9 port 22 ssh2",
    "x, client: 198.51.100.9, server: a",
    "x' failed for '198.51.100.9:5060' - Wrong password",
    "x (Remote IP: 198.51.100.9)",
    "x rhost=198.51.100.9 ip=198.51.100.9 src=198.51.100.9",
    "x [client 198.51.100.9:1] y",
    "x'@'198.51.100.9",
    "x@198.51.100.9",
    "198.51.100.9 - - [24/Nov/2026:16:00:00 +0700]",
    "x IP: 198.51.100.9. Username: y",
];

/// Lines of many servers; `{}` is the client's word, and `{q}` the same as it stands in JSON.
const LINES: [&str; 30] = [
    r#"203.0.113.7 - {} [24/Nov/2026:16:00:00 +0700] "GET / HTTP/1.1" 401 12 "-" "curl/8""#,
    r#"203.0.113.7 - - [24/Nov/2026:16:00:00 +0700] "GET /{} HTTP/1.1" 404 12 "-" "curl/8""#,
    r#"203.0.113.7 - - [24/Nov/2026:16:00:00 +0700] "GET / HTTP/1.1" 404 12 "{}" "{}""#,
    r#"dvc.example.vn:443 203.0.113.7 - {} [24/Nov/2026:16:00:00 +0700] "GET / HTTP/1.1" 401 12 "-" "{}""#,
    r#"2026/11/24 16:00:00 [error] 8#8: *7 user "{}": password mismatch, client: 203.0.113.7, server: a, request: "GET / HTTP/1.1", host: "a""#,
    r#"2026/11/24 16:00:00 [error] 8#8: *7 user "{}" was not found in "/etc/p", client: 203.0.113.7, server: a, request: "GET / HTTP/1.1", host: "a", referrer: "{}""#,
    r#"2026/11/24 16:00:00 [error] 8#8: *7 open() "/var/www/{}" failed (2: No such file or directory), client: 203.0.113.7, server: a, request: "GET /{} HTTP/1.1", host: "a", referrer: "{}""#,
    r#"2026/11/24 16:00:00 [error] 8#8: *7 limiting requests, excess: 20.1 by zone "a", client: 203.0.113.7, server: a, request: "GET /{} HTTP/1.1", host: "a", referrer: "{}""#,
    "[Tue Nov 24 16:00:00.123456 2026] [auth_basic:error] [pid 8] [client 203.0.113.7:1] AH01617: user {}: authentication failure for \"/\": Password Mismatch, referer: {}",
    "[Tue Nov 24 16:00:00.123456 2026] [auth_basic:error] [pid 8] [client 203.0.113.7:1] AH01618: user {} not found: /{}",
    "[Tue Nov 24 16:00:00.123456 2026] [core:info] [pid 8] [client 203.0.113.7:1] AH00128: File does not exist: /var/www/{}, referer: {}",
    "[Tue Nov 24 16:00:00.123456 2026] [php:notice] [pid 8] [client 203.0.113.7:1] Failed login for {}",
    "Nov 24 16:00:00 lb haproxy[8]: 203.0.113.7:5 [24/Nov/2026:16:00:00.123] f b/s 0/0/1/2/3 404 12 - - ---- 1/1/0/0/0 0/0 {{}} \"GET /{} HTTP/1.1\"",
    r#"{"ClientAddr":"203.0.113.7:5","ClientHost":"203.0.113.7","ClientUsername":"{q}","DownstreamStatus":401,"RequestMethod":"GET","RequestPath":"/{q}","request_User-Agent":"{q}","StartUTC":"2026-11-24T09:00:00Z"}"#,
    r#"{"level":"info","ts":1795510800.5,"msg":"handled request","request":{"remote_ip":"203.0.113.7","client_ip":"203.0.113.7","method":"GET","host":"a","uri":"/{q}","headers":{"User-Agent":["{q}"],"X-Forwarded-For":["198.51.100.9"]}},"user_id":"{q}","status":401}"#,
    "2026-11-24 16:00:00: (mod_auth.c.491) password doesn't match for /q username: {}, IP: 203.0.113.7",
    "1795510800.123      9 203.0.113.7 TCP_DENIED/403 400 GET http://a/{} - HIER_NONE/- text/html",
    "2026-11-24 16:00:00.123 +07 [8] x@y 203.0.113.7 FATAL:  password authentication failed for user \"{}\"",
    "2026-11-24 16:00:00 7 [Warning] Access denied for user '{}'@'203.0.113.7' (using password: YES)",
    r#"{"t":{"$date":"2026-11-24T16:00:00.123+07:00"},"s":"I","c":"ACCESS","id":20249,"ctx":"c1","msg":"Authentication failed","attr":{"mechanism":"SCRAM-SHA-256","principalName":"{q}","authenticationDatabase":"admin","remote":"203.0.113.7:5","error":"UserNotFound: Could not find user \"{q}\""}}"#,
    r#"{"reqId":"x","level":2,"time":"2026-11-24T09:00:00+00:00","remoteAddr":"203.0.113.7","user":"--","app":"core","method":"POST","url":"/login","message":"Login failed: {q} (Remote IP: 203.0.113.7)","userAgent":"{q}"}"#,
    "2026/11/24 16:00:00 ...auth.go:201:SignInPost() [I] Failed authentication attempt for {} from 203.0.113.7:5: user does not exist",
    "2026-11-24 16:00:00,123 WARN  [org.keycloak.events] (e-8) type=\"LOGIN_ERROR\", realmId=\"9a\", clientId=\"dvc\", userId=\"null\", ipAddress=\"203.0.113.7\", error=\"user_not_found\", username=\"{}\"",
    "[2026-11-24 16:00:00.123][vaultwarden::api::identity][ERROR] Username or password is incorrect. Try again. IP: 203.0.113.7. Username: {}.",
    "[2026-11-24 16:00:00] NOTICE[8]: chan_sip.c:28926 handle_request_register: Registration from '{}' failed for '203.0.113.7:5062' - Wrong password",
    "[2026-11-24 16:00:00.123 +07:00] [INF] [79] Jellyfin.Server.Implementations.Users.UserManager: Authentication request for \"{}\" has been denied (IP: \"203.0.113.7\").",
    "Nov 24 16:00:00 web phpMyAdmin[8]: user denied: {} (mysql-denied) from 203.0.113.7",
    "Nov 24 16:00:00 web wordpress(a)[8]: Authentication failure for {} from 203.0.113.7",
    "2026-11-24 16:00:00.123456 [WARNING] sofia_reg.c:1533 SIP auth failure (REGISTER) on sofia profile 'internal' for [{}] from ip 203.0.113.7",
    r#"16:00:00.123 [http-nio-8080-exec-4] WARN  o.a.g.r.auth.AuthenticationService - Authentication attempt from 203.0.113.7 for user "{}" failed."#,
];

#[test]
fn a_client_never_chooses_its_address() {
    let observed = "2026-11-24T09:30:00Z".parse().unwrap();
    let context = Context::at(observed, TimeZone::fixed(jiff::tz::offset(7)));
    let mut wrong = Vec::new();
    for pattern in LINES {
        for lie in LIES {
            let escaped = lie.replace('\\', "\\\\").replace('"', "\\\"");
            let line = pattern.replace("{q}", &escaped).replace("{}", lie);
            let (event, known) = format::event("auto", line.as_bytes(), 0, &context);
            let activity = event.activity().unwrap();
            let found = activity.source_address().map(|address| address.to_string());
            if !known || found.as_deref() != Some(TRUE) {
                wrong.push(format!("[{} {found:?}] {line}", event.format()));
            }
            assert_eq!(event.time().to_string().get(..10), Some("2026-11-24"), "{line}");
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_of_these_lines_is_of_a_format_of_its_own() {
    let observed = "2026-11-24T09:30:00Z".parse().unwrap();
    let context = Context::at(observed, TimeZone::UTC);
    for pattern in LINES {
        let line = pattern.replace("{q}", "lan").replace("{}", "lan");
        let (event, _) = format::event("auto", line.as_bytes(), 0, &context);
        assert!(!matches!(event.format(), "generic" | "unparsed" | "json"), "{line}");
        assert!(
            event.activity().is_some_and(|activity: &Activity| activity.class_uid != 0),
            "{line}"
        );
    }
}

/// Whole records with a false client, as they stand in a path, a referrer or a host that a client chooses.
const RECORDS: [&str; 3] = [
    r#"x" failed (2: No such file or directory), client: 198.51.100.9, server: a, request: "GET /x HTTP/1.1", host: "a"#,
    r#"x" is forbidden (13: Permission denied), client: 198.51.100.9, server: a, request: "GET /x HTTP/1.1", host: "a", referrer: "a"#,
    r#"x" is not found (2: No such file or directory), client: 198.51.100.9, server: a, request: "GET /x" failed (2: No such file or directory), client: 203.0.113.7, server: a, request: "GET /x HTTP/1.1", host: "a"#,
];

/// Error lines whose paths a server has decoded.
const DECODED: [&str; 4] = [
    r#"2026/11/24 16:00:00 [error] 8#8: *7 open() "/var/www/{}" failed (2: No such file or directory), client: 203.0.113.7, server: a, request: "GET /x HTTP/1.1", host: "a""#,
    r#"2026/11/24 16:00:00 [error] 8#8: *7 open() "/var/www/x" failed (2: No such file or directory), client: 203.0.113.7, server: a, request: "GET /{} HTTP/1.1", host: "a""#,
    r#"2026/11/24 16:00:00 [error] 8#8: *7 open() "/var/www/x" failed (2: No such file or directory), client: 203.0.113.7, server: a, request: "GET /x HTTP/1.1", host: "a", referrer: "{}""#,
    r#"2026/11/24 16:00:00 [error] 8#8: *7 directory index of "/var/www/{}" is forbidden, client: 203.0.113.7, server: a, request: "GET /{} HTTP/1.1", host: "a", referrer: "{}""#,
];

#[test]
fn a_whole_false_record_never_names_its_client() {
    let observed = "2026-11-24T09:30:00Z".parse().unwrap();
    let context = Context::at(observed, TimeZone::fixed(jiff::tz::offset(7)));
    for pattern in DECODED {
        for record in RECORDS {
            let line = pattern.replace("{}", record);
            let (event, known) = format::event("auto", line.as_bytes(), 0, &context);
            let found = event.activity().unwrap().source_address().map(|a| a.to_string());
            // Which of two whole records is the server's cannot be told: then it is said of neither.
            assert!(
                known && found.as_deref().is_none_or(|found| found == TRUE),
                "{found:?} {line}"
            );
        }
    }
}
