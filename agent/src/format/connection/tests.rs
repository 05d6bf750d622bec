use jiff::tz::TimeZone;

use super::*;
use crate::format::{self, Context};

/// Reads lines of one file, in order.
fn read(lines: &[&str]) -> Vec<Event> {
    let context = Context::at("2026-11-24T23:00:00Z".parse().unwrap(), TimeZone::UTC);
    let mut connections = Connections::default();
    let one = |line: &&str| {
        let (event, _) = format::event("auto", line.as_bytes(), 0, &context);
        connections.complete("a", event)
    };
    lines.iter().map(one).collect()
}

fn address(event: &Event) -> String {
    let activity = event.activity().unwrap();
    activity.source_address().map(|address| address.to_string()).unwrap_or_default()
}

fn told<'a>(event: &'a Event, name: &str) -> &'a str {
    event.activity().unwrap().unmapped.get(name).map_or("", String::as_str)
}

/// A refused log-in that rules count against an address.
fn counts(event: &Event) -> bool {
    event.activity().is_some_and(|a| {
        a.class() == Class::Authentication && a.activity_id == 1 && a.status() == Status::Failure
    }) && !address(event).is_empty()
}

#[test]
fn a_refusal_has_the_client_that_the_connections_first_line_named() {
    for lines in [
        [
            "2026-11-24 16:00:00.100 UTC [812] LOG:  connection received: host=203.0.113.7 port=51022",
            "2026-11-24 16:00:00.123 UTC [812] FATAL:  password authentication failed for user \"lan\"",
        ],
        [
            "2026-11-24T16:00:00.110+0000 I NETWORK  [listener] connection accepted from 203.0.113.7:51022 #12 (1 connection now open)",
            "2026-11-24T16:00:00.120+0000 I ACCESS   [conn12] SASL SCRAM-SHA-1 authentication failed for lan on admin ; UserNotFound",
        ],
        [
            "2026-11-24T16:00:00.110+0000 [initandlisten] connection accepted from 203.0.113.7:51022 #12 (1 connection now open)",
            "2026-11-24T16:00:00.120+0000 [conn12] Failed to authenticate lan@admin with mechanism MONGODB-CR: AuthenticationFailed key mismatch",
        ],
        [
            "Nov 24 16:00:00 h sshd[8]: Failed password for lan from 203.0.113.7 port 51022 ssh2",
            "Nov 24 16:00:01 h sshd[8]: fatal: Access denied for user lan by PAM account configuration [preauth]",
        ],
    ] {
        let events = read(&lines);
        let last = events.last().unwrap();
        assert_eq!(address(last), "203.0.113.7", "{}", lines[1]);
        assert_eq!(last.activity().unwrap().src_port, 51022, "{}", lines[1]);
        assert_eq!(last.activity().unwrap().user_name, "lan", "{}", lines[1]);
        assert!(counts(last), "{}", lines[1]);
        assert_eq!(told(last, EARLIER), "src_endpoint.ip", "{}", lines[1]);
    }
}

#[test]
fn what_follows_a_connection_belongs_to_its_client() {
    for lines in [
        [
            "2026-11-24T09:00:00.123456Z\t   12 Connect\tlan@203.0.113.7 on hoso using SSL/TLS",
            "2026-11-24T09:00:00.123456Z\t   12 Query\tdrop table hoso",
        ],
        [
            "Nov 24 16:00:00 mx postfix/smtpd[8]: 4XyZ1234: client=gw[203.0.113.7], sasl_method=PLAIN, sasl_username=lan",
            "Nov 24 16:00:00 mx postfix/qmgr[9]: 4XyZ1234: from=<lan@example.vn>, size=1234, nrcpt=50 (queue active)",
        ],
        [
            "Nov 24 16:00:00 vpn charon[8]: 09[CFG] <7> looking for peer configs matching 10.0.0.5[%any]...203.0.113.7[lan]",
            "Nov 24 16:00:00 vpn charon[8]: 09[IKE] <rw|7> EAP method EAP_MSCHAPV2 failed for peer lan",
        ],
        [
            "2026.11.24 16:00:00 LOG5[12]: Service [imaps] accepted connection from 203.0.113.7:51022",
            "2026.11.24 16:00:00 LOG3[12]: SSL_accept: Peer suddenly disconnected",
        ],
    ] {
        let events = read(&lines);
        assert_eq!(address(&events[1]), "203.0.113.7", "{}", lines[1]);
        assert!(told(&events[1], EARLIER).starts_with("src_endpoint.ip"), "{}", lines[1]);
    }
}

