//! The console's words: its message files.

pub use vonggac_answer::words::{Lang, Words};

/// The screen's, the command line's and the reports'.
const FILES: [(Lang, [&str; 3]); 2] = [
    (
        Lang::Vi,
        [
            include_str!("../messages/vi.ftl"),
            include_str!("../messages/cli.vi.ftl"),
            include_str!("../messages/report.vi.ftl"),
        ],
    ),
    (
        Lang::En,
        [
            include_str!("../messages/en.ftl"),
            include_str!("../messages/cli.en.ftl"),
            include_str!("../messages/report.en.ftl"),
        ],
    ),
];

/// The words of a language.
#[must_use]
pub fn of(lang: Lang) -> Words {
    let texts: Vec<&str> =
        FILES.iter().filter(|(of, _)| *of == lang).flat_map(|(_, files)| *files).collect();
    Words::new(lang, &texts)
}

/// The message of a name that is data, in a family of messages; the name itself, where there is none.
#[must_use]
pub fn named(words: &Words, family: &str, name: &str) -> String {
    let id = format!("{family}-{name}");
    let known = words.get(&id);
    if known == id { name.to_owned() } else { known }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn keys(text: &str) -> BTreeSet<String> {
        vonggac_answer::words::message_ids(text).expect("a message file without mistakes")
    }

    #[test]
    fn both_languages_have_the_same_messages() {
        for (vi, en) in FILES[0].1.iter().zip(FILES[1].1) {
            assert_eq!(keys(vi), keys(en));
        }
    }

    #[test]
    fn every_message_that_the_program_names_is_there() {
        use crate::{app::COMMANDS, keymap::Action, screen::Screen};
        use vonggac_wire::proto::{IncidentState, Verdict};
        let known: BTreeSet<String> = FILES[0].1.iter().flat_map(|file| keys(file)).collect();
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
        let words = of(Lang::En);
        assert_eq!(words.with("refused-not-found", &[("id", "7")]), "There is no incident #7.");
        assert_eq!(words.get("no-such-message"), "no-such-message");
    }
}
