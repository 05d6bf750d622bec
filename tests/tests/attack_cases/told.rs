//! Accounts named by an attacker, in the messages that the system sends of its own accord: text, a chat's HTML, a chat's marks, and a line
//! for another centre. Whoever reads them is told what happened, and nothing of it is a command, a link, a call or a second field.

use std::{
    net::UdpSocket,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use anyhow::{Context as _, ensure};
use system_tests::hook::Hook;

use super::{ground::Ground, tally::Tally};

/// Refused log-ins before the one that is let in: enough for an incident on a host alone.
const REFUSED: usize = 9;

/// Bytes of a datagram.
const DATAGRAM_BYTES_MAX: usize = 65_536;

/// How long an incident and its messages may take: detection, a gathering of a second, a try.
const TOLD_WITHIN: Duration = Duration::from_secs(60);

struct Case {
    sentence: &'static str,
    /// By what its message is found.
    mark: &'static str,
    /// The account's name behind the mark.
    evil: &'static str,
}

const CASES: [Case; 7] = [
    Case {
        sentence: "an account that commands a terminal commands none in a message",
        mark: "told00",
        evil: "\u{1b}]52;c;ZXZpbA==\u{7}\u{9b}2J",
    },
    Case {
        sentence: "an account that turns the direction turns none in a message",
        mark: "told01",
        evil: "\u{202e}toor\u{202c}\u{2066}x",
    },
    Case {
        sentence: "an account that begins a line of its own is on one line in a message",
        mark: "told02",
        evil: "x\u{85}\u{2028}#999_resolved",
    },
    Case {
        sentence: "an account that is a link is none in a message",
        mark: "told03",
        evil: "<a href=\"http://evil.example\">x</a>",
    },
    Case {
        sentence: "an account that calls everybody calls nobody in a message",
        mark: "told04",
        evil: "<!channel> <@U123> @here `x` *b* _i_",
    },
    Case {
        sentence: "an account with a bar and an equal sign makes no field in a line for another centre",
        mark: "told05",
        evil: "x|10|act=allowed src=192.0.2.1 \\",
    },
    Case {
        sentence: "an account of Markdown makes no link in a message",
        mark: "told06",
        evil: "![x](http://evil.example) [y](javascript:alert(1))",
    },
];

/// The places that are told.
pub(crate) struct Places {
    webhook: Hook,
    telegram: Hook,
    slack: Hook,
    syslog: Arc<Mutex<Vec<String>>>,
    port: u16,
}

impl Places {
    /// They listen.
    pub(crate) fn open() -> anyhow::Result<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        let port = socket.local_addr()?.port();
        let syslog = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&syslog);
        // Ends with the story.
        thread::spawn(move || {
            let mut bytes = vec![0; DATAGRAM_BYTES_MAX];
            while let Ok(length) = socket.recv(&mut bytes) {
                let line = String::from_utf8_lossy(&bytes[..length]).into_owned();
                heard.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        });
        let place = || Hook::start([]);
        Ok(Self { webhook: place()?, telegram: place()?, slack: place()?, syslog, port })
    }

    /// What the collector is told of them. The bot's token is in a file beside them.
    pub(crate) fn settings(&self, token: &str) -> String {
        let channel = |name: &str, rest: &str| {
            format!(
                "[[notify.channel]]\nname = \"{name}\"\nkind = \"{name}\"\ntlp = \"red\"\nlang = \"en\"\ngather = \"1s\"\n\
                 messages_per_hour_max = 3600\nplain_text = true\n{rest}\n"
            )
        };
        [
            channel("webhook", &format!("url = \"{}\"", self.webhook.url())),
            channel(
                "telegram",
                &format!("url = \"{}\"\nchat = \"-1\"\ntoken_file = \"{token}\"", self.telegram.url()),
            ),
            channel("slack", &format!("url = \"{}\"", self.slack.url())),
            channel(
                "syslog-cef",
                &format!("transport = \"udp\"\nhost = \"127.0.0.1\"\nport = {}", self.port),
            ),
            "[[notify.route]]\nname = \"worst\"\nchannels = [\"webhook\", \"telegram\", \"slack\", \"syslog-cef\"]\n\
             severity = \"critical\"\nevents = [\"opened\"]\n"
                .to_owned(),
        ]
        .concat()
    }

    /// The line of a mark in a place's texts.
    fn line(hook: &Hook, mark: &str) -> anyhow::Result<String> {
        let texts = hook.heard();
        let texts = texts.iter().filter_map(|one| one.body["text"].as_str());
        let line = texts.flat_map(|text| text.split('\n')).find(|line| line.contains(mark));
        line.map(str::to_owned).with_context(|| format!("{mark} is in no text"))
    }

    /// The line of a mark for another centre.
    fn cef(&self, mark: &str) -> anyhow::Result<String> {
        let lines = self.syslog.lock().unwrap_or_else(PoisonError::into_inner);
        let line = lines.iter().find(|line| line.contains(mark)).cloned();
        line.with_context(|| format!("{mark} is in no line"))
    }

    fn are_told(&self, mark: &str) -> bool {
        [&self.webhook, &self.telegram, &self.slack]
            .iter()
            .all(|hook| Self::line(hook, mark).is_ok())
            && self.cef(mark).is_ok()
    }
}

