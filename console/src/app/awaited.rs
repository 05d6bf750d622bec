//! What a screen asked the collector for: under which number, for what, and whether it came. Rows of one place are never shown at another.

use std::time::Duration;

use vonggac_wire::{
    Time,
    proto::{SpreadRequest, UsageRequest},
};

use super::{App, Effect, Link, Place};
use crate::{feed::Ask, screen::Screen};

/// How far an answer is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Answer {
    /// Nobody has asked yet.
    #[default]
    None,
    /// On its way.
    Due,
    /// Here.
    Come,
    /// Not to be had, and why.
    Refused(String),
}

/// A question.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Awaited {
    /// Its number; an answer with another is dropped.
    pub number: u64,
    /// What it is for, so that another place knows that this is not its own.
    pub of: String,
    /// How far its answer is.
    pub answer: Answer,
}

impl Awaited {
    /// Whether an answer is this question's; it is taken once.
    fn takes(&mut self, number: u64) -> bool {
        let mine = self.number == number && self.answer == Answer::Due;
        if mine {
            self.answer = Answer::Come;
        }
        mine
    }

    fn refuse(&mut self, number: Option<u64>, why: &str) {
        if self.answer == Answer::Due && number.is_none_or(|number| number == self.number) {
            self.answer = Answer::Refused(why.to_owned());
        }
    }
}

/// The questions that are open, or were answered last, one of each kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Questions {
    /// The number given last.
    last: u64,
    /// Events or SQL.
    pub search: Awaited,
    /// The question of events is for one more page.
    pub more: bool,
    /// A value against agencies.
    pub spread: Awaited,
    /// Figures over a time.
    pub usage: Awaited,
    /// Dead letters.
    pub dead: Awaited,
    /// Searches that are saved.
    pub saved: Awaited,
    /// What is kept quiet.
    pub quiet: Awaited,
    /// Events as they are stored.
    pub live: Awaited,
}

impl Questions {
    pub(super) fn new_question(&mut self, of: String) -> Awaited {
        self.last += 1;
        Awaited { number: self.last, of, answer: Answer::Due }
    }

    /// Everything that is open stays unanswered: one of them, or all.
    fn refuse(&mut self, number: Option<u64>, why: &str) {
        let all = [&mut self.search, &mut self.spread, &mut self.usage, &mut self.dead];
        for awaited in all.into_iter().chain([&mut self.saved, &mut self.quiet, &mut self.live]) {
            awaited.refuse(number, why);
        }
    }
}

/// What a place's figures are of: each agency's or the nation's, a day's or a month's.
fn usage_of(place: &Place) -> Option<(bool, bool)> {
    match &place.screen {
        Screen::ByAgency(_) => Some((true, place.month)),
        Screen::Usage if !place.filter.is_empty() => Some((true, place.month)),
        // The nation's day is in the picture.
        Screen::Usage if place.month => Some((false, true)),
        _ => None,
    }
}

impl App {
    /// Numbers a search.
    pub(super) fn number_search(&mut self, line: &str, more: bool) -> u64 {
        self.questions.search = self.questions.new_question(line.to_owned());
        self.questions.more = more;
        self.questions.search.number
    }

    /// What this place shows is asked for, where it is not there already; what is there of another place is taken away.
    pub(super) fn ask_for_place(&mut self, again: bool, now: Time) -> Vec<Effect> {
        let place = self.place().clone();
        match &place.screen {
            Screen::Incident(id) => {
                let here = self.model.detail.as_ref().and_then(|detail| detail.incident.as_ref());
                let other = here.is_none_or(|incident| incident.id != *id);
                if other || again { self.detail(*id) } else { Vec::new() }
            }
            Screen::Events => {
                let other = self.questions.search.of != place.filter;
                if other {
                    (self.model.search, self.model.sql) = (None, None);
                    self.model.refold();
                }
                if other || again { self.search(&place.filter, now) } else { Vec::new() }
            }
            Screen::Spread => self.ask_spread(&place.filter, again, now),
            Screen::Usage | Screen::ByAgency(_) => self.ask_usage(&place, again, now),
            Screen::Flow => self.ask_dead(again),
            Screen::Saved => self.ask_saved(),
            Screen::Quiet => self.ask_quiet(),
            _ => Vec::new(),
        }
    }

    /// What the link lost is asked for again, once there is a link.
    pub(super) fn ask_what_was_lost(&mut self, now: Time) -> Vec<Effect> {
        let lost = |awaited: &Awaited| matches!(awaited.answer, Answer::Refused(_) | Answer::Due);
        let here = match &self.place().screen {
            Screen::Spread => lost(&self.questions.spread),
            Screen::Events => lost(&self.questions.search),
            Screen::Usage | Screen::ByAgency(_) => lost(&self.questions.usage),
            Screen::Flow => lost(&self.questions.dead),
            Screen::Saved => lost(&self.questions.saved),
            Screen::Quiet => lost(&self.questions.quiet),
            Screen::Incident(id) => crate::screen::detail(self, *id).is_none(),
            _ => false,
        };
        if here { self.ask_for_place(true, now) } else { Vec::new() }
    }

