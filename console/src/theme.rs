//! Symbols, letters and colours. Symbol and letter suffice; colour only repeats them.

use ratatui::style::{Color, Modifier, Style};
use vonggac_wire::{
    incident::Severity,
    proto::{Cell, HealthState as H, IncidentState},
};

/// How this terminal is drawn on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Theme {
    /// Symbols in ASCII.
    pub ascii: bool,
    /// No colours at all (`NO_COLOR`).
    pub mono: bool,
    /// 256 colours rather than 16.
    pub rich: bool,
}

impl Theme {
    /// As the environment says.
    #[must_use]
    pub fn from_environment(ascii: bool) -> Self {
        Self::of(ascii, |name| std::env::var(name).unwrap_or_default())
    }

    /// As these variables say.
    #[must_use]
    pub fn of(ascii: bool, variable: impl Fn(&str) -> String) -> Self {
        let (term, colours) = (variable("TERM"), variable("COLORTERM"));
        let old = term.is_empty() || term == "dumb" || term.starts_with("vt");
        Self {
            ascii: ascii || term == "linux" || old,
            mono: !variable("NO_COLOR").is_empty() || old || term.ends_with("-m"),
            rich: term.contains("256")
                || term.contains("direct")
                || ["truecolor", "24bit"].contains(&colours.as_str()),
        }
    }

    fn colour(&self, rich: u8, plain: Color) -> Style {
        if self.mono {
            return Style::new();
        }
        Style::new().fg(if self.rich { Color::Indexed(rich) } else { plain })
    }

    /// Symbol and letter of a state: `■N`.
    #[must_use]
    pub const fn state(&self, state: H) -> &'static str {
        match (state, self.ascii) {
            (H::Down, false) => "■N",
            (H::Down, true) => "#N",
            (H::UnderAttack, false) => "◆A",
            (H::UnderAttack, true) => "@A",
            (H::Silent, false) => "○I",
            (H::Silent, true) => "oI",
            (H::Degraded, false) => "▲K",
            (H::Degraded, true) => "^K",
            (H::Unknown | H::Unspecified, _) => "?R",
            (H::Maintenance, false) => "◇B",
            (H::Maintenance, true) => "=B",
            (H::NotConnected, false) => "–C",
            (H::NotConnected, true) => "-C",
            (H::Excluded, _) => "/L",
            (H::Fine, false) => "·T",
            (H::Fine, true) => ".T",
        }
    }

    /// The symbol alone, for lamps.
    #[must_use]
    pub fn lamp(&self, state: H) -> &'static str {
        let both = self.state(state);
        both.char_indices().nth(1).map_or(both, |(at, _)| &both[..at])
    }

    /// The colour of a state.
    #[must_use]
    pub fn state_style(&self, state: H) -> Style {
        match state {
            H::Down => self.colour(202, Color::Red).add_modifier(Modifier::BOLD),
            H::UnderAttack => self.colour(175, Color::Magenta),
            H::Silent => self.colour(74, Color::Cyan),
            H::Degraded => self.colour(214, Color::Yellow),
            H::Unknown | H::Unspecified => self.colour(252, Color::White),
            H::Maintenance => self.colour(33, Color::Blue),
            H::NotConnected | H::Excluded => self.colour(245, Color::DarkGray),
            H::Fine => Style::new(),
        }
    }

    /// `█M1`.
    #[must_use]
    pub const fn severity(&self, severity: Severity) -> &'static str {
        match (severity, self.ascii) {
            (Severity::Critical, false) => "█M1",
            (Severity::Critical, true) => "#M1",
            (Severity::High, false) => "▓M2",
            (Severity::High, true) => "=M2",
            (Severity::Medium, false) => "▒M3",
            (Severity::Medium, true) => "-M3",
            (Severity::Low, false) => "░M4",
            (Severity::Low, true) => ".M4",
        }
    }

    /// The colour of a severity.
    #[must_use]
    pub fn severity_style(&self, severity: Severity) -> Style {
        match severity {
            Severity::Critical => self.state_style(H::Down),
            Severity::High => self.state_style(H::Degraded),
            Severity::Medium | Severity::Low => Style::new(),
        }
    }

    /// `★`, `◐`, `‖`, `✓`, `□`.
    #[must_use]
    pub const fn incident(&self, state: IncidentState) -> &'static str {
        match (state, self.ascii) {
            (IncidentState::New, false) => "★",
            (IncidentState::New, true) => "*",
            (IncidentState::InProgress, false) => "◐",
            (IncidentState::InProgress, true) => "~",
            (IncidentState::OnHold, false) => "‖",
            (IncidentState::OnHold, true) => "|",
            (IncidentState::Resolved, false) => "✓",
            (IncidentState::Resolved, true) => "v",
            (IncidentState::Closed, false) => "□",
            (IncidentState::Closed | IncidentState::Unspecified, _) => "x",
        }
    }

    /// The cursor's mark.
    #[must_use]
    pub const fn cursor(&self) -> &'static str {
        if self.ascii { ">" } else { "▸" }
    }

    /// An incident that is marked.
    #[must_use]
    pub const fn marked(&self) -> &'static str {
        if self.ascii { "*" } else { "◉" }
    }

    /// A rule's character.
    #[must_use]
    pub const fn rule(&self) -> &'static str {
        if self.ascii { "-" } else { "─" }
    }

    /// The line under the cursor.
    #[must_use]
    pub const fn selected(&self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// What has to be seen.
    #[must_use]
    pub const fn loud(&self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED.union(Modifier::BOLD))
    }

    /// Bars for the last cells: no data is `–`, a measured zero is the lowest bar.
    #[must_use]
    pub fn sparkline(&self, cells: &[Cell], columns: usize) -> String {
        const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
        let each = cells.len().div_ceil(columns.max(1)).max(1);
        let groups: Vec<Option<f64>> = cells
            .chunks(each)
            .map(|group| {
                let known: Vec<f64> = group.iter().filter_map(|cell| cell.value).collect();
                (!known.is_empty()).then(|| known.iter().sum())
            })
            .collect();
        let most = groups.iter().flatten().copied().fold(0.0, f64::max);
        groups
            .iter()
            .map(|value| match value {
                None => '–',
                Some(value) => {
                    #[expect(
                        clippy::cast_possible_truncation,
                        clippy::cast_sign_loss,
                        reason = "0 to 7"
                    )]
                    let height =
                        if most > 0.0 { ((value / most) * 7.0).round() as usize } else { 0 };
                    if self.ascii {
                        char::from(b'1' + u8::try_from(height.min(7)).unwrap_or(0))
                    } else {
                        BARS[height.min(7)]
                    }
                }
            })
            .collect()
    }
}

