use std::fs;

use super::*;

fn context() -> Context {
    // 2026-11-24 16:30 UTC, a host in Hà Nội.
    Context::at("2026-11-24T16:30:00Z".parse().unwrap(), TimeZone::fixed(jiff::tz::offset(7)))
}

fn activity(line: &str) -> (Event, Activity) {
    let (event, _) = event("auto", line.as_bytes(), 0, &context());
    let activity = event.activity().unwrap().clone();
    (event, activity)
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of lines")]
fn sshd_lines_of_every_kind_are_understood() {
    // Line, user, address, port, status, detail.
    let table = [
        (
            "Failed password for root from 203.0.113.77 port 51022 ssh2",
            "root",
            "203.0.113.77",
            51022,
            Status::Failure,
            "wrong-password",
        ),
        (
            "Failed password for invalid user trần từ from 2001:db8::7 port 1 ssh2",
            "trần từ",
            "2001:db8::7",
            1,
            Status::Failure,
            "invalid-user",
        ),
        (
            "Failed none for invalid user x from 1.2.3.4 port 9 from 203.0.113.5 port 7 ssh2",
            "x from 1.2.3.4 port 9",
            "203.0.113.5",
            7,
            Status::Failure,
            "invalid-user",
        ),
        (
            "Accepted publickey for lan from 198.51.100.4 port 40000 ssh2: ED25519 SHA256:abc",
            "lan",
            "198.51.100.4",
            40000,
            Status::Success,
            "",
        ),
        (
            "Invalid user oracle from 203.0.113.9 port 2",
            "oracle",
            "203.0.113.9",
            2,
            Status::Failure,
            "invalid-user",
        ),
        (
            "User git from 203.0.113.8 not allowed because not listed in AllowUsers",
            "git",
            "203.0.113.8",
            0,
            Status::Failure,
            "not-allowed",
        ),
        (
            "error: PAM: Authentication failure for root from 203.0.113.6",
            "root",
            "203.0.113.6",
            0,
            Status::Failure,
            "wrong-password",
        ),
        (
            "error: maximum authentication attempts exceeded for invalid user a b from 203.0.113.5 port 3 ssh2 [preauth]",
            "a b",
            "203.0.113.5",
            3,
            Status::Failure,
            "too-many-attempts",
        ),
        (
            "Connection closed by authenticating user root 203.0.113.4 port 55 [preauth]",
            "root",
            "203.0.113.4",
            55,
            Status::Failure,
            "gave-up",
        ),
        (
            "Disconnected from invalid user a c 203.0.113.3 port 66 [preauth]",
            "a c",
            "203.0.113.3",
            66,
            Status::Failure,
            "invalid-user",
        ),
        (
            "Received disconnect from 203.0.113.2 port 77:11: Bye Bye [preauth]",
            "",
            "203.0.113.2",
            77,
            Status::Failure,
            "disconnected",
        ),
        (
            "Did not receive identification string from 203.0.113.1 port 88",
            "",
            "203.0.113.1",
            88,
            Status::Failure,
            "no-identification",
        ),
        (
            "Unable to negotiate with 203.0.113.1 port 99: no matching host key type found.",
            "",
            "203.0.113.1",
            99,
            Status::Failure,
            "no-common-algorithm",
        ),
        (
            "banner exchange: Connection from 203.0.113.1 port 98: invalid format",
            "",
            "203.0.113.1",
            98,
            Status::Failure,
            "bad-protocol",
        ),
    ];
    for (message, user, address, port, status, detail) in table {
        for program in ["sshd[2211]", "sshd-session[7]"] {
            let (event, activity) =
                activity(&format!("Nov 24 16:00:00 web-1 {program}: {message}"));
            assert_eq!(event.class_name(), "authentication", "{message}");
            assert_eq!(activity.user_name, user, "{message}");
            assert_eq!(
                activity.source_address().map(|a| a.to_string()).as_deref(),
                Some(address),
                "{message}"
            );
            assert_eq!(
                (activity.src_port, activity.status(), activity.status_detail.as_str()),
                (port, status, detail),
                "{message}"
            );
        }
    }
}

#[test]
fn a_line_without_year_and_zone_gets_the_nearest_past_and_its_doubt() {
    let (event, _) =
        activity("Nov 24 16:00:00 web-1 sshd[1]: Failed password for a from 1.2.3.4 port 5 ssh2");
    assert_eq!(event.time().to_string(), "2026-11-24T09:00:00Z");
    assert_eq!(event.time_doubt(), TimeDoubt::Year);
    let (event, _) =
        activity("Dec 31 23:59:59 web-1 sshd[1]: Failed password for a from 1.2.3.4 port 5 ssh2");
    assert_eq!(event.time().to_string(), "2025-12-31T16:59:59Z");
    let (event, _) = activity(
        "2026-11-24T16:00:00.250+07:00 web-1 sshd[1]: Failed password for a from 1.2.3.4 port 5 ssh2",
    );
    assert_eq!(
        (event.time().to_string().as_str(), event.time_doubt()),
        ("2026-11-24T09:00:00.25Z", TimeDoubt::None)
    );
    let (event, _) = activity(
        "<38>1 2026-11-24T09:00:00Z web-1 sshd 77 - [x y=\"]\"] Failed password for a from 1.2.3.4 port 5 ssh2",
    );
    assert_eq!((event.device(), event.activity().unwrap().process_pid), ("web-1", 77));
    assert_eq!(event.activity().unwrap().user_name, "a");
}

#[test]
fn sudo_su_and_pam_tell_who_became_whom() {
    let (_, a) = activity(
        "Nov 24 16:00:00 h sudo:     lan : TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/sh -c a ; b",
    );
    assert_eq!(
        (a.actor_user_name.as_str(), a.user_name.as_str(), a.process_cmd_line.as_str()),
        ("lan", "root", "/bin/sh -c a ; b")
    );
    assert_eq!((a.class(), a.status()), (Class::AuthorizeSession, Status::Success));
    let (_, a) = activity(
        "Nov 24 16:00:00 h sudo: mai : 3 incorrect password attempts ; TTY=pts/1 ; PWD=/ ; USER=root ; COMMAND=/bin/ls",
    );
    assert_eq!(
        (a.status(), a.status_detail.as_str(), a.unmapped["repeat_count"].as_str()),
        (Status::Failure, "wrong-password", "3")
    );
    let (_, a) = activity(
        "Nov 24 16:00:00 h sudo: mai : user NOT in sudoers ; TTY=pts/1 ; PWD=/ ; USER=root ; COMMAND=/bin/ls",
    );
    assert_eq!(a.status_detail, "not-in-sudoers");
    let (_, a) = activity("Nov 24 16:00:00 h su[5]: FAILED SU (to root) mai on pts/1");
    assert_eq!(
        (a.status(), a.actor_user_name.as_str(), a.user_name.as_str()),
        (Status::Failure, "mai", "root")
    );
    let (_, a) = activity(
        "Nov 24 16:00:00 h sshd[5]: pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=203.0.113.7  user=root",
    );
    assert_eq!(
        (a.class(), a.status(), a.user_name.as_str()),
        (Class::Authentication, Status::Failure, "root")
    );
    assert_eq!(a.source_address().unwrap().to_string(), "203.0.113.7");
    let (_, a) = activity(
        "Nov 24 16:00:00 h sudo: pam_unix(sudo:session): session opened for user root(uid=0) by lan(uid=1000)",
    );
    assert_eq!(
        (a.class(), a.user_name.as_str(), a.actor_user_name.as_str()),
        (Class::AuthorizeSession, "root", "lan")
    );
}

#[test]
fn access_lines_with_quotes_binary_and_vhosts_are_understood() {
    let (event, a) = activity(
        "203.0.113.7 - lan [24/Nov/2026:16:00:00 +0700] \"GET /a?x=\\\"1\\\"&token=abc HTTP/1.1\" 404 12 \"-\" \"Moz \\\"x\\\"\"",
    );
    let http = a.http.clone().unwrap();
    assert_eq!(
        (event.class_name(), event.time().to_string().as_str()),
        ("http_activity", "2026-11-24T09:00:00Z")
    );
    assert_eq!(
        (http.url.as_str(), http.status_code, http.user_agent.as_str()),
        ("/a?x=\"1\"&token=abc", 404, "Moz \"x\"")
    );
    assert_eq!((a.user_name.as_str(), a.status()), ("lan", Status::Failure));
    assert!(
        !String::from_utf8_lossy(crate::redact::Redactor::default().apply(event).raw())
            .contains("abc"),
        "secrets leave the raw line too"
    );
    let (_, a) = activity(
        "dvc.example.vn:443 2001:db8::7 - - [24/Nov/2026:16:00:00 +0700] \"POST /nop-ho-so HTTP/2.0\" 200 5 \"https://a/\" \"x\"",
    );
    assert_eq!(a.http.unwrap().hostname, "dvc.example.vn");
    let (_, a) = activity(
        "203.0.113.7 - - [24/Nov/2026:16:00:00 +0700] \"\\x16\\x03\\x01\" 400 150 \"-\" \"-\"",
    );
    assert_eq!(a.http.unwrap().url, "\\x16\\x03\\x01");
    let (_, a) = activity("203.0.113.7 - - [24/Nov/2026:16:00:00 +0700] \"GET / HTTP/1.0\" 200 -");
    assert_eq!(a.http.unwrap().response_bytes, 0);
}

#[test]
fn json_lines_find_their_time_user_and_request() {
    let (event, a) = activity(
        r#"{"ts":1764000000.5,"level":"error","msg":"no","user":"lan","remote_addr":"203.0.113.7","method":"GET","uri":"/a","status":500}"#,
    );
    assert_eq!(event.time(), Time(1_764_000_000_500_000_000));
    assert_eq!((a.class(), a.user_name.as_str(), a.severity_id), (Class::Http, "lan", 3));
}

#[test]
fn what_nobody_knows_is_kept_whole_and_counted() {
    let line = b"\xff\x00 nonsense \x1b[2J";
    let (event, known) = event("auto", line, 0, &context());
    assert!(!known);
    assert_eq!(
        (event.raw(), event.format(), event.class_name()),
        (&line[..], "unparsed", "base_event")
    );
}

proptest::proptest! {
    #[test]
    fn no_line_makes_a_format_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200), name in "auto|syslog|combined|json") {
        let _ = event(&name, &bytes, 0, &context());
    }

    #[test]
    fn no_cut_line_makes_a_format_panic(cut in 0_usize..160, which in 0_usize..4) {
        let lines = [
            "Nov 24 16:00:00 web-1 sshd[2211]: Failed password for invalid user đ from 203.0.113.77 port 51022 ssh2",
            "<38>1 2026-11-24T09:00:00Z web-1 sudo 77 - [x y=\"]\"] lan : 3 incorrect password attempts ; TTY=pts/0 ; USER=root ; COMMAND=/bin/ls",
            "h:80 203.0.113.7 - đ [24/Nov/2026:16:00:00 +0700] \"GET /a?x=\\\"1\\\" HTTP/1.1\" 404 12 \"-\" \"Moz\"",
            "Nov 24 16:00:00 h sshd[5]: pam_unix(sshd:auth): authentication failure; logname= uid=0 rhost=203.0.113.7  user=root",
        ];
        let line = lines[which].as_bytes();
        let _ = event("auto", &line[..cut.min(line.len())], 0, &context());
    }
}

