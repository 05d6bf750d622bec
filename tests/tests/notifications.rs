//! Word of incidents by a real mail server and by a place that fails on purpose: each incident is told once, whatever dies; what may not go
//! somewhere does not; what nobody takes is told where somebody looks.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a story stops where its ground is missing, and tells how it went"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    thread,
    time::Duration,
};

use serde_json::Value;
use system_tests::{
    ailing::Centre,
    hook::{Answer, Heard, Hook},
    machine::Machine,
    mail::{LOGIN, Mail, MailServer},
    running::text,
};

const SOON: Duration = Duration::from_secs(60);

/// A try that hangs, the lease of one that died, and the pauses between: minutes.
const LATER: Duration = Duration::from_secs(300);

const LINES: usize = 60;

/// A file that its owner alone reads.
fn secret(folder: &Path, name: &str, word: &str) -> String {
    let file = folder.join(name);
    fs::write(&file, word).expect("written");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("closed");
    file.display().to_string()
}

/// Channels of mail, one of them with a wrong password, of a webhook that signs, and of a chat that may carry nothing but what is clear.
fn settings(mail: &MailServer, hook: &Hook, chat: &Hook, folder: &Path) -> String {
    let key = secret(folder, "key", "a key of both");
    let mailbox = |name: &str, password: &str| {
        format!(
            "[[notify.channel]]\nname = \"{name}\"\nkind = \"smtp\"\ntlp = \"amber\"\nlang = \"en\"\ngather = \"2s\"\n\
             host = \"localhost\"\nport = {}\nauthorities = \"{}\"\nfrom = \"vonggac@centre.example\"\nto = [\"duty@centre.example\"]\n\
             user = \"{}\"\npassword_file = \"{}\"\n",
            mail.port,
            mail.certificate().display(),
            LOGIN.0,
            secret(folder, name, password)
        )
    };
    let tables = [
        "[notify]\ntlp = \"green\"\n".to_owned(),
        mailbox("mail", LOGIN.1),
        mailbox("wrong", "guessed"),
        format!(
            "[[notify.channel]]\nname = \"hook\"\nkind = \"webhook\"\ntlp = \"amber\"\ngather = \"2s\"\nurl = \"{}\"\nplain_text = true\nkey_file = \"{key}\"\n",
            hook.url()
        ),
        format!(
            "[[notify.channel]]\nname = \"chat\"\nkind = \"slack\"\ntlp = \"clear\"\nurl = \"{}\"\nplain_text = true\n",
            chat.url()
        ),
        "[[notify.recipient]]\naddress = \"h49@agency.example\"\nrole = \"agency-operator\"\nagencies = [\"H49\"]\n\
         [[notify.recipient]]\naddress = \"h57@agency.example\"\nrole = \"agency-operator\"\nagencies = [\"H57\"]\n\
         [[notify.route]]\nname = \"all\"\nchannels = [\"mail\", \"hook\", \"chat\"]\nevents = [\"opened\"]\nroles = [\"agency-operator\"]\n"
            .to_owned(),
    ];
    tables.concat()
}

/// What the queue has.
fn notes(centre: &Centre, more: &[&str]) -> anyhow::Result<Vec<Value>> {
    let asked = [&["notify", "list", "--limit", "1000", "--format", "json"], more].concat();
    Ok(serde_json::from_slice(&centre.command(&asked)?.stdout)?)
}

/// How often each incident was told in requests that were taken, with the ids of their messages.
fn told(heard: &[Heard]) -> BTreeMap<u64, Vec<String>> {
    let mut told: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    for one in heard.iter().filter(|one| one.is_taken()) {
        for incident in one.body["incidents"].as_array().into_iter().flatten() {
            let number = incident["number"].as_u64().expect("a number");
            told.entry(number).or_default().push(one.header("x-vonggac-delivery").to_owned());
        }
    }
    told
}

/// Incidents that were opened so far.
const OPENED: &str = "SELECT uniqExact(incident) FROM transitions WHERE action = 'opened'";

/// What is asked for until it is so, with the collector's words where it never is.
fn until<T: std::fmt::Debug>(
    centre: &Centre,
    (what, within): (&str, Duration),
    ask: impl FnMut(&Machine) -> anyhow::Result<T>,
    is: impl Fn(&T) -> bool,
) -> T {
    let found = centre.machine.until(what, within, ask, is);
    found.unwrap_or_else(|error| panic!("{error:#}\n{}", centre.log()))
}

