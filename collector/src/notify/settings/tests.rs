use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use vonggac_daemon::settings::Document;

use super::*;

/// Settings of a text in which `DIR` is a folder with the secrets `word`, `open` (which everybody reads) and `empty`.
pub(crate) fn read(text: &str) -> Result<Settings, String> {
    let folder = tempfile::tempdir().unwrap();
    for (name, content, mode) in [
        ("word", "hunter2\n", 0o600),
        ("open", "hunter2\n", 0o644),
        ("empty", "\n", 0o600),
        ("lines", "a\nb\n", 0o600),
        ("hook", "https://hook.example/T0/secret\n", 0o400),
        ("form.json", "{\"text\": \"{text_mrkdwn}\"}", 0o644),
    ] {
        let file = folder.path().join(name);
        fs::write(&file, content).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
    }
    let text = text.replace("DIR", &folder.path().display().to_string());
    Document::from_text(Path::new("c.toml"), text)
        .finish(Settings::take)
        .map(|settings| settings.expect("a table"))
        .map_err(|error| error.to_string())
}

const MAIL: &str = "[notify]\n[[notify.channel]]\nname = \"mail\"\nkind = \"smtp\"\ntlp = \"amber\"\nhost = \"mail.example\"\nfrom = \"v@example.vn\"\nto = [\"duty@example.vn\"]\n";

const HOOK: &str =
    "[notify]\n[[notify.channel]]\nname = \"hook\"\nkind = \"webhook\"\ntlp = \"green\"\n";

#[test]
fn every_kind_of_channel_has_its_usual_settings() {
    let settings = read(&format!(
        "{MAIL}user = \"v\"\npassword_file = \"DIR/word\"\n\
         [[notify.channel]]\nname = \"bot\"\nkind = \"telegram\"\ntlp = \"clear\"\nchat = \"-100\"\ntoken_file = \"DIR/word\"\n\
         [[notify.channel]]\nname = \"room\"\nkind = \"slack\"\ntlp = \"clear\"\nurl_file = \"DIR/hook\"\nlang = \"en\"\n\
         [[notify.channel]]\nname = \"form\"\nkind = \"webhook\"\ntlp = \"red\"\nurl = \"https://h.example/\"\nkey_file = \"DIR/word\"\ntemplate = \"DIR/form.json\"\n\
         [[notify.channel]]\nname = \"siem\"\nkind = \"syslog-cef\"\ntlp = \"red\"\nhost = \"siem.example\"\n"
    ))
    .unwrap();
    assert_eq!((settings.tlp, settings.simulated), (Tlp::Amber, false));
    let ways: Vec<&Way> = settings.channels.iter().map(|channel| &channel.way).collect();
    let [Way::Smtp(smtp), Way::Http(bot), Way::Http(room), Way::Http(form), Way::Syslog(siem)] =
        ways.as_slice()
    else {
        panic!("{ways:?}")
    };
    assert_eq!((smtp.port, smtp.tls), (587, SmtpTls::StartTls));
    assert_eq!(bot.url.reveal(), "https://api.telegram.org/bothunter2/sendMessage");
    assert_eq!(room.url.reveal(), "https://hook.example/T0/secret");
    assert!(matches!(form.form, Form::Template(_)) && form.key.is_some());
    assert_eq!((siem.port, siem.transport), (6_514, Transport::Tls));
    // Whoever prints the settings prints no secret.
    let printed = format!("{settings:?}");
    assert!(!printed.contains("hunter2") && !printed.contains("T0/secret"), "{printed}");
}

#[test]
fn plain_text_has_to_be_asked_for_by_name_and_carries_no_password() {
    for (text, wrong) in [
        (format!("{HOOK}url = \"http://h.example/\"\n"), "`notify.channel[0].plain_text`: must be true"),
        (
            "[notify]\n[[notify.channel]]\nname = \"s\"\nkind = \"syslog-cef\"\ntlp = \"red\"\nhost = \"h\"\ntransport = \"udp\"\n".into(),
            "`notify.channel[0].plain_text`: must be true",
        ),
        (
            format!("{MAIL}tls = \"none\"\nuser = \"v\"\npassword_file = \"DIR/word\"\n"),
            "a password does not go in plain text",
        ),
    ] {
        let error = read(&text).unwrap_err();
        assert!(error.contains(wrong), "{error}");
    }
    assert!(read(&format!("{HOOK}url = \"http://h.example/\"\nplain_text = true\n")).is_ok());
    assert!(read(&format!("{MAIL}tls = \"none\"\n")).is_ok());
}