#[path = "../../../tests/material.rs"]
mod others;

/// Logs of other projects, as an oracle where they are at hand.
fn material(path: &str) -> Option<String> {
    let bytes = fs::read(others::material(path)?).unwrap();
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[test]
fn what_a_client_says_behind_its_place_in_an_sshd_line_is_not_its_place() {
    let place = |message: &str| {
        let (_, activity) = activity(&format!("Nov 24 16:00:00 h sshd[5]: {message}"));
        activity.source_address().map(|address| address.to_string()).unwrap_or_default()
    };
    for (message, wanted) in [
        // A user's name, before a place that ends the line or has only a fingerprint behind it.
        (
            "Failed password for x from 198.51.100.9 port 22 ssh2: from 203.0.113.7 port 51022 ssh2",
            "203.0.113.7",
        ),
        (
            "Accepted publickey for x from 198.51.100.9 port 22 ssh2 from 203.0.113.7 port 51022 ssh2: RSA SHA256:a+/=",
            "203.0.113.7",
        ),
        // A certificate's name, and what a host says of its user: which place is true cannot be seen.
        (
            "Failed publickey for root from 203.0.113.7 port 51022 ssh2: RSA-CERT SHA256:a ID x from 198.51.100.9 port 22 ssh2 (serial 0) CA RSA SHA256:b",
            "",
        ),
        (
            "Failed hostbased for root from 203.0.113.7 port 51022 ssh2: RSA SHA256:a, client user \"x from 198.51.100.9 port 22 ssh2\", client host \"pc\"",
            "",
        ),
        (
            "Accepted publickey for lan from 203.0.113.7 port 51022 ssh2: ED25519-CERT SHA256:a ID lan@example (serial 7) CA ED25519 SHA256:b",
            "203.0.113.7",
        ),
        (
            "Disconnecting invalid user x 203.0.113.7 port 51022: Change of username or service not allowed: (x,ssh-connection) -> (y 198.51.100.9 port 9: z,ssh-connection) [preauth]",
            "",
        ),
        (
            "Disconnecting invalid user x 203.0.113.7 port 51022: Too many authentication failures [preauth]",
            "203.0.113.7",
        ),
        (
            "Disconnected from invalid user x 198.51.100.9 port 9 203.0.113.7 port 51022 [preauth]",
            "203.0.113.7",
        ),
        (
            "User a from 198.51.100.9 not allowed because x from 203.0.113.7 not allowed because not listed in AllowUsers",
            "203.0.113.7",
        ),
        ("input_userauth_request: invalid user x from 198.51.100.9 [preauth]", ""),
        (
            "kex_exchange_identification: client sent invalid protocol identifier \"GET / from 198.51.100.9 port 5\"",
            "",
        ),
        (
            "Bad protocol version identification 'GET / from 198.51.100.9 port 5' from 203.0.113.7 port 51022",
            "203.0.113.7",
        ),
    ] {
        assert_eq!(place(message), wanted, "{message}");
    }
}

#[test]
fn a_line_is_the_same_behind_whatever_header_it_came() {
    let message = "Failed password for root from 203.0.113.7 port 51022 ssh2";
    for (head, host) in [
        ("Nov 24 16:00:00.123456 h sshd[8]: ", "h"),
        ("Tue Nov 24 16:00:00 2026 h sshd[8]: ", "h"),
        ("2026 Nov 24 16:00:00 h sshd[8]: ", "h"),
        ("<38>sshd[8]: ", ""),
        ("<38>1 2026-11-24T09:00:00Z 2001:db8::1 sshd 8 - - ", "2001:db8::1"),
        ("<38>1 - - sshd 8 - - ", ""),
        ("Nov 24 16:00:00 h auth|security:info sshd[8]: ", "h"),
        ("Nov 24 16:00:00 h Message forwarded from aix1: sshd[8]: ", "aix1"),
        ("Nov 24 16:00:00 h <auth.info> sshd[8]: ", "h"),
        ("Nov 24 16:00:00 h <4.6> sshd[8]: ", "h"),
        ("Nov 24 16:00:00 h sshd[8]: [ID 800047 auth.info] ", "h"),
        ("Nov 24 16:00:00 h /usr/sbin/sshd[8]: ", "h"),
        ("Nov 24 16:00:00 h SSHD[8]: ", "h"),
        ("2026-11-24T16:00:00+07:00 10.0.0.9 Nov 24 16:00:00 h sshd[8]: ", "h"),
        ("<38>Nov 24 16:00:00 10.0.0.9 1 2026-11-24T09:00:00Z h sshd 8 - - ", "h"),
        ("thg 11 24 16:00:00 h sshd[8]: ", "h"),
        ("nov. 24 16:00:00 h sshd[8]: ", "h"),
    ] {
        let (event, activity) = activity(&format!("{head}{message}"));
        assert_eq!((event.format(), event.device()), ("sshd", host), "{head}");
        assert_eq!(activity.user_name, "root", "{head}");
        assert_eq!(activity.src_port, 51022, "{head}");
        if head.contains("16:00:00") {
            assert_eq!(event.time().seconds(), 1_795_510_800, "{head}");
        }
    }
    for object in [
        r#"{"timestamp":"2026-11-24T09:00:00Z","hostname":"h","program":"sshd","pid":"8","message":"M"}"#,
        r#"{"time":"2026-11-24T09:00:00Z","ident":"sshd","host":"h","pid":"8","message":"M"}"#,
        r#"{"@timestamp":"2026-11-24T09:00:00Z","hostname":"h","syslogtag":"sshd[8]:","msg":" M"}"#,
        r#"{"@timestamp":"2026-11-24T09:00:00Z","host":{"hostname":"h"},"process":{"name":"sshd","pid":8},"message":"M"}"#,
    ] {
        let (event, activity) = activity(&object.replace('M', message));
        assert_eq!((event.format(), event.device()), ("sshd", "h"), "{object}");
        assert_eq!((activity.user_name.as_str(), activity.process_pid), ("root", 8), "{object}");
        assert_eq!(event.time().seconds(), 1_795_510_800, "{object}");
    }
}

#[test]
fn a_wrongly_named_format_is_corrected_and_told() {
    let line =
        "Nov 24 16:00:00 h sshd[5]: Failed password for root from 203.0.113.7 port 51022 ssh2";
    let read = |name: &str| {
        let (event, known) = event(name, line.as_bytes(), 0, &context());
        let told = event.activity().unwrap().unmapped.get(NAMED).cloned();
        (event.format().to_owned(), known, told)
    };
    assert_eq!(read("nginx-error"), ("sshd".into(), true, Some("nginx-error".into())));
    assert_eq!(read("syslog"), ("sshd".into(), true, None));
    assert_eq!(read("auto"), ("sshd".into(), true, None));
    // What nobody reads is nobody's.
    let (event, known) = event("combined", b"hello", 0, &context());
    assert!(!known && !event.activity().unwrap().unmapped.contains_key(NAMED));
}

#[test]
fn a_file_whose_format_changes_in_its_middle_is_read_line_by_line() {
    let mut joiner = join::Joiner::default();
    let mut found = Vec::new();
    let lines = [
        (
            r#"203.0.113.7 - - [24/Nov/2026:16:00:00 +0700] "GET /a HTTP/1.1" 200 12 "-" "x""#,
            "combined",
        ),
        (
            r#"{"level":"info","ts":1795510800.5,"logger":"http.log.access","msg":"handled request","request":{"remote_ip":"203.0.113.7","client_ip":"203.0.113.7","method":"GET","host":"a","uri":"/"},"status":401}"#,
            "caddy",
        ),
        ("#Fields: date time c-ip cs-method cs-uri-stem sc-status", "w3c"),
        ("2026-11-24 09:00:00 203.0.113.7 GET /b 404", "w3c"),
        (
            r#"203.0.113.7 - - [24/Nov/2026:16:00:00 +0700] "GET /c HTTP/1.1" 200 12 "-" "x""#,
            "combined",
        ),
        (
            "Nov 24 16:00:00 h sshd[8]: Failed password for root from 203.0.113.7 port 51022 ssh2",
            "sshd",
        ),
        (
            "2026-11-24T16:00:00.123456+07:00 h kernel: [UFW BLOCK] IN=eth0 OUT= SRC=203.0.113.7 DST=10.0.0.5 PROTO=TCP SPT=5 DPT=22",
            "netfilter",
        ),
        (
            "<38>1 2026-11-24T09:00:00Z h sudo 77 - - lan : TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/ls",
            "sudo",
        ),
        ("#Fields: date time cs-username c-ip sc-status cs-method cs-uri-stem", "w3c"),
        ("2026-11-24 09:00:01 lan 203.0.113.7 401 GET /d", "w3c"),
        (
            "2026-11-24 16:00:00.123 +07 [812] lan@hoso FATAL:  password authentication failed for user \"lan\"",
            "postgresql",
        ),
    ];
    for (line, _) in lines {
        let columns = joiner.header();
        for joined in joiner.push(line.as_bytes(), 0, Time::from_seconds(1)) {
            let context = context().with_columns(columns.clone());
            let (event, _) = event("auto", &joined.text, 0, &context);
            found.push(event.format().to_owned());
            if line.ends_with("/d") {
                assert_eq!(event.activity().unwrap().user_name, "lan");
            }
        }
    }
    assert_eq!(found, lines.map(|(_, format)| format.to_owned()));
}

#[test]
fn annotated_sshd_lines_of_another_project_agree() {
    let Some(text) = material("fail2ban/logs/sshd") else { return };
    let (mut right, mut wrong) = (0, Vec::new());
    let mut note: Option<serde_json::Value> = None;
    for line in text.lines() {
        if let Some(json) = line.strip_prefix("# failJSON:") {
            note = serde_json::from_str(json.trim()).ok();
            continue;
        }
        if line.starts_with('#') || line.is_empty() {
            continue;
        }
        let Some(note) = note.take() else { continue };
        // Some attackers are only named on another line of the same connection.
        if !line.contains(note["host"].as_str().unwrap_or_default()) {
            continue;
        }
        let (event, known) = event("auto", line.as_bytes(), 0, &context());
        let host = note["host"].as_str().unwrap_or_default();
        let found = event.activity().and_then(Activity::source_address).map(|a| a.to_string());
        let refused = event.activity().is_some_and(|a| a.status() == Status::Failure);
        let agrees = if note["match"].as_bool() == Some(true) {
            known
                && (host.parse::<std::net::IpAddr>().is_err() || found.as_deref() == Some(host))
                && (refused || found.is_some())
        } else {
            true
        };
        if agrees { right += 1 } else { wrong.push(line.to_owned()) }
    }
    eprintln!("sshd: {right} agree, {} differ", wrong.len());
    assert!(right >= 40 && wrong.len() * 20 <= right, "{wrong:#?}");
}

#[test]
fn every_one_of_ten_thousand_access_lines_is_understood() {
    let Some(text) = material("elastic-examples/apache_logs/apache_logs") else { return };
    let unknown: Vec<&str> = text
        .lines()
        .filter(|line| event("combined", line.as_bytes(), 0, &context()).0.format() != "combined")
        .collect();
    assert!(unknown.is_empty(), "{unknown:#?}");
    assert_eq!(text.lines().count(), 10_000);
}