    fn ask_quiet(&mut self) -> Vec<Effect> {
        self.questions.quiet = self.questions.new_question(String::new());
        vec![Effect::Ask(Ask::Quiet(self.questions.quiet.number))]
    }

    fn ask_spread(&mut self, filter: &str, again: bool, now: Time) -> Vec<Effect> {
        let Some((field, value)) = filter.split_once('=') else { return Vec::new() };
        if self.questions.spread.of == filter && !again {
            return Vec::new();
        }
        if self.questions.spread.of != filter {
            self.model.spread.clear();
        }
        self.questions.spread = self.questions.new_question(filter.to_owned());
        let request = SpreadRequest {
            field: field.to_owned(),
            value: value.to_owned(),
            since_unix_nano: now.minus(Duration::from_secs(86_400)).0,
            until_unix_nano: 0,
        };
        vec![Effect::Ask(Ask::Spread(self.questions.spread.number, request))]
    }

    fn ask_usage(&mut self, place: &Place, again: bool, now: Time) -> Vec<Effect> {
        let Some((by_agency, month)) = usage_of(place) else { return Vec::new() };
        let of = format!("{by_agency} {month}");
        if self.questions.usage.of == of && !again {
            return Vec::new();
        }
        if self.questions.usage.of != of {
            self.model.by_agency.clear();
        }
        self.questions.usage = self.questions.new_question(of);
        let days = if month { 30 } else { 1 };
        let request = UsageRequest {
            since_unix_nano: now.minus(Duration::from_secs(days * 86_400)).0,
            by_agency,
            ..UsageRequest::default()
        };
        vec![Effect::Ask(Ask::Usage(self.questions.usage.number, request))]
    }

    fn ask_dead(&mut self, again: bool) -> Vec<Effect> {
        if self.questions.dead.answer == Answer::Due && !again {
            return Vec::new();
        }
        self.questions.dead = self.questions.new_question(String::new());
        vec![Effect::Ask(Ask::Dead(self.questions.dead.number))]
    }

    /// Rows of a spread, figures or dead letters: only those that were asked for last.
    pub(super) fn answered(&mut self, told: crate::feed::Told) {
        use crate::feed::Told;
        match told {
            Told::Spread(number, reply) if self.questions.spread.takes(number) => {
                self.model.spread = reply.rows;
            }
            Told::Usage(number, reply) if self.questions.usage.takes(number) => {
                self.steady(|app| app.model.by_agency = reply.indicators);
            }
            Told::Dead(number, reply) if self.questions.dead.takes(number) => {
                self.steady(|app| app.model.dead = Some(reply.letters));
            }
            Told::Saved(number, searches) if self.questions.saved.takes(number) => {
                self.steady(|app| app.model.saved = searches);
            }
            Told::Quiet(number, periods) if self.questions.quiet.takes(number) => {
                self.steady(|app| app.model.quiet = periods);
            }
            Told::Sql(number, reply) if self.questions.search.takes(number) => {
                self.searching = None;
                self.model.sql = Some(*reply);
            }
            // One that was stopped meanwhile is not shown either.
            Told::Search(number, reply)
                if self.questions.search.takes(number) && self.searching.take().is_some() =>
            {
                self.found(*reply);
            }
            _ => {}
        }
    }

    /// Without a link nothing is asked and nothing is queued.
    pub(super) fn sendable(&mut self, mut effects: Vec<Effect>) -> Vec<Effect> {
        if !matches!(self.link, Link::Lost { .. }) {
            return effects;
        }
        let before = effects.len();
        effects.retain(|effect| !matches!(effect, Effect::Ask(ask) if *ask != Ask::Retry));
        if effects.len() < before {
            self.not_sent();
        }
        effects
    }

    /// What was to be asked was not sent.
    pub(super) fn not_sent(&mut self) {
        self.message = self.words.get("told-not-sent");
        let why = self.message.clone();
        self.unanswered(None, &why);
    }

    /// A question that is not answered, or none of them because the link is lost.
    pub(super) fn unanswered(&mut self, number: Option<u64>, why: &str) {
        self.questions.refuse(number, why);
        if matches!(self.questions.search.answer, Answer::Refused(_)) {
            self.searching = None;
        }
        if matches!(self.questions.live.answer, Answer::Refused(_)) {
            self.live = None;
        }
    }
}