/// A centre that tells of incidents from now on.
fn telling(settings: &str) -> Option<Centre> {
    let mut centre = Centre::up("", |_| Ok(())).expect("a centre")?;
    centre.settled(SOON).expect("it runs");
    centre.kill_collector();
    centre.configure(settings).expect("configured");
    centre.start_collector().expect("started");
    let waiting = "vonggac_collector_notifications_waiting";
    until(&centre, ("a leader that sends", SOON), |_| centre.metric(waiting), |_| true);
    let oldest = "vonggac_collector_notifications_oldest_waiting_seconds";
    centre.metric(oldest).expect("what an alarm asks for");
    Some(centre)
}

/// Each incident came once to the place, under one name at all its tries, and signed.
fn each_came_once(heard: &[Heard], notes: usize) -> BTreeMap<u64, Vec<String>> {
    assert!(heard.len() >= 5, "{heard:?}");
    let first: Vec<&str> = heard[..5].iter().map(|one| one.header("x-vonggac-delivery")).collect();
    assert!(first.iter().all(|id| *id == first[0] && !id.is_empty()), "{first:?}");
    assert!(heard.iter().all(|one| one.header("x-vonggac-signature").starts_with("t=")));
    let by_hook = told(heard);
    assert_eq!(by_hook.len(), notes, "{by_hook:?}");
    assert!(by_hook.values().all(|messages| messages.len() == 1), "{by_hook:?}");
    by_hook
}

/// The incidents of an agency. The centre's own stand among them where it was slow to come back.
fn of_agency(heard: &[Heard], agency: &str) -> BTreeSet<u64> {
    let incidents = heard.iter().filter_map(|one| one.body["incidents"].as_array()).flatten();
    let theirs = incidents.filter(|incident| incident["agency"] == agency);
    theirs.filter_map(|incident| incident["number"].as_u64()).collect()
}

/// Whether a mail tells of an incident.
fn tells_of(mail: &Mail, number: u64) -> bool {
    mail.text.contains(&format!("#{number} opened"))
}

/// Each of these incidents came by one mail, to the duty and to those whose agency it is.
fn each_came_by_mail(mails: &[Mail], numbers: impl Iterator<Item = u64>, theirs: &BTreeSet<u64>) {
    assert!(!mails.is_empty() && !theirs.is_empty(), "{mails:?} {theirs:?}");
    for one in mails {
        let is_theirs = theirs.iter().any(|number| tells_of(one, *number));
        let to = ["duty@centre.example", "duty@centre.example, h49@agency.example"];
        assert_eq!(one.header("to"), to[usize::from(is_theirs)], "{}", one.text);
        assert_eq!((one.header("x-vonggac-tlp"), one.header("bcc")), ("TLP:GREEN", ""));
        let text = &one.text;
        assert!(text.contains("nobody has it") && text.contains("TLP:GREEN"), "{text}");
    }
    for number in numbers {
        let named = mails.iter().filter(|one| tells_of(one, number)).count();
        assert_eq!(named, 1, "{number} in {mails:?}");
    }
}