#[test]
fn each_mistake_is_told_with_its_key_and_no_secret() {
    for (text, wrong) in [
        ("[notify]\n".into(), "wanted at least one [[notify.channel]]"),
        (format!("{MAIL}password_file = \"DIR/word\"\n"), "go together"),
        (
            format!("{MAIL}user = \"v\"\npassword_file = \"DIR/open\"\n"),
            "everybody can read (mode 644)",
        ),
        (format!("{MAIL}user = \"v\"\npassword_file = \"DIR/empty\"\n"), "no text of one line"),
        (format!("{MAIL}user = \"v\"\npassword_file = \"DIR/lines\"\n"), "no text of one line"),
        (format!("{MAIL}user = \"v\"\npassword_file = \"DIR/gone\"\n"), "cannot be read"),
        (format!("{MAIL}url = \"https://h\"\n"), "`notify.channel[0].url`: is unknown"),
        (MAIL.replace("v@example.vn", "v@example.vn\\r\\nBcc: a@b"), "wanted a plain address"),
        (
            MAIL.replace("\"duty@example.vn\"", "\"Duty <duty@example.vn>\""),
            "wanted plain addresses",
        ),
        (MAIL.replace("tlp = \"amber\"\n", ""), "the highest marking that this channel may carry"),
        (MAIL.replace("\"mail\"", "\"Mail 1\""), "small letters"),
        (MAIL.replace("\"smtp\"", "\"pigeon\""), "smtp, webhook, telegram, slack or syslog-cef"),
        (
            format!("{HOOK}url = \"https://h.example/\"\nurl_file = \"DIR/hook\"\n"),
            "one of them alone",
        ),
        (format!("{HOOK}url_file = \"DIR/word\"\n"), "`notify.channel[0].url`: is no address"),
        (format!("{HOOK}url = \"https://h.example/\"\ntemplate = \"DIR/word\"\n"), "no JSON"),
        (format!("{MAIL}authorities = \"DIR/word\"\n"), "no certificate in PEM"),
        (format!("{MAIL}messages_per_hour_max = 0\n"), "from 1 to 3600"),
    ] {
        let error = read(&text).unwrap_err();
        assert!(error.contains(wrong), "{wrong}: {error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn a_route_names_what_there_is() {
    let route = |text: &str| read(&format!("{MAIL}[[notify.route]]\nname = \"r\"\n{text}"));
    let good = route("channels = [\"mail\"]\n").unwrap();
    assert_eq!(good.routes[0].severity, Severity::Low);
    assert_eq!(good.routes[0].events.len(), 3);
    for (text, wrong) in [
        ("channels = [\"male\"]\n", "no [[notify.channel]] is called; known are mail"),
        ("channels = [\"mail\"]\nseverity = \"M1\"\n", "wanted critical, high, medium or low"),
        ("channels = [\"mail\"]\nevents = [\"open\"]\n", "wanted some of opened, escalated"),
        ("channels = [\"mail\"]\nhours = \"7-18\"\n", "07:00-17:30"),
        ("channels = [\"mail\"]\ndays = \"weekdays\"\n", "all, working or off"),
        ("channels = [\"mail\"]\nagencies = [\"h 49\"]\n", "`notify.route[0].agencies`"),
        ("channels = [\"mail\"]\nroles = [\"responder\"]\n", "which no [[notify.recipient]] has"),
        ("channels = [\"mail\"]\nroles = [\"chief\"]\n", "national-operator"),
        ("channels = [\"mail\"]\nsevrity = \"high\"\n", "did you mean `severity`?"),
        ("channels = []\n", "a list of at least one text"),
    ] {
        let error = route(text).unwrap_err();
        assert!(error.contains(wrong), "{wrong}: {error}");
    }
    let twice = "[[notify.route]]\nname = \"r\"\nchannels = [\"mail\"]\n".repeat(2);
    let error = read(&format!("{MAIL}{twice}")).unwrap_err();
    assert!(error.contains("\"r\" twice"), "{error}");
    let hook = format!(
        "{HOOK}url = \"https://h.example/\"\n[[notify.recipient]]\naddress = \"a@b.vn\"\nrole = \"responder\"\n[[notify.route]]\nname = \"r\"\nchannels = [\"hook\"]\nroles = [\"responder\"]\n"
    );
    assert!(read(&hook).unwrap_err().contains("mail alone"));
}
