use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, UdpSocket},
    thread::JoinHandle,
    time::Duration,
};

use vonggac_answer::words::Lang;
use vonggac_daemon::secret::Secret;
use vonggac_wire::{Time, incident::Severity};

use super::*;
use crate::notify::{
    note::{Event, Note},
    queue::{Queued, State},
    settings::{Form, Http, Smtp, SmtpTls, Syslog, Transport},
    tlp::Tlp,
};

pub(super) fn message() -> Message {
    let now = Time::from_seconds(1_795_737_600);
    let note = Note {
        incident: 7,
        title_en: "Guessed|passwords=x\nfrom".into(),
        agency: "H49".into(),
        rule: "ssh-brute-force".into(),
        state: "new".into(),
        ..Note::of_none(Event::Opened, Severity::Critical, now)
    };
    let note = Queued {
        route: "r".into(),
        tlp: "amber".into(),
        state: State::Sending,
        message: "m".into(),
        attempts: 1,
        ..Queued::fresh("n".into(), "c", note, now)
    };
    Message { id: "m".into(), recipients: vec!["duty@e.vn".into()], notes: vec![note] }
}

fn channel(way: Way) -> Channel {
    Channel {
        name: "c".into(),
        tlp: Tlp::Red,
        lang: Lang::En,
        messages_per_hour_max: 30,
        gather: Duration::ZERO,
        way,
    }
}

fn hook(url: String) -> Channel {
    channel(Way::Http(Box::new(Http {
        url: Secret::new(url),
        form: Form::Webhook,
        key: Some(Secret::new("key".into())),
        authorization: Some(Secret::new("Bearer hunter2".into())),
        authorities: None,
    })))
}

/// A server that answers its one caller with these bytes once it has heard the whole message, and closes; gives what it heard.
fn answering(answer: String) -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook?token=hunter2", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let (mut bytes, mut text) = ([0; 4_096], String::new());
        while !text.ends_with('}') {
            let read = stream.read(&mut bytes).unwrap();
            text.push_str(&String::from_utf8_lossy(&bytes[..read]));
        }
        stream.write_all(answer.as_bytes()).unwrap();
        text
    });
    (url, server)
}

#[tokio::test]
async fn each_answer_says_whether_it_was_taken_is_refused_or_may_be_tried_again() {
    let long = "x".repeat(100_000);
    for (status, headers, body, outcome) in [
        ("200 OK", "", "ok", Outcome::Taken),
        ("204 No Content", "", "", Outcome::Taken),
        // What it says besides is not waited for.
        ("200 OK", "", long.as_str(), Outcome::Taken),
        (
            "500 Internal Server Error",
            "",
            "oh\r\nno",
            Outcome::Failed(
                "the answer was 500 Internal Server Error: oh\\x0d\\x0ano".into(),
                None,
            ),
        ),
        (
            "429 Too Many Requests",
            "retry-after: 7\r\n",
            "",
            Outcome::Failed(
                "the answer was 429 Too Many Requests".into(),
                Some(Duration::from_secs(7)),
            ),
        ),
        ("404 Not Found", "", "", Outcome::Refused("the answer was 404 Not Found".into())),
        (
            "302 Found",
            "location: http://127.0.0.1:1/\r\n",
            "",
            Outcome::Refused("the answer was 302 Found".into()),
        ),
    ] {
        let length = body.len();
        let (url, server) = answering(format!(
            "HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}"
        ));
        assert_eq!(send(&hook(url), &message()).await, outcome, "{status}");
        let _heard = server.join();
    }
}

