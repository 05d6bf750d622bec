//! What services' own configuration says of where they log and what they serve.

use std::collections::BTreeSet;

use glob::{MatchOptions, Pattern};

use super::{
    host::Host,
    table::{Read, Service},
};

/// What was read.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Patterns of logs, each with the file that told it.
    pub logs: Vec<(String, String)>,
    /// Folders that are served.
    pub roots: BTreeSet<String>,
}

/// Logs of one service that are remembered: a host of a thousand sites logs by a pattern.
const LOGS_MAX: usize = 64;

/// Reads what `services.toml` says is worth reading.
#[must_use]
pub fn read(host: &Host, service: &Service) -> Told {
    let mut told = Told::default();
    for row in &service.reads {
        for file in row.files.iter().flat_map(|pattern| host.find(pattern)) {
            let Ok(text) = host.read(&file) else { continue };
            if row.only.as_ref().is_some_and(|only| !only.is_match(&text)) {
                continue;
            }
            for captures in row.text.captures_iter(&text) {
                let path = |name: &str| {
                    let value = captures.name(name)?.as_str();
                    path(value, row, &file, &service.variables)
                };
                told.roots.extend(path("root").filter(|root| !root.contains('*')));
                let log = path("log").or_else(|| Some(format!("{}/{}", path("dir")?, row.inside)));
                if let Some(log) = log.filter(|_| told.logs.len() < LOGS_MAX) {
                    told.logs.push((log, file.clone()));
                }
            }
        }
    }
    told.logs.sort();
    told.logs.dedup_by(|one, two| one.0 == two.0);
    told
}

/// A value as a path or pattern; `None`: it is no file.
fn path(value: &str, row: &Read, file: &str, variables: &[(String, String)]) -> Option<String> {
    let value = value.trim_matches(['"', '\'']);
    let words = ["off", "none", "syslog", "stderr", "stdout", "-"];
    if value.is_empty() || words.contains(&value) || value.contains([':', '|', '\\', ' ']) {
        return None;
    }
    let value = expand(value, variables);
    let whole = if value.starts_with('/') {
        value
    } else {
        let folder = file.rsplit_once('/').map_or("", |(folder, _)| folder);
        let base = if row.base.is_empty() { folder } else { &row.base };
        format!("{base}/{value}")
    };
    let is_pattern = Pattern::new(&whole).is_ok() && !whole.contains("**");
    let elsewhere = ["/dev/", "/proc/", "/sys/"].iter().any(|folder| whole.starts_with(folder));
    (is_pattern && !elsewhere && !whole.contains(char::is_control)).then_some(whole)
}

/// Puts in what names stand for. What nobody knows, such as a host's name or a day, can be anything.
fn expand(value: &str, variables: &[(String, String)]) -> String {
    let mut out = String::new();
    let mut rest = value;
    while let Some(at) = rest.find(['$', '%']) {
        out.push_str(&rest[..at]);
        let (sign, after) = rest[at..].split_at(1);
        let (name, behind) = match after.strip_prefix('{') {
            Some(inside) => inside.split_once('}').unwrap_or((inside, "")),
            None if sign == "%" => after.split_at(after.chars().next().map_or(0, char::len_utf8)),
            None => {
                let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
                after.split_at(after.find(|c| !is_part(c)).unwrap_or(after.len()))
            }
        };
        match variables.iter().find(|(known, _)| known == name) {
            Some((_, value)) => out.push_str(value),
            None if out.ends_with('*') => {}
            None => out.push('*'),
        }
        rest = behind;
    }
    out + rest
}

/// Whether a path or pattern is one that another pattern finds already.
#[must_use]
pub fn covers(pattern: &str, path: &str) -> bool {
    let options = MatchOptions { require_literal_separator: true, ..MatchOptions::default() };
    pattern == path
        || Pattern::new(pattern)
            // A star of the narrower one stands for some name.
            .is_ok_and(|pattern| pattern.matches_with(&path.replace('*', "x"), options))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discover::table::Services;

    fn told(name: &str, file: &str, text: &str) -> Told {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        let table = Services::builtin().unwrap();
        let service = table.services.iter().find(|service| service.name == name).unwrap();
        read(&Host::look(dir.path()), service)
    }

    fn logs(told: &Told) -> Vec<&str> {
        told.logs.iter().map(|(log, _)| log.as_str()).collect()
    }

    #[test]
    fn nginx_tells_its_logs_and_web_roots_and_not_what_is_off_or_a_comment() {
        let told = told(
            "nginx",
            "etc/nginx/sites-enabled/portal",
            "server {\n  root /srv/portal/public;\n  access_log /data/log/$host.access.log main;\n  error_log logs/e.log warn;\n  # access_log /data/log/old.log;\n  location /x { access_log off; }\n  access_log syslog:server=192.0.2.1;\n}\n",
        );
        assert_eq!(logs(&told), ["/data/log/*.access.log", "/etc/nginx/logs/e.log"]);
        assert_eq!(told.roots.iter().collect::<Vec<_>>(), ["/srv/portal/public"]);
    }

    #[test]
    fn apaches_names_are_put_in_and_pipes_are_no_files() {
        let told = told(
            "apache",
            "etc/apache2/sites-enabled/a.conf",
            "<VirtualHost *:80>\n DocumentRoot \"/var/www/a\"\n CustomLog ${APACHE_LOG_DIR}/a.log combined\n customlog \"|/usr/bin/rotatelogs /l/x 86400\" common\n ErrorLog ${UNKNOWN}/e-%Y-%m.log\n</VirtualHost>\n",
        );
        assert_eq!(
            logs(&told),
            ["*/e-*-*.log", "/var/log/apache2/a.log"]
                .map(|log| { if log.starts_with('*') { "/etc/apache2/*/e-*-*.log" } else { log } })
        );
        assert!(told.roots.contains("/var/www/a"));
    }

    #[test]
    fn postgresqls_folder_counts_only_where_it_collects_its_logs() {
        let text = "logging_collector = on\nlog_directory = 'log'\n";
        let file = "var/lib/pgsql/15/data/postgresql.conf";
        assert_eq!(logs(&told("postgresql", file, text)), ["/var/lib/pgsql/15/data/log/*.log"]);
        let off = text.replace("logging_collector", "#logging_collector");
        assert_eq!(logs(&told("postgresql", file, &off)), [""; 0]);
    }

    #[test]
    fn a_pattern_covers_what_it_finds_and_no_more() {
        assert!(covers("/var/log/nginx/*.log", "/var/log/nginx/access.log"));
        assert!(covers("/var/log/nginx/*.log", "/var/log/nginx/*.access.log"));
        assert!(!covers("/var/log/nginx/*.log", "/var/log/nginx/a/b.log"));
        assert!(!covers("/var/log/nginx/*.log", "/data/access.log"));
    }
}
