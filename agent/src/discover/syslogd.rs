//! Which of a syslog daemon's files hold all its lines once: rules like `auth,authpriv.* /var/log/auth.log` send the same line to
//! several files, and a line that is read twice is counted twice.

/// Facilities of syslog.
const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv",
    "ftp", "ntp", "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4",
    "local5", "local6", "local7",
];

/// Priorities, the worst first.
const PRIORITIES: [&str; 8] =
    ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"];

/// Older names of them.
const OLD: [(&str, &str); 4] =
    [("panic", "emerg"), ("error", "err"), ("warn", "warning"), ("security", "auth")];

/// For each facility the priorities that a file takes, a bit each.
type Mask = [u8; FACILITIES.len()];

/// A file of the daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its path.
    pub path: String,
    /// Another file that holds all its lines too.
    pub held_by: Option<String>,
}

/// A rule.
#[derive(Debug)]
struct Rule {
    path: String,
    takes: Takes,
}

#[derive(Debug, PartialEq, Eq)]
enum Takes {
    /// By facility and priority.
    Mask(Mask),
    /// By something else; whether its lines go on to the rules behind it.
    Filter { goes_on: bool },
}

/// The files that a daemon's rules write, in the rules' order.
#[must_use]
pub fn files(texts: &[String]) -> Vec<File> {
    let mut rules: Vec<Rule> = Vec::new();
    for text in texts {
        read(text, &mut rules);
    }
    let mut files: Vec<File> = Vec::new();
    for (index, rule) in rules.iter().enumerate() {
        if files.iter().any(|file| file.path == rule.path) {
            continue;
        }
        let holds = |(other_index, other): &(usize, &Rule)| {
            let Takes::Mask(wide) = &other.takes else { return false };
            match &rule.takes {
                _ if other.path == rule.path => false,
                Takes::Filter { goes_on } => {
                    *goes_on && wide.iter().filter(|p| **p == 0xff).count() > 16
                }
                Takes::Mask(own) => {
                    let within = own.iter().zip(wide).all(|(own, wide)| own & !wide == 0);
                    within && (own != wide || *other_index < index)
                }
            }
        };
        let held_by = rules.iter().enumerate().find(holds).map(|(_, rule)| rule.path.clone());
        files.push(File { path: rule.path.clone(), held_by });
    }
    files
}

fn read(text: &str, rules: &mut Vec<Rule>) {
    let text = text.replace("\\\n", " ");
    let mut in_filter = false;
    for line in text.lines().map(str::trim) {
        if line.is_empty() || line.starts_with(['#', '$']) {
            continue;
        }
        let stops = line == "stop"
            || line == "~"
            || line.starts_with("& stop")
            || line.starts_with("& ~")
            || line.starts_with("&~");
        if stops || line.ends_with("stop }") {
            if let Some(Rule { takes: Takes::Filter { goes_on }, .. }) = rules.last_mut() {
                *goes_on = false;
            }
        }
        let is_filter = line.starts_with([':', '!']) || line.starts_with("if ");
        in_filter = (in_filter && !line.starts_with('}')) || (is_filter && line.contains('{'));
        let Some(path) = file_of(line) else { continue };
        let takes = match line.split_once(char::is_whitespace).and_then(|(first, _)| mask(first)) {
            Some(mask) if !in_filter => Takes::Mask(mask),
            _ => Takes::Filter { goes_on: !line.ends_with("stop }") },
        };
        // Several rules for one file add up.
        let same = rules.iter_mut().find(|rule| rule.path == path);
        match (same.map(|rule| &mut rule.takes), takes) {
            (Some(Takes::Mask(all)), Takes::Mask(more)) => {
                all.iter_mut().zip(more).for_each(|(all, more)| *all |= more);
            }
            (Some(_), _) => {}
            (None, takes) => rules.push(Rule { path, takes }),
        }
    }
}

/// The file that a line writes to.
fn file_of(line: &str) -> Option<String> {
    let in_action = |line: &str| {
        let at = line.find("file=\"")? + "file=\"".len();
        Some(line[at..].split('"').next()?.to_owned())
    };
    let path = if line.contains("omfile") {
        in_action(line)?
    } else {
        // The word that names a file, perhaps after a dash for "not at once", perhaps with a template behind it.
        let word =
            line.split_whitespace().find(|word| word.trim_start_matches('-').starts_with('/'))?;
        word.trim_start_matches('-').split(';').next()?.to_owned()
    };
    (path.starts_with('/') && !path.starts_with("/dev/")).then_some(path)
}