fn is_command(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}')
}

/// HTML as Telegram takes it, without what is written by us: nothing that opens a tag is left.
fn html(line: &str) -> anyhow::Result<()> {
    let ours = ["<b>", "</b>", "<i>", "</i>", "<code>", "</code>"];
    let rest = ours.iter().fold(line.to_owned(), |rest, tag| rest.replace(tag, ""));
    ensure!(!rest.contains(['<', '>']), "telegram: {line}");
    Ok(())
}

/// Slack's marks: what came from outside is in one span of code, in which nothing means anything.
fn mrkdwn(line: &str, mark: &str) -> anyhow::Result<()> {
    let outside: String = line.split('`').step_by(2).collect();
    ensure!(line.matches('`').count().is_multiple_of(2), "slack: a span is open: {line}");
    ensure!(
        !outside.contains(mark) && !line.contains("<!") && !line.contains("<@"),
        "slack: {line}"
    );
    Ok(())
}

/// The parts of a text between separators that no backslash stands before.
fn parts(text: &str, separator: char) -> Vec<String> {
    let (mut parts, mut escaped) = (vec![String::new()], false);
    for character in text.chars() {
        if character == separator && !escaped {
            parts.push(String::new());
        } else if let Some(part) = parts.last_mut() {
            part.push(character);
        }
        escaped = character == '\\' && !escaped;
    }
    parts
}

/// A line of CEF: its severity stands where it belongs, and no field is one of the account's.
fn cef(line: &str) -> anyhow::Result<()> {
    let event = line.split_once("CEF:").context("no CEF")?.1;
    let head = parts(event, '|');
    let severity = head.get(6).and_then(|part| part.parse::<u8>().ok());
    ensure!(severity == Some(10), "cef: severity {severity:?} in {line}");
    // The last word before an equal sign is a field's name.
    let fields = parts(&head[7..].join("|"), '=');
    let names: Vec<&str> = fields.iter().filter_map(|part| part.rsplit(' ').next()).collect();
    let of = |name: &str| names.iter().filter(|one| **one == name).count();
    ensure!(of("act") == 1 && of("src") == 0 && of("externalId") == 1, "cef: {names:?} in {line}");
    Ok(())
}

fn try_one(places: &Places, case: &Case) -> anyhow::Result<()> {
    let mark = case.mark;
    let all = [
        Places::line(&places.webhook, mark)?,
        Places::line(&places.telegram, mark)?,
        Places::line(&places.slack, mark)?,
        places.cef(mark)?,
    ];
    for line in &all {
        let command = line.chars().find(|character| is_command(*character));
        ensure!(command.is_none(), "{command:?} is in {line:?}");
        ensure!(!line.trim_start().starts_with("#999"), "a line of its own: {line}");
    }
    html(&all[1])?;
    mrkdwn(&all[2], mark)?;
    cef(&all[3])
}

/// Passwords are tried under the account's name, and one of them is right.
fn lines(at: usize, case: &Case) -> String {
    let now = jiff::Zoned::now().strftime("%b %d %H:%M:%S").to_string();
    let one = |outcome: &str| {
        format!(
            "{now} told sshd[7]: {outcome} password for {}_{} from 198.51.100.{} port 4711 ssh2\n",
            case.mark,
            case.evil,
            at + 101
        )
    };
    one("Failed").repeat(REFUSED) + &one("Accepted")
}

/// Tries all.
pub(crate) fn try_all(ground: &Ground, tally: &mut Tally) -> anyhow::Result<()> {
    let places = &ground.places;
    let all: String = CASES.iter().enumerate().map(|(at, case)| lines(at, case)).collect();
    ground.machine.append(&all)?;
    ground.wait_for("the messages", TOLD_WITHIN, || {
        let missing: Vec<&str> =
            CASES.iter().map(|case| case.mark).filter(|mark| !places.are_told(mark)).collect();
        ensure!(missing.is_empty(), "nothing was told of {missing:?}");
        Ok(true)
    })?;
    for case in &CASES {
        tally.note(case.sentence, try_one(places, case));
    }
    Ok(())
}
