//! Whether an event is of the source that a published rule is about: Sigma's `logsource` in our words. Pure.

use rsigma_parser::LogSource;
use vonggac_wire::{
    Event,
    event::{Activity, Class},
};

/// What Sigma calls a category, and the class of events that it is.
const CATEGORIES: [(&str, Class); 6] = [
    ("webserver", Class::Http),
    ("proxy", Class::Http),
    ("process_creation", Class::Process),
    ("file_event", Class::FileSystem),
    ("network_connection", Class::Network),
    ("firewall", Class::Network),
];

/// Products that are the system itself, whose every event may be meant.
const SYSTEMS: [&str; 4] = ["linux", "windows", "macos", "any"];

/// Services that are a way to log rather than a program.
const WAYS: [&str; 3] = ["syslog", "auth", "any"];

/// Programs by which people inside go out.
const PROXIES: [&str; 3] = ["squid", "privoxy", "bluecoat"];

/// Whether the event may be meant. What is not told is no reason to refuse.
pub(super) fn agrees(source: &LogSource, event: &Event, activity: &Activity) -> bool {
    let class = activity.class();
    if let Some(category) = source.category.as_deref() {
        match CATEGORIES.iter().find(|(name, _)| *name == category) {
            Some((_, wanted)) if *wanted != class => return false,
            // What people inside ask for, and what is asked of our servers, are two.
            Some(_)
                if category == "proxy"
                    && !PROXIES.iter().any(|name| speaks(name, event, activity)) =>
            {
                return false;
            }
            // An application's words are no requests.
            None if class == Class::Http => return false,
            _ => {}
        }
    }
    let windows = event.format().starts_with("win");
    match source.product.as_deref() {
        Some("linux") if windows => return false,
        Some("windows") if !windows => return false,
        Some(product) if !SYSTEMS.contains(&product) && !speaks(product, event, activity) => {
            return false;
        }
        _ => {}
    }
    source
        .service
        .as_deref()
        .is_none_or(|service| WAYS.contains(&service) || speaks(service, event, activity))
}

/// Whether a program of this name is known to have said it.
fn speaks(name: &str, event: &Event, activity: &Activity) -> bool {
    let name = match name {
        "auditd" | "audit" => "audit",
        other => other,
    };
    [event.format(), &activity.service_name, &activity.process_name]
        .iter()
        .any(|said| said.to_ascii_lowercase().contains(name))
}

/// A field of an audit record by its own name: `a0`, `exe`, `name`, `type`.
pub(super) fn audit_field<'a>(raw: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = raw;
    loop {
        let at = rest.find(name)?;
        let after = rest.get(at + name.len()..)?;
        let begins = at == 0 || rest[..at].ends_with([' ', '\'', '(']);
        match after.strip_prefix('=').filter(|_| begins) {
            Some(value) => {
                return match value.strip_prefix('"') {
                    Some(quoted) => quoted.split('"').next(),
                    None => value.split([' ', '\'']).next(),
                };
            }
            None => rest = after,
        }
    }
}

#[cfg(test)]
mod tests {
    use vonggac_wire::{Time, event::Body, event::Status};

    use super::*;

    fn source(category: &str, product: &str, service: &str) -> LogSource {
        let known = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        LogSource {
            category: known(category),
            product: known(product),
            service: known(service),
            ..LogSource::default()
        }
    }

    #[test]
    fn a_rule_about_one_program_sees_no_other() {
        let mut activity = Activity::of(Class::Authentication, 1, Status::Failure);
        activity.service_name = "sshd".into();
        let event =
            Event::new(Time(0), Time(0), Body::Activity(activity.clone())).with_format("sshd");
        let says = |category, product, service| {
            agrees(&source(category, product, service), &event, &activity)
        };
        assert!(says("", "linux", "sshd") && says("", "linux", "") && says("", "linux", "auth"));
        assert!(!says("", "linux", "vsftpd") && !says("webserver", "", ""));
        assert!(!says("process_creation", "linux", "") && !says("application", "kubernetes", ""));
        assert!(!says("", "windows", "security"));
    }

    #[test]
    fn audit_records_are_asked_by_their_own_names() {
        let raw =
            r#"type=EXECVE msg=audit(1.0:1): argc=3 a0="cat" a1=2F6574 exe="/bin/cat" key=(null)"#;
        assert_eq!(audit_field(raw, "a0"), Some("cat"));
        assert_eq!(audit_field(raw, "type"), Some("EXECVE"));
        assert_eq!(audit_field(raw, "exe"), Some("/bin/cat"));
        assert_eq!(audit_field(raw, "gc"), None);
    }
}
