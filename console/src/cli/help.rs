//! The command line's own words: what each command and option is for, in the operator's language.

use clap::{Arg, Command, CommandFactory};

use super::Arguments;
use crate::words::Words;

/// The message of a command: by its path, `help-incidents-ack`.
fn about(path: &str) -> String {
    format!("help{path}")
}

/// The message of an option: that of the command if it has one of its own, else one for all of that name.
fn option(words: &Words, command: &str, option: &Arg) -> Option<String> {
    let name = option.get_id().as_str().replace('_', "-");
    let find = |id: String| Some(words.get(&id)).filter(|text| *text != id);
    find(format!("arg-{command}-{name}")).or_else(|| find(format!("arg-{name}")))
}

/// The command line with its help in a language.
pub(super) fn command(words: &Words) -> Command {
    let mut whole = speak(Arguments::command(), words, "");
    // What clap adds by itself is there after this.
    whole.build();
    own(whole, words)
}

fn speak(command: Command, words: &Words, path: &str) -> Command {
    let name = path.rsplit('-').next().unwrap_or_default().to_owned();
    command
        .about(words.get(&about(path)))
        .mut_args(|arg| match option(words, &name, &arg) {
            Some(text) => arg.help(text),
            None => arg,
        })
        .mut_subcommands(|inner| {
            let path = format!("{path}-{}", inner.get_name());
            speak(inner, words, &path)
        })
}

/// `--help`, `--version`, `help` and the titles of the parts in the same language.
fn own(command: Command, words: &Words) -> Command {
    let mut template = format!("{{about}}\n\n{} {{usage}}\n", words.get("help-usage-heading"));
    let mut part = |id: &str, tag: &str| {
        template.push_str(&format!("\n{}:\n{{{tag}}}\n", words.get(id)));
    };
    if command.get_subcommands().next().is_some() {
        part("help-commands", "subcommands");
    }
    if command.get_positionals().next().is_some() {
        part("help-arguments", "positionals");
    }
    part("help-options", "options");
    command
        .help_template(template)
        .mut_args(|arg| match arg.get_id().as_str() {
            "help" => arg.help(words.get("arg-help")).long_help(words.get("arg-help")),
            "version" => arg.help(words.get("arg-version")).long_help(words.get("arg-version")),
            _ => arg,
        })
        .mut_subcommands(|inner| {
            if inner.get_name() == "help" {
                inner.about(words.get("arg-help"))
            } else {
                own(inner, words)
            }
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::Lang;

    /// Every command and option without words.
    fn mute(command: &Command, words: &Words, path: &str, found: &mut Vec<String>) {
        let id = about(path);
        if words.get(&id) == id {
            found.push(id);
        }
        let name = path.rsplit('-').next().unwrap_or_default();
        for argument in command.get_arguments() {
            if option(words, name, argument).is_none() {
                found.push(format!("{path} {}", argument.get_id()));
            }
        }
        for inner in command.get_subcommands() {
            mute(inner, words, &format!("{path}-{}", inner.get_name()), found);
        }
    }

    #[test]
    fn every_command_and_option_is_explained_in_both_languages() {
        for lang in [Lang::Vi, Lang::En] {
            let mut found = Vec::new();
            mute(&Arguments::command(), &crate::words::of(lang), "", &mut found);
            assert!(found.is_empty(), "{found:?}");
            command(&crate::words::of(lang)).debug_assert();
        }
    }

    #[test]
    fn help_is_written_in_the_language_that_was_asked_for() {
        let text = |lang, call: &[&str]| {
            let error =
                command(&crate::words::of(lang)).try_get_matches_from(call).expect_err("help");
            error.to_string()
        };
        let vi = text(Lang::Vi, &["vonggac", "incidents", "assign", "--help"]);
        assert!(vi.contains("Cách dùng:") && vi.contains("--deadline"), "{vi}");
        for english in ["Usage", "Options", "Commands", "Print help", "Arguments"] {
            assert!(!vi.contains(english), "{english}: {vi}");
        }
        let en = text(Lang::En, &["vonggac", "--help"]);
        assert!(en.contains("Usage:") && en.contains("Print help"), "{en}");
    }
}
