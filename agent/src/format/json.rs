//! One JSON object a line, with whatever keys its program chose.

use vonggac_wire::event::{Body, Class, Status};

use super::{
    Context, Parsed,
    declared::{
        field::{self, Draft, Field},
        shape,
    },
    generic, names, program,
};

pub(super) fn parse(line: &str, context: &Context) -> Option<Parsed> {
    of(shape::Object::new(line).values()?, context)
}

/// The same of values that are read already.
pub(super) fn of(values: &shape::Values, context: &Context) -> Option<Parsed> {
    let pairs = values.pairs();
    let mut parsed = named(&pairs, context);
    if let Some(own) = of_program(&pairs, context) {
        return Some(Parsed {
            time: own.time.filter(|_| parsed.time.is_none()).or(parsed.time),
            device: if parsed.device.is_empty() { own.device } else { parsed.device },
            ..own
        });
    }
    parsed.format = "json".into();
    Some(parsed)
}

/// A line of syslog whose parts a writer put into an object: rsyslog's and syslog-ng's templates, Fluentd, Vector.
fn of_program(pairs: &[(&str, &str)], context: &Context) -> Option<Parsed> {
    const PROGRAM: [&str; 12] = [
        "program",
        "programname",
        "ident",
        "appname",
        "app-name",
        "app_name",
        "SYSLOG_IDENTIFIER",
        "syslogtag",
        "tag",
        "process.name",
        "syslog.appname",
        "log.syslog.appname",
    ];
    let find = |keys: &[&str]| {
        let mut values = keys.iter().filter_map(|key| pairs.iter().find(|(name, _)| name == key));
        values.next().map(|(_, value)| *value)
    };
    let (tag, message) = (find(&PROGRAM)?, find(&["message", "msg", "MESSAGE"])?);
    let (program, number) = tag.trim_end_matches(':').split_once('[').unwrap_or((tag, ""));
    let pid = find(&["pid", "procid", "process.pid", "process_id", "PID"]);
    let pid = pid.unwrap_or_else(|| number.trim_end_matches(']')).parse().unwrap_or(0);
    let message = message.trim_start();
    program::parse(program, pid, message)
        .or_else(|| context.declared.message(program, pid, message, context))
}

/// An event of values whose names are usual.
pub(super) fn named(pairs: &[(&str, &str)], context: &Context) -> Parsed {
    let mut draft = Draft::default();
    names::fill(&mut draft, pairs, context);
    let class = pairs
        .iter()
        .find(|(key, _)| *key == "class_uid")
        .and_then(|(_, value)| value.parse().ok())
        .map(Class::from_uid);
    let request = !draft.http.http_method.is_empty();
    // What the words say completes what the names say.
    let words = names::telling(pairs);
    if let Some(found) = generic::message(&words) {
        // A log-in that was refused stays one, whatever the request was answered with.
        let refused = found.class() == Class::Authentication
            && found.status() == Status::Failure
            && !(1..400).contains(&draft.http.status_code);
        let activity = &mut draft.activity;
        if activity.src_ip.is_empty() {
            activity.src_ip = found.src_ip;
        }
        if activity.user_name.is_empty() {
            activity.user_name = found.user_name;
        }
        if !request || refused {
            activity.status_id = found.status_id;
            activity.class_uid = found.class_uid;
            activity.activity_id = found.activity_id;
        }
    }
    let word = |keys: &[&str]| {
        pairs.iter().find(|(key, _)| keys.contains(key)).map(|(_, value)| field::status(value))
    };
    if draft.activity.status() == Status::Unknown && !request {
        let status = word(&["outcome", "result", "status", "success"]).unwrap_or(Status::Unknown);
        draft.activity.status_id = status.id();
    }
    if let Some(class) = class {
        draft.activity.class_uid = class.uid();
        draft.activity.activity_id = 0;
    }
    for (key, value) in pairs {
        if !field::is_nothing(value) {
            draft.put(&Field::Other((*key).to_owned()), value, context);
        }
    }
    draft.finish();
    Parsed {
        time: draft.time,
        body: Box::new(Body::Activity(draft.activity)),
        format: "generic".into(),
        device: draft.device,
    }
}
