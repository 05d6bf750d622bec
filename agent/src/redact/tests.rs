use proptest::prelude::*;
use vonggac_wire::{
    Event, Time,
    event::{Activity, Body, Session},
};

use super::*;
use crate::format::{self, Context};

fn redactor(change: impl FnOnce(&mut Rules)) -> Redactor {
    let mut rules = Rules::default();
    change(&mut rules);
    Redactor::new(rules, Pseudonyms::new([1; 32]))
}

fn line(redactor: &Redactor, text: &str) -> String {
    String::from_utf8_lossy(&redactor.bytes(text.as_bytes())).into_owned()
}

fn event(text: &str) -> Event {
    format::event("auto", text.as_bytes(), 0, &Context::here(Time::from_seconds(1_796_000_000))).0
}

#[test]
fn marks_stand_in_the_place_of_what_was_found() {
    let text = "GET /tra-cuu?cccd=001099012345&sdt=0912345678&token=abc&email=an%40x.vn HTTP/1.1";
    assert_eq!(
        line(&redactor(|_| ()), text),
        "GET /tra-cuu?cccd=[id]&sdt=[phone]&token=***&email=[email] HTTP/1.1"
    );
    let keeping = redactor(|rules| rules.telephones = Mode::Keep);
    assert!(line(&keeping, text).contains("0912345678"));
    let naming = redactor(|rules| rules.identity_numbers = Mode::Pseudonym);
    let (one, other) = (line(&naming, "cccd 001099012345"), line(&naming, "x 001 099 012 345"));
    assert!(one.starts_with("cccd [id:") && one[6..].ends_with(&other[3..]), "{one} {other}");
}

#[test]
fn fields_that_were_cut_from_a_line_are_redacted_with_it() {
    let request = r#"203.0.113.7 - - [24/Nov/2026:09:41:12 +0700] "GET /tra-cuu?cccd=001099012345&otp=123456 HTTP/1.1" 200 512 "https://x.vn/?token=abcd" "M""#;
    let redacted = redactor(|_| ()).apply(event(request));
    let activity = redacted.activity().unwrap();
    let http = activity.http.as_ref().unwrap();
    assert_eq!(http.url, "/tra-cuu?cccd=[id]&otp=***");
    assert_eq!(http.referrer, "https://x.vn/?token=***");
    assert!(!String::from_utf8_lossy(redacted.raw()).contains("001099012345"));
    assert_eq!(activity.source_address().unwrap().to_string(), "203.0.113.7");
}

#[test]
fn users_and_addresses_stay_readable_unless_told_otherwise() {
    let text =
        "Nov 24 09:41:12 web sshd[7]: Failed password for nguyenvana from 203.0.113.7 port 5 ssh2";
    let redacted = redactor(|_| ()).apply(event(text));
    assert_eq!(redacted.activity().unwrap().user_name, "nguyenvana");
    assert_eq!(redacted.raw(), text.as_bytes());
    let strict = redactor(|rules| {
        rules.user_names = Mode::Pseudonym;
        rules.source_addresses = Mode::Pseudonym;
    });
    let redacted = strict.apply(event(text));
    let activity = redacted.activity().unwrap();
    assert!(activity.user_name.starts_with("p-") && activity.source_address().is_none());
    assert!(activity.unmapped["src_endpoint.pseudonym"].starts_with("p-"));
    let raw = String::from_utf8_lossy(redacted.raw()).into_owned();
    assert!(!raw.contains("nguyenvana") && !raw.contains("203.0.113.7"), "{raw}");
}

#[test]
fn a_person_whose_number_is_the_user_name_is_still_counted_as_one() {
    let text = "Nov 24 09:41:12 web sshd[7]: Failed password for 001099012345 from 203.0.113.7 port 5 ssh2";
    let redactor = redactor(|_| ());
    let user = |text: &str| redactor.apply(event(text)).activity().unwrap().user_name.clone();
    assert!(user(text).starts_with("p-"));
    assert_eq!(user(text), user(&text.replace("[7]", "[8]")));
}

