//! Why a call of the console's service is refused: a word for the person's own language and for the figures, and a sentence in English.

use prometheus::{IntCounterVec, Opts, Registry};
use tonic::{Status, metadata::MetadataValue};
use vonggac_wire::caller;

use super::{
    pace::TooMuch,
    scope::{NotForRole, deed::NotYours},
};

/// Why somebody may not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    /// The certificate is nobody's who sits at a console.
    #[error("{0} is no person: this certificate is not a person's, and consoles come with one")]
    NoPerson(String),
    /// The centre gave them nothing to do.
    #[error("{0} has no role here; an administrator of the centre gives roles")]
    NoRole(String),
    /// The call is not for their role.
    #[error(transparent)]
    NotForRole(#[from] NotForRole),
    /// Their role changed while they looked on.
    #[error("what you may see has changed; call again")]
    Changed,
    /// They ask too much.
    #[error(transparent)]
    TooMuch(#[from] TooMuch),
    /// They name an agency that is not theirs.
    #[error("the agency {0} is not yours")]
    Agency(String),
    /// It wants a second person's word first.
    #[error(
        "rows of {0} are exported under a break-glass alone: ask for one with `vonggac break-glass request --agency {0} --what export`, and have a second person confirm it"
    )]
    NotOpen(String),
    /// The command is not for them.
    #[error(transparent)]
    Deed(#[from] NotYours),
}

impl Denial {
    /// The words.
    pub const NAMES: [&'static str; 12] = [
        "not-a-person",
        "no-role",
        "not-for-role",
        "changed",
        "too-many-calls",
        "too-much-read",
        "not-your-agency",
        "not-open",
        "led-by-another",
        "command-names-another",
        "operators-alone",
        "unknown-incident",
    ];

    /// Its word.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::NoPerson(_) => "not-a-person",
            Self::NoRole(_) => "no-role",
            Self::NotForRole(_) => "not-for-role",
            Self::Changed => "changed",
            Self::TooMuch(TooMuch::Calls(_)) => "too-many-calls",
            Self::TooMuch(TooMuch::Bytes(_)) => "too-much-read",
            Self::Agency(_) => "not-your-agency",
            Self::Deed(NotYours::Agency) => "command-names-another",
            Self::NotOpen(_) => "not-open",
            Self::Deed(NotYours::Shared(_)) => "led-by-another",
            Self::Deed(NotYours::Responder) => "operators-alone",
            Self::Deed(NotYours::Unknown(_)) => "unknown-incident",
        }
    }

    /// What it is about.
    fn about(&self) -> String {
        match self {
            Self::NoPerson(text)
            | Self::NoRole(text)
            | Self::Agency(text)
            | Self::NotOpen(text) => text.clone(),
            Self::NotForRole(no) => format!("{} {}", no.call.name(), no.role.name()),
            Self::TooMuch(TooMuch::Calls(seconds) | TooMuch::Bytes(seconds)) => seconds.to_string(),
            Self::Deed(NotYours::Shared(id) | NotYours::Unknown(id)) => id.to_string(),
            Self::Changed | Self::Deed(NotYours::Responder | NotYours::Agency) => String::new(),
        }
    }
}

impl From<Denial> for Status {
    fn from(denial: Denial) -> Self {
        let text = denial.to_string();
        let mut status = match denial {
            Denial::TooMuch(_) => Self::resource_exhausted(text),
            Denial::Deed(NotYours::Unknown(_)) => Self::not_found(text),
            _ => Self::permission_denied(text),
        };
        let word = format!("{} {}", denial.name(), denial.about());
        // What a header cannot carry is said in English alone.
        if let Ok(value) = MetadataValue::try_from(word.trim_end()) {
            status.metadata_mut().insert(caller::REFUSED, value);
        }
        status
    }
}

/// The word of a refusal: its own, else that of its kind.
#[must_use]
pub fn reason(refused: &Status) -> &str {
    let word = refused.metadata().get(caller::REFUSED).and_then(|value| value.to_str().ok());
    match word.and_then(|word| word.split(' ').next()) {
        Some(word) => word,
        None => kind(refused),
    }
}

/// The kind of a refusal, as it stands in the audit log.
#[must_use]
pub fn kind(refused: &Status) -> &'static str {
    match refused.code() {
        tonic::Code::PermissionDenied => "permission-denied",
        tonic::Code::NotFound => "not-found",
        tonic::Code::InvalidArgument => "invalid",
        tonic::Code::ResourceExhausted => "too-much",
        tonic::Code::Unauthenticated => "unknown",
        _ => "failed",
    }
}

/// How often which: `vonggac_collector_calls_refused_total` by reason.
#[derive(Clone)]
pub struct Denials(IntCounterVec);

impl Denials {
    /// Makes and registers the figure.
    ///
    /// # Errors
    /// If its name is taken.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let opts = Opts::new(
            "vonggac_collector_calls_refused_total",
            "Calls of consoles that were refused or failed, by reason",
        );
        let counted = IntCounterVec::new(opts, &["reason"])?;
        registry.register(Box::new(counted.clone()))?;
        // A reason that has not been met is a measured zero.
        for name in Denial::NAMES {
            counted.with_label_values(&[name]);
        }
        Ok(Self(counted))
    }

    /// One more.
    pub fn count(&self, refused: &Status) {
        self.0.with_label_values(&[reason(refused)]).inc();
    }

    /// How many there were of a reason.
    #[must_use]
    pub fn of(&self, reason: &str) -> u64 {
        self.0.with_label_values(&[reason]).get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::{role::Role, scope::Call};

    #[test]
    fn every_refusal_carries_its_word_and_is_counted_by_it() {
        let all = [
            Denial::NoPerson("spiffe://vonggac/broker/a".into()),
            Denial::NoRole("minh".into()),
            NotForRole { call: Call::Audit, role: Role::Responder }.into(),
            Denial::Changed,
            TooMuch::Calls(7).into(),
            TooMuch::Bytes(7).into(),
            Denial::Agency("tk-48".into()),
            Denial::NotOpen("tk-48".into()),
            NotYours::Shared(7).into(),
            NotYours::Agency.into(),
            NotYours::Responder.into(),
            NotYours::Unknown(7).into(),
        ];
        let denials = Denials::new(&Registry::new()).unwrap();
        assert_eq!(all.each_ref().map(Denial::name), Denial::NAMES);
        for denial in all {
            let name = denial.name();
            let status = Status::from(denial);
            assert_eq!(reason(&status), name);
            assert_eq!(denials.of(name), 0);
            denials.count(&status);
            assert_eq!(denials.of(name), 1, "{name}");
        }
        assert_eq!(reason(&Status::invalid_argument("x")), "invalid");
        let role =
            Status::from(Denial::from(NotForRole { call: Call::Audit, role: Role::Responder }));
        let word = role.metadata().get(caller::REFUSED).unwrap();
        assert_eq!(word.to_str().unwrap(), "not-for-role audit responder");
    }
}
