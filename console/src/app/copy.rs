//! What leaves the screen: a copy, an export, and sheets to read.

use vonggac_wire::{Time, proto::Incident};

use super::{App, Effect, Overlay};
use crate::{
    cli,
    sanitise::sanitise,
    screen::{self, Screen},
    wording,
    words::{Lang, named},
};

impl App {
    /// `y`: the thing under the cursor as text.
    pub(super) fn copy(&mut self) -> Vec<Effect> {
        let text = match (screen::event(self), screen::item(self)) {
            (Some(event), _) => event.raw.clone(),
            (None, Some(item)) => screen::text_of(self, &item),
            (None, None) => {
                self.nothing();
                return Vec::new();
            }
        };
        self.message = self.words.get("told-copied");
        // Where it is pasted it is read by a shell, perhaps.
        vec![Effect::Copy(sanitise(&text).into_owned())]
    }

    /// The rows of this screen as a file.
    pub(super) fn export(&mut self, form: &str, now: Time) -> Vec<Effect> {
        let name = format!("vonggac-{}-{}.{form}", self.place().screen.name(), wording::stamp(now));
        match cli::exported(self, form, now) {
            Some(text) => {
                self.message = self.words.with("told-exported", &[("file", &name)]);
                vec![Effect::Write(name, text)]
            }
            None => {
                self.message = self.words.get("told-no-rows");
                Vec::new()
            }
        }
    }

    fn incident_here(&self) -> Option<&Incident> {
        self.model.incidents.get(&screen::incident(self)?)
    }

    /// `p`: whom to tell of this incident, by role.
    pub(super) fn recipients(&mut self) {
        let Some(incident) = self.incident_here() else {
            let Some(code) = screen::agency_here(self) else {
                self.nothing();
                return;
            };
            let words = &self.words;
            let name = screen::agency_name(self, &code);
            self.overlay = Some(Overlay::Sheet {
                title: words.with("tell-title-agency", &[("name", &name)]),
                lines: vec![
                    words.with("tell-duty", &[("name", &name)]),
                    words.get("tell-unverified"),
                ],
                from: 0,
            });
            return;
        };
        let words = &self.words;
        let id = incident.id.to_string();
        let responsible = screen::agency_name(self, &incident.responsible_agency);
        let mut lines = vec![words.with("tell-duty", &[("name", &responsible)])];
        let detail = screen::detail(self, incident.id);
        match detail {
            Some(detail) => lines.extend(detail.recipients.iter().map(|role| {
                let name = named(words, "role", role);
                format!("{name}: {}", words.get("tell-unverified"))
            })),
            None => lines.push(words.get("tell-open-first")),
        }
        // All that is owed, with what was reported already.
        let now = self.model.time.unwrap_or_default();
        let owed = detail.map(|detail| screen::duty::shown(&detail.clocks)).unwrap_or_default();
        lines.extend(owed.into_iter().map(|clock| screen::duty::line(words, clock, now)));
        let title = words.with("tell-title", &[("id", &id)]);
        self.overlay = Some(Overlay::Sheet { title, lines, from: 0 });
    }

    /// `b`: all steps of the rule's runbook.
    pub(super) fn runbook(&mut self) {
        let Some((id, detail)) = self
            .incident_here()
            .and_then(|incident| Some((incident.id, screen::detail(self, incident.id)?)))
        else {
            self.nothing();
            return;
        };
        let steps =
            if self.words.lang() == Lang::Vi { &detail.runbook_vi } else { &detail.runbook_en };
        let mut lines: Vec<String> =
            (1..).zip(steps).map(|(number, step)| format!("{number}. {step}")).collect();
        if lines.is_empty() {
            lines.push(self.words.get("no-runbook"));
        }
        let title = self.words.with("runbook-title", &[("id", &id.to_string())]);
        self.overlay = Some(Overlay::Sheet { title, lines, from: 0 });
    }

    /// `:visao`: why an agency is shown in its state.
    pub(super) fn why(&mut self, code: &str) {
        let lines = screen::why(self, code);
        let name = screen::agency_name(self, code);
        let title = self.words.with("why-title", &[("name", &name)]);
        self.overlay = Some(Overlay::Sheet { title, lines, from: 0 });
    }

    fn usage_by_command(&self) -> String {
        let place = self.place();
        let mut text = "vonggac usage".to_owned();
        if matches!(place.screen, Screen::ByAgency(_)) {
            text.push_str(" --by-agency");
        } else if !place.filter.is_empty() {
            text.push_str(&format!(" --agency {}", place.filter));
        }
        if place.month {
            text.push_str(" --since 30d");
        }
        text
    }

    /// `:cli`: the command that gives the rows of this screen.
    pub(super) fn same_by_command(&mut self) {
        let place = self.place();
        // Quoted for a shell: a name may hold anything.
        let quoted = |text: &str| format!("'{}'", text.replace('\'', "'\\''"));
        self.message = match &place.screen {
            Screen::Events if self.live.is_some() => {
                format!("vonggac events --follow {}", cli::options_of(&place.filter))
            }
            Screen::Events => format!("vonggac events {}", cli::options_of(&place.filter)),
            Screen::Spread if !place.filter.is_empty() => {
                format!("vonggac spread {}", quoted(&place.filter))
            }
            Screen::Host(agency, agent) => {
                let key = (agency.clone(), agent.clone());
                let host = self.model.agents.get(&key).map_or(agent, |row| &row.host);
                format!("vonggac checks --agency {agency} --host {}", quoted(host))
            }
            Screen::ByAgency(_) | Screen::Usage => self.usage_by_command(),
            screen => screen.command(),
        };
    }
}
