//! `:` commands, in Vietnamese without or with accents and in English, with what they could be completed to.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use vonggac_wire::Time;

use super::{App, Effect, Form, Overlay, Place, input::edit, saved::line_of};
use crate::{query, screen::Screen, wording::folded, words::Lang};

/// Suggestions that are shown.
const SUGGESTIONS_MAX: usize = 8;

/// Commands that are remembered.
const COMMANDS_MAX: usize = 50;

/// The line, and the suggestion that arrows chose.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Palette {
    /// What was typed, NFC.
    pub text: String,
    /// The suggestion chosen.
    pub at: Option<usize>,
    /// How far back in old commands.
    pub old: usize,
}

/// What a line could become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suggestion {
    /// The line.
    pub line: String,
    /// What it is about.
    pub about: String,
    /// What it does.
    pub does: String,
}

/// Names of each command, the Vietnamese one first; what each does stands in the messages after `cmd-`.
pub(crate) const COMMANDS: [&[&str]; 25] = [
    &["bang", "board"],
    &["suco", "inc"],
    &["coquan", "agency"],
    &["hethong", "sys"],
    &["may", "host"],
    &["sukien", "events"],
    &["chiso", "kpi"],
    &["lan", "spread"],
    &["luong", "flow"],
    &["soca", "shift"],
    &["gio", "at"],
    &["luu", "save"],
    &["dsluu", "saved"],
    &["doiten", "rename"],
    &["xoaluu", "unsave"],
    &["xuat", "export"],
    &["visao", "why"],
    &["banchup", "snapshot"],
    &["mophong", "sim"],
    &["tieng", "lang"],
    &["baotri", "maint"],
    &["giuim", "quiet"],
    &["cli"],
    &["help", "trogiup"],
    &["q", "quit"],
];

/// The command of a line, by its first name, and the rest of the line.
fn split(line: &str) -> (Option<&'static str>, String) {
    let line = line.trim().trim_start_matches(':');
    let (head, rest) = line.split_once(' ').unwrap_or((line, ""));
    let head = folded(head);
    let found = COMMANDS.iter().find(|names| names.contains(&head.as_str()));
    (found.and_then(|names| names.first()).copied(), rest.trim().to_owned())
}

impl App {
    /// What the line could become: commands by their beginning, then agencies, systems and searches that it names.
    #[must_use]
    pub fn suggestions(&self, line: &str) -> Vec<Suggestion> {
        let typed = line.trim_start().trim_start_matches(':');
        let mut all = Vec::new();
        let (command, rest) = split(typed);
        if !typed.contains(' ') {
            let head = folded(typed);
            for names in COMMANDS {
                if names.iter().any(|name| name.starts_with(&head)) {
                    let does = self.words.get(&format!("cmd-{}", names[0]));
                    let also = names.get(1).map(|name| format!(":{name}")).unwrap_or_default();
                    all.push(Suggestion { line: names[0].to_owned(), about: also, does });
                }
            }
        }
        let asked = if command.is_some() { rest } else { typed.trim().to_owned() };
        if !asked.is_empty() {
            self.suggest_agencies(command, &asked, &mut all);
        }
        // Those of the centre, and those that this machine kept before.
        let centre = self.model.saved.iter().map(|search| (search.name.clone(), line_of(search)));
        for (name, line) in centre.chain(self.saved.iter().cloned()) {
            if command == Some("sukien")
                || folded(&name).starts_with(&folded(typed)) && !typed.is_empty()
            {
                let does = self.words.get("cmd-saved");
                all.push(Suggestion { line: format!("sukien {line}"), about: name, does });
            }
        }
        all.truncate(SUGGESTIONS_MAX);
        all
    }

