//! A posted line: `{"kind":"dossier","step":"received","service":"...","online":true}` to an event. Unknown keys are refused by name.

use serde_json::{Map, Value};
use vonggac_wire::{
    Event, Time,
    event::{Body, Document, Dossier, Exchange, Outcome, Payment, Rating, Session},
};

/// Why a line was not taken.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::source) enum PostError {
    #[error("the line is no JSON object")]
    Json,
    #[error("`kind` is {0:?}; wanted session, dossier, document, payment, rating or exchange")]
    Kind(String),
    #[error("`{0}` is missing")]
    Missing(&'static str),
    #[error("`{0}` is {1}; wanted {2}")]
    Wrong(&'static str, String, &'static str),
    #[error("`{0}` is unknown here")]
    Unknown(String),
}

struct Fields(Map<String, Value>);

impl Fields {
    fn text(&mut self, key: &'static str) -> Result<String, PostError> {
        match self.0.remove(key) {
            None | Some(Value::Null) => Ok(String::new()),
            Some(Value::String(text)) => Ok(text),
            Some(other) => Err(PostError::Wrong(key, other.to_string(), "a text")),
        }
    }

    fn one_of(&mut self, key: &'static str, wanted: &'static str) -> Result<String, PostError> {
        let text = self.text(key)?;
        if text.is_empty() {
            return Err(PostError::Missing(key));
        }
        if wanted.split(" | ").any(|word| word == text) {
            Ok(text)
        } else {
            Err(PostError::Wrong(key, text, wanted))
        }
    }

    /// `None`: the portal did not say, which is neither yes nor no.
    fn said(&mut self, key: &'static str) -> Result<Option<bool>, PostError> {
        match self.0.remove(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(other) => Err(PostError::Wrong(key, other.to_string(), "true or false")),
        }
    }

    fn number(&mut self, key: &'static str, otherwise: u64) -> Result<u64, PostError> {
        match self.0.remove(key) {
            None | Some(Value::Null) => Ok(otherwise),
            Some(value) => value.as_u64().ok_or_else(|| {
                PostError::Wrong(key, value.to_string(), "a whole number, not negative")
            }),
        }
    }

    fn time(&mut self, key: &'static str) -> Result<Option<Time>, PostError> {
        match self.0.remove(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => text
                .parse()
                .map(Some)
                .map_err(|_| PostError::Wrong(key, text, "a time like 2026-11-24T09:41:00+07:00")),
            Some(other) => Err(PostError::Wrong(key, other.to_string(), "a time as text")),
        }
    }

    fn outcome(&mut self) -> Result<i32, PostError> {
        let outcome = match self.text("outcome")?.as_str() {
            "success" | "" => Outcome::Success,
            "failure" => Outcome::Failure,
            other => {
                return Err(PostError::Wrong("outcome", other.to_owned(), "success | failure"));
            }
        };
        Ok(outcome.into())
    }
}

/// Makes an event of a posted line. `system` stands in where the line names none.
pub(in crate::source) fn event(line: &[u8], system: &str, now: Time) -> Result<Event, PostError> {
    let Ok(Value::Object(object)) = serde_json::from_slice(line) else {
        return Err(PostError::Json);
    };
    let mut fields = Fields(object);
    let kind = fields.text("kind")?;
    let time = fields.time("time")?.unwrap_or(now);
    let named = fields.text("system")?;
    let body = match kind.as_str() {
        "session" => Body::Session(Session {
            service: fields.text("service")?,
            step: fields.one_of("step", "login-started | login-completed | logout")?,
            outcome: fields.outcome()?,
            user_pseudonym: fields.text("user_pseudonym")?,
        }),
        "dossier" => dossier(&mut fields, time)?,
        "document" => Body::Document(Document {
            direction: fields.one_of("direction", "sent | received")?,
            level: u32::try_from(fields.number("level", 1)?)
                .ok()
                .filter(|level| (1..=4).contains(level))
                .ok_or_else(|| PostError::Wrong("level", "out of range".into(), "1 to 4"))?,
            electronic: fields.said("electronic")?,
            count: fields.number("count", 1)?,
            counterpart: fields.text("counterpart")?,
        }),
        "payment" => Body::Payment(Payment {
            service: fields.text("service")?,
            online: fields.said("online")?,
            outcome: fields.outcome()?,
            amount_vnd: fields.number("amount_vnd", 0)?,
        }),
        "rating" => Body::Rating(Rating {
            service: fields.text("service")?,
            score: u32::try_from(fields.number("score", 0)?)
                .ok()
                .filter(|score| (1..=5).contains(score))
                .ok_or_else(|| PostError::Wrong("score", "out of range".into(), "1 to 5"))?,
        }),
        "exchange" => exchange(&mut fields, time)?,
        other => return Err(PostError::Kind(other.to_owned())),
    };
    if let Some(key) = fields.0.keys().next() {
        return Err(PostError::Unknown(key.clone()));
    }
    let system = if named.is_empty() { system } else { &named };
    Ok(Event::new(time, now, body)
        .with_source("socket", 0)
        .with_system(system)
        .with_format("usage-json")
        .with_raw(line, 0))
}

