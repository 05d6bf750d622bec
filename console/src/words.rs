//! Words of the screen and of the command line, from message files, in Vietnamese and English.

use std::borrow::Cow;

use fluent_bundle::{FluentArgs, FluentResource, FluentValue, concurrent::FluentBundle};

/// A language of the screen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lang {
    /// Vietnamese, the first language.
    #[default]
    Vi,
    /// English.
    En,
}

impl Lang {
    /// "vi" or "en".
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Vi => "vi",
            Self::En => "en",
        }
    }

    /// By its code, or by a locale like `en_US.UTF-8`.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        match code.get(..2)? {
            "vi" => Some(Self::Vi),
            "en" => Some(Self::En),
            _ => None,
        }
    }
}

const FILES: [(Lang, &str, &str); 2] = [
    (Lang::Vi, include_str!("../messages/vi.ftl"), include_str!("../messages/cli.vi.ftl")),
    (Lang::En, include_str!("../messages/en.ftl"), include_str!("../messages/cli.en.ftl")),
];

/// The words of one language.
pub struct Words {
    lang: Lang,
    bundle: FluentBundle<FluentResource>,
}

impl Words {
    /// Loads a language.
    #[must_use]
    pub fn new(lang: Lang) -> Self {
        let mut bundle = FluentBundle::new_concurrent(Vec::new());
        // Marks around values would be characters that a terminal counts.
        bundle.set_use_isolating(false);
        for (_, screen, cli) in FILES.iter().filter(|(of, ..)| *of == lang) {
            for text in [screen, cli] {
                // A file with a mistake still gives its good messages; a test refuses mistakes.
                let resource = FluentResource::try_new((*text).to_owned())
                    .unwrap_or_else(|(resource, _)| resource);
                bundle.add_resource_overriding(resource);
            }
        }
        Self { lang, bundle }
    }

    /// The language.
    #[must_use]
    pub const fn lang(&self) -> Lang {
        self.lang
    }

    /// A message; one that is missing is its own name, so that it is seen.
    #[must_use]
    pub fn get(&self, id: &str) -> String {
        self.with(id, &[])
    }

    /// A message with values.
    #[must_use]
    pub fn with(&self, id: &str, values: &[(&str, &str)]) -> String {
        let Some(pattern) = self.bundle.get_message(id).and_then(|message| message.value()) else {
            return id.to_owned();
        };
        let mut arguments = FluentArgs::new();
        for (name, value) in values {
            arguments.set(Cow::Borrowed(*name), FluentValue::from(*value));
        }
        let mut errors = Vec::new();
        self.bundle.format_pattern(pattern, Some(&arguments), &mut errors).into_owned()
    }

    /// Whichever of two names is of this language.
    #[must_use]
    pub const fn pick<'a>(&self, vi: &'a str, en: &'a str) -> &'a str {
        match self.lang {
            Lang::Vi => vi,
            Lang::En => en,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn keys(text: &str) -> BTreeSet<String> {
        FluentResource::try_new(text.to_owned())
            .map_err(|(_, errors)| errors)
            .expect("a message file without mistakes");
        text.lines()
            .filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase()))
            .filter_map(|line| Some(line.split_once(" =")?.0.to_owned()))
            .collect()
    }

    #[test]
    fn both_languages_have_the_same_messages() {
        assert_eq!(keys(FILES[0].1), keys(FILES[1].1));
        assert_eq!(keys(FILES[0].2), keys(FILES[1].2));
    }

    #[test]
    fn every_message_that_the_program_names_is_there() {
        use crate::{app::COMMANDS, keymap::Action, screen::Screen};
        use vonggac_wire::proto::{IncidentState, Verdict};
        let known = &keys(FILES[0].1) | &keys(FILES[0].2);
        let mut named: BTreeSet<String> =
            Action::ALL.iter().map(|(_, name)| format!("do-{}", name.replace('_', "-"))).collect();
        named.extend(COMMANDS.iter().map(|names| format!("cmd-{}", names[0])));
        named.extend(Verdict::ALL.map(|verdict| format!("judged-{}", verdict.name())));
        for number in 1..=5 {
            let state = IncidentState::try_from(number).expect("a state");
            named.insert(format!("istate-{}", state.name()));
        }
        for screen in [
            Screen::Board,
            Screen::Incidents,
            Screen::Agencies,
            Screen::Systems,
            Screen::ByAgency(String::new()),
        ] {
            named.extend(screen.sorts().iter().map(|sort| format!("sort-{sort}")));
        }
        // Of what the sources call by its whole name.
        fn read(folder: &std::path::Path, named: &mut BTreeSet<String>) {
            for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
                let path = entry.path();
                if path.is_dir() {
                    read(&path, named);
                } else if let Ok(text) = std::fs::read_to_string(&path) {
                    let text = text.split("#[cfg(test)]").next().unwrap_or_default().to_owned();
                    for call in ["words.get(\"", "words.with(\"", "words.with(\n"] {
                        for part in text.split(call).skip(1) {
                            let part = part.trim_start().trim_start_matches('"');
                            if let Some((id, _)) = part.split_once('"') {
                                if id.bytes().all(|b| {
                                    b.is_ascii_lowercase() || b == b'-' || b.is_ascii_digit()
                                }) {
                                    named.insert(id.to_owned());
                                }
                            }
                        }
                    }
                }
            }
        }
        read(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut named);
        let missing: Vec<&String> = named.difference(&known).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }

    #[test]
    fn values_are_put_in_without_marks() {
        let words = Words::new(Lang::En);
        assert_eq!(words.with("refused-not-found", &[("id", "7")]), "There is no incident #7.");
        assert_eq!(words.get("no-such-message"), "no-such-message");
    }
}
