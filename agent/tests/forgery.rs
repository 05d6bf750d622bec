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
const LINES: [&str; 66] = [
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
    "Nov 24 16:00:00 h sshd[8]: Failed password for invalid user {} from 203.0.113.7 port 51022 ssh2",
    "Nov 24 16:00:00 h sshd[8]: Invalid user {} from 203.0.113.7 port 51022",
    "Nov 24 16:00:00 h sshd[8]: User {} from 203.0.113.7 not allowed because not listed in AllowUsers",
    "Nov 24 16:00:00 h sshd[8]: error: PAM: Authentication failure for illegal user {} from 203.0.113.7",
    "Nov 24 16:00:00 h sshd[8]: Connection closed by invalid user {} 203.0.113.7 port 51022 [preauth]",
    "Nov 24 16:00:00 h vsftpd[8]: pam_unix(vsftpd:auth): authentication failure; logname= uid=0 euid=0 tty=ftp ruser={} rhost=203.0.113.7",
    "Nov 24 16:00:00 h vsftpd[8]: pam_unix(vsftpd:auth): authentication failure; logname= uid=0 euid=0 tty=ftp ruser=x rhost=203.0.113.7  user={}",
    "Nov 24 16:00:00 h dropbear[8]: Bad password attempt for '{}' from 203.0.113.7:51022",
    "Nov 24 16:00:00 h sm-mta[8]: 4AO9000a000812: AUTH failure (LOGIN): user not found (-20), user={}, relay=h [203.0.113.7]",
    "Nov 24 16:00:00 h postfix/smtpd[8]: warning: unknown[203.0.113.7]: SASL LOGIN authentication failed: x, sasl_username={}",
    "Nov 24 16:00:00 h proftpd[8]: a (203.0.113.7[203.0.113.7]) - USER {} (Login failed): Incorrect password",
    "Nov 24 16:00:00 h imapd: LOGIN FAILED, user={}, ip=[::ffff:203.0.113.7]",
    "Nov 24 16:00:00 h radiusd[8]: (5) Login incorrect (x): [{}/<via Auth-Type = PAP>] (from client sw port 0 cli 203.0.113.7)",
    "Nov 24 16:00:00 h login[8]: FAILED LOGIN 1 FROM 203.0.113.7 FOR {}, Authentication failure",
    "Nov 24 16:00:00 asa %ASA-6-605004: Login denied from 203.0.113.7/51022 to outside:10.0.0.1/ssh for user \"{}\"",
    "<189>45: Nov 24 16:00:00.123: %SEC_LOGIN-4-LOGIN_FAILED: Login failed [user: {}] [Source: 203.0.113.7] [localport: 22] [Reason: x] at 16:00:00 ICT Tue Nov 24 2026",
    "Nov 24 16:00:00 pa 1,2026/11/24 16:00:00,0011,SYSTEM,auth,2561,2026/11/24 16:00:00,,auth-fail,,0,0,general,medium,\"failed authentication for user '{}'. Reason: x. From: 203.0.113.7.\",1,0x0",
    "Nov 24 16:00:00 pf php-fpm[8]: /index.php: webConfigurator authentication error for user '{}' from: 203.0.113.7",
    "Nov 24 16:00:00 fs smbd[8]:   Auth: [SMB2,(null)] user [W]\\[{}] at [Tue, 24 Nov 2026 16:00:00 +07] with [NTLMv2] status [NT_STATUS_WRONG_PASSWORD] workstation [PC] remote host [ipv4:203.0.113.7:51022] mapped to [W]\\[x]. local host [ipv4:10.0.0.5:445]",
    "Nov 24 16:00:00 mx dovecot: imap-login: Disconnected (auth failed, 1 attempts in 2 secs): user=<{}>, method=PLAIN, rip=203.0.113.7, lip=10.0.0.5, TLS",
    "2026-11-24 16:00:00 plain_login authenticator failed for (x) [203.0.113.7]:51022: 535 Incorrect authentication data (set_id={})",
    "Tue Nov 24 16:00:00 2026 [pid 812] [{}] FAIL LOGIN: Client \"203.0.113.7\"",
    "Nov 24 16:00:00 ns named[8]: client @0x7f 203.0.113.7#51022 ({}): query (cache) '{}/A/IN' denied",
    "Nov 24 16:00:00 MikroTik system,error,critical login failure for user {} from 203.0.113.7 via ssh",
    "Nov 24 16:00:00 h sshd[8]: Disconnecting invalid user {} 203.0.113.7 port 51022: Too many authentication failures [preauth]",
    "Nov 24 16:00:00 h internal-sftp[8]: session opened for local user {} from [203.0.113.7]",
    "Nov 24 16:00:00 opn audit[8]: /index.php: User {} failed authentication for WebGui from 203.0.113.7",
    "Nov 24 16:00:00 asa %ASA-6-611102: User authentication failed: IP address: 203.0.113.7, Uname: {}",
    "Nov 24 16:00:00 mt l2tp,ppp,error,account {} logged in, 10.0.0.9 from 203.0.113.7",
    "Nov 24 16:00:00 vpn charon[8]: 09[CFG] <7> looking for peer configs matching 10.0.0.5[%any]...203.0.113.7[{}]",
    "2026-11-24 16:00:00 203.0.113.7:51022 VERIFY ERROR: depth=0, error=certificate has expired: C=VN, CN={}",
    "<13>Nov 24 16:00:00 DC1 MSWinEventLog\t1\tSecurity\t5\tTue Nov 24 16:00:00 2026\t4625\tMicrosoft-Windows-Security-Auditing\tx\tN/A\tFailure Audit\tDC1\tLogon\t\tAn account failed to log on.   Subject:   Account Name:  -   Account For Which Logon Failed:   Security ID:  S-1-0-0   Account Name:  {}   Account Domain:  HOSO    Failure Information:   Failure Reason:  Unknown user name or bad password.   Network Information:   Source Network Address: 203.0.113.7   Source Port:  51022",
    r#"{ "atype" : "authenticate", "ts" : { "$date" : "2026-11-24T16:00:00.123+07:00" }, "local" : { "ip" : "10.0.0.5", "port" : 27017 }, "remote" : { "ip" : "203.0.113.7", "port" : 51022 }, "users" : [], "param" : { "user" : "{q}", "db" : "admin" }, "result" : 18 }"#,
    r#"{"winlog":{"event_id":4625,"computer_name":"DC1","event_data":{"TargetUserName":"{q}","IpAddress":"203.0.113.7","WorkstationName":"{q}"}},"@timestamp":"2026-11-24T09:00:00.123Z"}"#,
    "<Event xmlns='x'><System><Provider Name='Microsoft-Windows-Security-Auditing'/><EventID>4625</EventID><TimeCreated SystemTime='2026-11-24T09:00:00Z'/><Computer>DC1</Computer></System><EventData><Data Name='TargetUserName'>{x}</Data><Data Name='IpAddress'>203.0.113.7</Data></EventData></Event>",
    r#"{"eventid":"cowrie.login.failed","username":"{q}","password":"{q}","message":"login attempt [{q}/{q}] failed","sensor":"a","timestamp":"2026-11-24T09:00:00.123456Z","src_ip":"203.0.113.7","session":"d24b1fe76ad1"}"#,
];

#[test]
fn a_client_never_chooses_its_address() {
    let observed = "2026-11-24T09:30:00Z".parse().unwrap();
    let context = Context::at(observed, TimeZone::fixed(jiff::tz::offset(7)));
    let mut wrong = Vec::new();
    for pattern in LINES {
        for lie in LIES {
            let escaped = lie.replace('\\', "\\\\").replace('"', "\\\"");
            let marked = lie.replace('<', "&lt;").replace('>', "&gt;");
            let line = pattern.replace("{q}", &escaped).replace("{x}", &marked).replace("{}", lie);
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
        let line = pattern.replace("{q}", "lan").replace("{x}", "lan").replace("{}", "lan");
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