#[test]
fn a_portal_that_posts_a_number_as_pseudonym_gives_none_away() {
    let now = Time::from_seconds(1_796_000_000);
    let session = Session { user_pseudonym: "001099012345".into(), ..Session::default() };
    let posted = Event::new(now, now, Body::Session(session))
        .with_raw(br#"{"kind":"session","user_pseudonym":"001099012345"}"#, 0);
    let redacted = redactor(|_| ()).apply(posted);
    let Body::Session(session) = redacted.body() else { panic!("a session") };
    assert!(session.user_pseudonym.starts_with("p-"));
    assert!(!String::from_utf8_lossy(redacted.raw()).contains("001099012345"));
}

#[test]
fn configured_fields_and_patterns_are_taken() {
    let redactor = redactor(|rules| {
        rules.fields = vec!["ho_ten".into(), "http_request.user_agent".into()];
        rules.patterns = vec![Regex::new(r"HS-\d{6}").unwrap()];
    });
    assert_eq!(
        line(&redactor, r#"{"hoTen":"Nguyễn Văn A","ma":"HS-123456"}"#),
        r#"{"hoTen":"[field]","ma":"[redacted]"}"#
    );
    let mut activity = Activity::default();
    activity.unmapped.insert("citizen.ho_ten".into(), "An".into());
    activity.unmapped.insert("db.password".into(), "hunter2".into());
    let now = Time::from_seconds(1);
    let redacted = redactor.apply(Event::new(now, now, Body::Activity(activity)));
    let unmapped = &redacted.activity().unwrap().unmapped;
    assert_eq!(
        (unmapped["citizen.ho_ten"].as_str(), unmapped["db.password"].as_str()),
        ("[field]", "***")
    );
}

fn quantities() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<u16>().prop_map(|port| format!("port {port}")),
        (1_u64..=u64::from(u32::MAX)).prop_map(|n| format!("bytes={n}")),
        any::<u32>().prop_map(|n| std::net::Ipv4Addr::from(n).to_string()),
        any::<u128>().prop_map(|n| std::net::Ipv6Addr::from(n).to_string()),
        any::<u128>().prop_map(|n| {
            let text = format!("{n:032x}");
            format!(
                "{}-{}-{}-{}-{}",
                &text[..8],
                &text[8..12],
                &text[12..16],
                &text[16..20],
                &text[20..]
            )
        }),
        (0_i64..4_000_000_000).prop_map(|at| Time::from_seconds(at).to_string()),
        (1_000_000_000_u64..4_000_000_000, 0_u32..1_000_000_000)
            .prop_map(|(s, n)| format!("{s}.{n:09}")),
        any::<u64>().prop_map(|n| format!("trace_id={n}")),
        any::<u64>().prop_map(|n| format!("0x{n:016x}")),
        (0_u32..24, 0_u32..60, 0_u32..60).prop_map(|(h, m, s)| format!("{h:02}:{m:02}:{s:02}")),
    ]
}

proptest! {
    #[test]
    fn no_time_port_size_address_or_identifier_is_eaten(parts in proptest::collection::vec(quantities(), 1..8)) {
        let text = parts.join(" ");
        prop_assert_eq!(line(&redactor(|_| ()), &text), text);
    }

    #[test]
    fn any_bytes_are_taken_without_harm_and_a_second_time_changes_nothing_more(text in proptest::collection::vec(any::<u8>(), 0..200)) {
        let redactor = redactor(|_| ());
        let once = redactor.bytes(&text).into_owned();
        prop_assert_eq!(redactor.bytes(&once).into_owned(), once);
    }

    #[test]
    fn a_number_never_passes_whatever_stands_around_it(
        before in "[ =/:\"?&;,(]{1,3}", after in "[ /\"&;,)]{0,3}", random in 1_u32..1_000_000, year in 0_u32..50, sex in 0_u32..4,
    ) {
        let number = format!("079{sex}{year:02}{random:06}");
        let text = format!("x{before}{number}{after}");
        prop_assert!(!line(&redactor(|_| ()), &text).contains(&number), "{}", text);
    }

    #[test]
    fn telling_signs_in_any_order_do_no_harm(text in "[=:@%J.\"'\\\\ &?0-9a-zB\\[\\]-]{0,120}") {
        let redactor = redactor(|rules| rules.fields = vec!["name".into()]);
        let once = line(&redactor, &text);
        prop_assert!(once.len() <= text.len() * 8 + 8);
    }
}