    fn suggest_agencies(&self, command: Option<&str>, asked: &str, all: &mut Vec<Suggestion>) {
        let words = &self.words;
        let hits = self.model.agencies_named(asked);
        for agency in hits.iter().take(3) {
            let name = words.pick(&agency.name_vi, &agency.name_en).to_owned();
            let verb = command
                .filter(|verb| matches!(*verb, "sukien" | "suco" | "visao" | "chiso" | "hethong"))
                .unwrap_or("coquan");
            let does = format!("{} {}", words.get("cmd-coquan"), self.theme.state(agency.state()));
            let line = match verb {
                "sukien" => format!("sukien agency:{} -1h", agency.code),
                verb => format!("{verb} {}", agency.code),
            };
            all.push(Suggestion { line, about: name, does });
        }
        let Some(first) = hits.first().filter(|_| command.is_none_or(|verb| verb == "coquan"))
        else {
            return;
        };
        let short = words.pick(&first.short_vi, &first.short_en);
        let count = self.model.open_of(&first.code).to_string();
        all.push(Suggestion {
            line: format!("suco {}", folded(short)),
            about: words.with("cmd-incidents-of", &[("count", &count)]),
            does: words.get("cmd-suco"),
        });
        all.push(Suggestion {
            line: format!("sukien agency:{} -1h", first.code),
            about: words.with("cmd-events-of", &[("name", short)]),
            does: String::new(),
        });
    }

    /// A key in the palette.
    pub(super) fn palette_key(&mut self, key: KeyEvent, now: Time) -> Vec<Effect> {
        let Some(Overlay::Palette(mut palette)) = self.overlay.take() else { return Vec::new() };
        let shown = self.suggestions(&palette.text);
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        if edit(&mut palette.text, key) {
            palette.at = None;
        } else {
            match key.code {
                KeyCode::Esc => return Vec::new(),
                KeyCode::Char('c') if control => return Vec::new(),
                KeyCode::Down if !shown.is_empty() => {
                    palette.at = Some(palette.at.map_or(0, |at| (at + 1).min(shown.len() - 1)));
                }
                KeyCode::Up if palette.at.is_some() => {
                    palette.at = palette.at.and_then(|at| at.checked_sub(1));
                }
                KeyCode::Up => {
                    // Above the suggestions are the commands of before.
                    let old = self.commands.iter().rev().nth(palette.old).cloned();
                    if let Some(line) = old {
                        palette.old += 1;
                        palette.text = line;
                    }
                }
                KeyCode::Tab => {
                    if let Some(chosen) = shown.get(palette.at.unwrap_or(0)) {
                        palette.text = format!("{} ", chosen.line);
                        palette.at = None;
                    }
                }
                KeyCode::Enter => {
                    let chosen = palette.at.and_then(|at| shown.get(at));
                    let line = chosen.map_or(palette.text.clone(), |chosen| chosen.line.clone());
                    return self.command(line.trim(), now);
                }
                _ => {}
            }
        }
        self.overlay = Some(Overlay::Palette(palette));
        Vec::new()
    }

    /// `:coquan da nang`, `:agency tk-48`, ...; accents are optional.
    fn command(&mut self, line: &str, now: Time) -> Vec<Effect> {
        self.message.clear();
        if line.is_empty() {
            return Vec::new();
        }
        self.commands.retain(|known| known != line);
        self.commands.push(line.to_owned());
        if self.commands.len() > COMMANDS_MAX {
            self.commands.remove(0);
        }
        let (command, rest) = split(line);
        match command {
            Some("q") => return vec![Effect::Quit],
            Some("bang") => return self.go(Screen::Board, now),
            Some("suco") => return self.incidents_of(&rest, now),
            Some("hethong") => return self.go_with(Screen::Systems, rest, now),
            Some("luong") => return self.go(Screen::Flow, now),
            Some("soca") => return self.go(Screen::Shift, now),
            Some("sukien") => return self.go_with(Screen::Events, rest, now),
            Some("gio") => return self.at_time(&rest, now),
            Some("luu") => return self.save(&rest),
            Some("dsluu") => return self.go_with(Screen::Saved, rest, now),
            Some("giuim") => return self.go_with(Screen::Quiet, rest, now),
            Some("baotri") => {
                let kind = self.words.get("quiet-maintenance");
                return self.go_with(Screen::Quiet, kind, now);
            }
            Some("doiten") => return self.rename_saved(&rest),
            Some("xoaluu") => return self.delete_saved(&rest),
            Some("lan") => return self.spread_of(&rest, now),
            Some("chiso") => return self.indicators_of(&rest, now),
            Some("may") => self.host(&rest),
            Some("coquan") => self.agency(&rest),
            Some("visao") => match self.model.agencies_named(&rest).first() {
                Some(agency) => {
                    let code = agency.code.clone();
                    self.why(&code);
                }
                None => self.unknown(&rest),
            },
            Some("xuat") => self.overlay = Some(Overlay::Form(Form::export())),
            Some("help") => self.overlay = Some(Overlay::Help(0)),
            Some("cli") => self.same_by_command(),
            Some("banchup") => self.message = self.words.get("told-no-snapshot"),
            Some("mophong") => {
                let id = if self.model.simulated { "told-simulated" } else { "told-real" };
                self.message = self.words.get(id);
            }
            Some("tieng") => {
                let other = if self.options.lang == Lang::Vi { Lang::En } else { Lang::Vi };
                self.options.lang = Lang::from_code(&folded(&rest)).unwrap_or(other);
                self.words = crate::words::of(self.options.lang);
            }
            _ => {
                self.message = self.words.with("told-unknown", &[("text", line)]);
            }
        }
        Vec::new()
    }