#[test]
fn an_incident_is_told_once_though_the_place_fails_and_the_collector_dies() {
    let Some(mut mail) = MailServer::start().expect("a mail server") else { return };
    let hang = Answer::Hang(Duration::from_secs(60));
    let busy = Answer::Status(429, "retry-after: 15\r\n".into());
    let hook = Hook::start([Answer::Status(500, String::new()), Answer::CloseMidway, busy, hang]);
    let hook = hook.expect("a place");
    let chat = Hook::start([]).expect("a place");
    let folder = tempfile::tempdir().expect("a folder");
    let settings = settings(&mail, &hook, &chat, folder.path());
    let Some(mut centre) = telling(&settings) else { return };

    // A channel is tried before anything happens, past its queue.
    let tested = centre.command(&["notify", "test", "mail"]).expect("it runs");
    assert!(tested.status.success(), "{}", text(&tested));
    let came = mail.mails().expect("mails");
    assert_eq!(came[0].header("subject"), "[Vọng Gác] a test of this channel");
    let tested = centre.command(&["notify", "test", "wrong"]).expect("it runs");
    assert_eq!(tested.status.code(), Some(1), "{}", text(&tested));
    assert!(
        text(&tested).contains("535") && !text(&tested).contains("guessed"),
        "{}",
        text(&tested)
    );
    centre.write(LINES).expect("written");
    until(&centre, ("incidents", SOON), |machine| machine.count(OPENED), |count| *count > 0);

    // It dies while the place says nothing: whoever goes on finds the try, and waits until it is over.
    until(&centre, ("the place hangs", LATER), |_| Ok(hook.heard().len()), |count| *count >= 4);
    centre.kill_collector();
    centre.start_collector().expect("started");
    let is_over = |note: &Value| matches!(note["state"].as_str(), Some("sent" | "withheld"));
    let all = until(
        &centre,
        ("everything is told", LATER),
        |_| notes(&centre, &[]),
        |notes| !notes.is_empty() && notes.iter().all(is_over),
    );
    let of = |channel: &str| all.iter().filter(|note| note["channel"] == channel).count();
    let heard = hook.heard();
    let by_hook = each_came_once(&heard, of("hook"));
    let mails = mail.mails().expect("mails");
    each_came_by_mail(&mails[1..], by_hook.keys().copied(), &of_agency(&heard, "H49"));

    // Nothing of it went where it may not.
    assert!(chat.heard().is_empty());
    let withheld = notes(&centre, &["--state", "withheld"]).expect("notes");
    assert_eq!((withheld.len(), of("mail")), (of("chat"), of("hook")));
    let why = withheld[0]["error"].as_str().unwrap_or_default();
    assert!(why.contains("TLP:GREEN"), "{withheld:?}");

    // The console tells the same, and what has the incident's number alone.
    let ids = |rows: &[Value]| -> BTreeSet<String> {
        rows.iter().filter_map(|row| row["id"].as_str()).map(str::to_owned).collect()
    };
    let shown = centre.machine.rows(&["notifications", "--limit", "1000"]).expect("rows");
    assert_eq!(ids(&shown), ids(&all));
    let first = *by_hook.keys().next().expect("one");
    let asked = ["notifications", "--incident", &first.to_string(), "--status", "sent"];
    let of_one = centre.machine.rows(&asked).expect("rows");
    assert!(!of_one.is_empty() && of_one.iter().all(|row| row["incident"] == first));

    // A server that is away is told as it is.
    mail.stop();
    let tested = centre.command(&["notify", "test", "mail"]).expect("it runs");
    assert_eq!(tested.status.code(), Some(1), "{}", text(&tested));
    assert!(text(&tested).contains("failed to send by the channel \"mail\""), "{}", text(&tested));
}

#[test]
fn what_nobody_takes_is_given_up_and_told_where_somebody_looks() {
    let hook = Hook::start([]).expect("a place");
    hook.always(Answer::Status(503, String::new()));
    let settings = format!(
        "[notify]\ngive_up_after = \"60s\"\n[[notify.channel]]\nname = \"hook\"\nkind = \"webhook\"\ntlp = \"red\"\ngather = \"1s\"\nurl = \"{}\"\nplain_text = true\n\
         [[notify.route]]\nname = \"all\"\nchannels = [\"hook\"]\nevents = [\"opened\"]\n",
        hook.url()
    );
    let Some(mut centre) = telling(&settings) else { return };
    centre.write(LINES).expect("written");
    let of = |state: &'static str| move |centre: &Centre| notes(centre, &["--state", state]);
    let some = |notes: &Vec<Value>| !notes.is_empty();
    let given_up = until(&centre, ("it is given up", LATER), |_| of("given-up")(&centre), some);
    let why = given_up[0]["error"].as_str().unwrap_or_default();
    assert!(why.contains("503"), "{given_up:?}");
    let result = "vonggac_collector_notifications_total{channel=\"hook\",result=\"given-up\"}";
    assert!(centre.metric(result).expect("a figure") >= 1.0);
    let (names, words, exit) = centre.doctor().expect("the doctor answers");
    assert!(names.iter().any(|name| name == "notify-given-up"), "{names:?}");
    assert!(words.contains("notify retry") && exit == Some(1), "{words}");
    let noted = "SELECT count() FROM transitions WHERE actor = 'notify' AND action = 'noted'";
    until(&centre, ("a note", SOON), |machine| machine.count(noted), |count| *count >= 1);

    // Once the place is well, somebody has it sent after all.
    hook.always(Answer::Take);
    let retried = centre.command(&["notify", "retry", "--state", "given-up", "--yes"]);
    let retried = retried.expect("it runs");
    assert!(retried.status.success(), "{}", text(&retried));
    until(&centre, ("it is sent", LATER), |_| of("sent")(&centre), some);
    thread::sleep(Duration::from_secs(3));
    assert!(told(&hook.heard()).values().all(|messages| messages.len() == 1));
}
