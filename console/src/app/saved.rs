//! Searches that are saved at the centre: listed, run, saved, renamed, deleted.

use vonggac_wire::{
    Time,
    proto::{
        ChangeSavedSearchReply, ChangeSavedSearchRequest, DeleteSearch, RenameSearch, SaveSearch,
        SavedSearch, change_saved_search_request::Change,
    },
};

use super::{App, Effect, Link};
use crate::{feed::Ask, query, screen::Screen, words::Words};

/// Behind a name: the agency that the search is for.
const AT_AGENCY: char = '@';

/// Between a name and the one that takes its place.
const BECOMES: &str = "=>";

/// What stands behind the name of what is to be deleted.
const SURE: &str = "--yes";

impl App {
    pub(super) fn ask_saved(&mut self) -> Vec<Effect> {
        self.questions.saved = self.questions.new_question(String::new());
        vec![Effect::Ask(Ask::Saved(self.questions.saved.number))]
    }

    /// The search under the cursor of the list.
    pub(super) fn run_saved(&mut self, at: usize, now: Time) -> Vec<Effect> {
        let Some(search) = self.model.saved.get(at) else { return Vec::new() };
        let line = line_of(search);
        self.window = None;
        self.go_with(Screen::Events, line, now)
    }

    /// `:luu ten` or `:luu ten @tk-48` keeps this search under a name.
    pub(super) fn save(&mut self, rest: &str) -> Vec<Effect> {
        if rest.is_empty() || self.place().screen != Screen::Events {
            self.message = self.words.get("told-save");
            return Vec::new();
        }
        let (name, agency) = match rest.rsplit_once(AT_AGENCY) {
            Some((name, agency)) if !agency.trim().is_empty() => (name.trim(), agency.trim()),
            _ => (rest, ""),
        };
        self.change(Change::Save(SaveSearch {
            name: name.to_owned(),
            agency: agency.to_owned(),
            line: self.place().filter.clone(),
        }))
    }

    /// `:doiten ten => ten khac`.
    pub(super) fn rename_saved(&mut self, rest: &str) -> Vec<Effect> {
        let Some((search, name)) = rest.split_once(BECOMES) else {
            self.message = self.words.get("told-rename");
            return Vec::new();
        };
        self.change(Change::Rename(RenameSearch {
            search: search.trim().to_owned(),
            name: name.trim().to_owned(),
        }))
    }

    /// `:xoaluu ten --yes`.
    pub(super) fn delete_saved(&mut self, rest: &str) -> Vec<Effect> {
        let name = rest.strip_suffix(SURE).map(str::trim).filter(|name| !name.is_empty());
        let Some(name) = name else {
            self.message = self.words.with("told-delete", &[("name", rest)]);
            return Vec::new();
        };
        self.change(Change::Delete(DeleteSearch { search: name.to_owned() }))
    }

    fn change(&mut self, change: Change) -> Vec<Effect> {
        if self.options.observer {
            self.message = refusal(&self.words, "observer");
            return Vec::new();
        }
        if self.link != Link::Up {
            self.message = self.words.get("told-not-sent");
            return Vec::new();
        }
        let request = ChangeSavedSearchRequest { change: Some(change) };
        vec![Effect::Ask(Ask::ChangeSaved(Box::new(request)))]
    }

    /// What became of it; the list is asked for anew.
    pub(super) fn saved_changed(
        &mut self,
        asked: &ChangeSavedSearchRequest,
        reply: ChangeSavedSearchReply,
    ) -> Vec<Effect> {
        let name = reply.search.map(|search| search.name).unwrap_or_default();
        let name = [("name", name.as_str())];
        self.message = match (&asked.change, reply.refused.as_str()) {
            (Some(Change::Save(_)), "") => self.words.with("told-saved", &name),
            (Some(Change::Rename(_)), "") => self.words.with("told-renamed", &name),
            (_, "") => self.words.with("told-deleted", &name),
            (_, refused) => refusal(&self.words, refused),
        };
        self.ask_saved()
    }
}

/// A search as it is typed: within its agency, where it has one and does not name one itself.
#[must_use]
pub(crate) fn line_of(search: &SavedSearch) -> String {
    let sql = search.line.trim_start().starts_with(';');
    let names_one = || {
        let terms = query::parse(&search.line, Time::default()).terms;
        terms.iter().any(|term| term.field == "agency" && !term.negated)
    };
    if search.agency.is_empty() || sql || names_one() {
        search.line.clone()
    } else {
        format!("agency:{} {}", search.agency, search.line)
    }
}

/// A refusal as a sentence.
pub(crate) fn refusal(words: &Words, refused: &str) -> String {
    let (word, detail) = refused.split_once(' ').unwrap_or((refused, ""));
    words.with(&format!("saved-refused-{word}"), &[("detail", detail)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_of_an_agency_stays_within_it() {
        let line = |agency: &str, line: &str| {
            line_of(&SavedSearch { agency: agency.into(), line: line.into(), ..Default::default() })
        };
        assert_eq!(line("", "user:root -1h"), "user:root -1h");
        assert_eq!(line("tk-48", "user:root -1h"), "agency:tk-48 user:root -1h");
        assert_eq!(line("tk-48", "agency:tk-48 user:root"), "agency:tk-48 user:root");
        assert_eq!(line("tk-48", "-agency:H49"), "agency:tk-48 -agency:H49");
        assert_eq!(line("tk-48", ";SELECT 1"), ";SELECT 1");
    }
}
