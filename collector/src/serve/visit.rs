//! A call from its coming in to its end: who it is, how much they may ask, and its place in the audit log.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use futures::Stream;
use tonic::{Request, Response, Status};
use vonggac_wire::{
    Time,
    proto::{Command, Term},
};

use super::{Answers, Service};
use crate::trust::{
    audit::{
        Deed,
        log::{AuditLog, Open},
    },
    denial::{Denials, kind},
    door::{self, Guest},
    pace::Pace,
    scope::Call,
};

/// How much people have asked for lately.
#[derive(Clone, Default)]
pub(super) struct Paces(Arc<Mutex<Pace>>);

impl Paces {
    fn with<T>(&self, count: impl FnOnce(&mut Pace) -> T) -> T {
        count(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A call that came in.
pub(super) struct Visit {
    pub(super) guest: Guest,
    open: Open,
    paces: Paces,
    denials: Denials,
}

/// What is written down of a question.
pub(super) struct Asked {
    words: String,
    agency: String,
}

impl Asked {
    /// An agency alone.
    pub(super) fn of(agency: &str) -> Self {
        Self::about(agency, agency)
    }

    /// Words about an agency.
    pub(super) fn about(agency: &str, words: impl Into<String>) -> Self {
        Self { words: words.into(), agency: agency.to_owned() }
    }
}

impl From<String> for Asked {
    fn from(words: String) -> Self {
        Self { words, agency: String::new() }
    }
}

impl Service {
    /// Lets a call in. It is written down also where it is refused.
    pub(super) fn enter<T, A: Into<Asked>>(
        &self,
        request: &Request<T>,
        call: Call,
        asked: impl FnOnce(&T) -> A,
    ) -> Result<Visit, Status> {
        let entered = self.parts.door.enter(request, call).and_then(|guest| {
            if guest.is_proven {
                self.paces.with(|pace| pace.call(&guest.name, Time::now()))?;
            }
            Ok(guest)
        });
        let (who, address, serial) = door::speaks(request);
        let Asked { words, agency } = asked(request.get_ref()).into();
        let deed = Deed {
            time: Time::now().micros(),
            who,
            role: entered.as_ref().map_or("", |guest| guest.role.name()).to_owned(),
            address,
            serial,
            call: call.name().to_owned(),
            words,
            agency,
            ..Deed::default()
        };
        let open = self.parts.audit.begin(deed)?;
        match entered {
            Ok(guest) => {
                let (paces, denials) = (self.paces.clone(), self.parts.denials.clone());
                Ok(Visit { guest, open, paces, denials })
            }
            Err(denial) => {
                let refused = Status::from(denial);
                self.parts.denials.count(&refused);
                open.ended(kind(&refused), 0);
                Err(refused)
            }
        }
    }
}

impl Visit {
    /// An answer that is whole.
    pub(super) fn ended<T>(
        self,
        outcome: Result<T, Status>,
        rows: impl FnOnce(&T) -> usize,
    ) -> Result<Response<T>, Status> {
        match outcome {
            Ok(reply) => {
                self.open.ended("ok", rows(&reply) as u64);
                Ok(Response::new(reply))
            }
            Err(refused) => {
                self.denials.count(&refused);
                self.open.ended(kind(&refused), 0);
                Err(refused)
            }
        }
    }

    /// What else is written down of it, behind its words.
    pub(super) fn under(&mut self, words: &str) {
        self.open.add(words);
    }

    /// About which agencies it is, where that is known only now.
    pub(super) fn about(&mut self, agencies: &[String]) {
        self.open.about(agencies);
    }

    /// A row that says that it began, for what goes on for hours.
    pub(super) fn goes_on(&self, log: &AuditLog) -> Result<(), Status> {
        self.open.tell_begun(log)
    }

    /// An answer that comes in parts: rows and bytes that were read for each.
    pub(super) fn followed<T: 'static>(
        self,
        answers: Answers<T>,
        counts: fn(&T) -> (usize, u64),
    ) -> Response<Answers<T>> {
        Response::new(Box::pin(Followed { answers, visit: self, counts, rows: 0, read: 0 }))
    }
}

struct Followed<T> {
    answers: Answers<T>,
    visit: Visit,
    counts: fn(&T) -> (usize, u64),
    rows: u64,
    read: u64,
}

impl<T> Followed<T> {
    fn end(&mut self, outcome: &str) {
        self.visit.open.write(outcome, self.rows);
        let (name, read) = (&self.visit.guest.name, std::mem::take(&mut self.read));
        if self.visit.guest.is_proven && read > 0 {
            self.visit.paces.with(|pace| pace.read(name, read, Time::now()));
        }
    }
}

impl<T> Stream for Followed<T> {
    type Item = Result<T, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = self.answers.as_mut().poll_next(context);
        match &next {
            Poll::Ready(Some(Ok(reply))) => {
                let (rows, read) = (self.counts)(reply);
                self.rows += rows as u64;
                // Replies tell how much was read so far.
                self.read = self.read.max(read);
            }
            Poll::Ready(Some(Err(refused))) => {
                let outcome = kind(refused);
                self.visit.denials.count(refused);
                self.end(outcome);
            }
            Poll::Ready(None) => self.end("ok"),
            Poll::Pending => {}
        }
        next
    }
}

impl<T> Drop for Followed<T> {
    fn drop(&mut self) {
        self.end("left");
    }
}

/// What a search was for, and whose rows alone it asks for.
pub(super) fn asked(terms: &[Term]) -> Asked {
    let of = |term: &&Term| term.field == "agency" && !term.negated;
    let agencies: Vec<&str> = terms.iter().filter(of).map(|term| term.value.as_str()).collect();
    Asked::about(&agencies.join(" "), self::terms(terms))
}

/// The terms of a search.
pub(super) fn terms(terms: &[Term]) -> String {
    let word = |term: &Term| {
        let not = if term.negated { "-" } else { "" };
        format!("{not}{}:{}", term.field, term.value)
    };
    terms.iter().map(word).collect::<Vec<_>>().join(" ")
}

/// What a command was.
pub(super) fn command(command: &Command) -> String {
    match &command.action {
        Some(action) => format!("#{} {action:?}", command.incident),
        None => format!("#{}", command.incident),
    }
}
