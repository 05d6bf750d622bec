//! Keys of what lies over a screen and is read or chosen from: help, the menu, what is new, sheets.

use vonggac_wire::Time;

use super::{App, Effect, Overlay, act};
use crate::{keymap::Action, screen};

impl App {
    /// Keys that a text is read on with.
    const fn scrolls(action: Action) -> bool {
        use Action as A;
        matches!(action, A::Up | A::Down | A::PageUp | A::PageDown | A::First | A::Last)
    }

    /// Keys of help, menu and sheets.
    pub(super) fn overlay_key(&mut self, action: Action, now: Time) -> Vec<Effect> {
        match (self.overlay.take(), action) {
            (_, Action::Quit) => return vec![Effect::Quit],
            (Some(Overlay::Help(page)), Action::NextPane | Action::Right) => {
                let pages = screen::help_pages(self).max(1);
                self.overlay = Some(Overlay::Help((page + 1) % pages));
            }
            (Some(Overlay::Help(page)), Action::PreviousPane | Action::Left) => {
                let pages = screen::help_pages(self).max(1);
                self.overlay = Some(Overlay::Help((page + pages - 1) % pages));
            }
            (Some(Overlay::Menu(at)), Action::Down) => {
                let last = screen::valid(self).len().saturating_sub(1);
                self.overlay = Some(Overlay::Menu((at + 1).min(last)));
            }
            (Some(Overlay::Menu(at)), Action::Up) => {
                self.overlay = Some(Overlay::Menu(at.saturating_sub(1)));
            }
            (Some(Overlay::Menu(at)), Action::Enter) => {
                if let Some(chosen) = screen::valid(self).get(at) {
                    return self.act(*chosen, now);
                }
            }
            (Some(Overlay::Sheet { title, lines, from }), action) if Self::scrolls(action) => {
                let last = screen::sheet_last(self, &lines);
                let from = match action {
                    Action::Up => from.saturating_sub(1),
                    Action::Down => from + 1,
                    Action::PageUp => from.saturating_sub(act::PAGE),
                    Action::PageDown => from + act::PAGE,
                    Action::First => 0,
                    _ => last,
                };
                self.overlay = Some(Overlay::Sheet { title, lines, from: from.min(last) });
            }
            (Some(Overlay::News), Action::News) => {
                // What was read is not new any more.
                self.look(now);
                self.message = self.words.get("told-looked");
                return vec![Effect::Remember];
            }
            (Some(Overlay::Menu(_)), action) if !matches!(action, Action::Back | Action::Menu) => {
                return self.act(action, now);
            }
            _ => {}
        }
        Vec::new()
    }
}