/// What a selector like `*.info;mail.none` takes; `None`: it is no selector.
fn mask(selector: &str) -> Option<Mask> {
    let mut mask = [0_u8; FACILITIES.len()];
    for part in selector.split(';').filter(|part| !part.is_empty()) {
        let (facilities, priority) = part.split_once('.')?;
        let (priority, exactly) = match priority.strip_prefix('=') {
            Some(priority) => (priority, true),
            None => (priority, false),
        };
        let (priority, inverted) = match priority.strip_prefix('!') {
            Some(priority) => (priority, true),
            None => (priority, false),
        };
        let current = |name: &str| {
            OLD.iter()
                .find(|(old, _)| *old == name)
                .map_or_else(|| name.to_owned(), |(_, now)| (*now).to_owned())
        };
        let priority = current(priority);
        let bits = match priority.as_str() {
            "*" => 0xff,
            "none" => 0,
            name => {
                let place = PRIORITIES.iter().position(|known| *known == name)?;
                if exactly { 1 << place } else { u8::MAX >> (7 - place) }
            }
        };
        for facility in facilities.split(',') {
            let facility = current(facility);
            let places: Vec<usize> = match facility.as_str() {
                "*" => (0..FACILITIES.len()).collect(),
                name => vec![FACILITIES.iter().position(|known| *known == name)?],
            };
            for place in places {
                match (priority.as_str(), inverted) {
                    ("none", _) => mask[place] = 0,
                    (_, true) => mask[place] &= !bits,
                    (_, false) => mask[place] |= bits,
                }
            }
        }
    }
    Some(mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(text: &str) -> Vec<(String, Option<String>)> {
        files(&[text.to_owned()]).into_iter().map(|file| (file.path, file.held_by)).collect()
    }

    fn some(text: &str) -> Option<String> {
        Some(text.into())
    }

    #[test]
    fn what_the_wide_file_holds_is_not_read_twice() {
        let text = "module(load=\"imuxsock\")\n$FileOwner root\n$IncludeConfig /etc/rsyslog.d/*.conf\n*.*;auth,authpriv.none\t\t-/v/syslog\nauth,authpriv.*\t/v/auth.log\nmail.*  -/v/mail.log\nmail.err /v/mail.err\n*.emerg :omusrmsg:*\n";
        assert_eq!(
            read_all(text),
            [
                ("/v/syslog".into(), None),
                ("/v/auth.log".into(), None),
                ("/v/mail.log".into(), some("/v/syslog")),
                ("/v/mail.err".into(), some("/v/syslog")),
            ]
        );
    }

    #[test]
    fn what_the_wide_file_leaves_out_is_read_of_its_own() {
        let text = "*.info;mail.none;authpriv.none;cron.none  /v/messages\nauthpriv.* /v/secure\nmail.* -/v/maillog\ncron.* /v/cron\nuucp,news.crit /v/spooler\nlocal7.* /v/boot.log\n";
        let of = |path: &str| read_all(text).into_iter().find(|(p, _)| p == path).unwrap().1;
        for own in ["/v/messages", "/v/secure", "/v/maillog", "/v/cron"] {
            assert_eq!(of(own), None, "{own}");
        }
        assert_eq!(of("/v/spooler"), some("/v/messages"));
        assert_eq!(of("/v/boot.log"), None, "messages lacks what is below info");
    }

    #[test]
    fn filtered_lines_that_go_on_stand_in_the_wide_file_too() {
        let text = ":msg,contains,\"[UFW \" /v/ufw.log\n#& stop\n*.* /v/all\n";
        assert_eq!(read_all(text)[0], ("/v/ufw.log".into(), some("/v/all")));
        assert_eq!(read_all(&text.replace("#& stop", "& stop"))[0], ("/v/ufw.log".into(), None));
        let block =
            ":programname, startswith, \"haproxy\" {\n  /v/haproxy.log\n  stop\n}\n*.* /v/all\n";
        assert_eq!(read_all(block)[0], ("/v/haproxy.log".into(), None));
        let rainer = "if $programname == 'x' then { action(type=\"omfile\" file=\"/v/x.log\")\nstop }\n*.* action(type=\"omfile\" file=\"/v/all\")\n";
        assert_eq!(read_all(rainer), [("/v/x.log".into(), None), ("/v/all".into(), None)]);
    }

    #[test]
    fn what_is_no_rule_is_passed_over() {
        assert_eq!(
            read_all("$WorkDirectory /var/spool/rsyslog\ninput(type=\"imudp\" port=\"514\")\n")
                .len(),
            0
        );
    }
}