fn dossier(fields: &mut Fields, time: Time) -> Result<Body, PostError> {
    let step = fields.one_of("step", "started | received | digitised | closed | withdrawn")?;
    let due = fields.time("due")?;
    // A closed dossier with a due time speaks for itself.
    let by_due = due.filter(|_| step == "closed").map(|due| time <= due);
    let on_time = fields.said("on_time")?.or(by_due);
    Ok(Body::Dossier(Dossier {
        service: fields.text("service")?,
        dossier: fields.text("dossier")?,
        step,
        online: fields.said("online")?,
        full_process: fields.said("full_process")?,
        digitised: fields.said("digitised")?,
        due_unix_nano: due.map(|due| due.0),
        on_time,
    }))
}

fn exchange(fields: &mut Fields, time: Time) -> Result<Body, PostError> {
    let fault_code = fields.text("fault_code")?;
    Ok(Body::Exchange(Exchange {
        client_member: fields.text("client_member")?,
        client_subsystem: fields.text("client_subsystem")?,
        service_member: fields.text("service_member")?,
        service_subsystem: fields.text("service_subsystem")?,
        service_code: fields.text("service_code")?,
        // X-Road's records tell a failure by its fault code.
        succeeded: fields.said("succeeded")?.unwrap_or(fault_code.is_empty()),
        fault_code,
        request_in_unix_nano: fields.time("request_in")?.unwrap_or(time).0,
        response_out_unix_nano: fields.time("response_out")?.unwrap_or(time).0,
        request_bytes: fields.number("request_bytes", 0)?,
        response_bytes: fields.number("response_bytes", 0)?,
        message_id: fields.text("message_id")?,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time::from_seconds(1_764_000_000);

    #[test]
    fn a_dossier_is_taken_with_its_time_and_due_time() {
        let line = br#"{"kind":"dossier","step":"closed","service":"khai-sinh","time":"2026-11-24T09:00:00+07:00","due":"2026-11-25T00:00:00Z","online":true}"#;
        let event = event(line, "agency-one-stop", NOW).unwrap();
        let Body::Dossier(dossier) = event.body() else { panic!("a dossier") };
        assert_eq!((dossier.on_time, dossier.online), (Some(true), Some(true)));
        assert_eq!(dossier.full_process, None, "what a portal does not say is not denied");
        assert_eq!(
            (event.system(), event.time().to_string().as_str()),
            ("agency-one-stop", "2026-11-24T02:00:00Z")
        );
    }

    #[test]
    fn mistakes_are_told_by_key() {
        let refuse = |line: &str| event(line.as_bytes(), "", NOW).unwrap_err().to_string();
        assert!(refuse("no").contains("no JSON"));
        assert!(refuse(r#"{"kind":"x"}"#).contains("`kind` is \"x\""));
        assert!(refuse(r#"{"kind":"dossier"}"#).contains("`step` is missing"));
        assert!(refuse(r#"{"kind":"rating","score":9}"#).contains("`score`"));
        assert!(refuse(r#"{"kind":"rating","score":4,"scor":1}"#).contains("`scor` is unknown"));
        assert!(refuse(r#"{"kind":"payment","amount_vnd":-5}"#).contains("not negative"));
    }
}