#[tokio::test]
async fn what_is_sent_is_signed_and_carries_the_messages_name() {
    let (url, server) = answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".into());
    assert_eq!(send(&hook(url), &message()).await, Outcome::Taken);
    let heard = server.join().unwrap();
    let (head, body) = heard.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /hook?token=hunter2 HTTP/1.1"), "{head}");
    assert!(head.contains("x-vonggac-delivery: m\r\n"), "{head}");
    assert!(head.contains("authorization: Bearer hunter2"), "{head}");
    let signed = head.split("x-vonggac-signature: t=").nth(1).unwrap();
    let (seconds, rest) = signed.split_once(",v1=").unwrap();
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"key");
    let tag = data_encoding::HEXLOWER.decode(&rest.as_bytes()[..64]).unwrap();
    ring::hmac::verify(&key, format!("{seconds}.{body}").as_bytes(), &tag).unwrap();
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!((&body["tlp"], &body["incidents"][0]["number"]), (&"TLP:AMBER".into(), &7.into()));
}

#[tokio::test]
async fn what_goes_wrong_on_the_way_is_tried_again_and_told_without_the_secret() {
    let (cut, server) = answering("HTTP/1.1 200 OK\r\ncontent-le".into());
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nobody = format!("http://{gone}/hook?token=hunter2");
    let plain = TcpListener::bind("127.0.0.1:0").unwrap();
    let untold = format!("https://{}/hook?token=hunter2", plain.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut stream, _) = plain.accept().unwrap();
        let _gone = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
    });
    for url in [cut, nobody, untold] {
        let Outcome::Failed(said, None) = send(&hook(url), &message()).await else {
            panic!("it cannot be taken")
        };
        assert!(!said.contains("hunter2") && !said.is_empty(), "{said}");
    }
    let _heard = server.join();
}

#[tokio::test]
async fn a_mail_server_that_is_away_or_speaks_no_tls_gets_nothing() {
    let mail = |port, tls| {
        channel(Way::Smtp(Box::new(Smtp {
            host: "127.0.0.1".into(),
            port,
            tls,
            login: None,
            from: "v@e.vn".into(),
            to: Vec::new(),
            authorities: None,
        })))
    };
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let outcome = send(&mail(gone.port(), SmtpTls::None), &message()).await;
    assert!(matches!(outcome, Outcome::Failed(..)), "{outcome:?}");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"220 m ESMTP\r\n").unwrap();
        let (mut bytes, mut text) = ([0; 1_024], String::new());
        while let Ok(read) = stream.read(&mut bytes) {
            if read == 0 {
                break;
            }
            text.push_str(&String::from_utf8_lossy(&bytes[..read]));
            let _gone = stream.write_all(b"250 m\r\n");
        }
        text
    });
    let outcome = send(&mail(port, SmtpTls::StartTls), &message()).await;
    assert!(matches!(outcome, Outcome::Failed(..)), "{outcome:?}");
    let heard = server.join().unwrap();
    assert!(!heard.contains("MAIL") && !heard.contains("DATA"), "{heard}");
}

#[tokio::test]
async fn syslog_gets_counted_lines_over_tcp_and_one_datagram_each_over_udp() {
    let syslog = |port, transport| {
        channel(Way::Syslog(Box::new(Syslog {
            host: "127.0.0.1".into(),
            port,
            transport,
            authorities: None,
        })))
    };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    });
    assert_eq!(send(&syslog(port, Transport::Tcp), &message()).await, Outcome::Taken);
    let heard = server.join().unwrap();
    let (length, line) = heard.split_once(' ').unwrap();
    assert_eq!(length.parse(), Ok(line.len()));
    assert!(
        line.starts_with("<130>1 ")
            && line.contains(" vonggac-collector - incident - \u{feff}CEF:0|"),
        "{line}"
    );
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    assert_eq!(send(&syslog(port, Transport::Udp), &message()).await, Outcome::Taken);
    let mut bytes = [0; 2_048];
    let read = socket.recv(&mut bytes).unwrap();
    assert!(
        String::from_utf8_lossy(&bytes[..read])
            .contains("|ssh-brute-force|Guessed\\|passwords=x\\nfrom|10|")
    );
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    assert!(matches!(send(&syslog(gone, Transport::Tcp), &message()).await, Outcome::Failed(..)));
}