    fn unknown(&mut self, text: &str) {
        self.message = self.words.with("told-no-match", &[("text", text)]);
    }

    /// `:suco`, `:suco da nang`, `:suco 3107`.
    fn incidents_of(&mut self, rest: &str, now: Time) -> Vec<Effect> {
        let number = rest.trim_start_matches('#').parse::<u64>().ok();
        if let Some(id) = number.filter(|id| self.model.incidents.contains_key(id)) {
            self.enter_place(Place::new(Screen::Incident(id)));
            return self.ask_for_place(true, now);
        }
        self.go_with(Screen::Incidents, rest.to_owned(), now)
    }

    fn agency(&mut self, rest: &str) {
        let hit = if rest.is_empty() {
            None
        } else {
            self.model.agencies_named(rest).first().map(|a| a.code.clone())
        };
        match hit {
            Some(code) => {
                self.places.truncate(1);
                self.enter_place(Place::new(Screen::Agency(code)));
            }
            None if rest.is_empty() => {
                self.places.truncate(1);
                self.enter_place(Place::new(Screen::Agencies));
            }
            None => self.unknown(rest),
        }
    }

    fn host(&mut self, rest: &str) {
        let asked = folded(rest);
        let hit = self.model.agents.values().find(|row| {
            !asked.is_empty() && folded(&format!("{} {}", row.host, row.agency)).contains(&asked)
        });
        match hit.map(|row| Screen::Host(row.agency.clone(), row.agent.clone())) {
            Some(screen) => self.enter_place(Place::new(screen)),
            None => self.unknown(rest),
        }
    }

    fn indicators_of(&mut self, rest: &str, now: Time) -> Vec<Effect> {
        let code = self.model.agencies_named(rest).first().map(|agency| agency.code.clone());
        match code.filter(|_| !rest.is_empty()) {
            Some(code) => self.go_with(Screen::Usage, code, now),
            None => self.go(Screen::Usage, now),
        }
    }

    /// `:lan 203.0.113.77`, `:lan user=root`.
    fn spread_of(&mut self, rest: &str, now: Time) -> Vec<Effect> {
        if rest.is_empty() {
            return self.go(Screen::Spread, now);
        }
        let (field, value) = rest
            .split_once(['=', ':'])
            .filter(|(field, _)| ["src_ip", "user", "url", "host"].contains(field))
            .unwrap_or(("src_ip", rest));
        self.spread(field, value, now)
    }

    /// `:gio 08:30` looks at events around that time.
    fn at_time(&mut self, rest: &str, now: Time) -> Vec<Effect> {
        let Some(at) = query::clock(rest, now) else {
            self.message = self.words.get("told-time");
            return Vec::new();
        };
        let half = std::time::Duration::from_secs(1800);
        self.window = Some((at.minus(half), at.plus(half)));
        let line = if self.place().screen == Screen::Events {
            self.place().filter.clone()
        } else {
            String::new()
        };
        self.go_with(Screen::Events, line, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_belongs_to_two_commands() {
        let all: Vec<&str> = COMMANDS.iter().flat_map(|names| names.iter().copied()).collect();
        let once: std::collections::BTreeSet<&str> = all.iter().copied().collect();
        assert_eq!(all.len(), once.len());
        assert!(all.iter().all(|name| name.bytes().all(|b| b.is_ascii_lowercase())));
    }

    #[test]
    fn accents_of_a_command_are_optional() {
        assert_eq!(split("sựcố đà nẵng"), (Some("suco"), "đà nẵng".to_owned()));
        assert_eq!(split(":agency tk-48"), (Some("coquan"), "tk-48".to_owned()));
        assert_eq!(split("nothing"), (None, String::new()));
    }
}