#[test]
fn a_directorys_answer_has_the_client_of_one_line_and_the_user_of_another() {
    let events = read(&[
        "Nov 24 16:00:00 d slapd[8]: conn=5 fd=9 ACCEPT from IP=203.0.113.7:51022 (IP=0.0.0.0:389)",
        "Nov 24 16:00:00 d slapd[8]: conn=6 fd=9 ACCEPT from IP=198.51.100.9:51022 (IP=0.0.0.0:389)",
        "Nov 24 16:00:00 d slapd[8]: conn=5 op=0 BIND dn=\"uid=lan,dc=example,dc=vn\" method=128",
        "Nov 24 16:00:00 d slapd[8]: conn=5 op=0 RESULT tag=97 err=49 qtime=0.000010 etime=0.002 text=",
    ]);
    assert!(counts(&events[3]));
    assert_eq!(address(&events[3]), "203.0.113.7");
    assert_eq!(events[3].activity().unwrap().user_name, "uid=lan,dc=example,dc=vn");
    assert_eq!(told(&events[3], EARLIER), "src_endpoint.ip,user.name");
}

#[test]
fn a_refusal_whose_client_is_told_at_the_end_is_told_there_once() {
    let refused = "2026-11-24T16:00:00.110+0000 [conn7] Failed to authenticate lan@admin with mechanism MONGODB-CR: AuthenticationFailed key mismatch";
    let end = "2026-11-24T16:00:00.111+0000 [conn7] end connection 203.0.113.7:53276 (0 connections now open)";
    let events = read(&[refused, end, end]);
    assert!(!counts(&events[0]));
    assert!(counts(&events[1]));
    assert_eq!(events[1].activity().unwrap().user_name, "lan");
    assert_eq!(told(&events[1], EARLIER), "user.name,status_id");
    assert!(!counts(&events[2]), "it is owed once");
    // Where the client was known before, the end is an end.
    let begin = "2026-11-24T16:00:00.100+0000 [initandlisten] connection accepted from 203.0.113.7:53276 #7 (1 connection now open)";
    let events = read(&[begin, refused, end]);
    assert!(counts(&events[1]) && !counts(&events[2]));
    // A connection that was not refused ends as it did.
    assert!(!read(&[begin, end]).iter().any(counts));
}

#[test]
fn what_ended_without_an_identification_names_its_client_behind() {
    let events = read(&[
        "Nov 24 16:00:00 h sshd[8]: error: kex_exchange_identification: Connection closed by remote host",
        "Nov 24 16:00:00 h sshd[8]: Connection closed by 203.0.113.7 port 35352",
    ]);
    let last = events[1].activity().unwrap();
    assert_eq!((last.status(), last.activity_id), (Status::Failure, 99));
    assert_eq!(address(&events[1]), "203.0.113.7");
}

#[test]
fn a_success_behind_refusals_of_others_stays_one_and_names_them() {
    let refused =
        "Nov 24 16:00:00 h sshd[8]: Failed password for root from 203.0.113.7 port 51022 ssh2";
    let own = "Nov 24 16:00:01 h sshd[8]: Failed password for lan from 203.0.113.7 port 51022 ssh2";
    let accepted =
        "Nov 24 16:00:02 h sshd[8]: Accepted password for lan from 203.0.113.7 port 51022 ssh2";
    let opened = "Nov 24 16:00:02 h sshd[8]: pam_unix(sshd:session): session opened for user lan(uid=1000) by (uid=0)";
    let events = read(&[refused, own, accepted, opened]);
    assert_eq!(events[2].activity().unwrap().status(), Status::Success);
    assert_eq!(told(&events[2], REFUSED_BEFORE), "root");
    assert_eq!(address(&events[3]), "203.0.113.7");
    assert_eq!(told(&events[3], REFUSED_BEFORE), "");
    // Who mistyped an own password is nobody else.
    assert_eq!(told(&read(&[own, accepted])[1], REFUSED_BEFORE), "");
}