/// The nearest thing to a symbol that every terminal has.
#[must_use]
pub const fn ascii(symbol: char) -> &'static str {
    match symbol {
        '≈' => "~",
        '–' | '−' | '—' | '─' => "-",
        '×' | '✗' => "x",
        '…' | '·' | '░' => ".",
        '✓' | '↓' => "v",
        '↑' => "^",
        '▏' | '┤' | '│' => "|",
        '█' | '▓' | '■' => "#",
        '▸' => ">",
        '“' | '”' => "\"",
        '‘' | '’' => "'",
        _ => "?",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_says_which_colours_and_symbols_there_are() {
        let of = |term: &str, no_color: &str, colorterm: &str| {
            let theme = Theme::of(false, |name| {
                let value = match name {
                    "TERM" => term,
                    "NO_COLOR" => no_color,
                    _ => colorterm,
                };
                value.to_owned()
            });
            (theme.ascii, theme.mono, theme.rich)
        };
        assert_eq!(of("xterm-256color", "", ""), (false, false, true));
        assert_eq!(of("xterm", "", "truecolor"), (false, false, true));
        assert_eq!(of("xterm", "", ""), (false, false, false), "sixteen colours");
        assert_eq!(of("xterm-256color", "1", ""), (false, true, true));
        assert_eq!(of("linux", "", ""), (true, false, false));
        for plain in ["dumb", "vt100", ""] {
            assert_eq!(of(plain, "", ""), (true, true, false), "{plain}");
        }
    }

    #[test]
    fn no_data_and_zero_never_swap() {
        let theme = Theme { ascii: false, mono: true, rich: false };
        let cells = [None, Some(0.0), Some(4.0), Some(8.0)].map(|value| Cell { value });
        assert_eq!(theme.sparkline(&cells, 4), "–▁▅█");
    }

    #[test]
    fn letters_of_states_are_unique_and_one_column_wide() {
        use unicode_width::UnicodeWidthStr;
        let states = [
            H::Down,
            H::UnderAttack,
            H::Silent,
            H::Degraded,
            H::Unknown,
            H::Maintenance,
            H::NotConnected,
            H::Excluded,
            H::Fine,
        ];
        for ascii in [false, true] {
            let theme = Theme { ascii, mono: true, rich: false };
            let texts: std::collections::BTreeSet<&str> =
                states.iter().map(|state| theme.state(*state)).collect();
            assert_eq!(texts.len(), 9);
            assert!(texts.iter().all(|text| text.width() == 2));
        }
    }
}