#[test]
fn a_number_that_is_given_again_takes_nothing_with_it() {
    let denied = "FATAL:  password authentication failed for user \"lan\"";
    let begun = "LOG:  connection received: host=203.0.113.7 port=51022";
    let line = |clock: &str, pid: u32, text: &str| format!("2026-11-24 {clock} UTC [{pid}] {text}");
    let after = |lines: &[String]| {
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        address(read(&lines).last().unwrap())
    };
    let begun_at = |clock: &str| line(clock, 812, begun);
    // Another process, another time, another host.
    assert_eq!(after(&[begun_at("16:00:00.000"), line("16:00:01.000", 813, denied)]), "");
    assert_eq!(after(&[begun_at("16:00:00.000"), line("16:40:00.000", 812, denied)]), "");
    let host =
        |host: &str, text: &str| format!("Nov 24 16:00:00 {host} postgres[812]: [3-1] {text}");
    assert_eq!(after(&[host("db1", begun), host("db1", denied)]), "203.0.113.7");
    assert_eq!(after(&[host("db1", begun), host("db2", denied)]), "");
    // The next client of the number.
    let next = "LOG:  connection received: host=198.51.100.9 port=40000";
    let lines = [
        begun_at("16:00:00.000"),
        line("16:00:02.000", 812, next),
        line("16:00:03.000", 812, denied),
    ];
    assert_eq!(after(&lines), "198.51.100.9");
    // The first one has gone.
    let gone = "LOG:  disconnection: session time: 0:00:01.000 user=lan database=a host=203.0.113.7 port=51022";
    let lines = [
        begun_at("16:00:00.000"),
        line("16:00:01.000", 812, gone),
        line("16:01:00.000", 812, denied),
    ];
    assert_eq!(after(&lines), "");
}

#[test]
fn what_the_listening_process_says_of_one_client_is_not_said_of_the_next() {
    let events = read(&[
        "Nov 24 16:00:00 h sshd[1]: srclimit_penalise: ipv4: new 203.0.113.7/32 deferred penalty of 5 seconds for penalty: failed authentication",
        "Nov 24 16:00:01 h sshd[1]: drop connection #10 from [203.0.113.7]:51022 on [10.0.0.5]:22 past MaxStartups",
        "Nov 24 16:00:02 h sshd[1]: Timeout before authentication for connection from 203.0.113.7 to 10.0.0.5, pid = 77",
        "Nov 24 16:00:03 h sshd[1]: error: beginning MaxStartups throttling",
        "Nov 24 16:00:04 h sshd[1]: Server listening on 0.0.0.0 port 22.",
    ]);
    assert!(events[..3].iter().all(|event| address(event) == "203.0.113.7"));
    assert!(events[3..].iter().all(|event| address(event).is_empty()));
}

#[test]
fn however_many_connections_there_are_what_is_kept_is_bounded() {
    let context = Context::at("2026-11-24T23:00:00Z".parse().unwrap(), TimeZone::UTC);
    let mut connections = Connections::default();
    for pid in 1..20_000 {
        let line = format!("Nov 24 16:00:00 h sshd[{pid}]: Invalid user x from 203.0.113.7 port 5");
        let (event, _) = format::event("auto", line.as_bytes(), 0, &context);
        let _event = connections.complete("a", event);
        assert!(connections.young.len() <= CONNECTIONS_MAX);
        assert!(connections.old.len() <= CONNECTIONS_MAX);
    }
    // Those that were spoken of last are known.
    let line = b"Nov 24 16:00:00 h sshd[19999]: fatal: Access denied for user x by PAM account configuration [preauth]";
    let (event, _) = format::event("auto", line, 0, &context);
    assert_eq!(address(&connections.complete("a", event)), "203.0.113.7");
}

proptest::proptest! {
    /// What a line says of itself is never replaced, whatever stood before.
    #[test]
    fn what_a_line_tells_itself_stays(picks in proptest::collection::vec((0_usize..8, 0_u8..3, 1_u32..4), 1..40)) {
        let context = Context::at("2026-11-24T23:00:00Z".parse().unwrap(), TimeZone::UTC);
        let mut connections = Connections::default();
        for (pick, host, pid) in picks {
            let texts = [
                format!("Failed password for u{host} from 203.0.113.{host} port 5102{host} ssh2"),
                format!("Accepted password for u{host} from 203.0.113.{host} port 5102{host} ssh2"),
                "error: kex_exchange_identification: Connection closed by remote host".to_owned(),
                format!("Connection closed by 203.0.113.{host} port 5102{host}"),
                "fatal: Access denied for user x by PAM account configuration [preauth]".to_owned(),
                format!("pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=203.0.113.{host}"),
                "pam_unix(sshd:session): session closed for user lan".to_owned(),
                "Server listening on 0.0.0.0 port 22.".to_owned(),
            ];
            let line = format!("Nov 24 16:00:00 h sshd[{pid}]: {}", texts[pick]);
            let (before, _) = format::event("auto", line.as_bytes(), 0, &context);
            let after = connections.complete("a", before.clone());
            let (a, b) = (before.activity().unwrap(), after.activity().unwrap());
            proptest::prop_assert!(a.src_ip.is_empty() || a.src_ip == b.src_ip);
            proptest::prop_assert!(a.user_name.is_empty() || a.user_name == b.user_name);
            proptest::prop_assert!(a.status_id == 0 || a.status_id == b.status_id);
            proptest::prop_assert_eq!(before.raw(), after.raw());
            proptest::prop_assert_eq!(before.lane(), after.lane());
        }
    }
}
